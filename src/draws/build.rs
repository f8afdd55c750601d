//! The pass over a row that makes a [`Cdf`] of it.

use super::cdf::{Block, Cdf, VECTORS};
use super::search::accumulate_vectors;
use super::source::{Softmax, Source, Weights};
use crate::argmax::greatest;
use crate::batch::diagnose;
use crate::blocks::{BLOCK, GROUP, for_each_block, groups, prefetch_group};
use crate::sample::diagnose_weights;
use crate::simd::{AHEAD, Simd, dispatch};
use crate::summary::Total;
use crate::weights::Factor;
use crate::{Level, Logit, RowError, Rows, Temperature};

/// Blocks whose vectors are summed together.
const TOGETHER: usize = 4;

impl Cdf {
    /// False if the row cannot be served.
    #[inline(always)]
    fn build<S: Simd, L: Logit>(&mut self, simd: S, row: &[L], temperature: &Temperature) -> bool {
        let Some(factor) = temperature.factor() else {
            return greatest(simd, row).is_some_and(|(token, _)| self.build_single(simd, token));
        };
        self.build_from(simd, Softmax(*factor), row)
    }

    /// The greedy token, as a row of its own.
    #[inline(always)]
    fn build_single<S: Simd>(&mut self, simd: S, token: usize) -> bool {
        let served = self.build_from(simd, Weights, &[1.0]);
        self.first = token as u32;
        served
    }

    /// False if the row cannot be served.
    #[inline(always)]
    fn build_from<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) -> bool {
        self.reset(row.len());
        for_each_block(
            row,
            source.nothing(),
            #[inline(always)]
            |start, block| {
                let weights = &mut self.weights[start / BLOCK];
                self.summaries.push(source.weigh(
                    simd,
                    block,
                    weights,
                    #[inline(always)]
                    |group| {
                        prefetch_group::<false, _, _>(simd, row, start + group * GROUP, AHEAD);
                    },
                ));
            },
        );
        self.sum_vectors(simd);
        self.accumulate(&source.factor())
    }

    fn reset(&mut self, len: usize) {
        let blocks = len.div_ceil(BLOCK).next_multiple_of(TOGETHER);
        self.first = 0;
        self.guide.clear();
        self.summaries.clear();
        self.blocks.resize(blocks, Block::default());
        self.weights.resize(blocks, [0.0; BLOCK]);
    }

    /// The prefixes of the vectors, a few blocks at a time. (The blocks beyond the row are never drawn from.)
    #[inline(always)]
    fn sum_vectors<S: Simd>(&mut self, simd: S) {
        for (blocks, weights) in
            self.blocks.as_chunks_mut().0.iter_mut().zip(self.weights.as_chunks::<TOGETHER>().0)
        {
            let mut sums = [[0.0; VECTORS]; TOGETHER];
            for (sums, weights) in sums.iter_mut().zip(weights) {
                for (sums, vectors) in sums.as_chunks_mut().0.iter_mut().zip(groups(weights)) {
                    *sums = simd.reduce_add_eight(vectors);
                }
            }
            accumulate_vectors(blocks, &sums);
        }
    }

    /// The prefixes of the blocks. False if the row cannot be served.
    fn accumulate(&mut self, factor: &Factor) -> bool {
        let Some(total) = Total::of(&mut self.summaries, factor) else { return false };
        self.sum = total.sum;
        let mut before = 0.0;
        for (block, summary) in self.blocks.iter_mut().zip(&self.summaries) {
            (block.before, block.mass) = (before, total.mass(summary, factor));
            before = summary.through;
        }
        self.prefixes.fill(self.blocks[..self.summaries.len()].iter().map(|block| block.before), self.sum);
        true
    }
}

impl Level {
    /// [`Cdf::rebuild`], on this level.
    ///
    /// # Errors
    /// As there.
    pub fn rebuild_cdf<L: Logit>(
        self,
        cdf: &mut Cdf,
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<(), RowError> {
        let logits = logits.row(row);
        cdf.level = self;
        let served = dispatch!(self, simd => cdf.build(simd, logits, &temperature));
        cdf.vocab = if served { logits.len() } else { 0 };
        if served { Ok(()) } else { Err(diagnose(row, logits)) }
    }

    /// [`Cdf::rebuild_from_probs`], on this level.
    ///
    /// # Errors
    /// As there.
    pub fn rebuild_cdf_from_probs(self, cdf: &mut Cdf, probs: Rows<'_>, row: usize) -> Result<(), RowError> {
        let probs = probs.row(row);
        cdf.level = self;
        let served = dispatch!(self, simd => cdf.build_from(simd, Weights, probs));
        cdf.vocab = if served { probs.len() } else { 0 };
        if served { Ok(()) } else { Err(diagnose_weights(row, probs)) }
    }
}
