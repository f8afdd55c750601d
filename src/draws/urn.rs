//! What is left of a row while tokens are taken from it.
//!
//! ```text
//! masses of the blocks, in a tree of sums                                                           (tree.rs)
//! for each draw:  down the tree to a block; a group of it; its weights, the first time; a vector, a lane
//!                 the token is removed; what is left of its vector, group and block, and up to the root
//! ```
//!
//! A removed weight is never subtracted: what is left is what lies before it and what lies after, so nothing
//! cancels, however little that is. A block left far below its reference gets a new one, and so does the row:
//! the tokens drawn last are as exact as the first.

use core::mem::replace;

use super::part::{Part, find};
use super::tree::Tree;
use crate::Logit;
use crate::blocks::{
    AlignedBlock, BLOCK, GROUP, GROUPS, for_each_other_block, groups, groups_mut, padded, with_block,
};
use crate::prefetch::at_groups;
use crate::scratch::room;
use crate::simd::{AHEAD, LANES, Simd, VECTORS};
use crate::source::Source;
use crate::summary::{Reference, Summary};
use crate::sums::{LaneSums, keep, sum_vectors};
use crate::weights::{Factor, Peak};

/// A row, and what has been taken from it.
#[derive(Debug, Default)]
pub(super) struct Urn {
    /// What is left of each block.
    summaries: Vec<Summary>,
    /// The masses of the blocks.
    tree: Tree,
    /// The sums of each block's groups, lane by lane, before anything was taken.
    lane_sums: Vec<LaneSums>,
    /// Valid where `touched`.
    blocks: Vec<Block>,
    touched: Vec<bool>,
}

/// Why an urn does not give what is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// The row cannot be served.
    BadRow,
    /// It has only this many tokens that weigh something.
    Exhausted(usize),
}

/// A block that has been drawn from: what is left of it.
#[derive(Clone, Debug)]
struct Block {
    group_sums: [f64; GROUPS],
    /// Valid in the groups that are `weighed`.
    vector_sums: [[f64; VECTORS]; GROUPS],
    /// The weights of its tokens; valid in the groups that are `weighed`.
    weights: AlignedBlock,
    weighed: [bool; GROUPS],
    /// A bit per token.
    taken: [u64; BLOCK / 64],
}

impl Urn {
    /// Takes as many tokens as the slice holds.
    #[inline(always)]
    pub(super) fn draw<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
        uniforms: &mut impl Iterator<Item = f64>,
        tokens: &mut [u32],
    ) -> Result<(), Refusal> {
        let factor = source.factor();
        self.fill(simd, source, row);
        let mut top = self.rebuild_tree(factor).ok_or(Refusal::BadRow)?;
        for (drawn, (token, uniform)) in tokens.iter_mut().zip(uniforms).enumerate() {
            if self.tree.sum() < EXHAUSTED {
                top = self.rebuild_tree(factor).ok_or(Refusal::Exhausted(drawn))?;
            }
            let (block, fraction) = self.tree.find(uniform);
            let taken = self.take(simd, source, row, block, fraction);
            *token = taken.ok_or(Refusal::Exhausted(drawn))? as u32;
            self.tree.change(block, top.mass_of(&self.summaries[block], factor));
        }
        Ok(())
    }

    /// One pass over the row. (It stores sums, and so asks ahead everywhere: 256 rows on a Zen 4 take 1.05 x
    /// the time with [`Simd::ahead`].)
    #[inline(always)]
    fn fill<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) {
        let blocks = row.len().div_ceil(BLOCK);
        room(&mut self.blocks, blocks, Block::EMPTY);
        self.lane_sums.resize(blocks, LaneSums::default());
        self.touched.clear();
        self.touched.resize(blocks, false);
        self.summaries.clear();
        let loaded = at_groups::<false, _, _>(simd, row, 0, AHEAD);
        let done = source.weigh_runs(
            simd,
            row,
            &mut self.summaries,
            #[inline(always)]
            |group, _| loaded(group),
            keep(simd, self.lane_sums.as_flattened_mut()),
        );
        let mut scratch = AlignedBlock::EMPTY;
        for_each_other_block(
            row,
            source.padding(),
            done,
            #[inline(always)]
            |start, block| {
                let summary = source.weigh::<false, _>(
                    simd,
                    block,
                    // Every block is weighed: one that is nothing beside others may be all that is left.
                    &mut Peak::none(),
                    &mut scratch,
                    at_groups::<false, _, _>(simd, row, start, AHEAD),
                    keep(simd, &mut self.lane_sums[start / BLOCK]),
                );
                summary.put(start / BLOCK, &mut self.summaries);
            },
        );
    }

    /// The tree, relative to the highest reference, which is returned; `None` if there is nothing to draw, or
    /// if the row cannot be served.
    fn rebuild_tree(&mut self, factor: &Factor) -> Option<Reference> {
        let top = Reference::highest(&self.summaries, factor)?;
        self.tree.fill(self.summaries.iter().map(|summary| top.mass_of(summary, factor)));
        (self.tree.sum() > 0.0 && self.tree.sum() < f64::INFINITY).then_some(top)
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
        let (block, summary) = (&mut self.blocks[index], &mut self.summaries[index]);
        let start = index * BLOCK;
        let part = &row[start..row.len().min(start + BLOCK)];
        if !replace(&mut self.touched[index], true) {
            block.begin(simd, source, part, &self.lane_sums[index]);
        }
        let group = find(&block.group_sums, |sum| fraction * sum);
        if !replace(&mut block.weighed[group.index], true) {
            block.weigh_group(simd, source, part, group.index, summary.reference);
        }
        let (token, left) = block.take(group)?;
        summary.sum = left;
        if left < source.reweigh_below() {
            *summary = block.weigh(simd, source, part);
        }
        Some(start + token)
    }
}

impl Block {
    const EMPTY: Self = Self {
        group_sums: [0.0; GROUPS],
        vector_sums: [[0.0; VECTORS]; GROUPS],
        weights: AlignedBlock::EMPTY,
        weighed: [false; GROUPS],
        taken: [0; BLOCK / 64],
    };

    /// Before anything is taken.
    #[inline(always)]
    fn begin<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        part: &[L],
        lane_sums: &LaneSums,
    ) {
        self.group_sums = with_block(
            part,
            source.padding(),
            #[inline(always)]
            |logits| source.sums(simd, logits, lane_sums),
        );
        self.weighed.fill(false);
        self.taken.fill(0);
    }

    /// Before anything is taken from that group.
    #[inline(always)]
    fn weigh_group<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        part: &[L],
        group: usize,
        reference: Reference,
    ) {
        let weights = &mut groups_mut(&mut self.weights)[group];
        with_block(
            part,
            source.padding(),
            #[inline(always)]
            |logits| source.weigh_group(simd, &groups(logits)[group], reference, weights),
        );
        self.vector_sums[group] = sum_vectors(simd, weights);
    }

    /// Takes the token of a target out of a group that is weighed. Returns its index in the block, and the
    /// sum of what is left there; `None` if it weighs nothing.
    #[inline(always)]
    fn take(&mut self, group: Part) -> Option<(usize, f64)> {
        let fraction = group.within / self.group_sums[group.index];
        let weights = &mut groups_mut(&mut self.weights)[group.index];
        let vector_sums = &mut self.vector_sums[group.index];
        let vector = find(vector_sums, |sum| fraction * sum);
        // In two steps of four: fewer additions wait for one another than in one of sixteen.
        let quads: &mut [[f32; 4]; LANES / 4] = bytemuck::must_cast_mut(&mut weights[vector.index]);
        let wide = quads.map(|quad| quad.map(f64::from));
        let quad = find(&wide.map(|[a, b, c, d]| (a + b) + (c + d)), |_| vector.within);
        let lane = find(&wide[quad.index], |_| quad.within);
        let weight = &mut quads[quad.index][lane.index];
        if *weight == 0.0 {
            // Not reached: where a sum is above 0, so is a weight.
            return None;
        }
        *weight = 0.0;
        // All that lies around is added up before what is left of the four lanes, which comes last.
        let others = quad.others;
        vector_sums[vector.index] = lane.others + others;
        let others = others + vector.others;
        self.group_sums[group.index] = lane.others + others;
        let others = others + group.others;
        let token = group.index * GROUP + vector.index * LANES + quad.index * 4 + lane.index;
        self.taken[token / 64] |= 1 << (token % 64);
        Some((token, lane.others + others))
    }

    /// What is left of a block, with a reference that suits it. (A function of its own: where a kernel gets
    /// too long, LLVM leaves its operations as calls.)
    #[inline(never)]
    fn weigh<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, part: &[L]) -> Summary {
        let mut rest: [L; BLOCK] = padded(part, source.padding());
        for (bits, tokens) in self.taken.iter().zip(rest.as_chunks_mut::<64>().0) {
            for (bit, token) in tokens.iter_mut().enumerate() {
                if bits >> bit & 1 == 1 {
                    *token = source.padding();
                }
            }
        }
        self.weighed.fill(true);
        simd.vectorize(
            #[inline(always)]
            || {
                let (peak, weights) = (&mut Peak::none(), &mut self.weights);
                let summary = source.weigh::<true, _>(simd, &rest, peak, weights, |_| (), |_, _| ());
                let sums = self.group_sums.iter_mut().zip(&mut self.vector_sums);
                for ((group, vectors), weights) in sums.zip(groups(&self.weights)) {
                    *vectors = sum_vectors(simd, weights);
                    *group = vectors.iter().sum();
                }
                summary
            },
        )
    }
}

/// Below this sum a row gets a new reference, or has nothing left. (Masses of 2^-397 of
/// that, and more, are not lost.)
const EXHAUSTED: f64 = f64::from_bits((1023 - 500) << 52);
