//! The alias table: one random word, one look, one token.
//!
//! ```text
//! capacity = 2^(51 - b)                            b: bits of a token number
//! masses   = the weights in integers, together vocab x capacity, less what rounding took
//! column   = a token of its own up to a threshold, an alias from there on; filled to the capacity exactly
//! ```
//!
//! The columns are filled in one sweep with two cursors, over all tokens and over the heavy ones (whose mass
//! is no less than the capacity): the heavy one at hand fills up light ones, until it has itself become light
//! and the next heavy one fills it up. The largest of them comes last and gives what rounding took: so all
//! comes out even. (The integers are f64, which hold them and their sums exactly.) The order is block by
//! block, and in each lane by lane of its 64 (lacking.rs). Where in a block the second cursor moves is found
//! for each heavy token by itself, in sums of what the light ones lack: so the CPU need not guess which
//! cursor moves next.
//!
//! Walker, "An efficient method for generating discrete random variables with general distributions",
//! 1977; the sweep: Hübschle-Schneider and Sanders, "Parallel weighted random sampling", 2019.

mod build;
mod lacking;
pub(crate) mod many;
mod measure;

use core::fmt;
use core::hint::select_unpredictable;

use crate::check::check_length;
use crate::{Error, Key, Level, Logit, RowError, Rows, Temperature};

/// A row made ready for very many draws, each from one random word in constant time.
///
/// - The distribution is that of [`softmax`](crate::softmax), or of the weights given, to 2^(b - 51) in total
///   variation, b being the bits of a token number (1.2e-10 at 151,936 tokens). Probabilities are multiples of
///   2^(b - 51) / vocab: a token no more probable than that (2^-50, where vocab is just above a power of
///   two) may never be drawn, and one whose weight is 0 never is.
/// - A random word w draws from column floor(w vocab / 2^64); the 64 bits below decide between the
///   column's own token and its alias. So the map from words to tokens is *not* that of
///   [`Cdf`](crate::Cdf) and [`sample`](crate::sample), and it is not monotone.
/// - Build: O(vocab), in integers (held by f64). It takes longer the more tokens are above the mean: of
///   128,256 Gaussian logits of deviation 3, 0.12 ms at T = 0.3, 0.20 ms at 0.8, 0.40 ms at 2, on a Zen 4.
///   Rebuilding allocates nothing unless the row is longer than any before.
/// - Memory: 8 bytes per token. Each thread that builds keeps up to 20 per token of its longest row for the
///   next build.
///
/// At T = 0 the greedy token answers every word. The empty table (`AliasTable::default()`, or after a rebuild
/// that failed) refuses to draw.
///
/// Walker, "An efficient method for generating discrete random variables with general distributions", 1977;
/// Hübschle-Schneider and Sanders, "Parallel weighted random sampling", 2019.
///
/// ```
/// use kelvin::{AliasTable, Key, Rows};
///
/// let table = AliasTable::from_probs(Rows::new(&[3.0, 0.0, 1.0], 3)?, 0)?;
/// assert_eq!(table.probabilities(), [0.75, 0.0, 0.25]);
/// let mut tokens = [0; 1000];
/// table.draw_keyed(Key { seed: 1, position: 0 }, &mut tokens)?;
/// assert!(!tokens.contains(&1));
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct AliasTable {
    columns: Vec<u64>,
    layout: Layout,
}

impl AliasTable {
    /// The table of row `row` of the logits.
    ///
    /// # Errors
    /// A [`RowError`] if it has a NaN or +inf, or nothing but -inf (or is not there).
    pub fn new<L: Logit>(
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<Self, RowError> {
        let mut table = Self::default();
        table.rebuild(logits, row, temperature)?;
        Ok(table)
    }

    /// The table of row `row` of weights, which need not sum to 1.
    ///
    /// # Errors
    /// A [`RowError`] if one is negative, NaN or infinite, or if all are 0 (or the row is not there).
    pub fn from_probs<L: Logit>(probs: Rows<'_, L>, row: usize) -> Result<Self, RowError> {
        let mut table = Self::default();
        table.rebuild_from_probs(probs, row)?;
        Ok(table)
    }

    /// [`AliasTable::new`], in the memory of this table.
    ///
    /// # Errors
    /// Those of [`AliasTable::new`]; the table is then empty.
    pub fn rebuild<L: Logit>(
        &mut self,
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
    ) -> Result<(), RowError> {
        Level::best().rebuild_alias(self, logits, row, temperature)
    }

    /// [`AliasTable::from_probs`], in the memory of this table.
    ///
    /// # Errors
    /// Those of [`AliasTable::from_probs`]; the table is then empty.
    pub fn rebuild_from_probs<L: Logit>(&mut self, probs: Rows<'_, L>, row: usize) -> Result<(), RowError> {
        Level::best().rebuild_alias_from_probs(self, probs, row)
    }

    /// The tokens of the row; 0 if the table is empty.
    #[must_use]
    pub const fn vocab(&self) -> usize {
        self.columns.len()
    }

    /// The token of a random word, all of whose 64 bits count.
    ///
    /// # Errors
    /// [`Error::EmptyTable`] if the table is empty.
    #[inline]
    pub fn draw(&self, word: u64) -> Result<u32, Error> {
        let product = u128::from(word) * self.columns.len() as u128;
        let (index, rest) = ((product >> 64) as usize, product as u64);
        let column = self.columns.get(index).ok_or(Error::EmptyTable)?;
        let mask = self.layout.alias_mask();
        Ok(select_unpredictable(rest < column & !mask, index as u32, (column & mask) as u32))
    }

    /// The token of each word.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one token per word; [`Error::EmptyTable`] if the table is empty.
    /// Nothing has been written then.
    pub fn draw_many(&self, words: &[u64], tokens: &mut [u32]) -> Result<(), Error> {
        check_length("tokens", words.len(), tokens.len())?;
        self.draw_each(words.iter().copied(), tokens)
    }

    /// Draws with the words of a key: those of [`Key::fill_words`], in order.
    ///
    /// # Errors
    /// [`Error::EmptyTable`] if the table is empty.
    pub fn draw_keyed(&self, key: Key, tokens: &mut [u32]) -> Result<(), Error> {
        self.draw_each(key.words(), tokens)
    }

    /// The token of each word. An empty table refuses even to draw none.
    fn draw_each(&self, words: impl Iterator<Item = u64>, tokens: &mut [u32]) -> Result<(), Error> {
        if self.columns.is_empty() {
            return Err(Error::EmptyTable);
        }
        tokens.iter_mut().zip(words).try_for_each(|(token, word)| self.draw(word).map(|drawn| *token = drawn))
    }

    /// The probability with which each token is drawn, from the columns: exact, but for the conversion to
    /// f64, and for what is left where 2^64 words are shared out among them, vocab words at most.
    #[must_use]
    pub fn probabilities(&self) -> Vec<f64> {
        let mut masses = vec![0.0; self.vocab()];
        for (index, column) in self.columns.iter().enumerate() {
            let own = self.layout.own_mass(*column);
            masses[index] += own;
            masses[(column & self.layout.alias_mask()) as usize] += self.layout.capacity() - own;
        }
        let total = self.vocab() as f64 * self.layout.capacity();
        masses.into_iter().map(|mass| mass / total).collect()
    }
}

impl fmt::Debug for AliasTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AliasTable").field("vocab", &self.vocab()).finish_non_exhaustive()
    }
}

/// What a column holds: a threshold in its upper 51 - b bits (below them 0), an alias in the lower b bits.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    /// b, the bits of a token number.
    bits: u32,
}

impl Layout {
    fn new(vocab: usize) -> Self {
        Self { bits: usize::BITS - (vocab - 1).leading_zeros() }
    }

    /// The mass of a whole column: all of them are 2^51 or less.
    fn capacity(self) -> f64 {
        (1_u64 << (51 - self.bits)) as f64
    }

    /// The column of a token: its mass, which is below the capacity, with [`TO_INTEGER`] added; and what
    /// fills it up.
    #[inline(always)]
    fn column(self, raised_mass: f64, alias: u32) -> u64 {
        raised_mass.to_bits() << (13 + self.bits) | u64::from(alias)
    }

    /// The mass of a column's own token.
    fn own_mass(self, column: u64) -> f64 {
        (column >> (13 + self.bits)) as f64
    }

    const fn alias_mask(self) -> u64 {
        (1 << self.bits) - 1
    }
}

/// Added to a number of size 2^51 or less, it rounds to an integer, which then stands in the lowest bits.
/// (1.5 x 2^52)
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
