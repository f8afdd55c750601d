//! Stage 2: softmax, out of place and in place.
//!
//! ```text
//! for each block:  its weights, written down, and their sum        (weights.rs)
//! S = the sum of all blocks, in f64, in index order                (summary.rs)
//! for each block:  its weights, times the block's scale / S
//! ```
//!
//! The temperature is inside the exponential: it costs no pass.

use crate::argmax::greatest;
use crate::batch::{Batch, Temperatures, diagnose, for_each_row};
use crate::simd::{Simd, dispatch};
use crate::summary::{Summary, Total, prefetch_group, with_summaries};
use crate::temperature::one_hot;
use crate::weights::{BLOCK, Factor, GROUP, groups_mut, padded, store, summarize};
use crate::{Error, Level, Logit, RowError, Rows, RowsMut, Temperature};

/// The probabilities of each row: e^(x/T), divided by their sum.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row. `probs`: of the shape of
///   `logits`.
/// - Every probability above 2^-100 is within 6 x 2^-23 (relative) of the exact one. A masked token (-inf)
///   has exactly 0. At T = 0 the greedy token has 1 and all others 0.
/// - Cost: one pass that reads the logits and writes weights, one that scales these in cache.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with NaN.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures or the shape of `probs` does not fit.
///
/// ```
/// use kelvin::{Rows, RowsMut, Temperature, softmax};
///
/// let logits = [0.0_f32, 0.0, f32::NEG_INFINITY, f32::NAN, 1.0, 2.0];
/// let mut probs = [0.0; 6];
/// let failed = softmax(Rows::new(&logits, 3)?, &[Temperature::ONE], &mut RowsMut::new(&mut probs, 3)?)?;
/// assert_eq!(probs[..3], [0.5, 0.5, 0.0]);
/// assert_eq!(failed[0].to_string(), "row 1: logit 0 is NaN");
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn softmax<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    probs: &mut RowsMut<'_>,
) -> Result<Vec<RowError>, Error> {
    Level::best().softmax(logits, temperatures, probs)
}

/// [`softmax`] where the logits lie: the same bits.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures does not fit.
///
/// ```
/// use kelvin::{RowsMut, Temperature, softmax_in_place};
///
/// let mut data = [0.0, 0.0, 0.0, 0.0];
/// softmax_in_place(&mut RowsMut::new(&mut data, 4)?, &[Temperature::ONE])?;
/// assert_eq!(data, [0.25; 4]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn softmax_in_place(
    rows: &mut RowsMut<'_>,
    temperatures: &[Temperature],
) -> Result<Vec<RowError>, Error> {
    Level::best().softmax_in_place(rows, temperatures)
}

impl Level {
    /// [`softmax`](crate::softmax), on this level.
    ///
    /// # Errors
    /// As there.
    pub fn softmax<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        probs: &mut RowsMut<'_>,
    ) -> Result<Vec<RowError>, Error> {
        Batch::new(logits, temperatures)?.map_rows(probs, |row, temperature, out| {
            with_summaries(
                |summaries| dispatch!(self, simd => softmax_row(simd, row, temperature, out, summaries)),
            )
        })
    }

    /// [`softmax_in_place`](crate::softmax_in_place), on this level.
    ///
    /// # Errors
    /// As there.
    pub fn softmax_in_place(
        self,
        rows: &mut RowsMut<'_>,
        temperatures: &[Temperature],
    ) -> Result<Vec<RowError>, Error> {
        let temperatures = Temperatures::new(rows.rows(), temperatures)?;
        Ok(for_each_row(rows, |index, row| {
            let temperature = temperatures.at(index);
            with_summaries(
                |summaries| dispatch!(self, simd => softmax_row_in_place(simd, index, row, temperature, summaries)),
            )
        }))
    }
}

/// False if the row cannot be served.
#[inline(always)]
fn softmax_row<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: Temperature,
    out: &mut [f32],
    summaries: &mut Vec<Summary>,
) -> bool {
    if temperature.is_greedy() {
        return greatest(simd, row).is_some_and(|(token, _)| one_hot(out, token, 1.0, 0.0));
    }
    let factor = Factor::new(temperature.get());
    let (blocks, tail) = row.as_chunks::<BLOCK>();
    let (outs, out_tail) = out.as_chunks_mut::<BLOCK>();
    for (index, (block, out)) in blocks.iter().zip(outs).enumerate() {
        summaries.push(summarize(
            simd,
            block,
            &factor,
            #[inline(always)]
            |group, w| {
                prefetch_group(simd, row, index * BLOCK + group * GROUP);
                store(simd, w, out, group);
            },
        ));
    }
    if !tail.is_empty() {
        let mut last = [0.0; BLOCK];
        summaries.push(summarize(
            simd,
            &padded(tail, L::NEG_INFINITY),
            &factor,
            #[inline(always)]
            |group, w| {
                store(simd, w, &mut last, group);
            },
        ));
        out_tail.copy_from_slice(&last[..tail.len()]);
    }
    normalize(simd, out, summaries, &factor)
}

/// As [`softmax_row`], each block from a copy: it may have to be weighed twice, and if it holds a NaN
/// or +inf, that is named from there.
#[inline(always)]
fn softmax_row_in_place<S: Simd>(
    simd: S,
    index: usize,
    row: &mut [f32],
    temperature: Temperature,
    summaries: &mut Vec<Summary>,
) -> Result<(), RowError> {
    if temperature.is_greedy() {
        let (token, _) = greatest(simd, row).ok_or_else(|| diagnose(index, row))?;
        one_hot(row, token, 1.0, 0.0);
        return Ok(());
    }
    let factor = Factor::new(temperature.get());
    let (blocks, tail) = row.as_chunks_mut::<BLOCK>();
    let mut last = padded(tail, f32::NEG_INFINITY);
    for (number, block) in blocks.iter_mut().chain([&mut last]).enumerate() {
        let logits = *block;
        let summary = summarize(
            simd,
            &logits,
            &factor,
            #[inline(always)]
            |group, w| {
                store(simd, w, block, group);
            },
        );
        if summary.sum.is_nan() {
            return Err(diagnose(index, &logits).shifted(number * BLOCK));
        }
        summaries.push(summary);
    }
    tail.copy_from_slice(&last[..tail.len()]);
    let served = normalize(simd, row, summaries, &factor);
    if served { Ok(()) } else { Err(RowError::NothingToDraw { row: index }) }
}

/// Weights to probabilities: each block times its share of the whole. False if there is nothing to share.
///
/// A share below the normal numbers is applied in two steps, as its weights may be large.
#[inline(always)]
fn normalize<S: Simd>(simd: S, out: &mut [f32], summaries: &[Summary], factor: &Factor) -> bool {
    const STEP: f32 = 1.0 / (1_u128 << 120) as f32;
    let Some(total) = Total::of(summaries, factor) else { return false };
    let inverse = 1.0 / total.sum;
    for (block, summary) in out.chunks_mut(BLOCK).zip(summaries) {
        let share = total.scale_of(summary, factor) * inverse;
        let step = if share < f64::from(f32::MIN_POSITIVE) { STEP } else { 1.0 };
        let share = (share / f64::from(step)) as f32;
        if let Ok(block) = block.try_into() {
            let (shares, steps) = (simd.splat(share), simd.splat(step));
            for group in groups_mut(block) {
                for vector in group {
                    simd.prefetch(vector, BLOCK);
                    let w = simd.load(vector);
                    simd.store(simd.mul(simd.mul(w, shares), steps), vector);
                }
            }
        } else {
            block.iter_mut().for_each(|w| *w = *w * share * step);
        }
    }
    true
}
