//! What was measured, as the CSV files have it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::Result;

pub const KELVIN: &str = "kelvin";

/// One line: kelvin's time of a call, and that of what it is compared with.
#[derive(Clone, Debug)]
pub struct Line {
    pub op: String,
    pub level: String,
    pub rows: usize,
    pub vocab: usize,
    pub threads: usize,
    pub dtype: String,
    pub us: f64,
    pub reference: String,
    pub reference_us: f64,
}

impl Line {
    const HEAD: &str = "op,level,rows,vocab,threads,dtype,median_us,reference,reference_us,ratio";

    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let [op, level, rows, vocab, threads, dtype, us, reference, reference_us, _] = fields[..] else {
            return Err(format!("not ten columns: {line}").into());
        };
        Ok(Self {
            op: op.into(),
            level: level.into(),
            rows: rows.parse()?,
            vocab: vocab.parse()?,
            threads: threads.parse()?,
            dtype: dtype.into(),
            us: us.parse()?,
            reference: reference.into(),
            reference_us: reference_us.parse()?,
        })
    }

    pub fn ratio(&self) -> f64 {
        self.us / self.reference_us
    }

    pub fn is(&self, op: &str, rows: usize, threads: usize) -> bool {
        self.op == op && self.rows == rows && self.threads == threads
    }

    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.vocab)
    }
}

/// The errors of a softmax against f64.
pub struct Accuracy {
    pub peer: String,
    pub version: String,
    pub max_relative_error: f64,
    pub sum_minus_1: f64,
}

impl Accuracy {
    const HEAD: &str = "peer,version,max_relative_error,sum_minus_1";

    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let [peer, version, error, sum] = fields[..] else {
            return Err(format!("not four columns: {line}").into());
        };
        Ok(Self {
            peer: peer.into(),
            version: version.into(),
            max_relative_error: error.parse()?,
            sum_minus_1: sum.parse()?,
        })
    }
}

/// All files; `None` for one that is missing.
pub struct Data {
    pub roofline: Option<Vec<Line>>,
    pub growth: Option<Vec<Line>>,
    pub draws: Option<Vec<Line>>,
    pub inputs: Option<Vec<Line>>,
    pub default: Option<Vec<Line>>,
    pub default_all: Option<Vec<Line>>,
    /// At T = 0.2.
    pub cool: Option<Vec<Line>>,
    pub native: Option<Vec<Line>>,
    pub python: Option<Vec<Line>>,
    pub python_all: Option<Vec<Line>>,
    /// Those in Rust, then those in Python.
    pub accuracy: Option<Vec<Accuracy>>,
    /// Lines of `what: which`.
    pub machine: Option<String>,
    /// File and command.
    pub commands: Vec<(String, String)>,
}

impl Data {
    pub fn read(folder: &Path) -> Result<Self> {
        let lines = |name: &str| read(&folder.join(name), Line::HEAD, Line::parse);
        let commands = text(&folder.join("commands.tsv"))?.unwrap_or_default();
        let accuracies = |name: &str| read(&folder.join(name), Accuracy::HEAD, Accuracy::parse);
        let mut accuracy = accuracies("accuracy.csv")?;
        if let Some(accuracy) = &mut accuracy {
            accuracy.extend(accuracies("python-accuracy.csv")?.unwrap_or_default());
        }
        let split = |line: &str| line.split_once('\t').map(|(file, command)| (file.into(), command.into()));
        Ok(Self {
            roofline: lines("roofline.csv")?,
            growth: lines("growth.csv")?,
            draws: lines("draws.csv")?,
            inputs: lines("inputs.csv")?,
            default: lines("default.csv")?,
            default_all: lines("default-all.csv")?,
            cool: lines("cool.csv")?,
            native: lines("native.csv")?,
            python: lines("python.csv")?,
            python_all: lines("python-all.csv")?,
            accuracy,
            machine: text(&folder.join("machine.txt"))?,
            commands: commands.lines().filter_map(split).collect(),
        })
    }

    /// What machine.txt says of the CPU.
    pub fn cpu(&self) -> Option<&str> {
        self.machine.as_deref()?.lines().find_map(|line| line.strip_prefix("CPU: "))
    }

    /// Whether this is only a trial.
    pub fn is_quick(&self) -> bool {
        self.machine.as_deref().is_some_and(|machine| machine.lines().any(|line| line == "Run: quick"))
    }

    /// The peers, on one thread: those in Rust (default build), then those in Python.
    pub fn peers(&self) -> Vec<&Line> {
        [&self.default, &self.python].into_iter().flatten().flatten().collect()
    }
}

fn text(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

fn read<T>(path: &Path, head: &str, parse: fn(&str) -> Result<T>) -> Result<Option<Vec<T>>> {
    let Some(text) = text(path)? else { return Ok(None) };
    let mut lines = text.lines();
    if lines.next() != Some(head) {
        return Err(format!("{}: the first line is not {head}", path.display()).into());
    }
    let rows = lines.map(parse).collect::<Result<_>>();
    rows.map(Some).map_err(|error| format!("{}: {error}", path.display()).into())
}
