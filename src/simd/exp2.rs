//! 2^(x (hi + lo) - e): a polynomial and an exponent.

use super::{LANES, Simd};

/// Adding this to a number below 2^22 rounds it to an integer k (of two, to the even one), and leaves k +
/// 126, the exponent of 2^(k - 1), in the lowest bits of the sum. (1.5 x 2^23 + 126)
pub(super) const ROUND: f32 = 12_583_038.0;

/// [`Simd::exp2i`] answers 0 below this power of two, so that its results are never subnormal: the smallest
/// is about 2^-125.5.
pub(crate) const LOWEST: f32 = -125.0;

/// 2^t = 1 + t (C1 + t (C2 + ..)) on [-1/2, 1/2].
///
/// Minimax coefficients (relative error 9.3e-8), then moved by a few ulp each to narrow the range of the
/// error that f32 arithmetic leaves. (The second is even, for `portable/exp2.rs`.) Over every f32 t with |t|
/// <= 0.502 the error lies in [-1.57e-7, 1.53e-7]: `cargo test --test oracle -- --ignored` goes through them
/// all.
pub(super) const POLYNOMIAL: [f32; 5] = [
    f32::from_bits(0x3f31_7215), // 0x1.62e42ap-1, ~ ln(2)
    f32::from_bits(0x3e75_fcde), // 0x1.ebf9bcp-3, ~ ln(2)^2 / 2!
    f32::from_bits(0x3d63_5ba6), // 0x1.c6b74cp-5, ~ ln(2)^3 / 3!
    f32::from_bits(0x3c1e_758c), // 0x1.3ceb18p-7, ~ ln(2)^4 / 4!
    f32::from_bits(0x3aad_cb6e), // 0x1.5b96dcp-10, ~ ln(2)^5 / 5!
];

/// What [`exp2_in_stages`] computes of a logit x: 2^(x (hi + lo) - exponent). See `weights.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub(crate) hi: f32,
    pub(crate) lo: f32,
    /// `None` is an exponent of 0, which saves a subtraction.
    pub(crate) exponent: Option<f32>,
}

/// x (hi + lo) = n + t, and 2^t: the steps of [`exp2_in_stages`], for a loop that orders them in its own way.
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
        let [c1, c2, c3, c4, c5] = coefficients(simd);
        let [hi, lo, round, c1, c2, c3, c4, c5] =
            simd.stage([simd.splat(hi), simd.splat(lo), simd.splat(ROUND), c1, c2, c3, c4, c5]);
        Self { hi, lo, round, coefficients: [c1, c2, c3, c4, c5] }
    }

    /// n and t.
    #[inline(always)]
    pub(crate) fn reduce(&self, simd: S, x: S::V) -> (S::V, S::V) {
        let n = simd.sub(simd.mul_add(x, self.hi, self.round), self.round);
        (n, simd.mul_add(x, self.lo, simd.mul_sub(x, self.hi, n)))
    }

    /// [`Simd::UNIT`] x 2^t.
    #[inline(always)]
    pub(crate) fn polynomial(&self, simd: S, t: S::V) -> S::V {
        polynomial(simd, self.coefficients, t)
    }
}

#[inline(always)]
fn coefficients<S: Simd>(simd: S) -> [S::V; 5] {
    POLYNOMIAL.map(
        #[inline(always)]
        |c| simd.splat(S::UNIT * c),
    )
}

#[inline(always)]
fn polynomial<S: Simd>(simd: S, [c1, c2, c3, c4, c5]: [S::V; 5], t: S::V) -> S::V {
    let mut p = c5;
    for c in [c4, c3, c2, c1, simd.splat(S::UNIT)] {
        p = simd.mul_add(p, t, c);
    }
    p
}

/// out = 2^(x (hi + lo) - e) for N vectors x, stage by stage up to t; and `loaded`, after they have been loaded.
///
/// Loops, since LLVM leaves `map` over an array of vectors as a call.
#[inline(always)]
pub(super) fn exp2_in_stages<S: Simd, T, const N: usize>(
    simd: S,
    group: &[T; N],
    x: impl Fn(&T) -> S::V,
    product: Product,
    out: &mut [[f32; LANES]; N],
    loaded: impl FnOnce(),
) {
    let Product { hi, lo, exponent } = product;
    // Both are rounded, but not by half a power of two.
    let bound = |k: f32| simd.splat((k + exponent.unwrap_or(0.0)) / hi);
    let (zero, infinite) = (bound(-126.0), bound(129.0));
    let (hi, lo, round) = (simd.splat(hi), simd.splat(lo), simd.splat(ROUND));
    let (mut d, mut k, mut t) = ([round; N], [round; N], [round; N]);
    for i in 0..N {
        d[i] = simd.bound(x(&group[i]), zero, infinite);
        k[i] = simd.mul_add(d[i], hi, round);
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
    let (coefficients, e) = (coefficients(simd), simd.splat(exponent.unwrap_or(0.0) + ROUND));
    for i in 0..N {
        let p = polynomial(simd, coefficients, t[i]);
        simd.store(simd.exp2i(p, k[i], e), &mut out[i]);
    }
}
