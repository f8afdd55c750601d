//! What temperatures and masks mean, row by row of the README's table. (What is refused: `errors.rs`.)

mod common;

use common::{LAST_UNIFORM, check, levels, temperature, thinned};
use kelvin::Level;

const MASKED: f32 = f32::NEG_INFINITY;

fn written(level: Level, kernel: &str, row: &[f32], t: f32) -> Vec<f32> {
    let (out, errors) = check::run(level, kernel, row, &[temperature(t)]);
    assert_eq!(*errors, []);
    out
}

fn token(level: Level, row: &[f32], t: f32, uniform: f64) -> usize {
    check::draw(level, row, temperature(t), uniform).expect("servable").token as usize
}

/// Rows of up to three blocks in which the token given is greedy, some with ties behind it.
fn rows_with_a_greedy_token() -> Vec<(Vec<f32>, usize)> {
    let mut ties_in_other_blocks = vec![-3.0; 1300];
    for token in [600, 601, 1200] {
        ties_in_other_blocks[token] = f32::MAX;
    }
    let mut zeros = vec![-1e-45; 700];
    (zeros[3], zeros[17], zeros[650]) = (-0.0, 0.0, 0.0);
    vec![
        (vec![1.0, 2.0, 2.0, -5.0], 1),
        (vec![MASKED, -7.0, MASKED, -7.0], 1),
        (vec![0.0, -0.0, 0.0], 0),
        (ties_in_other_blocks, 600),
        (zeros, 3),
    ]
}

#[test]
fn no_temperature_to_speak_of_is_greedy() {
    for level in levels() {
        for (row, greedy) in rows_with_a_greedy_token() {
            for t in [0.0, -0.0, 1e-45, 1e-39, f32::MIN_POSITIVE.next_down()] {
                let [first, last] = [0.0, LAST_UNIFORM].map(|u| check::draw(level, &row, temperature(t), u));
                assert_eq!(first.map(|d| (d.token as usize, d.logprob)), Ok((greedy, 0.0)), "{level}, {t:e}");
                assert_eq!(first, last, "{level}, {t:e}");
                let one = |chosen: f32, other: f32| {
                    (0..row.len()).map(|i| if i == greedy { chosen } else { other }).collect::<Vec<_>>()
                };
                assert_eq!(written(level, "softmax", &row, t), one(1.0, 0.0), "{level}, {t:e}");
                assert_eq!(written(level, "log_softmax", &row, t), one(0.0, MASKED), "{level}, {t:e}");
                assert_eq!(written(level, "scale", &row, t), one(0.0, MASKED), "{level}, {t:e}");
            }
        }
    }
}

#[test]
fn infinite_temperature_is_uniform_over_what_is_not_masked() {
    let values = [f32::MIN, -1.0, -0.0, 1e-45, 1e30, f32::MAX];
    for level in levels() {
        for len in [1_usize, 8, 1024, 2048] {
            // Every second token is masked.
            let row: Vec<f32> = (0..2 * len)
                .map(|i| if i % 2 == 0 { MASKED } else { values[i / 2 % values.len()] })
                .collect();
            let probs: Vec<f32> =
                (0..2 * len).map(|i| if i % 2 == 0 { 0.0 } else { 1.0 / len as f32 }).collect();
            assert_eq!(written(level, "softmax", &row, f32::INFINITY), probs, "{level}, {len}");
            for place in thinned(0..len, 101) {
                let [start, end] = [place, place + 1].map(|place| place as f64 / len as f64);
                for u in [start, end.next_down()] {
                    assert_eq!(
                        token(level, &row, f32::INFINITY, u),
                        2 * place + 1,
                        "{level}, {len}, u = {u}"
                    );
                }
            }
        }
    }
}

/// Logits -T, 0 and T, so that the distribution is the same at each: from 2^-126 to `f32::MAX`.
#[test]
fn any_other_temperature_is_exact() {
    let expected = [-1_f64, 0.0, 1.0].map(|y| y.exp() / (1.0 + 2.0 * 1_f64.cosh()));
    let powers = (-126..128).map(|exponent| (exponent as f32).exp2());
    for t in powers.flat_map(|t| [t, t * 1.7]).chain([f32::MAX]) {
        for level in levels() {
            let probs = written(level, "softmax", &[-t, MASKED, 0.0, t], t);
            let near = |(p, e): (f32, f64)| (f64::from(p) / e - 1.0).abs() <= 6.0 * f64::from(f32::EPSILON);
            let unmasked = [probs[0], probs[2], probs[3]];
            assert!(unmasked.into_iter().zip(expected).all(near), "{level}, T = {t:e}: {probs:?}");
            assert_eq!(
                [0.0, 0.2, 0.4, LAST_UNIFORM].map(|u| token(level, &[-t, 0.0, t], t, u)),
                [0, 1, 2, 2]
            );
        }
    }
}

/// No T is so low that the next larger logit loses, and none so high that the ends of f32 look alike.
#[test]
fn no_temperature_is_clamped() {
    for level in levels() {
        for (low, high) in [(1.0_f32, 1.0_f32.next_up()), (f32::MAX.next_down(), f32::MAX), (0.0, 1e-35)] {
            assert_eq!(
                written(level, "softmax", &[low, high, low], f32::MIN_POSITIVE),
                [0.0, 1.0, 0.0],
                "{level}"
            );
        }
        let [low, high] = written(level, "softmax", &[f32::MIN, f32::MAX], f32::MAX)[..] else {
            panic!("two")
        };
        assert!((f64::from(high) / f64::from(low) / 2_f64.exp() - 1.0).abs() < 1e-6, "{level}: {low} {high}");
    }
}

#[test]
fn masked_tokens_weigh_exactly_nothing() {
    for level in levels() {
        for masked in [0..1, 5..517, 512..1024, 0..1499] {
            let mut row: Vec<f32> = (0..1500).map(|i| (i % 7) as f32 - 3.0).collect();
            row[masked.clone()].fill(MASKED);
            for t in common::TEMPERATURES {
                let (probs, logs) =
                    (written(level, "softmax", &row, t), written(level, "log_softmax", &row, t));
                assert!(probs[masked.clone()].iter().all(|p| p.to_bits() == 0), "{level}, T = {t:e}");
                assert!(logs[masked.clone()].iter().all(|y| *y == MASKED), "{level}, T = {t:e}");
                for u in [0.0, 1e-300, 0.25, 0.5, 0.75, LAST_UNIFORM] {
                    assert!(!masked.contains(&token(level, &row, t, u)), "{level}, T = {t:e}, u = {u}");
                }
            }
        }
    }
}
