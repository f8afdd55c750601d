//! What the light tokens of a block lack, and where in it a sum of that is reached.
//!
//! A block is swept lane by lane, lane i being its tokens i, i + 64, i + 128, ..: so sums run from row to
//! row, in all lanes at once. (All are sums of integers, and exact: any order serves.)

use core::hint::select_unpredictable;

use super::TO_INTEGER;
use super::measure::Measure;
use crate::blocks::BLOCK;
use crate::simd::{Simd, WIDE_LANES};

/// Lanes of a block: eights of eight.
pub(super) const BLOCK_LANES: usize = WIDE_LANES * WIDE_LANES;

/// Tokens of a lane, which are rows of the grid.
pub(super) const GRID_ROWS: usize = BLOCK / BLOCK_LANES;

/// A block, row by row.
pub(super) type Grid<T> = [[T; BLOCK_LANES]; GRID_ROWS];

pub(super) struct Lacking {
    /// What the tokens of each lane lack, through each row of the block.
    through: Grid<f64>,
    /// What all tokens lack, from the first of the table through each lane.
    lanes: [[f64; WIDE_LANES]; WIDE_LANES],
    /// The last of each eight of these: searched first.
    eights: [f64; WIDE_LANES],
}

/// Where a sum is exceeded, and by how much.
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) lane: usize,
    pub(super) excess: f64,
}

impl Lacking {
    pub(super) const NOTHING: Self = Self {
        through: [[0.0; BLOCK_LANES]; GRID_ROWS],
        lanes: [[0.0; WIDE_LANES]; WIDE_LANES],
        eights: [0.0; WIDE_LANES],
    };

    /// For a block of weights, before which light tokens lack `before`. Returns what they lack through it.
    #[inline(always)]
    pub(super) fn sum(&mut self, block: &[f32; BLOCK], measure: Measure, before: f64) -> f64 {
        let (mut above, raised_capacity) = (&[0.0; BLOCK_LANES], measure.capacity + TO_INTEGER);
        for (through, weights) in self.through.iter_mut().zip(block.as_chunks::<BLOCK_LANES>().0) {
            for lane in 0..BLOCK_LANES {
                through[lane] = above[lane] + (raised_capacity - measure.raised_mass(weights[lane])).max(0.0);
            }
            above = through;
        }
        let mut sum = before;
        for ((lanes, lacking), end) in self.lanes.iter_mut().zip(above.as_chunks().0).zip(&mut self.eights) {
            *lanes = prefix_sums(*lacking);
            for lane in &mut *lanes {
                *lane += sum;
            }
            sum = lanes[WIDE_LANES - 1];
            *end = sum;
        }
        sum
    }

    /// Where the sum exceeds a target, which is below what [`Lacking::sum`] returned.
    #[inline(always)]
    pub(super) fn find<S: Simd>(&self, simd: S, target: f64) -> Place {
        let eight = simd.count_not_above(&self.eights, target);
        let lane = eight * WIDE_LANES + simd.count_not_above(&self.lanes[eight], target);
        let before = self.lanes.as_flattened()[lane] - self.through[GRID_ROWS - 1][lane];
        let (mut row, mut half) = (0, GRID_ROWS / 2);
        while half > 0 {
            let below = self.through[row + half - 1][lane] <= target - before;
            row = select_unpredictable(below, row + half, row);
            half /= 2;
        }
        Place { row, lane, excess: self.through[row][lane] - (target - before) }
    }
}

/// The sums of the first one, the first two, and so on: each step adds what stands 1, 2, 4 places before.
/// (Hillis and Steele, "Data parallel algorithms", 1986: the scan.)
#[inline(always)]
fn prefix_sums(mut x: [f64; WIDE_LANES]) -> [f64; WIDE_LANES] {
    let mut step = 1;
    while step < WIDE_LANES {
        for i in (step..WIDE_LANES).rev() {
            x[i] += x[i - step];
        }
        step *= 2;
    }
    x
}
