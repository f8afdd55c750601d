//! Rows of logits or of weights, for what draws from either.

use crate::Logit;
use crate::sample::sum_block;
use crate::simd::Simd;
use crate::summary::{Reference, Summary};
use crate::weights::{BLOCK, Factor, summarize, weights};

/// Where the weights of a row of `L` come from.
pub(super) trait Source<L: Logit>: Copy {
    /// What stands in a row for a token that weighs nothing.
    fn nothing(self) -> L;
    /// By which the references of blocks compare.
    fn factor(self) -> Factor;
    fn summarize<S: Simd>(self, simd: S, block: &[L; BLOCK]) -> Summary;
    fn weights<S: Simd>(self, simd: S, block: &[L; BLOCK], reference: Reference, out: &mut [f32; BLOCK]);
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

    #[inline(always)]
    fn summarize<S: Simd>(self, simd: S, block: &[L; BLOCK]) -> Summary {
        summarize(
            simd,
            block,
            &self.0,
            #[inline(always)]
            |_, _| (),
        )
    }

    #[inline(always)]
    fn weights<S: Simd>(self, simd: S, block: &[L; BLOCK], reference: Reference, out: &mut [f32; BLOCK]) {
        weights(simd, block, &self.0, reference, out);
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

    #[inline(always)]
    fn summarize<S: Simd>(self, simd: S, block: &[f32; BLOCK]) -> Summary {
        let sum = sum_block(
            simd,
            block,
            #[inline(always)]
            |_| (),
        );
        Summary { sum, ..Summary::default() }
    }

    #[inline(always)]
    fn weights<S: Simd>(self, _simd: S, block: &[f32; BLOCK], _reference: Reference, out: &mut [f32; BLOCK]) {
        *out = *block;
    }
}
