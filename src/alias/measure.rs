//! Weights to masses: the integers that columns are filled with.

use super::TO_INTEGER;
use crate::blocks::for_each_block;
use crate::simd::{LANES, Simd};

/// A token whose mass is no less than the capacity, at first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heavy {
    pub(super) token: u32,
    pub(super) mass: f64,
}

/// Weights to masses. Those of a row are 2^51 or less together, so f64 holds them and their sums exactly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// The mass of a column.
    pub(super) capacity: f64,
    factor: f64,
}

impl Measure {
    /// For `len` weights of this sum.
    pub(super) fn new(capacity: f64, len: usize, sum: f64) -> Self {
        Self { capacity, factor: capacity * (len as f64 / sum) }
    }

    /// Rounded down (a half is taken off before rounding to the nearest: so an odd integer loses one).
    #[inline(always)]
    pub(super) fn mass(self, weight: f32) -> f64 {
        self.raised_mass(weight) - TO_INTEGER
    }

    /// The mass, and [`TO_INTEGER`].
    #[inline(always)]
    pub(super) fn raised_mass(self, weight: f32) -> f64 {
        f64::from(weight) * self.factor - 0.5 + TO_INTEGER
    }

    /// The heavy tokens of a row, the largest of them last: it takes up what rounding left of all. Returns
    /// how many.
    #[inline(always)]
    pub(super) fn collect<S: Simd>(self, simd: S, weights: &[f32], heavy: &mut [Heavy]) -> usize {
        let least = simd.splat(self.least_heavy());
        let (mut count, mut most, mut largest) = (0, 0.0, 0);
        for_each_block(
            weights,
            0.0,
            #[inline(always)]
            |start, block| {
                for (vectors, first) in block.as_chunks::<LANES>().0.chunks(4).zip((0..).step_by(4 * LANES)) {
                    // A bit for each of 64 tokens: so the loop over those ends unforeseen only once.
                    let mut tokens = 0_u64;
                    for vector in vectors.iter().rev() {
                        let lanes = simd.lanes_not_below(simd.load(vector), least);
                        tokens = tokens << LANES | u64::from(lanes);
                    }
                    while tokens != 0 {
                        let place = first + tokens.trailing_zeros() as usize;
                        let (token, mass) = ((start + place) as u32, self.mass(block[place]));
                        heavy[count] = Heavy { token, mass };
                        (most, largest) = if mass > most { (mass, count) } else { (most, largest) };
                        count += 1;
                        tokens &= tokens - 1;
                    }
                }
            },
        );
        heavy.swap(largest, count.saturating_sub(1));
        count
    }

    /// The least weight of a heavy token: near the mean.
    fn least_heavy(self) -> f32 {
        let mut weight = (self.capacity / self.factor) as f32;
        while self.mass(weight) < self.capacity {
            weight = weight.next_up();
        }
        while self.mass(weight.next_down()) >= self.capacity {
            weight = weight.next_down();
        }
        weight
    }
}
