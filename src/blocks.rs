//! Rows in blocks of 512 logits, in groups of 128, in vectors of 16.

use core::hint::black_box;
use core::ops::{Deref, DerefMut, Range};

use crate::Logit;
use crate::simd::{LANES, Simd, VECTORS};

/// Logits per block: f32 sums stay inside one, f64 takes over between them.
pub(crate) const BLOCK: usize = 512;

/// Logits per group: as many as are in flight at a time.
pub(crate) const GROUP: usize = VECTORS * LANES;

/// Groups of a block.
pub(crate) const GROUPS: usize = BLOCK / GROUP;

/// The weights of a block, where a cache line begins: so no vector straddles two. (`log_sum_exp` in L2 with
/// AVX2, on a Zen 4: 31 us. Where the stack happened to begin: 31 to 36.)
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct AlignedBlock([f32; BLOCK]);

impl Default for AlignedBlock {
    fn default() -> Self {
        Self([0.0; BLOCK])
    }
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
/// one call, so that the kernel is compiled once; and room is made for the last block before the first one is
/// at work, if at all. With [`with_block`], rows of 700 take 1.04 x the time.)
#[inline(always)]
pub(crate) fn for_each_block<L: Logit>(row: &[L], filler: L, mut kernel: impl FnMut(usize, &[L; BLOCK])) {
    let mut room = (!row.len().is_multiple_of(BLOCK)).then_some([filler; BLOCK]);
    for (index, part) in row.chunks(BLOCK).enumerate() {
        let block = match (part.first_chunk(), &mut room) {
            (Some(block), _) => block,
            (None, Some(room)) => {
                room[..part.len()].copy_from_slice(part);
                room
            }
            (None, None) => {
                debug_assert!(false, "only the last part is less than a block");
                break;
            }
        };
        kernel(index * BLOCK, block);
    }
}

/// [`for_each_block`], without those that lie in `done`.
#[inline(always)]
pub(crate) fn for_each_other_block<L: Logit>(
    row: &[L],
    filler: L,
    done: Range<usize>,
    mut kernel: impl FnMut(usize, &[L; BLOCK]),
) {
    for part in [0..done.start, done.end..row.len()] {
        for_each_block(
            &row[part.clone()],
            filler,
            #[inline(always)]
            |start, block| kernel(part.start + start, block),
        );
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

/// The beginning of a chunk, filled up.
pub(crate) fn padded<T: Copy, const N: usize>(part: &[T], filler: T) -> [T; N] {
    let mut whole = [filler; N];
    whole[..part.len()].copy_from_slice(part);
    whole
}

/// The logits of a lane of a block: each sixteenth one, as vectors.
pub(crate) type Lane<L> = [[L; LANES]; BLOCK / LANES / LANES];

/// The [`Lane`] of this number.
#[inline(always)]
pub(crate) fn lane_of<L: Logit>(block: &[L; BLOCK], lane: usize) -> Lane<L> {
    let (vectors, mut logits) = (block.as_chunks::<LANES>().0, [[L::ZERO; LANES]; BLOCK / LANES / LANES]);
    for (i, logit) in logits.as_flattened_mut().iter_mut().enumerate() {
        *logit = vectors[i][lane];
    }
    logits
}

/// Eight vectors.
pub(crate) type Group<L> = [[L; LANES]; VECTORS];

/// A block, in groups. (`black_box` keeps loops over them loops: unrolled over all of its 32 vectors, a pass
/// has so many different loads that the L1 prefetcher loses track, and reads from L2 at two thirds of the
/// speed.)
#[inline(always)]
pub(crate) fn groups<L: Logit>(block: &[L; BLOCK]) -> &[Group<L>] {
    black_box(block.as_chunks().0.as_chunks().0)
}

/// A group of f32: itself, or widened into `room`.
#[inline(always)]
pub(crate) fn as_wide<'a, S: Simd, L: Logit>(
    simd: S,
    group: &'a Group<L>,
    room: &'a mut Group<f32>,
) -> &'a Group<f32> {
    match L::as_f32(group.as_flattened()).and_then(|row| row.as_chunks().0.first_chunk()) {
        Some(group) => group,
        None => {
            widen(simd, group, room);
            room
        }
    }
}

/// Widens a row, into room for whole blocks.
#[inline(always)]
pub(crate) fn widen_row<S: Simd, L: Logit>(simd: S, row: &[L], wide: &mut [f32]) {
    for_each_block(
        row,
        L::ZERO,
        #[inline(always)]
        |start, block| {
            if let Some(wide) = wide[start..].first_chunk_mut() {
                widen_block(simd, block, wide);
            }
        },
    );
}

/// Widens a block.
#[inline(always)]
pub(crate) fn widen_block<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK], wide: &mut [f32; BLOCK]) {
    for (group, wide) in groups(block).iter().zip(groups_mut(wide)) {
        widen(simd, group, wide);
    }
}

/// Widens vectors.
#[inline(always)]
pub(crate) fn widen<S: Simd, L: Logit, const N: usize>(
    simd: S,
    vectors: &[[L; LANES]; N],
    wide: &mut [[f32; LANES]; N],
) {
    for (vector, wide) in vectors.iter().zip(wide) {
        simd.store(L::load(simd, vector), wide);
    }
}

#[inline(always)]
pub(crate) fn groups_mut(block: &mut [f32; BLOCK]) -> &mut [Group<f32>] {
    block.as_chunks_mut().0.as_chunks_mut().0
}
