//! A table for people, lines for programs.

use std::fs::File;
use std::io::Write;

use kelvin::Level;

use crate::batch::{Batch, Shape};
use crate::options::Options;
use crate::peer::Op;
use crate::peers::KELVIN;
use crate::timing::Contestant;
use crate::{Result, create};

pub struct Report {
    csv: Option<File>,
    threads: usize,
    /// What the lines say of another temperature than the usual one, so that nobody takes them for others.
    at: String,
}

impl Report {
    pub fn new(options: &Options) -> Result<Self> {
        let mut csv = options.csv.as_deref().map(create).transpose()?;
        if let Some(csv) = &mut csv {
            writeln!(csv, "op,level,rows,vocab,threads,dtype,median_us,reference,reference_us,ratio")?;
        }
        let at = match options.temperature {
            Options::TEMPERATURE => String::new(),
            other => format!(" at T = {other}"),
        };
        Ok(Self { csv, threads: rayon::current_num_threads(), at })
    }

    /// One operation on one batch: kelvin's median against each of the others'.
    pub fn add(&mut self, op: Op, batch: &Batch, contestants: &[Contestant]) -> Result<()> {
        let shape = batch.shape;
        self.heading(op, batch);
        let ours = contestants.iter().find(|contestant| contestant.peer.name == KELVIN);
        let ours = ours.and_then(Contestant::median).ok_or("kelvin was not timed")?;
        for contestant in contestants {
            let (name, version) = (contestant.peer.name, contestant.peer.version());
            print!("{name:36} {version:>8}");
            let Some(theirs) = contestant.median() else {
                println!(" skipped: a call took {:.1} s", contestant.first.as_secs_f64());
                continue;
            };
            let throughput = elements(op, shape) as f64 / theirs / 1e3;
            println!(" {theirs:>12.1} {throughput:>10.3} {:>10.3}", ours / theirs);
            if name != KELVIN {
                self.line(op, shape, ours, name, theirs)?;
            }
        }
        Ok(())
    }

    fn heading(&self, op: Op, batch: &Batch) {
        let Shape { rows, vocab } = batch.shape;
        let (op, level, threads) = (op.name(), Level::best(), self.threads);
        let temperature = batch.temperature;
        println!("\n{op} {rows} x {vocab}, f32, T = {temperature}, kelvin on {level}, threads: {threads}");
        println!("{:36} {:>8} {:>12} {:>10} {:>10}", "", "version", "median us", "Gelem/s", "kelvin / it");
    }

    fn line(&mut self, op: Op, shape: Shape, ours: f64, name: &str, theirs: f64) -> Result<()> {
        let Some(csv) = &mut self.csv else { return Ok(()) };
        let (op, level, threads) = (op.name(), Level::best(), self.threads);
        let (Shape { rows, vocab }, ratio) = (shape, ours / theirs);
        let at = &self.at;
        writeln!(
            csv,
            "{op}{at},{level},{rows},{vocab},{threads},f32,{ours:.2},{name},{theirs:.2},{ratio:.4}"
        )?;
        Ok(())
    }
}

/// What a call goes over: the tokens drawn, where there is a table; else the logits.
fn elements(op: Op, shape: Shape) -> usize {
    match op {
        Op::AliasDraws => shape.rows * op.tokens_per_row(),
        _ => shape.len(),
    }
}
