//! Every level gives the bits of the scalar contract: all lengths, sizes, temperatures, special values.

mod common;

use kelvin::Cdf;

use common::{
    LAST_UNIFORM, SPECIAL, TEMPERATURES, VOCABS, check, gaussian, levels, one, temperature, thinned,
};

const ENDS: [f64; 3] = [0.0, 0.37, LAST_UNIFORM];

/// Just above 2048, up to which a row keeps its weights.
const LONGEST: usize = 2050;

fn lengths() -> impl Iterator<Item = usize> {
    thinned(1..=LONGEST, 23).chain([2048, 2049])
}

#[test]
fn all_lengths() {
    let levels = levels();
    let row = gaussian(LONGEST, 3.0, 1);
    for len in lengths() {
        check::bits(&levels, &row[..len], 0.7, &ENDS);
    }
}

#[test]
fn all_lengths_of_weights() {
    let levels = levels();
    let weights: Vec<f32> = gaussian(LONGEST, 3.0, 2).into_iter().map(f32::exp2).collect();
    for len in lengths() {
        check::weights_bits(&levels, &weights[..len], &ENDS);
    }
}

#[test]
fn all_vocabularies_at_all_temperatures() {
    let levels = levels();
    for vocab in thinned(VOCABS, 5) {
        let row = gaussian(vocab, 3.0, vocab as u64);
        for t in TEMPERATURES {
            check::bits(&levels, &row, t, &[0.123_456_789]);
        }
    }
}

#[test]
fn special_values_at_every_position_of_a_block() {
    let levels = levels();
    for (seed, special) in SPECIAL.into_iter().enumerate() {
        let mut row = gaussian(2 * 512 + 7, 2.0, seed as u64);
        for position in thinned(0..512, 39) {
            let before = std::mem::replace(&mut row[position], special);
            let t = TEMPERATURES[position % TEMPERATURES.len()];
            check::bits(&levels, &row, t, &[0.5]);
            check::bits(&levels, &row, 0.7, &[0.5]);
            row[position] = before;
        }
    }
}

#[test]
fn special_values_in_the_tail() {
    let levels = levels();
    for special in SPECIAL {
        for position in thinned(512..600, 7) {
            let mut row = gaussian(600, 2.0, 9);
            row[position] = special;
            check::bits(&levels, &row, 1.0, &[0.9]);
        }
    }
}

/// log2(e)/T is 1.5 (and 0.25) but for 2^-25, so that the power of two of such logits is rounded from the
/// middle.
#[test]
fn powers_of_two_between_two_integers() {
    let levels = levels();
    let row: Vec<f32> = (-40..40).map(|x| x as f32).collect();
    for t in [0x3f76_384f, 0x40b8_aa3b].map(f32::from_bits) {
        check::bits(&levels, &row, t, &ENDS);
    }
}

/// Where no -inf fills up a last block, and so none meets a +inf in a sum.
#[test]
fn special_values_in_whole_blocks() {
    let levels = levels();
    for special in SPECIAL {
        for (len, position) in [(512, 0), (512, 511), (1024, 700)] {
            let mut row = gaussian(len, 2.0, 10);
            row[position] = special;
            for t in [0.0, 1e-30, 0.7, 1e38] {
                check::bits(&levels, &row, t, &[0.9]);
            }
        }
    }
}

#[test]
fn rows_of_one_value_and_rows_with_one_spike() {
    let levels = levels();
    for t in thinned(TEMPERATURES, 3) {
        for value in SPECIAL {
            let mut row = vec![value; 1100];
            check::bits(&levels, &row, t, &ENDS);
            for spike in SPECIAL {
                row[700] = spike;
                check::bits(&levels, &row, t, &ENDS);
            }
        }
    }
}

/// The least uniform that draws this token or one after it, found by bisection; 1 if there is none.
fn begin(cdf: &Cdf, token: u32) -> f64 {
    let (mut least, mut end) = (0, 1.0_f64.to_bits());
    while least < end {
        let middle = u64::midpoint(least, end);
        if cdf.draw(f64::from_bits(middle)).expect("a uniform") < token {
            least = middle + 1;
        } else {
            end = middle;
        }
    }
    f64::from_bits(end)
}

/// The borders of groups, and some of those between vectors and tokens: rounding in another order moves them.
#[test]
fn borders_to_the_bit() {
    let levels = levels();
    for len in thinned((1..2100).step_by(37), 4) {
        let row = gaussian(len, 3.0, len as u64);
        let weights: Vec<f32> = row.iter().map(|x| x * x).collect();
        let t = [0.3, 0.8, 1.5][len % 3];
        let uniforms = |cdf: Cdf| -> Vec<f64> {
            let begins = (1..len).filter(|token| token % 128 == 0 || token % 71 == 0 || token % 144 == 0);
            let around = |u: f64| [u.next_down().max(0.0), u, u.next_up()];
            begins.flat_map(|token| around(begin(&cdf, token as u32))).filter(|u| *u < 1.0).collect()
        };
        let cdf = Cdf::new(one(&row), 0, temperature(t)).expect("a table");
        check::bits(&levels, &row, t, &uniforms(cdf));
        let cdf = Cdf::from_probs(one(&weights), 0).expect("a table");
        check::weights_bits(&levels, &weights, &uniforms(cdf));
    }
}

#[test]
fn special_weights_at_every_position() {
    let levels = levels();
    let special = SPECIAL.into_iter().chain([1e-38, 3e38, -1e-45]);
    for (seed, special) in special.enumerate() {
        let mut weights: Vec<f32> = gaussian(1031, 2.0, seed as u64).into_iter().map(f32::exp2).collect();
        for position in thinned(0..512, 39) {
            let before = std::mem::replace(&mut weights[position], special);
            check::weights_bits(&levels, &weights, &[0.0, 0.5]);
            weights[position] = before;
        }
    }
}

/// `KELVIN_LEVEL` lowers the level of the free functions; a name that is none changes nothing.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_environment_lowers_the_level() {
    let best = |wanted: &str| {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        child
            .args(["--exact", "--ignored", "--nocapture", "child_prints_the_best_level"])
            .env("KELVIN_LEVEL", wanted);
        let printed = String::from_utf8(child.output().expect("a child").stdout).expect("text");
        printed.lines().find_map(|line| line.split("best: ").nth(1)).expect("a level").to_owned()
    };
    for level in levels() {
        assert_eq!(best(level.name()), level.name());
    }
    assert_eq!(best("sse9"), best(""));
}

#[test]
#[ignore = "a part of the test above"]
fn child_prints_the_best_level() {
    println!("best: {}", kelvin::Level::default());
}
