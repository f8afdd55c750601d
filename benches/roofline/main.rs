//! Each operation against what the memory allows: on the same bytes, in one process, A B A B.
//!
//! ```text
//! cargo bench --all-features --bench roofline             under a minute
//! cargo bench --all-features --bench roofline -- --quick  under 15 s
//! cargo bench --all-features --bench roofline -- --csv roofline.csv
//! ```

mod memory;
mod ops;

use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use kelvin::Level;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use ops::{Against, Buffers, OPS, Op, VOCAB, check};

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
    let mut lines = vec![];
    println!(
        "{:<18} {:<9} {:<5} {:>5} {:>7} {:>11} {:>11} {:>7}",
        "op", "level", "in", "rows", "threads", "us", "reference", "ratio"
    );
    let all = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    for threads in if all == 1 { vec![1] } else { vec![1, all] } {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(io::Error::other)?;
        for (residency, rows) in RESIDENCIES {
            if rows > buffers.rows() || (threads > 1 && rows == 1) {
                continue;
            }
            // Slower levels are bound by their arithmetic: one residency shows it.
            let levels = Level::available().take(if rows == 1 { 3 } else { 1 });
            for level in levels.collect::<Vec<_>>() {
                pool.install(|| check(level, rows, &mut buffers));
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
        Against::Copying => &[
            ("memcpy", |out, x| out.copy_from_slice(x)),
            ("copy", |out, x| memory::copy(x, out)),
            ("copy prefetching", |out, x| memory::copy_prefetching(x, out)),
        ],
        Against::ScalingInPlace => &[
            ("scale in place", |out, _| memory::scale_in_place(out, 1.0)),
            ("scale prefetching", |out, _| memory::scale_in_place_prefetching(out, 1.0)),
        ],
    };
    let repeat = if rows == 1 { 8 } else { 1 };
    let mut times = vec![vec![]; 1 + references.len()];
    let end = Instant::now() + budget;
    pool.install(|| {
        loop {
            times[0].push(time(repeat, || (op.run)(level, rows, buffers)));
            for ((_, reference), times) in references.iter().zip(&mut times[1..]) {
                let (out, read, width) = buffers.of(op.input);
                times.push(time(repeat, || {
                    let rows = out.par_chunks_mut(VOCAB).zip(read.par_chunks(width)).take(rows);
                    rows.for_each(|(out, read)| reference(out, read));
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
        dtype: op.dtype(),
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
