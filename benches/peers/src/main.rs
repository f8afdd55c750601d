//! Times kelvin and its peers on the same rows: each called the way its documentation says, taking turns
//! in one process, its answers checked first.

mod accuracy;
mod batch;
mod check;
mod lock;
mod options;
mod peer;
mod peers;
#[path = "../../common/pool.rs"]
mod pool;
mod report;
mod timing;
mod turns;

use std::fs::File;
use std::io::{stdin, stdout};
use std::path::Path;
use std::process::ExitCode;

use batch::{Answer, Batch, Shape};
use options::Options;
use peer::{Op, Peer};
use report::Report;
use timing::Contestant;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SHAPES: [Shape; 6] = [
    Shape { rows: 1, vocab: 32_000 },
    Shape { rows: 1, vocab: 128_256 },
    Shape { rows: 8, vocab: 32_000 },
    Shape { rows: 64, vocab: 32_000 },
    Shape { rows: 64, vocab: 128_256 },
    Shape { rows: 256, vocab: 128_256 },
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kelvin-peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(options) = Options::from_args()? else { return Ok(()) };
    // Every peer that runs in parallel does so in the rayon pool it is called from.
    let pool = pool::pool(options.threads)?;
    pool.install(|| {
        if options.turns {
            turns::serve(stdin().lock(), stdout(), options.temperature)
        } else {
            compare(&options)
        }
    })
}

fn compare(options: &Options) -> Result<()> {
    let mut report = Report::new(options)?;
    for op in [Op::Sample, Op::Draws, Op::AliasBuild, Op::AliasDraws] {
        peers::of(op).try_for_each(|peer| check::frequencies(peer, options.temperature))?;
    }
    accuracy::compare(options.temperature, options.accuracy_csv.as_deref())?;
    for shape in SHAPES {
        let batch = Batch::gaussian(shape, options.temperature);
        if let Some(folder) = &options.export {
            batch.export(folder)?;
        }
        let mut answer = Answer::new(shape);
        for op in Op::ALL.into_iter().filter(|op| op.takes(&batch)) {
            report.add(op, &batch, &race(op, &batch, &mut answer, options)?)?;
        }
    }
    Ok(())
}

/// All peers of an operation, timed. Those too slow to be worth the wait have no samples.
fn race(op: Op, batch: &Batch, answer: &mut Answer, options: &Options) -> Result<Vec<Contestant>> {
    let checked = peers::of(op).map(|peer| checked(peer, batch, answer));
    let mut contestants = checked.collect::<Result<Vec<_>>>()?;
    timing::take_turns(&mut contestants, batch, answer, &options.effort)?;
    Ok(contestants)
}

/// A peer whose first answer can be right.
fn checked(peer: &'static Peer, batch: &Batch, answer: &mut Answer) -> Result<Contestant> {
    let mut contestant = Contestant::new(peer, batch)?;
    contestant.first_call(batch, answer)?;
    check::answer(peer, batch, answer)?;
    Ok(contestant)
}

/// Creates a file; an error names it.
fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_draw_as_often_as_they_should() {
        for op in [Op::Sample, Op::Draws, Op::AliasBuild, Op::AliasDraws] {
            peers::of(op).try_for_each(|peer| check::frequencies(peer, Options::TEMPERATURE)).unwrap();
        }
    }
}
