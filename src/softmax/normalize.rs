//! From weights to probabilities: what each stretch of a row is multiplied by.

use core::ops::Range;

use crate::blocks::BLOCK;
use crate::simd::{Line, Simd};
use crate::summary::{Summary, Total};
use crate::weights::{Factor, TRUSTED};

/// Probabilities below this count as 0, so that none is subnormal: a multiplication that gives such a number
/// takes 130 times as long on an Intel Granite Rapids, and `softmax` of Gaussian logits of deviation 3 at T =
/// 0.2 then 16 times. (In the caches the comparison costs up to 1.04 x.)
const LEAST: f64 = 2.0 * (f32::MIN_POSITIVE as f64);

/// What weights must be multiplied by to be probabilities: in two steps where that is below the normal
/// numbers, as the weights may be large.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    factor: f32,
    step: f32,
    /// Weights up to this are probabilities below [`LEAST`], but for a rounding.
    least: f32,
}

impl Scale {
    fn new(scale: f64) -> Self {
        const UP: f64 = (1_u128 << 126) as f64;
        // Where weights count, both steps are normal numbers.
        const _: () = assert!(LEAST / TRUSTED.end * UP >= f32::MIN_POSITIVE as f64);
        const _: () = assert!(1.0 / UP >= f32::MIN_POSITIVE as f64);
        let up = if scale < f64::from(f32::MIN_POSITIVE) { UP } else { 1.0 };
        Self { factor: (scale * up) as f32, step: (1.0 / up) as f32, least: (LEAST / scale) as f32 }
    }

    /// `STEP` may be false where the step is 1.
    #[inline(always)]
    pub(super) fn apply<const STEP: bool, S: Simd>(self, simd: S, w: S::V) -> S::V {
        let w = simd.select_lt(simd.splat(self.least), w, w, simd.splat(0.0));
        let p = simd.mul(w, simd.splat(self.factor));
        if STEP { simd.mul(p, simd.splat(self.step)) } else { p }
    }

    #[inline(always)]
    pub(super) fn apply_to_all<S: Simd>(self, simd: S, weights: &mut [f32]) {
        if self.step == 1.0 {
            self.apply_to_each::<false, _>(simd, weights);
        } else {
            self.apply_to_each::<true, _>(simd, weights);
        }
    }

    /// In whole cache lines, so that no vector straddles two: on a Zen 4, `softmax` of a row in L2 takes
    /// 0.93 x the time where the heap begins a large output, 16 bytes after a line.
    #[inline(always)]
    fn apply_to_each<const STEP: bool, S: Simd>(self, simd: S, weights: &mut [f32]) {
        let (head, lines, tail) = bytemuck::pod_align_to_mut::<_, Line>(weights);
        for line in lines {
            simd.store(self.apply::<STEP, _>(simd, simd.load(line.as_array())), line.as_mut_array());
        }
        for w in head.iter_mut().chain(tail) {
            let counted = if self.least < *w { *w } else { 0.0 };
            *w = counted * self.factor * self.step;
        }
    }
}

/// Weights to probabilities, in place. `None` if the row cannot be served.
#[inline(always)]
pub(super) fn normalize_row<S: Simd>(
    simd: S,
    weights: &mut [f32],
    factor: &Factor,
    summaries: &mut [Summary],
) -> Option<()> {
    for_each_scale(
        summaries,
        factor,
        weights.len(),
        #[inline(always)]
        |range, scale| scale.apply_to_all(simd, &mut weights[range]),
    )
}

/// Calls `normalize` with each stretch of a row of `len` weights that has the same scale. `None` if all
/// weigh nothing, or if one is not finite.
#[inline(always)]
pub(super) fn for_each_scale(
    summaries: &mut [Summary],
    factor: &Factor,
    len: usize,
    mut normalize: impl FnMut(Range<usize>, Scale),
) -> Option<()> {
    let total = Total::of(summaries, factor)?;
    let scale = |block: &Summary| total.reference.scale_of(block, factor) * (1.0 / total.sum);
    let mut start = 0;
    for blocks in summaries.chunk_by(Summary::has_scale_of) {
        let end = len.min(start + blocks.len() * BLOCK);
        normalize(start..end, Scale::new(scale(&blocks[0])));
        start = end;
    }
    Some(())
}
