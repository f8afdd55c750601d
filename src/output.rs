//! Rows of results: into the caches, past them, or in place.

use crate::blocks::padded;
use crate::simd::{LANES, Line, Simd, with_stores};
use crate::{Logit, RowsMut};

/// A row of this length or more is cut where the output's cache lines begin, so that no store straddles two.
/// (`log_softmax` of 131072 in L2 takes 0.94 x the time.) In a shorter one, the partial vectors at both ends,
/// and a fence per row, take longer than they save.
const LONG: usize = 1024;

/// Whether rows are long, and exceed the caches together: results are written past these, then. (For 256 rows
/// of 128256, on one thread of an Intel Granite Rapids, `softmax` takes 0.65 x the time that way,
/// `log_softmax` and `scale` 0.55 x; for 70 rows, which hardly exceed them, 0.98 to 1.13 x.)
pub(crate) const fn are_large(rows: &RowsMut<'_>) -> bool {
    rows.exceed_caches() && rows.vocab() >= LONG
}

/// Writes the kernel's results for the vectors of a row, each of which begins at the index it is told.
///
/// The vectors may begin anywhere, so the kernel must treat all lanes alike. The first and the last of them,
/// filled up with -inf, come after all others.
#[inline(always)]
pub(crate) fn map_vectors<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    out: &mut [f32],
    past_caches: bool,
    mut kernel: impl FnMut(usize, &[L; LANES]) -> S::V,
) {
    let place = out.as_ptr().addr() / size_of::<f32>();
    // (A long row that is written past the caches may come in parts, which are short.)
    let cut = past_caches || out.len() >= LONG;
    let first = if cut { (place.wrapping_neg() % LANES).min(out.len()) } else { 0 };
    let (head, rest) = out.split_at_mut(first);
    let (vectors, tail) = rest.as_chunks_mut();
    let last = first + vectors.len() * LANES;
    with_stores(
        simd,
        past_caches,
        #[inline(always)]
        |stores| {
            for (index, (x, vector)) in row[first..last].as_chunks().0.iter().zip(vectors).enumerate() {
                stores.store(kernel(first + index * LANES, x), vector);
            }
            // In here, too: settled before, the stores would hold up the ends of the row. (`scale` of 8192
            // rows of 2048 takes 1.1 x the time.)
            for (start, x, out) in [(0, &row[..first], head), (last, &row[last..], tail)] {
                if !x.is_empty() {
                    let mut result = [0.0; LANES];
                    simd.store(kernel(start, &padded(x, L::NEG_INFINITY)), &mut result);
                    out.copy_from_slice(&result[..out.len()]);
                }
            }
        },
    );
}

/// Writes the kernel's results over the vectors of a row: its cache lines, so that none straddles two, and
/// the ends, filled up with -inf.
#[inline(always)]
pub(crate) fn map_in_place<S: Simd>(simd: S, row: &mut [f32], mut kernel: impl FnMut(S::V) -> S::V) {
    let (head, lines, tail) = bytemuck::pod_align_to_mut::<_, Line>(row);
    for line in lines {
        simd.store(kernel(simd.load(line.as_array())), line.as_mut_array());
    }
    for part in head.chunks_mut(LANES).chain(tail.chunks_mut(LANES)) {
        let mut vector = padded(part, f32::NEG_INFINITY);
        simd.store(kernel(simd.load(&vector)), &mut vector);
        part.copy_from_slice(&vector[..part.len()]);
    }
}
