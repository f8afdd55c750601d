//! Values against f64: the softmax family within its derived bounds, at ordinary and extreme temperatures.

mod common;

use common::{
    ROUNDED_UP, TEMPERATURES, VOCABS, blocks_of, check, gaussian, levels, shapes, temperature, thinned,
};
use kelvin::reference::contract::{UNIT, polynomial};
use kelvin::reference::oracle;
use kelvin::{Level, Temperature};

#[test]
fn every_shape_at_every_temperature() {
    let level = Level::best();
    for vocab in thinned(VOCABS, 5) {
        for (_, row) in shapes(vocab) {
            for t in TEMPERATURES {
                check::values(level, &row, t);
            }
        }
    }
}

#[test]
fn masked_rows() {
    for (seed, kept) in [(1, 2), (2, 3), (3, 100), (4, 5000)] {
        let mut row = gaussian(20_000, 4.0, seed);
        row.iter_mut().enumerate().filter(|(i, _)| i % kept != 1).for_each(|(_, x)| *x = f32::NEG_INFINITY);
        for t in TEMPERATURES {
            check::values(Level::best(), &row, t);
        }
    }
}

/// exp((a - b)/T) for neighbours in f32, where dividing first would lose the difference or overflow.
#[test]
fn two_logits_one_ulp_apart() {
    let (a, b) = (10.0_f32, 10.0_f32.next_up());
    for level in levels() {
        for t in [1e-6, 1e-7, 3e-7] {
            let mut row = vec![f32::NEG_INFINITY; 700];
            (row[3], row[650]) = (a, b);
            check::values(level, &row, t);
            let temperature = [temperature(t)];
            let (probs, _) = check::run(level, "softmax", &row, &temperature);
            let odds = ((f64::from(b) - f64::from(a)) / f64::from(t)).exp();
            assert!((f64::from(probs[650]) / f64::from(probs[3]) / odds - 1.0).abs() < 6e-7, "{level} {t}");
        }
    }
}

#[test]
fn logits_over_the_whole_range_of_f32() {
    for level in levels() {
        for t in [1e38, f32::MAX, 1e37, 1e30, 1.0, f32::MIN_POSITIVE] {
            let mut row: Vec<f32> = (0..2000).map(|i| f32::MAX * (i as f32 / 999.5 - 1.0)).collect();
            check::values(level, &row, t);
            row.reverse();
            check::values(level, &row, t);
            row.fill(f32::MIN);
            check::values(level, &row, t);
        }
    }
}

#[test]
fn tiny_logits_at_tiny_temperatures() {
    for level in levels() {
        let row: Vec<f32> = gaussian(1500, 2.0, 8).iter().map(|x| x * 1e-38).collect();
        for t in [f32::MIN_POSITIVE, 1e-37, 1e-36, 1e-30] {
            check::values(level, &row, t);
        }
    }
}

/// A block of masked tokens before, behind and between blocks whose logits are far from 0 at a low T.
#[test]
fn masked_blocks_at_low_temperatures() {
    for level in levels() {
        for (masked, value) in
            [(0..512, -20.0_f32), (512..1024, -20.0), (700..1530, 20.0), (512..1024, -1e30)]
        {
            let mut row = vec![value; 1536];
            row[1400] = value - value.abs() / 40.0;
            row[masked].fill(f32::NEG_INFINITY);
            for t in TEMPERATURES {
                check::values(level, &row, t);
            }
        }
        for len in [511, 512, 513, 1024] {
            check::values(level, &vec![-20.0; len], 0.001);
        }
    }
}

/// Temperatures around those where logits are shrunk before they are weighed.
#[test]
fn large_logits_at_high_temperatures() {
    for level in levels() {
        for exponent in 90..=127 {
            let t = (exponent as f32).exp2() * 1.3;
            for x in [1e10, 3e38, f32::MAX] {
                let mut row =
                    gaussian(1100, 1.0, exponent as u64).iter().map(|y| x * y / 7.0).collect::<Vec<_>>();
                check::values(level, &row, t);
                row.fill(x);
                check::values(level, &row, t);
                row[3] = -x;
                check::values(level, &row, t);
            }
        }
    }
}

/// The largest quotient that f32 holds: its larger part may already be -inf (found by fuzzing).
#[test]
fn logarithms_at_the_end_of_f32() {
    for level in levels() {
        let mut row = vec![4.427_218_6e21; 513];
        row[3] = 7.975_367_5e37;
        check::values(level, &row, 0.234_375);
        let mut row = vec![-2_147_452_400.0; 2223];
        row[3] = 8.077_820_6e-28;
        check::values(level, &row, 6.310_796e-30);
    }
}

/// Where a shrunk logit's power of two rounds to 2^14, its block was weighed relative to an offset that was
/// not shrunk.
#[test]
fn largest_logits_whose_power_of_two_rounds_to_the_limit() {
    let limit = 0x78b8_ab77;
    let mut peaks = vec![3.4e38; 1024];
    (peaks[600], peaks[700]) = (f32::MAX, f32::MAX);
    let rows = [vec![f32::MAX, f32::MAX, 0.0], vec![f32::MIN; 5], vec![f32::MAX; 700], peaks];
    for level in levels() {
        for bits in [limit - 400, limit - 1, limit, limit + 1, limit + 200, limit + 400] {
            rows.iter().for_each(|row| check::values(level, row, f32::from_bits(bits)));
        }
    }
}

/// Weights as large as can be trusted, so far below the row's largest that their probabilities just count: both
/// steps to them are normal numbers (found by a review: they lost digits).
#[test]
fn large_weights_of_least_probability() {
    const LN_2: f32 = std::f32::consts::LN_2;
    for level in levels() {
        for power in [107.0, 112.0, 116.5, 117.4] {
            for below in [119.0, 121.0, 123.0, 124.5, 124.8, 124.95, 125.1] {
                let mut row = vec![0.0; 513];
                (row[100], row[512]) = (power * LN_2, (power + below) * LN_2);
                check::values(level, &row, 1.0);
                row.resize(20 * 512, 0.0);
                check::values(level, &row, 1.0);
            }
        }
    }
}

/// The worst row known: of the 6 x 2^-23 that its single token may be off, it is 5. (docs/numerics.md.)
#[test]
fn one_token_beside_blocks_whose_sums_round_up() {
    let mut row = blocks_of(ROUNDED_UP, 985);
    row.push(-13.353637);
    for level in levels() {
        check::values(level, &row, 1.0);
        let (probs, _) = check::run(level, "softmax", &row, &[Temperature::ONE]);
        let exact = oracle::softmax(&row, 1.0).expect("servable");
        let error = f64::from(probs[985 * 512]) / exact[985 * 512] - 1.0;
        assert!(error.abs() > 4.5 * f64::from(f32::EPSILON), "{level}: {error:e}");
    }
}

/// Probabilities add up to 1, and scaled logits are quotients.
#[test]
fn sums_and_quotients() {
    let row = gaussian(128_256, 3.0, 5);
    let t = temperature(0.8);
    let (probs, _) = check::run(Level::best(), "softmax", &row, &[t]);
    let sum: f64 = probs.iter().map(|&p| f64::from(p)).sum();
    assert!((sum - 1.0).abs() < 3e-7, "{sum}");
    let (scaled, _) = check::run(Level::best(), "scale", &row, &[t]);
    assert!(scaled.iter().zip(&row).all(|(y, x)| *y == x / 0.8));
}

/// The polynomial over every f32 of its range (and a little beyond, as far as |x/T| < 2^14 lets t go):
/// the error that `simd/exp2.rs` states, and never 0. A minute or so.
#[test]
#[ignore = "exhaustive"]
fn exponential_over_every_f32_of_the_reduced_range() {
    let (mut lowest, mut highest) = (0.0_f64, 0.0_f64);
    let last = 0.502_f32.to_bits();
    let all = (0..=last).flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)]);
    for t in all {
        let error = f64::from(polynomial(t)) / f64::from(UNIT) / f64::from(t).exp2() - 1.0;
        (lowest, highest) = (lowest.min(error), highest.max(error));
    }
    println!("relative error of 2^t: {lowest:.3e} to {highest:.3e}");
    assert!(lowest >= -1.62e-7 && highest <= 1.69e-7, "{lowest:e} to {highest:e}");
    let zero =
        (0..=f32::INFINITY.to_bits()).map(f32::from_bits).find(|&t| polynomial(t) * polynomial(-t) == 0.0);
    assert_eq!(zero, None, "an exponent beyond f32 could then hide its overflow");
}
