//! The softmax and its draws over all temperatures, ours and those that divide first:
//! `docs/extreme-temperatures.md`.
//!
//! `python/extremes.py` does the same for PyTorch, on the rows that this writes.

mod chart;
mod methods;
mod metrics;
mod rows;
#[path = "../report/style.rs"]
#[allow(dead_code, reason = "the report uses all of it, this program a part")]
mod style;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kelvin::reference::oracle;
use lexopt::prelude::*;
use methods::METHODS;
use metrics::{HEAD, Line, Metrics};
use rayon::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const HELP: &str = "\
Measures softmax and its draws from T = 2^-126 to f32::MAX.

  --data DIR   where rows and tables go (data/extremes)
  --draw SVG   draws what is in the tables there, and measures nothing
  --special    prints what becomes of T = 0, inf and the like";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("extremes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut folder, mut chart, mut special) = (PathBuf::from("data/extremes"), None, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("data") => folder = parser.value()?.into(),
            Long("draw") => chart = Some(PathBuf::from(parser.value()?)),
            Long("special") => special = true,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    match chart {
        Some(chart) => chart::draw(&metrics::read(&folder)?, &chart),
        None if special => methods::print_special(),
        None => measure(&folder),
    }
}

fn measure(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let temperatures = rows::temperatures();
    fs::write(folder.join("temperatures.f32"), bytes(&temperatures))?;
    let mut table = format!("{HEAD}\n");
    for (row, logits) in rows::all() {
        fs::write(folder.join(format!("{row}.f32")), bytes(&logits))?;
        let lines: Vec<[Line; 2]> =
            temperatures.par_iter().map(|&t| compare(row, &logits, t)).collect::<Result<_>>()?;
        for line in lines.iter().flatten() {
            table += &format!("{line}\n");
        }
        println!("{row}: done");
    }
    Ok(fs::write(folder.join("rust.csv"), table)?)
}

/// Both methods on one row.
fn compare(row: &str, logits: &[f32], temperature: f32) -> Result<[Line; 2]> {
    let truth = oracle::softmax(logits, temperature).ok_or("a row of finite logits")?;
    let line = |(name, method): (&str, methods::Method)| -> Result<Line> {
        let metrics = Metrics::new(&truth, &method(logits, temperature)?);
        Ok(Line { method: name.into(), row: row.into(), temperature: f64::from(temperature), metrics })
    };
    let [ours, divided] = METHODS.map(line);
    Ok([ours?, divided?])
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}
