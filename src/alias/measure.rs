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

/// Heavy tokens that are written down at once, however many there are: what is too much is overwritten. (By
/// one at a time, the CPU cannot foresee where that ends: of 128,256 tokens at T = 0.8, 1.1 x the time.)
pub(super) const AT_ONCE: usize = 3;

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
    /// how many. `heavy` has room for all tokens, and [`AT_ONCE`] more.
    #[inline(always)]
    pub(super) fn collect<S: Simd>(self, simd: S, weights: &[f32], heavy: &mut [Heavy]) -> usize {
        let least = simd.splat(self.least_heavy());
        let (mut count, mut max) = (0, simd.splat(0.0));
        for_each_block(
            weights,
            0.0,
            #[inline(always)]
            |start, block| {
                for (vectors, first) in block.as_chunks::<LANES>().0.chunks(4).zip((0..).step_by(4 * LANES)) {
                    // A bit for each of 64 tokens.
                    let mut tokens = 0_u64;
                    for vector in vectors.iter().rev() {
                        let weights = simd.load(vector);
                        let lanes = simd.lanes_not_below(weights, least);
                        tokens = tokens << LANES | u64::from(lanes);
                        max = simd.max(max, weights);
                    }
                    while tokens != 0 {
                        let end = count + AT_ONCE.min(tokens.count_ones() as usize);
                        for room in &mut heavy[count..][..AT_ONCE] {
                            let place = first + tokens.trailing_zeros() as usize % 64;
                            *room = Heavy { token: (start + place) as u32, mass: self.mass(block[place]) };
                            tokens &= tokens.wrapping_sub(1);
                        }
                        count = end;
                    }
                }
            },
        );
        let most = self.mass(simd.reduce_max(max));
        let largest = heavy[..count].iter().position(|heavy| heavy.mass == most).unwrap_or_default();
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
