//! Searches for the first prefix above a target, without a branch that depends on it.

use core::hint::select_unpredictable;

use crate::simd::LANES;

/// Children of a node: four comparisons.
const FAN: usize = 16;

/// Prefixes, above them the last of each [`FAN`] of them, and so on up to a single node.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixTree {
    /// The leaves first; those from `depth` on are room for larger trees.
    levels: Vec<Vec<[f64; FAN]>>,
    depth: usize,
}

impl PrefixTree {
    /// Takes the prefixes, of which the last is above every target.
    pub(super) fn fill(&mut self, prefixes: &[f64]) {
        self.depth = (1..8).find(|&depth| prefixes.len() <= FAN.pow(depth)).unwrap_or(8) as usize;
        self.levels.resize_with(self.levels.len().max(self.depth), Vec::new);
        fill_nodes(&mut self.levels[0], prefixes.iter().copied());
        for level in 1..self.depth {
            let (below, above) = self.levels.split_at_mut(level);
            fill_nodes(&mut above[0], below[level - 1].iter().map(|node| node[FAN - 1]));
        }
    }

    #[inline(always)]
    pub(super) fn first_above(&self, target: f64) -> usize {
        self.levels[..self.depth].iter().rev().fold(
            0,
            #[inline(always)]
            |node, level| FAN * node + first_above(&level[node], target),
        )
    }
}

fn fill_nodes(nodes: &mut Vec<[f64; FAN]>, mut prefixes: impl ExactSizeIterator<Item = f64>) {
    nodes.clear();
    nodes.resize(prefixes.len().div_ceil(FAN), [f64::INFINITY; FAN]);
    nodes.as_flattened_mut().iter_mut().zip(&mut prefixes).for_each(|(to, from)| *to = from);
}

/// The first above the target, or else the last of all. (The bits are compared: for numbers from 0 up that is
/// the same, and the answer is there sooner.)
#[inline(always)]
pub(super) fn first_above<const N: usize>(prefixes: &[f64; N], target: f64) -> usize {
    const { assert!(N.is_power_of_two()) }
    let (mut first, mut half) = (0, N / 2);
    while half > 0 {
        let above = first + half;
        first = select_unpredictable(prefixes[above - 1].to_bits() <= target.to_bits(), above, first);
        half /= 2;
    }
    first
}

/// The lane at which the running sum exceeds the target; if rounding lets none exceed it, the last lane
/// that is not 0.
#[inline(always)]
pub(super) fn first_lane_above(weights: &[f32; LANES], target: f64) -> usize {
    let (mut prefix, mut prefixes) = (0.0, [0.0; LANES]);
    for (sum, &w) in prefixes.iter_mut().zip(weights) {
        prefix += f64::from(w);
        *sum = prefix;
    }
    let lane = first_above(&prefixes, target);
    if weights[lane] > 0.0 { lane } else { weights.iter().rposition(|w| *w > 0.0).unwrap_or_default() }
}

/// Sums become prefixes, infinite from the last that is not 0. Returns their total.
pub(super) fn prefix_sums<const N: usize>(sums: &mut [f64; N]) -> f64 {
    let (mut prefix, mut last) = (0.0, 0);
    for (index, sum) in sums.iter_mut().enumerate() {
        last = select_unpredictable(*sum > 0.0, index, last);
        prefix += *sum;
        *sum = prefix;
    }
    sums[last..].fill(f64::INFINITY);
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding may carry a target to the end of its part, and beyond.
    #[test]
    fn targets_beyond_the_end_find_the_last_that_is_not_0() {
        let mut weights = [0.0; LANES];
        (weights[3], weights[5]) = (1.0, 2.0);
        assert_eq!([0.0, 0.9, 1.0, 2.9, 3.0, 4.0].map(|t| first_lane_above(&weights, t)), [3, 3, 5, 5, 5, 5]);
        let mut sums = weights.map(f64::from);
        assert_eq!(prefix_sums(&mut sums), 3.0);
        assert_eq!([0.0, 0.9, 1.0, 2.9, 3.0, 4.0].map(|t| first_above(&sums, t)), [3, 3, 5, 5, 5, 5]);
    }

    #[test]
    fn trees_of_every_depth() {
        let mut tree = PrefixTree::default();
        for len in [5000, 1, 2, 15, 16, 17, 255, 256, 257, 4096, 4097] {
            let prefixes: Vec<f64> = (1..=len).map(f64::from).collect();
            tree.fill(&prefixes);
            for target in (0..len).step_by(7).chain([len - 1]) {
                assert_eq!(tree.first_above(f64::from(target)), target as usize, "{len}");
                assert_eq!(tree.first_above(f64::from(target) + 0.5), target as usize, "{len}");
            }
        }
    }
}
