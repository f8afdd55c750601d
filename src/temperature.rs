//! Stage 1: what a temperature means, and the plain division by it.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::argmax::{greatest, greedy_row, greedy_row_in_place};
use crate::batch::{cost_of_scaling, map_rows, map_rows_in_place};
use crate::output::{map_in_place, map_vectors};
use crate::simd::{Simd, dispatch};
use crate::weights::Factor;
use crate::{Error, FailedRows, Level, Logit, Rows, RowsMut};

/// What logits are divided by before the softmax: 0 or more, never clamped.
///
/// | T | meaning |
/// |---|---|
/// | 0, or below 2^-126 (subnormal) | greedy: the largest logit, the lowest index on ties |
/// | inf | uniform over the tokens that are not masked |
/// | any other | x/T, exactly |
///
/// ```
/// use kelvin::Temperature;
///
/// let warm = Temperature::new(0.8)?;
/// assert_eq!(warm.get(), 0.8);
/// assert_eq!(format!("{warm} {warm:?}"), "0.8 Temperature(0.8)");
/// assert!(Temperature::new(0.0)?.is_greedy());
/// assert!(Temperature::new(-0.0)?.get().is_sign_positive());
/// assert!(Temperature::new(-1.0).is_err());
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Temperature {
    value: f32,
    /// What logits are multiplied by, none if it is greedy. (Computed once: `sample` of
    /// 512 logits takes 0.95 x the time of computing it for each row.)
    factor: Option<Factor>,
}

impl Temperature {
    /// T = 0.
    pub const GREEDY: Self = Self::of(0.0);
    /// T = 1: the logits as they are.
    pub const ONE: Self = Self::of(1.0);
    /// T = inf.
    pub const UNIFORM: Self = Self::of(f32::INFINITY);

    /// A temperature of that value.
    ///
    /// # Errors
    /// [`Error::Temperature`] if it is negative or NaN. (-0.0 is 0.)
    pub const fn new(value: f32) -> Result<Self, Error> {
        if value >= 0.0 { Ok(Self::of(value + 0.0)) } else { Err(Error::Temperature { value }) }
    }

    const fn of(value: f32) -> Self {
        Self { value, factor: if value < f32::MIN_POSITIVE { None } else { Some(Factor::new(value)) } }
    }

    /// Its value.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.value
    }

    /// Whether it is 0, or so low that it means 0.
    #[must_use]
    pub const fn is_greedy(self) -> bool {
        self.factor.is_none()
    }

    /// log2(e)/T; none if it is greedy.
    pub(crate) const fn factor(&self) -> Option<&Factor> {
        self.factor.as_ref()
    }
}

// By its value, which is never NaN, nor -0.0; the factor follows from it.

impl PartialEq for Temperature {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Temperature {}

impl Ord for Temperature {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value)
    }
}

impl PartialOrd for Temperature {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Temperature {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.to_bits().hash(state);
    }
}

impl fmt::Display for Temperature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl fmt::Debug for Temperature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Temperature").field(&self.value).finish()
    }
}

/// T = 1.
impl Default for Temperature {
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<f32> for Temperature {
    type Error = Error;

    fn try_from(value: f32) -> Result<Self, Error> {
        Self::new(value)
    }
}

/// Divides each row by its temperature: stage 1 alone, for callers that go on with code of their own.
///
/// [`crate::softmax`] and [`crate::sample`] do not need it: they divide as they go, more exactly and at no
/// cost.
///
/// - `logits`: rows x vocab. `temperatures`: one for all rows, or one per row. `scaled`: of the shape of
///   `logits`.
/// - Each quotient is correctly rounded (IEEE division in f32), so it may overflow to +-inf where the true
///   quotient is too large. A masked logit (-inf) stays -inf, at T = inf too, where all others become 0.
/// - At T = 0 the greedy token gets 0 and all others -inf.
/// - Cost: one pass that reads and writes (at T = 0, one that reads and one that writes). Where `scaled` takes 32 MiB or
///   more in rows of 1024 or more, it is written by stores that bypass the caches.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with
/// NaN.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures or the shape of `scaled` does not fit.
///
/// ```
/// use kelvin::{Rows, RowsMut, Temperature, scale};
///
/// let logits = [1.0, 2.0, f32::NEG_INFINITY];
/// let mut scaled = [0.0; 3];
/// let failed = scale(Rows::new(&logits, 3)?, &[Temperature::new(0.5)?], &mut RowsMut::new(&mut scaled, 3)?)?;
/// assert!(failed.is_empty());
/// assert_eq!(scaled, [2.0, 4.0, f32::NEG_INFINITY]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn scale<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    scaled: &mut RowsMut<'_>,
) -> Result<FailedRows, Error> {
    Level::best().scale(logits, temperatures, scaled)
}

/// [`scale`] where the logits lie: the same bits.
///
/// - `rows`: logits, which become quotients. `temperatures`: one for all rows, or one per row.
/// - Cost: one pass that reads, one that reads (from cache, if a row fits) and writes.
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with
/// NaN.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures does not fit.
///
/// ```
/// use kelvin::{RowsMut, Temperature, scale_in_place};
///
/// let mut data = [1.0, f32::NEG_INFINITY, -3.0];
/// scale_in_place(&mut RowsMut::new(&mut data, 3)?, &[Temperature::new(0.5)?])?.into_result()?;
/// assert_eq!(data, [2.0, f32::NEG_INFINITY, -6.0]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn scale_in_place(rows: &mut RowsMut<'_>, temperatures: &[Temperature]) -> Result<FailedRows, Error> {
    Level::best().scale_in_place(rows, temperatures)
}

impl Level {
    /// [`scale`](crate::scale), on this level.
    ///
    /// # Errors
    /// Those of [`scale`](crate::scale).
    pub fn scale<L: Logit>(
        self,
        logits: Rows<'_, L>,
        temperatures: &[Temperature],
        scaled: &mut RowsMut<'_>,
    ) -> Result<FailedRows, Error> {
        map_rows(
            logits,
            temperatures,
            scaled,
            cost_of_scaling(logits.vocab()),
            |row, temperature, out, past_caches| dispatch!(self, simd => scale_row(simd, row, temperature, out, past_caches)),
        )
    }

    /// [`scale_in_place`](crate::scale_in_place), on this level.
    ///
    /// # Errors
    /// Those of [`scale_in_place`](crate::scale_in_place).
    pub fn scale_in_place(
        self,
        rows: &mut RowsMut<'_>,
        temperatures: &[Temperature],
    ) -> Result<FailedRows, Error> {
        let cost = cost_of_scaling(rows.vocab());
        map_rows_in_place(
            rows,
            temperatures,
            cost,
            |row, temperature| dispatch!(self, simd => scale_row_in_place(simd, row, temperature)),
        )
    }
}

/// `None` if the row cannot be served.
#[inline(always)]
fn scale_row<S: Simd, L: Logit>(
    simd: S,
    row: &[L],
    temperature: &Temperature,
    out: &mut [f32],
    past_caches: bool,
) -> Option<()> {
    if temperature.is_greedy() {
        return greedy_row(simd, row, out, 0.0, f32::NEG_INFINITY);
    }
    let (mut sum, mut max) = (simd.splat(0.0), simd.splat(f32::NEG_INFINITY));
    map_vectors(
        simd,
        row,
        out,
        past_caches,
        #[inline(always)]
        |index, x| {
            if past_caches {
                // On Intel's CPUs, this takes 0.8 x the time.
                simd.prefetch(row, index + simd.ahead());
            }
            let x = L::load(simd, x);
            sum = simd.add(sum, x);
            max = simd.max(max, x);
            divide(simd, x, temperature)
        },
    );
    // Finite logits may overflow the sum: then, as for a NaN or +inf, one by one.
    let sum = simd.reduce_add_wide(simd.widen(sum));
    let finite_or_masked = sum < f64::INFINITY || row.iter().all(|x| x.to_f32() < f32::INFINITY);
    (finite_or_masked && simd.reduce_max(max) > f32::NEG_INFINITY).then_some(())
}

/// [`scale_row`], in place. A bad row is found first: its logits must still be there to be reported.
#[inline(always)]
fn scale_row_in_place<S: Simd>(simd: S, row: &mut [f32], temperature: &Temperature) -> Option<()> {
    if temperature.is_greedy() {
        return greedy_row_in_place(simd, row, 0.0, f32::NEG_INFINITY);
    }
    greatest::<false, _, _>(simd, row)?;
    map_in_place(
        simd,
        row,
        #[inline(always)]
        |x| divide(simd, x, temperature),
    );
    Some(())
}

/// x/T. A masked logit stays -inf, at T = inf too, where -inf/inf is NaN.
#[inline(always)]
fn divide<S: Simd>(simd: S, x: S::V, temperature: &Temperature) -> S::V {
    simd.select_lt(x, simd.splat(f32::MIN), x, simd.div(x, simd.splat(temperature.get())))
}
