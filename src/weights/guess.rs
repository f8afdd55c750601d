//! What the weights of a block are relative to: guessed from a few of its logits, or known from all.

use core::ops::Range;

use super::{Factor, Peak, TRUSTED};
use crate::Logit;
use crate::blocks::BLOCK;
use crate::math::power_of_two;
use crate::simd::{Simd, UNIT};
use crate::summary::Reference;
use crate::sums::max_and_sum;

/// If the largest weight of a block lies in this range, in powers of two, its weights are relative to 1: what
/// matters does not count as 0, and 512 of them can be trusted.
const FITTING: Range<f64> = -24.0..108.0;
const _: () = assert!(512.0 * UNIT * power_of_two(FITTING.end) <= 0.999 * TRUSTED.end);
const _: () = assert!(UNIT * power_of_two(FITTING.start) >= 1.001 * TRUSTED.start);

/// A weight of this power of two, or more, makes a sum that cannot be trusted, however it is rounded.
const TOO_HIGH: f64 = 118.0;
const _: () = assert!(UNIT * power_of_two(TOO_HIGH) >= 1.001 * TRUSTED.end);

/// Elsewhere exponents are multiples of this: so most blocks of a row have the same.
const STEP: f64 = 32.0;

/// If the largest of the first sixteen weights lies in this range, that of the block is likely to suit the
/// same reference. (At low temperatures, where the first lies high, the largest may lie far above it.
/// Gaussian logits of deviation 3, in L2, on an Intel Granite Rapids: `sample` takes 1.0 x the time of T =
/// 0.8 down to T = 0.17, 1.5 x at T = 0.1, 0.9 x at T = 0.05; `softmax` up to 1.5 x.)
const NEAR: Range<f64> = -512.0..64.0;

/// Below this power of two, x * lo leaves t within 2^-10 of [-1/2, 1/2].
const DIRECT_LIMIT: f64 = 16_384.0;

/// In place of a guess where there is none: it serves no weight.
pub(super) const NO_GUESS: Reference = Reference { exponent: f32::NEG_INFINITY, offset: 0.0 };

/// What is likely to suit a block. `None` if a guess would not do.
#[inline(always)]
pub(super) fn guess<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK], factor: &Factor) -> Option<Reference> {
    let power = f64::from(simd.reduce_max(L::load(simd, &block.as_chunks().0[0]))) * factor.exact;
    NEAR.contains(&power).then(|| of_power(power))
}

/// Where the largest of a block's first sixteen logits lies in this range, the guess is 1. (It is a thousandth
/// narrower than it might be, so that it does not matter how its ends are rounded.)
pub(super) fn plain_firsts(factor: &Factor) -> Range<f32> {
    let [start, end] = [FITTING.start, NEAR.end].map(|power| (0.999 * power / factor.exact) as f32);
    start..end
}

/// No sum of a block is too high if its logits are not above this.
pub(super) fn highest_plain(factor: &Factor) -> f32 {
    (0.999 * FITTING.end / factor.exact) as f32
}

/// What suits the largest logit of a block: the guess, unless a weight would be [`TOO_HIGH`]. `None` if the
/// block need not be weighed: if it counts for nothing below the peak, or if all are -inf.
///
/// Out of line: at ordinary temperatures it is rare. A maximum of +inf becomes an offset: that logit weighs
/// NaN (inf - inf), and so does the sum. A NaN does so with any.
#[inline(never)]
pub(super) fn of_maximum<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    guessed: Reference,
    peak: &mut Peak,
) -> Option<Reference> {
    simd.vectorize(
        #[inline(always)]
        || {
            let (max, sum) = max_and_sum(simd, block, |_| ());
            let max = simd.reduce_max(max);
            let power = f64::from(max) * factor.exact;
            // (Not if their sum is NaN: that may have been lost in the maximum.)
            if peak.dwarfs(power) && simd.all_not_below(sum, simd.splat(f32::NEG_INFINITY)) {
                return None;
            }
            peak.raise(power);
            let (serves, direct) =
                (power - f64::from(guessed.exponent) < TOO_HIGH, power.abs() < DIRECT_LIMIT);
            Some(if serves {
                guessed
            } else if direct {
                of_power(power)
            } else {
                Reference { exponent: 0.0, offset: max }
            })
        },
    )
}

/// What suits weights of which the largest is about that power of two.
#[inline(always)]
fn of_power(power: f64) -> Reference {
    let exponent =
        if FITTING.contains(&power) { 0.0 } else { ((power - FITTING.start) / STEP).floor() * STEP };
    Reference { exponent: exponent as f32, offset: 0.0 }
}
