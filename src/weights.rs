//! Logits to weights 2^(x log2(e)/T - reference), block by block: what every kernel stands on.
//!
//! ```text
//! for each block of 512 logits:                         s = log2(e)/T = hi + lo
//!     for each logit x:
//!         n = round(x * hi)
//!         t = (x * hi - n) + x * lo                     two fused steps, each rounded at the size of t
//!         w = 2^t * 2^n                                 a polynomial, an exponent
//!     summary = sum of w
//! ```
//!
//! The logit itself is multiplied: neither a division by T nor a subtraction of the maximum rounds it
//! first. That serves where the weights fit f32, as those of most rows do. Where the first sixteen logits
//! of a block say otherwise, the weights are 2^t * 2^(n - E), with the power of two E of their largest, and
//! the summary is (sum of w, E). A block whose sum leaves the trusted range (its first sixteen are masked, or
//! far below its maximum) is done again with E from its own maximum.
//!
//! References are powers of two, so the summaries of blocks combine exactly. Where |E| would reach 2^14, x *
//! lo would carry t out of the polynomial's range: such a block weighs d = x - maximum instead, which is
//! exact for every logit that matters there (Sterbenz: the others are not within a factor of two of it, 2^13
//! powers of two away).
//!
//! A block's summary depends on the block and T alone.

use core::ops::Range;

use crate::Logit;
use crate::blocks::{BLOCK, Group, groups, groups_mut};
use crate::simd::{LANES, Product, Simd, VECTORS};
use crate::summary::{Reference, Summary};

/// Where the largest of the first sixteen logits lies in this range, in powers of two, a block is weighed as
/// it is: high enough that weights which matter do not count as 0, low enough that none is likely to
/// overflow.
const LIKELY: Range<f64> = -24.0..90.0;

/// A sum of weights serves if it is in this range: weights that count as 0 are less than 2^-101 of it, and
/// none has overflowed.
pub(crate) const TRUSTED: Range<f64> = 1.0 / (1_u128 << 24) as f64..(1_u128 << 100) as f64;

/// Below this size of E, x * lo leaves t within 2^-10 of [-1/2, 1/2].
const DIRECT_LIMIT: f64 = 16_384.0;

/// How weights are computed: relative to 1, at a [`Factor::shrink`] of 1.
const PLAIN: u8 = 0;
/// How weights are computed: relative to a power of two, at a shrink of 1.
const SHIFTED: u8 = 1;
/// How weights are computed: for any reference and factor. (A block that is done again takes this form, too,
/// whatever its reference: one copy of the code is enough for what is rare.)
const OFFSET: u8 = 2;

/// log2(e)/T, in the forms that the kernels need.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Factor {
    /// log2(e)/T.
    pub(crate) exact: f64,
    /// Logits are multiplied by this power of two first: 1, unless T is so high that `lo` would be
    /// subnormal.
    pub(crate) shrink: f32,
    /// log2(e)/T/shrink = hi + lo, to 2^-48.
    hi: f32,
    lo: f32,
}

impl Factor {
    /// For a temperature that is not greedy.
    ///
    /// At T = inf every logit but -inf weighs 1: so small a factor says just that (x s < 2^-50), and
    /// -inf stays -inf.
    pub(crate) const fn new(temperature: f32) -> Self {
        const HIGH: f64 = 1.0 / (1_u128 << 100) as f64;
        const SHRINK: f64 = 1.0 / (1_u128 << 64) as f64;
        const UNIFORM: f64 = SHRINK / (1_u128 << 114) as f64;
        let exact = (core::f64::consts::LOG2_E / temperature as f64).max(UNIFORM);
        let shrink = if exact < HIGH { SHRINK } else { 1.0 };
        let hi = (exact / shrink) as f32;
        let lo = (exact / shrink - hi as f64) as f32;
        Self { exact, shrink: shrink as f32, hi, lo }
    }
}

/// The weights of one block, and its summary. `each` is called with the number of each group that is weighed,
/// `keep` with that and the sums of its lanes; if the block is done again, they are called again, and the
/// last ones count.
#[inline(always)]
pub(crate) fn weigh_block<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    weights: &mut [f32; BLOCK],
    each: impl FnMut(usize),
    keep: impl FnMut(usize, S::V),
) -> Summary {
    weigh_and_sum::<S, L, true>(simd, block, factor, weights, each, keep)
}

/// [`weigh_block`], for the summary alone. What is left in `scratch` may be anything: weights that fit the
/// registers are not stored. (Stores hold up a row from memory: 1.1 x.)
#[inline(always)]
pub(crate) fn summarize<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    scratch: &mut [f32; BLOCK],
    each: impl FnMut(usize),
    keep: impl FnMut(usize, S::V),
) -> Summary {
    weigh_and_sum::<S, L, false>(simd, block, factor, scratch, each, keep)
}

#[expect(clippy::redundant_closure, reason = "`&mut each` itself would stay a call")]
#[inline(always)]
fn weigh_and_sum<S: Simd, L: Logit, const STORE: bool>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    weights: &mut [f32; BLOCK],
    mut each: impl FnMut(usize),
    mut keep: impl FnMut(usize, S::V),
) -> Summary {
    let first = f64::from(simd.reduce_max(L::load(simd, &block.as_chunks().0[0]))) * factor.exact;
    if first.abs() < DIRECT_LIMIT && factor.shrink == 1.0 {
        let exponent = if LIKELY.contains(&first) { 0.0 } else { first.round_ties_even() as f32 };
        let reference = Reference { exponent, offset: 0.0 };
        let sum = if exponent == 0.0 {
            weigh::<S, L, PLAIN, STORE>(
                simd,
                block,
                factor,
                reference,
                weights,
                #[inline(always)]
                |group| each(group),
                #[inline(always)]
                |group, lanes| keep(group, lanes),
            )
        } else {
            weigh_apart::<S, L, SHIFTED, STORE>(simd, block, factor, reference, weights, &mut each, &mut keep)
        };
        if TRUSTED.contains(&sum) {
            return Summary::new(sum, reference);
        }
    }
    let reference = of_maximum(simd, block, factor);
    let sum =
        weigh_apart::<S, L, OFFSET, STORE>(simd, block, factor, reference, weights, &mut each, &mut keep);
    Summary::new(sum, reference)
}

/// The reference that suits the maximum of a block.
///
/// (Out of line, as is [`weigh_apart`]: both are rare. Not `#[cold]`: LLVM would leave the vector
/// operations as calls. Neither returns a summary, so none is put together in memory.)
#[inline(never)]
fn of_maximum<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK], factor: &Factor) -> Reference {
    simd.vectorize(
        #[inline(always)]
        || {
            let max = maximum(simd, block);
            let exponent = (f64::from(max) * factor.exact).round_ties_even();
            if max == f32::NEG_INFINITY {
                Reference::default()
            } else if exponent.abs() < DIRECT_LIMIT {
                Reference { exponent: exponent as f32, offset: 0.0 }
            } else {
                Reference { exponent: 0.0, offset: max }
            }
        },
    )
}

/// [`weigh`], as a function of its own.
#[inline(never)]
fn weigh_apart<S: Simd, L: Logit, const FORM: u8, const STORE: bool>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    reference: Reference,
    weights: &mut [f32; BLOCK],
    each: impl FnMut(usize),
    keep: impl FnMut(usize, S::V),
) -> f64 {
    simd.vectorize(
        #[inline(always)]
        || weigh::<S, L, FORM, STORE>(simd, block, factor, reference, weights, each, keep),
    )
}

/// (A NaN may get lost: the sum of the weights will keep it.)
#[inline(always)]
fn maximum<S: Simd, L: Logit>(simd: S, block: &[L; BLOCK]) -> f32 {
    let mut max = [simd.splat(f32::NEG_INFINITY); VECTORS];
    for group in groups(block) {
        for i in 0..VECTORS {
            max[i] = simd.max(max[i], L::load(simd, &group[i]));
        }
    }
    simd.reduce_max(reduce(max, |a, b| simd.max(a, b)))
}

/// The weights of one block, for a reference, and their sum: eight vectors pairwise in f32, so that no weight
/// takes part in more than three rounded additions; from there in f64. `keep` gets these vectors.
///
/// (Where a group does not fit the registers, the sum is taken from memory when the block is done: group by
/// group, each would wait for its own stores. Measured on AVX2: 32 against 38 us for a row of 131072.)
#[inline(always)]
fn weigh<S: Simd, L: Logit, const FORM: u8, const STORE: bool>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    reference: Reference,
    weights: &mut [f32; BLOCK],
    mut each: impl FnMut(usize),
    mut keep: impl FnMut(usize, S::V),
) -> f64 {
    let mut sum = simd.widen(simd.splat(0.0));
    for (number, (group, weights)) in groups(block).iter().zip(groups_mut(weights)).enumerate() {
        let mut registers = [[0.0; LANES]; VECTORS];
        let weights = if S::HOLDS_GROUP && !STORE { &mut registers } else { weights };
        weigh_in_form::<S, L, FORM>(
            simd,
            group,
            factor,
            reference,
            weights,
            #[inline(always)]
            || each(number),
        );
        if S::HOLDS_GROUP {
            let lanes = add_up(simd, weights);
            keep(number, lanes);
            sum = simd.add_wide(sum, simd.widen(lanes));
        }
    }
    if !S::HOLDS_GROUP {
        for (number, weights) in groups(weights).iter().enumerate() {
            let lanes = add_up(simd, weights);
            keep(number, lanes);
            sum = simd.add_wide(sum, simd.widen(lanes));
        }
    }
    simd.reduce_add_wide(sum)
}

/// The weights of a group, for any reference.
#[inline(always)]
pub(crate) fn weigh_group<S: Simd, L: Logit>(
    simd: S,
    group: &Group<L>,
    factor: &Factor,
    reference: Reference,
    weights: &mut Group<f32>,
) {
    weigh_in_form::<S, L, OFFSET>(simd, group, factor, reference, weights, || ());
}

/// The weights of a group, for a reference of that form or one before; and `meanwhile`, while they are
/// computed.
#[inline(always)]
fn weigh_in_form<S: Simd, L: Logit, const FORM: u8>(
    simd: S,
    group: &Group<L>,
    factor: &Factor,
    reference: Reference,
    weights: &mut Group<f32>,
    meanwhile: impl FnOnce(),
) {
    let (shrink, offset) = (simd.splat(factor.shrink), simd.splat(reference.offset * factor.shrink));
    let product =
        Product { hi: factor.hi, lo: factor.lo, exponent: (FORM >= SHIFTED).then_some(reference.exponent) };
    simd.exp2_of_product(
        group,
        #[inline(always)]
        |x| {
            let x = L::load(simd, x);
            if FORM == OFFSET { simd.mul_sub(x, shrink, offset) } else { x }
        },
        product,
        weights,
        meanwhile,
    );
}

/// The sums of the weights of a group, lane by lane, pairwise.
#[inline(always)]
fn add_up<S: Simd>(simd: S, weights: &Group<f32>) -> S::V {
    let mut w = [simd.splat(0.0); VECTORS];
    for i in 0..VECTORS {
        w[i] = simd.load(&weights[i]);
    }
    reduce(w, |a, b| simd.add(a, b))
}

/// One vector of all, lane by lane: i with i + 4, then + 2, + 1.
#[inline(always)]
fn reduce<V: Copy>(mut v: [V; VECTORS], combine: impl Fn(V, V) -> V) -> V {
    let mut half = VECTORS / 2;
    while half > 0 {
        for i in 0..half {
            v[i] = combine(v[i], v[i + half]);
        }
        half /= 2;
    }
    v[0]
}
