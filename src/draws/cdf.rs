//! The cumulative distribution of a row, kept: the search of `sample` with every prefix at hand.
//!
//! ```text
//! prefixes:  of the blocks' masses               one f64 per 512 tokens
//! vectors:   of the sums inside each block       one f64 per 16 tokens
//! weights:   as the build pass computed them     one f32 per token
//! ```
//!
//! A draw is three searches without a scan, each for the first prefix that exceeds the target, with the
//! arithmetic of `sample` between them: so it is the same token, for every uniform.

use super::guide::Guide;
use super::search::{Prefixes, first_lanes_above, last_not_above};
use crate::batch::{check_length, check_range};
use crate::blocks::BLOCK;
use crate::key::to_uniform;
use crate::simd::{LANES, Simd, dispatch};
use crate::summary::Summary;
use crate::{Error, Key, Level, Logit, RowError, Rows, Temperature};

/// Vectors of a block.
pub(super) const VECTORS: usize = BLOCK / LANES;

/// Draws searched for together: enough for the CPU to overlap their loads.
const TOGETHER: usize = 32;

/// A row made ready for many draws: the cumulative distribution at a temperature.
///
/// A uniform draws exactly the token that [`sample`](crate::sample) (or
/// [`sample_from_probs`](crate::sample_from_probs)) draws for it, on every level.
///
/// - Build: one pass over the row, 1.6 to 1.9 times the time of one `sample`, by the CPU. Rebuilding allocates
///   nothing unless the row is longer than any before.
/// - A draw: three searches (blocks, vectors, lanes); nothing is scanned. Sixteen or more at a time take a quarter
///   of the time each.
/// - Memory: 4.7 bytes per token. The row itself is not kept.
/// - Draws run on the level that the table was built on.
///
/// The empty table (`Cdf::default()`, or after a rebuild that failed) has a vocabulary of 0 and refuses
/// to draw.
///
/// (Inversion of the cumulative distribution: Devroye, "Non-Uniform Random Variate Generation", 1986, III.2.)
///
/// ```
/// use kelvin::{Cdf, Key, Rows, Temperature};
///
/// let logits = Rows::new(&[0.1_f32, 2.0, 0.5, f32::NEG_INFINITY], 4)?;
/// let cdf = Cdf::new(logits, 0, Temperature::new(0.7)?)?;
/// assert_eq!((cdf.draw(0.0)?, cdf.draw(0.999_999)?), (0, 2));
/// let mut tokens = [0; 1000];
/// cdf.draw_keyed(Key { seed: 1, position: 0 }, &mut tokens)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cdf {
    /// Which the table was built on.
    pub(super) level: Level,
    pub(super) vocab: usize,
    /// The number of the first token: 0, or the greedy one, alone in its table.
    pub(super) first: u32,
    /// Of all weights.
    pub(super) sum: f64,
    pub(super) prefixes: Prefixes,
    pub(super) blocks: Vec<Block>,
    pub(super) weights: Vec<[f32; BLOCK]>,
    pub(super) summaries: Vec<Summary>,
    pub(super) guide: Guide,
}

/// What the search needs of a block.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(super) struct Block {
    /// The prefix of the row before the block.
    pub(super) before: f64,
    /// The block's share of the row's sum.
    pub(super) mass: f64,
    /// Of the block's own weights, in f64.
    pub(super) sum: f64,
    /// Before each vector; infinite after the last vector that weighs something.
    pub(super) vectors: [f64; VECTORS],
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
    /// A [`RowError`] if one is negative, NaN or infinite, or if all are 0.
    pub fn from_probs(probs: Rows<'_>, row: usize) -> Result<Self, RowError> {
        let mut cdf = Self::default();
        cdf.rebuild_from_probs(probs, row)?;
        Ok(cdf)
    }

    /// [`Cdf::new`], in the memory of this table. Without a guide.
    ///
    /// # Errors
    /// As there: the table is then empty.
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
    /// As there: the table is then empty.
    pub fn rebuild_from_probs(&mut self, probs: Rows<'_>, row: usize) -> Result<(), RowError> {
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
    /// [`Error::Uniform`] if it lies outside; [`Error::Vocab`] if the table is empty.
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
        self.search(uniforms, tokens);
        Ok(())
    }

    /// Draws with the uniforms of a key: those of [`Key::fill`], in order.
    ///
    /// # Errors
    /// [`Error::Vocab`] if the table is empty.
    pub fn draw_keyed(&self, key: Key, tokens: &mut [u32]) -> Result<(), Error> {
        self.check(&[])?;
        self.search_keyed(key, tokens);
        Ok(())
    }

    /// Whether there is a table, and the uniforms are in range.
    pub(super) fn check(&self, uniforms: &[f64]) -> Result<(), Error> {
        if self.vocab == 0 {
            return Err(Error::Vocab { vocab: 0 });
        }
        check_range(uniforms)
    }

    /// The tokens of a key's uniforms.
    pub(super) fn search_keyed(&self, key: Key, tokens: &mut [u32]) {
        let (mut words, mut uniforms) = (key.words(), [0.0; TOGETHER]);
        for tokens in tokens.chunks_mut(TOGETHER) {
            uniforms.iter_mut().zip(&mut words).for_each(|(u, word)| *u = to_uniform(word));
            self.search(&uniforms[..tokens.len()], tokens);
        }
    }

    /// The tokens of uniforms that are in range.
    pub(super) fn search(&self, uniforms: &[f64], tokens: &mut [u32]) {
        if !self.guide.is_empty() {
            return self.guide.search(self, uniforms, tokens);
        }
        self.find(uniforms, tokens);
    }

    /// The tokens of uniforms that are in range, without the guide.
    pub(super) fn find(&self, uniforms: &[f64], tokens: &mut [u32]) {
        let (chunks, rest) = uniforms.as_chunks();
        let (out_chunks, out_rest) = tokens.as_chunks_mut();
        dispatch!(self.level, simd => {
            for (uniforms, tokens) in chunks.iter().zip(out_chunks) {
                *tokens = self.find_together::<_, LANES>(simd, uniforms);
            }
            for (&uniform, token) in rest.iter().zip(out_rest) {
                [*token] = self.find_together(simd, &[uniform]);
            }
        });
    }

    /// Step by step for all of them, so that the searches overlap.
    #[inline(always)]
    fn find_together<S: Simd, const N: usize>(&self, simd: S, uniforms: &[f64; N]) -> [u32; N] {
        let mut targets = [0.0; N];
        for i in 0..N {
            targets[i] = uniforms[i] * self.sum;
        }
        let indices = self.prefixes.find(uniforms, &targets);
        let (mut tokens, mut weights) = ([self.first; N], [&[0.0; LANES]; N]);
        for i in 0..N {
            let block = &self.blocks[indices[i]];
            let fraction = ((targets[i] - block.before) / block.mass).min(1.0);
            targets[i] = fraction * block.sum;
            let vector = last_not_above(simd, &block.vectors, targets[i]);
            targets[i] -= block.vectors[vector];
            weights[i] = &self.weights[indices[i]].as_chunks().0[vector];
            tokens[i] += (indices[i] * BLOCK + vector * LANES) as u32;
        }
        let lanes = first_lanes_above(simd, weights, &targets);
        for i in 0..N {
            tokens[i] += lanes[i];
        }
        tokens
    }
}
