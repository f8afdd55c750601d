//! What is left of a row while tokens are taken from it.
//!
//! ```text
//! masses of the blocks, in a tree of sums                                                           (tree.rs)
//! for each draw:  down the tree to a block; a lane of it; its 32 tokens, weighed again; one of them
//!                 the token is removed; what is left of its lane and block, and up to the root
//! ```
//!
//! Lanes come first, since the pass has their sums anyway. So nothing else is kept of a row, and a draw
//! weighs 32 tokens. (Groups of 128, weighed when first drawn from and kept, take 1.08 x the time for 64 of
//! 128,256 tokens, on a Zen 4, and 5.3 bytes per token, not 0.5; but 0.92 x for 64 of 1500, 0.76 x for 1000
//! of them.)
//!
//! A removed weight is never subtracted: what is left is what lies before it and what lies after, so nothing
//! cancels, however little that is. A block left far below its reference gets a new one, and so does the row:
//! the tokens drawn last are as exact as the first.

use super::part::find_by_columns;
use super::tree::Tree;
use crate::Logit;
use crate::blocks::{AlignedBlock, BLOCK, Lane, lane_of, padded};
use crate::pass::summarize;
use crate::scratch::room;
use crate::simd::{AHEAD, LANES, Simd, WIDE_LANES};
use crate::source::Source;
use crate::summary::{Reference, Summary};
use crate::sums::Sums;
use crate::weights::{Factor, Peak};

/// A row, and what has been taken from it.
#[derive(Debug, Default)]
pub(super) struct Urn {
    /// What is left of each block.
    summaries: Vec<Summary>,
    /// The masses of the blocks.
    tree: Tree,
    blocks: Vec<Block>,
}

/// Why an urn does not give what is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// The row cannot be served.
    BadRow,
    /// It has only this many tokens that weigh something.
    Exhausted(usize),
}

/// What is left of a block, lane by lane.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Block {
    sums: [f64; LANES],
    /// A bit per token.
    taken: [u32; LANES],
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
        let (blocks, tail) = row.as_chunks();
        let tail = padded(tail, source.padding());
        for (drawn, (token, uniform)) in tokens.iter_mut().zip(uniforms).enumerate() {
            if self.tree.sum() < EXHAUSTED {
                top = self.rebuild_tree(factor).ok_or(Refusal::Exhausted(drawn))?;
            }
            let (index, fraction) = self.tree.find(uniform);
            let logits = blocks.get(index).unwrap_or(&tail);
            let (block, summary) = (&mut self.blocks[index], &mut self.summaries[index]);
            let taken = block.take(simd, source, logits, fraction, summary);
            *token = (index * BLOCK + taken.ok_or(Refusal::Exhausted(drawn))?) as u32;
            self.tree.change(index, top.mass_of(summary, factor));
        }
        Ok(())
    }

    /// One pass over the row. (It stores sums, and so asks ahead everywhere: 256 rows on a Zen 4 take 1.3 x
    /// the time with [`Simd::ahead`].)
    #[inline(always)]
    fn fill<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) {
        let blocks = room(&mut self.blocks, row.len().div_ceil(BLOCK), Block::EMPTY);
        self.summaries.clear();
        summarize::<false, _, _>(
            simd,
            source,
            row,
            AHEAD,
            // Every block is weighed: one that is nothing beside others may be all that is left.
            Peak::none(),
            &mut self.summaries,
            &mut AlignedBlock::default(),
            #[inline(always)]
            |sums| {
                if let Sums::OfBlock(block, lanes) = sums {
                    simd.store_wide(lanes, &mut blocks[block].sums);
                    blocks[block].taken = [0; LANES];
                }
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
}

impl Block {
    const EMPTY: Self = Self { sums: [0.0; LANES], taken: [0; LANES] };

    /// Takes a token out of a block. Returns its index there; `None` if it weighs nothing.
    #[inline(always)]
    fn take<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        logits: &[L; BLOCK],
        fraction: f64,
        summary: &mut Summary,
    ) -> Option<usize> {
        let sums: &[[f64; 4]; LANES / 4] = bytemuck::must_cast_ref(&self.sums);
        let lane = find_by_columns(sums, |sum| fraction * sum);
        let (sum, taken) = (&mut self.sums[lane.index], &mut self.taken[lane.index]);
        let weights = weigh_lane(simd, source, &lane_of(logits, lane.index), *taken, summary.reference);
        // Of their own sum, in f64; the lane's is made of sums in f32.
        let share = lane.within / *sum;
        let token = find_by_columns(&weights, |sum| share * sum);
        if weights.as_flattened()[token.index] == 0.0 {
            // Not reached: where a sum is above 0, so is a weight.
            return None;
        }
        *taken |= 1 << token.index;
        *sum = token.others;
        summary.sum = token.others + lane.others;
        if summary.sum < source.reweigh_below() {
            *summary = self.weigh(simd, source, logits);
        }
        Some(token.index * LANES + lane.index)
    }

    /// What is left of a block, with a reference that suits it. (A function of its own: where a kernel gets
    /// too long, LLVM leaves its operations as calls.)
    #[inline(never)]
    fn weigh<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, logits: &[L; BLOCK]) -> Summary {
        let mut rest = *logits;
        for (i, logit) in rest.iter_mut().enumerate() {
            if self.taken[i % LANES] >> (i / LANES) & 1 == 1 {
                *logit = source.padding();
            }
        }
        simd.vectorize(
            #[inline(always)]
            || {
                source.weigh::<false, _>(
                    simd,
                    &rest,
                    &mut Peak::none(),
                    &mut AlignedBlock::default(),
                    |_| (),
                    #[inline(always)]
                    |sums| {
                        if let Sums::OfBlock(_, lanes) = sums {
                            simd.store_wide(lanes, &mut self.sums);
                        }
                    },
                )
            },
        )
    }
}

/// The weights of the tokens of a lane, but for those that are taken.
#[inline(always)]
fn weigh_lane<S: Simd, L: Logit>(
    simd: S,
    source: impl Source<L>,
    lane: &Lane<L>,
    taken: u32,
    reference: Reference,
) -> [[f64; WIDE_LANES]; 4] {
    let mut weights = [[0.0; LANES]; 2];
    source.weigh_lane(simd, lane, reference, &mut weights);
    let weights: [[f32; WIDE_LANES]; 4] = bytemuck::must_cast(weights);
    let mut left = [[0.0; WIDE_LANES]; 4];
    for i in 0..4 {
        for j in 0..WIDE_LANES {
            // All of its bits, or none. (Where it is a branch, nobody can foresee it.)
            let kept = (taken >> (i * WIDE_LANES + j) & 1).wrapping_sub(1);
            left[i][j] = f64::from(f32::from_bits(weights[i][j].to_bits() & kept));
        }
    }
    left
}

/// Below this sum a row gets a new reference, or has nothing left. (Masses of 2^-397 of
/// that, and more, are not lost.)
const EXHAUSTED: f64 = f64::from_bits((1023 - 500) << 52);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch;
    use crate::source::Softmax;
    use crate::{Key, Level, Temperature};

    /// To the bit, where nothing is taken off the logits, a power of two or an offset, and where they are
    /// shrunk or negligible.
    #[test]
    fn lanes_weigh_what_they_do_in_their_block() {
        let mut uniforms = [0.0; BLOCK];
        Key { seed: 1, position: 0 }.fill(&mut uniforms);
        let cases = [
            (10.0, 0.8),
            (200.0, 0.8),
            (10.0, 1e-5),
            (3e38, 2e30),
            (1e37, 1e36),
            (10.0, 2e30),
            (10.0, 1e38),
            (10.0, f32::INFINITY),
        ];
        for (largest, t) in cases {
            let mut row = uniforms.map(|u| (largest * (2.0 * u - 1.0)) as f32);
            row[77] = f32::NEG_INFINITY;
            let t = Temperature::new(t).expect("above 0");
            let source = Softmax(t.factor().expect("not greedy"));
            for level in Level::available() {
                let mut weights = [0.0; BLOCK];
                dispatch!(level, simd => {
                    let peak = &mut Peak::none();
                    let summary = source.weigh::<true, _>(simd, &row, peak, &mut weights, |_| (), |_| ());
                    for lane in 0..LANES {
                        let mut of_lane = Lane::default();
                        source.weigh_lane(simd, &lane_of(&row, lane), summary.reference, &mut of_lane);
                        assert_eq!(of_lane, lane_of(&weights, lane), "{level}, {t:?}, lane {lane}");
                    }
                });
            }
        }
    }
}
