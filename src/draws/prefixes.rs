//! The block of a uniform: the last that begins at or below its target.

/// Cells per part: so a search mostly begins at most a step below where it ends.
const CELLS: usize = 4;

/// Prefixes, with a guide to them: where in them to begin, for each small interval of the uniforms.
///
/// (Chen and Asau, "On generating random variates from an empirical distribution", 1974.)
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    /// Before each part; one more, above every target, ends them.
    before: Vec<f64>,
    /// A part that no uniform in each cell lies before. The uniforms of a cell are those nearest to a
    /// multiple of the width: the last cell is half as wide as the others, as is the first.
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
            // The first cell that lies above the prefix as a whole; by rounding, one more.
            let cell = nearest(before / width);
            let above = (f64::from(cell) + 0.5) * width >= before;
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

/// The nearest integer to a number from 0 to 2^32, the even one of two. (Added to 2^52, it stands in the
/// lowest bits.)
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
}
