//! After warm-up, nothing allocates.
#![cfg(not(target_family = "wasm"))]

mod common;

use allocation_counter::measure;
use common::{gaussian, in_pool, levels, one, served, temperature};
use kelvin::{
    AliasTable, Cdf, Draw, Key, Level, Rows, RowsMut, Temperature, Uniforms, Words, argmax, log_softmax,
    log_softmax_in_place, log_sum_exp, sample, sample_from_probs, sample_from_probs_without_replacement,
    sample_many, sample_many_by_alias, sample_many_from_probs, sample_many_from_probs_by_alias,
    sample_without_replacement, scale, scale_in_place, softmax, softmax_in_place,
};

#[test]
fn reused_outputs() {
    [1, 4, 8].into_iter().for_each(outputs_of);
}

fn outputs_of(rows: usize) {
    let vocab = 32_000;
    let data = gaussian(rows * vocab, 3.0, 1);
    let logits = Rows::new(&data, vocab).expect("rows");
    let weights: Vec<f32> = data.iter().map(|x| x.exp2()).collect();
    let mut probs = vec![0.0; rows * vocab];
    let (mut draws, mut tokens) = (vec![Ok(Draw::default()); rows], vec![Ok(0); rows]);
    let (mut sums, mut uniforms) = (vec![Ok(0.0); rows], vec![0.0; rows]);
    let t: Vec<_> =
        [0.7, 0.0, 1e-30, f32::INFINITY].map(temperature).into_iter().cycle().take(rows).collect();
    let mut all = |seed: u64| {
        Key { seed, position: 0 }.fill(&mut uniforms);
        sample(logits, &t, &uniforms, &mut draws).expect("shapes fit");
        sample_from_probs(Rows::new(&weights, vocab).expect("rows"), &uniforms, &mut draws)
            .expect("shapes fit");
        argmax(logits, &mut tokens).expect("shapes fit");
        log_sum_exp(logits, &t, &mut sums).expect("shapes fit");
        served(softmax(logits, &t, &mut RowsMut::new(&mut probs, vocab).expect("rows")));
        served(log_softmax(logits, &t, &mut RowsMut::new(&mut probs, vocab).expect("rows")));
        served(scale(logits, &t, &mut RowsMut::new(&mut probs, vocab).expect("rows")));
        for kernel in [scale_in_place, softmax_in_place, log_softmax_in_place] {
            probs.copy_from_slice(&data);
            served(kernel(&mut RowsMut::new(&mut probs, vocab).expect("rows"), &t));
        }
    };
    all(1);
    assert_eq!(measure(|| all(2)).count_total, 0, "{rows} rows");
}

/// Results that exceed the caches go past them, or wait in place.
#[test]
fn large_batches() {
    let (rows, vocab) = (2, 5_000_000);
    let data = gaussian(rows * vocab, 3.0, 1);
    let logits = Rows::new(&data, vocab).expect("rows");
    let mut probs = data.clone();
    let t = [temperature(1e-5)];
    let mut all = |level: Level| {
        let mut out = RowsMut::new(&mut probs, vocab).expect("rows");
        for kernel in [Level::scale, Level::log_softmax, Level::softmax] {
            served(kernel(level, logits, &t, &mut out));
        }
        for kernel in [Level::scale_in_place, Level::log_softmax_in_place, Level::softmax_in_place] {
            served(kernel(level, &mut out, &t));
        }
    };
    for level in levels() {
        in_pool(1, || {
            all(level);
            assert_eq!(measure(|| all(level)).count_total, 0, "{level}");
        });
    }
}

#[test]
fn reused_tables() {
    let vocab = 32_000;
    let data = gaussian(2 * vocab, 3.0, 1);
    let weights: Vec<f32> = data.iter().map(|x| x.exp2()).collect();
    let (mut cdf, mut alias, mut tokens) = (Cdf::default(), AliasTable::default(), [0; 20]);
    let t = [temperature(0.7)];
    let mut all = |row: usize, tokens_per_row: usize| {
        let logits = Rows::with_stride(&data, 2, tokens_per_row, vocab).expect("rows");
        let keys = [0, 1].map(|position| Key { seed: row as u64, position });
        cdf.rebuild(logits, row, t[0]).expect("servable");
        cdf.add_guide();
        cdf.draw_keyed(keys[0], &mut tokens).expect("a table");
        alias.rebuild(logits, row, t[0]).expect("servable");
        alias.draw_keyed(keys[0], &mut tokens).expect("a table");
        served(sample_many(logits, &t, Uniforms::Keys(&keys), &mut tokens));
        served(sample_many_by_alias(logits, &t, Words::Keys(&keys), &mut tokens));
        served(sample_without_replacement(logits, &t, Uniforms::Keys(&keys), &mut tokens));
        let probs = Rows::with_stride(&weights, 2, tokens_per_row, vocab).expect("rows");
        served(sample_many_from_probs(probs, Uniforms::Keys(&keys), &mut tokens));
        served(sample_many_from_probs_by_alias(probs, Words::Keys(&keys), &mut tokens));
        served(sample_from_probs_without_replacement(probs, Uniforms::Keys(&keys), &mut tokens));
    };
    all(0, vocab);
    assert_eq!(measure(|| all(1, vocab)).count_total, 0);
    all(1, 1000);
    assert_eq!(measure(|| all(1, vocab)).count_total, 0);
}

/// A table keeps nothing of the kind of row it was built from.
#[test]
fn alias_tables_of_other_rows() {
    let data = gaussian(2000, 3.0, 1);
    let weights: Vec<f32> = data.iter().map(|x| x.exp2()).collect();
    let mut table = AliasTable::new(one(&data), 0, Temperature::ONE).expect("servable");
    let weights = one(&weights);
    assert_eq!(measure(|| table.rebuild_from_probs(weights, 0).expect("servable")).count_total, 0);
    #[cfg(feature = "half")]
    {
        let halves: Vec<_> = weights.row(0).iter().map(|w| half::f16::from_f32(*w)).collect();
        let halves = one(&halves);
        assert_eq!(measure(|| table.rebuild_from_probs(halves, 0).expect("servable")).count_total, 0);
    }
}
