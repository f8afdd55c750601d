//! A batch of rows, each drawn from by a table of its own.

use core::cell::Cell;

use super::AliasTable;
use crate::batch::fill_tokens;
use crate::check::{Temperatures, check_length, draws_per_row};
use crate::scratch::with_scratch;
use crate::{Error, FailedRows, Key, Level, Logit, RowError, Rows, Temperature};

/// Where the random words of a batch come from, for any number of draws per row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Words<'a> {
    /// Rows x draws words, all of whose 64 bits count, those of a row side by side.
    Given(&'a [u64]),
    /// A key per row: its words are those of [`Key::fill_words`].
    Keys(&'a [Key]),
}

impl Words<'_> {
    /// The draws per row, if there are words for all of them.
    fn draws(self, rows: usize, tokens: usize) -> Result<usize, Error> {
        let draws = draws_per_row(rows, tokens)?;
        match self {
            Self::Keys(keys) => check_length("keys", rows, keys.len())?,
            Self::Given(words) => check_length("words", tokens, words.len())?,
        }
        Ok(draws)
    }
}

/// Draws very many tokens from each row, independently ("with replacement"), by an [`AliasTable`] per row.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row.
/// - `words`: one per draw (rows x draws), or a key per row. `tokens`: rows x draws.
/// - Each token is the one that the row's own [`AliasTable`] draws for its word: not that of
///   [`sample_many`](crate::sample_many). At T = 0 it is the greedy one, and never one that is masked.
/// - Cost: a table per row, then one look per draw. [`Draws`](crate::Draws) says from how many draws on that
///   is less than the cost of [`sample_many`](crate::sample_many).
/// - Memory: each thread keeps its table, and what building it took, for the next call.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; their tokens are
/// `u32::MAX`. For no draws no row is looked at.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures, words, keys or tokens does not fit. Nothing has been
/// written then.
///
/// ```
/// use kelvin::{Key, Rows, Temperature, Words, sample_many_by_alias};
///
/// let logits = Rows::new(&[1.0_f32, f32::NEG_INFINITY, f32::NAN, 0.0], 2)?;
/// let keys = [Key { seed: 1, position: 0 }, Key { seed: 2, position: 0 }];
/// let mut tokens = [7; 6];
/// let failed = sample_many_by_alias(logits, &[Temperature::ONE], Words::Keys(&keys), &mut tokens)?;
/// assert_eq!(tokens, [0, 0, 0, u32::MAX, u32::MAX, u32::MAX]);
/// assert_eq!(failed[0].to_string(), "row 1: logit 0 is NaN");
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_many_by_alias<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    words: Words<'_>,
    tokens: &mut [u32],
) -> Result<FailedRows, Error> {
    Level::best().sample_many_by_alias(logits, temperatures, words, tokens)
}

/// Draws very many tokens from each row of weights, which need not sum to 1: [`sample_many_by_alias`] without
/// a softmax.
///
/// - `probs`: rows x vocab, each weight 0 or more and finite. `words` and `tokens`, cost and memory as of
///   [`sample_many_by_alias`]. A token of weight 0 is never drawn.
///
/// Returns the rows that could not be served (a negative, infinite or NaN weight, or all 0), in order; their
/// tokens are `u32::MAX`.
///
/// # Errors
/// [`Error::Length`] if the number of words, keys or tokens does not fit. Nothing has been written then.
///
/// ```
/// use kelvin::{Rows, Words, sample_many_from_probs_by_alias};
///
/// let mut tokens = [7; 2];
/// let (probs, words) = (Rows::new(&[0.0, 2.0], 2)?, Words::Given(&[0, u64::MAX]));
/// sample_many_from_probs_by_alias(probs, words, &mut tokens)?.into_result()?;
/// assert_eq!(tokens, [1, 1]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_many_from_probs_by_alias<L: Logit>(
    probs: Rows<'_, L>,
    words: Words<'_>,
    tokens: &mut [u32],
) -> Result<FailedRows, Error> {
    Level::best().sample_many_from_probs_by_alias(probs, words, tokens)
}

impl Level {
    /// [`sample_many_by_alias`](crate::sample_many_by_alias), on this level.
    ///
    /// # Errors
    /// Those of [`sample_many_by_alias`](crate::sample_many_by_alias).
    pub fn sample_many_by_alias<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        words: Words<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        let temperatures = Temperatures::new(logits.rows(), temperatures)?;
        draw_rows(logits.rows(), logits.vocab(), words, tokens, |table, row| {
            self.rebuild_alias(table, logits, row, *temperatures.at(row))
        })
    }

    /// [`sample_many_from_probs_by_alias`](crate::sample_many_from_probs_by_alias), on this level.
    ///
    /// # Errors
    /// Those of [`sample_many_from_probs_by_alias`](crate::sample_many_from_probs_by_alias).
    pub fn sample_many_from_probs_by_alias<L: Logit>(
        self,
        probs: Rows<'_, L>,
        words: Words<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        draw_rows(probs.rows(), probs.vocab(), words, tokens, |table, row| {
            self.rebuild_alias_from_probs(table, probs, row)
        })
    }
}

/// The cost of a draw, 2 ns, in logits.
const COST_OF_DRAW: usize = 8;

fn draw_rows(
    rows: usize,
    vocab: usize,
    words: Words<'_>,
    tokens: &mut [u32],
    rebuild: impl Fn(&mut AliasTable, usize) -> Result<(), RowError> + Sync,
) -> Result<FailedRows, Error> {
    thread_local! {
        static TABLE: Cell<AliasTable> = Cell::default();
    }
    let draws = words.draws(rows, tokens.len())?;
    Ok(fill_tokens(tokens, draws, vocab, COST_OF_DRAW, |row, tokens| {
        with_scratch(&TABLE, |table| {
            rebuild(table, row)?;
            match words {
                Words::Given(words) => table.draw_many(&words[row * draws..][..draws], tokens),
                Words::Keys(keys) => table.draw_keyed(keys[row], tokens),
            }
            // Not reached: the table is not empty, and the lengths fit.
            .map_err(|_| RowError::NothingToDraw { row })
        })
    }))
}
