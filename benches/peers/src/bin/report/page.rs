//! BENCHMARKS.md, down to what is kept by hand.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::data::{Data, Line};
use crate::figures::CHARTED;
use crate::lock::version;
use crate::tables;

/// After this line, the page is kept by hand.
const BY_HAND: &str = "<!-- From here on, this page is kept by hand. -->\n";

/// Those of the peers whose versions Cargo.lock pins.
const PACKAGES: [&str; 8] = [
    "candle-core",
    "candle-transformers",
    "llm-samplers",
    "rand",
    "rand_distr",
    "rten-vecmath",
    "token-sampling",
    "tract-linalg",
];

const INTRODUCTION: &str = "\
What kelvin costs, against plain loops over the same memory and against its peers. `benches/peers/run` measures everything
and writes this page, down to *What was tried*. What is measured, how, and what to know before quoting a number:
[benches/peers/README.md](benches/peers/README.md). (The benches are in the repository, not in the package.)

Unless said otherwise, times are medians, in microseconds of one call for all rows, at T = 0.8, of logits that are normal
with deviation 3. Whatever is compared took turns in one process (kelvin and the Python peers: in two).
From one table to another, the same call differs by up to 1.3 x, with whatever ran around it: compare within a table.
";

pub fn update(path: &Path, data: &Data, drawn: &[&str]) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let (_, by_hand) = text.split_once(BY_HAND).ok_or("BENCHMARKS.md has no part that is kept by hand")?;
    Ok(fs::write(path, format!("{}\n{BY_HAND}{by_hand}", measured(data, drawn)))?)
}

fn measured(data: &Data, drawn: &[&str]) -> String {
    let parts = [
        format!("# Benchmarks\n\n{INTRODUCTION}"),
        machine(data),
        memory(data, drawn),
        peers(data, drawn),
        draws(data),
        inputs(data),
        accuracy(data),
        growth(data, drawn),
    ];
    parts.join("\n")
}

fn machine(data: &Data) -> String {
    let lines = data.machine.as_deref().map_or("- machine.txt is missing.\n".into(), |machine| {
        machine.lines().map(|line| format!("- {line}\n")).collect::<String>()
    });
    let warning =
        "\n**A quick run: few calls each. It shows that the benches work, not how fast anything is.**\n";
    let commands = if data.commands.is_empty() {
        "commands.tsv is missing.\n".into()
    } else {
        format!(
            "To make the tables again, all of them (`./run`) or one (in `benches/peers`):\n\n{}",
            tables::commands(data)
        )
    };
    let lines = format!("{lines}- Peers: {}\n", PACKAGES.map(with_version).join(", "));
    format!("## Where and how\n\n{lines}{}\n{commands}", if data.is_quick() { warning } else { "" })
}

fn with_version(package: &str) -> String {
    format!("{package} {}", version(package).unwrap_or("(unknown)"))
}

fn memory(data: &Data, drawn: &[&str]) -> String {
    section("Against the memory", "roofline.csv", data.roofline.as_deref(), |lines| {
        let about = "Microseconds; in brackets, the multiple of what plain loops take for the same buffers, and that \
            time: of the best\nof two or three, each in turns with the operation. (So it differs from line to line; from \
            memory, by a tenth.) A kernel may\ntake less: large outputs are written past the caches (`scale` shows what \
            that saves), and not all CPUs read fastest in the way\nof these loops. Slower levels are measured where the \
            memory does not hide the arithmetic. One row is 0.5 MiB, 8 rows 4 MiB, 256\nrows 128 MiB; of f16 and bf16, half \
            of that. So on two threads, or of half precision, 8 rows may fit a large L2.\n";
        let alt = "time over that of plain reading, copying or scaling";
        format!("{}{about}\n{}", chart("memory", alt, drawn), tables::memory(lines))
    })
}

fn peers(data: &Data, drawn: &[&str]) -> String {
    let mut text = String::from(
        "## Against the peers\n\nIn brackets: how many times kelvin's time in the same race (that of the peers in Python is \
         another than that of those in Rust, whose time of kelvin is shown). `-`: a call takes more than a second, and was \
         not timed.\n`draws`: 1000 tokens of each row, with replacement, from logits. `alias_build`: a table from \
         probabilities; `alias_draws`:\n1000 tokens from a table that exists.\n`./run` uses the Python packages of [requirements.txt](benches/peers/python/requirements.txt).\n\n",
    );
    for op in CHARTED {
        text += &chart(op, &format!("{op}: time per row"), drawn);
    }
    let one = [("default.csv", &data.default), ("python.csv", &data.python)];
    let all = [("default-all.csv", &data.default_all), ("python-all.csv", &data.python_all)];
    let mut parts = vec![text.trim_end().to_string() + "\n", both("1 thread", one), both("all threads", all)];
    for (head, file, lines, at) in [
        ("Default build, 1 thread, T = 0.2, peers in Rust", "cool.csv", &data.cool, " at T = 0.2"),
        ("Native build (`-C target-cpu=native`), 1 thread", "native.csv", &data.native, ""),
    ] {
        let tables = lines.as_ref().map(|lines| by_op(&lines.iter().collect::<Vec<_>>(), at));
        parts.push(format!("### {head}\n\n{}", tables.unwrap_or_else(|| missing(file))));
    }
    parts.join("\n")
}

/// The peers in Rust and in Python.
fn both(threads: &str, files: [(&str, &Option<Vec<Line>>); 2]) -> String {
    let absent = files.iter().filter(|(_, lines)| lines.is_none());
    let absent: String = absent.map(|(file, _)| format!("{}\n", missing(file))).collect();
    let lines: Vec<_> = files.iter().filter_map(|(_, lines)| lines.as_ref()).flatten().collect();
    format!("### Default build, {threads}\n\n{absent}{}", by_op(&lines, ""))
}

fn draws(data: &Data) -> String {
    section("Many draws from a row of 128256", "draws.csv", data.draws.as_deref(), |lines| {
        let about = "Each job and what it took turns with, on one thread unless said otherwise.\n";
        format!("{about}\n{}", tables::pairs(lines))
    })
}

fn inputs(data: &Data) -> String {
    section("Other rows and temperatures", "inputs.csv", data.inputs.as_deref(), |lines| {
        let about = "A row of 128256 in L2 (alias tables: sixteen in turns; the last lines: from memory, against as many of \
            f32): microseconds,\nand the multiple of what the same call takes for Gaussian logits of f32 at T = 0.8, in turns \
            with it. What a name leaves open is\nas there. (The row of Zipf's law has probabilities of rank^-1.5, in random \
            order. What is masked lies here and there, unless said\notherwise.)\n";
        format!("{about}\n{}", tables::inputs(lines))
    })
}

/// The operations that have a chart, then the others; `at` a temperature, unless it is the usual one.
fn by_op(lines: &[&Line], at: &str) -> String {
    let others = ["softmax_in_place", "draws", "alias_build", "alias_draws"];
    let ops = CHARTED.into_iter().chain(others).map(|op| format!("{op}{at}"));
    let measured = ops.filter(|op| lines.iter().any(|line| line.op == *op));
    measured.map(|op| tables::peers(&op, lines)).collect::<Vec<_>>().join("\n")
}

fn accuracy(data: &Data) -> String {
    section("Accuracy beside speed", "accuracy.csv", data.accuracy.as_deref(), |accuracies| {
        let about = "Against f64, the worst of 16 rows of 128256; probabilities above 2^-100.\n";
        format!("{about}\n{}", tables::accuracy(accuracies, &data.peers()))
    })
}

fn growth(data: &Data, drawn: &[&str]) -> String {
    section("Growth", "growth.csv", data.growth.as_deref(), |lines| {
        format!(
            "Nanoseconds per element; `memory` is reading for `sample`, copying for `softmax`.\n\n{}{}\n{}{}",
            chart("growth-vocab", "cost of an element against the vocabulary", drawn),
            tables::growth(lines, false),
            chart("growth-rows", "cost of an element against the number of rows", drawn),
            tables::growth(lines, true),
        )
    })
}

/// What the lines of a file show, or that it is missing.
fn section<T>(head: &str, file: &str, lines: Option<&[T]>, body: impl FnOnce(&[T]) -> String) -> String {
    format!("## {head}\n\n{}", lines.map_or_else(|| missing(file), body))
}

fn chart(name: &str, alt: &str, drawn: &[&str]) -> String {
    if drawn.contains(&name) { format!("![{alt}](docs/charts/{name}.svg)\n\n") } else { String::new() }
}

fn missing(file: &str) -> String {
    format!("`{file}` is missing: not measured.\n")
}
