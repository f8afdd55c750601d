#![doc = include_str!("../README.md")]

mod alias;
mod argmax;
mod batch;
mod blocks;
mod draws;
mod error;
mod key;
mod log_softmax;
mod output;
pub mod reference;
mod rows;
mod sample;
mod scratch;
mod simd;
mod softmax;
mod summary;
mod temperature;
mod weights;

pub use alias::AliasTable;
pub use alias::many::{Words, sample_many_by_alias, sample_many_from_probs_by_alias};
pub use argmax::argmax;
pub use draws::Uniforms;
pub use draws::cdf::Cdf;
pub use draws::choice::Draws;
pub use draws::many::{draw_counts, sample_many, sample_many_from_probs};
pub use draws::without_replacement::{sample_from_probs_without_replacement, sample_without_replacement};
pub use error::{Error, RowError};
pub use key::Key;
pub use log_softmax::{log_softmax, log_sum_exp};
pub use rows::{Logit, Rows, RowsMut};
pub use sample::{Draw, sample, sample_from_probs};
pub use simd::Level;
pub use softmax::{softmax, softmax_in_place};
pub use temperature::{Temperature, scale};
