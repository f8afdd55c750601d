//! Every level gives the bits of the scalar contract: all lengths, sizes, temperatures, special values.

mod common;

use kelvin::Cdf;
use kelvin::reference::contract;

use common::{
    LAST_UNIFORM, SPECIAL, TEMPERATURES, VOCABS, check, gaussian, levels, one, temperature, thinned, uniforms,
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

/// Weights that are about to become 0 or infinite, before and after the block gets another reference.
#[test]
fn weights_at_the_ends_of_f32() {
    let levels = levels();
    for power in thinned(-1040..1040, 7).map(|eighth| eighth as f32 / 8.0) {
        let mut row = gaussian(600, 1.0, 11);
        row[40..43].copy_from_slice(
            &[power, power.next_up(), power.next_down()].map(|x| x * std::f32::consts::LN_2),
        );
        check::bits(&levels, &row, 1.0, &ENDS);
        row[..16].fill(-power / 2.0);
        check::bits(&levels, &row, 1.0, &ENDS);
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

/// Blocks of every kind in one row: ordinary, masked, far below the rest, with a late maximum, huge.
#[test]
fn blocks_of_every_kind() {
    let levels = levels();
    let mut row = gaussian(6 * 512 + 100, 3.0, 4);
    row[512..1024].fill(f32::NEG_INFINITY);
    row[1024..1536].iter_mut().for_each(|x| *x -= 300.0);
    row[1900] = 90.0;
    row[2048..2080].fill(f32::NEG_INFINITY);
    row[2600..2700].iter_mut().for_each(|x| *x *= 1e30);
    for t in TEMPERATURES {
        check::bits(&levels, &row, t, &uniforms(20, 5));
        check::bits(&levels, &row[..2500], t, &uniforms(20, 6));
    }
}

/// Where the reference of a block changes, or how it is found: a step of f32 below, at, and above, for the
/// largest of the first sixteen logits, for the largest of all, and for a sum.
#[test]
fn blocks_where_their_reference_changes() {
    const BORDERS: [f64; 12] =
        [-16384.0, -520.0, -512.0, -24.0, 64.0, 110.0, 111.0, 120.0, 136.0, 168.0, 712.0, 16384.0];
    let levels = levels();
    for (t, power) in [0.004_f32, 0.07, 0.3, 0.7, 5.0, 40.0].into_iter().flat_map(|t| BORDERS.map(|p| (t, p)))
    {
        let border = (power * f64::from(t) * std::f64::consts::LN_2) as f32;
        // (Beside an ordinary block, one far below it would not count.)
        let mut row = gaussian(if power < 0.0 { 512 } else { 700 }, 3.0, 12);
        let logits = row.clone();
        for x in [border.next_down(), border, border.next_up()] {
            for (x, logit) in row[..512].iter_mut().zip(&logits) {
                *x = border + t * (0.1 * logit - 200.0);
            }
            row[7] = x;
            check::bits(&levels, &row, t, &[0.4]);
            for highest in [115.0, power as f32 + 40.0] {
                row[300] = highest * t * std::f32::consts::LN_2;
                check::bits(&levels, &row, t, &[0.4]);
            }
            (row[7], row[300]) = (f32::NEG_INFINITY, x);
            check::bits(&levels, &row, t, &[0.4]);
            row[..512].fill(x - 9.0 * t * std::f32::consts::LN_2);
            check::bits(&levels, &row, t, &[0.4]);
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

/// A block so far below its row that its mass is subnormal, or 0 in some of its groups, and still drawn from.
#[test]
fn blocks_of_subnormal_mass() {
    let levels = levels();
    for powers in thinned(1020..1080, 5) {
        let mut row = gaussian(1024, 1e-4, 12);
        let below = powers as f32 * std::f32::consts::LN_2 / 1000.0;
        row.iter_mut().zip(0..).for_each(|(x, i)| *x += if i < 512 { 20.0 - below } else { 20.0 });
        check::bits(&levels, &row, 0.001, &[0.0, 5e-324, 1e-322, 1e-318, 1e-310]);
    }
}

/// Blocks so far below one before them that they count in nothing, or just in the last bit of the sum, or in
/// the least probability: all are weighed as if each were alone in its row. (Of rows of up to 2048, and of
/// longer ones.) A NaN among them is found.
#[test]
fn blocks_far_below_one_before_them() {
    const TOP: [f64; 3] = [0.0, 0.5, LAST_UNIFORM];
    let levels = levels();
    for (t, power) in [(0.01_f32, 300.0), (0.01, -700.0), (1e-5, 20_000.0), (1e-5, -20_000.0)] {
        let logit = |power: f64| (power * f64::from(t) * std::f64::consts::LN_2) as f32;
        for gap in thinned([20, 52, 53, 54, 55].into_iter().chain(58..69).chain(122..130), 7) {
            let mut row = vec![logit(power - 20.0); 512];
            row.extend([logit(power - 400.0); 511]);
            row.push(logit(power));
            for below in [f64::from(gap), 60.5, 1e6, f64::from(gap) + 0.5] {
                row.extend([logit(power - below); 512]);
            }
            row.extend([logit(power - f64::from(gap)); 40]);
            for len in [row.len(), 4 * 512, 3 * 512 + 9] {
                check::bits(&levels, &row[..len], t, &TOP);
                for &level in &levels {
                    let mut cdf = Cdf::default();
                    level.rebuild_cdf(&mut cdf, one(&row[..len]), 0, temperature(t)).expect("servable");
                    for u in TOP {
                        let expected = contract::sample(&row[..len], t, u).expect("servable").0;
                        assert_eq!(cdf.draw(u), Ok(expected as u32), "{level}, T = {t:e}, {len} tokens");
                    }
                }
            }
            for place in [1024, 1600, 2047, 3072, row.len() - 1] {
                let before = std::mem::replace(&mut row[place], f32::NAN);
                check::bits(&levels, &row, t, &[0.5]);
                row[place] = before;
            }
        }
    }
}

/// Of three blocks, the second is 64.35 powers of two below the first, and the third so far above both that
/// their masses are subnormal: that of the second is rounded up, twice, to half the last bit of the first's.
#[test]
fn blocks_far_below_one_before_them_of_subnormal_mass() {
    let [first, second, third] = [0x412a_9992, 0x4129_e2e0, 0x4135_e97e].map(f32::from_bits);
    let mut row = vec![f32::NEG_INFINITY; 512];
    row[100] = first;
    row.extend([second; 512]);
    row.push(third);
    row.resize(5 * 512, f32::NEG_INFINITY);
    let u = 8.882_345_449_815_369e-308_f64;
    for len in [1025, row.len()] {
        check::bits(&levels(), &row[..len], 0.001, &[u.next_down(), u, u.next_up()]);
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
