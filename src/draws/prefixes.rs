//! The part of a uniform: the last that begins at or below its target.

use core::hint::select_unpredictable;

use crate::simd::{Simd, WIDE_LANES};

/// Prefixes, with cells that lead to them: where in them to begin, for each small interval of the uniforms.
///
/// Chen and Asau, "On generating random variates from an empirical distribution", 1974.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    /// Before each part; as many as are compared at once, above every target, end them.
    before: Vec<f64>,
    /// For each cell a part that begins at or below all of its targets: where their search begins. The
    /// uniforms of a cell are those nearest to a multiple of the width: the last cell is half as wide as the
    /// others, as is the first.
    cells: Vec<u32>,
}

impl Prefixes {
    /// Room for the prefix before each part. [`Prefixes::fill_cells`] must follow.
    pub(super) fn begin(&mut self, parts: usize) -> &mut [f64] {
        self.before.resize(parts + WIDE_LANES, 0.0);
        let (before, end) = self.before.split_at_mut(parts);
        end.fill(f64::INFINITY);
        before
    }

    /// The cells, given the sum of all parts.
    pub(super) fn fill_cells(&mut self, sum: f64) {
        let parts = self.before.len() - WIDE_LANES;
        // With about one to a part, a search mostly ends within the eight that are compared at once. (With two,
        // 1000 draws of 128,256 Gaussian logits take as long, 100 draws longer.)
        let cells = parts.next_power_of_two();
        // Too large by a few roundings, so that no product is too small.
        let scale = cells as f64 / sum * (1.0 + 4.0 * f64::EPSILON);
        self.cells.clear();
        self.cells.resize(cells + 1, 0);
        for (part, &before) in (0..).zip(&self.before[..parts]) {
            // A cell that lies above the prefix as a whole, mostly the first. (So do its targets.)
            if let Some(above) = self.cells.get_mut(nearest(before * scale) as usize + 1) {
                *above = part;
            }
        }
        let mut last = 0;
        for part in &mut self.cells {
            last = select_unpredictable(*part == 0, last, *part);
            *part = last;
        }
    }

    /// The part that the target of a uniform lies in: the prefix before it is not above the target, the next
    /// is. And what is left of the target there.
    #[inline(always)]
    pub(super) fn find<S: Simd>(&self, simd: S, uniform: f64, target: f64) -> (usize, f64) {
        let (before, cells) = (self.before.as_slice(), self.cells.as_slice());
        let mut part = cells[nearest(uniform * (cells.len() - 1) as f64) as usize] as usize;
        if let Some(next) = before[part + 1..].first_chunk() {
            let steps = simd.count_not_above(next, target);
            part = if steps < next.len() { part + steps } else { find_above(before, part, target) };
        }
        (part, target - before[part])
    }
}

/// The nearest integer to a number from 0 to below 2^32, the even one of two. (Added to 2^52, it stands in
/// the lowest bits.)
#[inline(always)]
fn nearest(x: f64) -> u32 {
    (x + (1_u64 << 52) as f64).to_bits() as u32
}

#[cold]
fn find_above(before: &[f64], part: usize, target: f64) -> usize {
    part + before[part + 1..].partition_point(|&before| before <= target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::simd::dispatch;

    fn fill(prefixes: &mut Prefixes, before: &[f64], sum: f64) {
        prefixes.begin(before.len()).copy_from_slice(before);
        prefixes.fill_cells(sum);
    }

    /// The part that all levels find.
    fn find(prefixes: &Prefixes, uniform: f64, target: f64) -> usize {
        let [part, parts @ ..] = &Level::available()
            .map(|level| dispatch!(level, simd => prefixes.find(simd, uniform, target)).0)
            .collect::<Vec<_>>()[..]
        else {
            panic!("there is always a level");
        };
        assert!(parts.iter().all(|other| other == part));
        *part
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
            fill(&mut prefixes, &before, sum);
            let near = before.iter().map(|before| before / sum);
            for u in near.flat_map(|u| [u.next_down().max(0.0), u.min(TOP), u.next_up().min(TOP)]) {
                let part = find(&prefixes, u, u * sum);
                assert_eq!(part, before.partition_point(|before| *before <= u * sum) - 1, "{len}, {u}");
            }
        }
    }

    /// Parts that begin at the end of a cell, or a step of f64 beside it: in places, the division rounds that
    /// step away.
    #[test]
    fn parts_that_begin_where_a_cell_ends() {
        const PARTS: usize = 64;
        let ends: Vec<f64> = (1..PARTS).map(|i| i as f64 + 0.5).collect();
        let (mut prefixes, mut rounded_away) = (Prefixes::default(), 0);
        for sum in (0..500).map(|i| 1.0 + f64::from(i) / 500.0) {
            let width = sum / PARTS as f64;
            for step in [f64::next_down, f64::from, f64::next_up] {
                let mut before = vec![0.0];
                for end in &ends {
                    let start = step(end * width);
                    rounded_away += usize::from(start > end * width && start / width == *end);
                    before.push(start);
                }
                fill(&mut prefixes, &before, sum);
                let ends = ends.iter().map(|end| end / PARTS as f64);
                for u in ends.flat_map(|u| [u.next_down(), u, u.next_up()]) {
                    let part = find(&prefixes, u, u * sum);
                    assert_eq!(part, before.partition_point(|before| *before <= u * sum) - 1, "{sum}, {u}");
                }
            }
        }
        assert!(rounded_away > 0);
    }
}
