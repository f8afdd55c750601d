//! Runs: the first blocks of a row, several in one loop (pipeline.rs), up to the first that is not plain.
//!
//! A long row is weighed like this from its first block on, or, if that has a masked token in front, from its
//! second. Only AVX-512 has the registers for it. Whether a run serves is known in the end, by its sums and
//! its least logit: so what it wrote may have to be written again.

use core::ops::Range;

use super::guess::plain_firsts;
use super::pipeline::weigh_groups;
use super::{Factor, TRUSTED};
use crate::Logit;
use crate::blocks::{BLOCK, GROUPS};
use crate::simd::{LANES, LOWEST, Simd};
use crate::summary::Summary;
use crate::sums::Sums;

/// Blocks of a run. (With four, a row takes 0.94 x the time of none; with sixteen as long as with eight.)
const RUN: usize = 8;

/// Blocks of the first run: where runs do not suit a row, its first block mostly shows it, and little is
/// lost.
const FIRST_RUN: usize = 1;

/// Blocks that are looked at before runs begin at the second one: if masked tokens are scattered over the
/// row, they mostly show it. (Without that, rows of 8192 with one token in 1000 masked take 1.08 x the time.)
const AFTER_LOW: usize = 4;

/// The fewest blocks of a row in which runs are tried. (The blocks of a run from the first that does not
/// serve on are weighed in vain.)
const WORTH_TRYING: usize = 16;

/// The summaries of the first blocks of a row, run by run, until one does not serve. If one of the very first
/// logits is too low for them, mostly that of a special token that is masked, they begin at the second block,
/// and in place of the first is an empty summary. (A Zen 4, 131072 in L2: 0.89 x the time, a softmax 0.87 x,
/// a `Cdf` 0.94 x.) Returns where in the row they lie. `summaries` is empty at first.
///
/// `weighed` is called with the numbers of each group and of a vector in it, and with its weights, `summed`
/// with the sums of each group and block, in order; also for some blocks from the first that does not serve
/// on, which are weighed again then.
#[inline(always)]
pub(crate) fn weigh_runs<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    factor: &Factor,
    summaries: &mut Vec<Summary>,
    mut weighed: impl FnMut(usize, usize, S::V),
    mut summed: impl FnMut(Sums<S>),
) -> Range<usize> {
    let blocks = row.as_chunks::<BLOCK>().0;
    if !worth_trying::<S, L>(blocks, factor) {
        return 0..0;
    }
    debug_assert!(summaries.is_empty());
    let first_is_low = begins_low(simd, factor, blocks);
    if first_is_low && count_before_low(simd, factor, &blocks[1..=AFTER_LOW]) < AFTER_LOW {
        return 0..0;
    }
    let skipped = usize::from(first_is_low);
    summaries.resize(skipped, Summary::default());
    let mut done = skipped;
    while done < blocks.len() {
        let len = if done == skipped { FIRST_RUN } else { RUN };
        let run = &blocks[done..blocks.len().min(done + len)];
        let first = done * GROUPS;
        let serving = weigh_run(
            simd,
            run,
            factor,
            summaries,
            #[inline(always)]
            |group, i, weights| weighed(first + group, i, weights),
            #[inline(always)]
            |sums| summed(sums.after(done)),
        );
        done += serving;
        if serving < run.len() {
            break;
        }
    }
    skipped * BLOCK..done * BLOCK
}

/// Whether runs are tried.
#[inline(always)]
pub(super) fn worth_trying<S: Simd, L>(blocks: &[[L; BLOCK]], factor: &Factor) -> bool {
    S::HOLDS_GROUP && blocks.len() >= WORTH_TRYING && factor.shrink == 1.0
}

/// Adds the summaries of the blocks of a run, up to the first that does not serve. Returns how many do.
#[inline(always)]
fn weigh_run<S: Simd, L: Logit>(
    simd: S,
    blocks: &[[L; BLOCK]],
    factor: &Factor,
    summaries: &mut Vec<Summary>,
    weighed: impl FnMut(usize, usize, S::V),
    mut summed: impl FnMut(Sums<S>),
) -> usize {
    let firsts = plain_firsts(factor);
    if !blocks.first().is_some_and(|block| is_plain(simd, block, &firsts)) {
        return 0;
    }
    let (mut sums, mut least) = ([simd.widen(simd.splat(0.0)); RUN], simd.splat(0.0));
    weigh_groups(
        simd,
        blocks.as_flattened().as_chunks().0.as_chunks().0,
        factor,
        &mut sums[..blocks.len()],
        #[inline(always)]
        |_, _, vector| {
            let x = L::load(simd, vector);
            // (No NaN: that is left to the sums.)
            [least] = simd.stage([simd.min(x, least)]);
            x
        },
        weighed,
        #[inline(always)]
        |group, lanes| summed(Sums::OfGroup(group, lanes)),
    );
    for (block, sum) in sums[..blocks.len()].iter().enumerate() {
        summed(Sums::OfBlock(block, *sum));
    }
    let before = summaries.len();
    summaries.extend(sums[..blocks.len()].iter().map(
        #[inline(always)]
        |sum| Summary::of_lanes(simd, *sum),
    ));
    let plain = blocks.iter().zip(&summaries[before..]).take_while(
        #[inline(always)]
        |(block, summary)| is_plain(simd, block, &firsts) && TRUSTED.contains(&summary.sum),
    );
    let mut serving = plain.count();
    if !simd.all_not_below(least, lowest(simd, factor)) {
        serving = count_before_low(simd, factor, &blocks[..serving]);
    }
    summaries.truncate(before + serving);
    serving
}

/// What a logit in runs is not below.
#[inline(always)]
pub(super) fn lowest<S: Simd>(simd: S, factor: &Factor) -> S::V {
    simd.splat(LOWEST / factor.hi)
}

/// Whether one of the very first logits is too low for runs.
#[inline(always)]
pub(super) fn begins_low<S: Simd, L: Logit>(simd: S, factor: &Factor, blocks: &[[L; BLOCK]]) -> bool {
    has_low(simd, factor, &blocks[0].as_chunks().0[..1])
}

/// Whether a logit is too low for runs: mostly that of a masked token. (No NaN: that is left to the sums.)
#[inline(always)]
fn has_low<S: Simd, L: Logit>(simd: S, factor: &Factor, vectors: &[[L; LANES]]) -> bool {
    let mut least = simd.splat(0.0);
    for vector in vectors {
        least = simd.min(L::load(simd, vector), least);
    }
    !simd.all_not_below(least, lowest(simd, factor))
}

/// How many blocks come before the first with such a logit.
#[inline(never)]
fn count_before_low<S: Simd, L: Logit>(simd: S, factor: &Factor, blocks: &[[L; BLOCK]]) -> usize {
    simd.vectorize(
        #[inline(always)]
        || {
            let before = blocks.iter().take_while(
                #[inline(always)]
                |block| !has_low(simd, factor, block.as_chunks().0),
            );
            before.count()
        },
    )
}

/// Whether the guess for a block is certainly 1.
#[inline(always)]
pub(super) fn is_plain<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK], firsts: &Range<f32>) -> bool {
    let x = L::load(simd, &block.as_chunks().0[0]);
    simd.lanes_not_below(x, simd.splat(firsts.start)) != 0
        && simd.lanes_not_below(x, simd.splat(firsts.end)) == 0
}

#[cfg(test)]
mod tests {
    use core::f32::consts::LN_2;

    use super::*;
    use crate::Level;
    use crate::simd::dispatch;
    use crate::weights::pipeline::tests::{levels_with_runs, plain_logits};
    use crate::weights::{Peak, weigh_block};

    const BLOCKS: usize = 20;

    /// Which blocks of a row come in runs at T = 1. Their summaries are those of the blocks one by one.
    fn in_runs(level: Level, row: &[f32]) -> Range<usize> {
        let (factor, mut summaries) = (Factor::new(1.0), vec![]);
        let done =
            dispatch!(level, simd => weigh_runs(simd, row, &factor, &mut summaries, |_, _, _| (), |_| ()));
        let summaries = &summaries[done.start / BLOCK..];
        for (block, summary) in row[done.clone()].as_chunks().0.iter().zip(summaries) {
            let (mut peak, mut weights) = (Peak::of_sums(), [0.0; BLOCK]);
            let single = dispatch!(
                level,
                simd => weigh_block::<true, _, _>(simd, block, &factor, &mut peak, &mut weights, |_| (), |_| ())
            );
            assert_eq!(single, *summary);
        }
        assert_eq!(done.len(), summaries.len() * BLOCK);
        done.start / BLOCK..done.end / BLOCK
    }

    /// What a run must not have, in any block of it, where only some would change a bit; and what it may.
    #[test]
    fn runs_end_where_a_block_is_not_plain() {
        let row = plain_logits(BLOCKS * BLOCK + 100);
        let levels = levels_with_runs().inspect(|level| {
            assert_eq!(in_runs(*level, &row), 0..BLOCKS);
            assert_eq!(in_runs(*level, &row[..WORTH_TRYING * BLOCK - 1]), 0..0);
        });
        for (level, block) in levels.flat_map(|level| (0..BLOCKS).map(move |block| (level, block))) {
            let with = |places: [usize; 2], x: f32| {
                let mut row = row.clone();
                row[block * BLOCK..][places[0]..places[1]].fill(x);
                in_runs(level, &row)
            };
            for x in [f32::NAN, f32::INFINITY, 118.0 * LN_2] {
                let found = [with([0, 1], x), with([16, 17], x), with([511, 512], x)];
                assert!(
                    found.iter().all(|found| *found == (0..block)),
                    "{level}, block {block}: {x}: {found:?}"
                );
            }
            // With one of its first logits too low, the first block is left out.
            let rest = if block == 0 { 1..BLOCKS } else { 0..block };
            for x in [f32::NEG_INFINITY, -1e9, -126.3 * LN_2] {
                let found = [with([0, 1], x), with([15, 16], x), with([0, 512], x)];
                assert!(found.iter().all(|found| *found == rest), "{level}, block {block}: {x}: {found:?}");
                assert_eq!(with([16, 17], x), 0..block, "{level}, block {block}: {x}");
                assert_eq!(with([511, 512], x), 0..block, "{level}, block {block}: {x}");
            }
            if block > 0 {
                let mut row = row.clone();
                (row[7], row[block * BLOCK + 9]) = (f32::NEG_INFINITY, f32::NAN);
                assert_eq!(in_runs(level, &row), 1..block, "{level}, block {block}");
                row[block * BLOCK + 9] = f32::NEG_INFINITY;
                let runs = if block <= AFTER_LOW { 0..0 } else { 1..block };
                assert_eq!(in_runs(level, &row), runs, "{level}, block {block}");
            }
            for x in [-24.1 * LN_2, 64.1 * LN_2] {
                assert_eq!(with([0, 16], x), 0..block, "{level}, block {block}: {x}");
            }
            for x in [-125.9 * LN_2, 117.0 * LN_2] {
                assert_eq!(with([100, 101], x), 0..BLOCKS, "{level}, block {block}: {x}");
            }
        }
    }
}
