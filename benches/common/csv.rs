//! The lines that `benches/peers` makes its report of.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use kelvin::Level;

/// A time, and that of what it is compared with, in microseconds.
pub(crate) struct Line {
    pub(crate) op: String,
    pub(crate) level: Level,
    /// Rows, vocabulary.
    pub(crate) shape: (usize, usize),
    pub(crate) threads: usize,
    pub(crate) dtype: &'static str,
    pub(crate) us: f64,
    pub(crate) reference: String,
    pub(crate) reference_us: f64,
}

pub(crate) fn write(path: &Path, lines: &[Line]) -> io::Result<()> {
    let mut file = File::create(path)?;
    writeln!(file, "op,level,rows,vocab,threads,dtype,median_us,reference,reference_us,ratio")?;
    for Line { op, level, shape: (rows, vocab), threads, dtype, us, reference, reference_us } in lines {
        let ratio = us / reference_us;
        writeln!(
            file,
            "{op},{level},{rows},{vocab},{threads},{dtype},{us:.4},{reference},{reference_us:.4},{ratio:.4}"
        )?;
    }
    Ok(())
}
