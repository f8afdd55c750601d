//! Rows in blocks of 512 logits, in groups of 128, in vectors of 16.

use core::hint::black_box;
use core::ops::{Deref, DerefMut};

use crate::Logit;
use crate::simd::{LANES, Line, Simd, WIDTH};

/// Logits per block: f32 sums stay inside one, f64 takes over between them.
pub(crate) const BLOCK: usize = 512;

/// Logits in flight.
pub(crate) const GROUP: usize = WIDTH * LANES;

/// Groups of a block.
pub(crate) const GROUPS: usize = BLOCK / GROUP;

/// The bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// The weights of a block, where a cache line begins: so no vector straddles two. (`log_sum_exp` in L2 with
/// AVX2, on a Zen 4: 31 us. Where the stack happened to begin: 31 to 36.)
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct AlignedBlock([f32; BLOCK]);

impl AlignedBlock {
    pub(crate) const EMPTY: Self = Self([0.0; BLOCK]);
}

impl Deref for AlignedBlock {
    type Target = [f32; BLOCK];

    #[inline(always)]
    fn deref(&self) -> &[f32; BLOCK] {
        &self.0
    }
}

impl DerefMut for AlignedBlock {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32; BLOCK] {
        &mut self.0
    }
}

/// Calls `kernel` with each block of a row and its start; the last one is filled up with `filler`. (There is
/// one call, so that the kernel is compiled once.)
#[inline(always)]
pub(crate) fn for_each_block<L: Logit>(row: &[L], filler: L, mut kernel: impl FnMut(usize, &[L; BLOCK])) {
    let mut room = [filler; BLOCK];
    for (index, part) in row.chunks(BLOCK).enumerate() {
        let block = match part.first_chunk() {
            Some(block) => block,
            None => {
                room[..part.len()].copy_from_slice(part);
                &room
            }
        };
        kernel(index * BLOCK, block);
    }
}

/// Calls `kernel` with the block that a part of a row begins with, filled up if need be.
#[inline(always)]
pub(crate) fn with_block<L: Logit, R>(part: &[L], filler: L, kernel: impl FnOnce(&[L; BLOCK]) -> R) -> R {
    let room;
    let block = match part.first_chunk() {
        Some(block) => block,
        None => {
            room = padded(part, filler);
            &room
        }
    };
    kernel(block)
}

/// The beginning of a block or a group, filled up.
pub(crate) fn padded<L: Logit, const N: usize>(part: &[L], filler: L) -> [L; N] {
    let mut whole = [filler; N];
    whole[..part.len()].copy_from_slice(part);
    whole
}

/// Eight vectors.
pub(crate) type Group<L> = [[L; LANES]; WIDTH];

/// A block, in groups. (`black_box` keeps loops over them loops: unrolled over all of its 32 vectors, a pass
/// has so many different loads that the L1 prefetcher loses track, and reads from L2 at two thirds of the
/// speed.)
#[inline(always)]
pub(crate) fn groups<L: Logit>(block: &[L; BLOCK]) -> &[Group<L>] {
    black_box(block.as_chunks().0.as_chunks().0)
}

#[inline(always)]
pub(crate) fn groups_mut(block: &mut [f32; BLOCK]) -> &mut [Group<f32>] {
    block.as_chunks_mut().0.as_chunks_mut().0
}

/// Where in a group the cache line lies that is asked for a page early, so that the page table has been read
/// when the others are. (On an Intel Granite Rapids, `sample` of 256 rows then takes 0.88 x the time. On a
/// Zen 3, 1.03 x; it would be 1.13 x for the first line of each group.)
const EARLY: usize = GROUP / 8 * 5;

/// The numbers of a cache line.
const fn line_of<T>() -> usize {
    size_of::<Line>() / size_of::<T>()
}

/// Asks for the cache lines of so many numbers.
#[inline(always)]
fn prefetch_lines<const LEN: usize, S: Simd, T>(simd: S, data: &[T], start: usize) {
    for line in (0..LEN).step_by(line_of::<T>()) {
        simd.prefetch(data, start + line);
    }
}

/// The same, and for one line a page further ahead.
#[inline(always)]
pub(crate) fn prefetch_lines_and_page<const LEN: usize, S: Simd, T>(simd: S, data: &[T], start: usize) {
    prefetch_lines::<LEN, _, _>(simd, data, start);
    simd.prefetch(data, start + EARLY + PAGE / size_of::<T>());
}

/// Asks for what a pass will read, at a group: near ahead; or, where a row is `TWICE` passed over and comes
/// from memory, at an even pace: the second pass, which has its row in the caches, asks for a quarter of the
/// next row, and the first pass for the rest of its own. (Not where [`Simd::reads_ahead`]: there the second
/// pass asks for nothing.)
///
/// (256 rows of 131072, on an Intel Emerald Rapids: `softmax_in_place` takes 0.89 x the time of asking near
/// ahead alone, `softmax` 0.91 x and `log_softmax` 0.89 x that of asking for all of the next row in the
/// second pass. An eighth or a half serves as well.)
///
/// Near is [`AHEAD`](crate::simd::AHEAD), or [`Simd::ahead`] in a pass that stores no weights. (Where that is
/// 0, this asks for what was just loaded, which costs nothing; a branch per group in its place takes 1.01 x
/// the time in L2.) One of the lines is asked for still a page further, and not again: in L2, one more takes
/// 1.02 x the time.
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

/// [`prefetch_group`] in the second of two passes, at a vector: once per group. (If rows do not lie side by
/// side, for nothing.)
#[inline(always)]
pub(crate) fn prefetch_in_second_pass<S: Simd, T>(simd: S, row: &[T], index: usize) {
    if (index / LANES).is_multiple_of(WIDTH) && !simd.reads_ahead() {
        prefetch_lines::<{ GROUP / 4 }, _, _>(simd, row, row.len() + index / 4);
    }
}
