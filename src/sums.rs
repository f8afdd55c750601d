//! Sums inside a block: of its groups, and of their vectors.
//!
//! Weights of logits are added up lane by lane as they are computed, eight in each, in f32 (weights.rs). What
//! is summed here is summed in f64: these lanes, vectors, and weights that were given, which may be as large
//! as f32 can hold. (Not in [`max_and_sum`], whose sums are only asked whether they are numbers.)

use crate::Logit;
use crate::blocks::{BLOCK, GROUPS, Group, for_each_block, groups};
use crate::prefetch::at_groups;
use crate::simd::{Line, Simd, VECTORS};

/// The sums of the groups of a block, lane by lane: what a pass keeps.
pub(crate) type LaneSums = [Line; GROUPS];

/// What keeps them, called with each group.
#[inline(always)]
pub(crate) fn keep<S: Simd>(simd: S, lane_sums: &mut [Line]) -> impl FnMut(usize, S::V) {
    #[inline(always)]
    move |group, lanes| simd.store(lanes, lane_sums[group].as_mut_array())
}

/// The sums of the groups, from those of their lanes.
#[inline(always)]
pub(crate) fn sum_lanes<S: Simd>(simd: S, lane_sums: &LaneSums) -> [f64; GROUPS] {
    simd.reduce_add_four(bytemuck::must_cast_ref(lane_sums))
}

/// The sums of the vectors of a group.
#[inline(always)]
pub(crate) fn sum_vectors<S: Simd>(simd: S, weights: &Group<f32>) -> [f64; VECTORS] {
    let mut sums = [0.0; VECTORS];
    for (sums, vectors) in sums.as_chunks_mut().0.iter_mut().zip(weights.as_chunks().0) {
        *sums = simd.reduce_add_four(vectors);
    }
    sums
}

/// The sum of given weights: NaN if one is negative or NaN, infinite if one is. `loaded` is called with the
/// number of each group. (The least of them says whether one is negative. Each compared with 0 by itself,
/// `sample_from_probs` takes 1.25 x the time in L2 on an Intel Granite Rapids; with AVX2 1.9 x.)
#[inline(always)]
pub(crate) fn sum_block<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    mut loaded: impl FnMut(usize),
) -> f64 {
    let zero = simd.splat(0.0);
    let (mut sum, mut least) = (simd.widen(zero), zero);
    for (number, group) in groups(block).iter().enumerate() {
        for vector in group {
            let w = L::load(simd, vector);
            // In this order, a NaN leaves `least`: the sum keeps it.
            least = simd.min(w, least);
            sum = simd.add_wide(sum, simd.widen(w));
        }
        loaded(number);
    }
    if !simd.all_not_below(least, zero) {
        return f64::NAN;
    }
    simd.reduce_add_wide(sum)
}

/// The sums of the groups of given weights.
#[inline(always)]
pub(crate) fn sum_groups<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK]) -> [f64; GROUPS] {
    let mut sums = [0.0; GROUPS];
    for (sum, group) in sums.iter_mut().zip(groups(block)) {
        let mut lanes = simd.widen(simd.splat(0.0));
        for vector in group {
            lanes = simd.add_wide(lanes, simd.widen(L::load(simd, vector)));
        }
        *sum = simd.reduce_add_wide(lanes);
    }
    sums
}

/// The largest logits of a block and their sums, lane by lane: a maximum may lose a NaN, a sum keeps it.
/// `loaded` is called with the number of each group.
#[inline(always)]
pub(crate) fn max_and_sum<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    loaded: impl Fn(usize),
) -> (S::V, S::V) {
    // In flight: enough to hide their latency, and few enough for the registers of AVX2. (Where four sums were
    // spilled, the row took four times as long.)
    let (mut maxima, mut sums) = ([simd.splat(f32::NEG_INFINITY); 4], [simd.splat(0.0); 2]);
    for (number, group) in groups(block).iter().enumerate() {
        for (i, vector) in group.iter().enumerate() {
            let x = L::load(simd, vector);
            maxima[i % 4] = simd.max(maxima[i % 4], x);
            sums[i % 2] = simd.add(sums[i % 2], x);
        }
        loaded(number);
    }
    let ([a, b, c, d], [e, f]) = (maxima, sums);
    (simd.max(simd.max(a, b), simd.max(c, d)), simd.add(e, f))
}

/// The sum of a row of given weights, as that of a block.
#[inline(always)]
pub(crate) fn sum_row<S: Simd, L: Logit>(simd: S, row: &[L]) -> f64 {
    let mut sum = 0.0;
    for_each_block(
        row,
        L::ZERO,
        #[inline(always)]
        |start, block| {
            sum += sum_block(simd, block, at_groups::<false, _, _>(simd, row, start, simd.ahead()));
        },
    );
    sum
}
