//! The distribution that `sample` induces: by enumeration, at the ends of the uniforms, and by a test.

mod common;

use common::statistics::{assert_fits, total_variation};
use common::{
    LAST_UNIFORM, ROUNDED_DOWN, ROUNDED_UP, blocks_of, check, levels, one, shapes, temperature, uniforms,
};
use kelvin::reference::{contract, oracle};
use kelvin::{Cdf, Draw, Level, Rows, Temperature, sample, sample_from_probs};

const QWEN: usize = 151_936;

#[test]
fn enumerated_distribution_is_the_softmax() {
    for (shape, row) in shapes(QWEN) {
        for t in [0.1, 0.3, 0.8, 1.0, 2.0, 5.0] {
            let induced = contract::distribution(&row, t).expect("servable");
            let exact = oracle::softmax(&row, t).expect("servable");
            let distance = total_variation(&induced, &exact);
            println!("{shape}, T = {t}: total variation {distance:.1e}");
            assert!(distance <= 1e-7, "{shape}, T = {t}: {distance:e}");
            let lost = induced.iter().zip(&exact).position(|(&p, &e)| p == 0.0 && e >= (-50_f64).exp2());
            assert_eq!(lost, None, "{shape}, T = {t}");
        }
    }
}

/// The worst row known: in some blocks the three additions of each group round up, in the others down.
/// (docs/numerics.md: the bound for any row.)
#[test]
fn a_row_whose_sums_round_one_way_stays_within_the_bound() {
    let row = [blocks_of(ROUNDED_UP, 8), blocks_of(ROUNDED_DOWN, 254)].concat();
    let induced = contract::distribution(&row, 1.0).expect("servable");
    let distance = total_variation(&induced, &oracle::softmax(&row, 1.0).expect("servable"));
    println!("total variation {distance:.1e}");
    assert!((1.6e-7..=1.9e-7).contains(&distance), "{distance:e}");
}

/// The share of the uniforms that draw a token is its probability, but for a few of them. (docs/numerics.md.)
#[test]
fn a_single_token_loses_or_gains_a_few_uniforms() {
    let last = |row: &[f32]| {
        check::draw(Level::best(), row, Temperature::ONE, LAST_UNIFORM).expect("servable").token
    };
    // Its weight is just above a power of two: beside it, a step of f64 is the largest share of the row.
    let first = -0.3873_f32;
    // The last token has 3.0 x 2^-53 of the row, and no uniform: rounding gave them to those before it.
    let mut row = [-38.376774_f32; 16];
    (row[0], row[15]) = (first, -36.026493);
    assert_eq!(last(&row), 14);
    // A little more, and it is the last again.
    row[15] = -36.0;
    assert_eq!(last(&row), 15);
    // Each of 1953 blocks has just less than 2^-53, and together no uniform.
    let mut row = vec![-43.3634_f32; 1_000_000];
    row[..512].fill(f32::NEG_INFINITY);
    row[0] = first;
    assert_eq!(last(&row), 0);
}

/// The enumeration is that of the real kernel: the middle of each token's interval draws that token.
#[test]
fn every_token_is_drawn_from_its_interval() {
    let t = temperature(0.8);
    for (shape, row) in shapes(QWEN) {
        let induced = contract::distribution(&row, t.get()).expect("servable");
        let mut prefix = 0.0;
        for (token, p) in induced.into_iter().enumerate() {
            if p > (-44_f64).exp2() && (token % 7 == 0 || p > 1e-4) {
                let draw = check::draw(Level::best(), &row, t, prefix + p / 2.0).expect("servable");
                assert_eq!(draw.token as usize, token, "{shape}");
                assert!((f64::from(draw.logprob) - p.ln()).abs() < 2e-6, "{shape}: {} {p}", draw.logprob);
            }
            prefix += p;
        }
    }
}

/// The first and the last uniform draw the first and the last token that weighs something.
#[test]
fn ends_of_the_uniforms_never_draw_a_masked_token() {
    for level in levels() {
        for (len, from, to) in [(1, 0, 1), (17, 5, 9), (512, 100, 101), (3000, 600, 2400), (3000, 1024, 1536)]
        {
            let mut row = vec![f32::NEG_INFINITY; len];
            row[from..to].fill(1.0);
            for t in [0.5, 1e-20, 1e20, f32::INFINITY, f32::MIN_POSITIVE].map(temperature) {
                let token = |u: f64| check::draw(level, &row, t, u).expect("servable").token as usize;
                assert_eq!((token(0.0), token(LAST_UNIFORM)), (from, to - 1), "{level} {len} {t:?}");
            }
            let weights: Vec<f32> = row.iter().map(|x| x.max(0.0) * 1e-40).collect();
            let mut draws = [Ok(Draw::default()); 2];
            let twice = [weights.clone(), weights].concat();
            let rows = Rows::new(&twice, len).expect("two rows");
            level.sample_from_probs(rows, &[0.0, LAST_UNIFORM], &mut draws).expect("shapes fit");
            assert_eq!(draws.map(|d| d.expect("servable").token as usize), [from, to - 1]);
        }
    }
}

/// Where the sums are exact, so are the borders: an interval begins with its border, and ends before the
/// next.
#[test]
fn a_uniform_on_a_border_draws_the_token_that_begins_there() {
    const VOCAB: usize = 2048;
    let (logits, weights) = ([0.0_f32; VOCAB], [1.0_f32; VOCAB]);
    let probs = one(&weights);
    let mut cdf = Cdf::default();
    for level in levels() {
        level.rebuild_cdf_from_probs(&mut cdf, probs, 0).expect("servable");
        for token in 0..VOCAB as u32 {
            let border = f64::from(token) / VOCAB as f64;
            for (uniform, expected) in
                [(border, token), (border.next_down().max(0.0), token.saturating_sub(1))]
            {
                let drawn = check::draw(level, &logits, Temperature::ONE, uniform).expect("servable");
                let mut of_weights = [Ok(Draw::default())];
                level.sample_from_probs(probs, &[uniform], &mut of_weights).expect("shapes fit");
                let [of_weights] = of_weights.map(|draw| draw.expect("servable"));
                let tokens = [drawn.token, of_weights.token, cdf.draw(uniform).expect("servable")];
                assert_eq!(tokens, [expected; 3], "{level} {uniform}");
            }
        }
    }
}

/// The token never goes down when the uniform goes up.
#[test]
fn monotone_in_the_uniform() {
    let mut all = uniforms(4000, 1);
    all.sort_by(f64::total_cmp);
    for (shape, row) in shapes(5000) {
        let t = temperature(1.3);
        let tokens: Vec<u32> =
            all.iter().map(|&u| check::draw(Level::best(), &row, t, u).expect("servable").token).collect();
        assert!(tokens.is_sorted(), "{shape}");
    }
}

/// 10^7 draws, one chi-square per shape, cells of at least 50 expected draws. A right sampler fails once in
/// a million seeds (the seeds are fixed, so it either fails always or never).
#[test]
fn chi_square() {
    const DRAWS: usize = 2_500_000;
    let vocab = 1500;
    for (seed, (shape, row)) in shapes(vocab).into_iter().enumerate() {
        let exact = oracle::softmax(&row, 0.9).expect("servable");
        let counts = count(&row, temperature(0.9), DRAWS, seed as u64);
        assert_fits(&counts, &exact, DRAWS, &format!("sample, {shape}"));
        let weights: Vec<f32> = exact.iter().map(|&p| (p * 1e6) as f32).collect();
        let batch = weights.repeat(500);
        let mut counts = vec![0_u32; vocab];
        let mut draws = vec![Ok(Draw::default()); 500];
        for chunk in uniforms(DRAWS / 5, seed as u64 + 100).chunks(500) {
            sample_from_probs(Rows::new(&batch, vocab).expect("rows"), chunk, &mut draws)
                .expect("shapes fit");
            draws.iter().for_each(|d| counts[d.expect("servable").token as usize] += 1);
        }
        assert_fits(&counts, &exact, DRAWS / 5, &format!("sample_from_probs, {shape}"));
    }
}

fn count(row: &[f32], t: Temperature, len: usize, seed: u64) -> Vec<u32> {
    let rows = 500;
    let batch = row.repeat(rows);
    let mut counts = vec![0; row.len()];
    let mut draws = vec![Ok(Draw::default()); rows];
    for chunk in uniforms(len, seed).chunks(rows) {
        sample(Rows::new(&batch, row.len()).expect("rows"), &[t], chunk, &mut draws).expect("shapes fit");
        draws.iter().for_each(|d| counts[d.expect("servable").token as usize] += 1);
    }
    counts
}
