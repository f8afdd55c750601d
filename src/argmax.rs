//! The largest logit of each row: what T = 0 means.

use crate::batch::{cost_of_searching, fill_outcomes};
use crate::blocks::{BLOCK, for_each_block};
use crate::check::diagnose;
use crate::prefetch::at_groups;
use crate::simd::{LANES, Simd, dispatch};
use crate::sums::max_and_sum;
use crate::{Error, Level, Logit, RowError, Rows};

/// The token with the largest logit of each row, the lowest index on ties (-0.0 equals 0.0).
///
/// - `logits`: rows x vocab. `tokens`: an outcome per row.
/// - Cost: one pass, at the speed of reading, and one block again.
///
/// A row with a NaN or +inf, or all -inf, has a [`RowError`] as its outcome.
///
/// # Errors
/// [`Error::Length`] if there is not one outcome per row.
///
/// ```
/// use kelvin::{Rows, argmax};
///
/// let mut tokens = [Ok(0); 2];
/// argmax(Rows::new(&[0.1, 0.7, 0.7, 3.0, 1.0, 2.0], 3)?, &mut tokens)?;
/// assert_eq!(tokens, [Ok(1), Ok(0)]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn argmax<L: Logit>(logits: Rows<'_, L>, tokens: &mut [Result<u32, RowError>]) -> Result<(), Error> {
    Level::best().argmax(logits, tokens)
}

impl Level {
    /// [`argmax`](crate::argmax), on this level.
    ///
    /// # Errors
    /// Those of [`argmax`](crate::argmax).
    pub fn argmax<L: Logit>(
        self,
        logits: Rows<'_, L>,
        tokens: &mut [Result<u32, RowError>],
    ) -> Result<(), Error> {
        let cost = cost_of_searching(logits.vocab());
        fill_outcomes(logits, "tokens", tokens, cost, |index, _| self.greedy_token(logits, index))
    }

    /// The greedy token of one row of a batch.
    pub(crate) fn greedy_token<L: Logit>(self, logits: Rows<'_, L>, index: usize) -> Result<u32, RowError> {
        let row = logits.row(index);
        let greatest = if logits.exceed_caches() {
            dispatch!(self, simd => greatest::<true, _, _>(simd, row))
        } else {
            dispatch!(self, simd => greatest::<false, _, _>(simd, row))
        };
        greatest.map(|(token, _)| token as u32).ok_or_else(|| diagnose(index, row))
    }
}

/// The largest logit and the first token that has it. `None` if a logit is NaN or +inf, or all are -inf.
///
/// Each lane keeps its maximum and the first block that reached it, so only one block is searched in the end.
/// A NaN gets lost in a maximum, so the logits are added up as well: the sum keeps it. (It may also overflow;
/// then the row is looked through.)
///
/// One line per block is prefetched, so that its page is known when the row gets there: within a page the
/// CPU's own prefetchers mostly keep up, since so little is computed. Of a batch `FROM_MEMORY`, every line
/// is, unless the CPU reads ahead best by itself, or rows are written as well. (On an Intel Granite Rapids,
/// 256 rows take 0.87 x the time of one line per block, and that 0.79 x the time of none. In L2, every
/// line takes 1.43 x. On a Zen 4, one makes no difference, and every line takes 1.45 x.)
#[inline(always)]
pub(crate) fn greatest<const FROM_MEMORY: bool, S: Simd, L: Logit>(
    simd: S,
    row: &[L],
) -> Option<(usize, f32)> {
    let mut lanes = Lanes::new(simd);
    for_each_block(
        row,
        L::NEG_INFINITY,
        #[inline(always)]
        |start, block| {
            let ask_for_all = at_groups::<false, _, _>(simd, row, start, simd.ahead());
            lanes.take(
                simd,
                start / BLOCK,
                block,
                #[inline(always)]
                |group| {
                    if FROM_MEMORY && !simd.reads_ahead() {
                        ask_for_all(group);
                    } else if group == 0 {
                        simd.prefetch(row, start + simd.ahead());
                    }
                },
            );
        },
    );
    let servable = lanes.sum(simd) < f64::INFINITY || row.iter().all(|x| x.to_f32() < f32::INFINITY);
    let (max, block) = lanes.first_greatest(simd);
    // No lane equals a maximum of NaN: there is no such block then.
    let start = block.checked_mul(BLOCK)?;
    let within = first_not_below(simd, row.get(start..)?, max)?;
    (servable && max > f32::NEG_INFINITY).then_some((start + within, max))
}

/// What becomes of a row at T = 0: `chosen` for the greedy token, `others` for the others. `None` if the
/// row cannot be served.
#[inline(always)]
pub(crate) fn greedy_row<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    out: &mut [f32],
    chosen: f32,
    others: f32,
) -> Option<()> {
    greatest::<false, _, _>(simd, row).map(|(token, _)| one_hot(out, token, chosen, others))
}

/// [`greedy_row`], where the row lies.
#[inline(always)]
pub(crate) fn greedy_row_in_place<S: Simd>(simd: S, row: &mut [f32], chosen: f32, others: f32) -> Option<()> {
    greatest::<false, _, _>(simd, row).map(|(token, _)| one_hot(row, token, chosen, others))
}

/// One token chosen of all.
fn one_hot(out: &mut [f32], token: usize, chosen: f32, others: f32) {
    out.fill(others);
    out[token] = chosen;
}

/// The first logit that is not below x.
#[inline(always)]
fn first_not_below<S: Simd, L: Logit>(simd: S, row: &[L], x: f32) -> Option<usize> {
    let (vectors, tail) = row.as_chunks();
    for (number, vector) in vectors.iter().enumerate() {
        let lanes = simd.lanes_not_below(L::load(simd, vector), simd.splat(x));
        if lanes != 0 {
            return Some(number * LANES + lanes.trailing_zeros() as usize);
        }
    }
    Some(vectors.len() * LANES + tail.iter().position(|logit| logit.to_f32() >= x)?)
}

/// Of each lane, the maximum, the first block that reached it, and the sum.
struct Lanes<S: Simd> {
    max: S::V,
    /// f32 counts blocks exactly: there are at most 2^23.
    block: S::V,
    sum: S::V,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = simd.splat(0.0);
        Self { max: simd.splat(f32::NEG_INFINITY), block: zero, sum: zero }
    }

    #[inline(always)]
    fn take<L: Logit>(&mut self, simd: S, index: usize, block: &[L; BLOCK], loaded: impl Fn(usize)) {
        let (max, sum) = max_and_sum(simd, block, loaded);
        self.sum = simd.add(self.sum, sum);
        self.block = simd.select_lt(self.max, max, simd.splat(index as f32), self.block);
        self.max = simd.max(self.max, max);
    }

    #[inline(always)]
    fn sum(&self, simd: S) -> f64 {
        simd.reduce_add_wide(simd.widen(self.sum))
    }

    /// The maximum, and the first block that has it.
    #[inline(always)]
    fn first_greatest(&self, simd: S) -> (f32, usize) {
        let max = simd.reduce_max(self.max);
        let [mut maxima, mut blocks] = [[0.0; LANES]; 2];
        simd.store(self.max, &mut maxima);
        simd.store(self.block, &mut blocks);
        let reached = maxima.into_iter().zip(blocks).filter(|&(lane, _)| lane == max);
        (max, reached.map(|(_, block)| block).fold(f32::INFINITY, f32::min) as usize)
    }
}
