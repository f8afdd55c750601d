//! Which table to draw from, given how often.

use super::cdf::Cdf;
use crate::key::to_uniform;
use crate::math::ln;
use crate::simd::{Simd, dispatch};
use crate::sums::sum_row;
use crate::{AliasTable, Error, Key, Level, Logit, RowError, Rows, Temperature};

/// A row made ready for a known number of draws: a [`Cdf`] or an [`AliasTable`], whichever is faster in all.
///
/// The two map words to tokens differently. So the tokens that a key draws depend on the number of draws that
/// the table was made for: to draw them again, keep that number, or use [`Cdf`] or [`AliasTable`] itself.
///
/// Below, m is the number of tokens that are more probable than 1 / vocab, for which the alias table takes
/// its time: 5 % of Gaussian logits of deviation 3 at T = 0.8, 23 % at T = 2.
///
/// | draws from one row | use | which takes, at 128,256 tokens |
/// |---|---|---|
/// | one, or a few: up to vocab / 6000 | [`sample`](crate::sample), [`sample_many`](crate::sample_many): no table | 18 us, then 0.2 us each |
/// | fewer than 64 + vocab / 10 + 3/2 m | [`Cdf`]: quick to build, three searches per draw | 35 us, then 8 ns each (24 ns one by one) |
/// | more | [`AliasTable`]: slow to build, one look per draw | 0.20 ms, then 2 ns each |
/// | vocab / 2 or more, each to be the token that `sample` gives | [`Cdf`] with [`Cdf::add_guide`] | 0.17 ms, then 6 ns each |
/// | distinct tokens | [`sample_without_replacement`](crate::sample_without_replacement) | 26 us for 64 |
/// | counts alone | [`draw_counts`](crate::draw_counts), which picks a guide itself | as the Cdf |
///
/// Only where the number of draws leaves the choice open does `auto` count those tokens, in two more passes
/// over the row. At T = 0 either table has the greedy token alone.
///
/// Measured on a core of a Zen 4 (AVX-512) with such logits, T = 0.8, and another row for each table. (The
/// 0.2 us, and the limit of vocab / 6000, on an Intel Granite Rapids.) From 100 to 128,256 tokens, at T = 0.3
/// to 5, the alias table overtakes the Cdf at 0.8 to 1.5 times the number of draws said above, also with AVX2.
/// A guide never overtakes the alias table: it is for those who need the map of `sample`.
///
/// ```
/// use kelvin::{Draws, Key, Rows, Temperature};
///
/// let logits = Rows::new(&[0.3_f32, 0.1, 0.7], 3)?;
/// let draws = Draws::auto(logits, 0, Temperature::ONE, 1000)?;
/// assert!(matches!(draws, Draws::Alias(_)));
/// let mut tokens = [0; 1000];
/// draws.draw_keyed(Key { seed: 1, position: 0 }, &mut tokens)?;
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "250 bytes are moved once, of tables that are far larger")]
pub enum Draws {
    /// For few draws.
    Cdf(Cdf),
    /// For many.
    Alias(AliasTable),
}

impl Draws {
    /// The table that takes least time for this number of draws from row `row`, its making included.
    ///
    /// # Errors
    /// A [`RowError`] if the row has a NaN or +inf, or nothing but -inf (or is not there).
    pub fn auto<L: Logit>(
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
        draws: usize,
    ) -> Result<Self, RowError> {
        if cdf_is_faster(draws, logits.vocab(), || more_probable_than_mean(logits.row(row), temperature)) {
            Cdf::new(logits, row, temperature).map(Self::Cdf)
        } else {
            AliasTable::new(logits, row, temperature).map(Self::Alias)
        }
    }

    /// The same for weights, which need not sum to 1.
    ///
    /// # Errors
    /// A [`RowError`] if one is negative, NaN or infinite, or if all are 0 (or the row is not there).
    pub fn auto_from_probs<L: Logit>(probs: Rows<'_, L>, row: usize, draws: usize) -> Result<Self, RowError> {
        if cdf_is_faster(draws, probs.vocab(), || heavier_than_mean(probs.row(row))) {
            Cdf::from_probs(probs, row).map(Self::Cdf)
        } else {
            AliasTable::from_probs(probs, row).map(Self::Alias)
        }
    }

    /// The tokens of the row; 0 if the table is empty.
    #[must_use]
    pub const fn vocab(&self) -> usize {
        match self {
            Self::Cdf(cdf) => cdf.vocab(),
            Self::Alias(table) => table.vocab(),
        }
    }

    /// The token of a random word: of its upper 53 bits as a uniform, or of all 64.
    ///
    /// # Errors
    /// [`Error::EmptyTable`] if the table is empty.
    pub fn draw(&self, word: u64) -> Result<u32, Error> {
        match self {
            Self::Cdf(cdf) => cdf.draw(to_uniform(word)),
            Self::Alias(table) => table.draw(word),
        }
    }

    /// The token of each word.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one token per word; [`Error::EmptyTable`] if the table is empty.
    /// Nothing has been written then.
    pub fn draw_many(&self, words: &[u64], tokens: &mut [u32]) -> Result<(), Error> {
        match self {
            Self::Cdf(cdf) => cdf.draw_words(words, tokens),
            Self::Alias(table) => table.draw_many(words, tokens),
        }
    }

    /// Draws with the words of a key: those of [`Key::fill_words`], in order.
    ///
    /// # Errors
    /// [`Error::EmptyTable`] if the table is empty.
    pub fn draw_keyed(&self, key: Key, tokens: &mut [u32]) -> Result<(), Error> {
        match self {
            Self::Cdf(cdf) => cdf.draw_keyed(key, tokens),
            Self::Alias(table) => table.draw_keyed(key, tokens),
        }
    }
}

/// Whether a `Cdf` takes less time for the draws, given how many tokens are above the mean.
fn cdf_is_faster(draws: usize, vocab: usize, above_mean: impl FnOnce() -> usize) -> bool {
    let more = draws.checked_sub(64 + vocab / 10);
    // There are fewer than `vocab` above it, so more than that need no count.
    more.is_none_or(|more| more / 3 * 2 < vocab && more / 3 * 2 < above_mean())
}

/// How many weights are above the mean. (For a row that cannot be served, any number: making its table
/// fails.)
fn heavier_than_mean<L: Logit>(row: &[L]) -> usize {
    dispatch!(Level::best(), simd => {
        let mean = (sum_row(simd, row) / row.len() as f64) as f32;
        count_not_below(simd, row, mean.next_up())
    })
}

/// How many tokens are more probable than 1 / vocab. (For a row that cannot be served, any number.)
///
/// The logit of that probability is known to within what `log_sum_exp` promises, which is allowed for: so
/// none of many equal logits is counted. (Its bits are the same everywhere, as is `ln`: the choice of a table
/// decides what is drawn.)
fn more_probable_than_mean<L: Logit>(row: &[L], temperature: Temperature) -> usize {
    const ABSOLUTE: f64 = 1.0 / (1 << 20) as f64;
    const RELATIVE: f64 = 1.0 / (1 << 22) as f64;
    if temperature.is_greedy() {
        return 1;
    }
    let Some(sum) = Level::best().log_sum_exp_row(row, &temperature) else { return 0 };
    let mean = sum - ln(row.len() as f64);
    let above = f64::from(temperature.get()) * (mean + ABSOLUTE + mean.abs() * RELATIVE);
    // (At T = inf it is -inf where tokens are masked, and all others count; +inf where none is, and none
    // does.)
    dispatch!(Level::best(), simd => count_not_below(simd, row, (above as f32).max(f32::MIN)))
}

#[inline(always)]
fn count_not_below<S: Simd, L: Logit>(simd: S, row: &[L], x: f32) -> usize {
    let (vectors, tail) = row.as_chunks();
    let mut count = tail.iter().filter(|y| y.to_f32() >= x).count();
    for vector in vectors {
        count += simd.lanes_not_below(L::load(simd, vector), simd.splat(x)).count_ones() as usize;
    }
    count
}
