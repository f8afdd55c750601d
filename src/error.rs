//! What can be wrong with a call, and with a row.

use core::fmt;

/// The call as a whole is refused: nothing has been written.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A vocabulary of 0 tokens, or of more than a `u32` can number.
    Vocab {
        /// The tokens per row.
        vocab: usize,
    },
    /// Rows that overlap: a stride below the vocabulary.
    Stride {
        /// The elements from one row's start to the next's.
        stride: usize,
        /// The tokens per row.
        vocab: usize,
    },
    /// A slice of the wrong length.
    Length {
        /// Which slice.
        of: &'static str,
        /// The length it must have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A temperature below 0, or NaN.
    Temperature {
        /// The value given.
        value: f32,
    },
    /// A uniform outside [0, 1), or NaN.
    Uniform {
        /// Which of those given.
        index: usize,
        /// The value given.
        value: f64,
    },
    /// A level that does not exist, or that this CPU does not have.
    Level,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Vocab { vocab } => {
                write!(f, "a vocabulary of {vocab} tokens: it must have 1 to {}", u32::MAX)
            }
            Self::Stride { stride, vocab } => {
                write!(f, "a stride of {stride} is below the vocabulary of {vocab}")
            }
            Self::Length { of, expected, found } => {
                write!(f, "{of}: {expected} elements are needed, {found} were given")
            }
            Self::Temperature { value } => {
                write!(f, "a temperature of {value}: it must be 0 or more")
            }
            Self::Uniform { index, value } => {
                write!(f, "uniform {index} is {value}: it must lie in [0, 1)")
            }
            Self::Level => f.write_str("no such level on this CPU"),
        }
    }
}

impl core::error::Error for Error {}

/// One row cannot be served. The other rows are, as if it were not there.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RowError {
    /// A logit that is NaN or +inf. The first of the row is named.
    Logit {
        /// The row.
        row: usize,
        /// The token.
        index: usize,
        /// NaN or +inf.
        value: f32,
    },
    /// A weight that is negative, NaN or infinite. The first of the row is named.
    Weight {
        /// The row.
        row: usize,
        /// The token.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// Every logit is -inf, or every weight is 0.
    NothingToDraw {
        /// The row.
        row: usize,
    },
    /// More distinct tokens are wanted than have a weight above 0.
    TooFewTokens {
        /// The row.
        row: usize,
        /// How many are wanted.
        wanted: usize,
        /// How many there are.
        available: usize,
    },
}

impl RowError {
    /// The row that could not be served.
    #[must_use]
    pub const fn row(&self) -> usize {
        match *self {
            Self::Logit { row, .. }
            | Self::Weight { row, .. }
            | Self::NothingToDraw { row }
            | Self::TooFewTokens { row, .. } => row,
        }
    }
}

/// Equal values have equal bits, so that a NaN equals itself.
impl PartialEq for RowError {
    fn eq(&self, other: &Self) -> bool {
        let parts = |error: &Self| match *error {
            Self::Logit { row, index, value } => (0, row, index, value.to_bits() as usize),
            Self::Weight { row, index, value } => (1, row, index, value.to_bits() as usize),
            Self::NothingToDraw { row } => (2, row, 0, 0),
            Self::TooFewTokens { row, wanted, available } => (3, row, wanted, available),
        };
        parts(self) == parts(other)
    }
}

impl Eq for RowError {}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Logit { row, index, value } => write!(f, "row {row}: logit {index} is {value}"),
            Self::Weight { row, index, value } => write!(f, "row {row}: weight {index} is {value}"),
            Self::NothingToDraw { row } => write!(f, "row {row}: nothing to draw"),
            Self::TooFewTokens { row, wanted, available } => {
                write!(f, "row {row}: {wanted} distinct tokens are wanted, {available} have a weight above 0")
            }
        }
    }
}

impl core::error::Error for RowError {}
