//! Searches for the last part that begins at or below a target, without a branch that depends on it.

use super::cdf::{Block, VECTORS};
use crate::simd::{LANES, Simd};

/// Cells per part: so a search mostly begins at most a step below where it ends.
const CELLS: usize = 4;

/// Prefixes, with a guide to them: where in them to begin, for each small interval of the uniforms.
///
/// (Chen and Asau, "On generating random variates from an empirical distribution", 1974.)
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    /// Before each part; one more, above every target, ends them.
    before: Vec<f64>,
    /// A part that no uniform in each cell lies before. The uniforms of a cell are those nearest to a multiple of
    /// the width: the last cell is half as wide as the others, as is the first.
    cells: Vec<u32>,
}

impl Prefixes {
    /// Takes the prefix before each part, and the sum of all parts.
    pub(super) fn fill(&mut self, before: impl ExactSizeIterator<Item = f64>, sum: f64) {
        let width = 1.0 / (CELLS * before.len()).next_power_of_two() as f64;
        self.before.clear();
        self.before.extend(before);
        self.cells.clear();
        self.cells.resize((1.0 / width) as usize + 1, 0);
        for (part, &before) in (0..).zip(&self.before) {
            // The first cell that lies above the prefix as a whole; by rounding, one more.
            let cell = nearest(before / sum / width);
            let above = (f64::from(cell) + 0.5) * width * sum >= before;
            if let Some(first) = self.cells.get_mut(cell as usize + 2 - usize::from(above)) {
                *first = part;
            }
        }
        self.before.push(f64::INFINITY);
        let mut last = 0;
        for part in &mut self.cells {
            last = last.max(*part);
            *part = last;
        }
    }

    /// For each target the part it lies in: the prefix before that is not above the target, the next is.
    #[inline(always)]
    pub(super) fn find<const N: usize>(&self, uniforms: &[f64; N], targets: &[f64; N]) -> [usize; N] {
        let (before, cells) = (self.before.as_slice(), self.cells.as_slice());
        let scale = (cells.len() - 1) as f64;
        let (mut nearby, mut parts) = ([0; N], [0; N]);
        for i in 0..N {
            nearby[i] = nearest(uniforms[i] * scale);
        }
        for i in 0..N {
            let part = cells[nearby[i] as usize] as usize;
            let part = part + usize::from(before[part + 1] <= targets[i]);
            parts[i] =
                if before[part + 1] > targets[i] { part } else { find_above(before, part, targets[i]) };
        }
        parts
    }
}

/// The nearest integer to a number from 0 to 2^32, the even one of two. (Added to 2^52, it stands in the lowest
/// bits.)
#[inline(always)]
fn nearest(x: f64) -> u32 {
    (x + (1_u64 << 52) as f64).to_bits() as u32
}

#[cold]
fn find_above(before: &[f64], part: usize, target: f64) -> usize {
    part + before[part + 1..].partition_point(|&before| before <= target)
}

/// The last of the prefixes, which begin with 0, that is not above the target.
#[inline(always)]
pub(super) fn last_not_above<S: Simd>(simd: S, prefixes: &[f64; VECTORS], target: f64) -> usize {
    simd.count_not_above(prefixes, target) - 1
}

/// Of each vector of weights, the lane at which the running sum exceeds its target; if rounding lets none exceed
/// it, the last lane that is not 0.
#[inline(always)]
pub(super) fn first_lanes_above<S: Simd, const N: usize>(
    simd: S,
    weights: [&[f32; LANES]; N],
    targets: &[f64; N],
) -> [u32; N] {
    let (mut sums, mut lanes) = ([0.0; N], [0; N]);
    for weights in transpose(simd, &weights) {
        for i in 0..N {
            sums[i] += f64::from(weights[i]);
            lanes[i] += u32::from(sums[i] <= targets[i]);
        }
    }
    if lanes.iter().fold(0, |most, lane| most.max(*lane)) == LANES as u32 {
        mend(&mut lanes, &weights);
    }
    lanes
}

#[cold]
fn mend(lanes: &mut [u32], weights: &[&[f32; LANES]]) {
    for (lane, weights) in lanes.iter_mut().zip(weights) {
        if *lane == LANES as u32 {
            *lane = weights.iter().rposition(|w| *w > 0.0).unwrap_or_default() as u32;
        }
    }
}

/// The first lanes of all the vectors, their second ones, and so on.
#[inline(always)]
fn transpose<S: Simd, const N: usize>(simd: S, vectors: &[&[f32; LANES]; N]) -> [[f32; N]; LANES] {
    let mut lanes = [[0.0; N]; LANES];
    if let Some(sixteen) = vectors.first_chunk() {
        for (lanes, all) in lanes.iter_mut().zip(simd.transpose(sixteen)) {
            lanes.copy_from_slice(&all[..N]);
        }
    } else {
        for (i, vector) in vectors.iter().enumerate() {
            lanes.iter_mut().zip(*vector).for_each(|(lane, &x)| lane[i] = x);
        }
    }
    lanes
}

/// The prefixes before the vectors of blocks, from their sums: infinite after the last that is not 0. (Blocks take
/// turns, since each is a chain of additions.)
#[inline(always)]
pub(super) fn accumulate_vectors<const N: usize>(blocks: &mut [Block; N], sums: &[[f64; VECTORS]; N]) {
    let mut totals = [0.0; N];
    for vector in 0..VECTORS {
        for ((block, sums), total) in blocks.iter_mut().zip(sums).zip(&mut totals) {
            block.vectors[vector] = *total;
            *total += sums[vector];
        }
    }
    for ((block, sums), total) in blocks.iter_mut().zip(sums).zip(totals) {
        block.sum = total;
        let last = sums.iter().rposition(|sum| *sum > 0.0).unwrap_or_default();
        block.vectors[last + 1..].fill(f64::INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::simd::dispatch;

    /// Rounding may carry a target to the end of its part, and beyond.
    #[test]
    fn targets_beyond_the_end_find_the_last_that_is_not_0() {
        let targets = [0.0, 0.9, 1.0, 2.9, 3.0, 4.0];
        let mut weights = [0.0; LANES];
        (weights[3], weights[5]) = (1.0, 2.0);
        let mut sums = [0.0; VECTORS];
        (sums[3], sums[5]) = (1.0, 2.0);
        let mut blocks = [Block::default()];
        accumulate_vectors(&mut blocks, &[sums]);
        assert_eq!(blocks[0].sum, 3.0);
        for level in Level::available() {
            let vectors =
                targets.map(|t| dispatch!(level, simd => last_not_above(simd, &blocks[0].vectors, t)));
            assert_eq!(vectors, [3, 3, 5, 5, 5, 5], "{level}");
            let lanes = dispatch!(level, simd => first_lanes_above(simd, [&weights; 6], &targets));
            assert_eq!(lanes, [3, 3, 5, 5, 5, 5], "{level}");
            let all = core::array::from_fn(|i| targets[i % 6]);
            let lanes = dispatch!(level, simd => first_lanes_above(simd, [&weights; LANES], &all));
            assert_eq!(lanes, core::array::from_fn(|i| [3, 3, 5, 5, 5, 5][i % 6]), "{level}");
        }
    }

    /// As many parts as there may be, of equal masses and of very different ones, some of them 0.
    #[test]
    fn parts_are_found_from_their_cells() {
        const TOP: f64 = 1.0 - f64::EPSILON / 2.0;
        let masses: [fn(i32) -> f64; 4] = [
            |_| 1.0,
            |i| f64::from(i % 3),
            |i| f64::from(-i % 70).exp2(),
            |i| if i % 97 == 0 { 1e300 } else { 1e-300 },
        ];
        for (mass, len) in
            masses.iter().flat_map(|mass| [5000, 1, 2, 15, 16, 17, 256, 257].map(|len| (mass, len)))
        {
            let (mut sum, mut before) = (0.0, Vec::new());
            for i in 0..len {
                before.push(sum);
                sum += mass(i + 1);
            }
            let mut prefixes = Prefixes::default();
            prefixes.fill(before.iter().copied(), sum);
            let near = before.iter().map(|before| before / sum);
            for u in near.flat_map(|u| [u.next_down().max(0.0), u.min(TOP), u.next_up().min(TOP)]) {
                let [part] = prefixes.find(&[u], &[u * sum]);
                assert_eq!(part, before.partition_point(|before| *before <= u * sum) - 1, "{len}, {u}");
            }
        }
    }
}
