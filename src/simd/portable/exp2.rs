//! UNIT x 2^(x (hi + lo)) in f64, where the target has no fused multiply-add: the bits of one that has.

use super::super::exp2::{POLYNOMIAL, ROUND};
use super::fused::{exactly, middle, narrow, widen};
use wide::{f32x4, f32x16, f64x2, u32x4};

/// As p and k: p x 2^(k - [`ROUND`]), p about UNIT.
///
/// In f64, x hi - n is exact. (Where the rest is subnormal, UNIT x 2^rest is UNIT, however it was rounded.)
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

/// The polynomial, for |t| <= 0.502.
///
/// Where the exponent e of a result is known, a single addition rounds it: beside 1.5 x 2^(e + 29) there is
/// room for just the 24 bits of an f32. Where it may be one of two, the larger serves from its power of two
/// on; the coefficient has to fit both. The last result is rounded by its conversion, and so twice, but it
/// never lands on the middle: the tests go through every t.
#[inline(always)]
fn exp2(t: f64x2) -> f64x2 {
    let [a, b, c, k1, k0] = POLYNOMIAL.map(f64::from);
    let linear = rounded::<2>(t, a); // 6.7 to 7.9
    let square = rounded::<5>(t * t, b); // 41.8 to 42.2
    let cubic = rounded::<7>(square * linear, c); // 158 to 206
    let p = rounded_around_512(cubic * t, k1); // 440 to 627
    p * t + f64x2::splat(k0)
}

/// product + c to the precision of an f32 in [2^E, 2^(E + 1)).
#[inline(always)]
fn rounded<const E: i32>(product: f64x2, c: f64) -> f64x2 {
    let room = const { 1.5 * power(E + 29) };
    (product + f64x2::splat(c + room)) - f64x2::splat(room)
}

/// The same for a result in [256, 1024).
#[inline(always)]
fn rounded_around_512(product: f64x2, c: f64) -> f64x2 {
    let below = rounded::<8>(product, c);
    below.simd_lt(f64x2::splat(512.0)).select(below, rounded::<9>(product, c))
}

const fn power(e: i32) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::contract;
    use crate::simd::LANES;

    /// 2^t over every `stride`-th t of either sign.
    fn go_through(stride: usize) {
        for start in (0..=0.502_f32.to_bits()).step_by(2 * stride) {
            let [a, b] = [start, start + stride as u32].map(f32::from_bits);
            let [positive, negative] = widen(f32x4::new([a, b, -a, -b]));
            let ours = narrow([exp2(positive), exp2(negative)]);
            for (t, ours) in [a, b, -a, -b].into_iter().zip(ours.to_array()) {
                assert_eq!(ours.to_bits(), contract::polynomial(t).to_bits(), "{t:e}");
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
            let expected = contract::polynomial(x.mul_add(lo, rest));
            let at_once = (f64::from(x) * f64::from(lo) + f64::from(rest)) as f32;
            twice += u32::from(expected != contract::polynomial(at_once));
            let (p, _) = exp2_of_product(f32x16::splat(x), hi, lo);
            assert_eq!(p.to_array().map(f32::to_bits), [expected.to_bits(); LANES], "{x:e}");
        }
        assert!(twice > 0, "none of these would be wrong if rounded twice");
    }
}
