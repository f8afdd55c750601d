//! Rows of results: into the caches, or past them.

use crate::simd::{LANES, Line, Simd};
use crate::weights::padded;
use crate::{Logit, RowsMut};

/// An output of so many bytes is written past the caches: more than a batch can hope to find of them.
const LARGE: usize = 32 << 20;

/// Whether an output is to be written past the caches.
pub(crate) fn is_large(out: &RowsMut<'_>) -> bool {
    size_of::<f32>().saturating_mul(out.rows()).saturating_mul(out.vocab()) >= LARGE
}

/// Writes the kernel's result for each vector of a row, cut where the output's cache lines begin; its first and last are
/// filled up with -inf. It is called with the last one last but one.
#[inline(always)]
pub(crate) fn map_vectors<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    out: &mut [f32],
    past_caches: bool,
    mut kernel: impl FnMut(&[L; LANES]) -> S::V,
) {
    let (head, lines, tail) = bytemuck::pod_align_to_mut::<f32, Line>(out);
    let (for_head, rest) = row.split_at(head.len());
    let (for_lines, for_tail) = rest.as_chunks();
    for (vector, line) in for_lines.iter().zip(lines) {
        let result = kernel(vector);
        if past_caches {
            simd.stream(result, line);
        } else {
            simd.store(result, bytemuck::must_cast_mut(line));
        }
    }
    for (part, out) in [(for_head, head), (for_tail, tail)] {
        if !part.is_empty() {
            let mut result = [0.0; LANES];
            simd.store(kernel(&padded(part, L::NEG_INFINITY)), &mut result);
            out.copy_from_slice(&result[..out.len()]);
        }
    }
    if past_caches {
        simd.settle();
    }
}
