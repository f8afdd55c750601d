//! Every target, on `wide`: NEON, wasm simd128, SSE2 or whatever the build was told to use.
//! Where that has no fused multiply-add, it is emulated exactly.

mod exp2;
mod fused;

use super::exp2::{LOWEST, ROUND, exp2_one_by_one};
use super::{LANES, Line, Simd};
use wide::{f32x16, u32x16};

/// The level that needs no proof: it runs everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Portable;

type D = [f64; LANES];

/// Whether the target has a fused multiply-add.
const FUSED: bool = cfg!(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon")));

impl Simd for Portable {
    type V = f32x16;
    type D = D;

    #[inline(always)]
    fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R {
        kernel()
    }

    /// Without a portable way to ask for it, the hardware's own prefetcher has to do.
    #[inline(always)]
    fn prefetch<T>(self, _row: &[T], _index: usize) {}

    #[inline(always)]
    fn prefetch_output(self, _out: &[f32], _index: usize) {}

    #[inline(always)]
    fn splat(self, x: f32) -> f32x16 {
        f32x16::splat(x)
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> f32x16 {
        f32x16::new(*x)
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> f32x16 {
        // Shifted into place, the exponent is 112 too small. A subnormal number is m 2^-14: (1 + m) 2^-14 is
        // a normal one, and less 2^-14 it is exact. (A multiplication would mend both, but on an Intel
        // Granite Rapids those of subnormal numbers, as most f16 probabilities are, take 28 x the time.)
        const LEAST: f32 = 1.0 / (1 << 14) as f32; // of the normal numbers
        let bits = u32x16::new(x.map(u32::from));
        let sign = (bits & u32x16::splat(0x8000)) << 16_u32;
        let shifted = (bits & u32x16::splat(0x7fff)) << 13_u32;
        let normal: f32x16 = bytemuck::must_cast(shifted + u32x16::splat(112 << 23));
        let subnormal =
            bytemuck::must_cast::<_, f32x16>(shifted + u32x16::splat(113 << 23)) - f32x16::splat(LEAST);
        let number = normal.simd_lt(f32x16::splat(LEAST)).select(subnormal, normal);
        // Infinity and NaN (2^16 and above) get an exponent of all ones.
        let all_ones: f32x16 =
            bytemuck::must_cast(bytemuck::must_cast::<_, u32x16>(normal) | u32x16::splat(0x7f80_0000));
        let number = number.simd_lt(f32x16::splat(65536.0)).select(number, all_ones);
        bytemuck::must_cast(bytemuck::must_cast::<_, u32x16>(number) | sign)
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> f32x16 {
        bytemuck::must_cast(u32x16::new(x.map(u32::from)) << 16_u32)
    }

    #[inline(always)]
    fn store(self, v: f32x16, out: &mut [f32; LANES]) {
        *out = v.to_array();
    }

    /// Without a portable way past the caches, an ordinary store.
    #[inline(always)]
    fn stream(self, v: f32x16, out: &mut Line, _: super::Streaming) {
        *out = v;
    }

    #[inline(always)]
    fn settle(self) {}

    #[inline(always)]
    fn add(self, a: f32x16, b: f32x16) -> f32x16 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32x16, b: f32x16) -> f32x16 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32x16, b: f32x16) -> f32x16 {
        a * b
    }

    #[inline(always)]
    fn div(self, a: f32x16, b: f32x16) -> f32x16 {
        a / b
    }

    #[inline(always)]
    fn mul_add(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        if FUSED { a.mul_add(b, c) } else { fused::mul_add(a, b, c) }
    }

    #[inline(always)]
    fn mul_sub(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        self.mul_add(a, b, -c)
    }

    #[inline(always)]
    fn max(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_gt(b).select(a, b)
    }

    #[inline(always)]
    fn min(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_lt(b).select(a, b)
    }

    #[inline(always)]
    fn select_lt(self, a: f32x16, b: f32x16, yes: f32x16, no: f32x16) -> f32x16 {
        a.simd_lt(b).select(yes, no)
    }

    #[inline(always)]
    fn lanes_not_below(self, a: f32x16, b: f32x16) -> u32 {
        a.simd_ge(b).to_bitmask()
    }

    #[inline(always)]
    fn exp2_of_vectors<T, const N: usize>(
        self,
        vectors: &[T; N],
        x: impl Fn(&T) -> f32x16,
        product: super::Product,
        out: &mut [[f32; LANES]; N],
        outside: &mut f32x16,
        loaded: impl FnOnce(),
    ) {
        if FUSED {
            return exp2_one_by_one(self, vectors, x, product, out, outside, loaded);
        }
        for (vector, out) in vectors.iter().zip(out) {
            let (p, k) = exp2::exp2_of_product(x(vector), product.hi, product.lo);
            self.store(self.exp2i(p, k, f32x16::splat(product.exponent + ROUND)), out);
        }
        loaded();
    }

    /// The lowest bits of k - e + [`ROUND`], shifted into the exponent, are 2^(k - e). k - e = 128
    /// becomes infinity.
    #[inline(always)]
    fn exp2i(self, p: f32x16, k: f32x16, e: f32x16) -> f32x16 {
        let k = k - (e - f32x16::splat(ROUND));
        let too_small = k.simd_lt(f32x16::splat(ROUND + LOWEST));
        let highest = f32x16::splat(ROUND + 128.0);
        let capped: u32x16 = bytemuck::must_cast(k.fast_min(highest));
        let power: f32x16 = bytemuck::must_cast(capped << 23_u32);
        too_small.select(f32x16::ZERO, p * power)
    }

    #[inline(always)]
    fn reduce_max(self, v: f32x16) -> f32 {
        let mut lanes = v.to_array();
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                let (a, b) = (lanes[i], lanes[i + half]);
                lanes[i] = if a > b { a } else { b };
            }
        }
        lanes[0]
    }

    #[inline(always)]
    fn widen(self, v: f32x16) -> D {
        v.to_array().map(f64::from)
    }

    #[inline(always)]
    fn store_wide(self, v: D, out: &mut [f64; LANES]) {
        *out = v;
    }

    #[inline(always)]
    fn add_wide(self, a: D, b: D) -> D {
        core::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn reduce_add_wide(self, mut v: D) -> f64 {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                v[i] += v[i + half];
            }
        }
        v[0]
    }
}
