//! What is left of a row while tokens are taken from it.
//!
//! ```text
//! masses of the blocks, in a tree of sums
//! for each draw:  down the tree to a block; its weights; the token, as `sample` finds it in a block
//!                 the token is removed, its vector summed again, then its block, and the path up to the root
//! ```
//!
//! A removed weight is never subtracted: what is left is summed anew, so nothing cancels, however little
//! that is. A block left far below its reference gets a new one, and so does the row: the tokens drawn
//! last are as exact as the first.
//!
//! (Wong and Easton, "An efficient method for weighted sampling without replacement", 1980: the tree.)

use super::cdf::VECTORS;
use super::search::{first_lanes_above, last_not_above, prefixes};
use super::source::Source;
use super::tree::Tree;
use crate::Logit;
use crate::simd::{LANES, Simd};
use crate::summary::{Summary, Total, prefetch_group};
use crate::weights::{BLOCK, Factor, GROUP, for_each_block, groups, padded};

/// A row, and what has been taken from it.
#[derive(Debug, Default)]
pub(super) struct Urn {
    summaries: Vec<Summary>,
    /// Of the masses of the blocks.
    tree: Tree,
    /// Without the tokens that were taken; their sums are valid where `touched`.
    blocks: Vec<Block>,
    touched: Vec<bool>,
    /// A bit per token.
    taken: Vec<u64>,
}

/// What is left of a block.
#[derive(Clone, Debug)]
struct Block {
    weights: [f32; BLOCK],
    /// Of each vector.
    sums: [f64; VECTORS],
    /// Before each vector; infinite after the last that is not 0.
    before: [f64; VECTORS],
    sum: f64,
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
            if self.tree.sum() < EXHAUSTED {
                total = Total::of(&mut self.summaries, &factor).ok_or(Some(drawn))?;
                self.grow(&total, &factor);
            }
            let (index, fraction) = self.tree.find(simd, uniform);
            *token = self.take(simd, source, row, index, fraction).ok_or(Some(drawn))? as u32;
            self.tree.set(index, total.mass(&self.summaries[index], &factor));
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
        let blocks = row.len().div_ceil(BLOCK);
        self.blocks.resize(self.blocks.len().max(blocks), Block::EMPTY);
        self.summaries.clear();
        for_each_block(
            row,
            source.nothing(),
            #[inline(always)]
            |start, block| {
                self.summaries.push(source.weigh(
                    simd,
                    block,
                    &mut self.blocks[start / BLOCK].weights,
                    #[inline(always)]
                    |group| prefetch_group(simd, row, start + group * GROUP),
                ));
            },
        );
        self.touched.clear();
        self.touched.resize(blocks, false);
        self.taken.clear();
        self.taken.resize(row.len().div_ceil(64), 0);
        let total = Total::of(&mut self.summaries, factor)?;
        self.grow(&total, factor);
        Some(total)
    }

    /// The tree, anew.
    fn grow(&mut self, total: &Total, factor: &Factor) {
        self.tree.fill(self.summaries.iter().map(|summary| total.mass(summary, factor)));
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
        let block = &mut self.blocks[index];
        if !core::mem::replace(&mut self.touched[index], true) {
            sum_vectors(simd, block);
        }
        let token = start + block.take(simd, fraction)?;
        self.taken[token / 64] |= 1 << (token % 64);
        self.summaries[index].sum = block.sum;
        if block.sum < source.low() {
            let rest = self.rest(source, row, start);
            self.summaries[index] = weigh_again(simd, source, &rest, &mut self.blocks[index]);
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
}

impl Block {
    const EMPTY: Self =
        Self { weights: [0.0; BLOCK], sums: [0.0; VECTORS], before: [0.0; VECTORS], sum: 0.0 };

    /// Sums the weights.
    #[inline(always)]
    fn sum_vectors<S: Simd>(&mut self, simd: S) {
        for (sums, vectors) in self.sums.as_chunks_mut().0.iter_mut().zip(groups(&self.weights)) {
            *sums = simd.reduce_add_eight(vectors);
        }
        (self.before, self.sum) = prefixes(&self.sums);
    }

    /// Takes the token at which `fraction` of the block's weight is exceeded.
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, fraction: f64) -> Option<usize> {
        let target = fraction * self.sum;
        let vector = last_not_above(simd, &self.before, target);
        let weights = &mut self.weights.as_chunks_mut::<LANES>().0[vector];
        let [lane] = first_lanes_above(simd, [weights], &[target - self.before[vector]]);
        let weight = &mut weights[lane as usize];
        if *weight == 0.0 {
            return None;
        }
        *weight = 0.0;
        self.sums[vector] = simd.reduce_add_wide(simd.widen(simd.load(weights)));
        (self.before, self.sum) = prefixes(&self.sums);
        Some(vector * LANES + lane as usize)
    }
}

/// (A function of its own, as the next: where the kernel gets too long, LLVM leaves its operations as calls.)
#[inline(never)]
fn sum_vectors<S: Simd>(simd: S, block: &mut Block) {
    simd.vectorize(
        #[inline(always)]
        || block.sum_vectors(simd),
    );
}

#[inline(never)]
fn weigh_again<S: Simd, L: Logit>(
    simd: S,
    source: impl Source<L>,
    rest: &[L; BLOCK],
    block: &mut Block,
) -> Summary {
    simd.vectorize(
        #[inline(always)]
        || {
            let summary = source.weigh(
                simd,
                rest,
                &mut block.weights,
                #[inline(always)]
                |_| (),
            );
            block.sum_vectors(simd);
            summary
        },
    )
}

/// Below this sum a row gets a new reference. (Masses 2^-522 of that are still exact.)
const EXHAUSTED: f64 = f64::from_bits((1023 - 500) << 52);
