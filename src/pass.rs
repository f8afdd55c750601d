//! A pass over a row: a summary for each block, and, where a row is short, the weights themselves.

use core::cell::Cell;

use crate::Logit;
use crate::blocks::{AlignedBlock, BLOCK, for_each_block, for_each_other_block};
use crate::prefetch::at_groups;
use crate::scratch::with_scratch;
use crate::simd::Simd;
use crate::source::Source;
use crate::summary::Summary;
use crate::sums::{LaneSums, Sums, keep};
use crate::weights::Peak;

/// A row of at most this many blocks is short: its weights are kept.
const SHORT: usize = 4;

/// What a pass leaves, and room for it.
#[derive(Default)]
pub(crate) struct Pass {
    /// One for each block.
    pub(crate) summaries: Vec<Summary>,
    /// The weights of a short row's blocks, after [`Pass::keep_weights`]; else room for anything. (On the
    /// stack, it would be set to 0 for each row: 1024 logits take 1.1 x the time.)
    pub(crate) weights: [AlignedBlock; SHORT],
    /// The sums of these weights' groups, lane by lane.
    pub(crate) lane_sums: [LaneSums; SHORT],
}

/// Lends the pass that the thread keeps, its summaries emptied.
pub(crate) fn with_pass<R>(kernel: impl FnOnce(&mut Pass) -> R) -> R {
    thread_local! {
        static PASS: Cell<Option<Box<Pass>>> = const { Cell::new(None) };
    }
    with_scratch(&PASS, |pass| {
        let pass = pass.get_or_insert_default();
        pass.summaries.clear();
        kernel(pass)
    })
}

impl Pass {
    /// Whether [`Pass::keep_weights`] has room for the row.
    pub(crate) const fn is_short<L>(row: &[L]) -> bool {
        row.len() <= SHORT * BLOCK
    }

    /// The summaries of a row.
    #[inline(always)]
    pub(crate) fn summarize<const TWICE: bool, S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
    ) {
        let Self { summaries, weights: [scratch, ..], .. } = self;
        let peak = Peak::of_sums();
        summarize::<TWICE, _, _>(simd, source, row, simd.ahead(), peak, summaries, scratch, |_| ());
    }

    /// The summaries of a short row, and its weights. (2048 logits take 0.8 x the time of weighing the drawn
    /// block again. 4096 would take 0.9 x from the caches, but 1.4 x from memory: stores hold it up.)
    #[inline(always)]
    pub(crate) fn keep_weights<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) {
        let mut peak = Peak::of_sums();
        for_each_block(
            row,
            source.padding(),
            #[inline(always)]
            |start, block| {
                let (weights, sums) = (&mut self.weights[start / BLOCK], &mut self.lane_sums[start / BLOCK]);
                let loaded = at_groups::<false, _, _>(simd, row, start, simd.ahead());
                let summed = keep(simd, sums);
                self.summaries.push(source.weigh::<true, _>(simd, block, &mut peak, weights, loaded, summed));
            },
        );
    }
}

/// The summaries of a row, which is prefetched so many logits `ahead`: in runs first, as far as they serve.
/// `summed` is told of its groups and blocks; of some of them twice, and then the last counts.
#[expect(clippy::too_many_arguments, reason = "two callers, which differ in most of them")]
#[inline(always)]
pub(crate) fn summarize<const TWICE: bool, S: Simd, L: Logit>(
    simd: S,
    source: impl Source<L>,
    row: &[L],
    ahead: usize,
    mut peak: Peak,
    summaries: &mut Vec<Summary>,
    scratch: &mut [f32; BLOCK],
    mut summed: impl FnMut(Sums<S>),
) {
    let loaded = at_groups::<TWICE, _, _>(simd, row, 0, ahead);
    let done = source.weigh_runs(
        simd,
        row,
        summaries,
        |_, _, _| (),
        #[inline(always)]
        |sums| {
            if let Sums::OfGroup(group, _) = sums {
                loaded(group);
            }
            summed(sums);
        },
    );
    for_each_other_block(
        row,
        source.padding(),
        done,
        #[inline(always)]
        |start, block| {
            let summary = source.weigh::<false, _>(
                simd,
                block,
                &mut peak,
                scratch,
                at_groups::<TWICE, _, _>(simd, row, start, ahead),
                #[inline(always)]
                |sums| summed(sums.after(start / BLOCK)),
            );
            summary.put(start / BLOCK, summaries);
        },
    );
}
