//! One step of an inference server: a token for each request of a batch, of which one has broken logits.
//!
//! ```text
//! cargo run --release --example server
//! ```

use std::error::Error;

use kelvin::{Draw, Key, RowError, Rows, Temperature, log_sum_exp, sample};

const VOCAB: usize = 32_000;
/// The model's last layer is padded, as most are.
const PADDED: usize = 32_064;

struct Request {
    temperature: Temperature,
    seed: u64,
    /// Tokens so far: the position of the next one.
    generated: u64,
    /// What a grammar allows next, if there is one.
    allowed: Option<Vec<u32>>,
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
    requests[3].allowed = Some(vec![11, 220, 31_999]);
    let mut logits: Vec<f32> = (0..).take(requests.len()).flat_map(logits_of).collect();
    logits[PADDED + 123] = f32::NAN;

    for (request, answer) in requests.iter().zip(step(&mut logits, &requests)?) {
        match answer {
            Ok(Answer { draw: Draw { token, logprob }, raw_logprob }) => println!(
                "seed {}, T = {}: token {token}, ln p = {logprob:.3}, of the raw logits {raw_logprob:.3}",
                request.seed, request.temperature
            ),
            Err(error) => println!("seed {}: this request ends here. ({error})", request.seed),
        }
    }
    Ok(())
}

/// Rows of padded logits in, an answer per request out.
fn step(logits: &mut [f32], requests: &[Request]) -> Result<Vec<Result<Answer, RowError>>, kelvin::Error> {
    let mut sums = vec![Ok(0.0); requests.len()];
    log_sum_exp(Rows::with_stride(logits, requests.len(), VOCAB, PADDED)?, &[Temperature::ONE], &mut sums)?;

    for (row, request) in logits.chunks_mut(PADDED).zip(requests) {
        if let Some(allowed) = &request.allowed {
            mask(&mut row[..VOCAB], allowed);
        }
    }
    let rows = Rows::with_stride(logits, requests.len(), VOCAB, PADDED)?;
    let temperatures: Vec<_> = requests.iter().map(|request| request.temperature).collect();
    let keys = requests.iter().map(|request| Key { seed: request.seed, position: request.generated });
    let uniforms: Vec<_> = keys.map(Key::uniform).collect();
    let mut draws = vec![Ok(Draw::default()); requests.len()];
    sample(rows, &temperatures, &uniforms, &mut draws)?;

    let answer = |(row, (draw, sum)): (usize, (Result<Draw, _>, Result<f64, _>))| {
        let draw = draw?;
        Ok(Answer { draw, raw_logprob: f64::from(rows.row(row)[draw.token as usize]) - sum? })
    };
    Ok(draws.into_iter().zip(sums).enumerate().map(answer).collect())
}

/// What is not allowed must not be drawn.
fn mask(row: &mut [f32], allowed: &[u32]) {
    let kept: Vec<_> = allowed.iter().map(|&token| (token as usize, row[token as usize])).collect();
    row.fill(f32::NEG_INFINITY);
    for (token, logit) in kept {
        row[token] = logit;
    }
}

/// What a model might say: sums of uniforms, nearly normal, of deviation 3.
fn logits_of(row: u64) -> Vec<f32> {
    let mut uniforms = vec![0.0; 12 * PADDED];
    Key { seed: 1, position: row }.fill(&mut uniforms);
    uniforms.chunks(12).map(|u| (3.0 * (u.iter().sum::<f64>() - 6.0)) as f32).collect()
}
