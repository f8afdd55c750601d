//! Two jobs that take turns, so that both see the same machine, and the medians of their times. Each calls
//! twice in a row, and only the second call is timed: the first finds in the caches what the other job left.

use std::io;
use std::path::Path;

use kelvin::Level;

use crate::csv::{self, Line};
use crate::options::Effort;
use crate::timing::{median, time};

pub(crate) struct Bench {
    vocab: usize,
    repeats: usize,
    lines: Vec<Line>,
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

    /// Of rows of f32.
    pub(crate) fn compare(
        &mut self,
        names: [&str; 2],
        shape: (usize, usize),
        a: impl FnMut(),
        b: impl FnMut(),
    ) {
        self.compare_of("f32", names, shape, a, b);
    }

    /// An operation on rows of this type, and its reference; how many rows, and threads.
    pub(crate) fn compare_of(
        &mut self,
        dtype: &'static str,
        [op, reference]: [&str; 2],
        (rows, threads): (usize, usize),
        mut a: impl FnMut(),
        mut b: impl FnMut(),
    ) {
        let repeats = if rows == 1 { self.repeats } else { self.repeats.div_ceil(2) };
        let (of_a, of_b) = (0..repeats).map(|_| (time_second(&mut a), time_second(&mut b))).unzip();
        let (us, reference_us) = (median(of_a), median(of_b));
        let ratio = us / reference_us;
        println!("{op:48} {us:9.2} us   {reference:32} {reference_us:9.2} us  {ratio:6.2} x");
        self.lines.push(Line {
            op: op.into(),
            level: Level::best(),
            shape: (rows, self.vocab),
            threads,
            dtype,
            us,
            reference: reference.into(),
            reference_us,
        });
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        csv::write(path, &self.lines)
    }
}

fn time_second(mut job: impl FnMut()) -> f64 {
    job();
    time(1, job)
}
