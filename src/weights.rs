//! Logits to weights UNIT * 2^(x log2(e)/T - reference), block by block: what every kernel stands on.
//!
//! ```text
//! for each block of 512 logits:                         s = log2(e)/T = hi + lo
//!     for each logit x:
//!         n = round(x * hi)
//!         t = (x * hi - n) + x * lo                     two fused steps, each rounded at the size of t
//!         w = UNIT * 2^t * 2^n                          a polynomial, an exponent
//!     summary = sum of w
//! ```
//!
//! The logit itself is multiplied: neither a division by T nor a subtraction of the maximum rounds it first.
//! A polynomial of UNIT * 2^t (simd/exp2.rs) is cheaper than one of 2^t, and only logarithms have to know.
//!
//! That serves where the weights fit f32, as those of most rows do. Elsewhere (guess.rs says where) the
//! weights are UNIT * 2^t * 2^(n - E), with a power of two E that suits their largest, and the summary is
//! (sum of w, E). E is guessed from the first sixteen logits; if the sum then leaves the trusted range, or if a
//! guess would not do, it is made of the block's maximum.
//!
//! References are powers of two, so the summaries of blocks combine exactly. Where the largest weight of a
//! block would reach 2^(2^14), or 2^-(2^14), x * lo would carry t out of the polynomial's range: such a block
//! weighs d = x - maximum instead, which is exact for every logit that matters there (Sterbenz: the others
//! are not within a factor of two of it, 2^13 powers of two away).
//!
//! With AVX-512, the first blocks of a long row are weighed several in one loop (runs.rs, runs_in_place.rs):
//! other code for the same bits.
//!
//! The weights of a block depend on the block and T alone. Whether it is weighed may depend on those
//! before it: it is not if that cannot change a bit of its row's results (peak.rs), nor if all its tokens are
//! masked. Then it has no sum.

mod factor;
mod guess;
mod peak;
mod pipeline;
mod runs;
mod runs_in_place;

use core::ops::Range;

use crate::Logit;
use crate::blocks::{BLOCK, GROUPS, Group, Lane, groups, groups_mut};
use crate::math::power_of_two;
use crate::simd::{LANES, LOWEST, Product, Simd, VECTORS};
use crate::summary::{Reference, Summary};
use crate::sums::Sums;
use guess::{NO_GUESS, guess, of_maximum};

pub(crate) use factor::Factor;
pub(crate) use peak::Peak;
pub(crate) use runs::weigh_runs;
pub(crate) use runs_in_place::weigh_runs_in_place;

/// A sum of weights serves if it is in this range: weights that count as 0, below UNIT * 2^-126.5, are less
/// than 2^-101 of it, and none has overflowed.
pub(crate) const TRUSTED: Range<f64> = power_of_two(-15.0)..power_of_two(127.0);

// The forms in which weights are computed. Each can do what those before it can.

/// Relative to 1, without [`Simd::bound`]. If a level that checks that ([`Simd::CHECKS`]) finds a logit so low or
/// high that it needs the bound, the sum is NaN. (An Intel Emerald Rapids, AVX2: `sample` and `softmax` take
/// 0.85 x the time, in place 0.89 x.)
const UNBOUNDED: u8 = 0;
/// Relative to 1.
const PLAIN: u8 = 1;
/// Relative to a power of two.
const SHIFTED: u8 = 2;
/// Relative to an offset as well.
const OFFSET: u8 = 3;
/// Of logits that are shrunk ([`Factor::shrink`]), the negligible ones taken for 0.
const SHRUNK: u8 = 4;

/// The weights of one block, and its summary. Unless they are to be stored, `weights` is left with anything:
/// those that fit the registers stay there. (Stores hold up a row from memory: 1.1 x.) `loaded` is called
/// with the number of each group, once it is loaded, `summed` with the sums of the groups, and of the block
/// as number 0; if it is done again, they are called again, and the last ones count.
#[expect(clippy::redundant_closure, reason = "`&mut loaded` itself would stay a call")]
#[inline(always)]
pub(crate) fn weigh_block<const STORE: bool, S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    peak: &mut Peak,
    weights: &mut [f32; BLOCK],
    mut loaded: impl FnMut(usize),
    mut summed: impl FnMut(Sums<S>),
) -> Summary {
    // A guess is tried once; what is made of the maximum is final. (A loop, so that `weigh` is inlined once.)
    let mut guessed = guess(simd, block, factor);
    let mut unbounded = !S::CHECKS || peak.allows_unbounded() && ends_inside(block, factor);
    loop {
        let reference = match guessed {
            Some(guess) if !peak.is_high() => Some(guess),
            _ => of_maximum(simd, block, factor, guessed.unwrap_or(NO_GUESS), peak),
        };
        let Some(reference) = reference else {
            if STORE {
                *weights = [0.0; BLOCK];
            }
            return weigh_nothing(simd, loaded, summed);
        };
        let sum = if unbounded && factor.shrink == 1.0 && reference == Reference::default() {
            weigh::<UNBOUNDED, STORE, _, _>(
                simd,
                block,
                factor,
                reference,
                weights,
                #[inline(always)]
                |group| loaded(group),
                #[inline(always)]
                |sums| summed(sums),
            )
        } else {
            weigh_apart::<STORE, _, _>(
                simd,
                block,
                factor,
                reference,
                weights,
                #[inline(always)]
                |group| loaded(group),
                #[inline(always)]
                |sums| summed(sums),
            )
        };
        if S::CHECKS && unbounded && sum.is_nan() {
            unbounded = false;
            peak.count_unbounded();
            continue;
        }
        if guessed.is_none() || TRUSTED.contains(&sum) {
            return Summary::new(sum, reference);
        }
        guessed = None;
    }
}

/// Whether the last logit of a block is not too low for [`UNBOUNDED`], as it is where the block was filled up.
#[inline(always)]
fn ends_inside<L: Logit>(block: &[L; BLOCK], factor: &Factor) -> bool {
    block[BLOCK - 1].to_f32() * factor.hi >= LOWEST
}

/// The summary of a block that is not weighed.
#[inline(always)]
fn weigh_nothing<S: Simd>(
    simd: S,
    mut loaded: impl FnMut(usize),
    mut summed: impl FnMut(Sums<S>),
) -> Summary {
    for group in 0..GROUPS {
        loaded(group);
        summed(Sums::OfGroup(group, simd.splat(0.0)));
    }
    summed(Sums::OfBlock(0, simd.widen(simd.splat(0.0))));
    Summary::default()
}

/// [`weigh`] in all other forms, as a function of its own: what is rare at ordinary temperatures stays out of
/// the way. (Not `#[cold]`: LLVM would leave the vector operations as calls. It does not return a summary, so
/// none is put together in memory.)
#[inline(never)]
fn weigh_apart<const STORE: bool, S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    reference: Reference,
    weights: &mut [f32; BLOCK],
    loaded: impl FnMut(usize),
    summed: impl FnMut(Sums<S>),
) -> f64 {
    simd.vectorize(
        #[inline(always)]
        || {
            if factor.shrink != 1.0 {
                weigh::<SHRUNK, STORE, _, _>(simd, block, factor, reference, weights, loaded, summed)
            } else if reference.offset != 0.0 {
                weigh::<OFFSET, STORE, _, _>(simd, block, factor, reference, weights, loaded, summed)
            } else if S::CHECKS && reference == Reference::default() {
                weigh::<PLAIN, STORE, _, _>(simd, block, factor, reference, weights, loaded, summed)
            } else {
                weigh::<SHIFTED, STORE, _, _>(simd, block, factor, reference, weights, loaded, summed)
            }
        },
    )
}

/// The weights of one block, for a reference, and their sum: eight vectors pairwise in f32, so that no weight
/// takes part in more than three rounded additions; from there in f64. `summed` gets these vectors.
///
/// Where a group does not fit the registers, the sum is taken from memory when the block is done: group by
/// group, each would wait for its own stores. Measured on AVX2: 32 against 38 us for a row of 131072.
#[inline(always)]
fn weigh<const FORM: u8, const STORE: bool, S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    factor: &Factor,
    reference: Reference,
    weights: &mut [f32; BLOCK],
    mut loaded: impl FnMut(usize),
    mut summed: impl FnMut(Sums<S>),
) -> f64 {
    let (mut sum, mut outside) = (simd.widen(simd.splat(0.0)), simd.splat(0.0));
    for (number, (group, weights)) in groups(block).iter().zip(groups_mut(weights)).enumerate() {
        let mut registers = [[0.0; LANES]; VECTORS];
        let weights = if S::HOLDS_GROUP && !STORE { &mut registers } else { weights };
        weigh_in_form::<FORM, _, _, _>(
            simd,
            group,
            factor,
            reference,
            weights,
            &mut outside,
            #[inline(always)]
            || loaded(number),
        );
        if S::HOLDS_GROUP {
            let lanes = add_up(simd, weights);
            summed(Sums::OfGroup(number, lanes));
            sum = simd.add_wide(sum, simd.widen(lanes));
        }
    }
    if !S::HOLDS_GROUP {
        for (number, weights) in groups(weights).iter().enumerate() {
            let lanes = add_up(simd, weights);
            summed(Sums::OfGroup(number, lanes));
            sum = simd.add_wide(sum, simd.widen(lanes));
        }
    }
    summed(Sums::OfBlock(0, sum));
    if FORM == UNBOUNDED && simd.any_outside(outside) { f64::NAN } else { simd.reduce_add_wide(sum) }
}

/// The weights of a lane, for any reference. (Also of logits that are shrunk: to take the negligible ones for
/// 0 changes no weight. It spares whole rows the subnormal products, which take long on Intel's CPUs; 32
/// tokens have few.)
#[inline(always)]
pub(crate) fn weigh_lane<S: Simd, L: Logit>(
    simd: S,
    lane: &Lane<L>,
    factor: &Factor,
    reference: Reference,
    weights: &mut Lane<f32>,
) {
    weigh_in_form::<OFFSET, _, _, _>(simd, lane, factor, reference, weights, &mut simd.splat(0.0), || ());
}

/// The weights of vectors, in a form that does all that the reference needs. `loaded` is called once they are
/// under way.
#[inline(always)]
fn weigh_in_form<const FORM: u8, S: Simd, L: Logit, const N: usize>(
    simd: S,
    vectors: &[[L; LANES]; N],
    factor: &Factor,
    reference: Reference,
    weights: &mut [[f32; LANES]; N],
    outside: &mut S::V,
    loaded: impl FnOnce(),
) {
    let (shrink, offset) = (simd.splat(factor.shrink), simd.splat(reference.offset * factor.shrink));
    let (negligible, zero) = (simd.splat(factor.negligible), simd.splat(0.0));
    let exponent = if FORM >= SHIFTED { reference.exponent } else { 0.0 };
    let product = Product { hi: factor.hi, lo: factor.lo, exponent, bounded: FORM > UNBOUNDED };
    simd.exp2_of_vectors(
        vectors,
        #[inline(always)]
        |x| {
            let mut x = L::load(simd, x);
            if FORM == SHRUNK {
                let size = simd.max(x, simd.sub(zero, x));
                x = simd.select_lt(size, negligible, zero, x);
            }
            if FORM >= OFFSET { simd.mul_sub(x, shrink, offset) } else { x }
        },
        product,
        weights,
        outside,
        loaded,
    );
}

/// The sums of the weights of a group, lane by lane, pairwise: i with i + 4, then + 2, + 1.
#[inline(always)]
fn add_up<S: Simd>(simd: S, weights: &Group<f32>) -> S::V {
    let mut sums = [simd.splat(0.0); VECTORS];
    for i in 0..VECTORS {
        sums[i] = simd.load(&weights[i]);
    }
    let mut half = VECTORS / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] = simd.add(sums[i], sums[i + half]);
        }
        half /= 2;
    }
    sums[0]
}
