//! The columns of an [`AliasTable`].
//!
//! ```text
//! measure:  weights to masses                        vectorised
//! collect:  the heavy tokens, whose masses are no less than the capacity
//! sweep:    light tokens in order, eight at a time while one heavy token fills them all
//! ```

use super::AliasTable;
use crate::batch::diagnose;
use crate::sample::{diagnose_weights, sum_block};
use crate::simd::{Simd, dispatch};
use crate::summary::prefetch_group;
use crate::weights::{GROUP, for_each_block};
use crate::{Level, Logit, RowError, Rows, RowsMut, Temperature};

impl AliasTable {
    /// The columns, from weights and their sum.
    #[inline(always)]
    fn fill(&mut self, weights: &[f32], sum: f64) {
        self.bits = usize::BITS - (weights.len() - 1).leading_zeros();
        self.measure(weights, sum);
        let heavy = self.collect_heavy();
        self.sweep(heavy);
    }

    /// The masses, rounded down, in place of the columns; the largest takes up the rest.
    #[inline(always)]
    fn measure(&mut self, weights: &[f32], sum: f64) {
        const PART: usize = 256;
        let total = self.capacity() * weights.len() as u64;
        let scale = total as f64 / sum;
        self.columns.resize(weights.len(), 0);
        let (mut sum, mut largest, mut place) = (0_u64, 0, 0);
        let parts = self.columns.chunks_mut(PART).zip(weights.chunks(PART));
        for (part, (masses, weights)) in parts.enumerate() {
            let mut most = 0;
            for (mass, &w) in masses.iter_mut().zip(weights) {
                *mass = floor(f64::from(w) * scale);
                sum = sum.wrapping_add(*mass);
                most = most.max(*mass);
            }
            if most > largest {
                (largest, place) = (most, part * PART);
            }
        }
        if let Some(mass) = self.columns[place..].iter_mut().find(|mass| **mass == largest) {
            *mass = mass.wrapping_add(total.wrapping_sub(sum));
        }
    }

    /// The tokens whose masses are no less than the capacity. Returns how many.
    #[inline(always)]
    fn collect_heavy(&mut self) -> usize {
        let (capacity, mut count) = (self.capacity(), 0);
        self.heavy.resize(self.columns.len() + 1, Heavy::default());
        let heavy = self.heavy.as_mut_slice();
        let (parts, rest) = self.columns.as_chunks::<PART>();
        for (first, part) in (0..).step_by(PART).zip(parts) {
            // A mass below the capacity leaves the upmost bit set.
            if part.iter().fold(u64::MAX, |all, mass| all & mass.wrapping_sub(capacity)) >> 63 == 0 {
                count = collect(heavy, count, capacity, first, part);
            }
        }
        collect(heavy, count, capacity, (parts.len() * PART) as u32, rest)
    }

    /// Fills the columns: light tokens in order, each with the heavy one at hand.
    #[inline(always)]
    fn sweep(&mut self, count: usize) {
        let (capacity, shift) = (self.capacity(), self.bits + 2);
        let Some(mut pour) = Pour::new(&mut self.heavy[..count], capacity, shift) else { return };
        let (parts, rest) = self.columns.as_chunks_mut::<PART>();
        for part in parts {
            let wanted = part.iter().fold(0, |sum, mass| sum + capacity.saturating_sub(*mass));
            if pour.used + wanted <= pour.given {
                pour.used += wanted;
                for mass in part {
                    *mass = *mass << shift | pour.alias;
                }
            } else {
                pour.fill(part);
            }
        }
        pour.fill(rest);
        let left = pour.at;
        for (index, heavy) in self.heavy[..count].iter().enumerate() {
            // No light one is left, so the heavy ones that are come out even.
            self.columns[heavy.token as usize] =
                if index < left { heavy.column } else { u64::from(heavy.token) };
        }
    }
}

/// Rounds a number from 0 to below 2^63 down. (`as` would not be vectorised: it heeds numbers beyond.)
#[inline(always)]
fn floor(x: f64) -> u64 {
    let (bits, places) = (x.to_bits() << 11 | 1 << 63, 1086 - (x.to_bits() >> 52 & 0x7ff));
    if places < 64 { bits >> places } else { 0 }
}

/// Tokens looked at together.
const PART: usize = 8;

/// A token whose mass is no less than the capacity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heavy {
    token: u32,
    /// Its mass, at first.
    column: u64,
}

/// Adds the heavy ones of some tokens, the first of which is given; returns how many there are then. (All are
/// written: no branch depends on their masses.)
#[inline(always)]
fn collect(heavy: &mut [Heavy], mut count: usize, capacity: u64, first: u32, masses: &[u64]) -> usize {
    for (token, &mass) in (first..).zip(masses) {
        heavy[count] = Heavy { token, column: mass };
        count += usize::from(mass >= capacity);
    }
    count
}

/// The heavy tokens, while they fill up light ones.
struct Pour<'a> {
    heavy: &'a mut [Heavy],
    capacity: u64,
    shift: u32,
    /// The heavy one at hand, and its token.
    at: usize,
    alias: u64,
    /// Above the capacity, in all heavy ones through that at hand.
    given: u64,
    /// Below the capacity, in all light ones so far.
    used: u64,
}

impl<'a> Pour<'a> {
    fn new(heavy: &'a mut [Heavy], capacity: u64, shift: u32) -> Option<Self> {
        let first = *heavy.first()?;
        let (alias, given) = (u64::from(first.token), first.column - capacity);
        Some(Self { heavy, capacity, shift, at: 0, alias, given, used: 0 })
    }

    /// Masses become columns, one by one. (Those of the heavy ones are overwritten in the end.)
    #[inline(always)]
    fn fill(&mut self, masses: &mut [u64]) {
        for mass in masses {
            self.used += self.capacity.saturating_sub(*mass);
            *mass = *mass << self.shift | self.alias;
            while self.used > self.given {
                // The heavy one has become light itself: the next fills it up.
                let own = (self.capacity + self.given - self.used) << self.shift;
                let Some(&next) = self.heavy.get(self.at + 1) else { return };
                self.heavy[self.at].column = own | u64::from(next.token);
                self.at += 1;
                self.alias = u64::from(next.token);
                self.given += next.column - self.capacity;
            }
        }
    }
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
        let mut probs = core::mem::take(&mut table.probs);
        probs.resize(logits.len(), 0.0);
        let failed = Rows::new(logits, logits.len()).and_then(|logits| {
            self.softmax(logits, &[temperature], &mut RowsMut::new(&mut probs, logits.vocab())?)
        });
        let result = match failed {
            Ok(failed) if failed.is_empty() => Rows::new(&probs, probs.len())
                .map_or(Err(RowError::NothingToDraw { row }), |probs| {
                    self.rebuild_alias_from_probs(table, probs, 0)
                }),
            _ => {
                table.columns.clear();
                Err(diagnose(row, logits))
            }
        };
        table.probs = probs;
        result
    }

    /// [`AliasTable::rebuild_from_probs`], on this level.
    ///
    /// # Errors
    /// As there.
    pub fn rebuild_alias_from_probs(
        self,
        table: &mut AliasTable,
        probs: Rows<'_>,
        row: usize,
    ) -> Result<(), RowError> {
        let probs = probs.row(row);
        let sum = dispatch!(self, simd => sum_row(simd, probs));
        if sum > 0.0 && sum < f64::INFINITY {
            dispatch!(self, _simd => table.fill(probs, sum));
            Ok(())
        } else {
            table.columns.clear();
            Err(diagnose_weights(row, probs))
        }
    }
}

/// The sum of weights in f64; NaN if one is negative or NaN.
#[inline(always)]
fn sum_row<S: Simd>(simd: S, row: &[f32]) -> f64 {
    let mut sum = 0.0;
    for_each_block(
        row,
        0.0,
        #[inline(always)]
        |start, block| {
            sum += sum_block(
                simd,
                block,
                #[inline(always)]
                |group| prefetch_group(simd, row, start + group * GROUP),
            );
        },
    );
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight at a time or one by one, columns come out the same.
    #[test]
    fn parts_are_filled_as_single_columns_are() {
        let weights: [fn(u32) -> f32; 4] = [
            |i| (i * 7919 % 1009) as f32,
            |i| if i % 50 == 7 { 90.0 } else { 1.0 },
            |i| if i % 3 == 0 { 0.0 } else { 1.5 },
            |i| (-(i as f32)).exp2(),
        ];
        for (weight, len) in weights.iter().flat_map(|weight| [3, 8, 9, 100, 1000].map(|len| (weight, len))) {
            let weights: Vec<f32> = (1..=len).map(weight).collect();
            let mut table = AliasTable {
                bits: usize::BITS - (weights.len() - 1).leading_zeros(),
                ..AliasTable::default()
            };
            table.measure(&weights, weights.iter().map(|&w| f64::from(w)).sum());
            let (masses, count) = (table.columns.clone(), table.collect_heavy());
            let (mut single, mut heavy) = (masses.clone(), table.heavy[..count].to_vec());
            let (capacity, shift) = (table.capacity(), table.bits + 2);
            Pour::new(&mut heavy, capacity, shift).expect("a heavy token").fill(&mut single);
            table.sweep(count);
            let columns = |heavy: &[Heavy]| heavy.iter().map(|heavy| heavy.column).collect::<Vec<_>>();
            assert_eq!(columns(&heavy), columns(&table.heavy[..count]), "{len}");
            for (token, &mass) in masses.iter().enumerate() {
                assert!(mass >= capacity || single[token] == table.columns[token], "{len}: {token}");
            }
        }
    }
}
