//! Rows of logits or of weights, for what draws from either.

use crate::Logit;
use crate::sample::sum_block;
use crate::simd::Simd;
use crate::summary::Summary;
use crate::weights::{BLOCK, Factor, TRUSTED, store, summarize};

/// Where the weights of a row of `L` come from.
pub(super) trait Source<L: Logit>: Copy {
    /// What stands in a row for a token that weighs nothing.
    fn nothing(self) -> L;
    /// By which the references of blocks compare.
    fn factor(self) -> Factor;
    /// A block with a lower sum may get a better reference by being weighed again.
    fn low(self) -> f64;
    /// Of a block, its weights and their summary. `visit` is called with the number of each group.
    fn weigh<S: Simd>(
        self,
        simd: S,
        block: &[L; BLOCK],
        weights: &mut [f32; BLOCK],
        visit: impl Fn(usize),
    ) -> Summary;
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
        visit: impl Fn(usize),
    ) -> Summary {
        summarize(
            simd,
            block,
            &self.0,
            #[inline(always)]
            |group, w| {
                visit(group);
                store(simd, w, weights, group);
            },
        )
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
        visit: impl Fn(usize),
    ) -> Summary {
        *weights = *block;
        Summary { sum: sum_block(simd, block, visit), ..Summary::default() }
    }
}
