//! What a peer is: a name, and a call.

use rayon::prelude::*;

use crate::Result;
use crate::batch::{Answer, Batch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Softmax,
    Sample,
    Argmax,
}

impl Op {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sample => "sample",
            Self::Argmax => "argmax",
        }
    }
}

pub struct Peer {
    pub op: Op,
    pub name: &'static str,
    /// The package whose version it goes by, if any.
    pub package: &'static str,
    /// Everything that its users do once, or have anyway: buffers, generators, tensors of the logits.
    pub prepare: Prepare,
}

type Prepare = fn(&Batch) -> Result<Box<dyn Task>>;

impl Peer {
    pub const fn new(op: Op, name: &'static str, package: &'static str, prepare: Prepare) -> Self {
        Self { op, name, package, prepare }
    }

    /// The version that Cargo.lock pins: the newest (the last), where another peer pins an older one.
    pub fn version(&self) -> &'static str {
        const LOCK: &str = include_str!("../Cargo.lock");
        let entry = format!("name = \"{}\"\nversion = \"", self.package);
        LOCK.rsplit_once(&entry).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("-")
    }
}

/// A peer at work on one batch.
pub trait Task {
    /// What is timed: one call for all rows.
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()>;

    /// Brings over what the last call left in a form of the peer's own.
    fn fetch(&self, _answer: &mut Answer) -> Result<()> {
        Ok(())
    }
}

/// A softmax of one row: rows are shared among the threads.
pub fn softmax_by_row<K>(kernel: K) -> Result<Box<dyn Task>>
where
    K: Fn(&[f32], &mut [f32]) -> Result<()> + Sync + 'static,
{
    Ok(Box::new(SoftmaxByRow(kernel)))
}

struct SoftmaxByRow<K>(K);

impl<K> Task for SoftmaxByRow<K>
where
    K: Fn(&[f32], &mut [f32]) -> Result<()> + Sync,
{
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        let vocab = batch.shape.vocab;
        let rows = batch.logits.par_chunks(vocab).zip(answer.probs.par_chunks_mut(vocab));
        rows.try_for_each(|(row, probs)| (self.0)(row, probs))
    }
}

/// A choice of one token from one row, with a state (made from a seed) that its next call goes on with:
/// one for each thread, which serves its share of the rows.
pub fn choose_by_row<C>(choose: impl Fn(u64) -> C) -> Result<Box<dyn Task>>
where
    C: FnMut(&[f32]) -> Result<u32> + Send + 'static,
{
    let threads = rayon::current_num_threads() as u64;
    Ok(Box::new(ChooseByRow { per_thread: (0..threads).map(choose).collect() }))
}

struct ChooseByRow<C> {
    per_thread: Vec<C>,
}

impl<C> Task for ChooseByRow<C>
where
    C: FnMut(&[f32]) -> Result<u32> + Send,
{
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        let share = batch.shape.rows.div_ceil(self.per_thread.len());
        let rows = batch.logits.par_chunks(share * batch.shape.vocab);
        let shares = rows.zip(answer.tokens.par_chunks_mut(share)).zip(&mut self.per_thread);
        shares.try_for_each(|((rows, tokens), choose)| {
            for (row, token) in rows.chunks(batch.shape.vocab).zip(tokens) {
                *token = choose(row)?;
            }
            Ok(())
        })
    }
}
