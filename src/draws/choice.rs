//! Which table to draw from, given how often.

use super::cdf::Cdf;
use crate::{AliasTable, Error, Key, Logit, RowError, Rows, Temperature};

/// A row made ready for a known number of draws: a [`Cdf`] or an [`AliasTable`], whichever is faster in all.
///
/// | draws from one row | use | which takes, at 128,256 tokens |
/// |---|---|---|
/// | one | [`sample`](crate::sample): no table | 22 us |
/// | fewer than vocab / 7 | [`Cdf`]: quick to build, four searches per draw | 37 us, then 10 ns each (35 ns one by one) |
/// | more | [`AliasTable`]: slow to build, one look per draw | 0.21 ms, then 2 ns each |
/// | vocab or more, each to be the token that `sample` gives | [`Cdf`] with [`Cdf::add_guide`] | 0.25 ms, then 6 ns each |
/// | distinct tokens | [`sample_without_replacement`](crate::sample_without_replacement) | 31 us for 64 |
/// | counts alone | [`draw_counts`](crate::draw_counts), which picks a guide itself | as the Cdf |
///
/// Measured on a core of a Zen 4 (AVX-512), Gaussian logits of deviation 3, T = 0.8. The alias table
/// overtakes the Cdf at 21,000 draws there (vocab / 6), on an Intel Emerald Rapids at 19,000; and a guide
/// never overtakes the alias table: it is for those who need the map of `sample`.
///
/// Sorted uniforms have no path of their own, though one merge would serve them all: a search takes 10 ns,
/// while sorting takes 11 ns per uniform, making them sorted (by exponential spacings) 5 ns, and an
/// exchangeable order of the tokens would then take a shuffle. Uniforms that are sorted already go through
/// the same searches, at 9 ns.
///
/// The two tables map words to tokens differently. So the tokens that a key draws depend on the number of
/// draws that the table was made for; who wants them not to uses either table by name.
///
/// ```
/// use kelvin::{Draws, Key, Rows, Temperature};
///
/// let logits = Rows::new(&[0.3_f32, 0.1, 0.7], 3)?;
/// let draws = Draws::auto(logits, 0, Temperature::ONE, 1000)?;
/// assert!(matches!(draws, Draws::Alias(_)));
/// let mut tokens = [0; 1000];
/// draws.draw_keyed(Key { seed: 1, position: 0 }, &mut tokens)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum Draws {
    /// For few draws.
    Cdf(Cdf),
    /// For many.
    Alias(AliasTable),
}

/// Tokens per draw from which the alias table is slower in all.
const CROSSOVER: usize = 7;

impl Draws {
    /// The table that takes least time for so many draws from row `row`, its making included.
    ///
    /// # Errors
    /// A [`RowError`] if the row has a NaN or +inf, or nothing but -inf (or is not there).
    pub fn auto<L: Logit>(
        logits: Rows<'_, L>,
        row: usize,
        temperature: Temperature,
        draws: usize,
    ) -> Result<Self, RowError> {
        if draws < logits.vocab() / CROSSOVER {
            Cdf::new(logits, row, temperature).map(Self::Cdf)
        } else {
            AliasTable::new(logits, row, temperature).map(Self::Alias)
        }
    }

    /// The token of a random word: of its upper 53 bits as a uniform, or of all 64.
    ///
    /// # Errors
    /// [`Error::Vocab`] if the table is empty.
    pub fn draw(&self, word: u64) -> Result<u32, Error> {
        match self {
            Self::Cdf(cdf) => cdf.draw(crate::key::to_uniform(word)),
            Self::Alias(table) => table.draw(word),
        }
    }

    /// Draws with the words of a key: those of [`Key::fill_words`], in order.
    ///
    /// # Errors
    /// [`Error::Vocab`] if the table is empty.
    pub fn draw_keyed(&self, key: Key, tokens: &mut [u32]) -> Result<(), Error> {
        match self {
            Self::Cdf(cdf) => cdf.draw_keyed(key, tokens),
            Self::Alias(table) => table.draw_keyed(key, tokens),
        }
    }
}
