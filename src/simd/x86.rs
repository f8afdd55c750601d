//! What AVX2 and AVX-512 have in common.

use super::{EIGHTS, LANES, VECTORS, WIDE_LANES};
use core::arch::x86_64::*;

/// Prefetches the cache line of `data[index]`, with this hint.
#[inline(always)]
pub(super) fn prefetch<const HINT: i32, T>(data: &[T], index: usize) {
    let line = data.as_ptr().wrapping_add(index).cast::<i8>();
    // SAFETY: a prefetch is a hint: it reads nothing and never faults, whatever the address.
    unsafe { _mm_prefetch::<HINT>(line) }
}

/// [`Simd::reduce_max`](super::Simd::reduce_max).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn reduce_max(v: [__m256; 2]) -> f32 {
    let halves: [__m128; 2] = bytemuck::must_cast(_mm256_max_ps(v[0], v[1]));
    let quarter = _mm_max_ps(halves[0], halves[1]);
    let pair = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
    _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)))
}

/// [`Simd::reduce_add_wide`](super::Simd::reduce_add_wide), once lanes are added to those eight places on.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn reduce_add_eight(v: [__m256d; 2]) -> f64 {
    let halves: [__m128d; 2] = bytemuck::must_cast(_mm256_add_pd(v[0], v[1]));
    let pair = _mm_add_pd(halves[0], halves[1]);
    _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
}

/// [`Simd::reduce_add_four`](super::Simd::reduce_add_four).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn reduce_add_four(vectors: &[[f32; LANES]; 4]) -> [f64; 4] {
    let mut v = [_mm256_setzero_pd(); 4];
    for (v, vector) in v.iter_mut().zip(vectors) {
        let [a, b, c, d]: [__m128; 4] = bytemuck::must_cast(*vector);
        let even = _mm256_add_pd(_mm256_cvtps_pd(a), _mm256_cvtps_pd(c));
        let odd = _mm256_add_pd(_mm256_cvtps_pd(b), _mm256_cvtps_pd(d));
        *v = _mm256_add_pd(even, odd);
    }
    fold_four(v)
}

/// [`Simd::sum_eights`](super::Simd::sum_eights).
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn sum_eights(group: &[[f32; LANES]; VECTORS]) -> [f64; EIGHTS] {
    let (mut sums, mut lanes) = ([0.0; EIGHTS], _mm256_setzero_pd());
    let fours = group.as_flattened().as_chunks::<WIDE_LANES>().0.as_chunks::<4>().0;
    for (sums, four) in sums.as_chunks_mut().0.iter_mut().zip(fours) {
        let mut through = [lanes; 4];
        for (through, eight) in through.iter_mut().zip(four) {
            let [a, b]: [__m128; 2] = bytemuck::must_cast(*eight);
            lanes = _mm256_add_pd(lanes, _mm256_add_pd(_mm256_cvtps_pd(a), _mm256_cvtps_pd(b)));
            *through = lanes;
        }
        *sums = fold_four(through);
    }
    sums
}

/// The sum of each, l with l + 2, + 1: two vectors become one, then two of those, so that they come out in
/// order.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fold_four(v: [__m256d; 4]) -> [f64; 4] {
    let (even, odd) = (fold_halves(v[0], v[2]), fold_halves(v[1], v[3]));
    bytemuck::must_cast(_mm256_add_pd(_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd)))
}

/// The lower and the upper half of each added.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fold_halves(a: __m256d, b: __m256d) -> __m256d {
    _mm256_add_pd(_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b))
}
