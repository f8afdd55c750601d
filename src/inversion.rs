//! Inside a block, from a target to its token: the group, eight tokens of it, the lane in whose interval it
//! lies.
//!
//! ```text
//! group   in the units of the row's sum: no division per draw
//! eight   of the group, half a vector, with what is left of the target, scaled to their sum, in f64
//! lane    of the eight, in f64
//! ```
//!
//! Groups have the sums that the pass took: of logits, pairwise in f32, of eight weights in each lane. What
//! that rounds falls on all tokens of the group alike.
//!
//! No target lies in a part in which the sum does not grow, and the last in which it does has no end. So a
//! token of weight 0 is never drawn, and the token never goes down when the target goes up.

use crate::blocks::{GROUP, GROUPS, Group};
use crate::simd::{EIGHTS, Simd, WIDE_LANES};
use crate::summary::Found;

/// The token of a target that lies in a block, given the sums of its groups, and the weights of one by its
/// number.
#[inline(always)]
pub(crate) fn find_in_block<'a, S: Simd>(
    simd: S,
    sums: &[f64; GROUPS],
    block: &Found,
    target: f64,
    weights: impl FnOnce(usize) -> &'a Group<f32>,
) -> usize {
    let intervals = GroupIntervals::new(sums, block.before, block.mass);
    let (group, within) = intervals.find(target);
    let weights = weights(group);
    let mut eights = EightIntervals::default();
    let scale = eights.set(simd, weights, intervals.mass(group));
    let (eight, within) = eights.find(simd, within * scale);
    let weights = weights.as_flattened().as_chunks().0;
    let [lane] = find_lanes(simd, [&weights[eight]], &[within]);
    group * GROUP + eight * WIDE_LANES + lane as usize
}

/// The groups of a block, as intervals of the row's sum.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct GroupIntervals {
    /// Infinite after the last in which the sum grows.
    starts: [f64; GROUPS],
    masses: [f64; GROUPS],
}

impl GroupIntervals {
    /// `sums` are those of the groups, in the block's units; what lies before the block, and its mass, are in
    /// the row's. (In a block of mass 0 nothing is ever looked for.)
    #[inline(always)]
    pub(crate) fn new(sums: &[f64; GROUPS], before: f64, mass: f64) -> Self {
        let (prefixes, total) = prefixes(sums);
        let scale = mass / total;
        let mut starts = prefixes.map(|prefix| before + prefix * scale);
        starts[0] = before; // also where the sum is 0
        Self { starts, masses: sums.map(|sum| sum * scale) }
    }

    /// The group that a target lies in, and what is left of it there. (It is not below the block's start.)
    #[inline(always)]
    pub(crate) fn find(&self, target: f64) -> (usize, f64) {
        let group: usize = self.starts[1..].iter().map(|&start| usize::from(start <= target)).sum();
        (group, target - self.starts[group])
    }

    /// Where they start; but where one lies above the end of the block, or is NaN in one of mass 0, that end.
    /// (No target of the block is found there in any case. So those of all blocks never fall.)
    #[inline(always)]
    pub(crate) fn starts_below(&self, end: f64) -> [f64; GROUPS] {
        self.starts.map(|start| if start < end { start } else { end })
    }

    pub(crate) const fn masses(&self) -> &[f64; GROUPS] {
        &self.masses
    }

    pub(crate) const fn mass(&self, group: usize) -> f64 {
        self.masses[group]
    }
}

/// The eights of a group, as intervals of their sum.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct EightIntervals {
    /// Infinite from the last in which the sum grows: it has no end. The last place, which nobody asks for, has
    /// the 0 at which the first begins.
    ends: [f64; EIGHTS],
}

impl EightIntervals {
    /// Makes them those of a group. Returns what a target is multiplied by: their sum, over the mass of the
    /// group. (Finite, also where the mass is subnormal: a target of 0 must stay 0. Set in place, since LLVM
    /// would copy them by way of the stack, in parts which a Zen 4 is slow to read as a whole: 1000 draws took
    /// 1.02 x the time.)
    #[inline(always)]
    pub(crate) fn set<S: Simd>(&mut self, simd: S, weights: &Group<f32>, mass: f64) -> f64 {
        self.ends = simd.sum_eights(weights);
        let total = self.ends[EIGHTS - 1];
        // They never fall: mostly one comparison says that the last of them grows.
        if self.ends[EIGHTS - 2] == total {
            end(&mut self.ends, total);
        }
        self.ends[EIGHTS - 1] = 0.0;
        (total / mass).min(f64::MAX)
    }

    /// The eight that a target lies in, and what is left of it there.
    #[inline(always)]
    pub(crate) fn find<S: Simd>(&self, simd: S, target: f64) -> (usize, f64) {
        let eight = simd.count_fifteen_not_above(&self.ends, target);
        (eight, target - self.ends[eight.wrapping_sub(1) % EIGHTS])
    }
}

/// The sum before each part, infinite after the last in which it grows; and the sum of all.
#[inline(always)]
fn prefixes(parts: &[f64; GROUPS]) -> ([f64; GROUPS], f64) {
    let (mut before, mut total) = ([0.0; GROUPS], 0.0);
    for i in 0..GROUPS {
        before[i] = total;
        total += parts[i];
    }
    // They never fall: mostly one comparison says that none is the sum of all.
    if before[GROUPS - 1] == total {
        end(&mut before[1..], total);
    }
    (before, total)
}

#[cold]
fn end(before: &mut [f64], total: f64) {
    before.iter_mut().filter(|before| **before == total).for_each(|before| *before = f64::INFINITY);
}

/// Of each eight weights, the lane at which the running sum exceeds its target; if rounding lets none
/// exceed it, the last lane that is not 0.
#[inline(always)]
pub(crate) fn find_lanes<S: Simd, const N: usize>(
    simd: S,
    weights: [&[f32; WIDE_LANES]; N],
    targets: &[f64; N],
) -> [u32; N] {
    let (mut sums, mut lanes) = ([0.0; N], [0; N]);
    let transposed = weights.first_chunk().map(
        #[inline(always)]
        |sixteen| simd.transpose(sixteen),
    );
    for lane in 0..WIDE_LANES {
        for i in 0..N {
            let weight = match &transposed {
                Some(transposed) => transposed[lane][i],
                None => weights[i][lane],
            };
            sums[i] += f64::from(weight);
            lanes[i] += u32::from(sums[i] <= targets[i]);
        }
    }
    if lanes.iter().fold(0, |most, lane| most.max(*lane)) == WIDE_LANES as u32 {
        mend(&mut lanes, &weights);
    }
    lanes
}

#[cold]
fn mend(lanes: &mut [u32], weights: &[&[f32; WIDE_LANES]]) {
    for (lane, weights) in lanes.iter_mut().zip(weights) {
        if *lane == WIDE_LANES as u32 {
            *lane = weights.iter().rposition(|w| *w > 0.0).unwrap_or_default() as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{LANES, VECTORS, dispatch};
    use crate::{Key, Level};

    const TARGETS: [f64; 6] = [0.0, 0.9, 1.0, 2.9, 3.0, 4.0];
    const PARTS: [u32; 6] = [3, 3, 5, 5, 5, 5];

    /// Rounding may carry a target to the end of its part, and beyond.
    #[test]
    fn targets_beyond_the_end_find_the_last_that_is_not_0() {
        let mut weights = [0.0; WIDE_LANES];
        (weights[3], weights[5]) = (1.0, 2.0);
        for level in Level::available() {
            // Before, between and after those that weigh something, others that do not; or none after.
            for (first, last) in [(3, 5), (0, 1), (9, EIGHTS - 1), (0, EIGHTS - 1)] {
                let mut group = [[0.0; LANES]; VECTORS];
                let eights = group.as_flattened_mut().as_chunks_mut::<WIDE_LANES>().0;
                (eights[first][7], eights[last][0]) = (1.0, 2.0);
                let mut eights = EightIntervals::default();
                let scale = dispatch!(level, simd => eights.set(simd, &group, 1.5));
                assert_eq!(scale, 2.0);
                let found = TARGETS.map(|t| dispatch!(level, simd => eights.find(simd, t)));
                assert_eq!(
                    found.map(|(eight, _)| eight),
                    PARTS.map(|part| if part == 3 { first } else { last })
                );
                assert_eq!(found.map(|(_, within)| within), [0.0, 0.9, 0.0, 2.9 - 1.0, 2.0, 3.0], "{level}");
            }
            let lanes = dispatch!(level, simd => find_lanes(simd, [&weights; 6], &TARGETS));
            assert_eq!(lanes, PARTS, "{level}");
            let all = core::array::from_fn(|i| TARGETS[i % 6]);
            let lanes = dispatch!(level, simd => find_lanes(simd, [&weights; LANES], &all));
            assert_eq!(lanes, core::array::from_fn(|i| PARTS[i % 6]), "{level}");
        }
    }

    /// As one lane after the other adds them up, of weights so different that rounding tells in which order.
    #[test]
    fn sums_of_eights_have_the_same_bits_on_every_level() {
        let mut uniforms = [0.0; 50 * GROUP];
        Key { seed: 1, position: 0 }.fill(&mut uniforms);
        for uniforms in uniforms.as_chunks::<GROUP>().0 {
            let weights = uniforms.map(|u| (80.0 * u - 40.0).exp2() as f32);
            let (mut lanes, mut sums) = ([0.0; 4], [0.0; EIGHTS]);
            for (eight, sum) in weights.chunks(WIDE_LANES).zip(&mut sums) {
                for (l, lane) in lanes.iter_mut().enumerate() {
                    *lane += f64::from(eight[l]) + f64::from(eight[l + 4]);
                }
                *sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
            }
            assert!(sums.is_sorted());
            let group: &Group<f32> = bytemuck::must_cast_ref(&weights);
            for level in Level::available() {
                assert_eq!(dispatch!(level, simd => simd.sum_eights(group)), sums, "{level}");
            }
        }
    }

    /// Groups without weight, at both ends and between; a mass in other units than the sums.
    #[test]
    fn groups_of_sum_0_are_passed_over() {
        let targets = [10.0, 10.25, 10.5, 11.0, 12.0, 15.0];
        for [first, second] in [[0, 1], [0, 3], [1, 3], [2, 3]] {
            let mut sums = [0.0; GROUPS];
            (sums[first], sums[second]) = (1.0, 3.0);
            let groups = GroupIntervals::new(&sums, 10.0, 2.0);
            let found =
                [(first, 0.0), (first, 0.25), (second, 0.0), (second, 0.5), (second, 1.5), (second, 4.5)];
            assert_eq!(targets.map(|target| groups.find(target)), found);
            assert_eq!([groups.mass(first), groups.mass(second)], [0.5, 1.5]);
        }
    }

    /// A row may be so much heavier than one of its blocks that the mass of that is subnormal, or 0 for a
    /// group.
    #[test]
    fn targets_of_tiny_masses_stay_numbers() {
        let mut group = [[0.0; LANES]; VECTORS];
        group[2][1] = 1.0;
        for level in Level::available() {
            for mass in [f64::from_bits(1), 0.0] {
                let mut eights = EightIntervals::default();
                let scale = dispatch!(level, simd => eights.set(simd, &group, mass));
                let found = dispatch!(level, simd => eights.find(simd, 0.0 * scale));
                assert_eq!(found, (4, 0.0), "{level}");
            }
        }
    }
}
