//! Each operation against plain loops that read, copy or scale the same bytes, in one process, A B A B.
//!
//! ```text
//! cargo bench --all-features --bench roofline             under a minute
//! cargo bench --all-features --bench roofline -- --quick  under 15 s
//! cargo bench --all-features --bench roofline -- --csv roofline.csv
//! ```

#[path = "../common/csv.rs"]
mod csv;
#[path = "../common/logits.rs"]
mod logits;
#[path = "../common/memory.rs"]
mod memory;
mod ops;
#[path = "../common/options.rs"]
mod options;
#[path = "../common/pool.rs"]
mod pool;
#[path = "../common/timing.rs"]
mod timing;
#[path = "../common/turns.rs"]
mod turns;

use std::error::Error;
use std::time::Duration;

use kelvin::Level;
use rayon::ThreadPool;
use rayon::prelude::*;

use csv::Line;
use ops::{Against, Buffers, OPS, Op, VOCAB, check};
use options::{Effort, Options};
use pool::pool;
use turns::{Medians, take_turns};

/// Rows that stay in L2 (one, again and again), in L3, and in none of the caches.
const RESIDENCIES: [(&str, usize); 3] = [("L2", 1), ("L3", 8), ("DRAM", 256)];

fn main() -> Result<(), Box<dyn Error>> {
    let Some(Options { effort, csv }) = Options::from_args()? else { return Ok(()) };
    let (rows, ms) = match effort {
        Effort::Full => (256, 600),
        Effort::Quick => (256, 120),
        Effort::Once => (8, 0),
    };
    let budget = Duration::from_millis(ms);
    let mut buffers = Buffers::new(rows);
    let mut lines = vec![];
    println!(
        "{:<18} {:<5} {:<9} {:<5} {:>5} {:>7} {:>11} {:>11} {:>7}",
        "op", "type", "level", "in", "rows", "threads", "us", "reference", "ratio"
    );
    let all = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    for threads in if all == 1 { vec![1] } else { vec![1, all] } {
        let pool = pool(threads)?;
        for (residency, rows) in RESIDENCIES {
            if rows > buffers.rows() || (threads > 1 && rows == 1) {
                continue;
            }
            // Slower levels are bound by their arithmetic: one residency shows it.
            let levels = Level::available().take(if rows == 1 { 3 } else { 1 });
            for level in levels.collect::<Vec<_>>() {
                pool.install(|| check(level, rows, &mut buffers));
                for op in OPS {
                    let line = measure(op, level, rows, &pool, &mut buffers, budget);
                    print(residency, &line);
                    lines.push(line);
                }
            }
        }
    }
    if let Some(path) = csv {
        csv::write(&path, &lines)?;
    }
    Ok(())
}

fn print(residency: &str, line: &Line) {
    let Line { op, level, shape: (rows, _), threads, dtype, us, reference, reference_us } = line;
    let (level, ratio) = (level.name(), us / reference_us);
    print!("{op:<18} {dtype:<5} {level:<9} {residency:<5} {rows:>5} {threads:>7}");
    println!(" {us:>11.2} {reference_us:>11.2} {ratio:>7.2}  ({reference})");
}

fn measure(
    op: Op,
    level: Level,
    rows: usize,
    pool: &ThreadPool,
    buffers: &mut Buffers,
    budget: Duration,
) -> Line {
    let references = match op.against {
        Against::Reading => memory::READING,
        Against::Copying => memory::COPYING,
        Against::ScalingInPlace => memory::SCALING_IN_PLACE,
    };
    let Medians { us, reference, reference_us } = pool.install(|| {
        take_turns(
            buffers,
            references,
            if rows == 1 { 8 } else { 1 },
            budget,
            |b| (op.run)(level, rows, b),
            |b, reference| {
                let (out, read, width) = b.of(op.input);
                let rows = out.par_chunks_mut(VOCAB).zip(read.par_chunks(width)).take(rows);
                rows.for_each(|(out, read)| reference(out, read));
            },
        )
    });
    Line {
        op: op.name.into(),
        level,
        shape: (rows, VOCAB),
        threads: pool.current_num_threads(),
        dtype: op.dtype(),
        us,
        reference: reference.into(),
        reference_us,
    }
}
