//! The rows and the temperatures of the study.

use kelvin::Key;

const VOCAB: usize = 151_936;

/// How many temperatures: not so many that they would be powers of two, by which one divides exactly.
const STEPS: u32 = 120;

/// From 2^-126 to `f32::MAX`, evenly over the logarithms.
pub fn temperatures() -> Vec<f32> {
    let step = |i: u32| match i {
        STEPS => f32::MAX,
        _ => (-126.0 + 254.0 * f64::from(i) / f64::from(STEPS)).exp2() as f32,
    };
    (0..=STEPS).map(step).collect()
}

/// Five rows, by name.
pub fn all() -> [(&'static str, Vec<f32>); 5] {
    let zipf = |i: usize| -1.1 * ((1 + i * 7919 % VOCAB) as f64).ln();
    let mut peaked = gaussian(1.0, 2);
    peaked[VOCAB / 3] = 18.0;
    peaked[VOCAB / 2] = 16.5;
    [
        ("gaussian", gaussian(3.0, 1)),
        ("zipf", (0..VOCAB).map(|i| zipf(i) as f32).collect()),
        ("peaked", peaked),
        ("wide", even(1e4, 3)),
        ("huge", even(1e30, 4)),
    ]
}

/// Normally distributed, by Box and Muller's transform.
fn gaussian(deviation: f64, seed: u64) -> Vec<f32> {
    let normal =
        |pair: &[f64]| (-2.0 * (1.0 - pair[0]).ln()).sqrt() * (std::f64::consts::TAU * pair[1]).cos();
    uniforms(2 * VOCAB, seed).chunks(2).map(|pair| (deviation * normal(pair)) as f32).collect()
}

/// Evenly distributed from -end to end.
fn even(end: f64, seed: u64) -> Vec<f32> {
    uniforms(VOCAB, seed).iter().map(|u| (end * (2.0 * u - 1.0)) as f32).collect()
}

fn uniforms(len: usize, seed: u64) -> Vec<f64> {
    let mut uniforms = vec![0.0; len];
    Key { seed, position: 0 }.fill(&mut uniforms);
    uniforms
}
