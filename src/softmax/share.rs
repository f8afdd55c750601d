//! From weights to probabilities: what each stretch of a row is multiplied by.

use core::ops::Range;

use crate::blocks::BLOCK;
use crate::simd::{Line, Simd};
use crate::summary::{Summary, Total};
use crate::weights::Factor;

/// What weights must be multiplied by to be probabilities: in two steps where that is below the normal
/// numbers, as the weights may be large.
#[derive(Clone, Copy)]
pub(super) struct Share {
    share: f32,
    step: f32,
}

impl Share {
    fn new(share: f64) -> Self {
        const STEP: f32 = 1.0 / (1_u128 << 120) as f32;
        let step = if share < f64::from(f32::MIN_POSITIVE) { STEP } else { 1.0 };
        Self { share: (share / f64::from(step)) as f32, step }
    }

    #[inline(always)]
    pub(super) fn of<S: Simd>(self, simd: S, w: S::V) -> S::V {
        simd.mul(simd.mul(w, simd.splat(self.share)), simd.splat(self.step))
    }

    /// (In whole cache lines, so that no vector straddles two: on a Zen 4, `softmax` of a row in L2 takes
    /// 0.93 x the time where the heap begins a large output, 16 bytes after a line.)
    #[inline(always)]
    pub(super) fn of_all<S: Simd>(self, simd: S, weights: &mut [f32]) {
        let (head, lines, tail) = bytemuck::pod_align_to_mut::<_, Line>(weights);
        for line in lines {
            simd.store(self.of(simd, simd.load(line.as_array())), line.as_mut_array());
        }
        head.iter_mut().chain(tail).for_each(|w| *w = *w * self.share * self.step);
    }
}

/// Calls `scale` with each stretch of a row of `len` weights that has the same share of the whole. False if
/// there is nothing to share.
#[inline(always)]
pub(super) fn for_each_share(
    summaries: &mut [Summary],
    factor: &Factor,
    len: usize,
    mut scale: impl FnMut(Range<usize>, Share),
) -> bool {
    let Some(total) = Total::of(summaries, factor) else { return false };
    let share = |block: &Summary| total.reference.scale_of(block, factor) * (1.0 / total.sum);
    let mut start = 0;
    for blocks in summaries.chunk_by(|a, b| share(a) == share(b)) {
        let end = len.min(start + blocks.len() * BLOCK);
        scale(start..end, Share::new(share(&blocks[0])));
        start = end;
    }
    true
}
