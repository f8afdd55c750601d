//! The fuzz targets of what draws many tokens from one row.

use super::case::{Case, Row};
use super::check::{self, row_error};
use super::properties::in_interval;
use super::{LAST_UNIFORM, one, order_of_distinct, resolution, temperature};
use kelvin::reference::{contract, oracle};
use kelvin::{AliasTable, Cdf, Level, RowError, Temperature, Uniforms};

/// A table draws what `sample` draws, and distinct tokens are distinct and weigh something, on every level.
pub fn draws(bytes: &[u8]) {
    let case = Case::decode(bytes);
    let mut tables = [Cdf::default(), Cdf::default()];
    for row in &case.rows {
        let uniforms = uniforms(row);
        for level in Level::available() {
            check_cdf(level, row, &uniforms, &mut tables);
        }
        check_many(row, &uniforms.repeat(1 + case.choice % 13));
        check_weights(row, &uniforms);
        check_distinct(row, &uniforms[..1 + case.choice % uniforms.len()]);
        if case.choice.is_multiple_of(16) {
            check_few(row, &uniforms[..2]);
        }
    }
}

/// A table has the distribution of its row, and never answers with a token of weight 0.
pub fn alias(bytes: &[u8]) {
    let case = Case::decode(bytes);
    let mut table = AliasTable::default();
    for row in &case.rows {
        let probs = contract::softmax(&row.logits, row.temperature);
        for level in Level::available() {
            let built = level.rebuild_alias(&mut table, one(&row.logits), 0, t(row));
            assert_eq!(built.err(), probs.is_none().then(|| row_error(0, &row.logits)), "{level}");
            if let Some(probs) = &probs {
                check_table(&table, probs, row.uniform);
            }
        }
        let weights: Vec<f32> = row.logits.iter().map(|x| x.abs()).collect();
        let built = table.rebuild_from_probs(one(&weights), 0);
        assert_eq!(built.is_ok(), contract::sample_from_probs(&weights, 0.5).is_some());
        if built.is_ok() {
            check_table(&table, &weights, row.uniform);
        }
    }
}

fn t(row: &Row) -> Temperature {
    temperature(row.temperature)
}

/// The row's own, those beside it, both ends, and some between.
fn uniforms(row: &Row) -> Vec<f64> {
    let u = row.uniform;
    let spread = (1..5).map(|i| (u + f64::from(i) * 0.2).fract());
    [u, u.next_up().min(LAST_UNIFORM), 0.0, LAST_UNIFORM].into_iter().chain(spread).collect()
}

/// Twice: without a guide and with one, where it is kept.
fn check_cdf(level: Level, row: &Row, uniforms: &[f64], tables: &mut [Cdf; 2]) {
    for (guided, cdf) in tables.iter_mut().enumerate() {
        let built = level.rebuild_cdf(cdf, one(&row.logits), 0, t(row));
        if guided == 1 {
            cdf.add_guide();
        }
        for &u in uniforms {
            let expected = contract::sample(&row.logits, row.temperature, u).map(|(token, _)| token);
            let drawn = built.map(|()| cdf.draw(u).expect("a table"));
            let context = || format!("{level}, T = {:e}, u = {u:e}, guided: {guided}", row.temperature);
            assert_eq!(drawn, expected.ok_or_else(|| row_error(0, &row.logits)), "{}", context());
        }
    }
}

fn check_many(row: &Row, uniforms: &[f64]) {
    let mut tokens = vec![0; uniforms.len()];
    let given = Uniforms::Given(uniforms);
    let failed = kelvin::sample_many(one(&row.logits), &[t(row)], given, &mut tokens).expect("shapes fit");
    let served = failed.into_result();
    for (&u, token) in uniforms.iter().zip(tokens) {
        assert_eq!(
            served.map(|()| token),
            check::draw(Level::best(), &row.logits, t(row), u).map(|draw| draw.token)
        );
    }
}

/// A few draws from so long a row that no table is made.
fn check_few(row: &Row, uniforms: &[f64]) {
    check_many(&row.repeated(6000 * uniforms.len()), uniforms);
}

/// The sizes of the logits as weights: on every level a table and a batch draw the contract's tokens, and
/// distinct tokens are the same, as many as there are.
fn check_weights(row: &Row, uniforms: &[f64]) {
    let weights: Vec<f32> = row.logits.iter().map(|x| x.abs()).collect();
    let (probs, given) = (one(&weights), Uniforms::Given(uniforms));
    let drawn = |&u: &f64| contract::sample_from_probs(&weights, u).map(|(token, _)| token);
    let Some(expected) = uniforms.iter().map(drawn).collect::<Option<Vec<u32>>>() else {
        return assert!(Cdf::from_probs(probs, 0).is_err(), "served");
    };
    let (mut cdf, mut distinct) = (Cdf::default(), None);
    let (wanted, available) = (uniforms.len(), weights.iter().filter(|w| **w > 0.0).count());
    let short = (available < wanted).then_some(RowError::TooFewTokens { row: 0, wanted, available });
    for level in Level::available() {
        let mut tokens = vec![0; wanted];
        level.rebuild_cdf_from_probs(&mut cdf, probs, 0).expect("servable");
        cdf.draw_many(uniforms, &mut tokens).expect("a table");
        assert_eq!(tokens, expected, "{level}");
        let failed = level.sample_many_from_probs(probs, given, &mut tokens).expect("shapes fit");
        assert_eq!((failed.first(), &tokens), (None, &expected), "{level}");
        let failed = level.sample_from_probs_without_replacement(probs, given, &mut tokens);
        assert_eq!(failed.expect("shapes fit").first(), short.as_ref(), "{level}");
        assert_eq!(distinct.get_or_insert_with(|| tokens.clone()), &tokens, "{level}");
    }
}

/// The same on every level; the first from its true interval; a shortage only where tokens are short.
fn check_distinct(row: &Row, uniforms: &[f64]) {
    let draw = |level: Level| -> Result<Vec<u32>, RowError> {
        let mut tokens = vec![0; uniforms.len()];
        let failed = level
            .sample_without_replacement(one(&row.logits), &[t(row)], Uniforms::Given(uniforms), &mut tokens)
            .expect("shapes fit");
        failed.into_result().map(|()| tokens)
    };
    let drawn = draw(Level::best());
    for level in Level::available() {
        assert_eq!(draw(level), drawn, "{level}");
    }
    let tokens = match drawn {
        Ok(tokens) => tokens,
        Err(error) => return assert_eq!(error, expected_failure(row, uniforms.len())),
    };
    let probs = oracle::softmax(&row.logits, row.temperature).expect("served");
    let order = order_of_distinct(probs.len());
    let (in_order, place): (Vec<f64>, _) = (
        order.iter().map(|&token| probs[token]).collect(),
        order.iter().position(|&t| t == tokens[0] as usize),
    );
    assert!(in_interval(&in_order, place.expect("a token"), uniforms[0]), "{tokens:?} of {:e}", uniforms[0]);
    for (i, &token) in tokens.iter().enumerate() {
        assert!(!tokens[..i].contains(&token), "{tokens:?}");
        assert!(row.logits[token as usize] > f32::NEG_INFINITY, "{token} is masked");
    }
}

/// Why so many distinct tokens cannot be drawn: the row is bad, or has too few that are not masked (at T = 0,
/// more than one is too many), however improbable.
fn expected_failure(row: &Row, wanted: usize) -> RowError {
    if oracle::softmax(&row.logits, row.temperature).is_none() {
        return row_error(0, &row.logits);
    }
    let not_masked = row.logits.iter().filter(|x| **x > f32::NEG_INFINITY).count();
    let available = if t(row).is_greedy() { 1 } else { not_masked };
    RowError::TooFewTokens { row: 0, wanted, available }
}

/// Its distribution is the weights', to what its thresholds resolve; no column answers with a token of weight
/// 0.
fn check_table(table: &AliasTable, weights: &[f32], uniform: f64) {
    let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let induced = table.probabilities();
    let distance = |(p, &w): (&f64, &f32)| (p - f64::from(w) / sum).abs() / 2.0;
    let total: f64 = induced.iter().zip(weights).map(distance).sum();
    assert!(total <= resolution(weights.len()), "{} weights: {total:e}", weights.len());
    for word in [0, 1, u64::MAX, (uniform * 18_446_744_073_709_551_616.0) as u64] {
        let token = table.draw(word).expect("a table") as usize;
        assert!(weights[token] > 0.0, "word {word:x}: token {token} weighs 0");
    }
}
