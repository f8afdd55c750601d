//! Rows of results: into the caches, or past them.

use crate::blocks::padded;
use crate::simd::{LANES, Line, Simd};
use crate::{Logit, RowsMut};

/// An output of so many bytes is written past the caches: more than a batch can hope to find of them. (For 256 rows of
/// 128256, on one thread of an Intel Granite Rapids, `softmax` takes 0.65 x the time, `log_softmax` and `scale` 0.55 x; for 70
/// rows, 0.98 to 1.13 x.)
const LARGE: usize = 32 << 20;

/// Whether an output is to be written past the caches.
pub(crate) fn is_large(out: &RowsMut<'_>) -> bool {
    size_of::<f32>().saturating_mul(out.rows()).saturating_mul(out.vocab()) >= LARGE
}

/// Writes the kernel's result for each vector of a row, and where that begins. The row is cut where cache lines of the output
/// begin; the first and the last vector are filled up with -inf.
#[inline(always)]
pub(crate) fn map_vectors<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    out: &mut [f32],
    past_caches: bool,
    mut kernel: impl FnMut(usize, &[L; LANES]) -> S::V,
) {
    let (head, lines, tail) = bytemuck::pod_align_to_mut::<f32, Line>(out);
    let (for_head, rest) = row.split_at(head.len());
    let (for_lines, for_tail) = rest.as_chunks();
    let (first, last) = (head.len(), row.len() - for_tail.len());
    for (index, (vector, line)) in for_lines.iter().zip(lines).enumerate() {
        let result = kernel(first + index * LANES, vector);
        if past_caches {
            simd.stream(result, line);
        } else {
            simd.store(result, bytemuck::must_cast_mut(line));
        }
    }
    for (start, part, out) in [(0, for_head, head), (last, for_tail, tail)] {
        if !part.is_empty() {
            let mut result = [0.0; LANES];
            simd.store(kernel(start, &padded(part, L::NEG_INFINITY)), &mut result);
            out.copy_from_slice(&result[..out.len()]);
        }
    }
    if past_caches {
        simd.settle();
    }
}
