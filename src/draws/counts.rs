//! How often each token is drawn, without the tokens.

use super::cdf::Cdf;
use crate::{Error, Key, Level, Logit, RowError, Rows, Temperature};

/// How often each token is drawn, in this number of draws with a key: the tokens that were, in order of their
/// number, each with its count.
///
/// - The draws are those of [`sample_many`](crate::sample_many) with this key; they are not stored. For
///   uniforms of yours there is [`Cdf::count_many`].
/// - Cost: a [`Cdf`] is built, and each draw made from it; for as many draws as tokens or more, with a guide
///   if it pays. At T = 0 all are the greedy token.
/// - Memory, for the time of the call: the table, and 8 bytes per token of the vocabulary for the counts.
///
/// # Errors
/// A [`RowError`] if row `row` has a NaN or +inf, or nothing but -inf (or is not there).
///
/// ```
/// use kelvin::{Key, Rows, Temperature, draw_counts};
///
/// let words = ["cat", "dog", "fish"];
/// let logits = Rows::new(&[2.0_f32, 1.0, f32::NEG_INFINITY], 3)?;
/// let counts = draw_counts(logits, 0, Temperature::ONE, Key { seed: 1, position: 0 }, 1000)?;
/// for &(token, count) in &counts {
///     println!("{}: {count}", words[token as usize]);
/// }
/// assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 1000);
/// assert_eq!(counts.len(), 2);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn draw_counts<L: Logit>(
    logits: Rows<'_, L>,
    row: usize,
    temperature: Temperature,
    key: Key,
    draws: u64,
) -> Result<Vec<(u32, u64)>, RowError> {
    Level::best().draw_counts(logits, row, temperature, key, draws)
}

/// How often each token is drawn from weights, which need not sum to 1: [`draw_counts`] without a softmax.
///
/// - The draws are those of [`sample_many_from_probs`](crate::sample_many_from_probs) with this key. A token
///   of weight 0 is never drawn. Cost and memory as of [`draw_counts`].
///
/// # Errors
/// A [`RowError`] if a weight of row `row` is negative, NaN or infinite, or if all are 0 (or the row is not
/// there).
///
/// ```
/// use kelvin::{Key, Rows, draw_counts_from_probs};
///
/// let probs = Rows::new(&[0.0, 3.0, 0.0], 3)?;
/// let counts = draw_counts_from_probs(probs, 0, Key { seed: 1, position: 0 }, 1000)?;
/// assert_eq!(counts, [(1, 1000)]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn draw_counts_from_probs<L: Logit>(
    probs: Rows<'_, L>,
    row: usize,
    key: Key,
    draws: u64,
) -> Result<Vec<(u32, u64)>, RowError> {
    Level::best().draw_counts_from_probs(probs, row, key, draws)
}

impl Cdf {
    /// How often each token is drawn, in this number of draws with a key: those of [`Cdf::draw_keyed`]. The
    /// tokens that were drawn, in order of their number.
    ///
    /// # Errors
    /// [`Error::EmptyTable`] if the table is empty.
    pub fn count_keyed(&self, key: Key, draws: u64) -> Result<Vec<(u32, u64)>, Error> {
        self.check(&[])?;
        Ok(self.count(draws, key.uniforms()))
    }

    /// Counts all draws that will be made from a table.
    fn count_once(mut self, key: Key, draws: u64) -> Vec<(u32, u64)> {
        // From half as many on, it depends on the row whether a guide pays; here it mostly does.
        if draws >= self.vocab() as u64 {
            self.add_guide();
        }
        self.count(draws, key.uniforms())
    }

    /// How often each token is drawn by the uniforms: by [`Cdf::draw_many`]. The tokens that were drawn, in
    /// order of their number.
    ///
    /// # Errors
    /// [`Error::Uniform`] if one lies outside [0, 1); [`Error::EmptyTable`] if the table is empty.
    ///
    /// ```
    /// use kelvin::{Cdf, Rows};
    ///
    /// let cdf = Cdf::from_probs(Rows::new(&[0.5, 0.0, 0.5], 3)?, 0)?;
    /// assert_eq!(cdf.count_many(&[0.1, 0.9, 0.2])?, [(0, 2), (2, 1)]);
    /// # Ok::<(), kelvin::Error>(())
    /// ```
    pub fn count_many(&self, uniforms: &[f64]) -> Result<Vec<(u32, u64)>, Error> {
        self.check(uniforms)?;
        Ok(self.count(uniforms.len() as u64, uniforms.iter().copied()))
    }

    /// Counts the tokens of so many uniforms, some at a time.
    fn count(&self, draws: u64, mut uniforms: impl Iterator<Item = f64>) -> Vec<(u32, u64)> {
        let (mut counts, mut tokens, mut left) = (vec![0_u64; self.vocab()], [0; BATCH], draws);
        while left > 0 {
            let tokens = &mut tokens[..left.min(BATCH as u64) as usize];
            self.search(&mut uniforms, tokens);
            tokens.iter().for_each(|&token| counts[token as usize] += 1);
            left -= tokens.len() as u64;
        }
        let counted = counts.into_iter().zip(0..).filter(|(count, _)| *count > 0);
        counted.map(|(count, token)| (token, count)).collect()
    }
}

/// Draws counted at a time.
const BATCH: usize = 256;

impl Level {
    /// [`draw_counts`](crate::draw_counts), on this level.
    ///
    /// # Errors
    /// Those of [`draw_counts`](crate::draw_counts).
    pub fn draw_counts<L: Logit>(
        self,
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
        key: Key,
        draws: u64,
    ) -> Result<Vec<(u32, u64)>, RowError> {
        let mut cdf = Cdf::default();
        self.rebuild_cdf(&mut cdf, logits, row, temperature)?;
        Ok(cdf.count_once(key, draws))
    }

    /// [`draw_counts_from_probs`](crate::draw_counts_from_probs), on this level.
    ///
    /// # Errors
    /// Those of [`draw_counts_from_probs`](crate::draw_counts_from_probs).
    pub fn draw_counts_from_probs<L: Logit>(
        self,
        probs: Rows<'_, L>,
        row: usize,
        key: Key,
        draws: u64,
    ) -> Result<Vec<(u32, u64)>, RowError> {
        let mut cdf = Cdf::default();
        self.rebuild_cdf_from_probs(&mut cdf, probs, row)?;
        Ok(cdf.count_once(key, draws))
    }
}
