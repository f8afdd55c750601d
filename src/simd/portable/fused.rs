//! a x b + c, rounded once, where the target cannot.
//!
//! In f64 the product is exact and the sum is rounded to 53 bits; rounding that again to 24 bits
//! goes wrong only where the first rounding has landed on the middle between two f32 (or where the
//! result is subnormal, so that the middle lies elsewhere). Such lanes are rare: they are looked
//! for, and done again with the first rounding to odd, after which the second is right
//! (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).

use super::super::LANES;
use wide::{f32x4, f32x16, f64x2, u32x4};

/// Four f64.
pub(super) type Wide = [f64x2; 2];

#[inline(always)]
pub(super) fn widen(v: f32x4) -> Wide {
    let [a, b, c, d] = v.to_array().map(f64::from);
    [f64x2::new([a, b]), f64x2::new([c, d])]
}

#[inline(always)]
pub(super) fn narrow(v: Wide) -> f32x4 {
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
        doubts |= middle(sum) | subnormal(rounded[i]);
    }
    if doubts.any() { exactly(a, b, c) } else { bytemuck::must_cast(rounded) }
}

/// Not 0 in a lane whose sum lies on the middle between two f32: where of the bits that f32 has no room for,
/// only the highest is set.
#[inline(always)]
pub(super) fn middle(sum: Wide) -> u32x4 {
    let lowest: [u64; 4] = bytemuck::must_cast(sum);
    (u32x4::new(lowest.map(|bits| bits as u32)) & u32x4::splat(0x1fff_ffff))
        .simd_eq(u32x4::splat(0x1000_0000))
}

/// Not 0 in a lane that is subnormal, or has become normal by rounding. (If it became 0, the sum was exact:
/// either c is 0, or the product cancels it, so that its lowest bit is no smaller than 2^-198.)
#[inline(always)]
fn subnormal(rounded: f32x4) -> u32x4 {
    let small = rounded.abs().simd_lt(f32x4::splat(2.0 * f32::MIN_POSITIVE));
    bytemuck::must_cast(small & rounded.simd_ne(f32x4::ZERO))
}

/// Out of line, but in loops that become vectors: logits of few bits come here often.
#[inline(never)]
pub(super) fn exactly(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
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
        let odd = f64::from_bits(odd) as f32;
        rounded[i] = odd;
    }
    f32x16::new(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products and sums where the sum in f64 is a tie although the exact one is not, for normal and
    /// subnormal results, whichever of the two is larger.
    #[test]
    fn products_beside_a_tie_are_rounded_once() {
        let power = |e: u32| 1.0 / (1_u128 << e) as f32;
        let (more, less, half, small) = (1.0 + f32::EPSILON, 1.0 - f32::EPSILON, power(24), power(75));
        let near = [
            [more, less, half],
            [half * less, half * more, 1.0 + power(12)],
            [small * less, small * more, power(60)],
            [0.0, f32::from_bits(0x20_0001), f32::from_bits(0x80_0001)],
        ]
        .concat();
        let mut twice = 0;
        let mut check = |a: f32, b: f32, c: f32| {
            let expected = a.mul_add(b, c);
            twice += u32::from(expected != (f64::from(a) * f64::from(b) + f64::from(c)) as f32);
            let ours = mul_add(f32x16::splat(a), f32x16::splat(b), f32x16::splat(c));
            for (lane, ours) in ours.to_array().into_iter().enumerate() {
                assert_eq!(
                    ours.to_bits(),
                    expected.to_bits(),
                    "{a:e} x {b:e} + {c:e}, lane {lane}: {ours:e}"
                );
            }
        };
        for &a in &near {
            for &b in &near {
                for &c in &near {
                    check(a, b, c);
                    check(a, b, -c);
                }
            }
        }
        assert!(twice > 0, "none of these would be wrong if rounded twice");
    }
}
