//! Many tokens from one row.
pub(crate) mod cdf;
mod guide;
