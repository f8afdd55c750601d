//! [`UNIT`] x 2^(x (hi + lo) - e): a polynomial and an exponent.

use core::array::{from_mut, from_ref};

use super::{LANES, Simd};

/// Adding this to a number below 2^22 rounds it to an integer k (of two, to the odd one), and leaves k + 127,
/// the exponent of 2^k, in the lowest bits of the sum. (1.5 x 2^23 + 127)
pub(super) const ROUND: f32 = 12_583_039.0;

/// [`Simd::exp2i`] answers 0 below this power of two, as 2^k itself would not be a normal number.
pub(crate) const LOWEST: f32 = -126.0;

/// [`UNIT`] x 2^t = K0 + t (K1 + t ((t + A) (t^2 + B) + C)) on [-1/2, 1/2]: A, B, C, K1, K0.
///
/// Divided by the coefficient of t^5, which makes [`UNIT`] of 1, a polynomial of degree 5 takes four fused
/// steps and an addition, not five steps (Knuth, "The Art of Computer Programming", 4.6.4: adapted
/// coefficients). The ports that multiply have the most to do: `sample` of a row in L2 takes 0.90 x the time
/// on a Zen 4.
///
/// Minimax coefficients, then moved by up to some hundred ulp each to narrow the range of the error that f32
/// arithmetic leaves: over every f32 t with |t| <= 0.502 it lies in [-1.62e-7, 1.69e-7] (`cargo test --test
/// oracle -- --ignored` goes through them all). C is even, for `portable/exp2.rs`. The last three bits of K0
/// are 0, so that sums of up to eight are exact, and K0 x f32(1 / K0) is 1.
///
/// Where x hi is above 2^22, k is not exact, and t may be anything. If the polynomial were 0 there, what is too
/// high would weigh 0 with AVX-512, and infinity on levels that bound x before. It is not, at any f32: its root
/// lies between two of them (and beyond 64, t^5 outweighs all else).
pub(super) const POLYNOMIAL: [f32; 5] = [
    f32::from_bits(0x40e9_6c65),
    f32::from_bits(0x4227_733f),
    f32::from_bits(0xc2f8_6388),
    f32::from_bits(0x4402_b08a),
    f32::from_bits(0x443c_8b98),
];

/// What 2^0 becomes: K0.
pub(crate) const UNIT: f64 = POLYNOMIAL[4] as f64;

/// What [`exp2_in_stages`] computes of a logit x: [`UNIT`] x 2^(x (hi + lo) - exponent). See `weights.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub(crate) hi: f32,
    pub(crate) lo: f32,
    pub(crate) exponent: f32,
    /// Whether [`Simd::bound`] comes first. If not, what is computed serves if no k is [`Simd::outside`].
    pub(crate) bounded: bool,
}

/// x (hi + lo) = n + t, and [`UNIT`] x 2^t: the steps of [`exp2_in_stages`], for a loop that orders them in its
/// own way.
pub(crate) struct Exp2<S: Simd> {
    hi: S::V,
    lo: S::V,
    round: S::V,
    coefficients: [S::V; 5],
}

impl<S: Simd> Exp2<S> {
    /// For a factor hi + lo. (The barrier keeps its constants in registers.)
    #[inline(always)]
    pub(crate) fn new(simd: S, hi: f32, lo: f32) -> Self {
        let [a, b, c, k1, k0] = coefficients(simd);
        let [hi, lo, round, a, b, c, k1, k0] =
            simd.stage([simd.splat(hi), simd.splat(lo), simd.splat(ROUND), a, b, c, k1, k0]);
        Self { hi, lo, round, coefficients: [a, b, c, k1, k0] }
    }

    /// n and t.
    #[inline(always)]
    pub(crate) fn reduce(&self, simd: S, x: S::V) -> (S::V, S::V) {
        let n = simd.sub(simd.mul_add(x, self.hi, self.round), self.round);
        (n, simd.mul_add(x, self.lo, simd.mul_sub(x, self.hi, n)))
    }

    /// [`UNIT`] x 2^t.
    #[inline(always)]
    pub(crate) fn polynomial(&self, simd: S, t: S::V) -> S::V {
        polynomial(simd, self.coefficients, t)
    }
}

#[inline(always)]
fn coefficients<S: Simd>(simd: S) -> [S::V; 5] {
    POLYNOMIAL.map(
        #[inline(always)]
        |c| simd.splat(c),
    )
}

#[inline(always)]
fn polynomial<S: Simd>(simd: S, [a, b, c, k1, k0]: [S::V; 5], t: S::V) -> S::V {
    let cubic = simd.mul_add(simd.mul_add(t, t, b), simd.add(t, a), c);
    simd.mul_add(simd.mul_add(cubic, t, k1), t, k0)
}

/// out = [`UNIT`] x 2^(x (hi + lo) - e) for N vectors x, stage by stage up to t; and `loaded`, after they have
/// been loaded.
///
/// Loops, since LLVM leaves `map` over an array of vectors as a call.
#[inline(always)]
pub(super) fn exp2_in_stages<S: Simd, T, const N: usize>(
    simd: S,
    group: &[T; N],
    x: impl Fn(&T) -> S::V,
    product: Product,
    out: &mut [[f32; LANES]; N],
    outside: &mut S::V,
    loaded: impl FnOnce(),
) {
    let Product { hi, lo, exponent, bounded } = product;
    // Rounded, but by far less than half a power of two: their x hi still becomes -127 or 128.
    let bound = |k: f32| simd.splat((k + exponent) / hi);
    let (zero, infinite) = (bound(-127.0), bound(128.0));
    let (hi, lo, round) = (simd.splat(hi), simd.splat(lo), simd.splat(ROUND));
    let (mut d, mut k, mut t) = ([round; N], [round; N], [round; N]);
    for i in 0..N {
        d[i] = x(&group[i]);
        if bounded {
            d[i] = simd.bound(d[i], zero, infinite);
        }
        k[i] = simd.mul_add(d[i], hi, round);
        if !bounded {
            *outside = simd.outside(*outside, k[i]);
        }
    }
    k = simd.stage(k);
    loaded();
    for i in 0..N {
        t[i] = simd.mul_sub(d[i], hi, simd.sub(k[i], round));
    }
    for i in 0..N {
        t[i] = simd.mul_add(d[i], lo, t[i]);
    }
    t = simd.stage(t);
    let (coefficients, e) = (coefficients(simd), simd.splat(exponent + ROUND));
    for i in 0..N {
        let p = polynomial(simd, coefficients, t[i]);
        simd.store(simd.exp2i(p, k[i], e), &mut out[i]);
    }
}

/// [`exp2_in_stages`], one vector after the other: for levels whose registers do not hold a group.
#[inline(always)]
pub(super) fn exp2_one_by_one<S: Simd, T, const N: usize>(
    simd: S,
    vectors: &[T; N],
    x: impl Fn(&T) -> S::V,
    product: Product,
    out: &mut [[f32; LANES]; N],
    outside: &mut S::V,
    loaded: impl FnOnce(),
) {
    for (vector, out) in vectors.iter().zip(out) {
        exp2_in_stages(simd, from_ref(vector), &x, product, from_mut(out), outside, || ());
    }
    loaded();
}

#[cfg(test)]
mod tests {
    use core::f64::consts::LOG2_E;

    use super::*;
    use crate::Level;
    use crate::simd::{VECTORS, dispatch};

    /// Near its root, the only one; `cargo test --lib -- --ignored nowhere` looks at all others.
    #[test]
    fn the_polynomial_is_0_at_no_argument() {
        assert_no_zero(-3.25..-3.0);
    }

    #[test]
    #[ignore = "all arguments: two billion"]
    fn the_polynomial_is_0_nowhere() {
        assert_no_zero(-64.0..-0.0);
        assert_no_zero(0.0..64.0);
    }

    /// At all f32 between these, of the same sign.
    fn assert_no_zero(range: core::ops::Range<f32>) {
        let [a, b] = [range.start.to_bits(), range.end.to_bits()];
        let level = Level::best();
        for first in (a.min(b)..a.max(b)).step_by(LANES) {
            let t: [f32; LANES] = core::array::from_fn(|lane| f32::from_bits(first + lane as u32));
            let mut p = [0.0; LANES];
            dispatch!(level, simd => simd.store(polynomial(simd, coefficients(simd), simd.load(&t)), &mut p));
            assert!(!p.contains(&0.0), "{t:?}: {p:?}");
        }
    }

    /// What is not noted as outside needs no bound; what is, needs one, or would be checked in vain: in each lane.
    #[test]
    fn outside_is_what_needs_the_bound() {
        fn note<S: Simd>(simd: S, k: &[f32; LANES]) -> Option<bool> {
            let seen = simd.outside(simd.splat(0.0), simd.load(k));
            // (Whatever follows.)
            S::CHECKS.then(|| simd.any_outside(simd.outside(seen, simd.splat(ROUND))))
        }
        let inside = (-127..=128_i16).map(|n| (ROUND + f32::from(n), false));
        let outside =
            [-128, -129, -255, -256, -257, 129, 255, 256, 257, 383, 384, 385, 511, 512, 1000, i16::MIN];
        let outside = outside.into_iter().map(|n| ROUND + f32::from(n));
        // Some of a logit beyond 2^22, whose bits are some of those inside, or all of them and more.
        let bits =
            [0x4a40_0000, 0x4b00_00ff, 0x4840_0000, 0x0340_0000, 0x4bc0_007f, 0xcb40_007f, 0, 0x8000_0000];
        let not_finite = [0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0x7fc0_00ff];
        let outside = outside.chain(bits.into_iter().chain(not_finite).map(f32::from_bits));
        for (k, is_outside) in inside.chain(outside.map(|k| (k, true))) {
            for level in Level::available() {
                for lane in 0..LANES {
                    let mut lanes = [ROUND - 127.0; LANES];
                    lanes[lane] = k;
                    let noted = dispatch!(level, simd => note(simd, &lanes));
                    assert!(noted.is_none_or(|noted| noted == is_outside), "{level}, lane {lane}: {k}");
                }
            }
        }
        let product = |bounded| Product { hi: 1.0, lo: 0.0, exponent: 0.0, bounded };
        for quarter in -4 * 127 - 1..=4 * 128 + 1_i16 {
            let vector = [[f32::from(quarter) / 4.0; LANES]];
            for level in Level::available() {
                let weights = [true, false].map(|bounded| {
                    let mut out = [[0.0; LANES]];
                    dispatch!(level, simd => {
                        let mut outside = simd.splat(0.0);
                        simd.exp2_of_vectors(&vector, |x| simd.load(x), product(bounded), &mut out, &mut outside, || ());
                        assert!(!simd.any_outside(outside), "{level}: {}", vector[0][0]);
                    });
                    out[0].map(f32::to_bits)
                });
                assert_eq!(weights[0], weights[1], "{level}: {}", vector[0][0]);
            }
        }
    }

    /// The steps of [`Exp2`] give the bits of all stages together: on every level, whether its loops take
    /// them or not.
    #[test]
    fn in_steps_as_in_stages() {
        let factor = LOG2_E / 0.8;
        let hi = factor as f32;
        let product = Product { hi, lo: (factor - f64::from(hi)) as f32, exponent: 0.0, bounded: true };
        for i in 0..1000_u16 {
            // From n = LOWEST to 117, whose weights are finite.
            let x = |lane: usize| (f32::from(i) + lane as f32 / 128.0) * 0.134_8 - 69.9;
            let mut vectors = [[0.0; LANES]; VECTORS];
            vectors.as_flattened_mut().iter_mut().enumerate().for_each(|(lane, y)| *y = x(lane));
            for level in Level::available() {
                let [mut together, mut stepwise] = [[[0.0_f32; LANES]; VECTORS]; 2];
                dispatch!(level, simd => {
                    let mut outside = simd.splat(0.0);
                    simd.exp2_of_vectors(&vectors, |x| simd.load(x), product, &mut together, &mut outside, || ());
                    let exp2 = Exp2::new(simd, product.hi, product.lo);
                    for (x, out) in vectors.iter().zip(&mut stepwise) {
                        let (n, t) = exp2.reduce(simd, simd.load(x));
                        simd.store(simd.scalef(exp2.polynomial(simd, t), n), out);
                    }
                });
                let bits = |weights: [[f32; LANES]; VECTORS]| weights.map(|lanes| lanes.map(f32::to_bits));
                assert_eq!(bits(together), bits(stepwise), "{level}, logits from {}", vectors[0][0]);
                assert!(stepwise.as_flattened().iter().all(|w| w.is_normal()), "{level}");
            }
        }
    }
}
