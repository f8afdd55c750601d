//! A batch of rows, many draws each.

use core::cell::Cell;

use super::Uniforms;
use super::cdf::Cdf;
use super::lazy::LazyCdf;
use crate::batch::fill_tokens;
use crate::check::Temperatures;
use crate::sample::Sampled;
use crate::scratch::with_scratch;
use crate::source::{Softmax, Weights};
use crate::{Error, FailedRows, Level, Logit, Rows, Temperature};

/// Draws many tokens from each row, independently ("with replacement").
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row.
/// - `uniforms`: one per draw (rows x draws), or a key per row. `tokens`: rows x draws.
/// - Each token is the one that [`sample`](crate::sample) draws from its row with its uniform: at T = 0 the
///   greedy one, and never one that is masked.
/// - Cost: per row, at most the pass that makes a [`Cdf`], then three searches per draw; for a few draws
///   little more than `sample`. For very many,
///   [`sample_many_by_alias`](crate::sample_many_by_alias) takes less: [`Draws`](crate::Draws) says when.
/// - Memory: each thread keeps its `Cdf` for the next call.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; their tokens are
/// `u32::MAX`. For no draws no row is looked at. (For the log-probabilities of the tokens, see
/// [`log_sum_exp`](crate::log_sum_exp).)
///
/// # Errors
/// [`Error::Length`] if the number of temperatures, uniforms, keys or tokens does not fit;
/// [`Error::Uniform`] if one lies outside [0, 1). Nothing has been written then.
///
/// ```
/// use kelvin::{Rows, Temperature, Uniforms, sample_many};
///
/// let logits = Rows::new(&[0.0_f32, 0.0, f32::NAN, 0.0], 2)?;
/// let uniforms = [0.1, 0.7, 0.4, 0.1, 0.7, 0.4];
/// let mut tokens = [0; 6];
/// let failed = sample_many(logits, &[Temperature::ONE], Uniforms::Given(&uniforms), &mut tokens)?;
/// assert_eq!(tokens, [0, 1, 0, u32::MAX, u32::MAX, u32::MAX]);
/// assert_eq!(failed[0].to_string(), "row 1: logit 0 is NaN");
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_many<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    uniforms: Uniforms<'_>,
    tokens: &mut [u32],
) -> Result<FailedRows, Error> {
    Level::best().sample_many(logits, temperatures, uniforms, tokens)
}

/// Draws many tokens from each row of weights, which need not sum to 1: [`sample_many`] without a softmax.
///
/// - `probs`: rows x vocab, each weight 0 or more and finite. `uniforms` and `tokens`, cost and memory as
///   of [`sample_many`].
/// - Each token is the one that [`sample_from_probs`](crate::sample_from_probs) draws with its uniform: never
///   one of weight 0.
///
/// Returns the rows that could not be served (a negative, infinite or NaN weight, or all 0), in order; their
/// tokens are `u32::MAX`.
///
/// # Errors
/// [`Error::Length`] if the number of uniforms, keys or tokens does not fit; [`Error::Uniform`] if one lies
/// outside [0, 1). Nothing has been written then.
///
/// ```
/// use kelvin::{Key, Rows, Uniforms, sample_many_from_probs};
///
/// let mut tokens = [0; 100];
/// let keys = [Key { seed: 1, position: 0 }];
/// let probs = Rows::new(&[0.0, 0.3, 0.7], 3)?;
/// sample_many_from_probs(probs, Uniforms::Keys(&keys), &mut tokens)?.into_result()?;
/// assert!(!tokens.contains(&0));
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn sample_many_from_probs<L: Logit>(
    probs: Rows<'_, L>,
    uniforms: Uniforms<'_>,
    tokens: &mut [u32],
) -> Result<FailedRows, Error> {
    Level::best().sample_many_from_probs(probs, uniforms, tokens)
}

impl Level {
    /// [`sample_many`](crate::sample_many), on this level.
    ///
    /// # Errors
    /// Those of [`sample_many`](crate::sample_many).
    pub fn sample_many<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        uniforms: Uniforms<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        let temperatures = Temperatures::new(logits.rows(), temperatures)?;
        let source = |row| temperatures.at(row).factor().map(Softmax);
        self.draw_rows(logits, source, uniforms, tokens)
    }

    /// [`sample_many_from_probs`](crate::sample_many_from_probs), on this level.
    ///
    /// # Errors
    /// Those of [`sample_many_from_probs`](crate::sample_many_from_probs).
    pub fn sample_many_from_probs<L: Logit>(
        self,
        probs: Rows<'_, L>,
        uniforms: Uniforms<'_>,
        tokens: &mut [u32],
    ) -> Result<FailedRows, Error> {
        self.draw_rows(probs, |_| Some(Weights), uniforms, tokens)
    }

    /// Many tokens from each row; where there is no source, always the greedy one.
    fn draw_rows<L: Logit, S: Sampled<L>>(
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
                tokens.fill(self.greedy_token(rows, index)?);
                return Ok(());
            };
            if draws.saturating_mul(LOGITS_PER_DRAW) <= row.len() {
                return self.sample_few(source, index, row, uniforms.row(index, draws), tokens);
            }
            with_scratch(&CDF, |cdf| {
                let lazy = LazyCdf::fill(cdf, self, source, index, row)?;
                // (Apart: of one iterator for both, 1000 draws take 1.04 x the time.)
                match uniforms {
                    Uniforms::Given(uniforms) => {
                        draw_row(lazy, uniforms[index * draws..].iter().copied(), tokens)
                    }
                    Uniforms::Keys(keys) => draw_row(lazy, keys[index].uniforms(), tokens),
                }
                Ok(())
            })
        }))
    }
}

/// The tokens of a row's uniforms.
fn draw_row(mut lazy: LazyCdf<'_>, uniforms: impl Iterator<Item = f64>, tokens: &mut [u32]) {
    if lazy.pays(tokens.len()) {
        lazy.search(uniforms, tokens);
    } else {
        lazy.finish().search(uniforms, tokens);
    }
}

thread_local! {
    static CDF: Cell<Cdf> = Cell::default();
}

/// Logits per draw from which on no weights are kept, and a block is weighed again for each draw. (128,256
/// logits on an Intel Granite Rapids, against [`LazyCdf::search`]: one draw 0.82 x, four 0.83 x, sixteen
/// 0.95 x.)
const LOGITS_PER_DRAW: usize = 6000;

/// The cost of a draw from a table, 10 ns, in logits.
const COST_OF_DRAW: usize = 32;
