//! The largest logit of each row: what T = 0 means.

use crate::batch::{Batch, diagnose};
use crate::simd::{LANES, Simd, dispatch};
use crate::weights::{BLOCK, PREFETCH, padded};
use crate::{Error, Level, Logit, RowError, Rows, Temperature};

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
    /// As there.
    pub fn argmax<L: Logit>(
        self,
        logits: Rows<'_, L>,
        tokens: &mut [Result<u32, RowError>],
    ) -> Result<(), Error> {
        Batch::new(logits, &[Temperature::GREEDY])?.fill("tokens", tokens, |index, row, _| {
            let best = dispatch!(self, simd => greatest(simd, row));
            best.map(|(token, _)| token as u32).ok_or_else(|| diagnose(index, row))
        })
    }
}

/// The largest logit and the first token that has it. `None` if a logit is NaN or +inf, or all are -inf.
///
/// The maximum of each block is kept apart from the others, so that only the first block that reaches
/// the row's maximum is searched. A NaN gets lost in a maximum, so the logits are added up as well: the
/// sum keeps it. (The sum may also overflow; then the row is looked through.)
#[inline(always)]
pub(crate) fn greatest<S: Simd, L: Logit>(simd: S, row: &[L]) -> Option<(usize, f32)> {
    let (mut best, mut best_block) = (f32::NEG_INFINITY, 0);
    let mut sums = [simd.splat(0.0); IN_FLIGHT];
    let (blocks, tail) = row.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        let max = block_max(
            simd,
            block,
            &mut sums,
            #[inline(always)]
            |vector| {
                simd.prefetch(row, index * BLOCK + vector * LANES + PREFETCH);
            },
        );
        if max > best {
            (best, best_block) = (max, index);
        }
    }
    if !tail.is_empty() {
        let max = block_max(simd, &padded(tail), &mut sums, |_| ());
        if max > best {
            (best, best_block) = (max, blocks.len());
        }
    }
    let sum = sums.into_iter().reduce(
        #[inline(always)]
        |a, b| simd.add(a, b),
    )?;
    let sum = simd.reduce_add_wide(simd.widen(sum));
    let servable = sum < f64::INFINITY || row.iter().all(|x| x.to_f32() < f32::INFINITY);
    let start = best_block * BLOCK;
    let within = row[start..].iter().position(|x| x.to_f32() == best)?;
    (servable && best > f32::NEG_INFINITY).then_some((start + within, best))
}

/// Vectors in flight: enough to hide the latency of a maximum.
const IN_FLIGHT: usize = 4;

#[inline(always)]
fn block_max<S: Simd, L: Logit>(
    simd: S,
    block: &[L; BLOCK],
    sums: &mut [S::V; IN_FLIGHT],
    prefetch: impl Fn(usize),
) -> f32 {
    let mut maxima = [simd.splat(f32::NEG_INFINITY); IN_FLIGHT];
    let (vectors, _) = block.as_chunks::<LANES>();
    for (group, vectors) in vectors.as_chunks::<IN_FLIGHT>().0.iter().enumerate() {
        for i in 0..IN_FLIGHT {
            prefetch(group * IN_FLIGHT + i);
            let x = L::load(simd, &vectors[i]);
            maxima[i] = simd.max(maxima[i], x);
            sums[i] = simd.add(sums[i], x);
        }
    }
    let [a, b, c, d] = maxima;
    simd.reduce_max(simd.max(simd.max(a, b), simd.max(c, d)))
}
