//! What the weights of a block are relative to: guessed from a few of its logits, or known from all.

use core::ops::Range;

use super::{Factor, Peak, reduce};
use crate::Logit;
use crate::blocks::{BLOCK, groups};
use crate::simd::{Simd, VECTORS};
use crate::summary::Reference;

/// If the largest weight of a block lies in this range, in powers of two, its weights are relative to 1: what
/// matters does not count as 0, and their sum stays below 2^120.
const FITTING: Range<f64> = -24.0..110.0;

/// Elsewhere exponents are multiples of this: so most blocks of a row have the same.
const STEP: f64 = 32.0;

/// If the largest of the first sixteen weights lies in this range, that of the block is likely to suit the
/// same reference. (At low temperatures, where the first lies high, the largest may lie far above it.
/// Gaussian logits of deviation 3, in L2, on an Intel Granite Rapids: `sample` takes 1.0 x the time of T =
/// 0.8 down to T = 0.17, 1.5 x at T = 0.1, 0.9 x at T = 0.05; `softmax` up to 1.5 x.)
const NEAR: Range<f64> = -512.0..64.0;

/// Below this power of two, x * lo leaves t within 2^-10 of [-1/2, 1/2].
const DIRECT_LIMIT: f64 = 16_384.0;

/// What is likely to suit a block. `None` if a guess would not do.
#[inline(always)]
pub(super) fn guess<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK], factor: &Factor) -> Option<Reference> {
    let power = f64::from(simd.reduce_max(L::load(simd, &block.as_chunks().0[0]))) * factor.exact;
    NEAR.contains(&power).then(|| of_power(power))
}

/// Whether to weigh a block for this reference: not if a weight reached 2^121, since the sum would then leave
/// [`TRUSTED`](super::TRUSTED), however it is rounded; nor if the block counts for nothing. (Out of line: at
/// ordinary temperatures no row has so high a peak.)
#[inline(never)]
pub(super) fn may_serve<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    reference: Reference,
    peak: &Peak,
) -> bool {
    simd.vectorize(
        #[inline(always)]
        || {
            let power = f64::from(maximum(simd, block)) * factor.exact;
            !peak.dwarfs(power) && power - f64::from(reference.exponent) < 121.0
        },
    )
}

/// What suits the largest logit of a block. `None` if the block need not be weighed: if it counts for nothing
/// below the peak, or if all are -inf.
///
/// Out of line: at ordinary temperatures it is rare. A maximum that is not finite, which nothing dwarfs,
/// becomes an offset: every weight, and so the sum, is then NaN.
#[inline(never)]
pub(super) fn of_maximum<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    peak: &mut Peak,
) -> Option<Reference> {
    simd.vectorize(
        #[inline(always)]
        || {
            let max = maximum(simd, block);
            let power = f64::from(max) * factor.exact;
            if peak.dwarfs(power) && is_free_of_nan(simd, block) {
                return None;
            }
            peak.raise(power);
            let direct = power.abs() < DIRECT_LIMIT;
            Some(if direct { of_power(power) } else { Reference { exponent: 0.0, offset: max } })
        },
    )
}

/// A NaN may get lost: the sum of the weights will keep it.
#[inline(always)]
fn maximum<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK]) -> f32 {
    let largest = simd.splat(f32::NEG_INFINITY);
    simd.reduce_max(fold(simd, block, largest, |a, b| simd.max(a, b)))
}

/// False if a logit is NaN. (Also if the sum of others is: then the block is weighed for nothing.)
#[inline(always)]
fn is_free_of_nan<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK]) -> bool {
    let sum = fold(simd, block, simd.splat(0.0), |a, b| simd.add(a, b));
    simd.all_not_below(sum, simd.splat(f32::NEG_INFINITY))
}

/// One vector of a block, lane by lane.
#[inline(always)]
fn fold<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    start: S::V,
    combine: impl Fn(S::V, S::V) -> S::V,
) -> S::V {
    let mut vectors = [start; VECTORS];
    for group in groups(block) {
        for i in 0..VECTORS {
            vectors[i] = combine(vectors[i], L::load(simd, &group[i]));
        }
    }
    reduce(vectors, combine)
}

/// What suits weights of which the largest is about that power of two.
#[inline(always)]
fn of_power(power: f64) -> Reference {
    let exponent =
        if FITTING.contains(&power) { 0.0 } else { ((power - FITTING.start) / STEP).floor() * STEP };
    Reference { exponent: exponent as f32, offset: 0.0 }
}
