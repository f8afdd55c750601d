//! The columns of an [`AliasTable`].
//!
//! ```text
//! collect:  the heavy tokens, whose masses are no less than the capacity
//! sweep:    all tokens in order, eight at a time, as if the heavy one at hand filled them all; where it cannot, it
//!           has become light itself: from there on they are filled again, by the next
//! ```

use core::cell::Cell;

use super::measure::{Heavy, Measure};
use super::{AliasTable, Scale};
use crate::blocks::{BLOCK, widen_row};
use crate::check::{diagnose, diagnose_weights};
use crate::scratch::{room, with_scratch};
use crate::simd::{Simd, VECTORS, dispatch};
use crate::sums::sum_row;
use crate::{Level, Logit, RowError, Rows, RowsMut, Temperature};

impl AliasTable {
    /// False, and an empty table, if the weights cannot be drawn from.
    fn build(&mut self, level: Level, weights: &[f32], heavy: &mut Vec<Heavy>) -> bool {
        let sum = dispatch!(level, simd => sum_row(simd, weights));
        let served = sum > 0.0 && sum < f64::INFINITY;
        if served {
            let heavy = room(heavy, weights.len(), Heavy::default());
            dispatch!(level, simd => self.fill(simd, weights, sum, heavy));
        } else {
            self.columns.clear();
        }
        served
    }

    /// The columns, from weights and their sum. `heavy` has room for all tokens.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, weights: &[f32], sum: f64, heavy: &mut [Heavy]) {
        self.scale = Scale::new(weights.len());
        let measure = Measure::new(self.scale.capacity(), weights.len(), sum);
        let count = measure.collect(simd, weights, heavy);
        // (Eight columns are written at a time, from wherever one is filled.)
        self.columns.resize(weights.len() + 2 * VECTORS, 0);
        match &mut heavy[..count] {
            // The largest was rounded down to less than the mean: all weigh the same.
            [] => self.columns.iter_mut().zip(0..).for_each(|(column, token)| *column = token),
            heavy => {
                let (alias, given) = (heavy[0].token, heavy[0].mass - measure.capacity);
                let mut pour = Pour { scale: self.scale, measure, heavy, at: 0, alias, given };
                pour.sweep(simd, weights, &mut self.columns);
            }
        }
        self.columns.truncate(weights.len());
    }
}

/// The heavy tokens, while they fill up light ones.
struct Pour<'a> {
    scale: Scale,
    measure: Measure,
    heavy: &'a mut [Heavy],
    /// The heavy one at hand, and its token.
    at: usize,
    alias: u32,
    /// What the heavy ones through that at hand have above their capacities, together.
    given: f64,
}

impl Pour<'_> {
    /// Fills the columns.
    #[inline(always)]
    fn sweep<S: Simd>(&mut self, simd: S, weights: &[f32], columns: &mut [u64]) {
        let (mut masses, mut through, mut used) = ([0.0; BLOCK + VECTORS], [0.0; BLOCK / VECTORS], 0.0);
        for (weights, block) in weights.chunks(BLOCK).zip(0..) {
            for (mass, &weight) in masses.iter_mut().zip(weights) {
                *mass = self.measure.mass(weight);
            }
            masses[weights.len()..].fill(self.measure.capacity);
            used = self.sum_lacking(simd, &masses, &mut through, used);
            let columns = &mut columns[block * BLOCK..];
            for (part, &used) in through[..weights.len().div_ceil(VECTORS)].iter().enumerate() {
                let start = part * VECTORS;
                // (Where they do not fit the second-level cache, the table takes 0.92 x the time of not
                // asking.)
                simd.prefetch(columns, start + BLOCK);
                self.fill(&masses[start..], &mut columns[start..]);
                if used > self.given {
                    self.change(simd, used, &masses[start..], &mut columns[start..]);
                }
            }
        }
        for (index, heavy) in self.heavy.iter().enumerate() {
            // No light one is left, so the heavy ones that are come out even.
            let own = if index < self.at { heavy.mass } else { 0.0 };
            columns[heavy.token as usize] = self.scale.column(own, heavy.alias);
        }
    }

    /// What light ones lack, through each part of a block; before it they lacked `used`. (All sums are exact,
    /// so in any order.)
    #[inline(always)]
    fn sum_lacking<S: Simd>(
        &self,
        simd: S,
        masses: &[f64; BLOCK + VECTORS],
        through: &mut [f64; BLOCK / VECTORS],
        mut used: f64,
    ) -> f64 {
        for (through, masses) in through.iter_mut().zip(masses.as_chunks().0) {
            let (mut lacking, mut half) = (self.measure.lacking(masses), VECTORS / 2);
            while half > 0 {
                for i in 0..half {
                    lacking[i] += lacking[i + half];
                }
                half /= 2;
            }
            *through = lacking[0];
        }
        for eight in through.as_chunks_mut().0 {
            *eight = simd.prefix_sums(*eight);
            for through in &mut *eight {
                *through += used;
            }
            used = eight[VECTORS - 1];
        }
        used
    }

    /// The next columns, as if the heavy one at hand filled them all. (Those of heavy ones are overwritten in
    /// the end.)
    #[inline(always)]
    fn fill(&self, masses: &[f64], columns: &mut [u64]) {
        if let (Some(masses), Some(columns)) =
            (masses.first_chunk::<VECTORS>(), columns.first_chunk_mut::<VECTORS>())
        {
            for i in 0..VECTORS {
                columns[i] = self.scale.column(masses[i], self.alias);
            }
        }
    }

    /// The heavy one at hand becomes light itself in the next part, and the next fills it up, and so on.
    /// Through this part, light ones lack `used`.
    #[inline(never)]
    fn change<S: Simd>(&mut self, simd: S, used: f64, masses: &[f64], columns: &mut [u64]) {
        simd.vectorize(
            #[inline(always)]
            || {
                let (Some(part), capacity) = (masses.first_chunk(), self.measure.capacity) else { return };
                let mut through = simd.prefix_sums(self.measure.lacking(part));
                let before = used - through[VECTORS - 1];
                for through in &mut through {
                    *through += before;
                }
                while used > self.given {
                    // (The last one takes what the others left: rounding.)
                    let Some(&next) = self.heavy.get(self.at + 1) else { return };
                    let last = simd.count_not_above(&through, self.given);
                    let own = capacity + self.given - through[last];
                    self.heavy[self.at] = Heavy { mass: own, alias: next.token, ..self.heavy[self.at] };
                    self.given += next.mass - capacity;
                    (self.at, self.alias) = (self.at + 1, next.token);
                    self.fill(&masses[last + 1..], &mut columns[last + 1..]);
                }
            },
        );
    }
}

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
    /// As there.
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
            let failed = Rows::new(logits, logits.len()).and_then(|logits| {
                self.softmax(logits, &[temperature], &mut RowsMut::new(probs, logits.vocab())?)
            });
            table.build(self, if failed.is_ok_and(|failed| failed.is_empty()) { probs } else { &[] }, heavy)
        });
        if served { Ok(()) } else { Err(diagnose(row, logits)) }
    }

    /// [`AliasTable::rebuild_from_probs`], on this level.
    ///
    /// # Errors
    /// As there.
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
        if served { Ok(()) } else { Err(diagnose_weights(row, probs)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Column by column, with the heavy tokens as they are collected: the textbook's sweep.
    fn sweep_one_by_one(measure: Measure, weights: &[f32], heavy: &[Heavy]) -> Vec<(f64, u32)> {
        let (mut heavy, mut at, mut given, mut used) = (heavy.to_vec(), 0, 0.0, 0.0);
        let mut columns: Vec<(f64, u32)> = (0..).zip(weights).map(|(token, _)| (0.0, token)).collect();
        given += heavy[0].mass - measure.capacity;
        for (column, &weight) in columns.iter_mut().zip(weights) {
            let mass = measure.mass(weight);
            if mass < measure.capacity {
                (used, *column) = (used + measure.capacity - mass, (mass, heavy[at].token));
            }
            while used > given && at + 1 < heavy.len() {
                heavy[at] =
                    Heavy { mass: measure.capacity + given - used, alias: heavy[at + 1].token, ..heavy[at] };
                at += 1;
                given += heavy[at].mass - measure.capacity;
            }
        }
        heavy[..at].iter().for_each(|heavy| columns[heavy.token as usize] = (heavy.mass, heavy.alias));
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
                let Ok(rows) = Rows::new(&weights, weights.len()) else { continue };
                let mut table = AliasTable::default();
                if level.rebuild_alias_from_probs(&mut table, rows, 0).is_err() {
                    continue;
                }
                let sum = weights.iter().map(|&w| f64::from(w)).sum();
                let measure = Measure::new(table.scale.capacity(), weights.len(), sum);
                let mut heavy = vec![Heavy::default(); weights.len()];
                let count = dispatch!(level, simd => measure.collect(simd, &weights, &mut heavy));
                if count > 0 {
                    let single = sweep_one_by_one(measure, &weights, &heavy[..count]);
                    let single: Vec<u64> =
                        single.iter().map(|&(own, alias)| table.scale.column(own, alias)).collect();
                    assert_eq!(table.columns, single, "{level}, {len}");
                }
            }
        }
    }
}
