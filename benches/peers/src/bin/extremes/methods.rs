//! Two ways from logits to probabilities and tokens: kelvin's, and dividing by T first, all in f32.

use kelvin::{Cdf, Rows, RowsMut, Temperature};

use crate::Result;

/// The probability that is written for each token, and the one that it is drawn with.
pub struct Outcome {
    pub written: Vec<f32>,
    /// `None` if what is written is no distribution.
    pub drawn: Option<Vec<f64>>,
}

pub type Method = fn(&[f32], f32) -> Result<Outcome>;

pub const METHODS: [(&str, Method); 2] = [("kelvin", kelvin), ("divide first", divide_first)];

/// `softmax`, and a `Cdf`, which draws what `sample` draws.
fn kelvin(logits: &[f32], temperature: f32) -> Result<Outcome> {
    let (vocab, t) = (logits.len(), Temperature::new(temperature)?);
    let rows = Rows::new(logits, vocab)?;
    let mut written = vec![0.0; vocab];
    kelvin::softmax(rows, &[t], &mut RowsMut::new(&mut written, vocab)?)?.into_result()?;
    let table = Cdf::new(rows, 0, t)?;
    let token = |u: u64| table.draw(u as f64 * 2_f64.powi(-53)).map_err(Into::into);
    let drawn = Some(drawn(53, vocab, token)?);
    Ok(Outcome { written, drawn })
}

/// x/T, softmax less the largest, running sums and a uniform of 24 bits, as they are usually written. (But
/// the total is added up in f64, so that the error which shows in the probabilities is that of the division.)
fn divide_first(logits: &[f32], temperature: f32) -> Result<Outcome> {
    let written = divided_softmax(logits, temperature);
    if written.iter().any(|p| p.is_nan()) {
        return Ok(Outcome { written, drawn: None });
    }
    let mut sum = 0.0;
    let prefixes: Vec<f32> = written
        .iter()
        .map(|p| {
            sum += p;
            sum
        })
        .collect();
    let last = written.len() - 1;
    let token = |u: u64| {
        let u = u as f32 * 2_f32.powi(-24);
        Ok(prefixes.partition_point(|prefix| *prefix <= u).min(last) as u32)
    };
    let drawn = Some(drawn(24, written.len(), token)?);
    Ok(Outcome { written, drawn })
}

fn divided_softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let mut probs: Vec<f32> = logits.iter().map(|x| x / temperature).collect();
    let max = probs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    probs.iter_mut().for_each(|y| *y = (*y - max).exp());
    let sum = probs.iter().map(|&p| f64::from(p)).sum::<f64>() as f32;
    probs.iter_mut().for_each(|p| *p /= sum);
    probs
}

/// The share of each token among all uniforms of that many bits. Tokens go up with uniforms, so halving finds
/// where each begins.
fn drawn(bits: u32, vocab: usize, token: impl Fn(u64) -> Result<u32>) -> Result<Vec<f64>> {
    let last = (1 << bits) - 1;
    let mut counts = vec![0_u64; vocab];
    let mut open = vec![((0, token(0)?), (last, token(last)?))];
    counts[open[0].1.1 as usize] += 1;
    while let Some(((start, first), (end, next))) = open.pop() {
        if first == next || end - start == 1 {
            counts[first as usize] += end - start;
        } else {
            let middle = start + (end - start) / 2;
            let between = (middle, token(middle)?);
            open.extend([((start, first), between), (between, (end, next))]);
        }
    }
    Ok(counts.into_iter().map(|count| count as f64 / (1_u64 << bits) as f64).collect())
}

/// What becomes of the temperatures that are none, or the end of all.
pub fn print_special() -> Result<()> {
    let logits = [0.5, 2.0, -1.0, 1.0];
    println!("logits {logits:?}");
    for t in [0.0, 1e-45, 1e-39, f32::INFINITY, -1.0, f32::NAN] {
        let ours = match kelvin(&logits, t) {
            Ok(outcome) => format!("{:?}", outcome.written),
            Err(error) => format!("refused: {error}"),
        };
        println!("T = {t:e}: kelvin {ours}; divide first {:?}", divided_softmax(&logits, t));
    }
    Ok(())
}
