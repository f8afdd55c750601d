//! Who takes part. Kelvin comes first: the others are compared with it. tract comes last: it returns with the
//! upper halves of vector registers in use, in which state SSE code is up to 40 x slower, until a kernel
//! clears them.

mod candle;
mod kelvin;
mod llm_samplers;
mod naive;
mod rten;
mod token_sampling;
mod tract;
mod weighted;

use crate::peer::Op::{self, AliasBuild, AliasDraws, Argmax, Draws, Sample, Softmax, SoftmaxInPlace};
use crate::peer::Peer;

pub use naive::argmax_row;

pub const KELVIN: &str = "kelvin";

const ALL: &[Peer] = &[
    Peer::new(Softmax, KELVIN, "kelvin", kelvin::softmax),
    Peer::new(Softmax, "rten-vecmath scale + Softmax", "rten-vecmath", rten::softmax),
    Peer::new(Softmax, "candle softmax_last_dim(x/T)", "candle-nn", candle::softmax),
    Peer::new(Softmax, "naive loop", "", naive::softmax),
    Peer::new(Softmax, "tract-linalg scale + softmax", "tract-linalg", tract::softmax),
    Peer::new(SoftmaxInPlace, KELVIN, "kelvin", kelvin::softmax_in_place),
    Peer::new(SoftmaxInPlace, "rten-vecmath scale + Softmax", "rten-vecmath", rten::softmax_in_place),
    Peer::new(SoftmaxInPlace, "naive loop", "", naive::softmax_in_place),
    Peer::new(SoftmaxInPlace, "tract-linalg scale + softmax", "tract-linalg", tract::softmax_in_place),
    Peer::new(Sample, KELVIN, "kelvin", kelvin::sample),
    Peer::new(Sample, "rten-vecmath softmax + f32 scan", "rten-vecmath", rten::sample),
    Peer::new(Sample, "rten softmax + WeightedIndex", "rand", weighted::index),
    Peer::new(Sample, "rten softmax + WeightedAliasIndex", "rand_distr", weighted::alias),
    Peer::new(Sample, "candle LogitsProcessor", "candle-transformers", candle::sample),
    Peer::new(Sample, "token-sampling", "token-sampling", token_sampling::sample),
    Peer::new(Sample, "llm-samplers", "llm-samplers", llm_samplers::sample),
    Peer::new(Sample, "naive loop", "", naive::sample),
    Peer::new(Argmax, KELVIN, "kelvin", kelvin::argmax),
    Peer::new(Argmax, "candle argmax", "candle-core", candle::argmax),
    Peer::new(Argmax, "naive loop", "", naive::argmax),
    Peer::new(Draws, KELVIN, "kelvin", kelvin::draws),
    Peer::new(Draws, "rten softmax + WeightedIndex", "rand", weighted::index),
    Peer::new(Draws, "rten softmax + WeightedAliasIndex", "rand_distr", weighted::alias),
    Peer::new(AliasBuild, KELVIN, "kelvin", kelvin::alias_build),
    Peer::new(AliasBuild, "rand_distr WeightedAliasIndex", "rand_distr", weighted::alias_build),
    Peer::new(AliasDraws, KELVIN, "kelvin", kelvin::alias_draws),
    Peer::new(AliasDraws, "rand_distr WeightedAliasIndex", "rand_distr", weighted::alias_draws),
];

/// Those who offer an operation.
pub fn of(op: Op) -> impl Iterator<Item = &'static Peer> {
    ALL.iter().filter(move |peer| peer.op == op)
}
