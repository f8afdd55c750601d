//! The cumulative distribution of a row, kept: the search of `sample` with every prefix at hand.
//!
//! ```text
//! prefixes:  of the groups' masses               one f64 per 128 tokens, and one or two cells that lead there
//! eights:    of the sums inside each group       seventeen f64 per 128 tokens
//! weights:   as the build pass computed them     one f32 per token
//! ```
//!
//! A draw is three searches, in the intervals of `sample` (inversion.rs), which searches for the block before
//! its group. None scans more than eight weights. So it is the same token, for every uniform.

use core::fmt;

use super::guide::Guide;
use super::prefixes::Prefixes;
use crate::blocks::GROUPS;
use crate::check::{check_length, check_range};
use crate::inversion::EightIntervals;
use crate::key::to_uniform;
use crate::simd::Line;
use crate::summary::Summary;
use crate::{Error, Key, Level, Logit, RowError, Rows, Temperature};

/// A row made ready for many draws: the cumulative distribution at a temperature.
///
/// A uniform draws exactly the token that [`sample`](crate::sample) (or
/// [`sample_from_probs`](crate::sample_from_probs)) draws for it, on every level.
///
/// - Build: one pass over the row, 1.6 to 2.0 times the time of one `sample`, depending on the CPU.
///   Rebuilding allocates nothing unless the row is longer than any before.
/// - A draw: three searches (groups, eights of their tokens, lanes); no more than 8 weights are scanned. Five
///   or more in one call ([`Cdf::draw_many`], [`Cdf::draw_keyed`]) are searched for together, each in 0.4 of
///   the time.
/// - Memory: 5.4 bytes per token. The row itself is not kept.
/// - Draws run on the level that the table was built on.
///
/// At T = 0 every uniform draws the greedy token. The empty table (`Cdf::default()`, or after a rebuild that
/// failed) has a vocabulary of 0 and refuses to draw.
///
/// Inversion of the cumulative distribution: Devroye, "Non-Uniform Random Variate Generation", 1986, III.2.
///
/// ```
/// use kelvin::{Cdf, Key, Rows, Temperature};
///
/// let logits = Rows::new(&[0.1_f32, 2.0, 0.5, f32::NEG_INFINITY], 4)?;
/// let cdf = Cdf::new(logits, 0, Temperature::new(0.7)?)?;
/// assert_eq!((cdf.draw(0.0)?, cdf.draw(0.999_999)?), (0, 2));
/// let mut tokens = [0; 1000];
/// cdf.draw_keyed(Key { seed: 1, position: 0 }, &mut tokens)?;
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Cdf {
    /// The level that the table was built on.
    pub(super) level: Level,
    pub(super) vocab: usize,
    /// The number of the first token: 0, or the greedy one, alone in its table.
    pub(super) first: u32,
    /// The sum of all weights.
    pub(super) sum: f64,
    /// Where the groups begin, in that sum.
    pub(super) prefixes: Prefixes,
    /// Their masses.
    pub(super) masses: Vec<f64>,
    /// Where the eights of each group end, and what targets in it are multiplied by: in the tables of
    /// [`LazyCdf`](super::lazy::LazyCdf), if the group is `summed`.
    pub(super) eights: Vec<EightIntervals>,
    pub(super) scales: Vec<f64>,
    pub(super) summed: Vec<bool>,
    /// The weights of the tokens, padded to whole blocks.
    pub(super) weights: Vec<Line>,
    pub(super) guide: Guide,
    /// What the pass that builds the table knows of each block before it has seen all of them.
    pub(super) summaries: Vec<Summary>,
    pub(super) group_sums: Vec<[f64; GROUPS]>,
}

impl Cdf {
    /// The table of row `row` of the logits.
    ///
    /// # Errors
    /// A [`RowError`] if it has a NaN or +inf, or nothing but -inf (or is not there).
    pub fn new<L: Logit>(
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<Self, RowError> {
        let mut cdf = Self::default();
        cdf.rebuild(logits, row, temperature)?;
        Ok(cdf)
    }

    /// The table of row `row` of weights, which need not sum to 1.
    ///
    /// # Errors
    /// A [`RowError`] if one is negative, NaN or infinite, or if all are 0 (or the row is not there).
    pub fn from_probs<L: Logit>(probs: Rows<'_, L>, row: usize) -> Result<Self, RowError> {
        let mut cdf = Self::default();
        cdf.rebuild_from_probs(probs, row)?;
        Ok(cdf)
    }

    /// [`Cdf::new`], in the memory of this table. Without a guide.
    ///
    /// # Errors
    /// Those of [`Cdf::new`]; the table is then empty.
    pub fn rebuild<L: Logit>(
        &mut self,
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<(), RowError> {
        Level::best().rebuild_cdf(self, logits, row, temperature)
    }

    /// [`Cdf::from_probs`], in the memory of this table. Without a guide.
    ///
    /// # Errors
    /// Those of [`Cdf::from_probs`]; the table is then empty.
    pub fn rebuild_from_probs<L: Logit>(&mut self, probs: Rows<'_, L>, row: usize) -> Result<(), RowError> {
        Level::best().rebuild_cdf_from_probs(self, probs, row)
    }

    /// The tokens of the row; 0 if the table is empty.
    #[must_use]
    pub const fn vocab(&self) -> usize {
        self.vocab
    }

    /// The token of a uniform in [0, 1).
    ///
    /// # Errors
    /// [`Error::Uniform`] if it lies outside; [`Error::EmptyTable`] if the table is empty.
    pub fn draw(&self, uniform: f64) -> Result<u32, Error> {
        let mut token = [0];
        self.draw_many(&[uniform], &mut token)?;
        Ok(token[0])
    }

    /// The token of each uniform. The same uniforms in another order give the same tokens in that order.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one token per uniform, and as [`Cdf::draw`]. Nothing has been
    /// written then.
    pub fn draw_many(&self, uniforms: &[f64], tokens: &mut [u32]) -> Result<(), Error> {
        check_length("tokens", uniforms.len(), tokens.len())?;
        self.check(uniforms)?;
        self.search(uniforms.iter().copied(), tokens);
        Ok(())
    }

    /// Draws with the uniforms of a key: those of [`Key::fill`], in order.
    ///
    /// # Errors
    /// [`Error::EmptyTable`] if the table is empty.
    pub fn draw_keyed(&self, key: Key, tokens: &mut [u32]) -> Result<(), Error> {
        self.draw_each(key.uniforms(), tokens)
    }

    /// The token of each word, of its upper 53 bits as a uniform.
    pub(super) fn draw_words(&self, words: &[u64], tokens: &mut [u32]) -> Result<(), Error> {
        check_length("tokens", words.len(), tokens.len())?;
        self.draw_each(words.iter().copied().map(to_uniform), tokens)
    }

    /// The token of each uniform, of which there are enough, all in range.
    fn draw_each(&self, uniforms: impl Iterator<Item = f64>, tokens: &mut [u32]) -> Result<(), Error> {
        self.check(&[])?;
        self.search(uniforms, tokens);
        Ok(())
    }

    /// Whether there is a table, and the uniforms are in range.
    pub(super) fn check(&self, uniforms: &[f64]) -> Result<(), Error> {
        if self.vocab == 0 {
            return Err(Error::EmptyTable);
        }
        check_range(uniforms)
    }
}

impl fmt::Debug for Cdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cdf").field("vocab", &self.vocab).field("level", &self.level).finish_non_exhaustive()
    }
}
