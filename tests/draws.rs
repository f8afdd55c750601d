//! Many draws from one row: the tokens of `sample`, its distribution, and the edges.

mod common;

use common::statistics::{assert_fits, assert_follows, enumerate, total_variation};
use common::{
    LAST_UNIFORM, SPECIAL, TEMPERATURES, check, gaussian, levels, odd_weights, one, shapes, temperature,
    uniforms,
};
use kelvin::reference::oracle;
use kelvin::{Cdf, Draw, Key, Level, RowError, Temperature, sample_from_probs};

const QWEN: usize = 151_936;
const MASKED: f32 = f32::NEG_INFINITY;
const KEY: Key = Key { seed: 4, position: 2 };

fn ends_and(len: usize, seed: u64) -> Vec<f64> {
    [0.0, LAST_UNIFORM].into_iter().chain(uniforms(len, seed)).collect()
}

/// A table, with and without a guide (where one is kept), draws what `sample` draws, or fails as it does.
fn assert_same_tokens(levels: &[Level], row: &[f32], t: f32, uniforms: &[f64]) {
    let mut cdf = Cdf::default();
    for &level in levels {
        let built = level.rebuild_cdf(&mut cdf, one(row), 0, temperature(t));
        for guided in [false, true] {
            if guided {
                cdf.add_guide();
            }
            for &u in uniforms {
                let expected = check::draw(level, row, temperature(t), u).map(|draw| draw.token);
                let drawn = built.map(|()| cdf.draw(u).expect("a table"));
                assert_eq!(drawn, expected, "{level}, {} tokens, T = {t:e}, u = {u}, {guided}", row.len());
            }
            if built.is_ok() {
                let mut tokens = vec![0; uniforms.len()];
                cdf.draw_many(uniforms, &mut tokens).expect("shapes fit");
                let each: Vec<u32> = uniforms.iter().map(|&u| cdf.draw(u).expect("a table")).collect();
                assert_eq!(tokens, each, "{level}");
            }
        }
        assert_eq!(cdf.vocab(), if built.is_ok() { row.len() } else { 0 });
    }
}

#[test]
fn same_token_as_sample() {
    let levels = levels();
    for len in [1, 2, 15, 16, 17, 511, 512, 513, 1500, 5000] {
        let row = gaussian(len, 3.0, len as u64);
        for t in TEMPERATURES {
            assert_same_tokens(&levels, &row, t, &ends_and(if len < 1000 { 10 } else { 70 }, 3));
        }
    }
    for (_, row) in shapes(QWEN) {
        assert_same_tokens(&levels[..1], &row, 0.8, &ends_and(300, 5));
    }
    // Runs that begin at the second block, that end, that do not come about; a heavy block before them.
    let mut masked = gaussian(20_000, 3.0, 6);
    for (token, x) in [(3, MASKED), (12 * 512 + 300, MASKED), (600, MASKED), (20, 160.0), (20, 20_000.0)] {
        masked[token] = x;
        assert_same_tokens(&levels, &masked, 0.8, &ends_and(100, 6));
    }
}

#[test]
fn same_token_as_sample_in_rows_of_every_kind() {
    let levels = levels();
    for special in SPECIAL {
        let mut row = vec![f32::NEG_INFINITY; 4000];
        row[700..1100].copy_from_slice(&gaussian(400, 2.0, 8));
        row[2100..2700].copy_from_slice(&gaussian(600, 2.0, 9));
        row[2700..2900].iter_mut().zip(0..).for_each(|(x, i)| *x = -4.0 * i as f32);
        row[1040] = special;
        for t in TEMPERATURES {
            assert_same_tokens(&levels, &row, t, &ends_and(20, 6));
        }
        assert_same_tokens(&levels, &vec![special; 1100], 1.0, &ends_and(20, 6));
    }
}

#[test]
fn same_token_as_sample_from_probs() {
    let mut bad = odd_weights();
    for special in [f32::NAN, f32::INFINITY, -1.0, 0.0] {
        bad.push(vec![special; 600]);
        bad.push([vec![1.0; 600], vec![special]].concat());
    }
    let mut cdf = Cdf::default();
    for weights in bad {
        for level in levels() {
            let built = level.rebuild_cdf_from_probs(&mut cdf, one(&weights), 0);
            for u in ends_and(50, 7) {
                let mut draws = [Ok(Draw::default())];
                sample_from_probs(one(&weights), &[u], &mut draws).expect("shapes fit");
                let drawn = built.map(|()| cdf.draw(u).expect("a table"));
                assert_eq!(drawn, draws[0].map(|draw| draw.token), "{level}, u = {u}");
            }
        }
    }
}

/// Whatever a table held before, a greedy token, a guide, a longer row, weights or nothing: it draws what a
/// new one draws.
#[test]
fn a_table_made_again_forgets_what_it_held() {
    let (long, short, uniforms) = (gaussian(5000, 3.0, 1), gaussian(700, 3.0, 2), ends_and(50, 8));
    let weights: Vec<f32> = gaussian(2000, 1.0, 3).into_iter().map(f32::abs).collect();
    type Maker<'a> = &'a dyn Fn(&mut Cdf) -> Result<(), RowError>;
    let makers: [Maker<'_>; 5] = [
        &|cdf| cdf.rebuild(one(&long), 0, Temperature::GREEDY),
        &|cdf| cdf.rebuild(one(&long), 0, temperature(0.3)),
        &|cdf| cdf.rebuild(one(&short), 0, temperature(0.8)),
        &|cdf| cdf.rebuild_from_probs(one(&weights), 0),
        &|cdf| cdf.rebuild(one(&[f32::NAN; 600]), 0, Temperature::ONE),
    ];
    let drawn = |cdf: &Cdf| uniforms.iter().map(|&u| cdf.draw(u)).collect::<Vec<_>>();
    for (before, guided) in makers.into_iter().flat_map(|before| [(before, false), (before, true)]) {
        for make in makers {
            let (mut used, mut new) = (Cdf::default(), Cdf::default());
            let _ = before(&mut used);
            if guided {
                used.add_guide();
            }
            assert_eq!((make(&mut used), used.vocab()), (make(&mut new), new.vocab()));
            assert_eq!(drawn(&used), drawn(&new));
        }
    }
}

/// All 2^53 uniforms, with and without a guide, at the size of Qwen's vocabulary. (At T = 0.3 all shapes keep
/// their guide, at T = 0.8 all but one.)
#[test]
fn enumerated_distribution_is_the_softmax() {
    for (t, (shape, row)) in [0.8, 0.3].into_iter().flat_map(|t| shapes(QWEN).map(|shape| (t, shape))) {
        let mut cdf = Cdf::new(one(&row), 0, temperature(t)).expect("servable");
        let exact = oracle::softmax(&row, t).expect("servable");
        let induced = enumerate(QWEN, |u| cdf.draw(u).expect("a table"));
        let distance = total_variation(&induced, &exact);
        println!("{shape}, T = {t}: total variation {distance:.1e}");
        assert!(distance <= 1e-7, "{shape}, T = {t}: {distance:e}");
        cdf.add_guide();
        assert!(induced == enumerate(QWEN, |u| cdf.draw(u).expect("a table")), "{shape}, T = {t}, guided");
    }
}

/// Logits from -700 to 0: weights over 300 powers of ten.
#[test]
fn enumerated_distribution_of_wide_rows() {
    let falling: Vec<f32> = (0..2000).map(|i| -0.35 * i as f32).collect();
    let rising: Vec<f32> = falling.iter().rev().copied().collect();
    for (row, t) in [(&falling, 1.0), (&rising, 1.0), (&falling, 20.0), (&rising, 20.0), (&rising, 0.1)] {
        let cdf = Cdf::new(one(row), 0, temperature(t)).expect("servable");
        let induced = enumerate(2000, |u| cdf.draw(u).expect("a table"));
        let exact = oracle::softmax(row, t).expect("servable");
        assert!(total_variation(&induced, &exact) <= 1e-7, "T = {t}");
    }
}

#[test]
fn chi_square_and_kolmogorov_smirnov() {
    const DRAWS: usize = 2_000_000;
    let mut tokens = vec![0; DRAWS];
    for (shape, row) in shapes(1500) {
        let exact = oracle::softmax(&row, 0.9).expect("servable");
        for method in ["table", "guide"] {
            let mut cdf = Cdf::new(one(&row), 0, temperature(0.9)).expect("servable");
            if method == "guide" {
                cdf.add_guide();
            }
            cdf.draw_keyed(KEY, &mut tokens).expect("a table");
            let mut counts = vec![0; row.len()];
            tokens.iter().for_each(|&token| counts[token as usize] += 1);
            assert_fits(&counts, &exact, DRAWS, &format!("{method}, {shape}"));
            assert_follows(&counts, &exact, DRAWS, &format!("{method}, {shape}"));
        }
    }
}

/// PyTorch 48841 and kin: `multinomial` returned elements of probability 0.
#[test]
fn pytorch_zero_weight_is_never_chosen() {
    for weights in odd_weights() {
        let cdf = Cdf::from_probs(one(&weights), 0).expect("servable");
        let induced = enumerate(weights.len(), |u| cdf.draw(u).expect("a table"));
        assert!(induced.iter().zip(&weights).all(|(p, w)| *w > 0.0 || *p == 0.0));
        let sum: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let exact: Vec<f64> = weights.iter().map(|&w| f64::from(w) / sum).collect();
        assert!(total_variation(&induced, &exact) < 1e-12);
    }
}

/// A cumulative sum in f32 swallows a tail of weights below 2^-24 of the head: here a thousandth of all, then
/// less than a millionth. (Of 1e15 and then 1e-15 the second has a probability of 1e-30, which no uniform of
/// 53 bits reaches. It is drawn second where tokens are distinct: `without_replacement`.)
#[test]
fn pytorch_tail_is_not_swallowed() {
    let mut weights = vec![1e-9; 1_000_001];
    weights[0] = 1.0;
    let cdf = Cdf::from_probs(one(&weights), 0).expect("servable");
    let induced = enumerate(weights.len(), |u| cdf.draw(u).expect("a table"));
    let tail: f64 = induced[1..].iter().sum();
    assert!((tail - 1e-3 / 1.001).abs() < 1e-9, "{tail}");
    assert!(induced.iter().all(|p| *p > 0.0));
    let mut weights = vec![1.0; 1 << 20];
    weights[0] = 1e15 / 1e3;
    let cdf = Cdf::from_probs(one(&weights), 0).expect("servable");
    let induced = enumerate(weights.len(), |u| cdf.draw(u).expect("a table"));
    let (sum, rest) = (f64::from(weights[0]) + 1_048_575.0, &induced[1..]);
    assert!((rest.iter().sum::<f64>() - 1_048_575.0 / sum).abs() < 1e-12);
    assert!(rest.iter().all(|p| (p * sum - 1.0).abs() < 1e-3));
    let far = Cdf::from_probs(one(&[1e-15, 1e15, 1e15, 1e-15]), 0).expect("servable");
    assert_eq!([0.0, 0.25, 0.75, LAST_UNIFORM].map(|u| far.draw(u)), [Ok(0), Ok(1), Ok(2), Ok(2)]);
}

/// PyTorch refuses more than 2^24 categories.
#[test]
fn pytorch_more_than_2_to_the_24_equal_categories() {
    let vocab = (1 << 24) + 5;
    let weights = vec![1.0; vocab];
    let cdf = Cdf::from_probs(one(&weights), 0).expect("servable");
    for token in [0, 1, 511, 512, 12_345_678, (1 << 24) - 1, 1 << 24, vocab - 1] {
        let middle = (token as f64 + 0.5) / vocab as f64;
        assert_eq!(cdf.draw(middle), Ok(token as u32));
    }
}
