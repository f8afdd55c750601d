//! The pass over a row that makes a [`Cdf`] of it.

use super::cdf::Cdf;
use super::lazy::LazyCdf;
use crate::blocks::{BLOCK, GROUPS, Group, for_each_other_block};
use crate::inversion::{EightIntervals, GroupIntervals};
use crate::prefetch::at_groups;
use crate::simd::{AHEAD, LANES, Line, Simd, VECTORS, dispatch};
use crate::source::{Softmax, Source, Weights};
use crate::summary::Total;
use crate::sums::{LaneSums, Sums, keep};
use crate::weights::{Factor, Peak};
use crate::{Level, Logit, RowError, Rows, Temperature};

impl Cdf {
    /// A table without its eights; empty if the row cannot be served.
    pub(super) fn fill<L: Logit>(
        &mut self,
        level: Level,
        source: impl Source<L>,
        index: usize,
        row: &[L],
    ) -> Result<(), RowError> {
        self.level = level;
        let served = dispatch!(level, simd => self.build_from(simd, source, row));
        self.vocab = served.map_or(0, |()| row.len());
        served.ok_or_else(|| source.diagnose(index, row))
    }

    /// `None` if the row cannot be served.
    #[inline(always)]
    fn build_from<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) -> Option<()> {
        self.reset(row.len());
        self.weigh(simd, source, row);
        self.accumulate(source.factor())
    }

    /// The weights, and the sums of their groups. (Those of lanes are scratch. Runs and single blocks have
    /// one each: shared, they take 1.02 x the time.)
    #[inline(always)]
    fn weigh<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) {
        let Self { summaries, group_sums, weights, .. } = self;
        let weights: &mut [Group<f32>] = bytemuck::must_cast_slice_mut(weights.as_chunks_mut::<VECTORS>().0);
        let (blocks, mut lane_sums) = (row.as_chunks().0, LaneSums::default());
        let loaded = at_groups::<false, _, _>(simd, row, 0, AHEAD);
        let done = source.weigh_runs(
            simd,
            row,
            summaries,
            #[inline(always)]
            |group, i, vector| simd.store(vector, &mut weights[group][i]),
            #[inline(always)]
            |sums| {
                let Sums::OfGroup(group, lanes) = sums else { return };
                loaded(group);
                let (block, group) = (group / GROUPS, group % GROUPS);
                simd.store(lanes, lane_sums[group].as_mut_array());
                if group == GROUPS - 1 {
                    group_sums[block] = source.sums(simd, &blocks[block], &lane_sums);
                }
            },
        );
        let (mut lane_sums, mut peak) = (LaneSums::default(), Peak::of_sums());
        for_each_other_block(
            row,
            source.padding(),
            done,
            #[inline(always)]
            |start, block| {
                let summary = source.weigh::<true, _>(
                    simd,
                    block,
                    &mut peak,
                    bytemuck::must_cast_mut(&mut weights.as_chunks_mut::<GROUPS>().0[start / BLOCK]),
                    at_groups::<false, _, _>(simd, row, start, AHEAD),
                    keep(simd, &mut lane_sums),
                );
                summary.put(start / BLOCK, summaries);
                group_sums[start / BLOCK] = source.sums(simd, block, &lane_sums);
            },
        );
    }

    fn reset(&mut self, len: usize) {
        let blocks = len.div_ceil(BLOCK);
        self.first = 0;
        self.guide.clear();
        self.summaries.clear();
        self.group_sums.resize(blocks, [0.0; GROUPS]);
        self.weights.resize(blocks * BLOCK / LANES, Line::ZERO);
        self.masses.resize(blocks * GROUPS, 0.0);
        self.eights.resize(blocks * GROUPS, EightIntervals::default());
        self.scales.resize(blocks * GROUPS, 0.0);
        self.summed.clear();
        self.summed.resize(blocks * GROUPS, false);
    }

    /// The prefixes of the groups. `None` if the row cannot be served.
    fn accumulate(&mut self, factor: &Factor) -> Option<()> {
        let total = Total::of(&mut self.summaries, factor)?;
        self.sum = total.sum;
        let (starts, mut before) = (self.prefixes.begin(self.masses.len()).as_chunks_mut().0, 0.0);
        let parts = starts.iter_mut().zip(self.masses.as_chunks_mut().0);
        for ((summary, sums), (starts, masses)) in self.summaries.iter().zip(&self.group_sums).zip(parts) {
            let groups = GroupIntervals::new(sums, before, total.mass(summary, factor));
            (*starts, *masses) = (groups.starts_below(summary.through), *groups.masses());
            before = summary.through;
        }
        self.prefixes.fill_cells(self.sum);
        Some(())
    }

    /// Sums the eights of a group.
    #[inline(always)]
    pub(super) fn finish_group<S: Simd>(&mut self, simd: S, group: usize) {
        let weights: &[Line; VECTORS] = &self.weights.as_chunks().0[group];
        let mass = self.masses[group];
        self.scales[group] = self.eights[group].set(simd, bytemuck::must_cast_ref(weights), mass);
    }
}

impl Level {
    /// [`Cdf::rebuild`], on this level.
    ///
    /// # Errors
    /// Those of [`Cdf::rebuild`].
    pub fn rebuild_cdf<L: Logit>(
        self,
        cdf: &mut Cdf,
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<(), RowError> {
        if let Some(factor) = temperature.factor() {
            LazyCdf::fill(cdf, self, Softmax(factor), row, logits.row(row))?.finish();
        } else {
            // The greedy token, as a row of its own. (Without one, the table is empty.)
            (cdf.level, cdf.vocab) = (self, 0);
            cdf.guide.clear();
            let token = self.greedy_token(logits, row)?;
            LazyCdf::fill(cdf, self, Weights, row, &[1.0_f32])?.finish();
            (cdf.first, cdf.vocab) = (token, logits.vocab());
        }
        Ok(())
    }

    /// [`Cdf::rebuild_from_probs`], on this level.
    ///
    /// # Errors
    /// Those of [`Cdf::rebuild_from_probs`].
    pub fn rebuild_cdf_from_probs<L: Logit>(
        self,
        cdf: &mut Cdf,
        probs: Rows<'_, L>,
        row: usize,
    ) -> Result<(), RowError> {
        LazyCdf::fill(cdf, self, Weights, row, probs.row(row))?.finish();
        Ok(())
    }
}
