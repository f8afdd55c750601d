//! The columns of an [`AliasTable`].
//!
//! ```text
//! collect:  the heavy tokens, whose masses are no less than the capacity
//! for each block of 512 tokens:
//!     lacking:  what light ones lack, in sums up to each
//!     aliases:  where these sums exceed what the heavy ones have to give, the next heavy one takes over
//!     columns:  of each token, its mass and its alias
//! heavy:    those that have become light have a mass and an alias, too
//! ```

use core::cell::Cell;

use super::lacking::{BLOCK_LANES, GRID_ROWS, Grid, Lacking, Place};
use super::measure::{AT_ONCE, Heavy, Measure};
use super::{AliasTable, Layout, TO_INTEGER};
use crate::blocks::{BLOCK, widen_row, with_block};
use crate::check::{diagnose, diagnose_weights};
use crate::scratch::{room, with_scratch};
use crate::simd::{Simd, dispatch};
use crate::sums::sum_row;
use crate::{Level, Logit, RowError, Rows, Temperature};

impl AliasTable {
    /// `None`, and an empty table, if the weights cannot be drawn from.
    fn build(&mut self, level: Level, weights: &[f32], heavy: &mut Vec<Heavy>) -> Option<()> {
        let sum = dispatch!(level, simd => sum_row(simd, weights));
        if !(sum > 0.0 && sum < f64::INFINITY) {
            self.columns.clear();
            return None;
        }
        let heavy = room(heavy, weights.len() + AT_ONCE, Heavy::default());
        dispatch!(level, simd => self.fill(simd, weights, sum, heavy));
        Some(())
    }

    /// The columns, from weights and their sum. `heavy` has room for all tokens, and [`AT_ONCE`] more.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, weights: &[f32], sum: f64, heavy: &mut [Heavy]) {
        self.layout = Layout::new(weights.len());
        let measure = Measure::new(self.layout.capacity(), weights.len(), sum);
        let count = measure.collect(simd, weights, heavy);
        self.columns.resize(weights.len(), 0);
        match &mut heavy[..count] {
            // The largest was rounded down to less than the mean: all weigh the same, but for rounding.
            [] => self.columns.iter_mut().zip(0..).for_each(|(column, token)| *column = token),
            heavy => {
                let given = heavy[0].mass - measure.capacity;
                Pour { layout: self.layout, measure, heavy, at: 0, given }.sweep(
                    simd,
                    weights,
                    &mut self.columns,
                );
            }
        }
    }
}

/// The heavy tokens, while they fill up light ones.
struct Pour<'a> {
    layout: Layout,
    measure: Measure,
    heavy: &'a mut [Heavy],
    /// The heavy one at hand.
    at: usize,
    /// What the heavy ones through that at hand have above their capacities, together.
    given: f64,
}

impl Pour<'_> {
    /// Fills the columns.
    #[inline(always)]
    fn sweep<S: Simd>(mut self, simd: S, weights: &[f32], columns: &mut [u64]) {
        let (mut lacking, mut used) = (Lacking::NOTHING, 0.0);
        for (weights, columns) in weights.chunks(BLOCK).zip(columns.chunks_mut(BLOCK)) {
            // What fills up the last block is too heavy to lack anything.
            used = with_block(
                weights,
                f32::INFINITY,
                #[inline(always)]
                |block| lacking.sum(block, self.measure, used),
            );
            // Those of heavy ones hold nonsense until they are overwritten in the end. Masses are computed
            // again: kept, they take 1.1 to 1.3 x as long where they lie 4096 bytes from the columns.
            let aliases = self.aliases(simd, &lacking, used);
            for ((column, &weight), &alias) in columns.iter_mut().zip(weights).zip(aliases.as_flattened()) {
                *column = self.layout.column(self.measure.raised_mass(weight), alias);
            }
        }
        let (light, heavy) = self.heavy.split_at(self.at);
        for (this, next) in light.iter().zip(&self.heavy[1..]) {
            columns[this.token as usize] = self.layout.column(this.mass + TO_INTEGER, next.token);
        }
        // No light one is left, so those that are still heavy keep their columns for themselves.
        for this in heavy {
            columns[this.token as usize] = self.layout.column(TO_INTEGER, this.token);
        }
    }

    /// What fills up each column of a block, through which light ones lack `used`.
    #[inline(always)]
    fn aliases<S: Simd>(&mut self, simd: S, lacking: &Lacking, used: f64) -> Grid<u32> {
        let mut current = self.heavy[self.at].token;
        if used <= self.given {
            return [[current; BLOCK_LANES]; GRID_ROWS];
        }
        let (mut aliases, mut last) = ([[NONE; BLOCK_LANES]; GRID_ROWS], [NONE; BLOCK_LANES]);
        while used > self.given {
            // The last one takes what the others left: rounding.
            let [this, next, ..] = &mut self.heavy[self.at..] else { break };
            // The heavy one at hand becomes light itself, and the next fills it up, and what follows.
            let Place { row, lane, excess } = lacking.find(simd, self.given);
            this.mass = self.measure.capacity - excess;
            self.given += next.mass - self.measure.capacity;
            self.at += 1;
            // What follows in its lane: after the last row, that is nothing, and row 0 is overwritten below.
            aliases[(row + 1) % GRID_ROWS][lane] = next.token;
            last[lane] = next.token;
        }
        // A lane begins with what the lanes before it ended with; a row goes on with the row above.
        for (alias, last) in aliases[0].iter_mut().zip(last) {
            *alias = current;
            current = if last == NONE { current } else { last };
        }
        let mut above = &[NONE; BLOCK_LANES];
        for row in &mut aliases {
            for lane in 0..BLOCK_LANES {
                row[lane] = if row[lane] == NONE { above[lane] } else { row[lane] };
            }
            above = row;
        }
        aliases
    }
}

/// No token: a vocabulary is u32::MAX at most.
const NONE: u32 = u32::MAX;

/// What a build needs beside its table.
#[derive(Default)]
struct Scratch {
    /// The weights of the row, if they are not there as f32; in whole blocks.
    weights: Vec<f32>,
    heavy: Vec<Heavy>,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Level {
    /// [`AliasTable::rebuild`], on this level.
    ///
    /// # Errors
    /// Those of [`AliasTable::rebuild`].
    pub fn rebuild_alias<L: Logit>(
        self,
        table: &mut AliasTable,
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<(), RowError> {
        let logits = logits.row(row);
        let served = with_scratch(&SCRATCH, |Scratch { weights, heavy }| {
            let probs = &mut room(weights, logits.len().next_multiple_of(BLOCK), 0.0)[..logits.len()];
            let served = self.softmax_row(logits, &temperature, probs, false);
            table.build(self, served.map_or(&[], |()| probs), heavy)
        });
        served.ok_or_else(|| diagnose(row, logits))
    }

    /// [`AliasTable::rebuild_from_probs`], on this level.
    ///
    /// # Errors
    /// Those of [`AliasTable::rebuild_from_probs`].
    pub fn rebuild_alias_from_probs<L: Logit>(
        self,
        table: &mut AliasTable,
        probs: Rows<'_, L>,
        row: usize,
    ) -> Result<(), RowError> {
        let probs = probs.row(row);
        let served = with_scratch(&SCRATCH, |Scratch { weights, heavy }| {
            let wide = L::as_f32(probs).unwrap_or_else(|| {
                let wide = room(weights, probs.len().next_multiple_of(BLOCK), 0.0);
                dispatch!(self, simd => widen_row(simd, probs, wide));
                &wide[..probs.len()]
            });
            table.build(self, wide, heavy)
        });
        served.ok_or_else(|| diagnose_weights(row, probs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens of a row in the order of the sweep: block by block, lane by lane.
    fn order(len: usize) -> impl Iterator<Item = usize> {
        let of_block = |block| {
            (0..BLOCK_LANES)
                .flat_map(move |lane| (0..GRID_ROWS).map(move |row| block * BLOCK + row * BLOCK_LANES + lane))
        };
        (0..len.div_ceil(BLOCK)).flat_map(of_block).filter(move |token| *token < len)
    }

    /// Column by column, with the heavy tokens as they are collected: the textbook's sweep.
    fn sweep_one_by_one(measure: Measure, weights: &[f32], heavy: &[Heavy]) -> Vec<(f64, u32)> {
        let (mut heavy, mut at, mut given, mut used) = (heavy.to_vec(), 0, 0.0, 0.0);
        let mut columns: Vec<(f64, u32)> = (0..).zip(weights).map(|(token, _)| (0.0, token)).collect();
        given += heavy[0].mass - measure.capacity;
        for token in order(weights.len()) {
            let mass = measure.mass(weights[token]);
            if mass < measure.capacity {
                (used, columns[token]) = (used + measure.capacity - mass, (mass, heavy[at].token));
            }
            while used > given && at + 1 < heavy.len() {
                heavy[at].mass = measure.capacity + given - used;
                at += 1;
                given += heavy[at].mass - measure.capacity;
            }
        }
        for (this, next) in heavy[..at].iter().zip(&heavy[1..]) {
            columns[this.token as usize] = (this.mass, next.token);
        }
        columns
    }

    #[test]
    fn columns_are_those_of_the_sweep_one_by_one() {
        let weights: [fn(u32) -> f32; 5] = [
            |i| (i * 7919 % 1009) as f32,
            |i| if i % 50 == 7 { 90.0 } else { 1.0 },
            |i| if i % 3 == 0 { 0.0 } else { 1.5 },
            |i| (-(i as f32)).exp2(),
            |i| if i % 700 < 8 { 1.01 } else { 0.99 },
        ];
        let lens = [1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 511, 512, 513, 1000, 3000];
        for (level, weight) in Level::available().flat_map(|level| weights.map(|weight| (level, weight))) {
            for len in lens {
                let weights: Vec<f32> = (1..=len).map(weight).collect();
                let rows = Rows::new(&weights, weights.len()).expect("one row");
                let mut table = AliasTable::default();
                level.rebuild_alias_from_probs(&mut table, rows, 0).expect("servable");
                let sum = weights.iter().map(|&w| f64::from(w)).sum();
                let measure = Measure::new(table.layout.capacity(), weights.len(), sum);
                let mut heavy = vec![Heavy::default(); weights.len() + AT_ONCE];
                let count = dispatch!(level, simd => measure.collect(simd, &weights, &mut heavy));
                if count > 0 {
                    let single = sweep_one_by_one(measure, &weights, &heavy[..count]);
                    let single: Vec<u64> = single
                        .iter()
                        .map(|&(own, alias)| table.layout.column(own + TO_INTEGER, alias))
                        .collect();
                    assert_eq!(table.columns, single, "{level}, {len}");
                }
            }
        }
    }
}
