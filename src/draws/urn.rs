//! What is left of a row while tokens are taken from it.
//!
//! ```text
//! masses of the blocks, in a binary tree of sums
//! for each draw:  down the tree to a block; its weights; the token, as `sample` finds it in a block
//!                 the token is removed, its block summed again, and the path up to the root
//! ```
//!
//! A removed weight is never subtracted: what is left is summed anew, so nothing cancels, however little
//! that is. A block left far below its reference gets a new one, and so does the row: the tokens drawn
//! last are as exact as the first.
//!
//! (Wong and Easton, "An efficient method for weighted sampling without replacement", 1980: the tree.)

use core::hint::select_unpredictable;

use crate::Logit;
use crate::sample::{find_in_block, sum_block};
use crate::simd::Simd;
use crate::summary::{Reference, Summary, Total, prefetch_group};
use crate::weights::{BLOCK, Factor, GROUP, for_each_block, padded, summarize, weights};

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
        Summary { sum: sum_of(simd, block), ..Summary::default() }
    }

    #[inline(always)]
    fn weights<S: Simd>(self, _simd: S, block: &[f32; BLOCK], _reference: Reference, out: &mut [f32; BLOCK]) {
        *out = *block;
    }
}

/// A row, and what has been taken from it.
#[derive(Debug, Default)]
pub(super) struct Urn {
    summaries: Vec<Summary>,
    /// The root at 1; the children of node i at 2 i and 2 i + 1; the blocks are the leaves.
    tree: Vec<f64>,
    /// The weights of the blocks that tokens were taken from, without those; valid where `touched`.
    weights: Vec<[f32; BLOCK]>,
    touched: Vec<bool>,
    /// A bit per token.
    taken: Vec<u64>,
}

impl Urn {
    /// Takes as many tokens as the slice holds. `Err(None)` if the row cannot be served, `Err(Some(n))` if it
    /// has only n tokens that weigh something.
    #[inline(always)]
    pub(super) fn draw<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
        uniforms: &mut impl Iterator<Item = f64>,
        tokens: &mut [u32],
    ) -> Result<(), Option<usize>> {
        let factor = source.factor();
        let mut total = self.fill(simd, source, row, &factor).ok_or(None)?;
        for (drawn, (token, uniform)) in tokens.iter_mut().zip(uniforms).enumerate() {
            if self.tree[1] < EXHAUSTED {
                total = Total::of(&mut self.summaries, &factor).ok_or(Some(drawn))?;
                self.grow(&total, &factor);
            }
            let (index, fraction) = self.descend(uniform);
            *token = self.take(simd, source, row, index, fraction).ok_or(Some(drawn))? as u32;
            self.update(index, total.mass(&self.summaries[index], &factor));
        }
        Ok(())
    }

    /// One pass over the row. `None` if it cannot be served.
    #[inline(always)]
    fn fill<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
        factor: &Factor,
    ) -> Option<Total> {
        self.summaries.clear();
        for_each_block(
            row,
            source.nothing(),
            #[inline(always)]
            |start, block| {
                (0..BLOCK).step_by(GROUP).for_each(
                    #[inline(always)]
                    |group| prefetch_group(simd, row, start + group),
                );
                self.summaries.push(source.summarize(simd, block));
            },
        );
        self.touched.clear();
        self.touched.resize(self.summaries.len(), false);
        self.taken.clear();
        self.taken.resize(row.len().div_ceil(64), 0);
        self.weights.resize(self.weights.len().max(self.summaries.len()), [0.0; BLOCK]);
        let total = Total::of(&mut self.summaries, factor).filter(|total| total.sum < f64::INFINITY)?;
        self.grow(&total, factor);
        Some(total)
    }

    /// The tree, anew.
    fn grow(&mut self, total: &Total, factor: &Factor) {
        let leaves = self.summaries.len().next_power_of_two();
        self.tree.clear();
        self.tree.resize(2 * leaves, 0.0);
        for (leaf, summary) in self.tree[leaves..].iter_mut().zip(&self.summaries) {
            *leaf = total.mass(summary, factor);
        }
        for node in (1..leaves).rev() {
            self.tree[node] = self.tree[2 * node] + self.tree[2 * node + 1];
        }
    }

    /// The block of a uniform, and the share of its mass that lies below the target.
    fn descend(&self, uniform: f64) -> (usize, f64) {
        let leaves = self.tree.len() / 2;
        let (mut node, mut target) = (1, uniform * self.tree[1]);
        while node < leaves {
            let (left, right) = (self.tree[2 * node], self.tree[2 * node + 1]);
            let goes_right = (target >= left) & (right > 0.0);
            target -= select_unpredictable(goes_right, left, 0.0);
            node = 2 * node + usize::from(goes_right);
        }
        (node - leaves, (target / self.tree[node]).min(1.0))
    }

    /// Takes a token out of a block.
    #[inline(always)]
    fn take<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
        index: usize,
        fraction: f64,
    ) -> Option<usize> {
        let start = index * BLOCK;
        let (weights, summary) = (&mut self.weights[index], &mut self.summaries[index]);
        if !core::mem::replace(&mut self.touched[index], true) {
            match row[start..].first_chunk() {
                Some(block) => weigh(simd, source, block, summary.reference, weights),
                None => {
                    weigh(simd, source, &padded(&row[start..], source.nothing()), summary.reference, weights);
                }
            }
        }
        let token = start + find_in_block(simd, weights, fraction)?;
        weights[token - start] = 0.0;
        self.taken[token / 64] |= 1 << (token % 64);
        summary.sum = sum_of(simd, weights);
        if summary.sum < LOW {
            let rest = self.rest(source, row, start);
            self.summaries[index] = summarize_rest(simd, source, &rest);
            weigh(simd, source, &rest, self.summaries[index].reference, &mut self.weights[index]);
        }
        Some(token)
    }

    /// A block of the row, without the tokens that were taken.
    fn rest<L: Logit>(&self, source: impl Source<L>, row: &[L], start: usize) -> [L; BLOCK] {
        let mut block = padded(&row[start..row.len().min(start + BLOCK)], source.nothing());
        for (bits, tokens) in self.taken[start / 64..].iter().zip(block.chunks_mut(64)) {
            for (bit, token) in tokens.iter_mut().enumerate() {
                if bits >> bit & 1 == 1 {
                    *token = source.nothing();
                }
            }
        }
        block
    }

    /// The mass of a block, and of all that it is a part of.
    fn update(&mut self, index: usize, mass: f64) {
        let mut node = self.tree.len() / 2 + index;
        self.tree[node] = mass;
        while node > 1 {
            node /= 2;
            self.tree[node] = self.tree[2 * node] + self.tree[2 * node + 1];
        }
    }
}

/// (A function of its own, as the next: where the kernel gets too long, LLVM leaves its operations as calls.)
#[inline(never)]
fn weigh<S: Simd, L: Logit>(
    simd: S,
    source: impl Source<L>,
    block: &[L; BLOCK],
    reference: Reference,
    out: &mut [f32; BLOCK],
) {
    simd.vectorize(
        #[inline(always)]
        || source.weights(simd, block, reference, out),
    );
}

#[inline(never)]
fn summarize_rest<S: Simd, L: Logit>(simd: S, source: impl Source<L>, rest: &[L; BLOCK]) -> Summary {
    simd.vectorize(
        #[inline(always)]
        || source.summarize(simd, rest),
    )
}

#[inline(always)]
fn sum_of<S: Simd>(simd: S, weights: &[f32; BLOCK]) -> f64 {
    sum_block(
        simd,
        weights,
        #[inline(always)]
        |_| (),
    )
}

/// Below this sum a block gets a new reference, as in `summarize`.
const LOW: f64 = 0.5;

/// Below this sum a row gets a new reference. (Masses 2^-522 of that are still exact.)
const EXHAUSTED: f64 = f64::from_bits((1023 - 500) << 52);

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding may carry a target to the end of a part that has nothing to its right.
    #[test]
    fn the_way_down_never_ends_at_a_mass_of_0() {
        let mut urn = Urn { tree: vec![0.0; 8], ..Urn::default() };
        urn.update(1, 1.0);
        assert_eq!([0.0, 0.5, 1.0].map(|u| urn.descend(u)), [(1, 0.0), (1, 0.5), (1, 1.0)]);
        urn.update(2, 3.0);
        assert_eq!([0.0, 0.25, 1.0].map(|u| urn.descend(u)), [(1, 0.0), (2, 0.0), (2, 1.0)]);
    }
}
