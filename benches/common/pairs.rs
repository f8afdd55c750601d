//! Two jobs that take turns, so that both see the same machine; the medians of their times.

use std::io;
use std::path::Path;

use kelvin::Level;

use crate::csv;
use crate::options::Effort;
use crate::timing::{median, time};

pub(crate) struct Bench {
    vocab: usize,
    repeats: usize,
    lines: Vec<Line>,
}

/// A job and what it is compared with: their rows, their threads, their times in microseconds.
struct Line {
    op: String,
    reference: String,
    rows: usize,
    threads: usize,
    us: [f64; 2],
}

impl Bench {
    pub(crate) fn new(vocab: usize, effort: Effort) -> Self {
        let repeats = match effort {
            Effort::Full => 200,
            Effort::Quick => 40,
            Effort::Once => 1,
        };
        Self { vocab, repeats, lines: vec![] }
    }

    pub(crate) fn compare(
        &mut self,
        [op, reference]: [&str; 2],
        (rows, threads): (usize, usize),
        mut a: impl FnMut(),
        mut b: impl FnMut(),
    ) {
        let repeats = if rows == 1 { self.repeats } else { self.repeats.div_ceil(8) };
        let (of_a, of_b) = (0..repeats).map(|_| (time(1, &mut a), time(1, &mut b))).unzip();
        let us = [median(of_a), median(of_b)];
        println!("{op:44} {:9.2} us   {reference:32} {:9.2} us  {:6.2} x", us[0], us[1], us[0] / us[1]);
        self.lines.push(Line { op: op.into(), reference: reference.into(), rows, threads, us });
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let lines = self.lines.iter().map(|line| csv::Line {
            op: &line.op,
            level: Level::best(),
            shape: (line.rows, self.vocab),
            threads: line.threads,
            dtype: "f32",
            us: line.us[0],
            reference: &line.reference,
            reference_us: line.us[1],
        });
        csv::write(path, lines)
    }
}
