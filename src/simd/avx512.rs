//! AVX-512 F/BW/DQ/VL: the sixteen lanes are one register. Zen 4 and later, Intel's Xeons since Skylake.

use super::exp2::LOWEST;
use super::x86::{prefetch, reduce_add_eight, reduce_add_four, reduce_max, sum_eights};
use super::{EIGHTS, LANES, Line, Simd, Streaming, VECTORS, WIDE_LANES};
use core::arch::x86_64::*;

/// Proof that this CPU has AVX-512: only [`Avx512::detect`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Avx512 {
    is_zen4: bool,
}

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("popcnt"))
        .then(|| Self { is_zen4: is_zen4() })
    }
}

/// SSE4a is AMD's alone, and Zen 5 brought AVX-VNNI and VP2INTERSECT. (A wrong guess costs time, not bits.)
fn is_zen4() -> bool {
    is_x86_feature_detected!("sse4a")
        && !is_x86_feature_detected!("avxvnni")
        && !is_x86_feature_detected!("avx512vp2intersect")
}

impl Simd for Avx512 {
    type V = __m512;
    type D = [__m512d; 2];

    #[inline(always)]
    fn prefetch<T>(self, row: &[T], index: usize) {
        prefetch::<_MM_HINT_T1, T>(row, index);
    }

    /// A Zen 4 does: `sample` of 256 rows takes 0.82 x the time of asking as elsewhere.
    #[inline(always)]
    fn reads_ahead(self) -> bool {
        self.is_zen4
    }

    #[inline(always)]
    fn prefetch_output(self, out: &[f32], index: usize) {
        prefetch::<_MM_HINT_T0, f32>(out, index);
    }

    /// There are 32 registers.
    const HOLDS_GROUP: bool = true;

    /// Not `pure`: what is prefetched between two stages stays there. LLVM moved it behind the last one,
    /// where the next group's loads wait for it. (256 rows of `sample`, on an Intel Granite Rapids: 0.89 x.)
    #[inline(always)]
    fn stage<const N: usize>(self, v: [__m512; N]) -> [__m512; N] {
        #[inline]
        #[target_feature(enable = "avx512f")]
        fn operation<const N: usize>(mut v: [__m512; N]) -> [__m512; N] {
            let (eights, rest) = v.as_chunks_mut();
            for [a, b, c, d, e, f, g, h] in eights {
                // SAFETY: no instruction at all; the registers keep their values.
                unsafe {
                    core::arch::asm!(
                        "/* {} {} {} {} {} {} {} {} */",
                        inout(zmm_reg) * a,
                        inout(zmm_reg) * b,
                        inout(zmm_reg) * c,
                        inout(zmm_reg) * d,
                        inout(zmm_reg) * e,
                        inout(zmm_reg) * f,
                        inout(zmm_reg) * g,
                        inout(zmm_reg) * h,
                        options(nomem, nostack, preserves_flags)
                    );
                }
            }
            for v in rest {
                // SAFETY: as above.
                unsafe {
                    core::arch::asm!(
                        "/* {} */",
                        inout(zmm_reg) * v,
                        options(nomem, nostack, preserves_flags)
                    );
                }
            }
            v
        }
        // SAFETY: the token exists only where `detect` has found every feature named above.
        unsafe { operation(v) }
    }

    operations! { "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt"
        fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn load(x: &[f32; LANES]) -> __m512 { bytemuck::must_cast(*x) }
        fn load_f16(x: &[u16; LANES]) -> __m512 { _mm512_cvtph_ps(bytemuck::must_cast(*x)) }
        fn load_bf16(x: &[u16; LANES]) -> __m512 {
            // Word 16 is the first of those that are 0.
            const INDEX: [u16; 32] = [
                16, 0, 16, 1, 16, 2, 16, 3, 16, 4, 16, 5, 16, 6, 16, 7, //
                16, 8, 16, 9, 16, 10, 16, 11, 16, 12, 16, 13, 16, 14, 16, 15,
            ];
            let (x, index) = (_mm512_zextsi256_si512(bytemuck::must_cast(*x)), bytemuck::must_cast::<_, __m512i>(INDEX));
            let wide: __m512;
            // SAFETY: of AVX512BW, and it works on registers alone. (Of the intrinsic, LLVM makes two
            // instructions: `sample` of a row in L2 then takes 1.04 x the time.)
            unsafe {
                core::arch::asm!(
                    "vpermw {}, {}, {}",
                    out(zmm_reg) wide,
                    in(zmm_reg) index,
                    in(zmm_reg) x,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            wide
        }
        fn store(v: __m512, out: &mut [f32; LANES]) { *out = bytemuck::must_cast(v) }
        fn stream(v: __m512, out: &mut Line, _proof: Streaming) {
            // SAFETY: a line is 64 bytes at a multiple of 64, and ours to write. Nobody reads or writes it
            // before `settle` has ordered the stores, on the same thread: there is proof of that (stream.rs).
            unsafe { _mm512_stream_ps(bytemuck::must_cast_mut::<_, [f32; LANES]>(out).as_mut_ptr(), v) }
        }
        fn settle() { _mm_sfence() }
        fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        fn mul_sub(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmsub_ps(a, b, c) }
        fn max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        fn min(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
        fn select_lt(a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
            _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes)
        }
        fn lanes_not_below(a: __m512, b: __m512) -> u32 { u32::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b)) }
        fn exp2i(p: __m512, k: __m512, e: __m512) -> __m512 {
            let k = _mm512_sub_ps(k, e);
            let normal = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(k, _mm512_set1_ps(LOWEST));
            _mm512_maskz_scalef_ps(normal, p, k)
        }
        fn scalef(p: __m512, n: __m512) -> __m512 { _mm512_scalef_ps(p, n) }
        fn reduce_max(v: __m512) -> f32 { reduce_max(bytemuck::must_cast(v)) }
        fn widen(v: __m512) -> [__m512d; 2] {
            let halves: [__m256; 2] = bytemuck::must_cast(v);
            [_mm512_cvtps_pd(halves[0]), _mm512_cvtps_pd(halves[1])]
        }
        fn store_wide(v: [__m512d; 2], out: &mut [f64; LANES]) { *out = bytemuck::must_cast(v) }
        fn add_wide(a: [__m512d; 2], b: [__m512d; 2]) -> [__m512d; 2] {
            [_mm512_add_pd(a[0], b[0]), _mm512_add_pd(a[1], b[1])]
        }
        fn reduce_add_wide(v: [__m512d; 2]) -> f64 {
            reduce_add_eight(bytemuck::must_cast(_mm512_add_pd(v[0], v[1])))
        }
        // Half as wide as it could be: on a Zen 4, widening sixteen lanes by two instructions takes longer
        // than by four. Measured, for eight vectors: 8.7 against 12.9 ns.
        fn reduce_add_four(vectors: &[[f32; LANES]; 4]) -> [f64; 4] { reduce_add_four(vectors) }
        fn count_not_above(sorted: &[f64; WIDE_LANES], x: f64) -> usize {
            _mm512_cmp_pd_mask::<_CMP_LE_OQ>(bytemuck::must_cast(*sorted), _mm512_set1_pd(x)).count_ones() as usize
        }
        fn sum_eights(group: &[[f32; LANES]; VECTORS]) -> [f64; EIGHTS] { sum_eights(group) }
        fn transpose(eights: &[&[f32; WIDE_LANES]; LANES]) -> [[f32; LANES]; WIDE_LANES] {
            let mut lanes = [[0.0; LANES]; WIDE_LANES];
            for (half, lanes) in lanes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                // Four lanes of eights i, i + 4, i + 8 and i + 12 side by side.
                let part = |eight: usize| eights[eight].as_chunks::<4>().0[half];
                let four = |i: usize| bytemuck::must_cast([part(i), part(i + 4), part(i + 8), part(i + 12)]);
                let (a, b, c, d) = (four(0), four(1), four(2), four(3));
                let low_ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b));
                let low_cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
                let high_ab = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
                let high_cd = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
                *lanes = [
                    bytemuck::must_cast(_mm512_unpacklo_pd(low_ab, low_cd)),
                    bytemuck::must_cast(_mm512_unpackhi_pd(low_ab, low_cd)),
                    bytemuck::must_cast(_mm512_unpacklo_pd(high_ab, high_cd)),
                    bytemuck::must_cast(_mm512_unpackhi_pd(high_ab, high_cd)),
                ];
            }
            lanes
        }
        fn count_fifteen_not_above(sorted: &[f64; EIGHTS], x: f64) -> usize {
            let ([low, high], x): ([__m512d; 2], _) = (bytemuck::must_cast(*sorted), _mm512_set1_pd(x));
            let low = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(low, x);
            let high = _mm512_mask_cmp_pd_mask::<_CMP_LE_OQ>(0b0111_1111, high, x);
            _mm512_kunpackb(u16::from(high), u16::from(low)).count_ones() as usize
        }
    }
}
