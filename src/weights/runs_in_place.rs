//! Runs in place: weights are written over the logits, so it must be known before that they serve.
//!
//! Each run therefore looks at the logits of the next one: whether they are so low that a weight counts as 0,
//! or so high that a sum might overflow. They are read twice, but that hides behind the multiplications. (A
//! Zen 4, 131072 in L2: 0.9 x the time of a loop that copies each block before it is weighed.)

use core::cell::Cell;
use core::ops::Range;

use super::guess::{highest_plain, plain_firsts};
use super::pipeline::weigh_groups;
use super::runs::{begins_low, is_plain, lowest, worth_trying};
use super::{Factor, TRUSTED};
use crate::blocks::{BLOCK, GROUP, Group};
use crate::prefetch::prefetch_lines_and_page;
use crate::simd::{AHEAD, LANES, Line, Simd, VECTORS};
use crate::summary::Summary;

/// Blocks of a run. (If they took whole pages, as eight do, what is looked at would wait for what is written
/// at the same place in its page: 1.05 x the time. With five 1.01 x, with three 1.02 x.)
const RUN: usize = 7;

/// [`weigh_runs`](super::weigh_runs), of a row that becomes its weights; but a run is weighed as a whole, or not
/// at all. `meanwhile` is called after each group.
///
/// A NaN is not looked for: it becomes a NaN, and so does the sum of its block.
#[expect(clippy::redundant_closure, reason = "`&mut meanwhile` itself may stay a call")]
#[inline(always)]
pub(crate) fn weigh_runs_in_place<S: Simd>(
    simd: S,
    row: &mut [f32],
    factor: &Factor,
    summaries: &mut Vec<Summary>,
    mut meanwhile: impl FnMut(),
) -> Range<usize> {
    let blocks = row.as_chunks().0;
    if !worth_trying::<S, f32>(blocks, factor) {
        return 0..0;
    }
    let end = blocks.as_flattened().len();
    let start = if begins_low(simd, factor, blocks) { BLOCK } else { 0 };
    summaries.resize(start / BLOCK, Summary::default());
    let (firsts, mut extremes) = (plain_firsts(factor), Extremes::new(simd));
    extremes.see_all(simd, &row[start..][..RUN * BLOCK]);
    let mut done = start;
    while done < end && extremes.serve(simd, factor) {
        let len = (RUN * BLOCK).min(end - done);
        let (run, rest) = row[done..end].split_at_mut(len);
        // (If so, no sum is too low, as no high logit lets one be too high: guess.rs.)
        if !run.as_chunks().0.iter().all(
            #[inline(always)]
            |block| is_plain(simd, block, &firsts),
        ) {
            break;
        }
        extremes = weigh_run_in_place(
            simd,
            run,
            rest,
            factor,
            summaries,
            #[inline(always)]
            || meanwhile(),
        );
        done += len;
    }
    start..done
}

/// Adds the summaries of the blocks of a run. Returns the extremes of the next one.
#[inline(always)]
fn weigh_run_in_place<S: Simd>(
    simd: S,
    run: &mut [f32],
    rest: &[f32],
    factor: &Factor,
    summaries: &mut Vec<Summary>,
    mut meanwhile: impl FnMut(),
) -> Extremes<S> {
    let blocks = run.len() / BLOCK;
    let groups = Cell::from_mut(run.as_chunks_mut().0).as_slice_of_cells().as_chunks().0;
    let (mut sums, mut extremes) = ([simd.widen(simd.splat(0.0)); RUN], Extremes::new(simd));
    let ahead = Ahead::new(rest);
    extremes.see_all(simd, ahead.first);
    weigh_groups(
        simd,
        groups,
        factor,
        &mut sums[..blocks],
        #[inline(always)]
        |group, i, logits: &Cell<[f32; LANES]>| {
            let x = simd.load(&logits.get());
            extremes.see(simd, simd.load(&ahead.group(group)[i]));
            x
        },
        #[inline(always)]
        |group, i, weights| {
            let mut room = [0.0; LANES];
            simd.store(weights, &mut room);
            groups[group][i].set(room);
        },
        #[inline(always)]
        |group, _| {
            meanwhile();
            prefetch_lines_and_page::<GROUP, _, _>(simd, rest, group * GROUP + AHEAD);
        },
    );
    summaries.extend(sums[..blocks].iter().map(
        #[inline(always)]
        |sum| {
            let summary = Summary::of_lanes(simd, *sum);
            debug_assert!(summary.sum.is_nan() || TRUSTED.contains(&summary.sum));
            summary
        },
    ));
    extremes
}

/// What follows a run, to be looked at: the first vector, and groups of whole cache lines, or, near the end, of
/// its own vectors. (Those straddle two lines, mostly: 1.1 x the time.)
struct Ahead<'a> {
    first: &'a [f32],
    lines: &'a [Group<f32>],
    groups: &'a [Group<f32>],
}

impl<'a> Ahead<'a> {
    fn new(rest: &'a [f32]) -> Self {
        let first = &rest[..rest.len().min(LANES)];
        let (before, lines, _) = bytemuck::pod_align_to::<_, Line>(rest);
        let lines: &[[f32; LANES]] =
            if before.len() < LANES { bytemuck::must_cast_slice(lines) } else { Default::default() };
        Self { first, lines: lines.as_chunks().0, groups: rest.as_chunks().0.as_chunks().0 }
    }

    /// The lines of a group begin after it does, by less than a vector: all before is looked at with the group
    /// before, or with the first vector; and they end after it. After the last group there is nothing.
    #[inline(always)]
    fn group(&self, group: usize) -> &'a Group<f32> {
        const NOTHING: &Group<f32> = &[[0.0; LANES]; VECTORS];
        self.lines.get(group).or(self.groups.get(group)).unwrap_or(NOTHING)
    }
}

/// The least and the highest logits, lane by lane; or 0. (No NaN.)
struct Extremes<S: Simd> {
    least: S::V,
    highest: S::V,
}

impl<S: Simd> Extremes<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = simd.splat(0.0);
        Self { least: zero, highest: zero }
    }

    #[inline(always)]
    fn see(&mut self, simd: S, x: S::V) {
        let Self { least, highest } = self;
        [*least, *highest] = simd.stage([simd.min(x, *least), simd.max(x, *highest)]);
    }

    #[inline(always)]
    fn see_all(&mut self, simd: S, logits: &[f32]) {
        for x in logits.as_chunks().0 {
            self.see(simd, simd.load(x));
        }
    }

    /// Whether all logits are suitable for runs.
    #[inline(always)]
    fn serve(&self, simd: S, factor: &Factor) -> bool {
        simd.all_not_below(self.least, lowest(simd, factor))
            && simd.all_not_below(simd.splat(highest_plain(factor)), self.highest)
    }
}

#[cfg(test)]
mod tests {
    use core::f32::consts::LN_2;

    use super::*;
    use crate::Level;
    use crate::blocks::AlignedBlock;
    use crate::simd::dispatch;
    use crate::weights::pipeline::tests::{levels_with_runs, plain_logits};
    use crate::weights::{Peak, weigh_block};

    const BLOCKS: usize = 23;

    /// Which part of a row becomes weights at T = 1.
    fn in_runs(level: Level, row: &mut [f32]) -> Range<usize> {
        let factor = Factor::new(1.0);
        dispatch!(level, simd => weigh_runs_in_place(simd, row, &factor, &mut vec![], || ()))
    }

    /// Weights and summaries are those of the blocks one by one, also beside a NaN; what is not done is as it
    /// was.
    #[test]
    fn runs_in_place_are_blocks_one_by_one() {
        let factor = Factor::new(1.0);
        for (level, masked) in levels_with_runs().flat_map(|level| [(level, false), (level, true)]) {
            let mut row = plain_logits(BLOCKS * BLOCK + 100);
            row[9 * BLOCK + 77] = f32::NAN;
            if masked {
                row[0] = f32::NEG_INFINITY;
            }
            let (mut weighed, mut summaries) = (row.clone(), vec![]);
            let done = dispatch!(
                level,
                simd => weigh_runs_in_place(simd, &mut weighed, &factor, &mut summaries, || ())
            );
            assert_eq!(done, if masked { BLOCK } else { 0 }..BLOCKS * BLOCK, "{level}");
            assert_eq!(summaries.len(), BLOCKS);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&weighed[..done.start]), bits(&row[..done.start]));
            assert_eq!(bits(&weighed[done.end..]), bits(&row[done.end..]));
            for start in done.step_by(BLOCK) {
                let (mut peak, mut single) = (Peak::of_probs(), AlignedBlock::default());
                let block = row[start..].first_chunk().expect("a block");
                let summary = dispatch!(
                    level,
                    simd => weigh_block::<true, _, _>(simd, block, &factor, &mut peak, &mut single, |_| (), |_| ())
                );
                let weighed = &weighed[start..][..BLOCK];
                if start == 9 * BLOCK {
                    assert!(summary.sum.is_nan() && summaries[9].sum.is_nan());
                    assert!(weighed.iter().zip(block).all(|(w, x)| w.is_nan() == x.is_nan()), "{level}");
                } else {
                    assert_eq!(bits(weighed), bits(&single[..]), "{level}, block {}", start / BLOCK);
                    assert_eq!(summaries[start / BLOCK], summary, "{level}, block {}", start / BLOCK);
                }
            }
        }
    }

    /// No block is written over that has a logit too low or too high, wherever it lies: around the ends of
    /// runs and of the row, and here and there between them; also where runs begin at the second block.
    #[test]
    fn each_logit_is_looked_at_before() {
        const LEN: usize = BLOCKS * BLOCK;
        for (level, offset) in
            levels_with_runs().flat_map(|level| (0..LANES).map(move |offset| (level, offset)))
        {
            for (i, tail) in [0, 1, 15, 16, 17].into_iter().enumerate() {
                let mut memory = plain_logits(LANES + LEN + tail);
                // From each place in a cache line on, wherever this begins.
                let row = &mut memory[offset..][..LEN + tail];
                let before = row.to_vec();
                let ends = (0..=BLOCKS).step_by(RUN).flat_map(|block| [block, block + 1]).chain([BLOCKS - 1]);
                let near = ends.flat_map(|block| (block * BLOCK).saturating_sub(20)..block * BLOCK + 20);
                let all = near.chain((offset * 5 + i..LEN).step_by(83));
                for place in all.filter(|place| *place < LEN) {
                    for x in [-126.6 * LN_2, 109.0 * LN_2, f32::NEG_INFINITY, f32::INFINITY] {
                        row.copy_from_slice(&before);
                        if place % 2 == 1 {
                            row[0] = f32::NEG_INFINITY;
                        }
                        row[place] = x;
                        let done = in_runs(level, row);
                        assert!(!done.contains(&place), "{level}, {offset}, {tail}: {place} in {done:?}");
                        assert_eq!(row[place].to_bits(), x.to_bits());
                    }
                }
            }
        }
    }
}
