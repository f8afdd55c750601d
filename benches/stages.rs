//! Every stage x level x vocabulary x rows x dtype. Answers are checked before they are timed.
//!
//! ```text
//! cargo bench --all-features --bench stages -- sample/avx512
//! ```

#[path = "common/logits.rs"]
mod logits;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use kelvin::reference::contract;
use kelvin::{Draw, Key, Level, Logit, RowError, Rows, RowsMut, Temperature};

use logits::logits;

const VOCABS: [usize; 3] = [32_000, 128_256, 262_144];
const ROWS: [usize; 4] = [1, 8, 64, 256];
const TEMPERATURE: f32 = 0.8;

fn stages(c: &mut Criterion) {
    let data = logits(VOCABS[2] * ROWS[3]);
    let halves: Vec<f16> = data.iter().map(|&x| f16::from_f32(x)).collect();
    let brains: Vec<bf16> = data.iter().map(|&x| bf16::from_f32(x)).collect();
    let mut out = vec![0.0; data.len()];
    for level in Level::available() {
        for vocab in VOCABS {
            check(level, &data[..vocab], &halves[..vocab], &brains[..vocab]);
            for rows in ROWS {
                let (len, shape) = (rows * vocab, (rows, vocab));
                stages_of(c, level, ("f32", shape), &data[..len], &mut out[..len]);
                stages_of(c, level, ("f16", shape), &halves[..len], &mut out[..len]);
                stages_of(c, level, ("bf16", shape), &brains[..len], &mut out[..len]);
                in_place(c, level, shape, &mut out[..len]);
            }
        }
    }
}

/// The answers first: of each operation, for each type.
fn check(level: Level, row: &[f32], half: &[f16], brain: &[bf16]) {
    check_stages(level, row, row);
    check_stages(level, half, &half.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
    check_stages(level, brain, &brain.iter().map(|x| x.to_f32()).collect::<Vec<_>>());
    let mut probs = row.to_vec();
    let mut rows = RowsMut::new(&mut probs, row.len()).expect("a row");
    level.softmax_in_place(&mut rows, &t()).expect("fits").into_result().expect("served");
    assert_eq!(Some(probs), contract::softmax(row, TEMPERATURE), "{level}");
}

/// `wide` has the same logits, as f32. (Their sizes serve as weights.)
fn check_stages<L: Stage>(level: Level, row: &[L], wide: &[f32]) {
    let vocab = row.len();
    let logits = Rows::new(row, vocab).expect("a row");
    let (mut draws, mut tokens, mut sums) = ([Ok(Draw::default())], [Ok(0)], [Ok(0.0)]);
    level.sample(logits, &t(), &[0.7], &mut draws).expect("fits");
    level.argmax(logits, &mut tokens).expect("fits");
    level.log_sum_exp(logits, &t(), &mut sums).expect("fits");
    assert_eq!(drawn(draws), contract::sample(wide, TEMPERATURE, 0.7), "{level}");
    assert_eq!(tokens[0].ok(), contract::argmax(wide).map(|token| token as u32), "{level}");
    assert_eq!(sums[0].ok(), contract::log_sum_exp(wide, TEMPERATURE), "{level}");
    let (weights, wide_weights) = (sizes(row), sizes(wide));
    level.sample_from_probs(Rows::new(&weights, vocab).expect("a row"), &[0.7], &mut draws).expect("fits");
    assert_eq!(drawn(draws), contract::sample_from_probs(&wide_weights, 0.7), "{level}");
    let expected = [contract::scale, contract::softmax, contract::log_softmax];
    let stages = [Level::scale::<L>, Level::softmax::<L>, Level::log_softmax::<L>];
    for (stage, expected) in stages.into_iter().zip(expected) {
        let mut out = vec![0.0; vocab];
        let mut rows = RowsMut::new(&mut out, vocab).expect("a row");
        stage(level, logits, &t(), &mut rows).expect("fits").into_result().expect("served");
        assert_eq!(Some(out), expected(wide, TEMPERATURE), "{level}");
    }
}

/// A type of logits, and of weights.
trait Stage: Logit {
    fn size(self) -> Self;
}

impl Stage for f32 {
    fn size(self) -> Self {
        self.abs()
    }
}

impl Stage for f16 {
    fn size(self) -> Self {
        Self::from_bits(self.to_bits() & 0x7fff)
    }
}

impl Stage for bf16 {
    fn size(self) -> Self {
        Self::from_bits(self.to_bits() & 0x7fff)
    }
}

fn sizes<L: Stage>(row: &[L]) -> Vec<L> {
    row.iter().map(|x| x.size()).collect()
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

fn stages_of<L: Stage>(
    c: &mut Criterion,
    level: Level,
    (dtype, (rows, vocab)): (&str, (usize, usize)),
    logits: &[L],
    out: &mut [f32],
) {
    let (t, shape) = (t(), (rows, vocab, dtype));
    let uniforms: Vec<f64> = (0..rows as u64).map(|position| Key { seed: 2, position }.uniform()).collect();
    let (mut draws, mut tokens, mut sums) =
        (vec![Ok(Draw::default()); rows], vec![Ok(0); rows], vec![Ok(0.0); rows]);
    let weights = sizes(logits);
    let (logits, weights) =
        (Rows::new(logits, vocab).expect("rows"), Rows::new(&weights, vocab).expect("rows"));
    let mut to = RowsMut::new(out, vocab).expect("rows");
    bench(c, "sample", level, shape, || level.sample(logits, &t, &uniforms, &mut draws).expect("fits"));
    bench(c, "argmax", level, shape, || level.argmax(logits, &mut tokens).expect("fits"));
    bench(c, "log_sum_exp", level, shape, || level.log_sum_exp(logits, &t, &mut sums).expect("fits"));
    bench(c, "sample_from_probs", level, shape, || {
        level.sample_from_probs(weights, &uniforms, &mut draws).expect("fits");
    });
    bench(c, "scale", level, shape, || drop(level.scale(logits, &t, &mut to).expect("fits")));
    bench(c, "log_softmax", level, shape, || drop(level.log_softmax(logits, &t, &mut to).expect("fits")));
    bench(c, "softmax", level, shape, || drop(level.softmax(logits, &t, &mut to).expect("fits")));
}

/// The row is written anew each time by the operation itself: it converges to a flat one, which costs the
/// same.
fn in_place(c: &mut Criterion, level: Level, (rows, vocab): (usize, usize), out: &mut [f32]) {
    let (t, mut to) = (t(), RowsMut::new(out, vocab).expect("rows"));
    let shape = (rows, vocab, "f32");
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
