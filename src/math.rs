//! exp2 and ln in f64: the same bits wherever multiplication, addition and division are IEEE's.
//!
//! Those of std are the platform's, those of other crates may change from version to version; and what is
//! computed here decides which token is drawn, and what its log-probability is.

use core::f64::consts::LN_2;

/// ln(x), for normal x > 0, to 2 ulp.
///
/// x = 2^k m, with m in [sqrt(1/2), sqrt(2)) and f = m - 1: ln(m) = 2 atanh(s) = f - s (f - rest), with s = f
/// / (2 + f) and rest = 2 s^2 (1/3 + s^2/5 + s^4/7 + ..). With s^2 below 0.0295, ten terms leave out 2^-60 of
/// the result. (The range and the two parts of ln(2) are those of FreeBSD's `e_log.c`, 1993.)
pub(crate) fn ln(x: f64) -> f64 {
    /// ln(2), to 32 bits and the rest: so k times the first is exact.
    const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
    let k = (x.to_bits() as i64 - core::f64::consts::FRAC_1_SQRT_2.to_bits() as i64) >> 52;
    let f = f64::from_bits((x.to_bits() as i64 - (k << 52)) as u64) - 1.0;
    let k = k as f64;
    let s = f / (2.0 + f);
    let square = s * s;
    let (mut even, mut odd) = (0.0, 0.0);
    for i in (0..5).rev() {
        even = even * (square * square) + 2.0 / f64::from(4 * i + 3);
        odd = odd * (square * square) + 2.0 / f64::from(4 * i + 5);
    }
    let rest = square * (even + square * odd);
    k * LN_2_HIGH + (f - (s * (f - rest) - k * LN_2_LOW))
}

/// 2^x, for x below 1023.5, to 2 ulp; where the result is subnormal, to its last bit or two.
///
/// x = n + r, with an integer n and r in [-1/2, 1/2]: 2^r = e^(r ln(2)) by Taylor's series, whose 14 terms
/// leave out 2^-57.
pub(crate) fn exp2(x: f64) -> f64 {
    /// 1/n!
    const TERMS: [f64; 14] = {
        let mut terms = [1.0; 14];
        let mut n = 1;
        while n < terms.len() {
            terms[n] = terms[n - 1] / n as f64;
            n += 1;
        }
        terms
    };
    if x < -1100.0 {
        return 0.0;
    }
    let n = x.round_ties_even();
    let y = (x - n) * LN_2;
    let power = TERMS.iter().rev().fold(0.0, |power, term| power * y + term);
    // In two steps, as 2^n may be subnormal or 0 where the result is not.
    let normal = n.max(-1000.0);
    power * power_of_two(normal) * power_of_two(n - normal)
}

/// 2^k for an integer k below 1024, or 0 where that would not be a normal number.
pub(crate) const fn power_of_two(k: f64) -> f64 {
    let biased = (k + 1023.0).clamp(0.0, 2046.0) as u64;
    f64::from_bits(biased << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    /// In units of the last place of what is expected.
    fn ulps(found: f64, expected: f64) -> f64 {
        (found - expected).abs() / (expected.abs().next_up() - expected.abs())
    }

    #[test]
    fn ln_is_within_2_ulp() {
        let mut words = [0; 100_000];
        Key { seed: 1, position: 0 }.fill_words(&mut words);
        let any = words.iter().map(|word| f64::from_bits(word >> 1)).filter(|x| x.is_normal());
        let near_1 = words.iter().map(|word| f64::from_bits((0x3fe << 52) + (word >> 11)));
        let ends = [1.0, 2.0, 0.5, f64::MIN_POSITIVE, f64::MAX, 1.0_f64.next_up(), 1.0_f64.next_down()];
        for x in any.chain(near_1).chain(ends).chain((0..1000).map(|i| f64::from(i).exp2())) {
            assert!(ln(x) == x.ln() || ulps(ln(x), x.ln()) <= 2.0, "{x:e}: {:e}, {:e}", ln(x), x.ln());
        }
        assert_eq!((ln(1.0), ln(2.0), ln(0.5)), (0.0, LN_2, -LN_2));
    }

    #[test]
    fn exp2_is_within_2_ulp() {
        let mut uniforms = [0.0; 100_000];
        Key { seed: 2, position: 0 }.fill(&mut uniforms);
        for x in uniforms.iter().flat_map(|u| [u * 2045.5 - 1022.0, -100.0 * u, u * 1e-3, -u * 1e-9]) {
            assert!(ulps(exp2(x), x.exp2()) <= 2.0, "{x:e}: {:e}, {:e}", exp2(x), x.exp2());
        }
        for x in uniforms.iter().map(|u| -1022.0 - 54.0 * u) {
            assert!((exp2(x) - x.exp2()).abs() <= 2.0 * f64::from_bits(1), "{x:e}");
        }
        for k in -1022..1024 {
            assert_eq!(exp2(f64::from(k)), f64::from(k).exp2());
        }
        assert_eq!([exp2(-1080.0), exp2(-1e300), exp2(f64::NEG_INFINITY), exp2(-0.0)], [0.0, 0.0, 0.0, 1.0]);
    }
}
