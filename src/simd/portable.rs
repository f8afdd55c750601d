//! Every target, on `wide`: NEON, wasm simd128, SSE2 or whatever the build was told to use.
//! Where that has no fused multiply-add, it is emulated exactly.

use super::{LANES, LOWEST, Line, ROUND, Simd};
use wide::{f32x16, u32x16};

/// The level that needs no proof: it runs everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

type D = [f64; LANES];

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
    fn splat(self, x: f32) -> f32x16 {
        f32x16::splat(x)
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> f32x16 {
        f32x16::new(*x)
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> f32x16 {
        // Shifted into place, the exponent is 112 too small. Multiplying by 2^112 mends normal and
        // subnormal numbers alike, exactly; infinity and NaN (2^16 and above) get all ones instead.
        let bits = u32x16::new(x.map(u32::from));
        let sign = (bits & u32x16::splat(0x8000)) << 16_u32;
        let shifted: f32x16 = bytemuck::must_cast((bits & u32x16::splat(0x7fff)) << 13_u32);
        let number = shifted * f32x16::splat(f32::from_bits((112 + 127) << 23));
        let all_ones: f32x16 =
            bytemuck::must_cast(bytemuck::must_cast::<_, u32x16>(number) | u32x16::splat(0x7f80_0000));
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
    fn stream(self, v: f32x16, out: &mut Line) {
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
        fused::mul_add(a, b, c)
    }

    #[inline(always)]
    fn mul_sub(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        fused::mul_add(a, b, -c)
    }

    #[inline(always)]
    fn max(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_gt(b).select(a, b)
    }

    #[inline(always)]
    fn select_lt(self, a: f32x16, b: f32x16, yes: f32x16, no: f32x16) -> f32x16 {
        a.simd_lt(b).select(yes, no)
    }

    /// As in `avx2.rs`.
    #[inline(always)]
    fn exp2i(self, p: f32x16, k: f32x16) -> f32x16 {
        let too_small = k.simd_lt(f32x16::splat(LOWEST));
        let highest = f32x16::splat(ROUND + 128.0);
        let capped: u32x16 = bytemuck::must_cast(k.simd_lt(highest).select(k, highest));
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

/// a x b + c, rounded once: the target has the instruction.
#[cfg(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon")))]
mod fused {
    use wide::f32x16;

    #[inline(always)]
    pub(super) fn mul_add(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        a.mul_add(b, c)
    }
}

/// a x b + c, rounded once, where the target cannot.
///
/// In f64 the product is exact and the sum is rounded to 53 bits; rounding that again to 24 bits
/// goes wrong only where the first rounding has landed on the middle between two f32 (or where the
/// result is subnormal, so that the middle lies elsewhere). Such lanes are rare: they are looked
/// for, and done again with the first rounding to odd, after which the second is right
/// (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
#[cfg(not(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon"))))]
mod fused {
    use super::LANES;
    use wide::f32x16;

    #[inline(always)]
    pub(super) fn mul_add(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        let (a, b, c) = (a.to_array(), b.to_array(), c.to_array());
        let sum: [f64; LANES] = core::array::from_fn(|i| f64::from(a[i]) * f64::from(b[i]) + f64::from(c[i]));
        #[expect(clippy::cast_possible_truncation, reason = "the second rounding, to f32")]
        let rounded = sum.map(|s| s as f32);
        let mut doubtful = 0;
        for i in 0..LANES {
            doubtful |= doubt(sum[i], rounded[i]);
        }
        if doubtful == 0 {
            return f32x16::new(rounded);
        }
        f32x16::new(core::array::from_fn(|i| exact(a[i], b[i], c[i])))
    }

    /// Not 0 if the sum lies on the middle between two f32, or is a subnormal one. (If it became 0, the
    /// sum was exact: the product's lowest bit is then no smaller than 2^-198.)
    #[inline(always)]
    fn doubt(sum: f64, rounded: f32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "of the bits that f32 has no room for, all")]
        let lost = sum.to_bits() as u32 & 0x1fff_ffff;
        u32::from(lost == 0x1000_0000)
            | u32::from((rounded.abs() < 2.0 * f32::MIN_POSITIVE) & (rounded != 0.0))
    }

    #[cold]
    fn exact(a: f32, b: f32, c: f32) -> f32 {
        let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
        let sum = product + c;
        // Knuth's two-sum: `lost` is exactly what the rounding of `sum` left out.
        let from_product = sum - c;
        let lost = (product - from_product) + (c - (sum - from_product));
        let bits = sum.to_bits();
        let odd = if lost == 0.0 || !sum.is_finite() || bits & 1 == 1 {
            sum
        } else if (lost > 0.0) == (sum > 0.0) {
            f64::from_bits(bits + 1)
        } else {
            f64::from_bits(bits - 1)
        };
        #[expect(clippy::cast_possible_truncation, reason = "the second rounding, to f32")]
        let rounded = odd as f32;
        rounded
    }
}
