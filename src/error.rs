//! What can be wrong with a call, and with a row.

use core::fmt;
use core::ops::Deref;

/// The call as a whole is refused: nothing has been written.
///
/// A [`RowError`] becomes one as well, so that `?` serves for both in a function of yours.
#[derive(Clone, Copy, Debug)]
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
        /// Of what: for people to read, not to match on.
        of: &'static str,
        /// The length it must have (of rows with a stride: at least).
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
    /// A table that holds no row: it was never built, or its last rebuild failed.
    EmptyTable,
    /// A row that cannot be served. (No function of this crate returns it: `?` makes it of a [`RowError`].)
    Row(RowError),
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
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
                write!(f, "{of}: {expected} needed, {found} given")
            }
            Self::Temperature { value } => {
                write!(f, "a temperature of {value}: it must be 0 or more")
            }
            Self::Uniform { index, value } => {
                write!(f, "uniform {index} is {value}: it must lie in [0, 1)")
            }
            Self::Level => f.write_str("no such level on this CPU"),
            Self::EmptyTable => f.write_str("an empty table: never built, or its last rebuild failed"),
            Self::Row(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// What tells values apart: their bits, but for those of a NaN, which arithmetic may change.
fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN } else { value }.to_bits()
}

/// Equal values have equal bits, or are NaN.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let parts = |error: &Self| match *error {
            Self::Vocab { vocab } => (0, "", vocab as u64, 0),
            Self::Stride { stride, vocab } => (1, "", stride as u64, vocab as u64),
            Self::Length { of, expected, found } => (2, of, expected as u64, found as u64),
            Self::Temperature { value } => (3, "", bits(value.into()), 0),
            Self::Uniform { index, value } => (4, "", index as u64, bits(value)),
            Self::Level => (5, "", 0, 0),
            Self::EmptyTable => (6, "", 0, 0),
            Self::Row(_) => (7, "", 0, 0),
        };
        match (self, other) {
            (Self::Row(one), Self::Row(other)) => one == other,
            _ => parts(self) == parts(other),
        }
    }
}

impl Eq for Error {}

/// One row cannot be served. The other rows are, as if it were not there.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RowError {
    /// A logit that is NaN or +inf. The first of the row is named.
    Logit {
        /// The row.
        row: usize,
        /// Its index in the row.
        index: usize,
        /// NaN or +inf.
        value: f32,
    },
    /// A weight that is negative, NaN or infinite. The first of the row is named.
    Weight {
        /// The row.
        row: usize,
        /// Its index in the row.
        index: usize,
        /// The weight.
        value: f32,
    },
    /// The batch has no row of this number.
    NoSuchRow {
        /// The row.
        row: usize,
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
            | Self::NoSuchRow { row }
            | Self::NothingToDraw { row }
            | Self::TooFewTokens { row, .. } => row,
        }
    }
}

/// Equal values have equal bits, or are NaN.
impl PartialEq for RowError {
    fn eq(&self, other: &Self) -> bool {
        let parts = |error: &Self| match *error {
            Self::Logit { row, index, value } => (0, row, index, bits(value.into())),
            Self::Weight { row, index, value } => (1, row, index, bits(value.into())),
            Self::NoSuchRow { row } => (2, row, 0, 0),
            Self::NothingToDraw { row } => (3, row, 0, 0),
            Self::TooFewTokens { row, wanted, available } => (4, row, wanted, available as u64),
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
            Self::NoSuchRow { row } => write!(f, "row {row}: there is no such row"),
            Self::NothingToDraw { row } => write!(f, "row {row}: nothing to draw"),
            Self::TooFewTokens { row, wanted, available } => {
                write!(f, "row {row}: {wanted} distinct tokens are wanted, {available} have a weight above 0")
            }
        }
    }
}

impl core::error::Error for RowError {}

/// The rows that a call could not serve, in order: a slice of [`RowError`]s. All others are served, as if
/// these were not there.
///
/// What was to be written for them is filled with NaN, or with `u32::MAX` if it is tokens.
///
/// ```
/// use kelvin::{FailedRows, Rows, RowsMut, Temperature, softmax};
///
/// let logits = Rows::new(&[0.0_f32, 0.0, f32::NAN, 1.0], 2)?;
/// let mut probs = [0.0; 4];
/// let failed = softmax(logits, &[Temperature::ONE], &mut RowsMut::new(&mut probs, 2)?)?;
/// for error in &failed {
///     println!("{error}");
/// }
/// assert_eq!((failed.len(), failed[0].row()), (1, 1));
/// assert_eq!(probs[..2], [0.5, 0.5]);
/// assert!(failed.into_result().is_err());
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "the rows listed were not served"]
pub struct FailedRows(pub(crate) Vec<RowError>);

impl FailedRows {
    /// The first of them as an error, where a single failed row is one too many.
    ///
    /// # Errors
    /// That of the first row that failed, if any.
    pub fn into_result(self) -> Result<(), RowError> {
        self.0.first().map_or(Ok(()), |first| Err(*first))
    }
}

impl Deref for FailedRows {
    type Target = [RowError];

    fn deref(&self) -> &[RowError] {
        &self.0
    }
}

impl FromIterator<RowError> for FailedRows {
    fn from_iter<T: IntoIterator<Item = RowError>>(errors: T) -> Self {
        Self(errors.into_iter().collect())
    }
}

impl IntoIterator for FailedRows {
    type Item = RowError;
    type IntoIter = std::vec::IntoIter<RowError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a FailedRows {
    type Item = &'a RowError;
    type IntoIter = core::slice::Iter<'a, RowError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
