//! Masses that change one by one, and their sums: a binary tree.
//!
//! (Wong and Easton, "An efficient method for weighted sampling without replacement", 1980.)

use core::hint::select_unpredictable;

/// The sum of all at 1, the children of i at 2 i and 2 i + 1, the masses in the second half.
#[derive(Debug, Default)]
pub(super) struct Tree {
    sums: Vec<f64>,
}

impl Tree {
    pub(super) fn fill(&mut self, masses: impl ExactSizeIterator<Item = f64>) {
        let leaves = masses.len().next_power_of_two();
        self.sums.clear();
        self.sums.resize(leaves, 0.0);
        self.sums.extend(masses);
        self.sums.resize(2 * leaves, 0.0);
        let mut nodes = leaves / 2;
        while nodes > 0 {
            let (above, below) = self.sums.split_at_mut(2 * nodes);
            for (sum, [left, right]) in above[nodes..].iter_mut().zip(below.as_chunks().0) {
                *sum = left + right;
            }
            nodes /= 2;
        }
    }

    pub(super) fn sum(&self) -> f64 {
        self.sums[1]
    }

    /// The leaf of a uniform, and the share of its mass that lies below the target. (Where rounding has carried the
    /// target beyond all that is to the right, it stays on the left.)
    #[inline(always)]
    pub(super) fn find(&self, uniform: f64) -> (usize, f64) {
        let leaves = self.sums.len() / 2;
        let (mut node, mut target) = (1, uniform * self.sum());
        while node < leaves {
            let (left, right) = (self.sums[2 * node], self.sums[2 * node + 1]);
            let beyond = target >= left && right > 0.0;
            target = select_unpredictable(beyond, target - left, target);
            node = 2 * node + usize::from(beyond);
        }
        (node - leaves, (target / self.sums[node]).min(1.0))
    }

    /// A new mass for a leaf, and for all that it is a part of.
    #[inline(always)]
    pub(super) fn set(&mut self, leaf: usize, mut mass: f64) {
        let mut node = self.sums.len() / 2 + leaf;
        self.sums[node] = mass;
        while node > 1 {
            // (With the other child: a sum is the same from either side.)
            mass += self.sums[node ^ 1];
            node /= 2;
            self.sums[node] = mass;
        }
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
            (0..len).step_by(2).for_each(|leaf| tree.set(leaf, 1.0));
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
        let find = |tree: &Tree| [0.0, 0.25, 0.5, 1.0].map(|u| tree.find(u));
        tree.fill((0..33).map(|leaf| if leaf == 1 { 1.0 } else { 0.0 }));
        assert_eq!(find(&tree), [(1, 0.0), (1, 0.25), (1, 0.5), (1, 1.0)]);
        tree.set(2, 3.0);
        assert_eq!(find(&tree), [(1, 0.0), (2, 0.0), (2, 1.0 / 3.0), (2, 1.0)]);
    }
}
