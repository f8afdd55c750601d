//! Masses that change one by one, and their sums: a tree of sixteen to a node.

use super::search::{last_not_above, prefixes};
use crate::simd::{LANES, Simd};

/// Children of a node.
const FAN: usize = LANES;

/// The nodes of each level, from the leaves up to the root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Those from `depth` on are room for larger trees.
    levels: Vec<Vec<Node>>,
    depth: usize,
    sum: f64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    masses: [f64; FAN],
    /// Before each child; infinite after the last that is not 0.
    before: [f64; FAN],
}

impl Tree {
    pub(super) fn fill(&mut self, masses: impl ExactSizeIterator<Item = f64>) {
        self.depth = (1..8).find(|&depth| masses.len() <= FAN.pow(depth)).unwrap_or(8) as usize;
        self.levels.resize_with(self.levels.len().max(self.depth), Vec::new);
        fill_nodes(&mut self.levels[0], masses);
        for level in 1..self.depth {
            let (below, above) = self.levels.split_at_mut(level);
            fill_nodes(&mut above[0], below[level - 1].iter_mut().map(Node::update));
        }
        self.sum = self.levels[self.depth - 1][0].update();
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// The leaf of a uniform, and the share of its mass that lies below the target.
    #[inline(always)]
    pub(super) fn find<S: Simd>(&self, simd: S, uniform: f64) -> (usize, f64) {
        let (mut node, mut target, mut mass) = (0, uniform * self.sum, 0.0);
        for level in self.levels[..self.depth].iter().rev() {
            let Node { masses, before } = &level[node];
            let child = last_not_above(simd, before, target);
            (target, mass) = (target - before[child], masses[child]);
            node = FAN * node + child;
        }
        (node, (target / mass).min(1.0))
    }

    /// A new mass for a leaf, and for all that it is a part of.
    pub(super) fn set(&mut self, mut leaf: usize, mut mass: f64) {
        for level in &mut self.levels[..self.depth] {
            let node = &mut level[leaf / FAN];
            node.masses[leaf % FAN] = mass;
            (leaf, mass) = (leaf / FAN, node.update());
        }
        self.sum = mass;
    }
}

impl Node {
    /// Sums the masses.
    fn update(&mut self) -> f64 {
        let sum;
        (self.before, sum) = prefixes(&self.masses);
        sum
    }
}

fn fill_nodes(nodes: &mut Vec<Node>, masses: impl ExactSizeIterator<Item = f64>) {
    nodes.clear();
    nodes.resize(masses.len().div_ceil(FAN), Node { masses: [0.0; FAN], before: [0.0; FAN] });
    let all = nodes.iter_mut().flat_map(|node| &mut node.masses);
    all.zip(masses).for_each(|(to, from)| *to = from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::simd::dispatch;

    #[test]
    fn trees_of_every_depth() {
        let mut tree = Tree::default();
        for len in [5000, 1, 2, 15, 16, 17, 255, 256, 257, 4096, 4097] {
            tree.fill((0..len).map(|_| 3.0));
            (0..len).step_by(2).for_each(|leaf| tree.set(leaf, 1.0));
            assert_eq!(tree.sum(), (len + len / 2 * 2) as f64, "{len}");
            for leaf in (0..len).step_by(7).chain([len - 1]) {
                let before = (leaf + leaf / 2 * 2) as f64;
                let (found, _) =
                    dispatch!(Level::best(), simd => tree.find(simd, (before + 0.5) / tree.sum()));
                assert_eq!(found, leaf, "{len}");
            }
        }
    }

    /// Rounding may carry a target to the end of a part that has nothing to its right.
    #[test]
    fn the_way_down_never_ends_at_a_mass_of_0() {
        let (mut tree, level) = (Tree::default(), Level::best());
        let find = |tree: &Tree| [0.0, 0.25, 0.5, 1.0].map(|u| dispatch!(level, simd => tree.find(simd, u)));
        tree.fill((0..33).map(|leaf| if leaf == 1 { 1.0 } else { 0.0 }));
        assert_eq!(find(&tree), [(1, 0.0), (1, 0.25), (1, 0.5), (1, 1.0)]);
        tree.set(2, 3.0);
        assert_eq!(find(&tree), [(1, 0.0), (2, 0.0), (2, 1.0 / 3.0), (2, 1.0)]);
    }
}
