//! What other temperatures than 0.8 cost: the same calls on the same row, in ratios within one run.
//!
//! ```text
//! cargo bench --bench temperatures             about 10 s
//! cargo bench --bench temperatures -- --quick  about 2 s
//! cargo bench --bench temperatures -- --csv temperatures.csv
//! ```
//!
//! At some of them weights are relative to another power of two, or logits are shrunk, or most probabilities
//! are near the end of what f32 can hold, or beyond it.

#[path = "common/csv.rs"]
mod csv;
#[path = "common/logits.rs"]
mod logits;
#[path = "common/options.rs"]
mod options;
#[path = "common/pairs.rs"]
mod pairs;
#[path = "common/timing.rs"]
mod timing;

use std::error::Error;

use kelvin::reference::contract;
use kelvin::{
    AliasTable, Draw, Key, RowError, Rows, RowsMut, Temperature, Uniforms, log_softmax, sample, sample_many,
    sample_without_replacement, softmax,
};

use logits::logits;
use options::Options;
use pairs::Bench;

const VOCAB: usize = 128_256;
/// Alias tables are built from another row at each call: the CPU would learn the branches of one.
const ROWS: usize = 16;
const USUAL: f32 = 0.8;
const TEMPERATURES: [f32; 11] = [f32::INFINITY, 1e38, 1e20, 2.0, 0.5, 0.2, 0.1, 0.05, 0.01, 1e-3, 1e-10];

fn main() -> Result<(), Box<dyn Error>> {
    let Some(Options { effort, csv }) = Options::from_args()? else { return Ok(()) };
    let mut bench = Bench::new(VOCAB, effort);
    let data = logits(ROWS * VOCAB);
    let rows = Rows::new(&data, VOCAB)?;
    for t in TEMPERATURES {
        check(&mut Job::new(rows, t)?);
    }
    for (name, job) in JOBS {
        let (mut at_this, mut at_usual) = (Job::new(rows, USUAL)?, Job::new(rows, USUAL)?);
        for t in TEMPERATURES {
            at_this.t = [Temperature::new(t)?];
            let names = [format!("{name} at T = {t:?}"), format!("at T = {USUAL}")];
            bench.compare(
                names.each_ref().map(|name| &**name),
                (1, 1),
                || job(&mut at_this),
                || job(&mut at_usual),
            );
        }
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
    ("log_softmax", |job| drop(log_softmax(job.row, &job.t, &mut out(&mut job.out)).expect("fits"))),
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
    ("AliasTable::rebuild (1 of 16 rows)", |job| {
        job.turn = (job.turn + 1) % ROWS;
        job.table.rebuild(job.rows, job.turn, job.t[0]).expect("servable");
    }),
];

impl<'a> Job<'a> {
    fn new(rows: Rows<'a>, t: f32) -> Result<Self, kelvin::Error> {
        Ok(Self {
            rows,
            row: Rows::new(rows.row(0), VOCAB)?,
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
        drop(softmax(self.row, &self.t, &mut out(&mut self.out)).expect("fits"));
    }
}

fn out(data: &mut [f32]) -> RowsMut<'_> {
    RowsMut::new(data, VOCAB).expect("a row")
}

/// The answers first: of those that a contract has.
fn check(job: &mut Job<'_>) {
    let (row, t) = (job.row.row(0), job.t[0].get());
    job.sample();
    job.softmax();
    assert_eq!(Some(&job.out), contract::softmax(row, t).as_ref(), "T = {t}");
    let expected = contract::sample(row, t, job.key[0].uniform());
    assert_eq!(job.draws[0].ok().map(|draw| (draw.token, draw.logprob)), expected, "T = {t}");
}
