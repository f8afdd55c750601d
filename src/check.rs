//! What a call is refused for, before anything is written; and why a row could not be served.

use crate::{Error, Logit, RowError, Temperature};

/// Whether there are as many of something as there must be.
pub(crate) fn check_length(of: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { of, expected, found }) }
}

/// One temperature for all rows, or one per row.
#[derive(Clone, Copy)]
pub(crate) struct Temperatures<'a>(&'a [Temperature]);

impl<'a> Temperatures<'a> {
    pub(crate) fn new(rows: usize, temperatures: &'a [Temperature]) -> Result<Self, Error> {
        if temperatures.len() != 1 {
            check_length("temperatures (or one for all rows)", rows, temperatures.len())?;
        }
        Ok(Self(temperatures))
    }

    pub(crate) fn at(self, row: usize) -> &'a Temperature {
        &self.0[if self.0.len() == 1 { 0 } else { row }]
    }
}

/// How many tokens each row has room for, if all have the same.
pub(crate) fn draws_per_row(rows: usize, tokens: usize) -> Result<usize, Error> {
    let expected = if rows == 0 { 0 } else { tokens.next_multiple_of(rows) };
    check_length("tokens (the same number for each row)", expected, tokens)?;
    Ok(expected.checked_div(rows).unwrap_or(0))
}

/// Whether there are `len` uniforms, all in range.
pub(crate) fn check_uniforms(len: usize, uniforms: &[f64]) -> Result<(), Error> {
    check_length("uniforms", len, uniforms.len())?;
    check_range(uniforms)
}

/// Whether uniforms are in [0, 1).
pub(crate) fn check_range(uniforms: &[f64]) -> Result<(), Error> {
    match uniforms.iter().position(|u| !(0.0..1.0).contains(u)) {
        Some(index) => Err(Error::Uniform { index, value: uniforms[index] }),
        None => Ok(()),
    }
}

/// Why a row could not be served.
pub(crate) fn diagnose<L: Logit>(row: usize, logits: &[L]) -> RowError {
    let bad = |x: f32| x.is_nan() || x == f32::INFINITY;
    first(row, logits, bad, |index, value| RowError::Logit { row, index, value })
}

/// Why a row of weights could not be served.
pub(crate) fn diagnose_weights<L: Logit>(row: usize, weights: &[L]) -> RowError {
    let bad = |w: f32| !(0.0..f32::INFINITY).contains(&w);
    first(row, weights, bad, |index, value| RowError::Weight { row, index, value })
}

/// The error of the first number that is bad. (Only a row that is not there is empty.)
fn first<L: Logit>(
    row: usize,
    numbers: &[L],
    bad: impl Fn(f32) -> bool,
    error: impl Fn(usize, f32) -> RowError,
) -> RowError {
    match numbers.iter().map(|x| x.to_f32()).enumerate().find(|(_, x)| bad(*x)) {
        Some((index, value)) => error(index, value),
        None if numbers.is_empty() => RowError::NoSuchRow { row },
        None => RowError::NothingToDraw { row },
    }
}
