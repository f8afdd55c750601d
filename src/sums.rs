//! Sums inside a block: of its groups, and of their lanes.
//!
//! Weights of logits are added up lane by lane as they are computed, eight in each, in f32 (weights.rs). What
//! is summed here is summed in f64: these lanes, and weights that were given, which may be as large as f32
//! can hold. (Not in [`max_and_sum`], whose sums are only asked whether they are numbers below infinity.)

use crate::Logit;
use crate::blocks::{BLOCK, GROUPS, for_each_block, groups};
use crate::prefetch::at_groups;
use crate::simd::{Line, Simd};

/// What a pass tells of its sums: the number of a group or a block, and its lanes.
pub(crate) enum Sums<S: Simd> {
    OfGroup(usize, S::V),
    OfBlock(usize, S::D),
}

impl<S: Simd> Sums<S> {
    /// Numbers that count from so many blocks before.
    #[inline(always)]
    pub(crate) fn after(self, blocks: usize) -> Self {
        match self {
            Self::OfGroup(group, lanes) => Self::OfGroup(blocks * GROUPS + group, lanes),
            Self::OfBlock(block, lanes) => Self::OfBlock(blocks + block, lanes),
        }
    }
}

/// The sums of the groups of a block, lane by lane.
pub(crate) type LaneSums = [Line; GROUPS];

/// Stores the lanes of each group in `lane_sums`.
#[inline(always)]
pub(crate) fn keep<S: Simd>(simd: S, lane_sums: &mut LaneSums) -> impl FnMut(Sums<S>) {
    #[inline(always)]
    move |sums| {
        if let Sums::OfGroup(group, lanes) = sums {
            simd.store(lanes, lane_sums[group].as_mut_array());
        }
    }
}

/// The sums of the groups, from those of their lanes.
#[inline(always)]
pub(crate) fn sum_lanes<S: Simd>(simd: S, lane_sums: &LaneSums) -> [f64; GROUPS] {
    simd.reduce_add_four(bytemuck::must_cast_ref(lane_sums))
}

/// The sums of the lanes of given weights; all of them NaN if a weight is negative. `loaded` is called with
/// the number of each group. (The least of them says whether one is negative. Each compared with 0 by itself,
/// `sample_from_probs` takes 1.25 x the time in L2 on an Intel Granite Rapids; with AVX2 1.9 x.)
#[inline(always)]
pub(crate) fn sum_block<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    mut loaded: impl FnMut(usize),
) -> S::D {
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
    if simd.all_not_below(least, zero) { sum } else { simd.widen(simd.splat(f32::NAN)) }
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
            let lanes = sum_block(simd, block, at_groups::<false, _, _>(simd, row, start, simd.ahead()));
            sum += simd.reduce_add_wide(lanes);
        },
    );
    sum
}
