//! Many tokens from one row.
//!
//! ```text
//! build.rs, cdf.rs              the cumulative distribution as a table
//! search.rs, prefixes.rs        its searches; lazy.rs: in a table that is finished meanwhile
//! guide.rs                      a shortcut through it
//! choice.rs                     this table, or that of alias.rs
//! many.rs, counts.rs            batches, and counts
//! without_replacement.rs        distinct tokens; urn.rs, tree.rs, part.rs: what is left of a row meanwhile
//! ```

mod build;
pub(crate) mod cdf;
pub(crate) mod choice;
pub(crate) mod counts;
mod guide;
mod lazy;
pub(crate) mod many;
mod part;
mod prefixes;
mod search;
mod tree;
mod urn;
pub(crate) mod without_replacement;

use crate::check::{check_length, check_uniforms, draws_per_row};
use crate::{Error, Key};

/// Where the uniforms of a batch come from, for any number of draws per row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Uniforms<'a> {
    /// Rows x draws uniforms in [0, 1), those of a row side by side.
    Given(&'a [f64]),
    /// A key per row: its uniforms are those of [`Key::fill`].
    Keys(&'a [Key]),
}

impl<'a> Uniforms<'a> {
    /// The draws per row, if there are uniforms for all of them.
    fn draws(self, rows: usize, tokens: usize) -> Result<usize, Error> {
        let draws = draws_per_row(rows, tokens)?;
        match self {
            Self::Keys(keys) => check_length("keys", rows, keys.len())?,
            Self::Given(uniforms) => check_uniforms(tokens, uniforms)?,
        }
        Ok(draws)
    }

    /// The uniforms of one row.
    fn row(self, row: usize, draws: usize) -> impl Iterator<Item = f64> + 'a {
        let (given, key) = match self {
            Self::Given(uniforms) => (&uniforms[row * draws..][..draws], None),
            Self::Keys(keys) => (&[][..], Some(keys[row])),
        };
        given.iter().copied().chain(key.into_iter().flat_map(Key::uniforms))
    }
}
