//! Distinct tokens: the probability of every sequence, and rows that run out.

mod common;

use common::statistics::assert_fits;
use common::{
    LAST_UNIFORM, gaussian, in_pool, levels, one, order_of_distinct, shapes, temperature, uniforms,
};
use kelvin::reference::{contract, oracle};
use kelvin::{
    Error, Key, Level, RowError, Rows, Temperature, Uniforms, argmax, sample_from_probs_without_replacement,
    sample_without_replacement,
};

/// k distinct tokens, or why not.
fn draw(row: &[f32], t: f32, uniforms: &[f64]) -> Result<Vec<u32>, RowError> {
    draw_on(Level::best(), row, t, uniforms)
}

fn draw_on(level: Level, row: &[f32], t: f32, uniforms: &[f64]) -> Result<Vec<u32>, RowError> {
    let mut tokens = vec![0; uniforms.len()];
    let t = [temperature(t)];
    let failed = level
        .sample_without_replacement(one(row), &t, Uniforms::Given(uniforms), &mut tokens)
        .expect("shapes fit");
    failed.into_result().map(|()| tokens)
}

fn draw_from_probs(weights: &[f32], uniforms: &[f64]) -> Result<Vec<u32>, RowError> {
    let mut tokens = vec![0; uniforms.len()];
    let failed = sample_from_probs_without_replacement(one(weights), Uniforms::Given(uniforms), &mut tokens)
        .expect("shapes fit");
    failed.into_result().map(|()| tokens)
}

/// The probability of a sequence: each token out of those that are left.
fn sequence(p: &[f64], tokens: &[usize]) -> f64 {
    let (mut left, mut probability) = (1.0, 1.0);
    for (i, &token) in tokens.iter().enumerate() {
        if tokens[..i].contains(&token) {
            return 0.0;
        }
        probability *= p[token] / left;
        left -= p[token];
    }
    probability
}

/// Every sequence of two and of three, from logits and from weights.
#[test]
fn sequences_of_two_and_three() {
    const DRAWS: usize = 300_000;
    let row = [0.5, -1.0, f32::NEG_INFINITY, 2.0, 0.0, 1.0, -2.0];
    let p = oracle::softmax(&row, 0.8).expect("servable");
    let weights: Vec<f32> = p.iter().map(|&p| (p * 9.0) as f32).collect();
    let n = row.len();
    for k in [2, 3] {
        let cells = n.pow(k as u32);
        let digits = |cell: usize| (0..k).map(|i| cell / n.pow(i as u32) % n).collect::<Vec<_>>();
        let exact: Vec<f64> = (0..cells).map(|cell| sequence(&p, &digits(cell))).collect();
        assert!((exact.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for from_probs in [false, true] {
            let mut counts = vec![0; cells];
            for uniforms in uniforms(DRAWS * k, k as u64).chunks(k) {
                let tokens =
                    if from_probs { draw_from_probs(&weights, uniforms) } else { draw(&row, 0.8, uniforms) };
                let tokens = tokens.expect("servable");
                let cell: usize = tokens.iter().rev().fold(0, |cell, &token| cell * n + token as usize);
                counts[cell] += 1;
            }
            let impossible = counts.iter().zip(&exact).any(|(count, p)| *count > 0 && *p == 0.0);
            assert!(!impossible);
            assert_fits(&counts, &exact, DRAWS, &format!("{k} of {n}"));
        }
    }
}

/// Successive sampling, everything summed anew for each draw. `sample` draws from what is left, in the order
/// of the search.
fn successive(
    row: &[f32],
    uniforms: &[f64],
    taken: f32,
    sample: impl Fn(&[f32], f64) -> Option<usize>,
) -> Vec<u32> {
    let order = order_of_distinct(row.len());
    let mut left: Vec<f32> = order.iter().map(|&token| row[token]).collect();
    let mut draw = |&u: &f64| {
        let place = sample(&left, u).expect("tokens are left");
        left[place] = taken;
        order[place] as u32
    };
    uniforms.iter().map(&mut draw).collect()
}

/// That, in f64.
fn reference(row: &[f32], t: f32, uniforms: &[f64]) -> Vec<u32> {
    successive(row, uniforms, f32::NEG_INFINITY, |left, u| oracle::sample(left, t, u))
}

#[test]
fn follows_the_reference_on_large_rows() {
    // The first block with a masked token is left out of the runs, the next ends them, if it does not come first.
    let [mut late, mut early] = [5, 6].map(|seed| gaussian(20_000, 3.0, seed));
    for (row, token) in [(&mut late, 12 * 512 + 300), (&mut early, 600)] {
        (row[3], row[token]) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    }
    for (shape, row) in shapes(20_000).into_iter().chain([("masked late", late), ("masked early", early)]) {
        for t in [0.05, 0.8, 3.0] {
            let uniforms = uniforms(64, 3);
            let expected = reference(&row, t, &uniforms);
            for level in levels() {
                let tokens = draw_on(level, &row, t, &uniforms).expect("servable");
                assert_eq!(tokens, expected, "{shape}, T = {t}, {level}");
            }
        }
    }
}

/// Down to the last token, the rest being ever further below what has been drawn.
#[test]
fn all_tokens_of_a_row() {
    let mut steep: Vec<f32> = (0..1500).map(|i| -40.0 * ((i * 7) % 1500) as f32).collect();
    steep[100] = f32::NEG_INFINITY;
    let mixed: Vec<f32> =
        (0..1300).map(|i| if i % 512 == 0 { 0.0 } else { -88.0 - i as f32 / 400.0 }).collect();
    for row in [gaussian(1100, 3.0, 1), steep, mixed] {
        for t in [0.2, 1.0] {
            let tokens = row.iter().filter(|x| **x > f32::NEG_INFINITY).count();
            let uniforms = uniforms(tokens, 8);
            assert_eq!(draw(&row, t, &uniforms), Ok(reference(&row, t, &uniforms)), "T = {t}");
            let more = [uniforms.as_slice(), &[0.5]].concat();
            let error = RowError::TooFewTokens { row: 0, wanted: tokens + 1, available: tokens };
            assert_eq!(draw(&row, t, &more), Err(error));
        }
    }
    assert_eq!(draw(&[0.0, -2000.0, -3000.0], 1.0, &[0.9, 0.9, 0.9]), Ok(vec![0, 1, 2]));
    // Blocks of 2^-1021 and 2^-1023 of the first, of which the latter is no normal number.
    let mut row = vec![f32::NEG_INFINITY; 1536];
    (row[0], row[512], row[1024]) = (0.0, -707.7, -709.1);
    assert_eq!(draw(&row, 1.0, &[0.5, 0.99]), Ok(vec![0, 1024]));
}

/// Where only the order of the logits counts, and where all of them weigh nearly the same.
#[test]
fn all_tokens_at_the_ends_of_the_temperatures() {
    let row = gaussian(700, 3.0, 4);
    let uniforms = uniforms(row.len(), 5);
    for t in [2e-38, 1e-5, 1e30, f32::MAX, f32::INFINITY] {
        assert_eq!(draw(&row, t, &uniforms), Ok(reference(&row, t, &uniforms)), "T = {t}");
    }
    // As different as the logits of other temperatures, and more so.
    for (scale, t) in [(1e36, 1e36), (3e37, 2e30)] {
        let row: Vec<f32> = row.iter().map(|x| x * scale).collect();
        assert_eq!(draw(&row, t, &uniforms), Ok(reference(&row, t, &uniforms)), "T = {t}");
    }
}

/// Three blocks of weights from 2^-90 to 2^90, a third of which are 0.
#[test]
fn all_weights_of_several_blocks() {
    let exponents = gaussian(1300, 18.0, 6);
    let weights: Vec<f32> =
        exponents.iter().enumerate().map(|(i, x)| if i % 3 == 0 { 0.0 } else { x.exp2() }).collect();
    let uniforms = uniforms(weights.iter().filter(|w| **w > 0.0).count(), 7);
    let sample = |left: &[f32], u| contract::sample_from_probs(left, u).map(|(token, _)| token as usize);
    let expected = successive(&weights, &uniforms, 0.0, sample);
    assert_eq!(draw_from_probs(&weights, &uniforms), Ok(expected));
}

/// Tokens that count as 0 beside one that is taken count for what they are beside the next: 2^-38 of it.
#[test]
fn light_tokens_beside_one_that_is_taken() {
    let mut row = [-127.0 * core::f32::consts::LN_2; 512];
    (row[0], row[1]) = (0.0, -80.0 * core::f32::consts::LN_2);
    for level in levels() {
        assert_eq!(draw_on(level, &row, 1.0, &[0.0, LAST_UNIFORM]), Ok(vec![0, 511]), "{level}");
        assert_eq!(draw_on(level, &row, 1.0, &[0.0, 0.999]), Ok(vec![0, 1]), "{level}");
    }
}

/// A token of 2^-28 of its group's sum in its lane, which is f32 and rounds that away. It is still the last,
/// and then another of its lane.
#[test]
fn light_tokens_at_the_end_of_a_lane() {
    for seed in 0..20 {
        let mut row = gaussian(256, 0.5, seed);
        row[255] = -17.0;
        let tokens = draw(&row, 1.0, &[LAST_UNIFORM; 2]);
        assert_eq!(tokens, Ok(vec![255, 127]), "seed {seed}");
    }
}

#[test]
fn weights_to_the_last() {
    let weights = [0.0, 1e-45, 3e38, 0.0, 1e15, 1e-15, 3e38, 0.0];
    let tokens = draw_from_probs(&weights, &[0.7, 0.7, 0.7, 0.7, 0.7]).expect("servable");
    assert_eq!(tokens, [6, 2, 4, 5, 1]);
    let error = RowError::TooFewTokens { row: 0, wanted: 6, available: 5 };
    assert_eq!(draw_from_probs(&weights, &[0.0; 6]), Err(error));
    let error = RowError::Weight { row: 0, index: 1, value: -1.0 };
    assert_eq!(draw_from_probs(&[1.0, -1.0], &[0.0]), Err(error));
    assert_eq!(draw_from_probs(&[0.0, 0.0], &[0.0]), Err(RowError::NothingToDraw { row: 0 }));
}

/// `torch.multinomial([.5, 0, .5], 3)` returns the token of probability 0, without an error.
#[test]
fn pytorch_zero_weight_is_never_chosen() {
    let error = draw_from_probs(&[0.5, 0.0, 0.5], &[0.1, 0.2, 0.3]).expect_err("two tokens");
    assert_eq!(error.to_string(), "row 0: 3 distinct tokens are wanted, 2 have a weight above 0");
    let tokens = draw_from_probs(&[1e15, 1e-15], &[0.999, 0.0]).expect("two tokens");
    assert_eq!(tokens, [0, 1]);
}

/// More draws do not change those before.
#[test]
fn first_tokens_do_not_depend_on_the_number() {
    let row = gaussian(5000, 3.0, 2);
    let uniforms = uniforms(200, 9);
    let all = draw(&row, 0.7, &uniforms).expect("servable");
    for k in [1, 2, 30] {
        assert_eq!(draw(&row, 0.7, &uniforms[..k]).expect("servable"), all[..k]);
    }
    let mut distinct = all.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 200);
}

/// Eight rows, of which the third has a +inf and the fourth has eight tokens, and a key for each.
fn eight_rows() -> (Vec<f32>, [Key; 8]) {
    let mut data = gaussian(8 * VOCAB, 3.0, 1);
    data[2 * VOCAB + 8] = f32::INFINITY;
    data[3 * VOCAB + 8..4 * VOCAB].fill(f32::NEG_INFINITY);
    (data, core::array::from_fn(|row| Key { seed: 3, position: row as u64 }))
}

const VOCAB: usize = 70_000;

/// Each row has what it gives alone, with its own temperature and uniforms: on every level, in any pool, from
/// keys as from their uniforms, of logits and of weights.
#[test]
fn a_batch_draws_what_its_rows_draw_alone() {
    const K: usize = 9;
    let (data, keys) = eight_rows();
    let weights: Vec<f32> = data.iter().map(|x| x.exp2()).collect();
    let (logits, probs) = (Rows::new(&data, VOCAB).expect("rows"), Rows::new(&weights, VOCAB).expect("rows"));
    let temperatures = [1.0, 0.0, 1.0, 1.0, 1e-30, f32::INFINITY, 1e35, 0.6];
    let t = temperatures.map(temperature);
    let mut uniforms = vec![0.0; 8 * K];
    uniforms.chunks_mut(K).zip(&keys).for_each(|(u, key)| key.fill(u));
    let rows = || uniforms.chunks(K).enumerate();
    let or_none = |tokens: Result<Vec<u32>, RowError>| tokens.unwrap_or(vec![u32::MAX; K]);
    let of_logits: Vec<u32> =
        rows().flat_map(|(row, u)| or_none(draw(logits.row(row), temperatures[row], u))).collect();
    let of_probs: Vec<u32> =
        rows().flat_map(|(row, u)| or_none(draw_from_probs(probs.row(row), u))).collect();
    let too_few = |row, available| RowError::TooFewTokens { row, wanted: 9, available };
    let bad_logit = RowError::Logit { row: 2, index: 8, value: f32::INFINITY };
    let bad_weight = RowError::Weight { row: 2, index: 8, value: f32::INFINITY };
    for (level, threads) in levels().into_iter().flat_map(|level| [(level, 1), (level, 3)]) {
        for source in [Uniforms::Keys(&keys), Uniforms::Given(&uniforms)] {
            let mut tokens = vec![0; 8 * K];
            let failed =
                in_pool(threads, || level.sample_without_replacement(logits, &t, source, &mut tokens))
                    .expect("shapes fit");
            assert_eq!(*failed, [too_few(1, 1), bad_logit, too_few(3, 8)], "{level}");
            assert_eq!(tokens, of_logits, "{level}, {threads}");
            let failed =
                in_pool(threads, || level.sample_from_probs_without_replacement(probs, source, &mut tokens))
                    .expect("shapes fit");
            assert_eq!(*failed, [bad_weight, too_few(3, 8)], "{level}");
            assert_eq!(tokens, of_probs, "{level}, {threads}");
        }
    }
}

/// At T = 0 there is one token of each row, that of `argmax`, also of rows that are not the first.
#[test]
fn greedy_tokens_of_a_batch() {
    let (data, keys) = eight_rows();
    let logits = Rows::new(&data, VOCAB).expect("rows");
    let mut greedy = [0; 8];
    let failed =
        sample_without_replacement(logits, &[Temperature::GREEDY], Uniforms::Keys(&keys), &mut greedy);
    let error = RowError::Logit { row: 2, index: 8, value: f32::INFINITY };
    assert_eq!(failed, Ok([error].into_iter().collect()));
    let mut tokens = [Ok(0); 8];
    argmax(logits, &mut tokens).expect("fits");
    assert_eq!(greedy, tokens.map(|token| token.unwrap_or(u32::MAX)));
    let mut tokens = [7; 2];
    let length = Error::Length { of: "temperatures (or one for all rows)", expected: 8, found: 2 };
    let call = sample_without_replacement(logits, &[Temperature::ONE; 2], Uniforms::Keys(&keys), &mut tokens);
    assert_eq!((call, tokens), (Err(length), [7; 2]));
}
