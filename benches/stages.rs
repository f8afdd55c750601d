//! Every stage x level x vocabulary x rows x dtype. Answers are checked before they are timed.
//!
//! ```text
//! cargo bench --all-features --bench stages -- sample/avx512
//! ```

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use kelvin::reference::contract;
use kelvin::{Draw, Key, Level, Logit, RowError, Rows, RowsMut, Temperature};

const VOCABS: [usize; 3] = [32_000, 128_256, 262_144];
const ROWS: [usize; 4] = [1, 8, 64, 256];
const TEMPERATURE: f32 = 0.8;

/// Nearly normal logits of deviation 3.
fn logits(len: usize) -> Vec<f32> {
    let mut uniforms = vec![0.0; 12 * 4096];
    let mut row = |seed: usize| {
        Key { seed: seed as u64, position: 0 }.fill(&mut uniforms);
        uniforms.chunks(12).map(|u| (3.0 * (u.iter().sum::<f64>() - 6.0)) as f32).collect::<Vec<_>>()
    };
    (0..len.div_ceil(4096)).flat_map(&mut row).take(len).collect()
}

fn stages(c: &mut Criterion) {
    let data = logits(VOCABS[2] * ROWS[3]);
    let halves: Vec<f16> = data.iter().map(|&x| f16::from_f32(x)).collect();
    let brains: Vec<bf16> = data.iter().map(|&x| bf16::from_f32(x)).collect();
    let mut out = vec![0.0; data.len()];
    for level in Level::available() {
        for vocab in VOCABS {
            check(level, &data[..vocab], &halves[..vocab], &brains[..vocab]);
            for rows in ROWS {
                let len = rows * vocab;
                let view = Rows::new(&data[..len], vocab).expect("rows");
                reading(c, level, "f32", view);
                reading(c, level, "f16", Rows::new(&halves[..len], vocab).expect("rows"));
                reading(c, level, "bf16", Rows::new(&brains[..len], vocab).expect("rows"));
                writing(c, level, view, &mut out[..len]);
            }
        }
    }
}

/// The answers first: of each operation, and of `sample` for each type.
fn check(level: Level, row: &[f32], half: &[f16], brain: &[bf16]) {
    check_reading(level, row, row);
    check_reading(level, half, &half.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
    check_reading(level, brain, &brain.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
    check_writing(level, row);
}

/// `wide` has the same logits, as f32.
fn check_reading<L: Logit>(level: Level, row: &[L], wide: &[f32]) {
    let logits = Rows::new(row, row.len()).expect("a row");
    let (mut draws, mut tokens, mut sums) = ([Ok(Draw::default())], [Ok(0)], [Ok(0.0)]);
    level.sample(logits, &t(), &[0.7], &mut draws).expect("fits");
    level.argmax(logits, &mut tokens).expect("fits");
    level.log_sum_exp(logits, &t(), &mut sums).expect("fits");
    assert_eq!(drawn(draws), contract::sample(wide, TEMPERATURE, 0.7), "{level}");
    assert_eq!(tokens[0].ok(), contract::argmax(wide).map(|token| token as u32), "{level}");
    assert_eq!(sums[0].ok(), contract::log_sum_exp(wide, TEMPERATURE), "{level}");
}

fn check_writing(level: Level, row: &[f32]) {
    let logits = Rows::new(row, row.len()).expect("a row");
    let mut out = row.to_vec();
    let mut to = RowsMut::new(&mut out, row.len()).expect("a row");
    let probs = contract::softmax(row, TEMPERATURE);
    level.softmax_in_place(&mut to, &t()).expect("fits").into_result().expect("served");
    assert_eq!(Some(to.as_rows().row(0)), probs.as_deref(), "{level}");
    level.scale(logits, &t(), &mut to).expect("fits").into_result().expect("served");
    assert_eq!(Some(to.as_rows().row(0)), contract::scale(row, TEMPERATURE).as_deref(), "{level}");
    level.log_softmax(logits, &t(), &mut to).expect("fits").into_result().expect("served");
    assert_eq!(Some(to.as_rows().row(0)), contract::log_softmax(row, TEMPERATURE).as_deref(), "{level}");
    level.softmax(logits, &t(), &mut to).expect("fits").into_result().expect("served");
    assert_eq!(Some(to.as_rows().row(0)), probs.as_deref(), "{level}");
    let mut draws = [Ok(Draw::default())];
    level.sample_from_probs(to.as_rows(), &[0.7], &mut draws).expect("fits");
    assert_eq!(drawn(draws), contract::sample_from_probs(to.as_rows().row(0), 0.7), "{level}");
}

fn drawn([draw]: [Result<Draw, RowError>; 1]) -> Option<(u32, f32)> {
    draw.ok().map(|draw| (draw.token, draw.logprob))
}

fn t() -> [Temperature; 1] {
    [Temperature::new(TEMPERATURE).expect("a temperature")]
}

fn bench(c: &mut Criterion, stage: &str, level: Level, shape: (usize, usize, &str), mut f: impl FnMut()) {
    let (rows, vocab, dtype) = shape;
    let mut group = c.benchmark_group(format!("{stage}/{level}"));
    group.throughput(Throughput::Elements((rows * vocab) as u64));
    group.bench_function(BenchmarkId::from_parameter(format!("{vocab}x{rows}/{dtype}")), |b| b.iter(&mut f));
    group.finish();
}

fn reading<L: Logit>(c: &mut Criterion, level: Level, dtype: &str, logits: Rows<'_, L>) {
    let t = t();
    let (rows, vocab) = (logits.rows(), logits.vocab());
    let uniforms: Vec<f64> = (0..rows as u64).map(|position| Key { seed: 2, position }.uniform()).collect();
    let (mut draws, mut tokens, mut sums) =
        (vec![Ok(Draw::default()); rows], vec![Ok(0); rows], vec![Ok(0.0); rows]);
    let shape = (rows, vocab, dtype);
    bench(c, "sample", level, shape, || level.sample(logits, &t, &uniforms, &mut draws).expect("fits"));
    bench(c, "argmax", level, shape, || level.argmax(logits, &mut tokens).expect("fits"));
    bench(c, "log_sum_exp", level, shape, || level.log_sum_exp(logits, &t, &mut sums).expect("fits"));
}

/// In place, the row is written anew each time by the operation itself: it converges to a flat one, which
/// costs the same.
fn writing(c: &mut Criterion, level: Level, logits: Rows<'_>, out: &mut [f32]) {
    let t = t();
    let (rows, vocab) = (logits.rows(), logits.vocab());
    let shape = (rows, vocab, "f32");
    let uniforms: Vec<f64> = (0..rows as u64).map(|position| Key { seed: 2, position }.uniform()).collect();
    let mut draws = vec![Ok(Draw::default()); rows];
    let mut to = RowsMut::new(out, vocab).expect("rows");
    bench(c, "scale", level, shape, || drop(level.scale(logits, &t, &mut to).expect("fits")));
    bench(c, "log_softmax", level, shape, || drop(level.log_softmax(logits, &t, &mut to).expect("fits")));
    bench(c, "softmax", level, shape, || drop(level.softmax(logits, &t, &mut to).expect("fits")));
    // The weights, whether the stage above ran or was filtered out.
    level.softmax(logits, &t, &mut to).expect("fits").into_result().expect("served");
    bench(c, "sample_from_probs", level, shape, || {
        level.sample_from_probs(to.as_rows(), &uniforms, &mut draws).expect("fits");
    });
    bench(c, "softmax_in_place", level, shape, || drop(level.softmax_in_place(&mut to, &t).expect("fits")));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .without_plots();
    targets = stages
}
criterion_main!(benches);
