//! The numerical contract, one logit at a time: what every level must give, to the bit.

mod sampling;

use core::f64::consts::{LN_2, LOG2_E};

use crate::math::{exp2, ln};

pub use sampling::{distribution, sample, sample_from_probs};

const BLOCK: usize = 512;
const LANES: usize = 16;
const GROUP: usize = 8 * LANES;
/// What is added to round to an integer, and subtracted again.
const ROUND: f32 = 12_583_039.0;

/// Of [`polynomial`], as the bits of f32.
const COEFFICIENTS: [u32; 5] = [0x40e9_6c65, 0x4227_733f, 0xc2f8_6388, 0x4402_b08a, 0x443c_8b98];

/// The weight of a logit of 0.
pub const UNIT: f32 = f32::from_bits(COEFFICIENTS[4]);

/// log2(e)/T and what it is split into.
#[derive(Clone, Copy, Debug)]
struct Factor {
    exact: f64,
    shrink: f32,
    hi: f32,
    lo: f32,
}

/// A block: the sum of its weights, of which that of a logit x is UNIT 2^((x - offset) log2(e)/T -
/// exponent).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Block {
    /// The sum, in f64.
    sum: f64,
    /// The power of two that weighs [`UNIT`].
    exponent: f32,
    /// The logit that is subtracted first.
    offset: f32,
}

fn factor(temperature: f32) -> Factor {
    let exact =
        if temperature == f32::INFINITY { (-178_f64).exp2() } else { LOG2_E / f64::from(temperature) };
    let shrink = if exact < (-100_f64).exp2() { (-100_f64).exp2() } else { 1.0 };
    let hi = (exact / shrink) as f32;
    let lo = (exact / shrink - f64::from(hi)) as f32;
    Factor { exact, shrink: shrink as f32, hi, lo }
}

/// [`UNIT`] 2^t for a t of the reduced range, as the kernels compute it.
#[must_use]
pub fn polynomial(t: f32) -> f32 {
    let [a, b, c, k1, k0] = COEFFICIENTS.map(f32::from_bits);
    let cubic = t.mul_add(t, b).mul_add(t + a, c);
    cubic.mul_add(t, k1).mul_add(t, k0)
}

fn weight(x: f32, factor: Factor, exponent: f32, offset: f32) -> f32 {
    let d = x.mul_add(factor.shrink, -(offset * factor.shrink));
    let n = d.mul_add(factor.hi, ROUND) - ROUND;
    let t = d.mul_add(factor.lo, d.mul_add(factor.hi, -n));
    let p = polynomial(t);
    let k = n - exponent;
    if k < -126.0 {
        return 0.0;
    }
    let power = if k > 127.0 { f32::INFINITY } else { f32::from_bits(((k + 127.0) as u32) << 23) };
    p * power
}

fn weights(block: &[f32], factor: Factor, exponent: f32, offset: f32) -> Vec<f32> {
    let mut weights: Vec<f32> = block.iter().map(|&x| weight(x, factor, exponent, offset)).collect();
    weights.resize(BLOCK, 0.0);
    weights
}

/// Halves a list by adding its upper half to its lower, until one is left.
fn pairwise<T: Copy + core::ops::Add<Output = T>>(mut values: Vec<T>) -> T {
    while values.len() > 1 {
        let upper = values.split_off(values.len() / 2);
        values = values.iter().zip(upper).map(|(&a, b)| a + b).collect();
    }
    values[0]
}

/// In each lane, eight vectors pairwise in f32.
fn lane_sums(group: &[f32]) -> Vec<f64> {
    let lane = |lane: usize| group.iter().skip(lane).step_by(LANES).copied().collect();
    (0..LANES).map(|l| f64::from(pairwise::<f32>(lane(l)))).collect()
}

/// In each lane, the four groups in f64; then the lanes.
fn sum(weights: &[f32]) -> f64 {
    let groups: Vec<Vec<f64>> = weights.chunks(GROUP).map(lane_sums).collect();
    pairwise((0..LANES).map(|lane| groups.iter().map(|lanes| lanes[lane]).sum()).collect())
}

/// The power of two that suits a block whose largest weight is about UNIT 2^power.
fn exponent(power: f64) -> f32 {
    if (-24.0..108.0).contains(&power) { 0.0 } else { (32.0 * ((power + 24.0) / 32.0).floor()) as f32 }
}

fn summarize(block: &[f32], factor: Factor) -> Block {
    let max = |xs: &[f32]| xs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |x: f32| f64::from(x) * factor.exact;
    let weigh = |exponent: f32, offset: f32| {
        let sum = sum(&weights(block, factor, exponent, offset));
        Block { sum, exponent, offset }
    };
    let first = power(max(&block[..LANES.min(block.len())]));
    if (-512.0..64.0).contains(&first) {
        let guessed = weigh(exponent(first), 0.0);
        if guessed.sum >= (-15_f64).exp2() && guessed.sum < 127_f64.exp2() {
            return guessed;
        }
    }
    let max = max(block);
    if max == f32::NEG_INFINITY {
        weigh(0.0, 0.0)
    } else if power(max).abs() < 16384.0 {
        weigh(exponent(power(max)), 0.0)
    } else {
        weigh(0.0, max)
    }
}

/// 2^(what the one reference is above the other), or 0 for a block of masked tokens.
fn relative(block: &Block, to: &Block, factor: Factor) -> f64 {
    if block.sum == 0.0 {
        return 0.0;
    }
    let powers = f64::from(block.exponent) - f64::from(to.exponent);
    if block.offset == to.offset {
        return if powers < -1022.0 { 0.0 } else { f64::from_bits(((powers + 1023.0) as u64) << 52) };
    }
    exp2((f64::from(block.offset) - f64::from(to.offset)) * factor.exact + powers)
}

/// The summaries of a row's blocks, in order.
fn blocks(row: &[f32], temperature: f32) -> Vec<Block> {
    row.chunks(BLOCK).map(|block| summarize(block, factor(temperature))).collect()
}

/// The row's sum, with the reference it is relative to.
fn total(blocks: &[Block], factor: Factor) -> Option<Block> {
    let height = |block: &Block| f64::from(block.offset) * factor.exact + f64::from(block.exponent);
    let mut top: Option<&Block> = None;
    for block in blocks {
        if block.sum != 0.0 && top.is_none_or(|top| height(block) > height(top)) {
            top = Some(block);
        }
    }
    let top = top?;
    let sum = blocks.iter().fold(0.0, |sum, block| sum + block.sum * relative(block, top, factor));
    (sum > 0.0).then_some(Block { sum, ..*top })
}

/// ln of a sum of weights, relative to [`UNIT`].
fn log_sum(total: &Block) -> f64 {
    ln(total.sum / f64::from(UNIT))
}

fn greedy(temperature: f32) -> bool {
    temperature < f32::MIN_POSITIVE
}

/// The first of the largest logits.
#[must_use]
pub fn argmax(row: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (token, &x) in row.iter().enumerate() {
        if x.is_nan() || x == f32::INFINITY {
            return None;
        }
        if x > best.map_or(f32::NEG_INFINITY, |best| row[best]) {
            best = Some(token);
        }
    }
    best
}

fn one_hot(row: &[f32], chosen: f32, others: f32) -> Option<Vec<f32>> {
    let token = argmax(row)?;
    Some((0..row.len()).map(|i| if i == token { chosen } else { others }).collect())
}

/// x/T.
#[must_use]
pub fn scale(row: &[f32], temperature: f32) -> Option<Vec<f32>> {
    argmax(row)?;
    if greedy(temperature) {
        return one_hot(row, 0.0, f32::NEG_INFINITY);
    }
    Some(row.iter().map(|&x| if x == f32::NEG_INFINITY { x } else { x / temperature }).collect())
}

/// The probabilities.
#[must_use]
pub fn softmax(row: &[f32], temperature: f32) -> Option<Vec<f32>> {
    if greedy(temperature) {
        return one_hot(row, 1.0, 0.0);
    }
    let (factor, blocks) = (factor(temperature), blocks(row, temperature));
    let total = total(&blocks, factor)?;
    let probs = row.chunks(BLOCK).zip(&blocks).flat_map(|(logits, block)| {
        let share = relative(block, &total, factor) * (1.0 / total.sum);
        let least = ((-125_f64).exp2() / share) as f32;
        let step = if share < f64::from(f32::MIN_POSITIVE) { (-126_f32).exp2() } else { 1.0 };
        let share = (share / f64::from(step)) as f32;
        let weights = weights(logits, factor, block.exponent, block.offset);
        weights.into_iter().take(logits.len()).map(move |w| if w > least { w * share * step } else { 0.0 })
    });
    Some(probs.collect())
}

/// A log-probability: rounding may have carried it above 0. -0.0 stays what it is, as it does in a minimum,
/// which a compiler may make of this.
fn at_most_0(logprob: f32) -> f32 {
    if 0.0 < logprob { 0.0 } else { logprob }
}

/// The natural logarithms of the probabilities.
#[must_use]
pub fn log_softmax(row: &[f32], temperature: f32) -> Option<Vec<f32>> {
    if greedy(temperature) {
        return one_hot(row, 0.0, f32::NEG_INFINITY);
    }
    let factor = factor(temperature);
    let total = total(&blocks(row, temperature), factor)?;
    let split = |x: f64| (x as f32, (x - f64::from(x as f32)) as f32);
    let shrink = if total.offset == 0.0 { factor.shrink } else { factor.shrink / 2.0 };
    let slope = split(factor.exact * LN_2 / f64::from(shrink));
    let log_sum = split(f64::from(total.exponent) * LN_2 + log_sum(&total));
    let log = |&x: &f32| {
        let d = x.mul_add(shrink, -total.offset * shrink);
        let log = d.mul_add(slope.0, -log_sum.0) + d.mul_add(slope.1, -log_sum.1);
        if log.is_nan() { f32::NEG_INFINITY } else { at_most_0(log) }
    };
    Some(row.iter().map(log).collect())
}

/// ln(sum of e^(x/T)).
#[must_use]
pub fn log_sum_exp(row: &[f32], temperature: f32) -> Option<f64> {
    if greedy(temperature) {
        let max = row[argmax(row)?];
        return Some(if max == 0.0 { 0.0 } else { f64::from(max) * f64::INFINITY });
    }
    let factor = factor(temperature);
    let total = total(&blocks(row, temperature), factor)?;
    let height = f64::from(total.offset) * factor.exact + f64::from(total.exponent);
    Some(height * LN_2 + log_sum(&total))
}
