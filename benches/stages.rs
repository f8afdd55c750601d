//! Every stage x level x vocabulary x rows x dtype. Answers are checked before they are timed.
//!
//! ```text
//! cargo bench --all-features --bench stages -- sample/avx512
//! ```
//!
//! The rows take 1.3 GB. All answers are checked, whatever is filtered: with all levels and shapes, that takes
//! minutes.

#[path = "common/logits.rs"]
mod logits;

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use kelvin::reference::contract;
use kelvin::{Draw, Error, FailedRows, Key, Level, Logit, RowError, Rows, RowsMut, Temperature};

use logits::logits;

const VOCABS: [usize; 3] = [32_000, 128_256, 262_144];
const ROWS: [usize; 4] = [1, 8, 64, 256];
const TEMPERATURE: f32 = 0.8;

/// Rows of one type, and their sizes, which serve as weights.
struct Data<L> {
    dtype: &'static str,
    logits: Vec<L>,
    weights: Vec<L>,
}

impl<L> Data<L> {
    fn new(dtype: &'static str, logits: &[f32], narrow: fn(f32) -> L) -> Self {
        let weights = logits.iter().map(|x| narrow(x.abs())).collect();
        Self { dtype, logits: logits.iter().copied().map(narrow).collect(), weights }
    }
}

fn stages(c: &mut Criterion) {
    let logits = logits(VOCABS[2] * ROWS[3]);
    let full = Data::new("f32", &logits, |x| x);
    let half = Data::new("f16", &logits, f16::from_f32);
    let brain = Data::new("bf16", &logits, bf16::from_f32);
    let mut out = logits;
    for level in Level::available() {
        for vocab in VOCABS {
            for rows in ROWS {
                let shape = (rows, vocab);
                // The answers first.
                check(level, shape, &full, &mut out);
                check(level, shape, &half, &mut out);
                check(level, shape, &brain, &mut out);
                check_in_place(level, shape, &full.logits, &mut out);
                stages_of(c, level, shape, &full, &mut out);
                stages_of(c, level, shape, &half, &mut out);
                stages_of(c, level, shape, &brain, &mut out);
                in_place(c, level, shape, &mut out[..rows * vocab]);
            }
        }
    }
}

fn check_in_place(level: Level, (rows, vocab): (usize, usize), logits: &[f32], out: &mut [f32]) {
    let (logits, out) = (&logits[..rows * vocab], &mut out[..rows * vocab]);
    let last = (rows - 1) * vocab;
    let expected = [contract::scale, contract::softmax, contract::log_softmax];
    for ((_, stage), expected) in IN_PLACE.into_iter().zip(expected) {
        out.copy_from_slice(logits);
        let mut results = RowsMut::new(out, vocab).expect("rows");
        stage(level, &mut results, &t()).expect("fits").into_result().expect("served");
        assert_eq!(Some(&out[last..]), expected(&logits[last..], TEMPERATURE).as_deref(), "{level}");
    }
}

/// Every row is served, and the last one's answers are what the contract says of the same numbers as f32.
fn check<L: Logit>(level: Level, (rows, vocab): (usize, usize), data: &Data<L>, out: &mut [f32]) {
    let (logits, wide) = widened(&data.logits[..rows * vocab], vocab);
    let (weights, wide_weights) = widened(&data.weights[..rows * vocab], vocab);
    let (mut draws, mut tokens, mut sums) =
        (vec![Ok(Draw::default()); rows], vec![Ok(0); rows], vec![Ok(0.0); rows]);
    level.sample(logits, &t(), &vec![0.7; rows], &mut draws).expect("fits");
    level.argmax(logits, &mut tokens).expect("fits");
    level.log_sum_exp(logits, &t(), &mut sums).expect("fits");
    assert_eq!(last_drawn(&draws), contract::sample(&wide, TEMPERATURE, 0.7), "{level}");
    assert_eq!(last(&tokens), contract::argmax(&wide).map(|token| token as u32), "{level}");
    assert_eq!(last(&sums), contract::log_sum_exp(&wide, TEMPERATURE), "{level}");
    level.sample_from_probs(weights, &vec![0.7; rows], &mut draws).expect("fits");
    assert_eq!(last_drawn(&draws), contract::sample_from_probs(&wide_weights, 0.7), "{level}");
    let expected = [contract::scale, contract::softmax, contract::log_softmax];
    let stages = [Level::scale::<L>, Level::softmax::<L>, Level::log_softmax::<L>];
    for (stage, expected) in stages.into_iter().zip(expected) {
        let out = &mut out[..rows * vocab];
        let mut results = RowsMut::new(out, vocab).expect("rows");
        stage(level, logits, &t(), &mut results).expect("fits").into_result().expect("served");
        assert_eq!(Some(&out[(rows - 1) * vocab..]), expected(&wide, TEMPERATURE).as_deref(), "{level}");
    }
}

/// Rows, and the numbers of the last one as f32.
fn widened<L: Logit>(data: &[L], vocab: usize) -> (Rows<'_, L>, Vec<f32>) {
    let rows = Rows::new(data, vocab).expect("rows");
    (rows, rows.row(rows.rows() - 1).iter().map(|&x| x.into()).collect())
}

/// The last outcome, if all rows are served.
fn last<T: Copy>(outcomes: &[Result<T, RowError>]) -> Option<T> {
    outcomes.iter().copied().reduce(|all, outcome| all.and(outcome))?.ok()
}

fn last_drawn(draws: &[Result<Draw, RowError>]) -> Option<(u32, f32)> {
    last(draws).map(|draw| (draw.token, draw.logprob))
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

fn stages_of<L: Logit>(
    c: &mut Criterion,
    level: Level,
    (rows, vocab): (usize, usize),
    data: &Data<L>,
    out: &mut [f32],
) {
    let (t, shape, len) = (t(), (rows, vocab, data.dtype), rows * vocab);
    let uniforms: Vec<f64> = (0..rows as u64).map(|position| Key { seed: 2, position }.uniform()).collect();
    let (mut draws, mut tokens, mut sums) =
        (vec![Ok(Draw::default()); rows], vec![Ok(0); rows], vec![Ok(0.0); rows]);
    let logits = Rows::new(&data.logits[..len], vocab).expect("rows");
    let weights = Rows::new(&data.weights[..len], vocab).expect("rows");
    let mut to = RowsMut::new(&mut out[..len], vocab).expect("rows");
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

type InPlace = fn(Level, &mut RowsMut<'_>, &[Temperature]) -> Result<FailedRows, Error>;

const IN_PLACE: [(&str, InPlace); 3] = [
    ("scale_in_place", Level::scale_in_place),
    ("softmax_in_place", Level::softmax_in_place),
    ("log_softmax_in_place", Level::log_softmax_in_place),
];

/// The rows are what the call before has left: at T = 1, quotients and log-probabilities stay as they are,
/// and probabilities converge to equal ones, which cost the same.
fn in_place(c: &mut Criterion, level: Level, (rows, vocab): (usize, usize), out: &mut [f32]) {
    let (shape, mut to) = ((rows, vocab, "f32"), RowsMut::new(out, vocab).expect("rows"));
    for (name, stage) in IN_PLACE {
        bench(c, name, level, shape, || drop(stage(level, &mut to, &[Temperature::ONE]).expect("fits")));
    }
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
