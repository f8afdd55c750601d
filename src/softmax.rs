//! Stage 2: softmax, out of place and in place.
//!
//! ```text
//! for each block:  its weights, written down, and their sum        (weights.rs)
//! S = the sum of all blocks, in f64, in index order                (summary.rs)
//! for each block:  its weights, times the block's scale / S        (normalize.rs)
//! ```
//!
//! The temperature is inside the exponential: it costs no pass.
//!
//! The weights wait for S where they do the least harm: in the output, if that stays in the caches; else in a
//! scratch row that does. A large batch then touches the memory twice, once to read and once to write around
//! the caches.

mod in_place;
mod normalize;
mod pending;

use core::cell::Cell;

use crate::argmax::greedy_row;
use crate::batch::{cost_of_weighing, map_rows};
use crate::blocks::{BLOCK, GROUP, Group, for_each_other_block, padded};
use crate::output::map_vectors;
use crate::pass::{Pass, with_pass};
use crate::prefetch::{PAGE, prefetch_group, prefetch_in_second_pass};
use crate::scratch::{room, with_scratch};
use crate::simd::{AHEAD, LANES, Simd, VECTORS, dispatch};
use crate::summary::Summary;
use crate::weights::{Factor, Peak, weigh_block, weigh_runs};
use crate::{Error, FailedRows, Level, Logit, Rows, RowsMut, Temperature};

pub use in_place::softmax_in_place;
use normalize::{for_each_scale, normalize_row};

/// The probabilities of each row: e^(x/T), divided by their sum.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row. `probs`: of the shape of
///   `logits`.
/// - Every probability above 2^-100 is within 6 x 2^-23 (relative) of the exact one. A smaller one is as
///   exact, or 0; below 2^-125 (but for a rounding) it is 0, so none is subnormal. A masked token (-inf) has
///   exactly 0. At T = 0 the greedy token has 1 and all others 0.
/// - Cost: one pass that reads the logits and writes weights, one that scales these in cache. Where `probs`
///   takes 32 MiB or more in rows of 1024 or more, the weights are kept in a row of memory per thread, and
///   `probs` is written once, by stores that bypass the caches.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with
/// NaN.
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
) -> Result<FailedRows, Error> {
    Level::best().softmax(logits, temperatures, probs)
}

impl Level {
    /// [`softmax`](crate::softmax), on this level.
    ///
    /// # Errors
    /// Those of [`softmax`](crate::softmax).
    pub fn softmax<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        probs: &mut RowsMut<'_>,
    ) -> Result<FailedRows, Error> {
        map_rows(
            logits,
            temperatures,
            probs,
            cost_of_weighing(logits.vocab()),
            |row, temperature, out, past_caches| self.softmax_row(row, temperature, out, past_caches),
        )
    }

    /// `None` if the row cannot be served.
    pub(crate) fn softmax_row<L: Logit>(
        self,
        row: &[L],
        temperature: &Temperature,
        out: &mut [f32],
        past_caches: bool,
    ) -> Option<()> {
        with_pass(|pass| {
            if past_caches {
                with_weights(
                    out,
                    |out, weights| dispatch!(self, simd => softmax_row_streaming(simd, row, temperature, out, weights, pass)),
                )
            } else {
                dispatch!(self, simd => softmax_row(simd, row, temperature, out, pass))
            }
        })
    }
}

/// Lends the thread's scratch row, as long as the output.
///
/// It begins half a page from where the output does: a load waits for a store before it that has the same
/// place in its page. (And where the output's cache lines begin, so do its own.)
fn with_weights<R>(out: &mut [f32], kernel: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    const IN_PAGE: usize = PAGE / size_of::<f32>();
    thread_local! {
        static WEIGHTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    }
    with_scratch(&WEIGHTS, |weights| {
        let weights = room(weights, out.len() + IN_PAGE, 0.0);
        let place = |data: &[f32]| data.as_ptr().addr() / size_of::<f32>();
        let start = place(out).wrapping_add(IN_PAGE / 2).wrapping_sub(place(weights)) % IN_PAGE;
        let weights = &mut weights[start..][..out.len()];
        kernel(out, weights)
    })
}

/// `None` if the row cannot be served.
#[inline(always)]
fn softmax_row<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: &Temperature,
    out: &mut [f32],
    pass: &mut Pass,
) -> Option<()> {
    let Some(factor) = temperature.factor() else {
        return greedy_row(simd, row, out, 1.0, 0.0);
    };
    weigh_row::<false, _, _>(simd, row, factor, out, pass);
    normalize_row(simd, out, factor, &mut pass.summaries)
}

/// [`softmax_row`], past the caches.
#[inline(always)]
fn softmax_row_streaming<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: &Temperature,
    out: &mut [f32],
    weights: &mut [f32],
    pass: &mut Pass,
) -> Option<()> {
    let Some(factor) = temperature.factor() else {
        return greedy_row(simd, row, out, 1.0, 0.0);
    };
    weigh_row::<true, _, _>(simd, row, factor, weights, pass);
    for_each_scale(
        &mut pass.summaries,
        factor,
        out.len(),
        #[inline(always)]
        |range, scale| {
            map_vectors(
                simd,
                &weights[range.clone()],
                &mut out[range.clone()],
                true,
                #[inline(always)]
                |index, w| {
                    prefetch_in_second_pass(simd, row, range.start + index);
                    // Always in both steps: it waits for the memory, not for one multiplication more.
                    scale.apply::<true, _>(simd, simd.load(w))
                },
            );
        },
    )
}

/// The weights of a row, and a summary for each block.
#[inline(always)]
fn weigh_row<const TWICE: bool, S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    factor: &Factor,
    weights: &mut [f32],
    pass: &mut Pass,
) {
    let groups: &mut [Group<f32>] = weights.as_chunks_mut().0.as_chunks_mut().0;
    let done = weigh_runs(
        simd,
        row,
        factor,
        &mut pass.summaries,
        #[inline(always)]
        |group, i, weights| {
            simd.store(weights, &mut groups[group][i]);
            // (Not with `summed`, since `groups` is borrowed here.)
            if i == VECTORS - 1 {
                let (start, weights) = (group * GROUP, groups.as_flattened().as_flattened());
                ask_ahead::<TWICE, _, _>(simd, row, start, weights, start + BLOCK);
            }
        },
        |_| (),
    );
    let (mut peak, whole) = (Peak::of_probs(), row.len() / BLOCK * BLOCK);
    for_each_other_block(
        &row[..whole],
        L::NEG_INFINITY,
        done,
        #[inline(always)]
        |start, block| {
            let Some((out, ahead)) = weights[start..].split_first_chunk_mut() else { return };
            let summary = weigh_block::<true, _, _>(
                simd,
                block,
                factor,
                &mut peak,
                out,
                #[inline(always)]
                |group| ask_ahead::<TWICE, _, _>(simd, row, start + group * GROUP, ahead, group * GROUP),
                |_| (),
            );
            summary.put(start / BLOCK, &mut pass.summaries);
        },
    );
    let (tail, out_tail) = (&row[whole..], &mut weights[whole..]);
    if !tail.is_empty() {
        let room = &mut pass.weights[0];
        pass.summaries.push(weigh_tail(simd, tail, factor, &mut peak, room));
        out_tail.copy_from_slice(&room[..tail.len()]);
    }
}

/// Asks, at a group, for what is read next, and for where the weights of the next block go. (A Zen 4 is only
/// told what to read, and that where rows come from memory: 16 rows take 0.85 x the time.)
#[inline(always)]
fn ask_ahead<const TWICE: bool, S: Simd, L>(simd: S, row: &[L], start: usize, weights: &[f32], next: usize) {
    if TWICE || !simd.reads_ahead() {
        prefetch_group::<TWICE, _, _>(simd, row, start, AHEAD);
    }
    if !simd.reads_ahead() {
        for line in 0..VECTORS {
            simd.prefetch_output(weights, next + line * LANES);
        }
    }
}

/// What is left of a row after its blocks, as a block.
#[inline(always)]
fn weigh_tail<S: Simd, L: Logit>(
    simd: S,
    tail: &[L],
    factor: &Factor,
    peak: &mut Peak,
    weights: &mut [f32; BLOCK],
) -> Summary {
    weigh_block::<true, _, _>(simd, &padded(tail, L::NEG_INFINITY), factor, peak, weights, |_| (), |_| ())
}
