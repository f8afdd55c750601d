//! The command line of the benches.

use std::path::PathBuf;

use lexopt::prelude::*;

const HELP: &str = "\
  --quick     in about a fifth of the time
  --test      everything once
  --csv FILE  writes the times";

#[derive(Clone, Copy)]
pub(crate) enum Effort {
    Full,
    Quick,
    Once,
}

pub(crate) struct Options {
    pub(crate) effort: Effort,
    pub(crate) csv: Option<PathBuf>,
}

impl Options {
    /// `None` if only help was wanted, and has been printed.
    pub(crate) fn from_args() -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self { effort: Effort::Full, csv: None };
        let mut parser = lexopt::Parser::from_env();
        while let Some(arg) = parser.next()? {
            match arg {
                Long("quick") => options.effort = Effort::Quick,
                Long("test") => options.effort = Effort::Once,
                Long("csv") => options.csv = Some(parser.value()?.into()),
                Long("bench") => {} // cargo adds it
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
