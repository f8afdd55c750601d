//! Batches of many draws from each row, counts, and the choice of a table.

mod common;

use common::{drawn_by_tables, gaussian, in_pool, levels, nine_rows, one, temperature};
use kelvin::{
    AliasTable, Cdf, Draws, Error, FailedRows, Key, RowError, Rows, Temperature, Uniforms, draw_counts,
    draw_counts_from_probs, sample_many,
};

const KEY: Key = Key { seed: 4, position: 2 };

/// Each row has its own outcome; keys and uniforms, batches and single tables give the same tokens, in any
/// pool, on every level; with so few draws that there is no table, with fewer than groups in a row, and with
/// more than three for each.
#[test]
fn a_batch_draws_what_tables_of_its_rows_draw() {
    for draws in [11, 37, 1700] {
        check_batch(draws);
    }
}

fn check_batch(draws: usize) {
    let (rows, vocab) = (9, 70_000);
    let (data, t, keys, errors) = nine_rows(vocab);
    let logits = Rows::new(&data, vocab).expect("rows");
    let mut uniforms = vec![0.0; rows * draws];
    uniforms.chunks_mut(draws).zip(&keys).for_each(|(u, key)| key.fill(u));
    let expected = drawn_by_tables(&keys, draws, |row| Cdf::new(logits, row, t[row]), Cdf::draw_keyed);
    for (level, threads) in levels().into_iter().flat_map(|level| [(level, 1), (level, 3)]) {
        for source in [Uniforms::Keys(&keys), Uniforms::Given(&uniforms)] {
            let mut tokens = vec![0; rows * draws];
            let failed =
                in_pool(threads, || level.sample_many(logits, &t, source, &mut tokens)).expect("shapes fit");
            assert_eq!((&*failed, &tokens), (&errors[..], &expected), "{level}, {threads}");
        }
    }
    let weights: Vec<f32> = data.iter().map(|x| x.exp2()).collect();
    let probs = Rows::new(&weights, vocab).expect("rows");
    let expected = drawn_by_tables(&keys, draws, |row| Cdf::from_probs(probs, row), Cdf::draw_keyed);
    for level in levels() {
        for source in [Uniforms::Keys(&keys), Uniforms::Given(&uniforms)] {
            let mut tokens = vec![0; rows * draws];
            let failed = level.sample_many_from_probs(probs, source, &mut tokens).expect("shapes fit");
            assert_eq!(failed.iter().map(RowError::row).collect::<Vec<_>>(), [1, 4]);
            assert_eq!(tokens, expected, "{level}");
        }
    }
}

#[test]
fn calls_that_do_not_fit() {
    let logits = one(&[1.0, 2.0]);
    let mut tokens = [7; 3];
    let t = [Temperature::ONE];
    let uniforms = [0.1, 0.2, 1.0];
    let outside = |index| Error::Uniform { index, value: 1.0 };
    assert_eq!(sample_many(logits, &t, Uniforms::Given(&uniforms), &mut tokens), Err(outside(2)));
    let length = Error::Length { of: "uniforms", expected: 3, found: 2 };
    assert_eq!(sample_many(logits, &t, Uniforms::Given(&uniforms[..2]), &mut tokens), Err(length));
    let length = Error::Length { of: "keys", expected: 1, found: 0 };
    assert_eq!(sample_many(logits, &t, Uniforms::Keys(&[]), &mut tokens), Err(length));
    let two = Rows::new(&[1.0, 2.0], 1).expect("rows");
    let length = Error::Length { of: "tokens (the same number for each row)", expected: 4, found: 3 };
    assert_eq!(sample_many(two, &t, Uniforms::Keys(&[KEY, KEY]), &mut tokens), Err(length));
    assert_eq!(tokens, [7; 3]);
    let cdf = Cdf::new(logits, 0, t[0]).expect("servable");
    assert_eq!(cdf.draw(1.0), Err(outside(0)));
    assert!(matches!(cdf.draw(f64::NAN), Err(Error::Uniform { .. })));
    assert_eq!(cdf.draw_many(&uniforms, &mut tokens), Err(outside(2)));
    assert_eq!(Cdf::default().draw(0.5), Err(Error::EmptyTable));
    assert_eq!(Cdf::default().draw_keyed(KEY, &mut tokens), Err(Error::EmptyTable));
    assert_eq!(tokens, [7; 3]);
    assert_eq!(Cdf::new(logits, 1, t[0]).err(), Some(RowError::NoSuchRow { row: 1 }));
    assert_eq!(sample_many(logits, &t, Uniforms::Given(&[]), &mut []), Ok(FailedRows::default()));
}

#[test]
fn counts_are_those_of_the_draws() {
    let row = gaussian(3000, 2.0, 5);
    for draws in [0, 1, 255, 256, 5000, 20_000] {
        let counts = draw_counts(one(&row), 0, temperature(0.5), KEY, draws).expect("servable");
        let mut tokens = vec![0; draws as usize];
        Cdf::new(one(&row), 0, temperature(0.5))
            .expect("servable")
            .draw_keyed(KEY, &mut tokens)
            .expect("fits");
        let mut uniforms = vec![0.0; draws as usize];
        KEY.fill(&mut uniforms);
        let cdf = Cdf::new(one(&row), 0, temperature(0.5)).expect("servable");
        assert_eq!(cdf.count_many(&uniforms).expect("in range"), counts);
        tokens.sort_unstable();
        let expected: Vec<(u32, u64)> =
            tokens.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect();
        assert_eq!(counts, expected);
    }
    let weights: Vec<f32> = row.iter().map(|x| x.max(0.0)).collect();
    let cdf = Cdf::from_probs(one(&weights), 0).expect("servable");
    for draws in [9, 20_000] {
        let counts = draw_counts_from_probs(one(&weights), 0, KEY, draws).expect("servable");
        assert_eq!(Ok(counts), cdf.count_keyed(KEY, draws));
    }
    // Row 1 of two.
    let both = [vec![0.0; 3000], weights.clone()].concat();
    let both = Rows::new(&both, 3000).expect("rows");
    let alone = draw_counts(one(&weights), 0, temperature(0.5), KEY, 90);
    assert_eq!(draw_counts(both, 1, temperature(0.5), KEY, 90), alone);
    assert_eq!(draw_counts_from_probs(both, 1, KEY, 90), draw_counts_from_probs(one(&weights), 0, KEY, 90));
    for level in levels() {
        assert_eq!(level.draw_counts(both, 1, temperature(0.5), KEY, 90), alone, "{level}");
        let of_weights = level.draw_counts_from_probs(both, 1, KEY, 90);
        assert_eq!(of_weights, draw_counts_from_probs(both, 1, KEY, 90), "{level}");
        let missing = [
            level.draw_counts(both, 2, temperature(0.5), KEY, 90),
            level.draw_counts_from_probs(both, 2, KEY, 90),
        ];
        assert_eq!(missing, [0; 2].map(|_| Err(RowError::NoSuchRow { row: 2 })));
    }
    let error = RowError::Weight { row: 0, index: 1, value: -1.0 };
    assert_eq!(draw_counts_from_probs(one(&[1.0, -1.0]), 0, KEY, 9), Err(error));
    assert_eq!(draw_counts(one(&row), 0, temperature(0.0), KEY, 9).expect("servable").len(), 1);
    assert_eq!(Cdf::default().count_keyed(KEY, 9), Err(Error::EmptyTable));
    assert_eq!(Cdf::default().count_many(&[0.5]), Err(Error::EmptyTable));
    let cdf = Cdf::new(one(&row), 0, temperature(0.5)).expect("servable");
    assert_eq!(cdf.count_many(&[0.5, -0.5]), Err(Error::Uniform { index: 1, value: -0.5 }));
}

/// Fewer than 64 + vocab / 10 draws are for a Cdf. From there on it depends on the tokens above the mean, of
/// which there are none, a few or nearly half; or the row is greedy, or not to be served.
#[test]
fn choice_by_the_number_of_draws() {
    let row = gaussian(1000, 2.0, 5);
    let chosen = |row: &[f32], t: f32| letters(|draws| Draws::auto(one(row), 0, temperature(t), draws));
    assert_eq!(chosen(&row, 0.2), ['c', 'c', 'a', 'a', 'a']);
    assert_eq!(chosen(&row, 5.0), ['c', 'c', 'c', 'c', 'a']);
    let negative: Vec<f32> = row.iter().map(|x| x - 20.0).collect();
    for t in [0.0, 1e-45] {
        assert_eq!([chosen(&row, t), chosen(&negative, t)], [['c', 'c', 'a', 'a', 'a']; 2]);
    }
    for x in [0.1, 1.0, -37.5] {
        for t in [0.7, 0.8, 1.0, 1e12, f32::INFINITY] {
            assert_eq!(chosen(&[x; 1000], t), ['c', 'c', 'a', 'a', 'a'], "{x}, {t}");
        }
    }
    // Half of them masked: the others are above the mean.
    let masked: Vec<f32> = (0..1000).map(|i| if i % 2 == 0 { f32::NEG_INFINITY } else { -37.5 }).collect();
    for t in [0.7, 1e12, 1e38, f32::INFINITY] {
        assert_eq!(chosen(&masked, t), ['c', 'c', 'c', 'c', 'a'], "{t}");
    }
    assert_eq!(chosen(&[f32::NAN; 1000], 1.0), ['e'; 5]);
    assert_eq!(chosen(&row[..7], 1.0), ['c', 'a', 'a', 'a', 'a']);
    let of_weights = |weights: &[f32]| letters(|draws| Draws::auto_from_probs(one(weights), 0, draws));
    let softmax = |t: f32| row.iter().map(|x| (x / t).exp()).collect::<Vec<_>>();
    assert_eq!(of_weights(&softmax(0.2)), ['c', 'c', 'a', 'a', 'a']);
    assert_eq!(of_weights(&softmax(5.0)), ['c', 'c', 'c', 'c', 'a']);
    assert_eq!(of_weights(&[-1.0; 1000]), ['e'; 5]);
    assert!(matches!(Draws::auto(one(&row), 1, temperature(1.0), 500), Err(RowError::NoSuchRow { row: 1 })));
}

/// What is chosen for five numbers of draws: a Cdf, an alias table, or an error.
fn letters(choose: impl Fn(usize) -> Result<Draws, RowError>) -> [char; 5] {
    [50, 160, 250, 650, 1100].map(|draws| match choose(draws) {
        Ok(Draws::Cdf(_)) => 'c',
        Ok(Draws::Alias(_)) => 'a',
        _ => 'e',
    })
}

#[test]
fn either_table_draws_by_keys_and_words() {
    let row = gaussian(1000, 2.0, 5);
    let draws = |n| Draws::auto(one(&row), 0, temperature(0.5), n).expect("servable");
    let (few, many) = (draws(1), draws(10_000));
    assert_eq!((few.vocab(), many.vocab()), (1000, 1000));
    let (cdf, alias) =
        (Cdf::new(one(&row), 0, temperature(0.5)), AliasTable::new(one(&row), 0, temperature(0.5)));
    let (mut tokens, mut expected) = ([0; 50], [0; 50]);
    few.draw_keyed(KEY, &mut tokens).expect("a table");
    cdf.expect("servable").draw_keyed(KEY, &mut expected).expect("a table");
    assert_eq!(tokens, expected);
    let mut words = [0; 50];
    KEY.fill_words(&mut words);
    assert_eq!(words.map(|word| few.draw(word).expect("a table")), expected);
    few.draw_many(&words, &mut tokens).expect("one token per word");
    assert_eq!(tokens, expected);
    many.draw_keyed(KEY, &mut tokens).expect("a table");
    alias.expect("servable").draw_keyed(KEY, &mut expected).expect("a table");
    assert_eq!(tokens, expected);
    assert_eq!(words.map(|word| many.draw(word).expect("a table")), expected);
    many.draw_many(&words, &mut tokens).expect("one token per word");
    assert_eq!(tokens, expected);
    let empty = || [Draws::Cdf(Cdf::default()), Draws::Alias(AliasTable::default())];
    for draws in [few, many].into_iter().chain(empty()) {
        let short = Err(Error::Length { of: "tokens", expected: 50, found: 49 });
        assert_eq!(draws.draw_many(&words, &mut tokens[1..]), short);
    }
    for draws in empty() {
        assert_eq!(draws.draw_many(&words, &mut tokens), Err(Error::EmptyTable));
    }
    assert_eq!(tokens, expected);
}
