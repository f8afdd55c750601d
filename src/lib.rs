//! Batches of logits to tokens on CPUs: temperature, softmax and multinomial sampling with SIMD, reading each
//! logit from memory once, with the same bits on every instruction set.
//!
//! ```text
//! logits [rows x vocab]  ->  temperature  ->  weights 2^(x log2(e)/T)  ->  one uniform  ->  token
//! ```
//!
//! ```
//! use kelvin::{Draw, Key, Rows, Temperature, sample};
//!
//! let logits = [1.0_f32, 3.0, 2.0, 0.5, 4.0, 4.0]; // two rows of three tokens
//! let temperatures = [Temperature::new(0.7)?, Temperature::GREEDY]; // or one, for all rows
//! let keys = [Key { seed: 1, position: 0 }, Key { seed: 2, position: 0 }];
//! let mut draws = [Ok(Draw::default()); 2];
//! sample(Rows::new(&logits, 3)?, &temperatures, &keys.map(Key::uniform), &mut draws)?;
//! assert_eq!(draws[1]?.token, 1);
//! # Ok::<(), kelvin::Error>(())
//! ```
//!
//! | from each row of a batch | functions | a row that fails |
//! |---|---|---|
//! | one token, with its log-probability | [`sample`], [`sample_from_probs`] | has a [`RowError`] as its outcome |
//! | many tokens, those that [`sample`] draws | [`sample_many`], [`sample_many_from_probs`] | is in the [`FailedRows`]; its tokens are `u32::MAX` |
//! | very many, other tokens of the same distribution | [`sample_many_by_alias`], [`sample_many_from_probs_by_alias`] | the same |
//! | distinct tokens | [`sample_without_replacement`], [`sample_from_probs_without_replacement`] | the same |
//! | probabilities, or their logarithms | [`softmax`], [`log_softmax`]; [`softmax_in_place`], [`log_softmax_in_place`] | is in the [`FailedRows`]; it is filled with NaN |
//! | the logarithm of the sum; the largest logit | [`log_sum_exp`], [`argmax`] | has a [`RowError`] as its outcome |
//! | x/T alone | [`scale`], [`scale_in_place`] | is in the [`FailedRows`]; it is filled with NaN |
//!
//! For many tokens from a single row there are tables to keep, [`Cdf`] and [`AliasTable`] ([`Draws`] picks
//! one), and [`draw_counts`] or [`draw_counts_from_probs`]; a row that fails is their [`RowError`].
//!
//! - **What goes in**: [`Rows`], at any stride, of `f32` or (with the feature `half`) `f16` and `bf16`; a
//!   [`Temperature`] from 0 to infinity; uniforms in [0, 1), of your own or from a [`Key`].
//! - **What comes out** is a pure function of a row's logits, temperature and uniform, to the bit: not of the
//!   batch, the number of threads, the [`Level`] (the instruction set, chosen at run time), the build or the
//!   platform.
//! - **What can fail**: a call whose shapes do not fit, or with a uniform outside [0, 1), with an [`Error`],
//!   before anything is written; or a single row (NaN, +inf, or nothing but -inf), with a [`RowError`], while
//!   all others are served. No data makes it panic.
//!
//! | input | meaning |
//! |---|---|
//! | T = 0, or 0 < T < 2^-126 | greedy: the largest logit, the lowest index on ties (-0.0 equals 0.0) |
//! | T = +inf | uniform over the tokens that are not masked |
//! | any other T > 0 | exact, never clamped, from 2^-126 to `f32::MAX`, for every finite `f32` logit |
//! | T < 0 or NaN | refused when the [`Temperature`] is made |
//! | logit -inf | masked: weight exactly 0 |
//! | logit NaN or +inf | that row fails, with an error that names the row, the index and the value |
//! | every logit of a row -inf | that row fails: nothing to draw |
//! | no rows | an empty batch, and fine |
//! | vocab 0, vocab > `u32::MAX`, stride < vocab, a slice of the wrong length, a uniform outside [0, 1) | the call is refused before anything is written |
//!
//! **Threads.** With the feature `rayon`, rows are shared among the calling thread and others of the pool that
//! it is in (if it is in none, of rayon's global pool): as many as that has, but one for each 250,000 of
//! rows x (vocab + 256) at most (500,000 for [`scale`] and [`scale_in_place`], two million for [`argmax`];
//! many draws from a row count as well); a caller in no pool comes on top of these. So small batches stay on
//! the calling thread; to keep everything there, call in a pool of one thread that is built with
//! `use_current_thread`. (Rayon starts its global pool when it is first asked for, and panics if the system has
//! no threads to give: where that may be, build one beforehand. It allocates a few bytes for each thread that
//! is called upon.) A call from outside of the pool ends when each of these has come to it, which may be long
//! after the work is done, if other tasks keep them. One from inside may run such tasks while it waits: so
//! hold no lock across a call that a task may want.
//!
//! Each thread keeps the memory that its longest row needed, for the next call: 10 KB, and less than a byte
//! per token, where a function does not say more.
//!
//! The README, in this package, says more of the limits of these promises, and when not to use this crate;
//! its `docs/numerics.md`, how exact the results are, and why.
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `rayon` | yes | rows in parallel, in the caller's pool (never on wasm) |
//! | `half` | no | rows of `half::f16` and `half::bf16`, of logits or of weights, read as they are (only an alias table of weights takes a copy in f32; results are f32, so nothing is done in place) |

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

// What goes in, and what comes back.
mod check;
mod error;
mod key;
mod rows;

// The stages, and what else there is to ask of a row.
mod alias;
mod argmax;
mod draws;
mod log_softmax;
mod sample;
mod softmax;
mod temperature;

// What they are made of: blocks, their weights, the sums of these, and the way back from a sum to a token.
mod blocks;
mod inversion;
mod math;
mod output;
mod pass;
mod prefetch;
mod scratch;
mod source;
mod summary;
mod sums;
mod weights;

// On which threads, by which instructions.
mod batch;
mod simd;

// What they are compared with.
pub mod reference;

pub use alias::AliasTable;
pub use alias::many::{Words, sample_many_by_alias, sample_many_from_probs_by_alias};
pub use argmax::argmax;
pub use draws::Uniforms;
pub use draws::cdf::Cdf;
pub use draws::choice::Draws;
pub use draws::counts::{draw_counts, draw_counts_from_probs};
pub use draws::many::{sample_many, sample_many_from_probs};
pub use draws::without_replacement::{sample_from_probs_without_replacement, sample_without_replacement};
pub use error::{Error, FailedRows, RowError};
pub use key::Key;
pub use log_softmax::{log_softmax, log_softmax_in_place, log_sum_exp};
pub use rows::{Logit, Rows, RowsMut};
pub use sample::{Draw, sample, sample_from_probs};
pub use simd::Level;
pub use softmax::{softmax, softmax_in_place};
pub use temperature::{Temperature, scale, scale_in_place};
