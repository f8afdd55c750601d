//! Tables, in Markdown.

use std::fmt::Write;

use crate::data::{Accuracy, Data, KELVIN, Line};
use crate::style::short;

/// First column to the left, the others to the right.
fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|---|{}\n", head.join(" | "), "---:|".repeat(head.len() - 1));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// In the order in which they first come.
pub fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut found = vec![];
    all.for_each(|x| {
        if !found.contains(&x) {
            found.push(x)
        }
    });
    found
}

/// An operation: peers by shapes, microseconds of a call and how many times kelvin's that is.
pub fn peers(op: &str, lines: &[&Line]) -> String {
    let lines: Vec<&Line> = lines.iter().filter(|line| line.op == op).copied().collect();
    let shapes = distinct(lines.iter().map(|line| line.shape()));
    let names = distinct(lines.iter().map(|line| &*line.reference));
    let head = [format!("{op}, us")].into_iter();
    let head = head.chain(shapes.iter().map(|(rows, vocab)| format!("{rows} x {vocab}"))).collect::<Vec<_>>();
    let find = |shape, name: Option<&str>| {
        lines.iter().find(|line| line.shape() == shape && name.is_none_or(|name| line.reference == name))
    };
    let ours = |&shape: &_| find(shape, None).map_or("-".into(), |line| bold(&short(line.us)));
    let theirs = |&shape: &_, name| match find(shape, Some(name)) {
        Some(line) => format!("{} ({} x)", short(line.reference_us), short(1.0 / line.ratio())),
        None => "-".into(),
    };
    let level = lines.iter().find(|line| line.level != "python").map_or("", |line| &line.level);
    let mut rows = vec![
        [bold(&format!("{KELVIN}, {level}"))].into_iter().chain(shapes.iter().map(ours)).collect::<Vec<_>>(),
    ];
    for name in names {
        let cells = shapes.iter().map(|shape| theirs(shape, name));
        rows.push([name.to_string()].into_iter().chain(cells).collect());
    }
    table(&head, &rows)
}

fn bold(text: &str) -> String {
    format!("**{text}**")
}

/// What the roofline bench compares an operation with.
pub fn against(op: &str) -> &'static str {
    match op {
        "scale" | "softmax" | "log_softmax" => "copying",
        "softmax_in_place" => "scaling in place",
        _ => "reading",
    }
}

/// Each operation and level against the memory, by what the buffers fit into.
pub fn memory(lines: &[Line]) -> String {
    let most = lines.iter().map(|line| line.threads).max().unwrap_or(1);
    let mut cases = vec![("1 row", 1, 1), ("8 rows", 8, 1), ("256 rows", 256, 1)];
    if most > 1 {
        cases.extend([("8 rows", 8, most), ("256 rows", 256, most)]);
    }
    let keys = distinct(lines.iter().map(|line| (&*line.op, &*line.dtype, &*line.level)));
    let threads = |n| if n == 1 { "1 thread".into() } else { format!("{n} threads") };
    let head = ["op", "against", "type", "level"].map(String::from).into_iter();
    let head = head.chain(cases.iter().map(|&(name, _, n)| format!("{name}, {}", threads(n))));
    let row = |key: &(&str, &str, &str)| {
        let (op, dtype, level) = *key;
        let cell = |&(_, rows, threads): &(&str, usize, usize)| {
            let mut found = lines.iter().filter(|line| line.is(op, rows, threads));
            let found = found.find(|line| line.dtype == dtype && line.level == level);
            let cell = |line: &Line| {
                format!("{} ({} x {})", short(line.us), short(line.ratio()), short(line.reference_us))
            };
            found.map_or(String::new(), cell)
        };
        [op, against(op), dtype, level].map(String::from).into_iter().chain(cases.iter().map(cell)).collect()
    };
    table(&head.collect::<Vec<_>>(), &keys.iter().map(row).collect::<Vec<Vec<_>>>())
}

/// Jobs, and what they took turns with.
pub fn pairs(lines: &[Line]) -> String {
    let head = ["job", "us", "against", "us", "times as long"].map(String::from);
    let row = |line: &Line| {
        let times = [line.us, line.reference_us, line.ratio()].map(short);
        let [us, reference_us, ratio] = times;
        vec![line.op.clone(), us, line.reference.clone(), reference_us, ratio]
    };
    table(&head, &lines.iter().map(row).collect::<Vec<_>>())
}

/// Jobs by inputs, each with its multiple of what the job takes for the usual input.
pub fn inputs(lines: &[Line]) -> String {
    let parts: Vec<_> = lines.iter().filter_map(|line| Some((line, line.op.split_once(" / ")?))).collect();
    let jobs = distinct(parts.iter().map(|(_, (job, _))| *job));
    let head = ["input"].into_iter().chain(jobs.iter().copied()).map(String::from).collect::<Vec<_>>();
    let row = |input: &str| {
        let cell = |job: &&str| {
            let found = parts.iter().find(|(_, parts)| *parts == (*job, input));
            found.map_or(String::new(), |(line, _)| format!("{} ({} x)", short(line.us), short(line.ratio())))
        };
        [input.to_string()].into_iter().chain(jobs.iter().map(cell)).collect::<Vec<_>>()
    };
    let inputs = distinct(parts.iter().map(|(_, (_, input))| *input));
    table(&head, &inputs.into_iter().map(row).collect::<Vec<_>>())
}

/// Each softmax: its errors, and its time beside them.
pub fn accuracy(accuracies: &[Accuracy], lines: &[&Line]) -> String {
    let head = ["softmax", "version", "largest relative error", "abs(sum - 1)", "1 x 128256, us"];
    let time = |peer: &str| {
        let mut lines = lines.iter().filter(|line| line.is("softmax", 1, 1) && line.vocab == 128_256);
        if peer == KELVIN {
            return lines.next().map(|line| line.us);
        }
        lines.find(|line| line.reference == peer).map(|line| line.reference_us)
    };
    let row = |a: &Accuracy| {
        let name = if a.peer == KELVIN { bold(KELVIN) } else { a.peer.clone() };
        let errors = [a.max_relative_error, a.sum_minus_1].map(|x| format!("{x:.1e}"));
        let time = time(&a.peer).map_or("missing".into(), short);
        [name, a.version.clone()].into_iter().chain(errors).chain([time]).collect()
    };
    table(&head.map(String::from), &accuracies.iter().map(row).collect::<Vec<Vec<_>>>())
}

/// Nanoseconds per element, kelvin's and the memory's.
pub fn growth(lines: &[Line], by_rows: bool) -> String {
    let is_swept = |line: &&Line| by_rows != (line.vocab.is_power_of_two() && line.rows == 1);
    let lines: Vec<&Line> = lines.iter().filter(is_swept).collect();
    let keys = distinct(lines.iter().map(|line| (&*line.op, line.threads)));
    let mut head = vec![if by_rows { "rows of 32000" } else { "one row of" }.to_string()];
    for (op, threads) in &keys {
        let threads = if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        head.extend([format!("{op}, {threads}"), "memory".into()]);
    }
    let cells = |shape: (usize, usize)| {
        let ns = move |us: f64| format!("{:.4}", 1e3 * us / (shape.0 * shape.1) as f64);
        let found = |&(op, threads): &(&str, usize)| {
            let line = lines.iter().find(|line| line.is(op, shape.0, threads) && line.shape() == shape);
            line.map_or(["-".into(), "-".into()], |line| [ns(line.us), ns(line.reference_us)])
        };
        keys.iter().flat_map(found).collect::<Vec<_>>()
    };
    let rows = distinct(lines.iter().map(|line| line.shape())).into_iter().map(|shape| {
        let first = if by_rows { shape.0 } else { shape.1 };
        [first.to_string()].into_iter().chain(cells(shape)).collect()
    });
    table(&head, &rows.collect::<Vec<Vec<_>>>())
}

/// File and command.
pub fn commands(data: &Data) -> String {
    let row = |(file, command): &(String, String)| vec![format!("`{file}`"), format!("`{command}`")];
    let rows: Vec<_> = data.commands.iter().map(row).collect();
    table(&["file", "command"].map(String::from), &rows).replace("---:", "---")
}
