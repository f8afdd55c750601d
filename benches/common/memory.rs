//! What the machine can do with the same buffers: reading, copying and scaling, vectorised, through the
//! caches. (Kernels that write large outputs past the caches may so take less time than copying.)
//!
//! Plain loops over arrays that LLVM turns into vectors; on x86-64 compiled for AVX-512 and AVX2 as well and
//! chosen at run time, so that a default build has an honest reference.

#![expect(unsafe_code, reason = "entering code for another CPU, and prefetches")]

use std::hint::black_box;

/// Its name, and what it does with a row to write and a row to read.
pub(crate) type Reference = (&'static str, fn(&mut [f32], &[f32]));

pub(crate) const READING: &[Reference] = &[
    ("read", |_, x| {
        black_box(read(x));
    }),
    ("read prefetching", |_, x| {
        black_box(read_prefetching(x));
    }),
];

pub(crate) const COPYING: &[Reference] = &[
    ("memcpy", |out, x| out.copy_from_slice(x)),
    ("copy", |out, x| copy(x, out)),
    ("copy prefetching", |out, x| copy_prefetching(x, out)),
];

pub(crate) const SCALING_IN_PLACE: &[Reference] = &[
    ("scale in place", |out, _| scale_in_place(out, 1.0)),
    ("scale prefetching", |out, _| scale_in_place_prefetching(out, 1.0)),
];

/// Elements ahead that are prefetched: what suits reading best here.
const AHEAD: usize = 4096;
/// Elements of a page.
const PAGE: usize = 1024;
/// Which line is asked for a page early.
const EARLY: usize = 5;

macro_rules! for_each_cpu {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        fn $name($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
                fn avx512($($arg: $ty),*) $(-> $out)? { plain($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) $(-> $out)? { plain($($arg),*) }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the features were just found.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was just found.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    };
}

/// Asks for the lines of the chunk `AHEAD` of this one, and for one of them a page earlier than for the rest:
/// by then the page table has been read. (Reading 256 rows on an Intel Granite Rapids: 0.92 x the time. On a
/// Zen 3, where reading is fastest without asking at all: 1.04-1.14 x, or 1.08-1.19 x if it is the first
/// line.)
#[inline(always)]
fn prefetch(chunk: &[f32; 128]) {
    for line in 0..8 {
        let early = if line == EARLY { PAGE } else { 0 };
        let line = chunk.as_ptr().wrapping_add(AHEAD + line * 16 + early);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch is a hint: it reads nothing and never faults.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(line.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

#[inline(always)]
fn maximum(data: &[f32], ask_ahead: bool) -> f32 {
    let mut max = [f32::NEG_INFINITY; 128];
    for chunk in data.as_chunks::<128>().0 {
        if ask_ahead {
            prefetch(chunk);
        }
        for (max, &x) in max.iter_mut().zip(chunk) {
            *max = if *max > x { *max } else { x };
        }
    }
    max.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

for_each_cpu! {
    /// Reads everything: the maximum.
    fn read(data: &[f32]) -> f32 { maximum(data, false) }
}

for_each_cpu! {
    /// Reads everything, asking for it ahead.
    fn read_prefetching(data: &[f32]) -> f32 { maximum(data, true) }
}

/// Elements before the first cache line that begins in here: writing vectors that straddle two takes longer.
#[inline(always)]
fn to_line(data: &[f32]) -> usize {
    data.as_ptr().align_offset(64).min(data.len())
}

#[inline(always)]
fn copy_vectors(from: &[f32], to: &mut [f32], ask_ahead: bool) {
    let head = to_line(to);
    let (from, to) = (from.split_at(head), to.split_at_mut(head));
    to.0.copy_from_slice(from.0);
    let ((from, from_rest), (to, to_rest)) = (from.1.as_chunks::<128>(), to.1.as_chunks_mut());
    for (from, to) in from.iter().zip(to) {
        if ask_ahead {
            prefetch(from);
        }
        *to = *from;
    }
    to_rest.copy_from_slice(from_rest);
}

for_each_cpu! {
    /// Reads one buffer and writes another, vector by vector.
    fn copy(from: &[f32], to: &mut [f32]) { copy_vectors(from, to, false) }
}

for_each_cpu! {
    /// The same, asking for it ahead.
    fn copy_prefetching(from: &[f32], to: &mut [f32]) { copy_vectors(from, to, true) }
}

#[inline(always)]
fn scale_vectors(data: &mut [f32], factor: f32, ask_ahead: bool) {
    let (head, data) = data.split_at_mut(to_line(data));
    let (chunks, rest) = data.as_chunks_mut::<128>();
    for chunk in chunks {
        if ask_ahead {
            prefetch(chunk);
        }
        for x in chunk {
            *x *= factor;
        }
    }
    head.iter_mut().chain(rest).for_each(|x| *x *= factor);
}

for_each_cpu! {
    /// Reads and writes one buffer.
    fn scale_in_place(data: &mut [f32], factor: f32) { scale_vectors(data, factor, false) }
}

for_each_cpu! {
    /// The same, asking for it ahead.
    fn scale_in_place_prefetching(data: &mut [f32], factor: f32) { scale_vectors(data, factor, true) }
}
