//! The numbers of the README: a chart and three lines, between two comments.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::data::{Data, KELVIN, Line};
use crate::style::short;

const BEGIN: &str = "<!-- numbers -->\n";
const END: &str = "<!-- /numbers -->";

pub fn update(path: &Path, data: &Data, drawn: &[&str]) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or("README.md has no place for the numbers")?;
    Ok(fs::write(path, format!("{before}{BEGIN}{}{END}{after}", numbers(data, drawn)))?)
}

fn numbers(data: &Data, drawn: &[&str]) -> String {
    let mut text = String::from("\n");
    if drawn.contains(&"sample") {
        text += "![sample: time per row, kelvin and its peers](docs/charts/sample.svg)\n\n";
    }
    for line in [memory(data), peers(data), accuracy(data)].into_iter().flatten() {
        text += &format!("- {line}\n");
    }
    let quick = if data.is_quick() { " (These are of a quick run.)" } else { "" };
    let cpu = data.cpu().map_or(String::new(), |cpu| format!("On {cpu}. "));
    text + &format!("\n{cpu}Commands and all the other numbers: [BENCHMARKS.md](BENCHMARKS.md).{quick}\n\n")
}

/// `sample` over the reading of rows that fit no cache.
fn memory(data: &Data) -> Option<String> {
    let lines = data.roofline.as_ref()?;
    let found = lines.iter().filter(|line| line.op == "sample" && line.dtype == "f32" && line.rows == 256);
    let line = found.max_by_key(|line| line.threads)?;
    let threads = if line.threads == 1 { "one thread".into() } else { format!("{} threads", line.threads) };
    let (rows, vocab, ratio) = (line.rows, line.vocab, short(line.ratio()));
    Some(format!(
        "`sample` of {rows} x {vocab} logits, from DRAM on {threads}: **{ratio} x** the time of reading them."
    ))
}

/// One row, one thread.
fn peers(data: &Data) -> Option<String> {
    let lines = data.peers();
    let is_single = |line: &&&Line| line.is("sample", 1, 1) && line.vocab == 128_256;
    let others = || lines.iter().filter(is_single);
    let times = |line: &Line| short(1.0 / line.ratio());
    let next = others().min_by(|a, b| a.reference_us.total_cmp(&b.reference_us))?;
    let (us, name) = (short(next.us), &next.reference);
    let mut text =
        format!("A token from one row of 128256: **{us} us**, {} x faster than {name}", times(next));
    for (prefix, name) in
        [("candle", "candle's `LogitsProcessor`"), ("torch softmax + multinomial", "PyTorch")]
    {
        if let Some(line) = others().find(|line| line.reference.starts_with(prefix)) {
            text += &format!(",\n  {} x faster than {name}", times(line));
        }
    }
    Some(text + ".")
}

fn accuracy(data: &Data) -> Option<String> {
    let (ours, theirs): (Vec<_>, Vec<_>) = data.accuracy.as_ref()?.iter().partition(|a| a.peer == KELVIN);
    let ours = ours.first()?.max_relative_error;
    let error = |a: &&crate::data::Accuracy| a.max_relative_error;
    let (best, worst) =
        theirs.iter().map(error).fold((f64::INFINITY, 0.0_f64), |(a, b), x| (a.min(x), b.max(x)));
    Some(format!(
        "The largest relative error of `softmax`: **{ours:.1e}**; the peers': {best:.1e} to {worst:.1e}."
    ))
}
