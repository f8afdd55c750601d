//! The cost of an element against the length of a row, and against the number of rows.
//!
//! ```text
//! cargo bench --bench growth             about 30 s
//! cargo bench --bench growth -- --quick  about 6 s
//! cargo bench --bench growth -- --csv growth.csv
//! ```

#[path = "common/csv.rs"]
mod csv;
#[path = "common/logits.rs"]
mod logits;
#[path = "common/memory.rs"]
#[expect(dead_code, reason = "nothing is scaled in place here")]
mod memory;
#[path = "common/options.rs"]
mod options;
#[path = "common/pool.rs"]
mod pool;
#[path = "common/timing.rs"]
mod timing;
#[path = "common/turns.rs"]
mod turns;

use std::error::Error;
use std::time::Duration;

use kelvin::reference::contract;
use kelvin::{Draw, Key, Level, RowError, Rows, RowsMut, Temperature};
use rayon::ThreadPool;
use rayon::prelude::*;

use csv::Line;
use logits::logits;
use memory::Reference;
use options::{Effort, Options};
use pool::pool;
use turns::{Medians, take_turns};

const TEMPERATURE: f32 = 0.8;

/// One row of each of these lengths,
const VOCABS: std::ops::RangeInclusive<u32> = 10..=20;
/// and each of these numbers of rows (powers of two, both) of this length.
const ROWS: std::ops::RangeInclusive<u32> = 0..=10;
const VOCAB: usize = 32_000;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(Options { effort, csv }) = Options::from_args()? else { return Ok(()) };
    let budget = Duration::from_millis(match effort {
        Effort::Full => 400,
        Effort::Quick => 80,
        Effort::Once => 0,
    });
    let mut buffers = Buffers::new(VOCAB << ROWS.end());
    check(&buffers);
    let one = pool(1)?;
    let all = pool(0)?;
    let pools = if all.current_num_threads() > 1 { vec![&one, &all] } else { vec![&one] };
    let mut lines = vec![];
    heading();
    for vocab in VOCABS {
        lines.extend(OPS.map(|op| measure(op, (1, 1 << vocab), &one, &mut buffers, budget)));
    }
    for pool in pools {
        for rows in ROWS {
            lines.extend(OPS.map(|op| measure(op, (1 << rows, VOCAB), pool, &mut buffers, budget)));
        }
    }
    if let Some(path) = csv {
        csv::write(&path, &lines)?;
    }
    Ok(())
}

/// What is read, and what is written.
struct Buffers {
    logits: Vec<f32>,
    out: Vec<f32>,
    uniforms: Vec<f64>,
    draws: Vec<Result<Draw, RowError>>,
}

impl Buffers {
    /// A million logits, again and again.
    fn new(len: usize) -> Self {
        let logits: Vec<f32> = logits(1 << 20).into_iter().cycle().take(len).collect();
        let rows = 1_u64 << ROWS.end();
        Self {
            out: logits.clone(), // pages that are there, unlike zeros
            logits,
            uniforms: (0..rows).map(|position| Key { seed: 2, position }.uniform()).collect(),
            draws: vec![Ok(Draw::default()); rows as usize],
        }
    }
}

/// The answers first: what is timed draws what the contract says.
fn check(buffers: &Buffers) {
    for vocab in VOCABS {
        let row = &buffers.logits[..1 << vocab];
        let mut draws = [Ok(Draw::default())];
        let logits = Rows::new(row, row.len()).expect("a row");
        Level::best().sample(logits, &t(), &buffers.uniforms[..1], &mut draws).expect("fits");
        let expected = contract::sample(row, TEMPERATURE, buffers.uniforms[0]);
        assert_eq!(draws[0].ok().map(|draw| (draw.token, draw.logprob)), expected, "1 x {}", row.len());
    }
}

fn t() -> [Temperature; 1] {
    [Temperature::new(TEMPERATURE).expect("a temperature")]
}

#[derive(Clone, Copy)]
struct Op {
    name: &'static str,
    run: fn((usize, usize), &mut Buffers),
    references: &'static [Reference],
}

const OPS: [Op; 2] = [
    Op {
        name: "sample",
        run: |(rows, vocab), b| {
            let logits = Rows::new(&b.logits[..rows * vocab], vocab).expect("rows");
            Level::best().sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
        },
        references: memory::READING,
    },
    Op {
        name: "softmax",
        run: |(rows, vocab), b| {
            let logits = Rows::new(&b.logits[..rows * vocab], vocab).expect("rows");
            let mut probs = RowsMut::new(&mut b.out[..rows * vocab], vocab).expect("rows");
            Level::best().softmax(logits, &t(), &mut probs).expect("fits").into_result().expect("served");
        },
        references: memory::COPYING,
    },
];

fn measure(
    op: Op,
    shape: (usize, usize),
    pool: &ThreadPool,
    buffers: &mut Buffers,
    budget: Duration,
) -> Line {
    let (rows, vocab) = shape;
    let repeat = (1_048_576 / (rows * vocab)).clamp(1, 64);
    let Medians { us, reference, reference_us } = pool.install(|| {
        take_turns(
            buffers,
            op.references,
            repeat,
            budget,
            |b| (op.run)(shape, b),
            |b, reference| {
                in_rows(reference, vocab, &mut b.out[..rows * vocab], &b.logits[..rows * vocab]);
            },
        )
    });
    let line = Line {
        op: op.name.into(),
        level: Level::best(),
        shape,
        threads: pool.current_num_threads(),
        dtype: "f32",
        us,
        reference: reference.into(),
        reference_us,
    };
    print(&line);
    line
}

/// A single row needs no pool.
fn in_rows(reference: fn(&mut [f32], &[f32]), vocab: usize, out: &mut [f32], logits: &[f32]) {
    if logits.len() == vocab {
        return reference(out, logits);
    }
    let rows = out.par_chunks_mut(vocab).zip(logits.par_chunks(vocab));
    rows.for_each(|(out, logits)| reference(out, logits));
}

fn heading() {
    println!("{} in ns per element, and what reading or copying takes", Level::best());
    println!("{:<8} {:>5} {:>8} {:>7} {:>9} {:>9}", "op", "rows", "vocab", "threads", "ns", "reference");
}

fn print(line: &Line) {
    let Line { op, shape: (rows, vocab), threads, us, reference, reference_us, .. } = line;
    let per_element = 1e3 / (rows * vocab) as f64;
    let (ns, reference_ns) = (us * per_element, reference_us * per_element);
    println!("{op:<8} {rows:>5} {vocab:>8} {threads:>7} {ns:>9.4} {reference_ns:>9.4}  ({reference})");
}
