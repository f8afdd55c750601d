//! One step of an inference server: a token for each request of a batch, of which one has broken logits.
//!
//! ```text
//! cargo run --release --example server
//! ```

#[path = "common/page.rs"]
mod page;

use std::error::Error;
use std::fmt::Write;

use kelvin::{Draw, Key, RowError, Rows, Temperature, log_sum_exp, sample};

const VOCAB: usize = 32_000;
/// The model's last layer is padded, as most are.
const PADDED: usize = 32_064;

struct Request {
    temperature: Temperature,
    seed: u64,
    /// Tokens so far: the position of the next one.
    generated: u64,
    /// Which tokens a grammar allows next, if there is one.
    allowed: Option<Vec<bool>>,
}

/// A token with the logarithm of its probability, and the logarithm of its probability in the model's own
/// distribution: at T = 1, with nothing masked.
struct Answer {
    draw: Draw,
    raw_logprob: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let temperatures = [0.7, 1.0, 0.0, 1.3, 0.2].map(Temperature::new);
    let mut requests = Vec::new();
    for (seed, temperature) in (40..).zip(temperatures) {
        requests.push(Request { temperature: temperature?, seed, generated: 17, allowed: None });
    }
    requests[3].allowed = Some((0..VOCAB).map(|token| [11, 220, 31_999].contains(&token)).collect());
    let mut logits: Vec<f32> = (0..).take(requests.len()).flat_map(logits_of).collect();
    logits[PADDED + 123] = f32::NAN;

    let mut step = Step::default();
    step.run(&mut logits, &requests)?;
    let mut page = String::new();
    for (row, request) in requests.iter().enumerate() {
        match step.answer(row, &logits) {
            Ok(Answer { draw: Draw { token, logprob }, raw_logprob }) => writeln!(
                page,
                "seed {}, T = {}: token {token}, ln p = {logprob:.3}, of the raw logits {raw_logprob:.3}",
                request.seed, request.temperature
            )?,
            Err(error) => writeln!(page, "seed {}: this request ends here. ({error})", request.seed)?,
        }
    }
    Ok(page::print(&page)?)
}

/// The buffers of a step. The next one reuses them.
#[derive(Default)]
struct Step {
    temperatures: Vec<Temperature>,
    uniforms: Vec<f64>,
    draws: Vec<Result<Draw, RowError>>,
    sums: Vec<Result<f64, RowError>>,
}

impl Step {
    /// A row of padded logits per request; its logits come out masked.
    fn run(&mut self, logits: &mut [f32], requests: &[Request]) -> Result<(), kelvin::Error> {
        self.fill(requests);
        // Of the raw logits: before anything is masked.
        let rows = Rows::with_stride(logits, requests.len(), VOCAB, PADDED)?;
        log_sum_exp(rows, &[Temperature::ONE], &mut self.sums)?;

        for (row, request) in logits.chunks_mut(PADDED).zip(requests) {
            if let Some(allowed) = &request.allowed {
                mask(row, allowed);
            }
        }
        let rows = Rows::with_stride(logits, requests.len(), VOCAB, PADDED)?;
        sample(rows, &self.temperatures, &self.uniforms, &mut self.draws)
    }

    /// What the requests want, and room for what they get.
    fn fill(&mut self, requests: &[Request]) {
        self.temperatures.clear();
        self.uniforms.clear();
        for &Request { temperature, seed, generated, .. } in requests {
            self.temperatures.push(temperature);
            self.uniforms.push(Key { seed, position: generated }.uniform());
        }
        self.draws.resize(requests.len(), Ok(Draw::default()));
        self.sums.resize(requests.len(), Ok(0.0));
    }

    /// (What was drawn was not masked: its logit is still the model's.)
    fn answer(&self, row: usize, logits: &[f32]) -> Result<Answer, RowError> {
        let draw = self.draws[row]?;
        let logit = logits[row * PADDED + draw.token as usize];
        Ok(Answer { draw, raw_logprob: f64::from(logit) - self.sums[row]? })
    }
}

/// What is not allowed must not be drawn.
fn mask(row: &mut [f32], allowed: &[bool]) {
    for (logit, allowed) in row.iter_mut().zip(allowed) {
        if !allowed {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// What a model might say: sums of uniforms, nearly normal, of deviation 3.
fn logits_of(row: u64) -> Vec<f32> {
    let mut uniforms = vec![0.0; 12 * PADDED];
    Key { seed: 1, position: row }.fill(&mut uniforms);
    uniforms.chunks(12).map(|u| (3.0 * (u.iter().sum::<f64>() - 6.0)) as f32).collect()
}
