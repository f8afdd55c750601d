//! One row through every kernel on every level, against both references.

use super::one;
use kelvin::reference::{contract, oracle};
use kelvin::{Draw, FailedRows, Level, Logit, RowError, Rows, RowsMut, Temperature};

/// What lies between rows, and in outputs before they are written: reading or leaving it shows.
const GAP: f32 = f32::NAN;

/// Every kernel, on every level given, gives the bits of the contract, or an error where it gives none.
pub fn bits(levels: &[Level], row: &[f32], temperature: f32, uniforms: &[f64]) {
    let context = |kernel: &str, level: Level| {
        format!("{kernel} on {level}, {} tokens, T = {temperature:e}", row.len())
    };
    let t = [super::temperature(temperature)];
    let error = row_error(0, row);
    let expected_rows = [
        ("scale", contract::scale(row, temperature)),
        ("softmax", contract::softmax(row, temperature)),
        ("log_softmax", contract::log_softmax(row, temperature)),
        ("scale in place", contract::scale(row, temperature)),
        ("softmax in place", contract::softmax(row, temperature)),
        ("log_softmax in place", contract::log_softmax(row, temperature)),
    ];
    let expected_sum = contract::log_sum_exp(row, temperature).map(f64::to_bits).ok_or(error);
    let expected_token = contract::argmax(row).map(|token| token as u32).ok_or(error);
    let expected_draws: Vec<_> = uniforms
        .iter()
        .map(|&u| contract::sample(row, temperature, u).map(|(token, p)| (token, p.to_bits())).ok_or(error))
        .collect();
    for &level in levels {
        for (kernel, expected) in &expected_rows {
            let (out, errors) = run(level, kernel, row, &t);
            assert_eq!(errors, expected.is_none().then_some(error).into_iter().collect());
            let expected = expected.clone().unwrap_or_else(|| vec![f32::NAN; row.len()]);
            same_bits(&out, &expected, &context(kernel, level));
        }
        let rows = one(row);
        let mut sums = [Ok(f64::NAN)];
        level.log_sum_exp(rows, &t, &mut sums).expect("shapes fit");
        assert_eq!(sums[0].map(f64::to_bits), expected_sum, "{}", context("log_sum_exp", level));
        let mut tokens = [Ok(u32::MAX)];
        level.argmax(rows, &mut tokens).expect("shapes fit");
        assert_eq!(tokens[0], expected_token, "{}", context("argmax", level));
        for (&u, expected) in uniforms.iter().zip(&expected_draws) {
            let draw = draw(level, row, t[0], u).map(|draw| (draw.token, draw.logprob.to_bits()));
            assert_eq!(draw, *expected, "{} u = {u:e}", context("sample", level));
        }
    }
}

/// `sample_from_probs` gives the bits of the contract on every level, or an error where it gives none.
pub fn weights_bits(levels: &[Level], weights: &[f32], uniforms: &[f64]) {
    let error = weight_error(0, weights);
    for &level in levels {
        for &u in uniforms {
            let mut draws = [Ok(Draw::default())];
            let rows = one(weights);
            level.sample_from_probs(rows, &[u], &mut draws).expect("shapes fit");
            let expected = contract::sample_from_probs(weights, u).ok_or(error);
            let draw = draws[0].map(|draw| (draw.token, draw.logprob.to_bits()));
            let expected = expected.map(|(token, p)| (token, p.to_bits()));
            assert_eq!(draw, expected, "{level}, {} weights, u = {u:e}", weights.len());
        }
    }
}

/// The token and its log-probability.
pub fn draw<L: Logit>(
    level: Level,
    row: &[L],
    temperature: Temperature,
    uniform: f64,
) -> Result<Draw, RowError> {
    let mut draws = [Ok(Draw::default())];
    let rows = one(row);
    level.sample(rows, &[temperature], &[uniform], &mut draws).expect("shapes fit");
    draws[0]
}

/// Why these logits, as this row of a batch, cannot be served (if they cannot).
pub fn row_error(row: usize, logits: &[f32]) -> RowError {
    match logits.iter().position(|x| x.is_nan() || *x == f32::INFINITY) {
        Some(index) => RowError::Logit { row, index, value: logits[index] },
        None => RowError::NothingToDraw { row },
    }
}

/// Why these weights, as this row of a batch, cannot be served (if they cannot).
pub fn weight_error(row: usize, weights: &[f32]) -> RowError {
    match weights.iter().position(|w| !(0.0..f32::INFINITY).contains(w)) {
        Some(index) => RowError::Weight { row, index, value: weights[index] },
        None => RowError::NothingToDraw { row },
    }
}

/// Runs a kernel that writes rows, with gaps around the row that must stay as they are.
pub fn run(level: Level, kernel: &str, row: &[f32], t: &[Temperature]) -> (Vec<f32>, FailedRows) {
    let (vocab, stride) = (row.len(), row.len() + 3);
    let mut data = vec![GAP; stride + vocab];
    let mut out = data.clone();
    data[..vocab].copy_from_slice(row);
    data[stride..].fill(0.5);
    let logits = Rows::with_stride(&data, 2, vocab, stride).expect("two rows");
    if kernel.ends_with("in place") {
        out.copy_from_slice(&data);
    }
    let mut rows = RowsMut::with_stride(&mut out, 2, vocab, stride).expect("two rows");
    let errors = call(level, kernel, logits, t, &mut rows);
    assert!(out[vocab..stride].iter().all(|x| x.to_bits() == GAP.to_bits()), "{kernel} wrote into a gap");
    assert!(out[stride..].iter().all(|x| !x.is_nan()), "{kernel} did not serve the good row");
    out.truncate(vocab);
    (out, errors)
}

/// Calls a kernel that writes rows. Returns those that it could not serve.
pub fn call(
    level: Level,
    kernel: &str,
    logits: Rows<'_>,
    t: &[Temperature],
    rows: &mut RowsMut<'_>,
) -> FailedRows {
    let errors = match kernel {
        "scale" => level.scale(logits, t, rows),
        "softmax" => level.softmax(logits, t, rows),
        "log_softmax" => level.log_softmax(logits, t, rows),
        "scale in place" => level.scale_in_place(rows, t),
        "softmax in place" => level.softmax_in_place(rows, t),
        "log_softmax in place" => level.log_softmax_in_place(rows, t),
        other => panic!("no kernel {other}"),
    };
    errors.expect("shapes fit")
}

/// Equal bits, a NaN being equal to any other.
pub fn same_bits(values: &[f32], expected: &[f32], context: &str) {
    assert_eq!(values.len(), expected.len(), "{context}");
    for (i, (x, e)) in values.iter().zip(expected).enumerate() {
        let same = x.to_bits() == e.to_bits() || (x.is_nan() && e.is_nan());
        assert!(
            same,
            "{context}: element {i} is {x:e} ({:08x}), not {e:e} ({:08x})",
            x.to_bits(),
            e.to_bits()
        );
    }
}

/// The probabilities, their logarithms and the logarithm of the sum are near the truth.
///
/// The bounds are derived in `docs/numerics.md`: 6 x 2^-23 relative, where a probability of 2^-100 or less
/// may be 0 instead, and one below 2^-125 is (but for a rounding).
pub fn values(level: Level, row: &[f32], temperature: f32) {
    let t = [super::temperature(temperature)];
    let Some(truth) = oracle::softmax(row, temperature) else {
        assert!(!run(level, "softmax", row, &t).1.is_empty(), "{level}: a row without truth was served");
        return;
    };
    let (probs, _) = run(level, "softmax", row, &t);
    for (i, (&p, &e)) in probs.iter().zip(&truth).enumerate() {
        let context =
            || format!("{level}, T = {temperature:e}, token {i} of {}: {p:e}, not {e:e}", row.len());
        let error = 6.0 * f64::from(f32::EPSILON);
        if e < (-125_f64).exp2() * (1.0 - error) {
            assert_eq!(p.to_bits(), 0, "{}", context());
        } else if e > (-100_f64).exp2() || p != 0.0 {
            assert!((f64::from(p) / e - 1.0).abs() <= error, "{}", context());
        }
    }
    let (logs, _) = run(level, "log_softmax", row, &t);
    for (&y, e) in logs.iter().zip(oracle::log_softmax(row, temperature).expect("served")) {
        assert!(near_log(f64::from(y), e), "{level}, T = {temperature:e}: log {y:e}, not {e:e}");
    }
    let mut sums = [Ok(f64::NAN)];
    level.log_sum_exp(one(row), &t, &mut sums).expect("shapes fit");
    let (sum, e) = (sums[0].expect("served"), oracle::log_sum_exp(row, temperature).expect("served"));
    let near = sum == e || (sum - e).abs() <= (-21_f64).exp2() + e.abs() * (-50_f64).exp2();
    assert!(near, "{level}, T = {temperature:e}: log_sum_exp {sum:e}, not {e:e}");
}

/// A log-probability within 2^-21 + 2^-22 (relative) of the truth. Where that reaches below all f32, it may
/// be -inf: its larger part is rounded to f32 before the smaller one is added, and may overflow.
pub fn near_log(y: f64, truth: f64) -> bool {
    let bound = (-21_f64).exp2() + truth.abs() * (-22_f64).exp2();
    let beyond_f32 = truth - bound < f64::from(f32::MIN) && y == f64::NEG_INFINITY;
    beyond_f32 || y == truth || (y - truth).abs() <= bound
}
