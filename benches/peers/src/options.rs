//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::timing::Effort;

const HELP: &str = "\
Times kelvin and its peers on the same rows.

  --temperature T      of all rows (0.8)
  --threads N          rows in parallel on N threads (1; 0 for all)
  --quick              fewer calls
  --csv FILE           writes the times
  --accuracy-csv FILE  writes the errors against an f64 softmax
  --export DIR         writes the logits as logits_ROWSxVOCAB.f32, for python/compare.py
  --turns              times kelvin alone, when standard input says so (python/compare.py does)";

pub struct Options {
    pub temperature: f32,
    pub threads: usize,
    pub effort: Effort,
    pub csv: Option<PathBuf>,
    pub accuracy_csv: Option<PathBuf>,
    pub export: Option<PathBuf>,
    pub turns: bool,
}

impl Options {
    /// That of all tables, where they do not name another.
    pub const TEMPERATURE: f32 = 0.8;

    /// `None` if only help was wanted, and has been printed.
    pub fn from_args() -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            temperature: Self::TEMPERATURE,
            threads: 1,
            effort: Effort::FULL,
            csv: None,
            accuracy_csv: None,
            export: None,
            turns: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("temperature") => options.temperature = parser.value()?.parse()?,
                Long("threads") => options.threads = parser.value()?.parse()?,
                Long("quick") => options.effort = Effort::QUICK,
                Long("csv") => options.csv = Some(parser.value()?.into()),
                Long("accuracy-csv") => options.accuracy_csv = Some(parser.value()?.into()),
                Long("export") => options.export = Some(parser.value()?.into()),
                Long("turns") => options.turns = true,
                Long("help") | Short('h') => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(options))
    }
}
