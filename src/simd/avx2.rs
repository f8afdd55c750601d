//! AVX2 with FMA, F16C and POPCNT: the sixteen lanes are two registers. x86-64 since 2013.

use super::exp2::ROUND;
use super::x86::{prefetch, reduce_add_eight, reduce_add_four, reduce_max, sum_eights};
use super::{EIGHTS, LANES, Line, Simd, Streaming, VECTORS, WIDE_LANES};
use core::arch::x86_64::*;

/// Proof that this CPU has AVX2, FMA, F16C and POPCNT: only [`Avx2::detect`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Avx2(());

type V = [__m256; 2];
type D = [__m256d; 4];

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt"))
        .then_some(Self(()))
    }
}

impl Simd for Avx2 {
    type V = V;
    type D = D;

    #[inline(always)]
    fn prefetch<T>(self, row: &[T], index: usize) {
        prefetch::<_MM_HINT_T1, T>(row, index);
    }

    #[inline(always)]
    fn prefetch_output(self, out: &[f32], index: usize) {
        prefetch::<_MM_HINT_T0, f32>(out, index);
    }

    const CHECKS: bool = true;

    operations! { "avx2,fma,f16c,popcnt"
        fn bound(x: V, zero: V, infinite: V) -> V {
            // Each operation answers with its second operand where that is NaN.
            [
                _mm256_min_ps(infinite[0], _mm256_max_ps(zero[0], x[0])),
                _mm256_min_ps(infinite[1], _mm256_max_ps(zero[1], x[1])),
            ]
        }
        fn outside(seen: V, k: V) -> V {
            // From -127 to 128, all bits of k but the lowest eight are those of 0. (A minimum and a maximum would
            // tell as much, but on Intel's CPUs through the ports that multiply.)
            let inside = _mm256_set1_ps(ROUND);
            let outside = _mm256_or_ps(_mm256_xor_ps(k[0], inside), _mm256_xor_ps(k[1], inside));
            [_mm256_or_ps(seen[0], outside), seen[1]]
        }
        fn any_outside(seen: V) -> bool {
            _mm256_testz_si256(_mm256_castps_si256(seen[0]), _mm256_set1_epi32(!0xff)) == 0
        }
        fn splat(x: f32) -> V { [_mm256_set1_ps(x); 2] }
        fn load(x: &[f32; LANES]) -> V { bytemuck::must_cast(*x) }
        fn load_f16(x: &[u16; LANES]) -> V {
            let halves: [__m128i; 2] = bytemuck::must_cast(*x);
            [_mm256_cvtph_ps(halves[0]), _mm256_cvtph_ps(halves[1])]
        }
        fn load_bf16(x: &[u16; LANES]) -> V {
            const NONE: i8 = -1; // a byte of 0
            let index = _mm256_setr_epi8(
                NONE, NONE, 0, 1, NONE, NONE, 2, 3, NONE, NONE, 4, 5, NONE, NONE, 6, 7, //
                NONE, NONE, 8, 9, NONE, NONE, 10, 11, NONE, NONE, 12, 13, NONE, NONE, 14, 15,
            );
            // Both halves of a register get the same eight numbers, so one permutation widens them: 0.94 x
            // the time of a conversion and a shift, for `sample` of a row in L2.
            let [low, high]: [__m128i; 2] = bytemuck::must_cast(*x);
            [
                _mm256_castsi256_ps(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(low), index)),
                _mm256_castsi256_ps(_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(high), index)),
            ]
        }
        fn store(v: V, out: &mut [f32; LANES]) { *out = bytemuck::must_cast(v) }
        fn stream(v: V, out: &mut Line, _proof: Streaming) {
            let halves: &mut [[f32; 8]; 2] = bytemuck::must_cast_mut(out);
            for (half, v) in halves.iter_mut().zip(v) {
                // SAFETY: half a line is 32 bytes at a multiple of 32, and ours to write. (As in
                // `avx512.rs`.)
                unsafe { _mm256_stream_ps(half.as_mut_ptr(), v) }
            }
        }
        fn settle() { _mm_sfence() }
        fn add(a: V, b: V) -> V { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        fn sub(a: V, b: V) -> V { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
        fn mul(a: V, b: V) -> V { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        fn div(a: V, b: V) -> V { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
        fn mul_add(a: V, b: V, c: V) -> V {
            [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])]
        }
        fn mul_sub(a: V, b: V, c: V) -> V {
            [_mm256_fmsub_ps(a[0], b[0], c[0]), _mm256_fmsub_ps(a[1], b[1], c[1])]
        }
        fn max(a: V, b: V) -> V { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
        fn min(a: V, b: V) -> V { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
        fn select_lt(a: V, b: V, yes: V, no: V) -> V {
            [select_lt(a[0], b[0], yes[0], no[0]), select_lt(a[1], b[1], yes[1], no[1])]
        }
        fn lanes_not_below(a: V, b: V) -> u32 {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a[0], b[0]));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a[1], b[1]));
            (high << 8 | low) as u32
        }
        fn exp2i(p: V, k: V, e: V) -> V { [exp2i(p[0], k[0], e[0]), exp2i(p[1], k[1], e[1])] }
        fn reduce_max(v: V) -> f32 { reduce_max(v) }
        fn widen(v: V) -> D {
            let quarters: [__m128; 4] = bytemuck::must_cast(v);
            [
                _mm256_cvtps_pd(quarters[0]),
                _mm256_cvtps_pd(quarters[1]),
                _mm256_cvtps_pd(quarters[2]),
                _mm256_cvtps_pd(quarters[3]),
            ]
        }
        fn store_wide(v: D, out: &mut [f64; LANES]) { *out = bytemuck::must_cast(v) }
        fn add_wide(a: D, b: D) -> D {
            [
                _mm256_add_pd(a[0], b[0]),
                _mm256_add_pd(a[1], b[1]),
                _mm256_add_pd(a[2], b[2]),
                _mm256_add_pd(a[3], b[3]),
            ]
        }
        fn reduce_add_wide(v: D) -> f64 {
            reduce_add_eight([_mm256_add_pd(v[0], v[2]), _mm256_add_pd(v[1], v[3])])
        }
        fn reduce_add_four(vectors: &[[f32; LANES]; 4]) -> [f64; 4] { reduce_add_four(vectors) }
        fn count_not_above(sorted: &[f64; WIDE_LANES], x: f64) -> usize {
            // What is not above x compares as -1.
            let (mut counts, x) = (_mm256_setzero_si256(), _mm256_set1_pd(x));
            for four in sorted.as_chunks::<4>().0 {
                let not_above = _mm256_cmp_pd::<_CMP_LE_OQ>(bytemuck::must_cast(*four), x);
                counts = _mm256_sub_epi64(counts, _mm256_castpd_si256(not_above));
            }
            let halves: [__m128i; 2] = bytemuck::must_cast(counts);
            let pair = _mm_add_epi64(halves[0], halves[1]);
            _mm_cvtsi128_si64(_mm_add_epi64(pair, _mm_unpackhi_epi64(pair, pair))) as usize
        }
        fn sum_eights(group: &[[f32; LANES]; VECTORS]) -> [f64; EIGHTS] { sum_eights(group) }
        fn transpose(eights: &[&[f32; WIDE_LANES]; LANES]) -> [[f32; LANES]; WIDE_LANES] {
            let mut lanes = [[0.0; LANES]; WIDE_LANES];
            for (half, lanes) in lanes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                for (octet, eights) in eights.as_chunks::<8>().0.iter().enumerate() {
                    // Four lanes of eights i and i + 4 side by side.
                    let part = |eight: usize| eights[eight].as_chunks::<4>().0[half];
                    let two = |i: usize| bytemuck::must_cast([part(i), part(i + 4)]);
                    let (a, b, c, d) = (two(0), two(1), two(2), two(3));
                    let low_ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b));
                    let low_cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
                    let high_ab = _mm256_castps_pd(_mm256_unpackhi_ps(a, b));
                    let high_cd = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
                    let four: [[f32; 8]; 4] = [
                        bytemuck::must_cast(_mm256_unpacklo_pd(low_ab, low_cd)),
                        bytemuck::must_cast(_mm256_unpackhi_pd(low_ab, low_cd)),
                        bytemuck::must_cast(_mm256_unpacklo_pd(high_ab, high_cd)),
                        bytemuck::must_cast(_mm256_unpackhi_pd(high_ab, high_cd)),
                    ];
                    for (lanes, eight) in lanes.iter_mut().zip(four) {
                        lanes.as_chunks_mut().0[octet] = eight;
                    }
                }
            }
            lanes
        }
        fn count_fifteen_not_above(sorted: &[f64; EIGHTS], x: f64) -> usize {
            // What is not above x compares as -1, of which two bytes are left in the end: two bits of the
            // mask, whose upper two are those of the last number.
            let (four, x): ([__m256d; 4], _) = (bytemuck::must_cast(*sorted), _mm256_set1_pd(x));
            let not_above = |i: usize| _mm256_castpd_si256(_mm256_cmp_pd::<_CMP_LE_OQ>(four[i], x));
            let low = _mm256_packs_epi32(not_above(0), not_above(1));
            let high = _mm256_packs_epi32(not_above(2), not_above(3));
            let bytes = _mm256_movemask_epi8(_mm256_packs_epi16(low, high)) as u32;
            ((bytes & 0x3fff_ffff).count_ones() / 2) as usize
        }
    }
}

/// Eight lanes of [`Simd::select_lt`], bit by bit: of a blend with zeros LLVM makes a second comparison,
/// since it does not know that the first leaves all bits of a lane alike.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn select_lt(a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
    let less = _mm256_cmp_ps::<_CMP_LT_OQ>(a, b);
    _mm256_or_ps(_mm256_and_ps(less, yes), _mm256_andnot_ps(less, no))
}

/// Eight lanes of [`Simd::exp2i`]: the lowest bits of k - e + [`ROUND`], shifted into the exponent, are
/// 2^(k - e), or 0 at `bound`'s lower end, or infinite at its upper one. (Where e is [`ROUND`], a constant, k
/// stays as it is.)
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn exp2i(p: __m256, k: __m256, e: __m256) -> __m256 {
    let k = _mm256_sub_ps(k, _mm256_sub_ps(e, _mm256_set1_ps(ROUND)));
    _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(k))))
}
