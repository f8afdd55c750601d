//! Each operation against what the memory allows: on the same buffers, in one process, A B A B.
//!
//! ```text
//! cargo bench --all-features --bench roofline             under a minute
//! cargo bench --all-features --bench roofline -- --quick  under 15 s
//! cargo bench --all-features --bench roofline -- --csv roofline.csv
//! ```

mod memory;

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use half::bf16;
use kelvin::reference::contract;
use kelvin::{Draw, Key, Level, Rows, RowsMut, Temperature};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

const VOCAB: usize = 131_072;
const TEMPERATURE: f32 = 0.8;

/// Rows that stay in L2 (one, again and again), in L3, and in none of the caches.
const RESIDENCIES: [(&str, usize); 3] = [("L2", 1), ("L3", 8), ("DRAM", 256)];

struct Args {
    csv: Option<String>,
    budget: Duration,
    test: bool,
}

fn main() -> io::Result<()> {
    let args = parse();
    let rows = if args.test { 8 } else { 256 };
    let mut buffers = Buffers::new(rows);
    check(&buffers);
    let mut lines = vec![];
    println!(
        "{:<18} {:<9} {:<5} {:>5} {:>7} {:>11} {:>11} {:>7}",
        "op", "level", "in", "rows", "threads", "us", "reference", "ratio"
    );
    let all = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    for threads in if all == 1 { vec![1] } else { vec![1, all] } {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
        for (residency, rows) in RESIDENCIES {
            if rows * VOCAB > buffers.logits.len() || (threads > 1 && rows == 1) {
                continue;
            }
            // Slower levels are bound by their arithmetic: one residency shows it.
            let levels = Level::available().take(if rows == 1 { 3 } else { 1 });
            for level in levels.collect::<Vec<_>>() {
                for op in OPS {
                    let line = measure(op, level, rows, &pool, &mut buffers, args.budget);
                    println!("{:<18} {:<9} {residency:<5} {line}", line.op, level.name());
                    lines.push((level, line));
                }
            }
        }
    }
    let Some(path) = args.csv else { return Ok(()) };
    let mut file = File::create(path)?;
    writeln!(file, "op,level,rows,vocab,threads,dtype,median_us,reference,reference_us,ratio")?;
    for (level, line) in lines {
        writeln!(
            file,
            "{},{level},{},{VOCAB},{},{},{:.3},{},{:.3},{:.4}",
            line.op.trim_end_matches(" bf16"),
            line.rows,
            line.threads,
            line.dtype,
            line.us,
            line.reference,
            line.reference_us,
            line.us / line.reference_us
        )?;
    }
    Ok(())
}

/// (cargo adds `--bench`; `--test` runs everything once.)
fn parse() -> Args {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|arg| arg == name);
    let csv = args.iter().position(|arg| arg == "--csv").and_then(|i| args.get(i + 1)).cloned();
    let ms = if has("--test") {
        0
    } else if has("--quick") {
        120
    } else {
        600
    };
    Args { csv, budget: Duration::from_millis(ms), test: has("--test") }
}

/// The rows, twice: what is read, and what is written.
struct Buffers {
    logits: Vec<f32>,
    halves: Vec<bf16>,
    out: Vec<f32>,
    uniforms: Vec<f64>,
    draws: Vec<Result<Draw, kelvin::RowError>>,
    sums: Vec<Result<f64, kelvin::RowError>>,
    tokens: Vec<Result<u32, kelvin::RowError>>,
}

impl Buffers {
    /// Nearly normal logits of deviation 3: the sum of twelve uniforms.
    fn new(rows: usize) -> Self {
        let row = |row: usize| {
            let mut uniforms = vec![0.0; 12 * VOCAB];
            Key { seed: 1, position: row as u64 }.fill(&mut uniforms);
            uniforms.chunks(12).map(|u| (3.0 * (u.iter().sum::<f64>() - 6.0)) as f32).collect::<Vec<_>>()
        };
        let logits: Vec<f32> = (0..rows).into_par_iter().flat_map_iter(row).collect();
        Self {
            halves: logits.iter().map(|&x| bf16::from_f32(x)).collect(),
            out: logits.clone(),
            logits,
            uniforms: (0..rows as u64).map(|position| Key { seed: 2, position }.uniform()).collect(),
            draws: vec![Ok(Draw::default()); rows],
            sums: vec![Ok(0.0); rows],
            tokens: vec![Ok(0); rows],
        }
    }
}

/// The answers first: what is timed draws what the contract says.
fn check(buffers: &Buffers) {
    let t = Temperature::new(TEMPERATURE).expect("a temperature");
    for level in Level::available() {
        let mut draws = [Ok(Draw::default())];
        let row = &buffers.logits[..VOCAB];
        level
            .sample(Rows::new(row, VOCAB).expect("a row"), &[t], &buffers.uniforms[..1], &mut draws)
            .expect("fits");
        let expected = contract::sample(row, TEMPERATURE, buffers.uniforms[0]);
        assert_eq!(draws[0].ok().map(|draw| (draw.token, draw.logprob)), expected, "{level}");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Against {
    Reading,
    Copying,
    ScalingInPlace,
}

#[derive(Clone, Copy)]
struct Op {
    name: &'static str,
    dtype: &'static str,
    against: Against,
    run: fn(Level, usize, &mut Buffers),
}

const OPS: [Op; 8] = [
    op("sample", Against::Reading, |level, rows, b| {
        let logits = Rows::new(&b.logits[..rows * VOCAB], VOCAB).expect("rows");
        level.sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
    }),
    Op {
        dtype: "bf16",
        ..op("sample bf16", Against::Reading, |level, rows, b| {
            let logits = Rows::new(&b.halves[..rows * VOCAB], VOCAB).expect("rows");
            level.sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
        })
    },
    op("log_sum_exp", Against::Reading, |level, rows, b| {
        let logits = Rows::new(&b.logits[..rows * VOCAB], VOCAB).expect("rows");
        level.log_sum_exp(logits, &t(), &mut b.sums[..rows]).expect("fits");
    }),
    op("argmax", Against::Reading, |level, rows, b| {
        let logits = Rows::new(&b.logits[..rows * VOCAB], VOCAB).expect("rows");
        level.argmax(logits, &mut b.tokens[..rows]).expect("fits");
    }),
    op("sample_from_probs", Against::Reading, |level, rows, b| {
        b.out[..rows * VOCAB].iter_mut().step_by(VOCAB).for_each(|x| *x = x.abs());
        let weights = Rows::new(&b.out[..rows * VOCAB], VOCAB).expect("rows");
        level.sample_from_probs(weights, &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
    }),
    op("softmax", Against::Copying, |level, rows, b| {
        let logits = Rows::new(&b.logits[..rows * VOCAB], VOCAB).expect("rows");
        let mut probs = RowsMut::new(&mut b.out[..rows * VOCAB], VOCAB).expect("rows");
        level.softmax(logits, &t(), &mut probs).expect("fits");
    }),
    op("log_softmax", Against::Copying, |level, rows, b| {
        let logits = Rows::new(&b.logits[..rows * VOCAB], VOCAB).expect("rows");
        let mut logprobs = RowsMut::new(&mut b.out[..rows * VOCAB], VOCAB).expect("rows");
        level.log_softmax(logits, &t(), &mut logprobs).expect("fits");
    }),
    op("softmax_in_place", Against::ScalingInPlace, |level, rows, b| {
        let mut rows = RowsMut::new(&mut b.out[..rows * VOCAB], VOCAB).expect("rows");
        level.softmax_in_place(&mut rows, &t()).expect("fits");
    }),
];

const fn op(name: &'static str, against: Against, run: fn(Level, usize, &mut Buffers)) -> Op {
    Op { name, dtype: "f32", against, run }
}

fn t() -> [Temperature; 1] {
    [Temperature::new(TEMPERATURE).expect("a temperature")]
}

/// Its name, and what it does with a row to write and a row to read.
type Reference = (&'static str, fn(&mut [f32], &[f32]));

struct Line {
    op: &'static str,
    dtype: &'static str,
    rows: usize,
    threads: usize,
    us: f64,
    reference: &'static str,
    reference_us: f64,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, threads, us, reference_us, .. } = self;
        write!(f, "{rows:>5} {threads:>7} {us:>11.2} {reference_us:>11.2} {:>7.2}", us / reference_us)?;
        write!(f, "  ({})", self.reference)
    }
}

/// Medians of the operation and of its references, taken in turns until the time is over.
fn measure(
    op: Op,
    level: Level,
    rows: usize,
    pool: &ThreadPool,
    buffers: &mut Buffers,
    budget: Duration,
) -> Line {
    let references: &[Reference] = match op.against {
        Against::Reading => &[
            ("read", |_, x| {
                black_box(memory::read(x));
            }),
            ("read prefetching", |_, x| {
                black_box(memory::read_prefetching(x));
            }),
        ],
        Against::Copying => {
            &[("memcpy", |out, x| out.copy_from_slice(x)), ("copy", |out, x| memory::copy(x, out))]
        }
        Against::ScalingInPlace => &[("scale in place", |out, _| memory::scale_in_place(out, 1.0))],
    };
    let repeat = if rows == 1 { 8 } else { 1 };
    let mut times = vec![vec![]; 1 + references.len()];
    let end = Instant::now() + budget;
    pool.install(|| {
        loop {
            times[0].push(time(repeat, || (op.run)(level, rows, buffers)));
            for ((_, reference), times) in references.iter().zip(&mut times[1..]) {
                let (out, logits) = (&mut buffers.out[..rows * VOCAB], &buffers.logits[..rows * VOCAB]);
                times.push(time(repeat, || {
                    let rows = out.par_chunks_mut(VOCAB).zip(logits.par_chunks(VOCAB));
                    rows.for_each(|(out, logits)| reference(out, logits));
                }));
            }
            if Instant::now() >= end {
                break;
            }
        }
    });
    let mut medians = times.into_iter().map(median);
    let us = medians.next().unwrap_or(f64::NAN);
    let best = references.iter().zip(medians).min_by(|a, b| a.1.total_cmp(&b.1));
    let (reference, reference_us) = best.map_or(("none", f64::NAN), |(reference, us)| (reference.0, us));
    Line {
        op: op.name,
        dtype: op.dtype,
        rows,
        threads: pool.current_num_threads(),
        us,
        reference,
        reference_us,
    }
}

/// Microseconds of one call, over a few.
fn time(repeat: usize, mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..repeat).for_each(|_| f());
    start.elapsed().as_secs_f64() * 1e6 / repeat as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
