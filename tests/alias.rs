//! The alias table: its distribution by enumeration of the words, and its draws.

mod common;

use common::statistics::{assert_fits, assert_follows, total_variation};
use common::{
    TEMPERATURES, drawn_by_tables, gaussian, in_pool, levels, nine_rows, odd_weights, one, resolution,
    shapes, temperature,
};
use kelvin::reference::oracle;
use kelvin::{AliasTable, Error, Key, RowError, Rows, Temperature, Words, sample_many_by_alias};

const QWEN: usize = 151_936;
const KEY: Key = Key { seed: 4, position: 2 };

fn exact(weights: &[f32]) -> Vec<f64> {
    let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    weights.iter().map(|&w| f64::from(w) / sum).collect()
}

/// The share of the 2^64 words that leads to each token, all of them counted: a column answers with its own
/// token up to some word, and from there on with its alias.
fn enumerate(table: &AliasTable) -> Vec<f64> {
    let (len, draw) = (table.vocab() as u128, |word: u128| table.draw(word as u64).expect("a table"));
    let mut words = vec![0; table.vocab()];
    for column in 0..len {
        let [start, end] = [column, column + 1].map(|column| (column << 64).div_ceil(len));
        let (own, alias) = (draw(start), draw(end - 1));
        let (mut from, mut to) = (start, end - 1);
        while from < to {
            let middle = from.midpoint(to);
            if draw(middle) == alias { to = middle } else { from = middle + 1 }
        }
        words[own as usize] += to - start;
        words[alias as usize] += end - to;
    }
    words.into_iter().map(|words| words as f64 / 64_f64.exp2()).collect()
}

#[test]
fn enumerated_distribution_is_that_of_the_weights() {
    for (shape, row) in shapes(QWEN) {
        for t in [0.1, 0.8, 5.0] {
            let truth = oracle::softmax(&row, t).expect("servable");
            let weights: Vec<f32> = truth.iter().map(|&p| p as f32).collect();
            let table = AliasTable::from_probs(one(&weights), 0).expect("servable");
            let distance = total_variation(&enumerate(&table), &exact(&weights));
            println!("{shape}, T = {t}: total variation {distance:.1e}, resolution {:.1e}", resolution(QWEN));
            assert!(distance <= resolution(QWEN), "{shape}: {distance:e}");
            let table = AliasTable::new(one(&row), 0, temperature(t)).expect("servable");
            let induced = enumerate(&table);
            let distance = total_variation(&induced, &truth);
            assert!(distance <= 1e-7, "{shape}, T = {t}, from logits: {distance:e}");
            let distance = total_variation(&induced, &table.probabilities());
            assert!(distance <= 1e-13, "{shape}, T = {t}, from the columns: {distance:e}");
        }
    }
}

#[test]
fn odd_weights_are_drawn_in_proportion() {
    let mut table = AliasTable::default();
    for weights in odd_weights() {
        table.rebuild_from_probs(one(&weights), 0).expect("servable");
        let (induced, exact) = (table.probabilities(), exact(&weights));
        let distance = total_variation(&induced, &exact);
        assert!(distance <= resolution(weights.len()), "{} weights: {distance:e}", weights.len());
        assert!((induced.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

/// A column of weight 0 never answers itself, wherever in it the word points.
#[test]
fn pytorch_zero_weight_is_never_chosen() {
    for weights in odd_weights() {
        let table = AliasTable::from_probs(one(&weights), 0).expect("servable");
        let len = weights.len() as u128;
        for index in 0..len {
            let first = (index << 64).div_ceil(len) as u64;
            let last = (((index + 1) << 64).div_ceil(len) - 1) as u64;
            for word in [first, first + 1, first + (last - first) / 2, last - 1, last] {
                let token = table.draw(word).expect("a table");
                assert!(weights[token as usize] > 0.0, "column {index} of {len}, word {word}");
            }
        }
    }
}

/// The words in equal steps draw in proportion to `probabilities`, to within one step per column.
#[test]
fn draws_are_those_of_the_columns() {
    const STEPS: u64 = 1 << 20;
    for weights in odd_weights().into_iter().step_by(7) {
        let table = AliasTable::from_probs(one(&weights), 0).expect("servable");
        let mut counts = vec![0.0; weights.len()];
        for step in 0..STEPS {
            counts[table.draw(step << 44).expect("a table") as usize] += 1.0 / STEPS as f64;
        }
        let distance = total_variation(&counts, &table.probabilities());
        assert!(distance <= 2.0 * weights.len() as f64 / STEPS as f64, "{distance}");
    }
}

#[test]
fn chi_square_and_kolmogorov_smirnov() {
    const DRAWS: usize = 2_000_000;
    let mut tokens = vec![0; DRAWS];
    for (shape, row) in shapes(1500) {
        let truth = oracle::softmax(&row, 0.9).expect("servable");
        let t = temperature(0.9);
        AliasTable::new(one(&row), 0, t).expect("servable").draw_keyed(KEY, &mut tokens).expect("a table");
        let mut counts = vec![0; row.len()];
        tokens.iter().for_each(|&token| counts[token as usize] += 1);
        assert_fits(&counts, &truth, DRAWS, shape);
        assert_follows(&counts, &truth, DRAWS, shape);
    }
}

/// The same columns on every level, or the same error; masked tokens and T = 0 and inf included.
#[test]
fn same_bits_on_every_level() {
    let (mut table, mut other) = (AliasTable::default(), AliasTable::default());
    for special in [0.0, f32::NEG_INFINITY, f32::NAN, f32::INFINITY] {
        let mut row = gaussian(2100, 3.0, 3);
        row[1100..1300].fill(f32::NEG_INFINITY);
        row[777] = special;
        for t in TEMPERATURES.map(temperature) {
            let expected = table.rebuild(one(&row), 0, t);
            for level in levels() {
                assert_eq!(level.rebuild_alias(&mut other, one(&row), 0, t), expected, "{level}");
                assert_eq!(other.probabilities(), table.probabilities(), "{level}, {t:?}");
            }
            if expected.is_ok() {
                assert!(table.probabilities()[1100..1300].iter().all(|p| *p == 0.0));
                assert!(!t.is_greedy() || table.probabilities().contains(&1.0));
            }
        }
    }
}

#[test]
fn rows_that_cannot_be_served() {
    let mut table = AliasTable::default();
    let error = |weights: &[f32]| AliasTable::from_probs(one(weights), 0).err();
    assert_eq!(error(&[1.0, -1.0]), Some(RowError::Weight { row: 0, index: 1, value: -1.0 }));
    assert_eq!(error(&[0.0, 0.0]), Some(RowError::NothingToDraw { row: 0 }));
    assert_eq!(table.draw(1), Err(Error::EmptyTable));
    let rows = Rows::new(&[1.0, 2.0, f32::NAN, 1.0], 2).expect("rows");
    assert_eq!(table.rebuild(rows, 0, Temperature::ONE), Ok(()));
    let error = RowError::Logit { row: 1, index: 0, value: f32::NAN };
    assert_eq!(table.rebuild(rows, 1, Temperature::ONE), Err(error));
    assert_eq!((table.vocab(), table.draw(1)), (0, Err(Error::EmptyTable)));
    for t in [0.0, 1.0, f32::INFINITY].map(temperature) {
        assert_eq!(table.rebuild(rows, 2, t), Err(RowError::NoSuchRow { row: 2 }));
    }
    assert_eq!(table.rebuild_from_probs(rows, 3), Err(RowError::NoSuchRow { row: 3 }));
    assert_eq!(AliasTable::default().probabilities(), []);
}

/// Each row has its own outcome; keys and words, batches and single tables give the same tokens, in any pool.
#[test]
fn a_batch_draws_what_tables_of_its_rows_draw() {
    let (rows, vocab, draws) = (9, 70_000, 37);
    let (data, t, keys, errors) = nine_rows(vocab);
    let logits = Rows::new(&data, vocab).expect("rows");
    let mut words = vec![0; rows * draws];
    words.chunks_mut(draws).zip(&keys).for_each(|(words, key)| key.fill_words(words));
    let expected =
        drawn_by_tables(&keys, draws, |row| AliasTable::new(logits, row, t[row]), AliasTable::draw_keyed);
    for (level, threads) in levels().into_iter().flat_map(|level| [(level, 1), (level, 3)]) {
        for source in [Words::Keys(&keys), Words::Given(&words)] {
            let mut tokens = vec![0; rows * draws];
            let failed = in_pool(threads, || level.sample_many_by_alias(logits, &t, source, &mut tokens))
                .expect("shapes fit");
            assert_eq!((&*failed, &tokens), (&errors[..], &expected), "{level}, {threads}");
        }
    }
    let weights: Vec<f32> = data.iter().map(|x| x.exp2()).collect();
    let probs = Rows::new(&weights, vocab).expect("rows");
    let expected =
        drawn_by_tables(&keys, draws, |row| AliasTable::from_probs(probs, row), AliasTable::draw_keyed);
    for level in levels() {
        for source in [Words::Keys(&keys), Words::Given(&words)] {
            let mut tokens = vec![0; rows * draws];
            let failed =
                level.sample_many_from_probs_by_alias(probs, source, &mut tokens).expect("shapes fit");
            assert_eq!(failed.iter().map(RowError::row).collect::<Vec<_>>(), [1, 4]);
            assert_eq!(tokens, expected, "{level}");
        }
    }
}

#[test]
fn words_and_tokens_of_a_table_must_fit() {
    let row = one(&[0.5, 1.5, 1.0, -2.0]);
    let table = AliasTable::new(row, 0, Temperature::ONE).expect("servable");
    let (words, mut tokens) = ([0, 1 << 40, 1 << 62, u64::MAX], [77; 4]);
    let short = Err(Error::Length { of: "tokens", expected: 4, found: 3 });
    assert_eq!(table.draw_many(&words, &mut tokens[..3]), short);
    assert_eq!(AliasTable::default().draw_many(&words, &mut tokens), Err(Error::EmptyTable));
    let (empty, key) = (AliasTable::default(), Key { seed: 1, position: 0 });
    let drawn = [empty.draw_many(&[], &mut []), empty.draw_keyed(key, &mut [])];
    assert_eq!(drawn, [Err(Error::EmptyTable); 2]);
    assert_eq!(tokens, [77; 4]);
    table.draw_many(&words, &mut tokens).expect("one token per word");
    assert_eq!(tokens.map(Ok), words.map(|word| table.draw(word)));
}

#[test]
fn calls_that_do_not_fit() {
    let (logits, t) = (one(&[1.0, 2.0]), [Temperature::ONE]);
    let mut tokens = [7; 3];
    let length = |of, expected, found| Err(Error::Length { of, expected, found });
    assert_eq!(sample_many_by_alias(logits, &t, Words::Given(&[1, 2]), &mut tokens), length("words", 3, 2));
    assert_eq!(sample_many_by_alias(logits, &t, Words::Keys(&[]), &mut tokens), length("keys", 1, 0));
    assert_eq!(
        sample_many_by_alias(logits, &[], Words::Keys(&[KEY]), &mut tokens),
        length("temperatures (or one for all rows)", 1, 0)
    );
    assert_eq!(tokens, [7; 3]);
}

/// Logits from -700 to 0, and rounded sums in f32 that would swallow a tail: a thousandth of all, in a
/// million parts.
#[test]
fn pytorch_tail_is_not_swallowed() {
    let falling: Vec<f32> = (0..2000).map(|i| -0.35 * i as f32).collect();
    for t in [0.1, 1.0, 20.0] {
        let table = AliasTable::new(one(&falling), 0, temperature(t)).expect("servable");
        let truth = oracle::softmax(&falling, t).expect("servable");
        assert!(total_variation(&table.probabilities(), &truth) <= 1e-7, "T = {t}");
    }
    let mut weights = vec![1e-9; 1_000_001];
    weights[0] = 1.0;
    let induced = AliasTable::from_probs(one(&weights), 0).expect("servable").probabilities();
    assert!((induced[1..].iter().sum::<f64>() - 1e-3 / 1.001).abs() < 1e-9);
    assert!(induced.iter().all(|p| *p > 0.0));
}

/// PyTorch refuses more than 2^24 categories.
#[test]
fn pytorch_more_than_2_to_the_24_equal_categories() {
    let vocab = (1 << 24) + 5;
    let induced = AliasTable::from_probs(one(&vec![1.0; vocab]), 0).expect("servable").probabilities();
    let even = 1.0 / vocab as f64;
    assert!(induced.iter().all(|p| (p / even - 1.0).abs() < 1e-5));
}
