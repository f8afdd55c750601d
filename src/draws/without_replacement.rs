//! Distinct tokens from one row, in draw order: exact successive sampling.

use core::cell::Cell;

use super::Uniforms;
use super::urn::{Refusal, Urn};
use crate::batch::fill_tokens;
use crate::check::Temperatures;
use crate::scratch::with_scratch;
use crate::simd::{Simd, dispatch};
use crate::source::{Softmax, Source, Weights};
use crate::{Error, FailedRows, Level, Logit, RowError, Rows, Temperature};

/// Draws k distinct tokens from each row: each in turn from the softmax of those not yet drawn.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row.
/// - `uniforms`: one per draw (rows x k), or a key per row.
/// - `tokens`: rows x k, in the order they are drawn. The first j of them do not depend on k. (The first need
///   not be the token that [`sample`](crate::sample) draws by the same uniform: here, those of a block lie in
///   another order.)
/// - At T = 0 there is one token to draw.
/// - Cost: one pass over the row, then per draw 32 logits and a walk down and up a tree of the blocks of 512:
///   64 tokens of 128,256 Gaussian logits take 1.4 to 1.5 times the time of one `sample` at T = 0.2 to 2. At
///   T = 0.1 and below they take up to 3 times as long as that, since no block can be left out; below T =
///   1e-5 up to 6 times, since the tree is built anew where what is left falls below 2^-500 of what there
///   was.
/// - Memory: each thread keeps 0.5 bytes per token of its longest row for the next call.
/// - Source: Wong and Easton, "An efficient method for weighted sampling without replacement", 1980.
///
/// Returns the rows that could not be served, in order; their tokens are `u32::MAX`. Beside those that
/// `sample` refuses, these are the rows with fewer than k tokens that are not masked (at T = 0, all rows if k
/// is above 1). No token is too improbable to count. For k = 0 no row is looked at. (To get the tokens
/// that there are, call again for that row with the number that its error names.)
///
/// # Errors
/// [`Error::Length`] if the number of temperatures, uniforms, keys or tokens does not fit;
/// [`Error::Uniform`] if one lies outside [0, 1). Nothing has been written then.
///
/// ```
/// use kelvin::{Key, Rows, Temperature, Uniforms, sample_without_replacement};
///
/// let logits = Rows::new(&[0.1, 2.0, 0.5, 1.0, f32::NEG_INFINITY, 1.0], 3)?;
/// let keys = [Key { seed: 1, position: 0 }, Key { seed: 2, position: 0 }];
/// let mut tokens = [0; 6];
/// let failed =
///     sample_without_replacement(logits, &[Temperature::ONE], Uniforms::Keys(&keys), &mut tokens)?;
/// assert!([0, 1, 2].iter().all(|token| tokens[..3].contains(token)));
/// let too_few = "row 1: 3 distinct tokens are wanted, 2 have a weight above 0";
/// assert_eq!(failed[0].to_string(), too_few);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_without_replacement<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    uniforms: Uniforms<'_>,
    tokens: &mut [u32],
) -> Result<FailedRows, Error> {
    Level::best().sample_without_replacement(logits, temperatures, uniforms, tokens)
}

/// Draws k distinct tokens from each row of weights, which need not sum to 1: [`sample_without_replacement`]
/// without a softmax.
///
/// - `probs`: rows x vocab, each weight 0 or more and finite. `uniforms` and `tokens`, cost and memory as
///   of [`sample_without_replacement`].
///
/// Returns the rows that could not be served (a negative, infinite or NaN weight, or fewer than k above 0),
/// in order; their tokens are `u32::MAX`.
///
/// # Errors
/// [`Error::Length`] if the number of uniforms, keys or tokens does not fit; [`Error::Uniform`] if one lies
/// outside [0, 1). Nothing has been written then.
///
/// ```
/// use kelvin::{Rows, Uniforms, sample_from_probs_without_replacement};
///
/// let probs = Rows::new(&[0.5, 0.0, 0.5], 3)?;
/// let mut tokens = [0; 2];
/// let uniforms = Uniforms::Given(&[0.9, 0.9]);
/// sample_from_probs_without_replacement(probs, uniforms, &mut tokens)?.into_result()?;
/// assert_eq!(tokens, [2, 0]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_from_probs_without_replacement<L: Logit>(
    probs: Rows<'_, L>,
    uniforms: Uniforms<'_>,
    tokens: &mut [u32],
) -> Result<FailedRows, Error> {
    Level::best().sample_from_probs_without_replacement(probs, uniforms, tokens)
}

impl Level {
    /// [`sample_without_replacement`](crate::sample_without_replacement), on this level.
    ///
    /// # Errors
    /// Those of [`sample_without_replacement`](crate::sample_without_replacement).
    pub fn sample_without_replacement<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        uniforms: Uniforms<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        let temperatures = Temperatures::new(logits.rows(), temperatures)?;
        let source = |row| temperatures.at(row).factor().map(Softmax);
        self.draw_distinct(logits, source, uniforms, tokens)
    }

    /// [`sample_from_probs_without_replacement`](crate::sample_from_probs_without_replacement), on this
    /// level.
    ///
    /// # Errors
    /// Those of [`sample_from_probs_without_replacement`](crate::sample_from_probs_without_replacement).
    pub fn sample_from_probs_without_replacement<L: Logit>(
        self,
        probs: Rows<'_, L>,
        uniforms: Uniforms<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        self.draw_distinct(probs, |_| Some(Weights), uniforms, tokens)
    }

    /// Distinct tokens of each row; where there is no source, there is only the greedy one.
    fn draw_distinct<L: Logit, S: Source<L>>(
        self,
        rows: Rows<'_, L>,
        source: impl Fn(usize) -> Option<S> + Sync,
        uniforms: Uniforms<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        let draws = uniforms.draws(rows.rows(), tokens.len())?;
        Ok(fill_tokens(tokens, draws, rows.vocab(), COST_OF_DRAW, |index, tokens| {
            let row = rows.row(index);
            let Some(source) = source(index) else {
                return single(index, self.greedy_token(rows, index)?, tokens);
            };
            with_scratch(&URN, |urn| {
                dispatch!(self, simd => urn.draw(simd, source, row, &mut uniforms.row(index, draws), tokens))
            })
            .map_err(|refusal| match refusal {
                Refusal::BadRow => source.diagnose(index, row),
                Refusal::Exhausted(available) => {
                    RowError::TooFewTokens { row: index, wanted: draws, available }
                }
            })
        }))
    }
}

/// The cost of a draw, about 110 ns, in logits. (64 rows of 1000 tokens, 100 draws each, took 0.58 x the time
/// on two threads with it, when a draw took 120 to 150 ns.)
const COST_OF_DRAW: usize = 384;

/// The greedy token is alone. (Where none is wanted, no row is looked at.)
fn single(row: usize, token: u32, tokens: &mut [u32]) -> Result<(), RowError> {
    let wanted = tokens.len();
    let [one] = tokens else { return Err(RowError::TooFewTokens { row, wanted, available: 1 }) };
    *one = token;
    Ok(())
}

thread_local! {
    static URN: Cell<Urn> = Cell::default();
}
