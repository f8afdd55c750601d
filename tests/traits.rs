//! What the types can do besides: compare, hash and print.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;

use kelvin::{AliasTable, Cdf, Draw, Error, FailedRows, Level, RowError, Rows, RowsMut, Temperature};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

/// Errors are equal by what they say; a NaN equals itself.
#[test]
fn errors_compare() {
    assert_distinct(&[
        RowError::Logit { row: 1, index: 2, value: NAN },
        RowError::Logit { row: 1, index: 2, value: INF },
        RowError::Logit { row: 1, index: 3, value: NAN },
        RowError::Logit { row: 2, index: 2, value: NAN },
        RowError::Weight { row: 1, index: 2, value: NAN },
        RowError::NoSuchRow { row: 1 },
        RowError::NothingToDraw { row: 1 },
        RowError::TooFewTokens { row: 1, wanted: 3, available: 2 },
        RowError::TooFewTokens { row: 1, wanted: 2, available: 1 },
    ]);
    let (temperature, uniform) =
        (|value| Error::Temperature { value }, |index, value| Error::Uniform { index, value });
    assert_distinct(&[
        Error::Vocab { vocab: 0 },
        Error::Vocab { vocab: 1 << 20 },
        Error::Stride { stride: 1, vocab: 2 },
        Error::Stride { stride: 1, vocab: 3 },
        Error::Stride { stride: 2, vocab: 3 },
        Error::Length { of: "tokens", expected: 1, found: 2 },
        Error::Length { of: "words", expected: 1, found: 2 },
        Error::Length { of: "tokens", expected: 3, found: 2 },
        Error::Length { of: "tokens", expected: 1, found: 3 },
        temperature(NAN),
        temperature(-1.0),
        uniform(1, f64::NAN),
        uniform(2, f64::NAN),
        uniform(1, 1.0),
        Error::Level,
        Error::EmptyTable,
        Error::Row(RowError::NothingToDraw { row: 1 }),
        Error::Row(RowError::NothingToDraw { row: 2 }),
    ]);
}

fn assert_distinct<T: PartialEq + Debug>(values: &[T]) {
    for (i, a) in values.iter().enumerate() {
        for (j, b) in values.iter().enumerate() {
            assert_eq!(a == b, i == j, "{a:?}, {b:?}");
        }
    }
}

/// Usable with `?` in any error type.
#[test]
fn errors_are_errors() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<Error>();
    is_error::<RowError>();
    let missing = RowError::NoSuchRow { row: 3 };
    assert_eq!((missing.row(), missing.to_string().as_str()), (3, "row 3: there is no such row"));
}

/// `?` makes one error of both kinds, which says what it said.
#[test]
fn a_row_that_failed_is_an_error() {
    fn draw(logits: &[f32]) -> Result<u32, Error> {
        Cdf::new(Rows::new(logits, 2)?, 0, Temperature::ONE)?.draw(0.5)
    }
    let failed = draw(&[1.0, NAN]).unwrap_err();
    assert_eq!(failed, RowError::Logit { row: 0, index: 1, value: NAN }.into());
    assert_eq!(failed.to_string(), "row 0: logit 1 is NaN");
    assert_eq!(
        draw(&[1.0]),
        Err(Error::Length { of: "elements of data, in whole rows", expected: 2, found: 1 })
    );
    assert_eq!(Error::EmptyTable.to_string(), "an empty table: never built, or its last rebuild failed");
}

#[test]
fn failed_rows_are_a_slice_and_a_result() {
    let errors = [2, 5].map(|row| RowError::NothingToDraw { row });
    let failed: FailedRows = errors.into_iter().collect();
    assert_eq!(*failed, errors);
    assert_eq!((&failed).into_iter().map(RowError::row).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(failed.clone().into_iter().collect::<Vec<_>>(), errors);
    assert_eq!(failed.into_result(), Err(errors[0]));
    assert_eq!(FailedRows::default().into_result(), Ok(()));
}

/// An outcome that nothing was written to is no token.
#[test]
fn no_token_by_default() {
    assert_eq!(Draw::default(), Draw { token: u32::MAX, logprob: f32::NEG_INFINITY });
}

#[test]
fn temperatures_and_levels_are_keys() {
    let temperatures = [INF, 0.0, 0.5, -0.0, 1e-45, 0.5].map(|t| Temperature::new(t).expect("a temperature"));
    assert_eq!(HashSet::from(temperatures).len(), 4);
    let sorted: Vec<_> = BTreeSet::from(temperatures).into_iter().map(Temperature::get).collect();
    assert_eq!(sorted, [0.0, 1e-45, 0.5, INF]);
    let levels: HashSet<_> = Level::available().chain(Level::available()).collect();
    assert_eq!(levels.len(), Level::available().count());
    assert_eq!(format!("{:?} {:4}|", Temperature::ONE, Temperature::UNIFORM), "Temperature(1.0)  inf|");
}

/// What holds a vocabulary does not print it.
#[test]
fn debug_output_is_short() {
    let mut data = [0.5_f32; 6000];
    let rows = Rows::new(&data, 3000).expect("two rows");
    let (cdf, alias) = (Cdf::new(rows, 0, Temperature::ONE), AliasTable::new(rows, 0, Temperature::ONE));
    let (cdf, alias) = (cdf.expect("servable"), alias.expect("servable"));
    let level = Level::best();
    assert_eq!(format!("{cdf:?}"), format!("Cdf {{ vocab: 3000, level: Level({level}), .. }}"));
    assert_eq!(format!("{alias:?}"), "AliasTable { vocab: 3000, .. }");
    assert_eq!(format!("{rows:?}"), "Rows(Shape { rows: 2, vocab: 3000, stride: 3000 })");
    let rows = RowsMut::new(&mut data, 6000).expect("one row");
    assert_eq!(format!("{rows:?}"), "RowsMut(Shape { rows: 1, vocab: 6000, stride: 6000 })");
}

#[test]
fn levels_by_name() {
    for level in Level::available() {
        assert_eq!(level.to_string().parse(), Ok(level));
        assert_eq!(level.to_string().to_uppercase().parse(), Ok(level));
    }
    assert_eq!("sse9".parse::<Level>(), Err(Error::Level));
    assert_eq!(Error::Level.to_string(), "no such level on this CPU");
}
