//! A wrong answer is not worth timing.

use crate::Result;
use crate::accuracy::Accuracy;
use crate::batch::{Answer, Batch};
use crate::peer::{Op, Peer};
use crate::peers::argmax_row;
use crate::timing::Contestant;

/// Five times the error of a plain f32 sum over 128,256 tokens.
const TOLERANCE: f64 = 1e-3;

/// Whether the answer to the batch at hand can be right.
pub fn answer(peer: &Peer, batch: &Batch, answer: &Answer) -> Result<()> {
    let right = match peer.op {
        Op::Softmax | Op::SoftmaxInPlace => Accuracy::of(batch, answer).max_relative_error < TOLERANCE,
        Op::Argmax => batch.rows().map(argmax_row).eq(answer.tokens.iter().copied()),
        Op::Sample | Op::Draws | Op::AliasBuild | Op::AliasDraws => {
            answer.tokens.iter().all(|token| (*token as usize) < batch.shape.vocab)
        }
    };
    if right { Ok(()) } else { Err(format!("{}: a wrong {}", peer.name, peer.op.name()).into()) }
}

/// Whether a sampler draws each token as often as it should: within five standard deviations, and a masked
/// one never.
pub fn frequencies(peer: &'static Peer, temperature: f32) -> Result<()> {
    const DRAWS: usize = 20_000;
    let row = [0.5, -1.0, 2.0, f32::NEG_INFINITY, 1.5, 0.0, -0.5, 1.0];
    let batch = Batch::repeated(&row, DRAWS / peer.op.tokens_per_row(), temperature);
    let mut answer = Answer::new(batch.shape);
    Contestant::new(peer, &batch)?.first_call(&batch, &mut answer)?;

    let weights = row.map(|x| (f64::from(x) / f64::from(temperature)).exp());
    let total: f64 = weights.iter().sum();
    for (token, weight) in weights.iter().enumerate() {
        let p = weight / total;
        let drawn = answer.tokens.iter().filter(|drawn| **drawn as usize == token).count() as f64;
        let (mean, deviation) = (DRAWS as f64 * p, (DRAWS as f64 * p * (1.0 - p)).sqrt());
        if (drawn - mean).abs() > 5.0 * deviation {
            return Err(format!("{}: token {token} drawn {drawn} times, not {mean:.0}", peer.name).into());
        }
    }
    Ok(())
}
