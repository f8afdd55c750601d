//! Borrowed views of a batch: rows x vocab, any stride, f32 or half precision.

use core::fmt;

use crate::Error;
use crate::check::check_length;
use crate::simd::{LANES, Simd};

/// What a row of logits is made of: `f32`, and with the feature `half` also `half::f16` and
/// `half::bf16`, which are widened in registers. Raw `u16` bits become either with
/// `half::slice::HalfBitsSliceExt::reinterpret_cast`, or `bytemuck::cast_slice`. This trait is
/// sealed, and what it inherits beside `Into<f32>` is not part of the interface.
///
/// ```
/// # #[cfg(feature = "half")]
/// # {
/// use half::{bf16, slice::HalfBitsSliceExt};
/// use kelvin::{Draw, Rows, Temperature, sample};
///
/// let bits: &[u16] = &[0x3f80, 0xff80, 0xff80]; // 1, and twice -inf
/// let logits: &[bf16] = bits.reinterpret_cast();
/// let mut draws = [Ok(Draw::default())];
/// sample(Rows::new(logits, 3)?, &[Temperature::ONE], &[0.5], &mut draws)?;
/// assert_eq!(draws[0]?.token, 0);
/// # }
/// # Ok::<(), kelvin::Error>(())
/// ```
pub trait Logit: Copy + Send + Sync + Into<f32> + 'static + element::Element {}

impl Logit for f32 {}
#[cfg(feature = "half")]
impl Logit for half::f16 {}
#[cfg(feature = "half")]
impl Logit for half::bf16 {}

pub(crate) mod element {
    use super::{LANES, Simd};

    /// The private half of [`super::Logit`].
    pub trait Element: Copy + Send + Sync + 'static {
        const NEG_INFINITY: Self;
        const ZERO: Self;
        fn to_f32(self) -> f32;
        fn load<S: Simd>(simd: S, block: &[Self; LANES]) -> S::V;

        /// The row, if it is of f32.
        fn as_f32(_row: &[Self]) -> Option<&[f32]> {
            None
        }
    }

    impl Element for f32 {
        const NEG_INFINITY: Self = f32::NEG_INFINITY;
        const ZERO: Self = 0.0;

        fn to_f32(self) -> f32 {
            self
        }

        #[inline(always)]
        fn load<S: Simd>(simd: S, block: &[Self; LANES]) -> S::V {
            simd.load(block)
        }

        fn as_f32(row: &[Self]) -> Option<&[f32]> {
            Some(row)
        }
    }

    #[cfg(feature = "half")]
    impl Element for half::f16 {
        const NEG_INFINITY: Self = half::f16::NEG_INFINITY;
        const ZERO: Self = half::f16::ZERO;

        fn to_f32(self) -> f32 {
            self.to_f32_const()
        }

        #[inline(always)]
        fn load<S: Simd>(simd: S, block: &[Self; LANES]) -> S::V {
            simd.load_f16(bytemuck::must_cast_ref(block))
        }
    }

    #[cfg(feature = "half")]
    impl Element for half::bf16 {
        const NEG_INFINITY: Self = half::bf16::NEG_INFINITY;
        const ZERO: Self = half::bf16::ZERO;

        fn to_f32(self) -> f32 {
            self.to_f32_const()
        }

        #[inline(always)]
        fn load<S: Simd>(simd: S, block: &[Self; LANES]) -> S::V {
            simd.load_bf16(bytemuck::must_cast_ref(block))
        }
    }
}

/// A batch to read: `rows` rows of `vocab` elements, the start of each `stride` elements after the
/// start of the one before. What lies between two rows is never read.
///
/// ```
/// use kelvin::Rows;
///
/// let data = [0.5, 1.5, -0.5, 2.0, 0.0, 1.0];
/// let rows = Rows::new(&data, 3)?;
/// assert_eq!((rows.rows(), rows.row(1)), (2, [2.0, 0.0, 1.0].as_slice()));
/// let padded = Rows::with_stride(&data, 2, 2, 3)?;
/// assert_eq!(padded.row(1), [2.0, 0.0]);
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Rows<'a, L = f32> {
    data: &'a [L],
    shape: Shape,
}

/// A batch to write: [`Rows`], mutable, of f32 (half precision would round what was computed). What lies
/// between two rows is never touched.
pub struct RowsMut<'a> {
    data: &'a mut [f32],
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    rows: usize,
    vocab: usize,
    stride: usize,
}

impl Shape {
    fn dense(len: usize, vocab: usize) -> Result<Self, Error> {
        let rows = len.checked_div(vocab).unwrap_or(0);
        let shape = Self::strided(len, rows, vocab, vocab)?;
        check_length("elements of data, in whole rows", len.next_multiple_of(vocab), len)?;
        Ok(shape)
    }

    fn strided(len: usize, rows: usize, vocab: usize, stride: usize) -> Result<Self, Error> {
        if vocab == 0 || u32::try_from(vocab).is_err() {
            return Err(Error::Vocab { vocab });
        }
        if stride < vocab {
            return Err(Error::Stride { stride, vocab });
        }
        let expected = match rows.checked_sub(1) {
            Some(before_last) => before_last.saturating_mul(stride).saturating_add(vocab),
            None => 0,
        };
        if len < expected {
            return Err(Error::Length { of: "elements of data", expected, found: len });
        }
        Ok(Self { rows, vocab, stride })
    }

    const fn exceeds_caches<T>(self) -> bool {
        size_of::<T>().saturating_mul(self.rows).saturating_mul(self.vocab) >= LARGE
    }
}

/// A batch of this many bytes or more is assumed not to fit the caches.
const LARGE: usize = 32 << 20;

macro_rules! shape_accessors {
    ($element:ty) => {
        /// How many rows.
        #[must_use]
        pub const fn rows(&self) -> usize {
            self.shape.rows
        }

        /// How many tokens a row has.
        #[must_use]
        pub const fn vocab(&self) -> usize {
            self.shape.vocab
        }

        /// How many elements lie between the start of one row and the start of the next.
        #[must_use]
        pub const fn stride(&self) -> usize {
            self.shape.stride
        }

        /// Whether the rows, all together, are too large to be found in the caches.
        pub(crate) const fn exceed_caches(&self) -> bool {
            self.shape.exceeds_caches::<$element>()
        }
    };
}

/// The shape alone: a batch may have millions of logits.
impl<L> fmt::Debug for Rows<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rows").field(&self.shape).finish()
    }
}

impl fmt::Debug for RowsMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RowsMut").field(&self.shape).finish()
    }
}

impl<'a, L: Logit> Rows<'a, L> {
    /// Rows one after the other: `data` holds a whole number of them.
    ///
    /// # Errors
    /// [`Error::Vocab`], or [`Error::Length`] if the last row is incomplete.
    pub fn new(data: &'a [L], vocab: usize) -> Result<Self, Error> {
        Ok(Self { data, shape: Shape::dense(data.len(), vocab)? })
    }

    /// Rows with gaps: row i is `data[i * stride..][..vocab]`.
    ///
    /// # Errors
    /// [`Error::Vocab`], [`Error::Stride`], or [`Error::Length`] if `data` ends before the last row does.
    pub fn with_stride(data: &'a [L], rows: usize, vocab: usize, stride: usize) -> Result<Self, Error> {
        Ok(Self { data, shape: Shape::strided(data.len(), rows, vocab, stride)? })
    }

    shape_accessors!(L);

    /// Row `index`, or an empty slice beyond the last.
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [L] {
        let Shape { rows, vocab, stride } = self.shape;
        if index < rows { &self.data[index * stride..][..vocab] } else { &[] }
    }
}

impl<'a> RowsMut<'a> {
    /// [`Rows::new`], to write.
    ///
    /// # Errors
    /// Those of [`Rows::new`].
    pub fn new(data: &'a mut [f32], vocab: usize) -> Result<Self, Error> {
        let shape = Shape::dense(data.len(), vocab)?;
        Ok(Self { data, shape })
    }

    /// [`Rows::with_stride`], to write.
    ///
    /// # Errors
    /// Those of [`Rows::with_stride`].
    pub fn with_stride(data: &'a mut [f32], rows: usize, vocab: usize, stride: usize) -> Result<Self, Error> {
        let shape = Shape::strided(data.len(), rows, vocab, stride)?;
        Ok(Self { data, shape })
    }

    shape_accessors!(f32);

    /// The same rows, to read.
    #[must_use]
    pub fn as_rows(&self) -> Rows<'_> {
        Rows { data: self.data, shape: self.shape }
    }

    /// All elements of the rows, and of the gaps between them.
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        let Shape { rows, vocab, stride } = self.shape;
        let end = rows.checked_sub(1).map_or(0, |before_last| before_last * stride + vocab);
        &mut self.data[..end]
    }
}
