//! a x b + c, rounded once, where the target cannot.
//!
//! In f64 the product is exact and the sum is rounded to 53 bits; rounding that again to 24 bits
//! goes wrong only where the first rounding has landed on the middle between two f32 (or where the
//! result is subnormal, so that the middle lies elsewhere). Such lanes are rare: they are looked
//! for, and done again with the first rounding to odd, after which the second is right
//! (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).

use super::super::LANES;
use super::super::exp2::{POLYNOMIAL, ROUND};
use wide::{f32x4, f32x16, f64x2, u32x4};

/// Four f64.
type Wide = [f64x2; 2];

#[inline(always)]
fn widen(v: f32x4) -> Wide {
    let [a, b, c, d] = v.to_array().map(f64::from);
    [f64x2::new([a, b]), f64x2::new([c, d])]
}

#[inline(always)]
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
        doubts |= middle(sum) | subnormal(rounded[i]);
    }
    if doubts.any() { exactly(a, b, c) } else { bytemuck::must_cast(rounded) }
}

/// Not 0 in a lane whose sum lies on the middle between two f32: where of the bits that f32 has no room for,
/// only the highest is set.
#[inline(always)]
fn middle(sum: Wide) -> u32x4 {
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

/// 2^(x (hi + lo)) as p and k: p/2 x 2^(k - [`ROUND`]), p about 2.
///
/// In f64, x hi - n is exact. (Where the rest is subnormal, 2^rest is 1, however it was rounded.)
#[inline(always)]
pub(super) fn exp2_of_product(x: f32x16, hi: f32, lo: f32) -> (f32x16, f32x16) {
    let x4: [f32x4; 4] = bytemuck::must_cast(x);
    let (mut k, mut rest, mut t) = (x4, x4, x4);
    let mut doubts = u32x4::splat(0);
    let round = f64::from(ROUND);
    let [high, low, back] = [f64::from(hi), f64::from(lo), round].map(f64x2::splat);
    for i in 0..4 {
        let [a, b] = widen(x4[i]);
        let (from_a, from_b) = (a * high, b * high);
        let (k_a, k_b) = (rounded::<23>(from_a, round), rounded::<23>(from_b, round));
        k[i] = narrow([k_a, k_b]);
        rest[i] = narrow([from_a - (k_a - back), from_b - (k_b - back)]);
        let [rest_a, rest_b] = widen(rest[i]);
        let sum = [a * low + rest_a, b * low + rest_b];
        t[i] = narrow(sum);
        doubts |= middle(sum);
    }
    if doubts.any() {
        t = bytemuck::must_cast(exactly(x, f32x16::splat(lo), bytemuck::must_cast(rest)));
    }
    for t in &mut t {
        let [a, b] = widen(*t);
        *t = narrow([exp2(a), exp2(b)]);
    }
    (bytemuck::must_cast(t), bytemuck::must_cast(k))
}

/// Twice the polynomial, for |t| <= 0.502.
///
/// Where the exponent e of a result is known, a single addition rounds it: beside 1.5 x 2^(e + 29) there is
/// room for just the 24 bits of an f32. Where it may be one of two, the larger serves from its power of two
/// on; the coefficient has to fit both. The last result is rounded by its conversion, and so twice, but it
/// never lands on the middle: the tests go through every t.
#[inline(always)]
fn exp2(t: f64x2) -> f64x2 {
    let [c1, c2, c3, c4, c5] = POLYNOMIAL.map(|c| 2.0 * f64::from(c));
    let p = rounded::<-6>(f64x2::splat(c5) * t, c4); // 0.018 to 0.021
    let p = rounded::<-4>(p * t, c3); // 0.10 to 0.13
    let p = rounded_around_half(p * t, c2); // 0.40 to 0.56
    let p = rounded::<0>(p * t, c1); // 1.1 to 1.7
    p * t + f64x2::splat(2.0)
}

/// product + c to the precision of an f32 in [2^E, 2^(E + 1)).
#[inline(always)]
fn rounded<const E: i32>(product: f64x2, c: f64) -> f64x2 {
    let room = const { 1.5 * power(E + 29) };
    (product + f64x2::splat(c + room)) - f64x2::splat(room)
}

/// The same for a result in [1/4, 1).
#[inline(always)]
fn rounded_around_half(product: f64x2, c: f64) -> f64x2 {
    let below = rounded::<-2>(product, c);
    below.simd_lt(f64x2::splat(0.5)).select(below, rounded::<-1>(product, c))
}

const fn power(e: i32) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// Out of line, but in loops that become vectors: logits of few bits come here often.
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
        let odd = f64::from_bits(odd) as f32;
        rounded[i] = odd;
    }
    f32x16::new(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::contract;

    fn assert_same(ours: f32x16, expected: f32, what: &str) {
        for (lane, ours) in ours.to_array().into_iter().enumerate() {
            assert_eq!(ours.to_bits(), expected.to_bits(), "{what}, lane {lane}: {ours:e}");
        }
    }

    /// 2^t over every `stride`-th t of either sign.
    fn go_through(stride: usize) {
        for start in (0..=0.502_f32.to_bits()).step_by(2 * stride) {
            let [a, b] = [start, start + stride as u32].map(f32::from_bits);
            let [positive, negative] = widen(f32x4::new([a, b, -a, -b]));
            let ours = narrow([exp2(positive), exp2(negative)]);
            for (t, ours) in [a, b, -a, -b].into_iter().zip(ours.to_array()) {
                assert_eq!((ours / 2.0).to_bits(), contract::power_of_two(t).to_bits(), "{t:e}");
            }
        }
    }

    #[test]
    fn powers_of_two_are_those_of_the_contract() {
        go_through(1021);
    }

    #[test]
    #[ignore = "exhaustive"]
    fn all_powers_of_two_are_those_of_the_contract() {
        go_through(1);
    }

    /// x lo + (x hi - n) a little off the middle between two f32, by less than f64 can tell: by j^2 2^-72.
    #[test]
    fn an_argument_beside_a_tie_is_rounded_once() {
        let ulp = 1.0 / (1 << 23) as f32;
        let mut twice = 0;
        for (j, eighths) in
            (1..256_u16).flat_map(|j| [(j, 9.0), (j, 10.0), (j, 11.0), (j, 13.0), (j, 14.0), (j, 15.0)])
        {
            let (x, hi) = (1.0 + f32::from(j) * ulp, eighths / 8.0);
            let lo = (1.0 - f32::from(j) * ulp) / (1 << 26) as f32;
            let rest = x.mul_add(hi, -(x.mul_add(hi, ROUND) - ROUND));
            let expected = contract::power_of_two(x.mul_add(lo, rest));
            let at_once = (f64::from(x) * f64::from(lo) + f64::from(rest)) as f32;
            twice += u32::from(expected != contract::power_of_two(at_once));
            let (p, _) = exp2_of_product(f32x16::splat(x), hi, lo);
            assert_same(p, 2.0 * expected, "2^t");
        }
        assert!(twice > 0, "none of these would be wrong if rounded twice");
    }

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
            assert_same(ours, expected, &format!("{a:e} x {b:e} + {c:e}"));
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
