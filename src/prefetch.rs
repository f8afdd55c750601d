//! What a pass over a row prefetches.

use crate::blocks::GROUP;
use crate::simd::{LANES, Line, Simd, VECTORS};

/// The bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// Where in a group the cache line lies that is prefetched a page early, so that the page table has been read
/// when the others are. (On an Intel Granite Rapids, `sample` of 256 rows then takes 0.88 x the time. The
/// first line of each group serves less on a Zen 3.)
const EARLY: usize = GROUP / 8 * 5;

/// The numbers of a cache line.
const fn line_of<T>() -> usize {
    size_of::<Line>() / size_of::<T>()
}

/// Prefetches the cache lines of `LEN` numbers.
#[inline(always)]
fn prefetch_lines<const LEN: usize, S: Simd, T>(simd: S, data: &[T], start: usize) {
    for line in (0..LEN).step_by(line_of::<T>()) {
        simd.prefetch(data, start + line);
    }
}

/// [`prefetch_lines`], and for one line a page further ahead.
#[inline(always)]
pub(crate) fn prefetch_lines_and_page<const LEN: usize, S: Simd, T>(simd: S, data: &[T], start: usize) {
    prefetch_lines::<LEN, _, _>(simd, data, start);
    simd.prefetch(data, start + EARLY + PAGE / size_of::<T>());
}

/// Prefetches for one group. A single pass: the lines a fixed distance ahead. Where a row comes from memory
/// and is passed over `TWICE`, each pass asks for its share, so that the memory is read at an even pace: the
/// second, which has its row in the caches, for a quarter of the next row, the first for the rest of its own.
/// (Not where [`Simd::reads_ahead`]: there the second pass asks for nothing.)
///
/// The distance is [`AHEAD`](crate::simd::AHEAD), or [`Simd::ahead`] in a pass that stores no weights. (Where
/// that is 0, this asks for what was just loaded, which costs nothing; a branch per group in its place takes
/// 1.01 x the time in L2.) One of the lines is prefetched a page further, and not again: in L2, one more
/// takes 1.02 x the time.
#[inline(always)]
pub(crate) fn prefetch_group<const TWICE: bool, S: Simd, T>(simd: S, row: &[T], start: usize, ahead: usize) {
    if TWICE && !simd.reads_ahead() {
        return prefetch_lines_and_page::<{ GROUP / 4 * 3 }, _, _>(simd, row, row.len() / 4 + start / 4 * 3);
    }
    for line in (0..GROUP).step_by(line_of::<T>()) {
        let early = if (line..line + line_of::<T>()).contains(&EARLY) { PAGE / size_of::<T>() } else { 0 };
        simd.prefetch(row, start + ahead + line + early);
    }
}

/// [`prefetch_group`], at each group of the block that starts there.
#[inline(always)]
pub(crate) fn at_groups<const TWICE: bool, S: Simd, T>(
    simd: S,
    row: &[T],
    start: usize,
    ahead: usize,
) -> impl Fn(usize) {
    #[inline(always)]
    move |group| prefetch_group::<TWICE, _, _>(simd, row, start + group * GROUP, ahead)
}

/// [`prefetch_group`] in the second of two passes, at a vector: once per group. (In vain, if rows do not lie
/// side by side.)
#[inline(always)]
pub(crate) fn prefetch_in_second_pass<S: Simd, T>(simd: S, row: &[T], index: usize) {
    if (index / LANES).is_multiple_of(VECTORS) && !simd.reads_ahead() {
        prefetch_lines::<{ GROUP / 4 }, _, _>(simd, row, row.len() + index / 4);
    }
}
