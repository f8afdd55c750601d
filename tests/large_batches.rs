//! Batches beyond the caches: results are streamed, rows asked for ahead or left to the CPU. The same bits.

mod common;

use common::check::{call, run};
use common::{gaussian, in_pool, levels, one, temperature};
use kelvin::{Draw, Level, Logit, RowError, Rows, RowsMut, Temperature};

/// The last block has five tokens, and may be written by itself.
const VOCAB: usize = 1953 * 512 + 5;
const ROWS: usize = 10;
const BAD_ROWS: [usize; 2] = [7, 9];

/// `ROWS` rows of that, two of which cannot be served: the one for its second block, the other for its end. In
/// the first, runs begin at the second block.
fn batch() -> (Vec<f32>, Vec<Temperature>) {
    let row = |i: usize| gaussian(VOCAB, [3.0, 20.0, 3e4][i % 3], i as u64);
    let mut data: Vec<f32> = (0..ROWS).flat_map(row).collect();
    data[5] = f32::NEG_INFINITY;
    data[7 * VOCAB + 600] = f32::NAN;
    data[ROWS * VOCAB - 1] = f32::NAN;
    let temperatures = [0.7, 0.0, 30.0].map(temperature);
    (data, (0..ROWS).map(|i| temperatures[i / 3 % 3]).collect())
}

/// An output beyond the caches is written past them, in lines of 64 bytes: the same bits, whatever the rows'
/// first and last lines are. (At T = 0.7, a deviation of 20 makes blocks so far below the largest logit that
/// what their weights are multiplied by is below the normal numbers, and a few probabilities still are not.)
#[test]
fn results_are_those_of_each_row_alone() {
    let (data, t) = batch();
    let logits = Rows::new(&data, VOCAB).expect("rows");
    let mut out = vec![0.0; 3 + ROWS * VOCAB];
    let in_place = ["scale in place", "softmax in place", "log_softmax in place"];
    for kernel in ["scale", "softmax", "log_softmax"].into_iter().chain(in_place) {
        let alone: Vec<Vec<f32>> =
            data.chunks(VOCAB).zip(&t).map(|(row, &t)| run(Level::best(), kernel, row, &[t]).0).collect();
        // (On one thread, each row is done while the next one is at work.)
        let ways = |level| [(level, 0, 1), (level, 3, 2), (level, 0, 3)];
        for (level, shift, threads) in levels().into_iter().flat_map(ways) {
            let results = &mut out[shift..][..ROWS * VOCAB];
            results.copy_from_slice(&data);
            let mut probs = RowsMut::new(results, VOCAB).expect("rows");
            let failed = in_pool(threads, || call(level, kernel, logits, &t, &mut probs));
            assert_eq!(failed.iter().map(RowError::row).collect::<Vec<_>>(), BAD_ROWS);
            for (i, (row, alone)) in results.chunks(VOCAB).zip(&alone).enumerate() {
                let bits = |x: &f32| x.to_bits();
                let same = row.iter().map(bits).eq(alone.iter().map(bits));
                assert!(same, "{kernel}, {level}, shift {shift}, {threads} threads, row {i}");
            }
        }
    }
}

#[test]
fn tokens_are_those_of_each_row_alone() {
    let (data, t) = batch();
    let alone: Vec<_> =
        data.chunks(VOCAB).zip(&t).map(|(row, &t)| tokens(Level::best(), one(row), &[t])[0]).collect();
    assert_eq!(BAD_ROWS.map(|row| alone[row]), [(None, None); 2]);
    let rows = Rows::new(&data, VOCAB).expect("rows");
    for level in levels() {
        assert_eq!(tokens(level, rows, &t), alone, "{level}");
    }
}

/// What `sample` and `argmax` say of each row.
fn tokens<L: Logit>(level: Level, rows: Rows<'_, L>, t: &[Temperature]) -> Vec<(Option<Draw>, Option<u32>)> {
    let (mut draws, mut tokens) = (vec![Ok(Draw::default()); t.len()], vec![Ok(0); t.len()]);
    level.sample(rows, t, &vec![0.3; t.len()], &mut draws).expect("shapes fit");
    level.argmax(rows, &mut tokens).expect("shapes fit");
    draws.into_iter().zip(tokens).map(|(draw, token)| (draw.ok(), token.ok())).collect()
}

#[cfg(feature = "half")]
mod halves {
    use super::common::check::same_bits;
    use super::*;
    use half::{bf16, f16};
    use kelvin::{Error, FailedRows};

    #[test]
    fn results_are_those_of_the_widened_rows() {
        halves("f16", f16::from_f32_const);
        halves("bf16", bf16::from_f32_const);
    }

    fn halves<L: Logit>(dtype: &str, narrow: fn(f32) -> L) {
        let (rows, vocab) = (140, 128_256);
        let mut numbers = gaussian(vocab + rows, 3.0, 7);
        numbers[70] = f32::NEG_INFINITY;
        let data: Vec<L> = (0..rows).flat_map(|row| &numbers[row..][..vocab]).map(|&x| narrow(x)).collect();
        let wide: Vec<f32> = data.iter().map(|&x| x.into()).collect();
        let (data, wide) = (Rows::new(&data, vocab).expect("rows"), Rows::new(&wide, vocab).expect("rows"));
        let t = [0.8, 0.0].map(temperature).repeat(rows / 2);
        let (mut found, mut expected) = (vec![0.0; rows * vocab], vec![0.0; rows * vocab]);
        for level in levels() {
            let kernels: [(&str, Writer<L>, Writer<f32>); 3] = [
                ("softmax", Level::softmax, Level::softmax),
                ("log_softmax", Level::log_softmax, Level::log_softmax),
                ("scale", Level::scale, Level::scale),
            ];
            for (name, kernel, of_wide) in kernels {
                let failed = [
                    kernel(level, data, &t, &mut RowsMut::new(&mut found, vocab).expect("rows")),
                    of_wide(level, wide, &t, &mut RowsMut::new(&mut expected, vocab).expect("rows")),
                ];
                assert_eq!(failed, [0; 2].map(|_| Ok(FailedRows::default())));
                same_bits(&found, &expected, &format!("{name}, {dtype}, {level}"));
            }
            assert!(tokens(level, data, &t) == tokens(level, wide, &t), "tokens, {dtype}, {level}");
        }
    }

    type Writer<L> = fn(Level, Rows<'_, L>, &[Temperature], &mut RowsMut<'_>) -> Result<FailedRows, Error>;
}
