//! What is refused, in what words, and that every other row is served.

mod common;

use common::{levels, one, temperature};
use kelvin::{
    AliasTable, Cdf, Draw, Error, FailedRows, Level, RowError, Rows, RowsMut, Temperature, Uniforms, Words,
    argmax, log_softmax, log_softmax_in_place, log_sum_exp, sample, sample_from_probs,
    sample_from_probs_without_replacement, sample_many, sample_many_by_alias, sample_many_from_probs,
    sample_many_from_probs_by_alias, sample_without_replacement, scale, scale_in_place, softmax,
    softmax_in_place,
};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;
const ONE: [Temperature; 1] = [Temperature::ONE];

#[test]
fn temperatures_below_0_and_nan_are_refused() {
    for value in [-1.0, -f32::MIN_POSITIVE, f32::NEG_INFINITY, -1e-45] {
        assert_eq!(Temperature::new(value), Err(Error::Temperature { value }));
        assert_eq!(Temperature::try_from(value), Err(Error::Temperature { value }));
    }
    assert_eq!(Temperature::try_from(0.5).map(Temperature::get), Ok(0.5));
    assert_eq!(Temperature::default().get(), 1.0);
    assert!(matches!(Temperature::new(NAN), Err(Error::Temperature { .. })));
    assert_eq!(Temperature::new(-2.0).unwrap_err().to_string(), "a temperature of -2: it must be 0 or more");
    for value in [0.0, -0.0, 1e-45, f32::MIN_POSITIVE.next_down()] {
        assert!(temperature(value).is_greedy());
    }
    for value in [f32::MIN_POSITIVE, 1.0, f32::MAX, INF] {
        assert!(!temperature(value).is_greedy());
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let data = [0.0_f32; 10];
    let text = |error: Error| error.to_string();
    assert_eq!(
        text(Rows::new(&data, 0).unwrap_err()),
        "a vocabulary of 0 tokens: it must have 1 to 4294967295"
    );
    assert_eq!(
        Rows::new(&data, 3).unwrap_err(),
        Error::Length { of: "elements of data, in whole rows", expected: 12, found: 10 }
    );
    assert_eq!(
        text(Rows::new(&data, 11).unwrap_err()),
        "elements of data, in whole rows: 11 needed, 10 given"
    );
    assert_eq!(
        text(Rows::with_stride(&data, 2, 4, 3).unwrap_err()),
        "a stride of 3 is below the vocabulary of 4"
    );
    assert_eq!(text(Rows::with_stride(&data, 3, 4, 4).unwrap_err()), "elements of data: 12 needed, 10 given");
    assert!(Rows::with_stride(&data, usize::MAX, 4, usize::MAX).is_err());
    assert!(Rows::with_stride(&data, 2, 4, 6).is_ok());
    assert!(Rows::with_stride(&data[..0], 0, 4, 6).is_ok());
    let rows = Rows::new(&data, 5).expect("two rows");
    assert_eq!((rows.rows(), rows.vocab(), rows.stride(), rows.row(2).len()), (2, 5, 5, 0));
    #[cfg(target_pointer_width = "64")]
    {
        let vocab = u32::MAX as usize + 1;
        assert_eq!(Rows::with_stride(&data, 0, vocab, vocab).unwrap_err(), Error::Vocab { vocab });
    }
}

/// Whole-call errors come before anything is written.
#[test]
fn a_refused_call_writes_nothing() {
    let data = [0.0_f32; 12];
    let rows = Rows::new(&data, 4).expect("three rows");
    let untouched = Ok(Draw { token: 77, logprob: 77.0 });
    let mut draws = [untouched; 3];
    let two = [Temperature::ONE; 2];
    let length = |of, expected, found| Err(Error::Length { of, expected, found });
    let temperatures = |found| length("temperatures (or one for all rows)", 3, found);
    assert_eq!(sample(rows, &two, &[0.0; 3], &mut draws), temperatures(2));
    assert_eq!(sample(rows, &[], &[0.0; 3], &mut draws), temperatures(0));
    assert_eq!(sample(rows, &ONE, &[0.0; 2], &mut draws), length("uniforms", 3, 2));
    assert_eq!(sample(rows, &ONE, &[0.0; 3], &mut draws[..2]), length("draws", 3, 2));
    for value in [1.0, -0.1, f64::INFINITY, -f64::MIN_POSITIVE] {
        let error = Err(Error::Uniform { index: 1, value });
        assert_eq!(sample(rows, &ONE, &[0.0, value, 0.0], &mut draws), error);
        assert_eq!(sample_from_probs(rows, &[0.0, value, 0.0], &mut draws), error);
    }
    let error = sample(rows, &ONE, &[0.0, f64::NAN, 0.0], &mut draws).unwrap_err();
    assert_eq!(error.to_string(), "uniform 1 is NaN: it must lie in [0, 1)");
    assert_eq!(draws, [untouched; 3]);
    assert_eq!(argmax(rows, &mut [Ok(0)]), length("tokens", 3, 1));
    assert_eq!(log_sum_exp(rows, &ONE, &mut [Ok(0.0)]), length("sums", 3, 1));
    let mut out = [7.0; 12];
    for kernel in [softmax::<f32>, log_softmax::<f32>, scale::<f32>] {
        let mut short = RowsMut::new(&mut out[..8], 4).expect("two rows");
        assert_eq!(
            kernel(rows, &ONE, &mut short),
            length("rows of the output", 3, 2).map(|()| FailedRows::default())
        );
        let mut narrow = RowsMut::new(&mut out[..9], 3).expect("three rows");
        assert_eq!(
            kernel(rows, &ONE, &mut narrow),
            length("vocabulary of the output", 4, 3).map(|()| FailedRows::default())
        );
        let mut fitting = RowsMut::new(&mut out, 4).expect("three rows");
        assert_eq!(kernel(rows, &two, &mut fitting), temperatures(2).map(|()| FailedRows::default()));
    }
    let mut in_place = RowsMut::new(&mut out, 4).expect("three rows");
    for kernel in [scale_in_place, softmax_in_place, log_softmax_in_place] {
        assert_eq!(kernel(&mut in_place, &two), temperatures(2).map(|()| FailedRows::default()));
    }
    assert_eq!(out, [7.0; 12]);
}

/// Of any function, with one temperature or none, given uniforms and words or keys.
#[test]
fn no_rows_are_fine() {
    let rows = Rows::<f32>::new(&[], 4).expect("no rows");
    let mut out = RowsMut::new(&mut [], 4).expect("no rows");
    let sources = [(Uniforms::Given(&[]), Words::Given(&[])), (Uniforms::Keys(&[]), Words::Keys(&[]))];
    assert_eq!([argmax(rows, &mut []), sample_from_probs(rows, &[], &mut [])], [Ok(()); 2]);
    for t in [&ONE[..], &[]] {
        assert_eq!([sample(rows, t, &[], &mut []), log_sum_exp(rows, t, &mut [])], [Ok(()); 2]);
        let in_place = [scale_in_place, softmax_in_place, log_softmax_in_place];
        let mut failed = in_place.map(|kernel| kernel(&mut out, t)).to_vec();
        failed.extend([softmax, log_softmax, scale].map(|kernel| kernel(rows, t, &mut out)));
        failed.extend(sources.into_iter().flat_map(|(uniforms, words)| {
            [
                sample_many(rows, t, uniforms, &mut []),
                sample_many_from_probs(rows, uniforms, &mut []),
                sample_many_by_alias(rows, t, words, &mut []),
                sample_many_from_probs_by_alias(rows, words, &mut []),
                sample_without_replacement(rows, t, uniforms, &mut []),
                sample_from_probs_without_replacement(rows, uniforms, &mut []),
            ]
        }));
        assert_eq!(failed, vec![Ok(FailedRows::default()); 18]);
    }
}

/// Rows 1, 3, 5 and 6 are bad, each in its way; the even ones before 6 are served as if alone.
#[test]
fn a_bad_row_fails_alone() {
    const VOCAB: usize = 1200;
    let mut data: Vec<f32> = (0..7 * VOCAB).map(|i| (i % 13) as f32).collect();
    let bad = |row: usize, index: usize, value: f32| (RowError::Logit { row, index, value }, value);
    let faults = [bad(1, 0, NAN), bad(3, 600, INF), bad(5, 1199, NAN)];
    for (error, value) in faults {
        if let RowError::Logit { row, index, .. } = error {
            data[row * VOCAB + index] = value;
        }
    }
    data[6 * VOCAB..].fill(f32::NEG_INFINITY);
    data[VOCAB + 700] = INF;
    data[VOCAB + 3] = f32::NEG_INFINITY;
    let expected = [faults[0].0, faults[1].0, faults[2].0, RowError::NothingToDraw { row: 6 }];
    assert_eq!(expected.map(|e| e.row()), [1, 3, 5, 6]);
    for level in levels() {
        for t in [0.0, 1e-30, 0.7, 1e30, INF].map(|t| [temperature(t)]) {
            check_bad_rows(level, &data, VOCAB, &t, &expected);
        }
    }
    assert_eq!(expected[0].to_string(), "row 1: logit 0 is NaN");
    assert_eq!(expected[1].to_string(), "row 3: logit 600 is inf");
    assert_eq!(expected[3].to_string(), "row 6: nothing to draw");
}

fn check_bad_rows(level: Level, data: &[f32], vocab: usize, t: &[Temperature], expected: &[RowError]) {
    let rows = Rows::new(data, vocab).expect("seven rows");
    let mut draws = [Ok(Draw::default()); 7];
    level.sample(rows, t, &[0.3; 7], &mut draws).expect("shapes fit");
    let failed: Vec<RowError> = draws.iter().filter_map(|d| d.err()).collect();
    assert_eq!(failed, expected, "{level}");
    for row in [0, 2, 4] {
        assert_eq!(draws[row], common::check::draw(level, rows.row(row), t[0], 0.3));
    }
    let mut tokens = [Ok(0); 7];
    level.argmax(rows, &mut tokens).expect("shapes fit");
    assert_eq!(tokens.iter().filter_map(|d| d.err()).collect::<Vec<_>>(), expected);
    let mut sums = [Ok(0.0); 7];
    level.log_sum_exp(rows, t, &mut sums).expect("shapes fit");
    assert_eq!(sums.iter().filter_map(|d| d.err()).collect::<Vec<_>>(), expected);
    let mut out = data.to_vec();
    let mut out_rows = RowsMut::new(&mut out, vocab).expect("seven rows");
    assert_eq!(*level.softmax_in_place(&mut out_rows, t).expect("shapes fit"), *expected);
    let in_place = out.clone();
    let mut out_rows = RowsMut::new(&mut out, vocab).expect("seven rows");
    assert_eq!(*level.softmax(rows, t, &mut out_rows).expect("shapes fit"), *expected);
    for (row, (a, b)) in in_place.chunks(vocab).zip(out.chunks(vocab)).enumerate() {
        let bad = expected.iter().any(|e| e.row() == row);
        assert!(a.iter().zip(b).all(|(a, b)| if bad { a.is_nan() && b.is_nan() } else { a == b }));
    }
    for kernel in [Level::log_softmax::<f32>, Level::scale::<f32>] {
        let mut out_rows = RowsMut::new(&mut out, vocab).expect("seven rows");
        assert_eq!(*kernel(level, rows, t, &mut out_rows).expect("shapes fit"), *expected);
    }
    for kernel in [Level::log_softmax_in_place, Level::scale_in_place] {
        out.copy_from_slice(data);
        let mut out_rows = RowsMut::new(&mut out, vocab).expect("seven rows");
        assert_eq!(*kernel(level, &mut out_rows, t).expect("shapes fit"), *expected);
    }
}

/// Regression, found by fuzzing: where every lane ended on a NaN, the search for the block overflowed.
#[test]
fn rows_of_nothing_but_nan() {
    for level in levels() {
        for vocab in [1, 16, 512, 1024, 1100] {
            let data = vec![NAN; vocab];
            let (mut tokens, mut draws) = ([Ok(0)], [Ok(Draw::default())]);
            let rows = one(&data);
            level.argmax(rows, &mut tokens).expect("shapes fit");
            level.sample(rows, &[Temperature::GREEDY], &[0.5], &mut draws).expect("shapes fit");
            let error = RowError::Logit { row: 0, index: 0, value: NAN };
            assert_eq!((tokens[0], draws[0]), (Err(error), Err(error)), "{level}, {vocab} tokens");
        }
    }
}

#[test]
fn a_bad_weight_fails_its_row_alone() {
    let data =
        [[1.0, 2.0, 3.0], [1.0, -1.0, NAN], [0.0, INF, 1.0], [0.0, -0.0, 0.0], [NAN, 1.0, 1.0]].concat();
    let rows = Rows::new(&data, 3).expect("five rows");
    let mut draws = [Ok(Draw::default()); 5];
    sample_from_probs(rows, &[0.99; 5], &mut draws).expect("shapes fit");
    assert_eq!(draws[0].map(|d| d.token), Ok(2));
    assert_eq!(draws[1].unwrap_err().to_string(), "row 1: weight 1 is -1");
    let expected = vec![
        RowError::Weight { row: 1, index: 1, value: -1.0 },
        RowError::Weight { row: 2, index: 1, value: INF },
        RowError::NothingToDraw { row: 3 },
        RowError::Weight { row: 4, index: 0, value: NAN },
    ];
    assert_eq!(draws.into_iter().filter_map(Result::err).collect::<Vec<_>>(), expected);
    let (uniforms, words, mut tokens) = ([0.99; 5], [1 << 63; 5], [77; 5]);
    let given = Uniforms::Given(&uniforms);
    assert_eq!(sample_many_from_probs(rows, given, &mut tokens), Ok(expected.iter().copied().collect()));
    assert_eq!(
        sample_from_probs_without_replacement(rows, given, &mut tokens),
        Ok(expected.iter().copied().collect())
    );
    assert_eq!(
        sample_many_from_probs_by_alias(rows, Words::Given(&words), &mut tokens),
        Ok(expected.iter().copied().collect())
    );
    assert_eq!((0..5).filter_map(|row| Cdf::from_probs(rows, row).err()).collect::<Vec<_>>(), expected);
    assert_eq!(
        (0..5).filter_map(|row| AliasTable::from_probs(rows, row).err()).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn a_table_that_could_not_be_built_again_is_empty() {
    let data = [[1.0, 2.0], [NAN, 1.0], [-INF, -INF], [0.0, 0.0], [1.0, -1.0]].concat();
    let rows = Rows::new(&data, 2).expect("five rows");
    let empty = Err(Error::EmptyTable);
    let (mut cdf, mut alias) = (Cdf::default(), AliasTable::default());
    for bad in 1..5 {
        cdf.rebuild_from_probs(rows, 0).expect("servable");
        alias.rebuild_from_probs(rows, 0).expect("servable");
        assert!(cdf.rebuild_from_probs(rows, bad).is_err() && alias.rebuild_from_probs(rows, bad).is_err());
        assert_eq!([cdf.draw(0.5), alias.draw(1 << 63)], [empty, empty], "row {bad}");
    }
    for (bad, t) in [(1, ONE[0]), (2, ONE[0]), (1, Temperature::GREEDY), (2, Temperature::GREEDY)] {
        cdf.rebuild(rows, 0, ONE[0]).expect("servable");
        alias.rebuild(rows, 0, ONE[0]).expect("servable");
        assert!(cdf.rebuild(rows, bad, t).is_err() && alias.rebuild(rows, bad, t).is_err());
        assert_eq!([cdf.draw(0.5), alias.draw(1 << 63)], [empty, empty], "row {bad}");
        // Nor has it a guide.
        cdf.rebuild(one(&[0.0]), 0, ONE[0]).expect("servable");
        assert!(cdf.add_guide());
        assert!(cdf.rebuild(rows, bad, t).is_err() && !cdf.add_guide());
    }
}

#[test]
fn a_bad_uniform_is_reported_with_its_index() {
    let data = [0.0_f32; 12];
    let rows = Rows::new(&data, 4).expect("three rows");
    for at in 0..6 {
        let (mut uniforms, mut tokens) = ([0.5; 6], [77; 6]);
        uniforms[at] = 1.0;
        let error = Err(Error::Uniform { index: at, value: 1.0 });
        assert_eq!(sample_many(rows, &ONE, Uniforms::Given(&uniforms), &mut tokens), error);
        assert_eq!(sample_without_replacement(rows, &ONE, Uniforms::Given(&uniforms), &mut tokens), error);
        assert_eq!(tokens, [77; 6]);
    }
}

#[test]
fn a_greedy_row_has_one_token() {
    let row = one(&[0.5, 1.5, 1.0]);
    for (wanted, expected) in [(0, vec![]), (1, vec![]), (2, vec![too_few(2)]), (3, vec![too_few(3)])] {
        let (uniforms, mut tokens) = (vec![0.5; wanted], vec![77; wanted]);
        let drawn =
            sample_without_replacement(row, &[Temperature::GREEDY], Uniforms::Given(&uniforms), &mut tokens);
        assert_eq!(drawn, Ok(expected.into_iter().collect()), "{wanted}");
        assert!(wanted != 1 || tokens == [1]);
    }
}

fn too_few(wanted: usize) -> RowError {
    RowError::TooFewTokens { row: 0, wanted, available: 1 }
}
