//! Rows of logits or of weights, for what draws from either.

use crate::Logit;
use crate::sample::{sum_block, sum_group};
use crate::simd::{LANES, Simd, WIDTH};
use crate::summary::{Reference, Summary, prefetch_group};
use crate::weights::{
    BLOCK, Factor, GROUP, Group, TRUSTED, for_each_block, groups, summarize, summarize_groups, weigh_group,
};

/// Where the weights of a row of `L` come from.
pub(super) trait Source<L: Logit>: Copy {
    /// What stands in a row for a token that weighs nothing.
    fn nothing(self) -> L;
    /// By which the references of blocks compare.
    fn factor(self) -> Factor;
    /// What has a lower sum may get a better reference by being weighed again.
    fn low(self) -> f64;
    /// The weights of a block, and its summary. `each` is called with the number of each group, perhaps twice.
    fn weigh<S: Simd>(
        self,
        simd: S,
        block: &[L; BLOCK],
        weights: &mut [f32; BLOCK],
        each: impl FnMut(usize),
    ) -> Summary;
    /// The weights of a group, for a reference.
    fn weigh_group<S: Simd>(self, simd: S, group: &Group<L>, reference: Reference, weights: &mut Group<f32>);
    /// The summaries of the groups of a row, up to the end of its last block.
    fn summarize_groups<S: Simd>(self, simd: S, row: &[L], summaries: &mut Vec<Summary>);
}

/// Logits at a temperature.
#[derive(Clone, Copy)]
pub(super) struct Softmax(pub(super) Factor);

impl<L: Logit> Source<L> for Softmax {
    fn nothing(self) -> L {
        L::NEG_INFINITY
    }

    fn factor(self) -> Factor {
        self.0
    }

    fn low(self) -> f64 {
        TRUSTED.start
    }

    #[inline(always)]
    fn weigh<S: Simd>(
        self,
        simd: S,
        block: &[L; BLOCK],
        weights: &mut [f32; BLOCK],
        each: impl FnMut(usize),
    ) -> Summary {
        summarize(simd, block, &self.0, weights, each)
    }

    #[inline(always)]
    fn weigh_group<S: Simd>(self, simd: S, group: &Group<L>, reference: Reference, weights: &mut Group<f32>) {
        weigh_group::<S, L, true>(simd, group, &self.0, reference, weights);
    }

    /// (A group's reference is that of its block. The sums of eight groups are taken together: one by one, each would
    /// keep the next waiting.)
    #[inline(always)]
    fn summarize_groups<S: Simd>(self, simd: S, row: &[L], summaries: &mut Vec<Summary>) {
        let mut columns = [[0.0; LANES]; WIDTH];
        let mut weights = [0.0; BLOCK];
        summaries.clear();
        for_each_block(
            row,
            L::NEG_INFINITY,
            #[inline(always)]
            |start, block| {
                let (summary, of_groups) = summarize_groups(
                    simd,
                    block,
                    &self.0,
                    &mut weights,
                    #[inline(always)]
                    |group| {
                        prefetch_group(simd, row, start + group * GROUP);
                    },
                );
                let first = summaries.len() % WIDTH;
                for (group, sum) in of_groups.into_iter().enumerate() {
                    simd.store(sum, &mut columns[(first + group) % WIDTH]);
                }
                summaries.extend([summary; BLOCK / GROUP]);
                if summaries.len().is_multiple_of(WIDTH) || start + BLOCK >= row.len() {
                    let of_eight = summaries.len().next_multiple_of(WIDTH) - WIDTH;
                    let sums = simd.reduce_add_eight(&columns);
                    for (summary, sum) in summaries[of_eight..].iter_mut().zip(sums) {
                        summary.sum = sum;
                    }
                }
            },
        );
    }
}

/// Weights as they are.
#[derive(Clone, Copy)]
pub(super) struct Weights;

impl Source<f32> for Weights {
    fn nothing(self) -> f32 {
        0.0
    }

    fn factor(self) -> Factor {
        Factor::new(1.0)
    }

    /// They have none.
    fn low(self) -> f64 {
        0.0
    }

    #[inline(always)]
    fn weigh<S: Simd>(
        self,
        simd: S,
        block: &[f32; BLOCK],
        weights: &mut [f32; BLOCK],
        each: impl FnMut(usize),
    ) -> Summary {
        *weights = *block;
        Summary { sum: sum_block(simd, block, each), ..Summary::default() }
    }

    #[inline(always)]
    fn weigh_group<S: Simd>(self, _: S, group: &Group<f32>, _: Reference, weights: &mut Group<f32>) {
        *weights = *group;
    }

    /// (In f64 throughout: weights may be as large as f32 can hold.)
    #[inline(always)]
    fn summarize_groups<S: Simd>(self, simd: S, row: &[f32], summaries: &mut Vec<Summary>) {
        summaries.clear();
        for_each_block(
            row,
            0.0,
            #[inline(always)]
            |start, block| {
                for (number, group) in groups(block).iter().enumerate() {
                    prefetch_group(simd, row, start + number * GROUP);
                    summaries.push(Summary { sum: sum_group(simd, group), ..Summary::default() });
                }
            },
        );
    }
}
