//! Every level gives the bits of the scalar contract, also where the weights of a block are relative to
//! something else than 1, and where blocks are too far below others to be weighed.

mod common;

use kelvin::Cdf;
use kelvin::reference::contract;

use common::{LAST_UNIFORM, TEMPERATURES, check, gaussian, levels, one, temperature, thinned, uniforms};

const ENDS: [f64; 3] = [0.0, 0.37, LAST_UNIFORM];

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
    const BORDERS: [f64; 14] = [
        -16384.0, -520.0, -512.0, -24.0, -23.5, 64.0, 108.0, 109.0, 117.44, 118.0, 136.0, 168.0, 712.0,
        16384.0,
    ];
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
            for highest in [113.0, power as f32 + 40.0] {
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

/// Of three blocks, the second is 64.795 powers of two below the first, and the third so far above both that
/// their masses are subnormal: that of the second is rounded up, twice, to half the last bit of the first's.
#[test]
fn blocks_far_below_one_before_them_of_subnormal_mass() {
    let [first, second, third] = [0x412a_7ea6, 0x4129_c6b0, 0x4135_e9ed].map(f32::from_bits);
    let mut row = vec![f32::NEG_INFINITY; 512];
    row[100] = first;
    row.extend([second; 512]);
    row.push(third);
    row.resize(5 * 512, f32::NEG_INFINITY);
    let u = 1.117_009_337_135_1e-310_f64;
    for len in [1025, row.len()] {
        check::bits(&levels(), &row[..len], 0.001, &[u.next_down(), u, u.next_up()]);
    }
}

/// Rows long enough for runs of blocks, which something ends in one of their blocks: a NaN, +inf, a masked
/// token (but not among the first 16); one so low that it counts as 0, or just not; one so high that the sum
/// cannot be trusted; first logits that ask for another reference, or say nothing.
#[test]
fn runs_end_in_any_block() {
    const LN_2: f32 = std::f32::consts::LN_2;
    let levels = levels();
    let logits = gaussian(21 * 512 + 100, 3.0, 21);
    let alone = [
        f32::NAN,
        -f32::NAN,
        f32::from_bits(0x7f80_0001),
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN,
        -1e9,
        -140.0 * LN_2,
        -127.0 * LN_2,
        -126.5 * LN_2,
        (-126.5 * LN_2).next_down(),
        (-126.0 * LN_2).next_down(),
        -126.0 * LN_2,
        117.0 * LN_2,
        118.0 * LN_2,
        140.0 * LN_2,
    ];
    for block in thinned([0, 1, 2, 8, 9, 10, 16, 17, 20], 4) {
        let start = block * 512;
        for (i, x) in alone.into_iter().enumerate() {
            let mut row = logits.clone();
            row[start + [0, 15, 16, 127, 128, 400, 511][(i + block) % 7]] = x;
            check::bits(&levels, &row, 1.0, &ENDS);
            // The same where runs begin at the second block.
            row[..3].fill(f32::NEG_INFINITY);
            check::bits(&levels, &row, 1.0, &ENDS);
        }
        for x in [f32::NEG_INFINITY, -30.0, -20.0, -24.0 * LN_2, 50.0, 64.0 * LN_2, 100.0] {
            let mut row = logits.clone();
            row[start..][..16].fill(x);
            check::bits(&levels, &row, 1.0, &ENDS);
            row[start..][..512].fill(x);
            check::bits(&levels, &row, 1.0, &ENDS);
        }
    }
}

/// Of two logits at fault the first is named, whether one was written over by then or not.
#[test]
fn the_first_of_two_logits_at_fault() {
    const PLACES: [usize; 5] = [100, 1100, 7 * 512 + 50, 16 * 512 + 3, 21 * 512 + 40];
    let levels = levels();
    for (i, first) in PLACES.into_iter().enumerate() {
        for second in PLACES.into_iter().skip(i + 1) {
            for bad in [[f32::NAN, f32::INFINITY], [f32::INFINITY, f32::NAN], [f32::NAN; 2]] {
                let mut row = gaussian(21 * 512 + 100, 3.0, 24);
                (row[first], row[second]) = (bad[0], bad[1]);
                check::bits(&levels, &row, 1.0, &ENDS);
                row[0] = f32::NEG_INFINITY;
                check::bits(&levels, &row, 1.0, &ENDS);
            }
        }
    }
}

/// A first block by itself that is so heavy that the runs behind it are nothing beside it.
#[test]
fn runs_behind_a_heavy_block() {
    let mut row = gaussian(21 * 512 + 100, 3.0, 23);
    row[..3].fill(f32::NEG_INFINITY);
    for power in [100.0, 159.0, 170.0, 200.0, 1100.0, 20_000.0] {
        row[20] = power * std::f32::consts::LN_2;
        check::bits(&levels(), &row, 1.0, &ENDS);
    }
}

/// As many blocks as may be in runs: their last one is whole, or another; with and without a tail.
#[test]
fn runs_of_any_number_of_blocks() {
    let levels = levels();
    let row = gaussian(28 * 512, 3.0, 22);
    let mut masked = row.clone();
    masked[3] = f32::NEG_INFINITY;
    for blocks in 14..28 {
        for tail in [0, 1, 300] {
            for t in [0.8, 1e38] {
                check::bits(&levels, &row[..blocks * 512 + tail], t, &[0.4]);
                check::bits(&levels, &masked[..blocks * 512 + tail], t, &[0.4]);
            }
        }
    }
}
