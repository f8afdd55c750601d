//! What other rows than Gaussian ones of f32 cost, and other temperatures than 0.8: the same calls, in ratios
//! within one run.
//!
//! ```text
//! cargo bench --features half --bench inputs             about 10 s
//! cargo bench --features half --bench inputs -- --quick  about 4 s
//! cargo bench --features half --bench inputs -- --csv inputs.csv
//! ```
//!
//! Of some, weights are relative to another power of two, or blocks need not be weighed, or logits are shrunk,
//! or most probabilities are near the end of what f32 can hold, or beyond it.

#[path = "common/csv.rs"]
mod csv;
#[path = "common/logits.rs"]
mod logits;
#[path = "common/options.rs"]
mod options;
#[path = "common/pairs.rs"]
mod pairs;
#[path = "common/pool.rs"]
mod pool;
#[path = "common/timing.rs"]
mod timing;

use std::error::Error;

use half::bf16;
use kelvin::reference::contract;
use kelvin::{
    AliasTable, Draw, Key, Logit, RowError, Rows, RowsMut, Temperature, Uniforms, log_softmax,
    log_softmax_in_place, log_sum_exp, sample, sample_many, sample_without_replacement, softmax,
};

use logits::logits;
use options::Options;
use pairs::Bench;
use pool::pool;
use rayon::ThreadPool;

const VOCAB: usize = 128_256;
/// Alias tables are built from another row at each call: the CPU would learn the branches of one.
const ROWS: usize = 16;
/// Rows that come from memory.
const LARGE: usize = 256;
const USUAL: f32 = 0.8;
const TEMPERATURES: [f32; 11] = [f32::INFINITY, 1e38, 1e20, 2.0, 0.5, 0.2, 0.1, 0.05, 0.01, 1e-3, 1e-10];

/// What else rows may look like, made of Gaussian ones.
const SHAPES: [Shape; 8] = [
    ("Zipf's law", zipf),
    ("one token of 0.9", peaked),
    ("log-probabilities", |row| {
        drop(log_softmax_in_place(&mut view_mut(row), &[Temperature::ONE]).expect("a row"));
    }),
    ("logits about -80", |row| row.iter_mut().for_each(|x| *x -= 80.0)),
    ("first 3 tokens masked", |row| row[..3].fill(f32::NEG_INFINITY)),
    ("1 in 1000 masked", |row| mask(row, |bits| bits.is_multiple_of(1000))),
    ("99 % masked", |row| mask(row, |bits| !bits.is_multiple_of(100))),
    ("99.9 % masked", |row| mask(row, |bits| !bits.is_multiple_of(1000))),
];

type Shape = (&'static str, fn(&mut [f32]));

/// Probabilities of rank^-1.5 at the usual temperature, in random order: the first has 0.38.
fn zipf(row: &mut [f32]) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    for (rank, token) in (1..).zip(order) {
        row[token] = (f64::from(rank).ln() * f64::from(-1.5 * USUAL)) as f32;
    }
}

fn peaked(row: &mut [f32]) {
    let (t, mut sum) = (Temperature::new(USUAL).expect("a temperature"), [Ok(0.0)]);
    log_sum_exp(Rows::new(row, VOCAB).expect("a row"), &[t], &mut sum).expect("fits");
    row[VOCAB / 3] = ((sum[0].expect("servable") + 9_f64.ln()) * f64::from(USUAL)) as f32;
}

/// Here and there: those whose bits say so.
fn mask(row: &mut [f32], masked: impl Fn(u32) -> bool) {
    row.iter_mut().filter(|x| masked(x.to_bits())).for_each(|x| *x = f32::NEG_INFINITY);
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(Options { effort, csv }) = Options::from_args()? else { return Ok(()) };
    let mut bench = Bench::new(VOCAB, effort);
    let gaussian = logits(ROWS * VOCAB);
    let shaped = SHAPES.map(|(name, shape)| {
        let mut data = gaussian.clone();
        data.chunks_mut(VOCAB).for_each(shape);
        (name, data)
    });
    let mut inputs = vec![];
    for (name, data) in &shaped {
        inputs.push((name.to_string(), Job::new(data, USUAL)?));
    }
    for t in TEMPERATURES {
        inputs.push((format!("T = {t:?}"), Job::new(&gaussian, t)?));
    }
    inputs.iter_mut().for_each(|(_, job)| check(job));
    let mut usual = Job::new(&gaussian, USUAL)?;
    for (name, run) in JOBS {
        for (input, job) in &mut inputs {
            let names = [&*format!("{name} / {input}"), "Gaussian / T = 0.8"];
            bench.compare(names, (1, 1), || run(job), || run(&mut usual));
        }
    }
    let (rows, one, all) = (logits(LARGE * VOCAB), pool(1)?, pool(0)?);
    half_precision(&mut bench, &format!("{LARGE} rows of bf16"), &rows, &one);
    if all.current_num_threads() > 1 {
        let name = format!("{LARGE} rows of bf16 on {} threads", all.current_num_threads());
        half_precision(&mut bench, &name, &rows, &all);
    }
    if let Some(path) = csv {
        bench.write(&path)?;
    }
    Ok(())
}

/// Rows, the first of them alone, a temperature, and all that comes out of them.
struct Job<'a> {
    rows: Rows<'a>,
    row: Rows<'a>,
    /// Which of the rows is next.
    turn: usize,
    t: [Temperature; 1],
    key: [Key; 1],
    out: Vec<f32>,
    draws: [Result<Draw, RowError>; 1],
    tokens: Vec<u32>,
    table: AliasTable,
}

type Run = fn(&mut Job<'_>);

const JOBS: [(&str, Run); 6] = [
    ("sample", |job| job.sample()),
    ("softmax", |job| job.softmax()),
    ("log_softmax", |job| drop(log_softmax(job.row, &job.t, &mut view_mut(&mut job.out)).expect("fits"))),
    // (Another key for each call: the CPU would learn the branches of one.)
    ("1000 draws", |job| {
        job.key[0].position += 1;
        drop(sample_many(job.row, &job.t, Uniforms::Keys(&job.key), &mut job.tokens).expect("fits"));
    }),
    ("64 distinct tokens", |job| {
        job.key[0].position += 1;
        let tokens = &mut job.tokens[..64];
        drop(sample_without_replacement(job.row, &job.t, Uniforms::Keys(&job.key), tokens).expect("fits"));
    }),
    ("AliasTable::rebuild", |job| {
        job.turn = (job.turn + 1) % ROWS;
        job.table.rebuild(job.rows, job.turn, job.t[0]).expect("servable");
    }),
];

impl<'a> Job<'a> {
    fn new(data: &'a [f32], t: f32) -> Result<Self, kelvin::Error> {
        Ok(Self {
            rows: Rows::new(data, VOCAB)?,
            row: Rows::new(&data[..VOCAB], VOCAB)?,
            turn: 0,
            t: [Temperature::new(t)?],
            key: [Key { seed: 2, position: 0 }],
            out: vec![1.0; VOCAB],
            draws: [Ok(Draw::default())],
            tokens: vec![0; 1000],
            table: AliasTable::default(),
        })
    }

    fn sample(&mut self) {
        sample(self.row, &self.t, &self.key.map(Key::uniform), &mut self.draws).expect("fits");
    }

    fn softmax(&mut self) {
        drop(softmax(self.row, &self.t, &mut view_mut(&mut self.out)).expect("fits"));
    }
}

/// `sample` of bf16, against the same of f32.
fn half_precision(bench: &mut Bench, name: &str, singles: &[f32], pool: &ThreadPool) {
    let halves: Vec<_> = singles.iter().map(|x| bf16::from_f32(*x)).collect();
    let mut uniforms = vec![0.0; singles.len() / VOCAB];
    Key { seed: 2, position: 0 }.fill(&mut uniforms);
    let [mut of_halves, mut of_singles] = [(); 2].map(|()| vec![Ok(Draw::default()); uniforms.len()]);
    bench.compare_of(
        "bf16",
        [&format!("sample / {name}"), "f32"],
        (uniforms.len(), pool.current_num_threads()),
        || pool.install(|| sample_all(&halves, &uniforms, &mut of_halves)),
        || pool.install(|| sample_all(singles, &uniforms, &mut of_singles)),
    );
}

fn sample_all<L: Logit>(data: &[L], uniforms: &[f64], draws: &mut [Result<Draw, RowError>]) {
    let t = Temperature::new(USUAL).expect("a temperature");
    sample(Rows::new(data, VOCAB).expect("rows"), &[t], uniforms, draws).expect("fits");
}

fn view_mut(data: &mut [f32]) -> RowsMut<'_> {
    RowsMut::new(data, VOCAB).expect("a row")
}

/// The answers first: of the jobs that a contract has.
fn check(job: &mut Job<'_>) {
    let (row, t) = (job.row.row(0), job.t[0].get());
    job.sample();
    job.softmax();
    assert_eq!(Some(&job.out), contract::softmax(row, t).as_ref(), "T = {t}");
    let expected = contract::sample(row, t, job.key[0].uniform());
    assert_eq!(job.draws[0].ok().map(|draw| (draw.token, draw.logprob)), expected, "T = {t}");
}
