//! Text from a word-bigram model: several sequences at several temperatures, in one batch.
//!
//! ```text
//! cargo run --release --example generate -- --file book.txt --temperature 0,0.8,1.5,3
//! ```

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use kelvin::{Draw, Key, RowError, Rows, RowsMut, Temperature, log_softmax, sample};
use lexopt::{Arg, Parser, ValueExt};

type Failure = Box<dyn Error>;

const USAGE: &str = "\
Writes text with a word-bigram model of a file, several sequences at several temperatures.

  --file PATH          the text, or the Markdown with text in it, to learn from
                       (default: the README of this repository)
  --temperature LIST   e.g. 0,0.5,inf; may be repeated (default: 0,0.8,1.5,3)
  --sequences N        sequences per temperature (default: 3)
  --length N           words per sequence (default: 24)
  --seed N             the seed of them all (default: 42)
  --help               this text

The same seed writes the same text, whatever RAYON_NUM_THREADS or KELVIN_LEVEL says.
";

/// The logit of a word that never came next: hardly ever drawn at T = 0.8, most of the time at T = 3.
const UNSEEN: f32 = -10.0;

fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    match run(&mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            // If even this cannot be said, the exit code says it.
            let _ = writeln!(io::stderr(), "generate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The reader has seen enough, as in `| head -1`.
fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(out: &mut impl Write) -> Result<(), Failure> {
    let Some(args) = Args::parse(Parser::from_env())? else {
        return Ok(out.write_all(USAGE.as_bytes())?);
    };
    let Args { file, .. } = &args;
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {file:?}: {error}"))?;
    let model = Model::learn(&text);
    if model.words.is_empty() {
        return Err(format!("{file:?} has no words").into());
    }
    let mut batch = Batch::new(&model, &args);
    for position in 0..args.length {
        batch.step(position as u64)?;
    }
    Ok(batch.print(out)?)
}

struct Args {
    file: PathBuf,
    temperatures: Vec<Temperature>,
    sequences: usize,
    length: usize,
    seed: u64,
}

impl Args {
    /// `None` if help is wanted.
    fn parse(mut parser: Parser) -> Result<Option<Self>, Failure> {
        let mut args = Self {
            file: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")),
            temperatures: Vec::new(),
            sequences: 3,
            length: 24,
            seed: 42,
        };
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("file") => args.file = parser.value()?.into(),
                Arg::Long("temperature") => args.temperatures.extend(temperatures(parser.value()?)?),
                Arg::Long("sequences") => args.sequences = count(parser.value()?)?,
                Arg::Long("length") => args.length = count(parser.value()?)?,
                Arg::Long("seed") => args.seed = parser.value()?.parse()?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                unknown => return Err(unknown.unexpected().into()),
            }
        }
        if args.temperatures.is_empty() {
            args.temperatures = temperatures("0,0.8,1.5,3".into())?;
        }
        Ok(Some(args))
    }
}

fn count(value: OsString) -> Result<usize, Failure> {
    match value.parse()? {
        count @ 1..=1_000_000 => Ok(count),
        count => Err(format!("a count of {count}: it must be 1 to 1,000,000").into()),
    }
}

fn temperatures(list: OsString) -> Result<Vec<Temperature>, Failure> {
    let value = |item: &str| item.trim().parse().map_err(|error| format!("temperature {item:?}: {error}"));
    list.string()?.split(',').map(|item| Ok(Temperature::new(value(item)?)?)).collect()
}

/// Which words follow which, and how often.
struct Model<'a> {
    words: Vec<&'a str>,
    next: Vec<HashMap<usize, f32>>,
    last: usize,
}

impl<'a> Model<'a> {
    fn learn(text: &'a str) -> Self {
        let mut words = Vec::new();
        let mut numbers = HashMap::new();
        let text: Vec<usize> = prose(text)
            .map(|word| {
                *numbers.entry(word).or_insert_with(|| {
                    words.push(word);
                    words.len() - 1
                })
            })
            .collect();
        let mut next = vec![HashMap::new(); words.len()];
        // The text is read in a circle: its last word is followed by its first, so no word is a dead end.
        for (&word, &then) in text.iter().zip(text.iter().cycle().skip(1)) {
            *next[word].entry(then).or_insert(0.0) += 1.0;
        }
        Self { words, next, last: text.last().copied().unwrap_or(0) }
    }

    /// A row of logits: what may follow the word.
    fn write_row(&self, word: usize, row: &mut [f32]) {
        row.fill(UNSEEN);
        for (&next, count) in &self.next[word] {
            row[next] = count.ln();
        }
    }
}

/// The words, without those of code, tables, headings, pictures and comments in Markdown.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    let lines = text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence && !line.starts_with(['|', '#', '!', '<'])
    });
    let words = lines.flat_map(str::split_whitespace).map(|word| word.trim_matches('*'));
    words.filter(|word| word.contains(char::is_alphanumeric))
}

/// One row of the batch.
struct Sequence {
    seed: u64,
    words: Vec<usize>,
    /// The sum over the positions, in nats.
    entropy: f64,
}

/// All sequences of all temperatures: one row each, those of one temperature together.
struct Batch<'a> {
    model: &'a Model<'a>,
    per_temperature: usize,
    sequences: Vec<Sequence>,
    temperatures: Vec<Temperature>,
    uniforms: Vec<f64>,
    logits: Vec<f32>,
    logprobs: Vec<f32>,
    draws: Vec<Result<Draw, RowError>>,
}

impl<'a> Batch<'a> {
    fn new(model: &'a Model, args: &Args) -> Self {
        let (mut sequences, mut temperatures) = (Vec::new(), Vec::new());
        let mut seeds = vec![0; args.sequences];
        Key { seed: args.seed, position: u64::MAX }.fill_words(&mut seeds);
        for &temperature in &args.temperatures {
            // The same seeds at each temperature: what is written at one of them does not depend on
            // which others are asked for.
            for &seed in &seeds {
                sequences.push(Sequence { seed, words: Vec::new(), entropy: 0.0 });
                temperatures.push(temperature);
            }
        }
        let (rows, vocab) = (sequences.len(), model.words.len());
        Self {
            model,
            per_temperature: args.sequences,
            sequences,
            temperatures,
            uniforms: vec![0.0; rows],
            logits: vec![0.0; rows * vocab],
            logprobs: vec![0.0; rows * vocab],
            draws: vec![Ok(Draw::default()); rows],
        }
    }

    /// Writes one word more in every sequence.
    fn step(&mut self, position: u64) -> Result<(), Failure> {
        let vocab = self.model.words.len();
        for (sequence, row) in self.sequences.iter().zip(self.logits.chunks_exact_mut(vocab)) {
            self.model.write_row(sequence.words.last().copied().unwrap_or(self.model.last), row);
        }
        for (sequence, uniform) in self.sequences.iter().zip(&mut self.uniforms) {
            *uniform = Key { seed: sequence.seed, position }.uniform();
        }
        let logits = Rows::new(&self.logits, vocab)?;
        sample(logits, &self.temperatures, &self.uniforms, &mut self.draws)?;
        log_softmax(logits, &self.temperatures, &mut RowsMut::new(&mut self.logprobs, vocab)?)?
            .into_result()?;
        let logprobs = self.logprobs.chunks_exact(vocab);
        for ((sequence, &draw), logprobs) in self.sequences.iter_mut().zip(&self.draws).zip(logprobs) {
            sequence.words.push(draw?.token as usize);
            sequence.entropy += entropy(logprobs);
        }
        Ok(())
    }

    /// The temperatures, each with its sequences.
    fn groups(&self) -> impl Iterator<Item = (f32, &[Sequence])> {
        let temperatures = self.temperatures.iter().step_by(self.per_temperature).map(|t| t.get());
        temperatures.zip(self.sequences.chunks_exact(self.per_temperature))
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        for (temperature, sequences) in self.groups() {
            writeln!(out, "T = {temperature:?}")?;
            for (number, Sequence { words, .. }) in (1..).zip(sequences) {
                let words: Vec<&str> = words.iter().map(|&word| self.model.words[word]).collect();
                writeln!(out, "  {number}: {}", words.join(" "))?;
            }
            writeln!(out)?;
        }
        writeln!(out, "{:>8} {:>18} {:>16}", "T", "entropy in nats", "distinct words")?;
        for (temperature, sequences) in self.groups() {
            let (entropy, distinct) = summary(sequences);
            writeln!(out, "{temperature:>8?} {entropy:>18.3} {distinct:>16}")?;
        }
        Ok(())
    }
}

/// The mean entropy of the distributions that the words were drawn from, and how many different words.
fn summary(sequences: &[Sequence]) -> (f64, usize) {
    let words = || sequences.iter().flat_map(|sequence| &sequence.words);
    let entropy: f64 = sequences.iter().map(|sequence| sequence.entropy).sum();
    (entropy / words().count() as f64, words().collect::<HashSet<_>>().len())
}

/// Of a distribution given by its log-probabilities, in nats. What has probability 0 adds nothing.
fn entropy(logprobs: &[f32]) -> f64 {
    let possible = logprobs.iter().filter(|logprob| logprob.is_finite());
    possible.map(|&logprob| -f64::from(logprob).exp() * f64::from(logprob)).sum()
}
