//! Reads what `run` measured, and writes the charts, BENCHMARKS.md and the numbers of the README.
//!
//! What was not measured is said to be missing.

mod bars;
mod data;
mod figures;
mod lines;
#[path = "../../lock.rs"]
mod lock;
mod page;
mod readme;
mod style;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use data::Data;
use lexopt::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
Makes BENCHMARKS.md, docs/charts and the numbers in README.md.

  --data DIR  where the CSV files are (data)
  --root DIR  the repository (../..)";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut folder, mut root) = (PathBuf::from("data"), PathBuf::from("../.."));
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("data") => folder = parser.value()?.into(),
            Long("root") => root = parser.value()?.into(),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    report(&Data::read(&folder)?, &root)
}

fn report(data: &Data, root: &Path) -> Result<()> {
    let charts = root.join("docs/charts");
    fs::create_dir_all(&charts)?;
    let drawn = figures::draw_all(data, &charts)?;
    page::update(&root.join("BENCHMARKS.md"), data, &drawn)?;
    readme::update(&root.join("README.md"), data, &drawn)
}
