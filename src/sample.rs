//! Stage 3: one token per row, by inverting the cumulative distribution.
//!
//! ```text
//! one pass over the row:  a summary per block                        (weights.rs)
//! S      = the sum of all blocks, in f64, in index order
//! target = u S
//! block  = the first through which the sum exceeds the target
//! its weights again; group, vector and lane in whose interval the target lies        (inversion.rs)
//! ```
//!
//! Every step ends where a sum grows, so a token of weight 0 cannot be drawn, and the token never goes down
//! when u goes up.

use core::f64::consts::LN_2;

use crate::argmax::greatest;
use crate::batch::{Temperatures, fill_outcomes};
use crate::blocks::{AlignedBlock, BLOCK, GROUP, GROUPS, Group, as_wide, for_each_block, groups, with_block};
use crate::check::{check_uniforms, diagnose, diagnose_weights};
use crate::inversion::{Groups, Vectors, find_lanes};
use crate::math::ln;
use crate::prefetch::prefetch_group;
use crate::simd::{LANES, Simd, VECTORS, dispatch};
use crate::summary::{Found, Summary, Total, summarize_row, with_summaries};
use crate::sums::{LaneSums, keep, sum_block, sum_groups, sum_lanes};
use crate::weights::{Factor, weigh_block};
use crate::{Error, Level, Logit, RowError, Rows, Temperature};

/// A token that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Its index in the row.
    pub token: u32,
    /// The natural logarithm of its probability, at the row's temperature: never above 0, and 0 at T = 0.
    /// Within 2^-22 (relative) + 2^-21 of the exact one, as that of [`log_softmax`](crate::log_softmax),
    /// whose bits it need not have.
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
/// - The token is a pure function of the row's logits, temperature and uniform. The distance (total
///   variation) of its distribution from the exact softmax is below 1e-7 for realistic rows, and below 1.9e-7
///   for any of up to a million tokens. A masked token (-inf) is never drawn.
/// - Cost: every logit is read from memory once, and one block of 512 again from the cache (every block, at
///   extreme temperatures). Probabilities are not stored.
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
    /// As there.
    pub fn sample<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        uniforms: &[f64],
        draws: &mut [Result<Draw, RowError>],
    ) -> Result<(), Error> {
        let temperatures = Temperatures::new(logits.rows(), temperatures)?;
        check_uniforms(logits.rows(), uniforms)?;
        fill_outcomes(logits, "draws", draws, |index, row| {
            let temperature = temperatures.at(index);
            let draw = with_summaries(
                |summaries| dispatch!(self, simd => sample_row(simd, row, temperature, uniforms[index], summaries)),
            );
            draw.ok_or_else(|| diagnose(index, row))
        })
    }

    /// [`sample_from_probs`](crate::sample_from_probs), on this level.
    ///
    /// # Errors
    /// As there.
    pub fn sample_from_probs<L: Logit>(
        self,
        probs: Rows<'_, L>,
        uniforms: &[f64],
        draws: &mut [Result<Draw, RowError>],
    ) -> Result<(), Error> {
        check_uniforms(probs.rows(), uniforms)?;
        fill_outcomes(probs, "draws", draws, |index, row| {
            let draw = with_summaries(
                |summaries| dispatch!(self, simd => sample_weights(simd, row, uniforms[index], summaries)),
            );
            draw.ok_or_else(|| diagnose_weights(index, row))
        })
    }
}

#[inline(always)]
fn sample_row<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: &Temperature,
    uniform: f64,
    summaries: &mut Vec<Summary>,
) -> Option<Draw> {
    let Some(factor) = temperature.factor() else {
        return greatest(simd, row).map(|(token, _)| Draw { token: token as u32, logprob: 0.0 });
    };
    let mut weights = AlignedBlock::EMPTY;
    summarize_row::<_, _, false>(simd, row, factor, &mut weights, summaries);
    let total = Total::of(summaries, factor)?;
    let target = uniform * total.sum;
    let block = total.find(summaries, target, factor)?;
    let (start, mut lane_sums) = (block.index * BLOCK, LaneSums::default());
    with_block(
        &row[start..],
        L::NEG_INFINITY,
        #[inline(always)]
        |logits| weigh_block(simd, logits, factor, &mut weights, |_| (), keep(simd, &mut lane_sums)),
    );
    let sums = sum_lanes(simd, &lane_sums);
    let token = start
        + find_in_block(
            simd,
            &sums,
            &block,
            target,
            #[inline(always)]
            |group| &groups(&weights)[group],
        );
    let height = total.reference.height(f64::from(row[token].to_f32()), factor);
    let logprob = (height * LN_2 - ln(total.sum)) as f32;
    Some(Draw { token: token as u32, logprob: if 0.0 < logprob { 0.0 } else { logprob } })
}

#[inline(always)]
fn sample_weights<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    uniform: f64,
    summaries: &mut Vec<Summary>,
) -> Option<Draw> {
    for_each_block(
        row,
        L::ZERO,
        #[inline(always)]
        |start, block| {
            let sum = sum_block(
                simd,
                block,
                #[inline(always)]
                |group| {
                    prefetch_group::<false, _, _>(simd, row, start + group * GROUP, simd.ahead());
                },
            );
            summaries.push(Summary { sum, ..Summary::default() });
        },
    );
    // (All blocks have the same reference, whatever the factor.)
    let factor = &Factor::new(1.0);
    let total = Total::of(summaries, factor)?;
    let target = uniform * total.sum;
    let block = total.find(summaries, target, factor)?;
    let (start, mut wide) = (block.index * BLOCK, [[0.0; LANES]; VECTORS]);
    let within = with_block(
        &row[start..],
        L::ZERO,
        #[inline(always)]
        |weights| {
            find_in_block(
                simd,
                &sum_groups(simd, weights),
                &block,
                target,
                #[inline(always)]
                |group| as_wide(simd, &groups(weights)[group], &mut wide),
            )
        },
    );
    let token = start + within;
    let logprob = ln(f64::from(row[token].to_f32()) / total.sum) as f32;
    Some(Draw { token: token as u32, logprob })
}

/// The token of a target that lies in a block, given the sums of its groups, and one of them by its number.
#[inline(always)]
fn find_in_block<'a, S: Simd>(
    simd: S,
    sums: &[f64; GROUPS],
    block: &Found,
    target: f64,
    weights: impl FnOnce(usize) -> &'a Group<f32>,
) -> usize {
    let intervals = Groups::new(sums, block.before, block.mass);
    let (group, within) = intervals.find(target);
    let weights = weights(group);
    let (vector, within) = Vectors::new(simd, weights, intervals.mass(group)).find(simd, within);
    let [lane] = find_lanes(simd, [&weights[vector]], &[within]);
    group * GROUP + vector * LANES + lane as usize
}
