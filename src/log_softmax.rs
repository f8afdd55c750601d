//! Stage 2, in logarithms: log-probabilities, and the logarithm of the sum they share.
//!
//! One pass that keeps summaries alone; for the log-probabilities a second, x/T - ln(sum of e^(x/T)), each of
//! the two held as a pair of f32.

use core::f64::consts::LN_2;

use crate::argmax::{greatest, greedy_row, greedy_row_in_place};
use crate::batch::{cost_of_weighing, fill_outcomes, map_rows, map_rows_in_place};
use crate::check::{Temperatures, diagnose};
use crate::output::{map_in_place, map_vectors};
use crate::pass::{Pass, with_pass};
use crate::prefetch::prefetch_in_second_pass;
use crate::simd::{Simd, dispatch};
use crate::source::Softmax;
use crate::summary::Total;
use crate::weights::Factor;
use crate::{Error, FailedRows, Level, Logit, RowError, Rows, RowsMut, Temperature};

/// The natural logarithms of the probabilities of each row: x/T - ln(sum of e^(x/T)).
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row. `logprobs`: of the shape of
///   `logits`.
/// - A masked token has -inf. At T = 0 the greedy token has 0 and all others -inf.
/// - Within 2^-22 (relative) + 2^-21 of the exact value, however small the probability is. (Below `f32::MIN`,
///   -inf; already within 2^-22, relative, of `f32::MIN` it may be that.)
/// - Cost: one pass that reads, one that reads (from cache) and writes: by stores that bypass the caches,
///   where `logprobs` takes 32 MiB or more in rows of 1024 or more.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with
/// NaN.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures or the shape of `logprobs` does not fit.
///
/// ```
/// use kelvin::{Rows, RowsMut, Temperature, log_softmax};
///
/// let mut logprobs = [0.0; 2];
/// let (logits, mut out) = (Rows::new(&[1.0, 1.0], 2)?, RowsMut::new(&mut logprobs, 2)?);
/// log_softmax(logits, &[Temperature::ONE], &mut out)?.into_result()?;
/// assert!((logprobs[0] + core::f32::consts::LN_2).abs() < 1e-6);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn log_softmax<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    logprobs: &mut RowsMut<'_>,
) -> Result<FailedRows, Error> {
    Level::best().log_softmax(logits, temperatures, logprobs)
}

/// [`log_softmax`] where the logits lie: the same bits.
///
/// - `rows`: logits, which become log-probabilities. `temperatures`: one for all rows, or one per row.
/// - Cost: one pass that reads, one that reads (from cache, if a row fits) and writes.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with
/// NaN.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures does not fit.
///
/// ```
/// use kelvin::{RowsMut, Temperature, log_softmax_in_place};
///
/// let mut data = [7.0, f32::NEG_INFINITY];
/// log_softmax_in_place(&mut RowsMut::new(&mut data, 2)?, &[Temperature::ONE])?.into_result()?;
/// assert_eq!(data, [0.0, f32::NEG_INFINITY]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn log_softmax_in_place(
    rows: &mut RowsMut<'_>,
    temperatures: &[Temperature],
) -> Result<FailedRows, Error> {
    Level::best().log_softmax_in_place(rows, temperatures)
}

/// ln(sum of e^(x/T)) of each row.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row. `sums`: an outcome per row, in
///   f64, off by at most 2^-21 + 2^-50 |sum|.
/// - For the log-probabilities of a few tokens, x/T less the sum, in f64 (see below). Not at T = 0, where
///   both are infinite, nor where |x/T| is above 2^28, which leaves f64 too few digits: [`log_softmax`] is as
///   good at all temperatures.
/// - At T = 0 it is the limit: +-inf, or 0 if the largest logit is 0. (A sum over k tokens that are all 0
///   would tend to ln k; greedy has one winner.)
/// - Cost: one pass that reads.
///
/// A row with a NaN or +inf, or all -inf, has a [`RowError`] as its outcome.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures or of outcomes does not fit.
///
/// ```
/// use kelvin::{Rows, Temperature, log_sum_exp};
///
/// let (logits, t) = (Rows::new(&[0.5_f32; 4], 4)?, Temperature::new(0.8)?);
/// let mut sums = [Ok(0.0)];
/// log_sum_exp(logits, &[t], &mut sums)?;
/// let logprob = f64::from(logits.row(0)[3]) / f64::from(t.get()) - sums[0]?;
/// assert!((logprob - 0.25_f64.ln()).abs() < 1e-6);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn log_sum_exp<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    sums: &mut [Result<f64, RowError>],
) -> Result<(), Error> {
    Level::best().log_sum_exp(logits, temperatures, sums)
}

impl Level {
    /// [`log_softmax`](crate::log_softmax), on this level.
    ///
    /// # Errors
    /// Those of [`log_softmax`](crate::log_softmax).
    pub fn log_softmax<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        logprobs: &mut RowsMut<'_>,
    ) -> Result<FailedRows, Error> {
        map_rows(
            logits,
            temperatures,
            logprobs,
            cost_of_weighing(logits.vocab()),
            |row, temperature, out, past_caches| {
                with_pass(|pass| {
                    if past_caches {
                        dispatch!(self, simd => log_softmax_row::<true, _, _>(simd, row, temperature, out, pass))
                    } else {
                        dispatch!(self, simd => log_softmax_row::<false, _, _>(simd, row, temperature, out, pass))
                    }
                })
            },
        )
    }

    /// [`log_softmax_in_place`](crate::log_softmax_in_place), on this level.
    ///
    /// # Errors
    /// Those of [`log_softmax_in_place`](crate::log_softmax_in_place).
    pub fn log_softmax_in_place(
        self,
        rows: &mut RowsMut<'_>,
        temperatures: &[Temperature],
    ) -> Result<FailedRows, Error> {
        let cost = cost_of_weighing(rows.vocab());
        map_rows_in_place(rows, temperatures, cost, |row, temperature| {
            with_pass(|pass| dispatch!(self, simd => log_softmax_row_in_place(simd, row, temperature, pass)))
        })
    }

    /// [`log_sum_exp`](crate::log_sum_exp), on this level.
    ///
    /// # Errors
    /// Those of [`log_sum_exp`](crate::log_sum_exp).
    pub fn log_sum_exp<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        sums: &mut [Result<f64, RowError>],
    ) -> Result<(), Error> {
        let temperatures = Temperatures::new(logits.rows(), temperatures)?;
        fill_outcomes(logits, "sums", sums, cost_of_weighing(logits.vocab()), |index, row| {
            self.log_sum_exp_row(row, temperatures.at(index)).ok_or_else(|| diagnose(index, row))
        })
    }

    /// `None` if the row cannot be served.
    pub(crate) fn log_sum_exp_row<L: Logit>(self, row: &[L], temperature: &Temperature) -> Option<f64> {
        with_pass(|pass| dispatch!(self, simd => log_sum_exp_row(simd, row, temperature, pass)))
    }
}

/// `None` if the row cannot be served.
#[inline(always)]
fn log_softmax_row<const PAST_CACHES: bool, S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: &Temperature,
    out: &mut [f32],
    pass: &mut Pass,
) -> Option<()> {
    let Some(factor) = temperature.factor() else {
        return greedy_row(simd, row, out, 0.0, f32::NEG_INFINITY);
    };
    pass.summarize::<PAST_CACHES, _, _>(simd, Softmax(factor), row);
    let logprobs = Logprobs::new(simd, &Total::of(&mut pass.summaries, factor)?, factor);
    map_vectors(
        simd,
        row,
        out,
        PAST_CACHES,
        #[inline(always)]
        |index, x| {
            if PAST_CACHES {
                prefetch_in_second_pass(simd, row, index);
            }
            logprobs.of(simd, L::load(simd, x))
        },
    );
    Some(())
}

/// [`log_softmax_row`], in place. (Nothing is written to a row that cannot be served.)
#[inline(always)]
fn log_softmax_row_in_place<S: Simd>(
    simd: S,
    row: &mut [f32],
    temperature: &Temperature,
    pass: &mut Pass,
) -> Option<()> {
    let Some(factor) = temperature.factor() else {
        return greedy_row_in_place(simd, row, 0.0, f32::NEG_INFINITY);
    };
    pass.summarize::<false, _, _>(simd, Softmax(factor), row);
    let logprobs = Logprobs::new(simd, &Total::of(&mut pass.summaries, factor)?, factor);
    map_in_place(
        simd,
        row,
        #[inline(always)]
        |x| logprobs.of(simd, x),
    );
    Some(())
}

/// What makes log-probabilities of a row's logits.
///
/// x/T - ln(sum) = d (slope + slope_lo) - (log_sum + log_sum_lo), in two fused steps: what the larger parts
/// leave is rounded once, however close they are. d is that of `weights.rs`; or half of it where there is an
/// offset, so that -f32::MAX - f32::MAX does not overflow.
struct Logprobs<S: Simd> {
    shrink: S::V,
    offset: S::V,
    slope: S::V,
    slope_lo: S::V,
    log_sum: S::V,
    log_sum_lo: S::V,
}

impl<S: Simd> Logprobs<S> {
    #[inline(always)]
    fn new(simd: S, total: &Total, factor: &Factor) -> Self {
        let offset = total.reference.offset;
        let shrink = if offset == 0.0 { factor.shrink } else { factor.shrink / 2.0 };
        let [slope, slope_lo] = split(factor.exact * LN_2 / f64::from(shrink));
        let [log_sum, log_sum_lo] = split(f64::from(total.reference.exponent) * LN_2 + total.log_sum());
        Self {
            shrink: simd.splat(shrink),
            offset: simd.splat(offset * shrink),
            slope: simd.splat(slope),
            slope_lo: simd.splat(slope_lo),
            log_sum: simd.splat(log_sum),
            log_sum_lo: simd.splat(log_sum_lo),
        }
    }

    #[inline(always)]
    fn of(&self, simd: S, x: S::V) -> S::V {
        let d = simd.mul_sub(x, self.shrink, self.offset);
        let larger = simd.mul_sub(d, self.slope, self.log_sum);
        let y = simd.add(larger, simd.mul_sub(d, self.slope_lo, self.log_sum_lo));
        // NaN, of -inf or where x/T is below the f32 there are, is -inf.
        let (lowest, zero) = (simd.splat(f32::NEG_INFINITY), simd.splat(0.0));
        let y = simd.max(y, lowest);
        simd.select_lt(zero, y, zero, y)
    }
}

/// The nearest f32, and the f32 nearest to the rest.
fn split(x: f64) -> [f32; 2] {
    let high = x as f32;
    [high, (x - f64::from(high)) as f32]
}

#[inline(always)]
fn log_sum_exp_row<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: &Temperature,
    pass: &mut Pass,
) -> Option<f64> {
    let Some(factor) = temperature.factor() else {
        let (_, max) = greatest::<false, _, _>(simd, row)?;
        return Some(if max == 0.0 { 0.0 } else { f64::from(max) * f64::INFINITY });
    };
    pass.summarize::<false, _, _>(simd, Softmax(factor), row);
    let total = Total::of(&mut pass.summaries, factor)?;
    Some(total.reference.height(factor) * LN_2 + total.log_sum())
}
