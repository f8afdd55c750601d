//! What must hold for any input: the fuzz targets, each a function of its bytes. `tests/corpus.rs` runs the
//! same.

use super::LAST_UNIFORM;
use super::batch::{Batch, Expected, expect};
use super::case::{Case, Row};
use super::check;
pub use super::many::{alias, draws};
use kelvin::Level;
use kelvin::reference::{contract, oracle};

/// A fuzz target: a property of its input's bytes.
pub type Property = fn(&[u8]);

/// Every target, with the name of its fuzzer and of its seeds.
pub const TARGETS: &[(&str, Property)] = &[
    ("softmax", softmax),
    ("sample", sample),
    #[cfg(feature = "half")]
    ("half", half),
    ("extreme_temperature", extreme_temperature),
    ("draws", draws),
    ("alias", alias),
];

/// Relative error of a probability above 2^-100 (`check::values`).
const RELATIVE: f64 = 6.0 * f32::EPSILON as f64;

/// That of the probability with which a token is drawn. A prefix of them is off by a quarter of it at most.
/// (docs/numerics.md)
const RELATIVE_OF_DRAWS: f64 = 6.3 * f32::EPSILON as f64;

/// All that writes rows or sums them: the bits of the contract, near the truth.
pub fn softmax(bytes: &[u8]) {
    let case = Case::decode(bytes);
    let batch = Batch::new(&case, |x| x);
    batch.check_writers();
    batch.check_in_place();
    for row in &case.rows {
        check::values(level(&case), &row.logits, row.temperature);
    }
}

/// All that draws: the bits of the contract, the token of the true distribution, never one of weight 0,
/// monotone.
pub fn sample(bytes: &[u8]) {
    let case = Case::decode(bytes);
    let batch = Batch::new(&case, |x| x);
    batch.check_outcomes();
    let token = case.choice;
    batch.check_draws(&expect(&case, |row| Some(boundary(row, token).next_down().max(0.0))));
    batch.check_draws(&expect(&case, |row| Some(boundary(row, token))));
    Batch::new(&case.map(f32::abs), |x| x).check_weights();
    for row in &case.rows {
        check_tokens(level(&case), row, &[row.uniform, boundary(row, token)]);
        check_weights(row);
    }
    if case.choice.is_multiple_of(16) {
        check_long(&case);
    }
}

/// Enough logits for runs of blocks, which the best level may have.
fn check_long(case: &Case) {
    for row in &case.rows {
        let long = row.repeated(16 * 512);
        check::bits(&[Level::best()], &long.logits, row.temperature, &[row.uniform]);
    }
}

/// Rows of both half types give what the same numbers give in f32.
#[cfg(feature = "half")]
pub fn half(bytes: &[u8]) {
    use half::{bf16, f16};
    fn check<L: kelvin::Logit>(case: &Case, narrow: impl Fn(f32) -> L) {
        let batch = Batch::new(case, &narrow);
        batch.check_writers();
        batch.check_outcomes();
        Batch::new(&case.map(f32::abs), narrow).check_weights();
    }
    let case = Case::decode(bytes);
    let upper = |x: f32| (x.to_bits() >> 16) as u16;
    // Rounded, f32 rows make f16 rows of mostly infinities: so every other case reads the bits anew.
    let rounded =
        |x: f32| if case.choice.is_multiple_of(2) { f16::from_f32(x) } else { f16::from_bits(upper(x)) };
    check(&case.map(|x| rounded(x).to_f32_const()), f16::from_f32_const);
    check(&case.map(|x| bf16::from_bits(upper(x)).to_f32_const()), bf16::from_f32_const);
}

/// At the ends of f32: every value near the truth, every token within reach, and no peak grows with T.
pub fn extreme_temperature(bytes: &[u8]) {
    let case = Case::decode(bytes);
    for row in &case.rows {
        for t in [row.temperature, extreme(row.temperature)] {
            check::bits(&[level(&case)], &row.logits, t, &[row.uniform]);
            check::values(level(&case), &row.logits, t);
            check_reach(&row.logits, t);
        }
        check_peaks(&row.logits, row.temperature);
    }
}

fn level(case: &Case) -> Level {
    let levels: Vec<Level> = Level::available().collect();
    levels[case.choice % levels.len()]
}

/// The same bits of mantissa, and an exponent within 16 of an end.
fn extreme(t: f32) -> f32 {
    let exponent = (t.to_bits() >> 23) & 0xff;
    let far = if exponent < 128 { 1 + exponent % 16 } else { 254 - exponent % 16 };
    f32::from_bits((t.to_bits() & 0x007f_ffff) | (far << 23))
}

/// Where a token's interval begins, by the contract's distribution: uniforms near it are the hard ones.
fn boundary(row: &Row, token: usize) -> f64 {
    let shares = contract::distribution(&row.logits, row.temperature).unwrap_or_default();
    let token = token * 7 % row.logits.len();
    shares.iter().take(token).sum::<f64>().clamp(0.0, LAST_UNIFORM)
}

/// The uniform lies in the token's true interval; the token is not masked and its log-probability is true;
/// and sorted uniforms draw sorted tokens.
fn check_tokens(level: Level, row: &Row, uniforms: &[f64]) {
    let Row { ref logits, temperature, .. } = *row;
    let Some(probs) = oracle::softmax(logits, temperature) else { return };
    let shares = contract::distribution(logits, temperature).expect("served");
    check_shares(&shares, &probs);
    let logs = oracle::log_softmax(logits, temperature).expect("served");
    let t = super::temperature(temperature);
    let mut uniforms = [uniforms, &[0.0, LAST_UNIFORM]].concat();
    uniforms.sort_by(f64::total_cmp);
    let mut least = 0;
    for u in uniforms {
        let draw = check::draw(level, logits, t, u).expect("served");
        let token = draw.token as usize;
        let context = || format!("{level}, T = {temperature:e}, u = {u:e}: token {token}");
        assert!(shares[token] > 0.0 || in_a_far_block(logs[token]), "{} weighs 0", context());
        assert!(token >= least, "{} after {least}", context());
        assert!(in_interval(&probs, token, u), "{} lies elsewhere", context());
        let logprob = f64::from(draw.logprob);
        assert!(check::near_log(logprob, logs[token]), "{}: {logprob:e}, not {:e}", context(), logs[token]);
        least = token;
    }
}

/// Each token is drawn as often as it should be.
fn check_shares(shares: &[f64], probs: &[f64]) {
    for (token, (share, p)) in shares.iter().zip(probs).enumerate() {
        let error = (share - p).abs() / p;
        assert!(*p <= (-100_f64).exp2() || error <= RELATIVE_OF_DRAWS, "token {token} is off by {error:e}");
    }
}

/// Whether the uniform is in the token's interval, to within what the weights may be off.
pub fn in_interval(probs: &[f64], token: usize, u: f64) -> bool {
    let start: f64 = probs[..token].iter().sum();
    let off = RELATIVE_OF_DRAWS / 4.0;
    start - off <= u && u <= start + probs[token] + off
}

/// Whether a weight above 0 may still be a share of 0 in f64. A weight is at least 2^-126.5 of its block's
/// reference, which is at least 2^-1022 of the row's: two factors whose product f64 need not hold. (A share
/// that is 0 since the weight is has a logarithm between those of the two, or none.)
fn in_a_far_block(log: f64) -> bool {
    let power = log / core::f64::consts::LN_2;
    (-1022.0 - 126.5 - 32.0..-1022.0).contains(&power)
}

/// The logits taken for weights, as they are and without their signs.
fn check_weights(row: &Row) {
    let levels: Vec<Level> = Level::available().collect();
    let positive: Vec<f32> = row.logits.iter().map(|x| x.abs()).collect();
    for weights in [&row.logits, &positive] {
        check::weights_bits(&levels, weights, &[row.uniform, 0.0, LAST_UNIFORM]);
        if let Some((token, _)) = contract::sample_from_probs(weights, row.uniform) {
            assert!(weights[token as usize] > 0.0, "token {token} weighs 0");
        }
    }
}

/// Every token that a uniform of 53 bits can tell from 0 has a share.
fn check_reach(logits: &[f32], t: f32) {
    let Some(probs) = oracle::softmax(logits, t) else { return };
    let shares = contract::distribution(logits, t).expect("served");
    let lost = probs.iter().zip(shares).position(|(&p, share)| p >= (-53_f64).exp2() && share == 0.0);
    assert_eq!(lost, None, "T = {t:e}: a token is out of reach");
}

/// A warmer row is flatter: its largest probability is no larger, to within the bound.
fn check_peaks(logits: &[f32], t: f32) {
    if t < f32::MIN_POSITIVE {
        return;
    }
    let warmer = [t, t * 1.5, t * 64.0].map(|t| t.min(f32::MAX));
    let peak = |t: f32| Some(contract::softmax(logits, t)?.into_iter().fold(0.0, f32::max));
    let peaks: Expected<f32> = warmer.map(peak).to_vec();
    for pair in peaks.windows(2) {
        let (Some(cold), Some(warm)) = (pair[0], pair[1]) else { return };
        let bound = f64::from(cold) * (1.0 + 2.0 * RELATIVE);
        assert!(f64::from(warm) <= bound, "T from {t:e}: the peak grows from {cold:e} to {warm:e}");
    }
}
