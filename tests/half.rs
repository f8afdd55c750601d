//! Rows of half precision give the bits of the same row widened to f32, on every level.

#![cfg(feature = "half")]

mod common;

use std::fmt::Debug;

use common::{TEMPERATURES, check, gaussian, levels, one, temperature, thinned};
use half::{bf16, f16};
use kelvin::reference::contract;
use kelvin::{
    AliasTable, Cdf, Draw, Draws, FailedRows, Key, Level, Logit, RowError, Rows, RowsMut, Temperature,
    Uniforms, Words,
};

/// Every one of the 65536 patterns is widened right: `scale` by 1 shows it, or the error does.
#[test]
fn every_pattern() {
    for level in levels() {
        every_pattern_of(level, f16::from_bits, f16::to_f32_const);
        every_pattern_of(level, bf16::from_bits, bf16::to_f32_const);
    }
}

fn every_pattern_of<L: Logit + Debug>(level: Level, from_bits: fn(u16) -> L, widen: fn(L) -> f32) {
    let all: Vec<L> = (0..=u16::MAX).map(from_bits).collect();
    let (good, bad): (Vec<L>, Vec<L>) = all.into_iter().partition(|&x| widen(x) < f32::INFINITY);
    let mut scaled = vec![0.0; good.len()];
    let mut out = RowsMut::new(&mut scaled, good.len()).expect("a row");
    assert_eq!(level.scale(one(&good), &[Temperature::ONE], &mut out), Ok(FailedRows::default()));
    for (&y, &x) in scaled.iter().zip(&good) {
        assert_eq!(y.to_bits(), widen(x).to_bits(), "{level} {x:?}");
    }
    let mut tokens = vec![Ok(7); bad.len()];
    level.argmax(Rows::new(&bad, 1).expect("rows"), &mut tokens).expect("shapes fit");
    for (row, (&x, token)) in bad.iter().zip(tokens).enumerate() {
        let Err(RowError::Logit { value, .. }) = token else { panic!("{level}: {x:?} was served") };
        assert!(value.is_nan() || value == f32::INFINITY, "{level}, row {row}: {value}");
    }
}

#[test]
fn every_kernel() {
    for len in [1, 15, 16, 17, 128, 511, 512, 513, 1000, 32_003] {
        let mut row = gaussian(len, 3.0, len as u64);
        if len > 9000 {
            row[3] = f32::NEG_INFINITY;
        }
        let f16s: Vec<f16> = row.iter().map(|&x| f16::from_f32_const(x)).collect();
        let bf16s: Vec<bf16> = row.iter().map(|&x| bf16::from_f32_const(x)).collect();
        for t in thinned(TEMPERATURES, 4) {
            let t = temperature(t);
            for level in levels() {
                let widened: Vec<f32> = f16s.iter().map(|x| x.to_f32_const()).collect();
                assert_eq!(results(level, &f16s, t), results(level, &widened, t), "f16, {level}, {t:?}");
                let widened: Vec<f32> = bf16s.iter().map(|x| x.to_f32_const()).collect();
                assert_eq!(results(level, &bf16s, t), results(level, &widened, t), "bf16, {level}, {t:?}");
            }
        }
    }
}

/// What every kernel that takes halves says of a row, as bits.
fn results<L: Logit>(
    level: Level,
    row: &[L],
    t: Temperature,
) -> (Vec<u32>, Vec<Result<Draw, RowError>>, u64) {
    let rows = one(row);
    let mut bits = vec![];
    for kernel in [Level::scale::<L>, Level::softmax::<L>, Level::log_softmax::<L>] {
        let mut out = vec![0.0; row.len()];
        let failed = kernel(level, rows, &[t], &mut RowsMut::new(&mut out, row.len()).expect("a row"));
        assert_eq!(failed, Ok(FailedRows::default()));
        bits.extend(out.iter().map(|x| x.to_bits()));
    }
    let draws = [0.0, 0.4, 0.999].map(|u| {
        let mut draws = [Ok(Draw::default())];
        level.sample(rows, &[t], &[u], &mut draws).expect("shapes fit");
        draws[0]
    });
    let (mut token, mut sum) = ([Ok(0)], [Ok(0.0)]);
    level.argmax(rows, &mut token).expect("shapes fit");
    level.log_sum_exp(rows, &[t], &mut sum).expect("shapes fit");
    bits.extend(token[0]);
    (bits, draws.to_vec(), sum[0].expect("servable").to_bits())
}

/// A row that cannot be served has the error of the widened row.
#[test]
fn bad_rows_fail_as_in_f32() {
    bad_rows(f16::from_f32_const, f16::to_f32_const);
    bad_rows(bf16::from_f32_const, bf16::to_f32_const);
}

fn bad_rows<L: Logit>(narrow: fn(f32) -> L, widen: fn(L) -> f32) {
    let at_600 = |x| (0..1000).map(|i| if i == 600 { x } else { 1.0 }).collect::<Vec<_>>();
    let error = |value| RowError::Logit { row: 0, index: 600, value };
    let rows = [
        (at_600(f32::NAN), error(f32::NAN)),
        (at_600(f32::INFINITY), error(f32::INFINITY)),
        (vec![f32::NEG_INFINITY; 777], RowError::NothingToDraw { row: 0 }),
    ];
    for ((row, error), level) in
        rows.iter().flat_map(|row| levels().into_iter().map(move |level| (row, level)))
    {
        let narrow_row: Vec<L> = row.iter().map(|&x| narrow(x)).collect();
        let wide: Vec<f32> = narrow_row.iter().map(|&x| widen(x)).collect();
        for t in [0.0, 1e-3, 1.0, f32::INFINITY].map(temperature) {
            let drawn = [check::draw(level, &wide, t, 0.5), check::draw(level, &narrow_row, t, 0.5)];
            assert_eq!(drawn, [Err(*error); 2], "{level}, {t}");
            // What a bad row leaves behind harms no other.
            assert!(check::draw(level, &[narrow(0.0)], t, 0.5).is_ok());
        }
    }
}

/// What draws many tokens takes rows of all types too, of logits and of weights.
#[test]
fn tables_and_distinct_tokens_are_those_of_the_widened_row() {
    let (row, mut masked) = (gaussian(1300, 3.0, 5), gaussian(9000, 3.0, 5));
    masked[3] = f32::NEG_INFINITY;
    for (level, row) in levels().into_iter().flat_map(|level| [(level, &row), (level, &masked)]) {
        let halves: Vec<f16> = row.iter().map(|&x| f16::from_f32_const(x)).collect();
        let wide: Vec<f32> = halves.iter().map(|x| x.to_f32_const()).collect();
        assert_eq!(many(level, &halves, f16::to_f32_const), many(level, &wide, |x| x), "f16, {level}");
        let halves: Vec<bf16> = row.iter().map(|&x| bf16::from_f32_const(x)).collect();
        let wide: Vec<f32> = halves.iter().map(|x| x.to_f32_const()).collect();
        assert_eq!(many(level, &halves, bf16::to_f32_const), many(level, &wide, |x| x), "bf16, {level}");
    }
}

/// What all functions that draw many tokens draw from a row, and from those of its numbers that are above 0,
/// as weights.
fn many<L: Logit>(level: Level, row: &[L], widen: fn(L) -> f32) -> (Vec<[u32; 300]>, Vec<Vec<f64>>, Counts) {
    let positive: Vec<L> = row.iter().copied().filter(|&x| widen(x) > 0.0).collect();
    let logits = one(row);
    let probs = one(&positive);
    let (t, keys) = ([temperature(0.7)], [Key { seed: 3, position: 4 }]);
    let (uniforms, words) = (Uniforms::Keys(&keys), Words::Keys(&keys));
    let mut tokens = vec![[0; 300]; 7];
    let [a, b, c, d, e, f, g] = &mut tokens[..] else { unreachable!() };
    let failed = [
        level.sample_many(logits, &t, uniforms, a),
        level.sample_without_replacement(logits, &t, uniforms, b),
        level.sample_many_by_alias(logits, &t, words, c),
        level.sample_many_from_probs(probs, uniforms, d),
        level.sample_from_probs_without_replacement(probs, uniforms, e),
        level.sample_many_from_probs_by_alias(probs, words, f),
    ];
    assert_eq!(failed, [0; 6].map(|_| Ok(FailedRows::default())));
    let mut cdf = Cdf::default();
    level.rebuild_cdf_from_probs(&mut cdf, probs, 0).expect("servable");
    cdf.draw_keyed(keys[0], g).expect("a table");
    let mut tables = [AliasTable::default(), AliasTable::default()];
    level.rebuild_alias(&mut tables[0], logits, 0, t[0]).expect("servable");
    level.rebuild_alias_from_probs(&mut tables[1], probs, 0).expect("servable");
    let counts = [
        level.draw_counts(logits, 0, t[0], keys[0], 500),
        level.draw_counts_from_probs(probs, 0, keys[0], 500),
    ];
    (tokens, tables.map(|table| table.probabilities()).into(), counts)
}

type Counts = [Result<Vec<(u32, u64)>, RowError>; 2];

/// One token from each row of weights, the choice of a table, and what no weight may be.
#[test]
fn weights_are_those_of_the_widened_row() {
    let mut row: Vec<f32> = gaussian(1300, 3.0, 6).into_iter().map(f32::abs).collect();
    (row[3], row[4], row[600], row[601]) = (0.0, -0.0, 1e-7, 1e-40); // subnormal: the third as f16, the fourth as bf16
    row[700..900].fill(0.0);
    let f16s: Vec<f16> = row.iter().map(|&x| f16::from_f32_const(x)).collect();
    weights_of(&f16s, f16::to_f32_const, [f16::NEG_ONE, f16::NAN, f16::INFINITY]);
    let bf16s: Vec<bf16> = row.iter().map(|&x| bf16::from_f32_const(x)).collect();
    weights_of(&bf16s, bf16::to_f32_const, [bf16::NEG_ONE, bf16::NAN, bf16::INFINITY]);
}

fn weights_of<L: Logit>(row: &[L], widen: fn(L) -> f32, bad: [L; 3]) {
    let wide: Vec<f32> = row.iter().map(|&x| widen(x)).collect();
    let is_cdf = |draws: Result<Draws, RowError>| matches!(draws, Ok(Draws::Cdf(_)));
    for (level, len) in levels().into_iter().flat_map(|level| [1, 17, 512, 1300].map(|len| (level, len))) {
        let (rows, wide) = (one(&row[..len]), &wide[..len]);
        let mut draws = [Ok(Draw::default())];
        for u in [0.0, 0.3, 0.6, 0.999] {
            level.sample_from_probs(rows, &[u], &mut draws).expect("shapes fit");
            let expected = contract::sample_from_probs(wide, u);
            assert_eq!(draws[0].ok().map(|draw| (draw.token, draw.logprob)), expected, "{level}, {len}, {u}");
        }
        let of_wide = one(wide);
        for n in [100, 300, 900, 2000] {
            let chosen = [Draws::auto_from_probs(rows, 0, n), Draws::auto(rows, 0, Temperature::ONE, n)];
            let expected =
                [Draws::auto_from_probs(of_wide, 0, n), Draws::auto(of_wide, 0, Temperature::ONE, n)];
            assert_eq!(chosen.map(is_cdf), expected.map(is_cdf), "{len}, {n}");
        }
        for (bad, index) in bad.into_iter().zip([0, len / 2, len - 1]) {
            let mut row = row[..len].to_vec();
            row[index] = bad;
            let rows = one(&row);
            level.sample_from_probs(rows, &[0.5], &mut draws).expect("shapes fit");
            let error = RowError::Weight { row: 0, index, value: widen(bad) };
            assert_eq!(draws[0], Err(error), "{level}");
            assert_eq!(level.rebuild_alias_from_probs(&mut AliasTable::default(), rows, 0), Err(error));
            assert_eq!(level.rebuild_cdf_from_probs(&mut Cdf::default(), rows, 0), Err(error));
        }
    }
}
