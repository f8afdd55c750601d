//! Sixteen lanes, one trait, one value that says which instructions run it.
//!
//! Every level does the same operations on the same sixteen virtual lanes (one AVX-512 register, two
//! of AVX2, four of NEON or SSE2), and every operation here is defined to the bit. So every level
//! gives the same bits, and a kernel is written once.
//!
//! Kernels and their closures are `#[inline(always)]`: what is compiled as a function of its own does not
//! have the instructions of the level that calls it, and each of its vector operations becomes a call (unless
//! it enters the level again, by [`Simd::vectorize`]).

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod operations;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "intrinsics, behind a token that proves them")]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "intrinsics, behind a token that proves them")]
mod avx512;
mod exp2;
mod level;
mod portable;
mod stream;
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a prefetch")]
mod x86;

use core::hint::select_unpredictable;

pub(crate) use exp2::{Exp2, LOWEST, Product, UNIT};
use exp2::{exp2_in_stages, exp2_one_by_one};
pub use level::Level;
pub(crate) use level::{Isa, dispatch};
use stream::Streaming;
pub(crate) use stream::with_stores;

/// Where lanes are summed, element i of a row belongs to lane i mod 16, on every level.
pub(crate) const LANES: usize = 16;

/// Vectors of a group. AVX-512 computes them side by side, which hides the latency of a fused multiply-add.
/// Measured on Zen 5, 131072 logits in L2: 4 vectors 11.6 us, 8 vectors 10.8 us, 16 vectors spill.
pub(crate) const VECTORS: usize = 8;

/// Weights, or f64, that are searched at once: as many f64 as an AVX-512 register holds.
pub(crate) const WIDE_LANES: usize = 8;

/// Eights of a group, halves of its vectors.
pub(crate) const EIGHTS: usize = VECTORS * LANES / WIDE_LANES;

/// How far ahead a pass prefetches, in logits. Measured on rows from memory: 4096 to 32768 do not differ
/// beyond the noise.
pub(crate) const AHEAD: usize = 4096;

/// Sixteen f32 at a multiple of 64 bytes, a cache line of their own.
pub(crate) type Line = wide::f32x16;
const _: () = assert!(size_of::<Line>() == 64 && align_of::<Line>() == 64);

/// Arithmetic on sixteen lanes. Every implementation gives the same bits, except for those of a NaN; and for
/// the sign of a zero, on which no result of a kernel may depend.
pub trait Simd: Copy + Send + Sync {
    /// Sixteen f32.
    type V: Copy;
    /// Sixteen f64.
    type D: Copy;

    /// Runs a kernel with this level's instructions.
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R;
    /// Prefetches the cache line of `row[index]`, which may lie beyond the row, into the second-level cache:
    /// from there the CPU's own prefetcher takes it, and the first level is left to what is at work.
    fn prefetch<T>(self, row: &[T], index: usize);
    /// Prefetches the cache line of `out[index]`, soon to be written, into the first-level cache: what is
    /// only written, no prefetcher of the CPU brings there. (`softmax` in L2, on an Intel Granite Rapids:
    /// 0.93 x the time of [`Simd::prefetch`].)
    fn prefetch_output(self, out: &[f32], index: usize);

    /// Whether the CPU reads ahead best by itself, where nothing is asked for: but not from memory while
    /// weights are stored.
    #[inline(always)]
    fn reads_ahead(self) -> bool {
        false
    }

    /// How far ahead, in logits, a pass that stores no weights prefetches what it reads. (At 0, it asks for
    /// what it has just loaded, which costs nothing.)
    #[inline(always)]
    fn ahead(self) -> usize {
        if self.reads_ahead() { 0 } else { AHEAD }
    }

    /// Whether the registers hold a group of vectors, and what is computed of it.
    const HOLDS_GROUP: bool = false;

    /// out = [`UNIT`] x 2^(x (hi + lo) - e), for the vectors x of a group: all at once, or one by one. If
    /// x is not bounded, each k is noted in `outside` ([`Simd::outside`]). `loaded`, which may ask for what is needed next, is called once, after the group has been loaded:
    /// loads wait behind prefetches. (256 rows on an Intel Granite Rapids, as against asking first: AVX2
    /// `sample` and `log_sum_exp` take 0.97 x the time.)
    #[inline(always)]
    fn exp2_of_vectors<T, const N: usize>(
        self,
        vectors: &[T; N],
        x: impl Fn(&T) -> Self::V,
        product: Product,
        out: &mut [[f32; LANES]; N],
        outside: &mut Self::V,
        loaded: impl FnOnce(),
    ) {
        if Self::HOLDS_GROUP {
            exp2_in_stages(self, vectors, x, product, out, outside, loaded);
        } else {
            exp2_one_by_one(self, vectors, x, product, out, outside, loaded);
        }
    }

    /// A barrier for the compiler: all of the vectors, if they are eight, or else each, are computed before
    /// anything that needs one of them, and before what is prefetched from here on. (Nothing, where the level
    /// does not need it.)
    #[inline(always)]
    fn stage<const N: usize>(self, v: [Self::V; N]) -> [Self::V; N] {
        v
    }

    /// x, or `zero` if it is below that, or `infinite` if above, where [`Simd::exp2i`] needs it. A NaN stays
    /// one.
    #[inline(always)]
    fn bound(self, x: Self::V, _zero: Self::V, _infinite: Self::V) -> Self::V {
        x
    }

    /// Whether [`Simd::bound`] takes so long that blocks which hardly need it are weighed without, and checked in
    /// the end, by what [`Simd::outside`] has noted.
    const CHECKS: bool = false;

    /// Notes in `seen`, which is 0 at first, where [`Simd::exp2i`] needs the bound for k (with [`exp2::ROUND`]
    /// added to it): below -127, above 128, or NaN.
    #[inline(always)]
    fn outside(self, seen: Self::V, _k: Self::V) -> Self::V {
        seen
    }

    /// Whether that has been noted of any k.
    #[inline(always)]
    fn any_outside(self, _seen: Self::V) -> bool {
        false
    }

    fn splat(self, x: f32) -> Self::V;
    fn load(self, x: &[f32; LANES]) -> Self::V;
    /// Widens IEEE half precision, given as bits.
    fn load_f16(self, x: &[u16; LANES]) -> Self::V;
    /// Widens bfloat16, given as bits.
    fn load_bf16(self, x: &[u16; LANES]) -> Self::V;
    fn store(self, v: Self::V, out: &mut [f32; LANES]);
    /// Stores past the caches, without reading the line first. [`Simd::settle`] follows before anything else
    /// reads or writes it: `stream.rs` sees to that.
    fn stream(self, v: Self::V, out: &mut Line, proof: Streaming);
    /// Puts what was streamed before all that follows.
    fn settle(self);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// a x b + c, rounded once.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// a x b - c, rounded once.
    fn mul_sub(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `if a > b { a } else { b }`: a NaN on either side gives b.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `if a < b { a } else { b }`: a NaN on either side gives b.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `if a < b { yes } else { no }`: a NaN on either side gives `no`.
    fn select_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// A bit for each lane: 1 where a >= b.
    fn lanes_not_below(self, a: Self::V, b: Self::V) -> u32;

    /// Whether a >= b in all lanes.
    #[inline(always)]
    fn all_not_below(self, a: Self::V, b: Self::V) -> bool {
        self.lanes_not_below(a, b).count_ones() as usize == LANES
    }

    /// p x 2^(k - e), for p about [`UNIT`], and k and e with [`exp2::ROUND`] added to them: 0 where k - e is
    /// below [`exp2::LOWEST`], infinite where it is above 127. A NaN in p stays one, unless k lies that low:
    /// x = -inf gives such a k and a NaN, and must weigh 0. (Where [`Simd::bound`] changes it, there is no such
    /// NaN.)
    fn exp2i(self, p: Self::V, k: Self::V, e: Self::V) -> Self::V;

    /// p x 2^n, for p about [`UNIT`] and an integer n from [`exp2::LOWEST`] on; infinite or NaN where n is
    /// above 127. (Of x, where [`Simd::bound`] leaves all as it is.)
    #[inline(always)]
    fn scalef(self, p: Self::V, n: Self::V) -> Self::V {
        let round = self.splat(exp2::ROUND);
        self.exp2i(p, self.add(n, round), round)
    }

    /// [`Simd::max`] over the lanes, l with l + 8, + 4, + 2, + 1.
    fn reduce_max(self, v: Self::V) -> f32;
    fn widen(self, v: Self::V) -> Self::D;
    fn store_wide(self, v: Self::D, out: &mut [f64; LANES]);
    fn add_wide(self, a: Self::D, b: Self::D) -> Self::D;
    /// The sum of the lanes, l with l + 8, + 4, + 2, + 1.
    fn reduce_add_wide(self, v: Self::D) -> f64;

    /// [`Simd::reduce_add_wide`] of each of the vectors.
    #[inline(always)]
    fn reduce_add_four(self, vectors: &[[f32; LANES]; 4]) -> [f64; 4] {
        let mut sums = [0.0; 4];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = self.reduce_add_wide(self.widen(self.load(vector)));
        }
        sums
    }

    /// How many of the numbers, which never fall, are not above x.
    #[inline(always)]
    fn count_not_above(self, sorted: &[f64; WIDE_LANES], x: f64) -> usize {
        let count = count_but_last(sorted, x);
        count + usize::from(sorted[count] <= x)
    }

    /// The sums of the eights of a group, through each of them, in an order in which they never fall: lanes l
    /// and l + 4 of each are added, what that makes runs on from eight to eight, and only then the four lanes
    /// become one, l with l + 2, + 1.
    #[inline(always)]
    fn sum_eights(self, group: &[[f32; LANES]; VECTORS]) -> [f64; EIGHTS] {
        let (mut sums, mut lanes) = ([0.0; EIGHTS], [0.0; 4]);
        for (sum, eight) in sums.iter_mut().zip(group.as_flattened().as_chunks::<WIDE_LANES>().0) {
            for l in 0..4 {
                lanes[l] += f64::from(eight[l]) + f64::from(eight[l + 4]);
            }
            *sum = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
        }
        sums
    }

    /// How many of the numbers but the last, which never fall, are not above x.
    #[inline(always)]
    fn count_fifteen_not_above(self, sorted: &[f64; EIGHTS], x: f64) -> usize {
        count_but_last(sorted, x)
    }

    /// The first lanes of all the eights, their second ones, and so on.
    #[inline(always)]
    fn transpose(self, eights: &[&[f32; WIDE_LANES]; LANES]) -> [[f32; LANES]; WIDE_LANES] {
        let mut lanes = [[0.0; LANES]; WIDE_LANES];
        for (i, eight) in eights.iter().enumerate() {
            lanes.iter_mut().zip(*eight).for_each(|(lane, &x)| lane[i] = x);
        }
        lanes
    }
}

/// How many of the numbers but the last, which never fall, are not above x. (N is a power of two. No branch
/// depends on x.)
#[inline(always)]
fn count_but_last<const N: usize>(sorted: &[f64; N], x: f64) -> usize {
    let (mut count, mut half) = (0, N / 2);
    while half > 0 {
        let middle = count + half;
        count = select_unpredictable(sorted[middle - 1] <= x, middle, count);
        half /= 2;
    }
    count
}
