//! How far a softmax is from the exact one.

use std::io::Write;
use std::path::Path;

use rayon::prelude::*;

use crate::batch::{Answer, Batch, Shape};
use crate::peer::Op;
use crate::timing::Contestant;
use crate::{Result, create, peers};

/// Errors of smaller probabilities are taken relative to this one: they come near the end of f32.
const SMALLEST: f64 = 1.0 / (1_u128 << 100) as f64;

#[derive(Clone, Copy, Default)]
pub struct Accuracy {
    pub max_relative_error: f64,
    /// Its size, without the sign.
    pub sum_minus_1: f64,
}

impl Accuracy {
    /// The worst of all rows.
    pub fn of(batch: &Batch, answer: &Answer) -> Self {
        let vocab = batch.shape.vocab;
        let rows = batch.logits.par_chunks(vocab).zip(answer.probs.par_chunks(vocab));
        rows.map(|(logits, probs)| Self::of_row(logits, batch.temperature, probs))
            .reduce(Self::default, Self::worst)
    }

    /// Against e^(x/T) / sum, all of it in f64. A NaN is infinitely wrong.
    fn of_row(logits: &[f32], temperature: f32, probs: &[f32]) -> Self {
        let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let weight = |x: &f32| ((f64::from(*x) - max) / f64::from(temperature)).exp();
        let total: f64 = logits.iter().map(weight).sum();
        let error = |(x, p): (&f32, &f32)| {
            let exact = weight(x) / total;
            if p.is_nan() { f64::INFINITY } else { (f64::from(*p) - exact).abs() / exact.max(SMALLEST) }
        };
        let sum: f64 = probs.iter().map(|p| f64::from(*p)).sum();
        Self {
            max_relative_error: logits.iter().zip(probs).map(error).fold(0.0, f64::max),
            sum_minus_1: (sum - 1.0).abs(),
        }
    }

    fn worst(self, other: Self) -> Self {
        Self {
            max_relative_error: self.max_relative_error.max(other.max_relative_error),
            sum_minus_1: self.sum_minus_1.max(other.sum_minus_1),
        }
    }
}

/// Prints the accuracy of every softmax, and writes it if a file is given.
pub fn compare(temperature: f32, csv: Option<&Path>) -> Result<()> {
    let shape = Shape { rows: 16, vocab: 128_256 };
    let mut file = csv.map(create).transpose()?;
    let (batch, mut answer) = (Batch::gaussian(shape, temperature), Answer::new(shape));
    let mut lines = String::from("peer,version,max_relative_error,sum_minus_1\n");
    println!("softmax against f64, the worst of {} rows of {}", shape.rows, shape.vocab);
    println!("{:36} {:>8} {:>14} {:>12}", "", "version", "relative error", "|sum - 1|");
    for peer in peers::of(Op::Softmax) {
        Contestant::new(peer, &batch)?.first_call(&batch, &mut answer)?;
        let Accuracy { max_relative_error, sum_minus_1 } = Accuracy::of(&batch, &answer);
        let (name, version) = (peer.name, peer.version());
        println!("{name:36} {version:>8} {max_relative_error:>14.2e} {sum_minus_1:>12.2e}");
        lines += &format!("{name},{version},{max_relative_error:.3e},{sum_minus_1:.3e}\n");
    }
    if let Some(file) = &mut file {
        file.write_all(lines.as_bytes())?;
    }
    Ok(())
}
