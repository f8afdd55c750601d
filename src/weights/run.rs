//! Runs: several blocks in one loop, whose weights are relative to 1 and do not count as 0. At ordinary
//! temperatures most blocks are like that. The summaries are those of [`weigh_block`](super::weigh_block).
//!
//! ```text
//! for each vector:  2^t of its logits, times 2^n
//!                   beside that, of the next group's:  n = round(x * hi), t = (x * hi - n) + x * lo
//! for each group:   their sums
//! in the end:       the sums of the blocks; whether they serve
//! ```
//!
//! A long row is weighed like this up to the first block that does not serve, from its first block on, or, if
//! that has a masked token in front, from its second. Only AVX-512 has the registers for it, and in place it
//! is not done: there, weights overwrite the logits before it is known whether they serve.
//!
//! In this order (a software pipeline: Lam, 1988), nothing waits for a t. And what counts as 0 is looked for
//! once, in the end, by the least logit: on a Zen 4, a minimum goes through the ports that add, a comparison
//! of each n through those that multiply, which have the most to do. There, a row of 131072 in L2 takes 0.91 x
//! the time, a softmax 0.88 x.

use core::hint::black_box;
use core::ops::Range;

use super::guess::plain_firsts;
use super::{Factor, TRUSTED, add_lanes};
use crate::Logit;
use crate::blocks::{BLOCK, GROUPS, Group};
use crate::simd::{Exp2, LANES, LOWEST, Simd, VECTORS};
use crate::summary::{Reference, Summary};
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
/// logits is too low for them, mostly that of a special token that is masked, they begin at the second block, and
/// in place of the first is an empty summary. (A Zen 4, 131072 in L2: 0.89 x the time, a softmax 0.87 x, a `Cdf`
/// 0.94 x.) Returns where in the row they lie. `summaries` is empty at first.
///
/// `weighed` is called with the number of each group and its weights, `summed` with that and the sums of its
/// lanes, in order; also for some blocks from the first that does not serve on, which are weighed again then.
#[inline(always)]
pub(crate) fn weigh_runs<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    factor: &Factor,
    summaries: &mut Vec<Summary>,
    mut weighed: impl FnMut(usize, [S::V; VECTORS]),
    mut summed: impl FnMut(Sums<S>),
) -> Range<usize> {
    let blocks = row.as_chunks::<BLOCK>().0;
    if !S::HOLDS_GROUP || blocks.len() < WORTH_TRYING || factor.shrink != 1.0 {
        return 0..0;
    }
    debug_assert!(summaries.is_empty());
    let first_is_low = has_low(simd, factor, &blocks[0].as_chunks().0[..1]);
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
            |group, weights| weighed(first + group, weights),
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

/// Adds the summaries of the blocks of a run, up to the first that does not serve. Returns how many do.
#[expect(
    clippy::redundant_closure,
    reason = "`&mut summed` itself may stay a call: built for a Zen 4, a `Cdf` took 1.3 x"
)]
#[inline(always)]
fn weigh_run<S: Simd, L: Logit>(
    simd: S,
    blocks: &[[L; BLOCK]],
    factor: &Factor,
    summaries: &mut Vec<Summary>,
    weighed: impl FnMut(usize, [S::V; VECTORS]),
    mut summed: impl FnMut(Sums<S>),
) -> usize {
    let firsts = plain_firsts(factor);
    if !blocks.first().is_some_and(|block| is_plain(simd, block, &firsts)) {
        return 0;
    }
    let mut sums = [simd.widen(simd.splat(0.0)); RUN];
    let least = sum_blocks(
        simd,
        blocks,
        factor,
        &mut sums,
        weighed,
        #[inline(always)]
        |sums| summed(sums),
    );
    for (block, sum) in sums[..blocks.len()].iter().enumerate() {
        summed(Sums::OfBlock(block, *sum));
    }
    let before = summaries.len();
    summaries.extend(sums[..blocks.len()].iter().map(
        #[inline(always)]
        |sum| Summary::new(simd.reduce_add_wide(*sum), Reference::default()),
    ));
    let weighed = blocks.iter().zip(&summaries[before..]).take_while(
        #[inline(always)]
        |(block, summary)| is_plain(simd, block, &firsts) && TRUSTED.contains(&summary.sum),
    );
    let mut serving = weighed.count();
    if !simd.all_not_below(least, lowest(simd, factor)) {
        serving = count_before_low(simd, factor, &blocks[..serving]);
    }
    summaries.truncate(before + serving);
    serving
}

/// What a logit in runs is not below.
#[inline(always)]
fn lowest<S: Simd>(simd: S, factor: &Factor) -> S::V {
    simd.splat(LOWEST / factor.hi)
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
fn is_plain<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK], firsts: &Range<f32>) -> bool {
    let x = L::load(simd, &block.as_chunks().0[0]);
    simd.lanes_not_below(x, simd.splat(firsts.start)) != 0
        && simd.lanes_not_below(x, simd.splat(firsts.end)) == 0
}

/// Puts the sums of blocks, lane by lane, and returns the least logit of each lane, or 0. (No NaN: that is left
/// to the sums.)
#[inline(always)]
fn sum_blocks<S: Simd, L: Logit>(
    simd: S,
    blocks: &[[L; BLOCK]],
    factor: &Factor,
    sums: &mut [S::D; RUN],
    mut weighed: impl FnMut(usize, [S::V; VECTORS]),
    mut summed: impl FnMut(Sums<S>),
) -> S::V {
    // (`black_box`, as in blocks.rs: loops are to stay loops.)
    let groups: &[Group<L>] = black_box(blocks.as_flattened().as_chunks().0.as_chunks().0);
    let (exp2, zero) = (Exp2::new(simd, factor.hi, factor.lo), simd.splat(0.0));
    let (mut n, mut t, mut least) = ([zero; VECTORS], [zero; VECTORS], zero);
    for i in 0..VECTORS {
        (n[i], t[i]) = begin(simd, &exp2, &groups[0][i], &mut least);
    }
    let mut group = 0;
    for sum in &mut sums[..blocks.len()] {
        let mut wide = simd.widen(zero);
        for _ in 0..black_box(GROUPS) {
            // After the last group, that one again.
            let next = &groups[(group + 1).min(groups.len() - 1)];
            let mut weights = [zero; VECTORS];
            for i in 0..VECTORS {
                weights[i] = simd.scalef(exp2.polynomial(simd, t[i]), n[i]);
                (n[i], t[i]) = begin(simd, &exp2, &next[i], &mut least);
            }
            weighed(group, weights);
            let lanes = add_lanes(simd, weights);
            summed(Sums::OfGroup(group, lanes));
            wide = simd.add_wide(wide, simd.widen(lanes));
            group += 1;
        }
        *sum = wide;
    }
    least
}

/// n and t of a vector.
#[inline(always)]
fn begin<S: Simd, L: Logit>(simd: S, exp2: &Exp2<S>, x: &[L; LANES], least: &mut S::V) -> (S::V, S::V) {
    let x = L::load(simd, x);
    *least = simd.min(x, *least);
    exp2.reduce(simd, x)
}

#[cfg(test)]
mod tests {
    use core::f32::consts::LN_2;

    use super::*;
    use crate::simd::dispatch;
    use crate::weights::{Peak, weigh_block};
    use crate::{Key, Level};

    const BLOCKS: usize = 20;

    /// Which blocks of a row come in runs at T = 1. Their summaries are those of the blocks one by one.
    fn in_runs(level: Level, row: &[f32]) -> Range<usize> {
        let (factor, mut summaries) = (Factor::new(1.0), vec![]);
        let done =
            dispatch!(level, simd => weigh_runs(simd, row, &factor, &mut summaries, |_, _| (), |_| ()));
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

    fn holds_group<S: Simd>(_: S) -> bool {
        S::HOLDS_GROUP
    }

    /// What a run must not have, in any block of it, where only some would change a bit; and what it may.
    #[test]
    fn runs_end_where_a_block_is_not_plain() {
        let mut uniforms = vec![0.0; BLOCKS * BLOCK + 100];
        Key { seed: 3, position: 0 }.fill(&mut uniforms);
        let row: Vec<f32> = uniforms.iter().map(|u| (20.0 * u - 10.0) as f32).collect();
        let levels = Level::available().filter(|level| dispatch!(level, simd => holds_group(simd)));
        let levels = levels.inspect(|level| {
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
