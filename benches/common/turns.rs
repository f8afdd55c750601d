//! An operation and its references, which take turns, so that all see the same machine.

use std::time::{Duration, Instant};

use crate::memory::Reference;
use crate::timing::{median, time};

/// Microseconds of the operation, and of the best of its references.
pub(crate) struct Medians {
    pub(crate) us: f64,
    pub(crate) reference: &'static str,
    pub(crate) reference_us: f64,
}

/// Each turn is so many calls; they end when the time is over. `on_rows` lets a reference work on the
/// buffers.
pub(crate) fn take_turns<B>(
    buffers: &mut B,
    references: &[Reference],
    repeat: usize,
    budget: Duration,
    op: impl Fn(&mut B),
    on_rows: impl Fn(&mut B, fn(&mut [f32], &[f32])),
) -> Medians {
    let mut times = vec![vec![]; 1 + references.len()];
    let end = Instant::now() + budget;
    loop {
        times[0].push(time(repeat, || op(buffers)));
        for ((_, reference), times) in references.iter().zip(&mut times[1..]) {
            times.push(time(repeat, || on_rows(buffers, *reference)));
        }
        if Instant::now() >= end {
            break;
        }
    }
    let mut medians = times.into_iter().map(median);
    let us = medians.next().unwrap_or(f64::NAN);
    let best = references.iter().zip(medians).min_by(|a, b| a.1.total_cmp(&b.1));
    let (reference, reference_us) = best.map_or(("none", f64::NAN), |(reference, us)| (reference.0, us));
    Medians { us, reference, reference_us }
}
