//! Masses that change one by one, and their sums: a tree with four children to a node.
//!
//! Wong and Easton, "An efficient method for weighted sampling without replacement", 1980, with two. There
//! the CPU takes a branch per layer that it cannot foresee where keys are new; here none. 64 distinct tokens
//! of 128,256 take 0.96 x the time on a Zen 4, 1000 of them 0.87 x. With eight or sixteen children the same,
//! but more for short rows.

use core::mem::take;

use super::part::{Part, find};

const CHILDREN: usize = 4;

/// The masses, the sums of their nodes, and so on, up to one node. (Layers above `height` are kept for
/// another row.)
#[derive(Debug, Default)]
pub(super) struct Tree {
    layers: Vec<Layer>,
    height: usize,
    sum: f64,
}

#[derive(Debug, Default)]
struct Layer {
    nodes: Vec<[f64; CHILDREN]>,
    /// Where [`Tree::find`] went last.
    found: Part,
}

impl Tree {
    pub(super) fn fill(&mut self, masses: impl ExactSizeIterator<Item = f64>) {
        self.height = 0;
        if masses.len() == 1 {
            self.sum = masses.sum();
            return;
        }
        let mut nodes = self.add_layer(masses);
        while nodes > 1 {
            let below = take(&mut self.layers[self.height - 1].nodes);
            nodes = self.add_layer(below.iter().map(|node| node.iter().sum()));
            self.layers[self.height - 2].nodes = below;
        }
        self.sum = self.layers[self.height - 1].nodes[0].iter().sum();
    }

    /// Returns how many nodes it has.
    fn add_layer(&mut self, masses: impl ExactSizeIterator<Item = f64>) -> usize {
        if self.height == self.layers.len() {
            self.layers.push(Layer::default());
        }
        let nodes = &mut self.layers[self.height].nodes;
        nodes.clear();
        nodes.resize(masses.len().div_ceil(CHILDREN), [0.0; CHILDREN]);
        nodes.as_flattened_mut().iter_mut().zip(masses).for_each(|(to, mass)| *to = mass);
        self.height += 1;
        nodes.len()
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// The leaf of a uniform, and the share of its mass that lies below the target.
    #[inline(always)]
    pub(super) fn find(&mut self, uniform: f64) -> (usize, f64) {
        let (mut place, mut target, mut mass) = (0, uniform * self.sum, self.sum);
        for layer in self.layers[..self.height].iter_mut().rev() {
            let node = &layer.nodes[place];
            let found = find(node, |_| target);
            (target, mass) = (found.within, node[found.index]);
            place = place * CHILDREN + found.index;
            layer.found = found;
        }
        (place, target / mass)
    }

    /// A new mass for the leaf that was found last, and for all that it is a part of. (Sums of the others do
    /// not wait for it.)
    #[inline(always)]
    pub(super) fn change(&mut self, mut place: usize, mass: f64) {
        let mut others = 0.0;
        for layer in &mut self.layers[..self.height] {
            layer.nodes.as_flattened_mut()[place] = mass + others;
            others += layer.found.others;
            place /= CHILDREN;
        }
        self.sum = mass + others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_every_depth() {
        let mut tree = Tree::default();
        for len in [5000, 1, 2, 3, 15, 16, 17, 255, 256, 257, 4096, 4097] {
            tree.fill((0..len).map(|_| 3.0));
            for leaf in (0..len).step_by(2) {
                let (found, _) = tree.find((2 * leaf) as f64 / tree.sum() + 0.5 / tree.sum());
                assert_eq!(found, leaf, "{len}");
                tree.change(leaf, 1.0);
            }
            assert_eq!(tree.sum(), (len + len / 2 * 2) as f64, "{len}");
            for leaf in (0..len).step_by(7).chain([len - 1]) {
                let (before, mass) = ((leaf + leaf / 2 * 2) as f64, if leaf % 2 == 0 { 1.0 } else { 3.0 });
                let (found, share) = tree.find((before + 0.5) / tree.sum());
                assert_eq!(found, leaf, "{len}");
                assert!((share * mass - 0.5).abs() < 1e-9, "{len}, {leaf}: {share}");
            }
        }
    }

    /// Rounding may carry a target to the end of a part that has nothing to its right.
    #[test]
    fn the_way_down_never_ends_at_a_mass_of_0() {
        let mut tree = Tree::default();
        let mut find = |masses: [f64; 2]| {
            tree.fill((0..33).map(|leaf| if leaf == 0 || leaf > 2 { 0.0 } else { masses[leaf - 1] }));
            [0.0, 0.25, 0.5, 1.0].map(|u| tree.find(u))
        };
        assert_eq!(find([1.0, 0.0]), [(1, 0.0), (1, 0.25), (1, 0.5), (1, 1.0)]);
        assert_eq!(find([1.0, 3.0]), [(1, 0.0), (2, 0.0), (2, 1.0 / 3.0), (2, 1.0)]);
    }
}
