//! Rows of logits or of weights, for what draws from either.

use core::ops::Range;

use crate::blocks::{BLOCK, GROUPS, Lane, widen, widen_block};
use crate::check::{diagnose, diagnose_weights};
use crate::simd::Simd;
use crate::summary::{Reference, Summary};
use crate::sums::{LaneSums, Sums, sum_block, sum_groups, sum_lanes};
use crate::weights::{Factor, Peak, weigh_block, weigh_lane, weigh_runs};
use crate::{Logit, RowError};

/// Where the weights of a row of `L` come from.
pub(crate) trait Source<L: Logit>: Copy {
    /// What stands for a token that weighs nothing: where a row is filled up, or a token was taken.
    fn padding(self) -> L;
    /// Why a row could not be served.
    fn diagnose(self, index: usize, row: &[L]) -> RowError;
    /// What the references of blocks are compared by.
    fn factor(&self) -> &Factor;
    /// A block of which less than this is left may get a better reference by being weighed again.
    fn reweigh_below(self) -> f64;
    /// The weights of a block, and its summary. `loaded` is called with the number of each group, `summed`
    /// with the sums of the block (number 0) and, where [`Source::sums`] will want to know them, of its
    /// groups, as in `weights.rs`. `peak` goes from block to block. Unless `STORE`, `weights` is left with
    /// anything.
    fn weigh<const STORE: bool, S: Simd>(
        self,
        simd: S,
        block: &[L; BLOCK],
        peak: &mut Peak,
        weights: &mut [f32; BLOCK],
        loaded: impl FnMut(usize),
        summed: impl FnMut(Sums<S>),
    ) -> Summary;
    /// Weighs the first blocks of a row in runs, as many as can be, and appends their summaries (after an
    /// empty one, if the first block is left out) to `summaries`, which is empty. Returns which part of the
    /// row they are. `weighed` gets the numbers of each group and of a vector in it, and its weights, in order,
    /// `summed` the sums of groups and blocks. They may be told of some blocks behind that part, too; what they
    /// are told later counts.
    #[inline(always)]
    fn weigh_runs<S: Simd>(
        self,
        _simd: S,
        _row: &[L],
        _summaries: &mut Vec<Summary>,
        _weighed: impl FnMut(usize, usize, S::V),
        _summed: impl FnMut(Sums<S>),
    ) -> Range<usize> {
        0..0
    }
    /// The sums of the groups of a block, given what was kept.
    fn sums<S: Simd>(self, simd: S, block: &[L; BLOCK], lane_sums: &LaneSums) -> [f64; GROUPS];
    /// The weights of a lane, for a reference.
    fn weigh_lane<S: Simd>(self, simd: S, lane: &Lane<L>, reference: Reference, weights: &mut Lane<f32>);
}

/// Logits at a temperature.
#[derive(Clone, Copy)]
pub(crate) struct Softmax<'a>(pub(crate) &'a Factor);

impl<L: Logit> Source<L> for Softmax<'_> {
    fn padding(self) -> L {
        L::NEG_INFINITY
    }

    fn diagnose(self, index: usize, row: &[L]) -> RowError {
        diagnose(index, row)
    }

    fn factor(&self) -> &Factor {
        self.0
    }

    /// What counts as 0, of 512 weights each below 2^-116.9, is at most 2^-52.9 of this: as much as a
    /// rounding or two in f64.
    fn reweigh_below(self) -> f64 {
        1.0 / (1_u64 << 55) as f64
    }

    #[inline(always)]
    fn weigh<const STORE: bool, S: Simd>(
        self,
        simd: S,
        block: &[L; BLOCK],
        peak: &mut Peak,
        weights: &mut [f32; BLOCK],
        loaded: impl FnMut(usize),
        summed: impl FnMut(Sums<S>),
    ) -> Summary {
        weigh_block::<STORE, _, _>(simd, block, self.0, peak, weights, loaded, summed)
    }

    #[inline(always)]
    fn weigh_runs<S: Simd>(
        self,
        simd: S,
        row: &[L],
        summaries: &mut Vec<Summary>,
        weighed: impl FnMut(usize, usize, S::V),
        summed: impl FnMut(Sums<S>),
    ) -> Range<usize> {
        weigh_runs(simd, row, self.0, summaries, weighed, summed)
    }

    #[inline(always)]
    fn sums<S: Simd>(self, simd: S, _: &[L; BLOCK], lane_sums: &LaneSums) -> [f64; GROUPS] {
        sum_lanes(simd, lane_sums)
    }

    #[inline(always)]
    fn weigh_lane<S: Simd>(self, simd: S, lane: &Lane<L>, reference: Reference, weights: &mut Lane<f32>) {
        weigh_lane(simd, lane, self.0, reference, weights);
    }
}

/// Weights as they are.
#[derive(Clone, Copy)]
pub(crate) struct Weights;

impl<L: Logit> Source<L> for Weights {
    fn padding(self) -> L {
        L::ZERO
    }

    fn diagnose(self, index: usize, row: &[L]) -> RowError {
        diagnose_weights(index, row)
    }

    /// All blocks have the same reference, whatever the factor.
    fn factor(&self) -> &Factor {
        const { &Factor::new(1.0) }
    }

    /// Given weights have no reference that could be better.
    fn reweigh_below(self) -> f64 {
        0.0
    }

    #[inline(always)]
    fn weigh<const STORE: bool, S: Simd>(
        self,
        simd: S,
        block: &[L; BLOCK],
        _: &mut Peak,
        weights: &mut [f32; BLOCK],
        loaded: impl FnMut(usize),
        mut summed: impl FnMut(Sums<S>),
    ) -> Summary {
        if STORE {
            widen_block(simd, block, weights);
        }
        let lanes = sum_block(simd, block, loaded);
        summed(Sums::OfBlock(0, lanes));
        Summary::of_lanes(simd, lanes)
    }

    #[inline(always)]
    fn sums<S: Simd>(self, simd: S, block: &[L; BLOCK], _: &LaneSums) -> [f64; GROUPS] {
        sum_groups(simd, block)
    }

    #[inline(always)]
    fn weigh_lane<S: Simd>(self, simd: S, lane: &Lane<L>, _: Reference, weights: &mut Lane<f32>) {
        widen(simd, lane, weights);
    }
}
