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

    #[inline(always)]
    fn lanes_not_below(self, a: f32x16, b: f32x16) -> u32 {
        a.simd_ge(b).to_bitmask()
    }

    #[cfg(not(any(target_feature = "fma", all(target_arch = "aarch64", target_feature = "neon"))))]
    #[inline(always)]
    fn exp2_of_product(
        self,
        x: [f32x16; super::WIDTH],
        hi: f32x16,
        lo: f32x16,
    ) -> ([f32x16; super::WIDTH], [f32x16; super::WIDTH]) {
        let (mut p, mut k) = (x, x);
        for i in 0..super::WIDTH {
            (p[i], k[i]) = fused::exp2_of_product(x[i], hi, lo);
        }
        (p, k)
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
    use super::super::{LANES, POLYNOMIAL, ROUND};
    use wide::{f32x4, f32x16, f64x2, u32x4};

    /// Four f64.
    type Wide = [f64x2; 2];

    #[inline(always)]
    fn widen(v: f32x4) -> Wide {
        let [a, b, c, d] = v.to_array().map(f64::from);
        [f64x2::new([a, b]), f64x2::new([c, d])]
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32")]
    fn narrow(v: Wide) -> f32x4 {
        let v: [f64; 4] = bytemuck::must_cast(v);
        f32x4::new(v.map(|x| x as f32))
    }

    #[inline(always)]
    pub(super) fn mul_add(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        let [a4, b4, c4]: [[f32x4; 4]; 3] = bytemuck::must_cast([a, b, c]);
        let (mut rounded, mut doubts) = (a4, u32x4::splat(0));
        for i in 0..4 {
            let (a, b, c) = (widen(a4[i]), widen(b4[i]), widen(c4[i]));
            let sum = [a[0] * b[0] + c[0], a[1] * b[1] + c[1]];
            rounded[i] = narrow(sum);
            doubts |= doubt(sum, rounded[i]);
        }
        if doubts.any() { exactly(a, b, c) } else { bytemuck::must_cast(rounded) }
    }

    /// Not 0 in a lane whose sum lies on the middle between two f32, or is a subnormal one. (If it became 0, the
    /// sum was exact: the product's lowest bit is then no smaller than 2^-198.)
    #[inline(always)]
    fn doubt(sum: Wide, rounded: f32x4) -> u32x4 {
        // Of the bits that f32 has no room for, all; in the upper half of each f64, a pattern that is not there.
        let lost = u32x4::new([0x1fff_ffff, 0, 0x1fff_ffff, 0]);
        let middle = u32x4::new([0x1000_0000, 1, 0x1000_0000, 1]);
        let [a, b]: [u32x4; 2] = bytemuck::must_cast(sum);
        let small = rounded.abs().simd_lt(f32x4::splat(2.0 * f32::MIN_POSITIVE));
        let subnormal: u32x4 = bytemuck::must_cast(small & rounded.simd_ne(f32x4::ZERO));
        (a & lost).simd_eq(middle) | (b & lost).simd_eq(middle) | subnormal
    }

    /// [`super::super::Simd::exp2_of_product`], in f64 as far as it goes.
    ///
    /// Where the exponent e of a result is known, a single addition rounds it: beside 1.5 x 2^(e + 29) there is
    /// room for just the 24 bits of an f32. Where it may be one of two, the larger serves from its power of two
    /// on; the coefficient has to fit both. x hi - n needs no more than 53 bits.
    #[inline(always)]
    pub(super) fn exp2_of_product(x: f32x16, hi: f32x16, lo: f32x16) -> (f32x16, f32x16) {
        let [x4, hi4]: [[f32x4; 4]; 2] = bytemuck::must_cast([x, hi]);
        let (mut k, mut t) = (x4, x4);
        for i in 0..4 {
            let (x, hi, round) = (widen(x4[i]), widen(hi4[i]), f64::from(ROUND));
            let (a, b) = (x[0] * hi[0], x[1] * hi[1]);
            let (k_a, k_b) = (rounded::<23>(a, round), rounded::<23>(b, round));
            k[i] = narrow([k_a, k_b]);
            t[i] = narrow([a - (k_a - f64x2::splat(round)), b - (k_b - f64x2::splat(round))]);
        }
        let mut p: [f32x4; 4] = bytemuck::must_cast(mul_add(x, lo, bytemuck::must_cast(t)));
        for p in &mut p {
            let [a, b] = widen(*p);
            *p = narrow([polynomial(a), polynomial(b)]);
        }
        (bytemuck::must_cast(p), bytemuck::must_cast(k))
    }

    #[inline(always)]
    fn polynomial(t: f64x2) -> f64x2 {
        let [c1, c2, c3, c4, c5] = POLYNOMIAL.map(f64::from);
        let p = rounded::<-7>(f64x2::splat(c5) * t, c4); // 0.0090 to 0.0104
        let p = rounded::<-5>(p * t, c3); // 0.050 to 0.061
        let p = rounded_around::<-2>(p * t, c2); // 0.20 to 0.28, around 2^-2
        let p = rounded::<-1>(p * t, c1); // 0.55 to 0.84
        rounded_around::<0>(p * t, 1.0) // 0.70 to 1.42, around 1
    }

    /// product + c to the precision of an f32 in [2^E, 2^(E + 1)).
    #[inline(always)]
    fn rounded<const E: i32>(product: f64x2, c: f64) -> f64x2 {
        let room = const { 1.5 * power(E + 29) };
        (product + f64x2::splat(c + room)) - f64x2::splat(room)
    }

    /// The same for a result in [2^(E - 1), 2^(E + 1)).
    #[inline(always)]
    fn rounded_around<const E: i32>(product: f64x2, c: f64) -> f64x2 {
        let room = const { 1.5 * power(E + 28) };
        let finer = (product + f64x2::splat(c + room)) - f64x2::splat(room);
        finer.simd_lt(f64x2::splat(const { power(E) })).select(finer, rounded::<E>(product, c))
    }

    const fn power(e: i32) -> f64 {
        f64::from_bits(((e + 1023) as u64) << 52)
    }

    /// (Out of line, but in loops that become vectors: logits of few bits come here often.)
    #[inline(never)]
    fn exactly(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        let (a, b, c) = (a.to_array(), b.to_array(), c.to_array());
        let mut rounded = [0.0; LANES];
        for i in 0..LANES {
            let (product, c) = (f64::from(a[i]) * f64::from(b[i]), f64::from(c[i]));
            let sum = product + c;
            // Knuth's two-sum: `lost` is exactly what the rounding of `sum` left out.
            let from_product = sum - c;
            let lost = (product - from_product) + (c - (sum - from_product));
            // An even sum that is not exact gives way to its odd neighbour on the side of what was lost.
            let bits = sum.to_bits();
            let even = !bits & 1;
            let up = if (lost > 0.0) == (sum > 0.0) { even } else { even.wrapping_neg() };
            let odd = if lost != 0.0 && sum.is_finite() { bits.wrapping_add(up) } else { bits };
            #[expect(clippy::cast_possible_truncation, reason = "the second rounding, to f32")]
            let odd = f64::from_bits(odd) as f32;
            rounded[i] = odd;
        }
        f32x16::new(rounded)
    }
}
