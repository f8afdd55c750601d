//! The block of a uniform: the last that begins at or below its target.

/// Cells per part: so a search mostly begins at most a step below where it ends.
const CELLS: usize = 4;

/// Prefixes, with a guide to them: where in them to begin, for each small interval of the uniforms.
///
/// Chen and Asau, "On generating random variates from an empirical distribution", 1974.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    /// Before each part; one more, above every target, ends them.
    before: Vec<f64>,
    /// For each cell a part that begins at or below all of its targets: where their search begins. The
    /// uniforms of a cell are those nearest to a multiple of the width: the last cell is half as wide as the
    /// others, as is the first.
    cells: Vec<u32>,
}

impl Prefixes {
    /// Takes the prefix before each part, and the sum of all parts.
    pub(super) fn fill(&mut self, before: impl ExactSizeIterator<Item = f64>, sum: f64) {
        let cells = (CELLS * before.len()).next_power_of_two();
        let width = sum / cells as f64;
        self.before.clear();
        self.before.extend(before);
        self.cells.clear();
        self.cells.resize(cells + 1, 0);
        for (part, &before) in (0..).zip(&self.before) {
            // The first cell that lies above the prefix as a whole. (So do its targets. The width is exact;
            // where the division rounds a prefix down to the end of the cell it lies in, it lies at most half
            // an ulp above that end, and the uniforms of the next cell begin a whole one above.)
            if let Some(first) = self.cells.get_mut(nearest(before / width) as usize + 1) {
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

    /// Parts that begin at the end of a cell, or a step of f64 beside it: in places, the division rounds that
    /// step away.
    #[test]
    fn parts_that_begin_where_a_cell_ends() {
        const PARTS: usize = 64;
        let ends: Vec<f64> = (1..PARTS).map(|i| i as f64 + 0.5).collect();
        let (mut prefixes, mut rounded_away) = (Prefixes::default(), 0);
        for sum in (0..500).map(|i| 1.0 + f64::from(i) / 500.0) {
            let width = sum / (CELLS * PARTS) as f64;
            for step in [f64::next_down, f64::from, f64::next_up] {
                let mut before = vec![0.0];
                for end in &ends {
                    let start = step(end * width);
                    rounded_away += usize::from(start > end * width && start / width == *end);
                    before.push(start);
                }
                prefixes.fill(before.iter().copied(), sum);
                let ends = ends.iter().map(|end| end / (CELLS * PARTS) as f64);
                for u in ends.flat_map(|u| [u.next_down(), u, u.next_up()]) {
                    let [part] = prefixes.find(&[u], &[u * sum]);
                    assert_eq!(part, before.partition_point(|before| *before <= u * sum) - 1, "{sum}, {u}");
                }
            }
        }
        assert!(rounded_away > 0);
    }
}
