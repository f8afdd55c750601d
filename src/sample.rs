//! Stage 3: one token per row, by inverting the cumulative distribution.
//!
//! ```text
//! one pass over the row:  a summary per block; in rows of up to 2048, the weights    (pass.rs, weights.rs)
//! S      = the sum of all blocks, in f64, in index order
//! target = u S
//! block  = the first through which the sum exceeds the target
//! its weights, or those again; group, eight and lane in whose interval the target lies     (inversion.rs)
//! ```
//!
//! Every step ends where a sum grows, so a token of weight 0 cannot be drawn, and the token never goes down
//! when u goes up.

use core::f64::consts::LN_2;
use core::slice::from_mut;

use crate::batch::{cost_of_weighing, fill_outcomes};
use crate::blocks::{BLOCK, as_wide, groups, groups_mut, with_block};
use crate::check::{Temperatures, check_uniforms};
use crate::inversion::find_in_block;
use crate::math::ln;
use crate::pass::{Pass, with_pass};
use crate::simd::{Simd, dispatch};
use crate::source::{Softmax, Source, Weights};
use crate::summary::{Found, Total};
use crate::sums::{keep, sum_groups, sum_lanes};
use crate::weights::Peak;
use crate::{Error, Level, Logit, RowError, Rows, Temperature};

/// A token that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Its index in the row.
    pub token: u32,
    /// The natural logarithm of its probability, at the row's temperature: never above 0, and 0 at T = 0.
    /// Within 2^-22 (relative) + 2^-21 of the exact one, as that of [`log_softmax`](crate::log_softmax),
    /// whose bits it need not have. (From given weights, ln(weight / sum) in f64, off by a few times 2^-53, and
    /// rounded to f32.)
    pub logprob: f32,
}

/// No token: `u32::MAX`, of probability 0. Outcomes can begin with it.
impl Default for Draw {
    fn default() -> Self {
        Self { token: u32::MAX, logprob: f32::NEG_INFINITY }
    }
}

/// Draws one token from each row: temperature, softmax and multinomial in a single pass.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row.
/// - `uniforms`: one per row, in [0, 1): from [`crate::Key::uniform`], or any generator of yours.
/// - `draws`: an outcome per row.
/// - At T = 0 it is the greedy token, whatever the uniform (which must be in range all the same).
/// - The token is a pure function of the row's logits, temperature and uniform. The distance (total
///   variation) of its distribution from the exact softmax is below 1.9e-7 for all rows of up to a million
///   tokens; that of all rows measured but one, which was made for it, is below 1e-7. A masked token (-inf) is
///   never drawn.
/// - Cost: every logit is read from memory once, and in rows of more than 2048 one block of 512 again from
///   the cache; others, too, where their first 16 logits say little about their largest (of Gaussian logits
///   of deviation 3, below about T = 0.17). Probabilities are not stored.
///
/// A row with a NaN or +inf, or all -inf, has a [`RowError`] as its outcome; all others are drawn as if it
/// were not there.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures, uniforms or outcomes does not fit; [`Error::Uniform`]
/// if one lies outside [0, 1). Nothing has been written then.
///
/// ```
/// use kelvin::{Draw, Key, Rows, Temperature, sample};
///
/// let logits = Rows::new(&[0.1_f32, 2.0, 0.5, f32::NAN, 1.0, 1.0], 3)?;
/// let uniforms = [Key { seed: 1, position: 0 }, Key { seed: 2, position: 0 }].map(Key::uniform);
/// let mut draws = [Ok(Draw::default()); 2];
/// sample(logits, &[Temperature::new(0.7)?], &uniforms, &mut draws)?;
/// assert!(draws[0].is_ok());
/// assert_eq!(draws[1].map_err(|error| error.to_string()), Err("row 1: logit 0 is NaN".to_owned()));
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    uniforms: &[f64],
    draws: &mut [Result<Draw, RowError>],
) -> Result<(), Error> {
    Level::best().sample(logits, temperatures, uniforms, draws)
}

/// Draws one token from each row of weights, which need not sum to 1.
///
/// - `probs`: rows x vocab, each weight 0 or more and finite. `uniforms` and `draws` as in [`sample`].
/// - A token of weight 0 is never drawn.
/// - Cost: every weight is read once, and one block of 512 twice.
///
/// A row with a negative, infinite or NaN weight, or all 0, has a [`RowError`] as its outcome.
///
/// # Errors
/// [`Error::Length`] if the number of uniforms or outcomes does not fit; [`Error::Uniform`] if one lies
/// outside [0, 1). Nothing has been written then.
///
/// ```
/// use kelvin::{Draw, Rows, sample_from_probs};
///
/// let mut draws = [Ok(Draw::default())];
/// sample_from_probs(Rows::new(&[0.0, 3.0, 1.0], 3)?, &[0.0], &mut draws)?;
/// assert_eq!(draws[0], Ok(Draw { token: 1, logprob: 0.75_f32.ln() }));
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_from_probs<L: Logit>(
    probs: Rows<'_, L>,
    uniforms: &[f64],
    draws: &mut [Result<Draw, RowError>],
) -> Result<(), Error> {
    Level::best().sample_from_probs(probs, uniforms, draws)
}

impl Level {
    /// [`sample`](crate::sample), on this level.
    ///
    /// # Errors
    /// Those of [`sample`](crate::sample).
    pub fn sample<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        uniforms: &[f64],
        draws: &mut [Result<Draw, RowError>],
    ) -> Result<(), Error> {
        let temperatures = Temperatures::new(logits.rows(), temperatures)?;
        check_uniforms(logits.rows(), uniforms)?;
        fill_outcomes(logits, "draws", draws, cost_of_weighing(logits.vocab()), |index, row| {
            let Some(factor) = temperatures.at(index).factor() else {
                return self.greedy_token(logits, index).map(|token| Draw { token, logprob: 0.0 });
            };
            self.sample_row(Softmax(factor), index, row, uniforms[index])
        })
    }

    /// [`sample_from_probs`](crate::sample_from_probs), on this level.
    ///
    /// # Errors
    /// Those of [`sample_from_probs`](crate::sample_from_probs).
    pub fn sample_from_probs<L: Logit>(
        self,
        probs: Rows<'_, L>,
        uniforms: &[f64],
        draws: &mut [Result<Draw, RowError>],
    ) -> Result<(), Error> {
        check_uniforms(probs.rows(), uniforms)?;
        fill_outcomes(probs, "draws", draws, cost_of_weighing(probs.vocab()), |index, row| {
            self.sample_row(Weights, index, row, uniforms[index])
        })
    }

    fn sample_row<L: Logit>(
        self,
        source: impl Sampled<L>,
        index: usize,
        row: &[L],
        uniform: f64,
    ) -> Result<Draw, RowError> {
        with_pass(|pass| dispatch!(self, simd => sample_row(simd, source, row, uniform, pass)))
            .ok_or_else(|| source.diagnose(index, row))
    }

    /// The tokens of a few uniforms.
    pub(crate) fn sample_few<L: Logit>(
        self,
        source: impl Sampled<L>,
        index: usize,
        row: &[L],
        uniforms: impl Iterator<Item = f64>,
        tokens: &mut [u32],
    ) -> Result<(), RowError> {
        with_pass(|pass| dispatch!(self, simd => sample_tokens(simd, source, row, uniforms, tokens, pass)))
            .map(|_| ())
            .ok_or_else(|| source.diagnose(index, row))
    }
}

/// The log-probability is computed here, not by the caller: 64 rows of 16 then take 0.89 x the time, of 512
/// 0.93 x.
#[inline(always)]
fn sample_row<S: Simd, L: Logit>(
    simd: S,
    source: impl Sampled<L>,
    row: &[L],
    uniform: f64,
    pass: &mut Pass,
) -> Option<Draw> {
    let mut token = 0;
    let total = sample_tokens(simd, source, row, [uniform], from_mut(&mut token), pass)?;
    Some(Draw { token, logprob: source.logprob(row[token as usize], &total) })
}

#[inline(always)]
fn sample_tokens<S: Simd, L: Logit>(
    simd: S,
    source: impl Sampled<L>,
    row: &[L],
    uniforms: impl IntoIterator<Item = f64>,
    tokens: &mut [u32],
    pass: &mut Pass,
) -> Option<Total> {
    source.scan(simd, row, pass);
    let total = Total::of(&mut pass.summaries, source.factor())?;
    for (token, uniform) in tokens.iter_mut().zip(uniforms) {
        let target = uniform * total.sum;
        let block = total.find(&pass.summaries, target, source.factor())?;
        *token = (block.index * BLOCK + source.find(simd, row, &block, target, pass)) as u32;
    }
    Some(total)
}

/// Where logits and weights differ.
pub(crate) trait Sampled<L: Logit>: Source<L> {
    /// The pass over a row.
    fn scan<S: Simd>(self, simd: S, row: &[L], pass: &mut Pass);
    /// The token, inside its block, of a target that lies in the block.
    fn find<S: Simd>(self, simd: S, row: &[L], found: &Found, target: f64, pass: &mut Pass) -> usize;
    /// The natural logarithm of a token's probability, given what stands for it in the row.
    fn logprob(self, token: L, total: &Total) -> f32;
}

impl<L: Logit> Sampled<L> for Softmax<'_> {
    #[inline(always)]
    fn scan<S: Simd>(self, simd: S, row: &[L], pass: &mut Pass) {
        if Pass::is_short(row) {
            pass.keep_weights(simd, self, row);
        } else {
            pass.summarize::<false, _, _>(simd, self, row);
        }
    }

    /// The weights of a short row are kept; of a longer one, those of the block are computed again.
    #[inline(always)]
    fn find<S: Simd>(self, simd: S, row: &[L], found: &Found, target: f64, pass: &mut Pass) -> usize {
        let place = if Pass::is_short(row) { found.index } else { 0 };
        let (weights, lane_sums) = (&mut pass.weights[place], &mut pass.lane_sums[place]);
        if !Pass::is_short(row) {
            let summed = keep(simd, lane_sums);
            with_block(
                &row[found.index * BLOCK..],
                self.padding(),
                #[inline(always)]
                |block| self.weigh::<true, _>(simd, block, &mut Peak::none(), weights, |_| (), summed),
            );
        }
        let sums = sum_lanes(simd, lane_sums);
        find_in_block(
            simd,
            &sums,
            found,
            target,
            #[inline(always)]
            |group| &groups(weights)[group],
        )
    }

    /// Rounding may carry that of a token alone in its row above 0.
    #[inline(always)]
    fn logprob(self, token: L, total: &Total) -> f32 {
        let log2_weight = total.reference.log2_weight(f64::from(token.to_f32()), self.0);
        let logprob = (log2_weight * LN_2 - total.log_sum()) as f32;
        if 0.0 < logprob { 0.0 } else { logprob }
    }
}

impl<L: Logit> Sampled<L> for Weights {
    #[inline(always)]
    fn scan<S: Simd>(self, simd: S, row: &[L], pass: &mut Pass) {
        pass.summarize::<false, _, _>(simd, self, row);
    }

    #[inline(always)]
    fn find<S: Simd>(self, simd: S, row: &[L], found: &Found, target: f64, pass: &mut Pass) -> usize {
        with_block(
            &row[found.index * BLOCK..],
            self.padding(),
            #[inline(always)]
            |block| {
                let sums = sum_groups(simd, block);
                let room = &mut groups_mut(&mut pass.weights[0])[0];
                find_in_block(
                    simd,
                    &sums,
                    found,
                    target,
                    #[inline(always)]
                    |group| as_wide(simd, &groups(block)[group], room),
                )
            },
        )
    }

    #[inline(always)]
    fn logprob(self, token: L, total: &Total) -> f32 {
        ln(f64::from(token.to_f32()) / total.sum) as f32
    }
}
