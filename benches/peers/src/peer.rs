//! What a peer is: a name, and a call.

use rayon::prelude::*;

use crate::Result;
use crate::batch::{Answer, Batch, Shape};
use crate::lock::version;
use crate::options::Options;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Softmax,
    SoftmaxInPlace,
    Sample,
    Argmax,
    /// Many tokens of each row, with replacement.
    Draws,
    /// An alias table from the row's probabilities.
    AliasBuild,
    /// Many tokens from a table that exists.
    AliasDraws,
}

impl Op {
    pub const ALL: [Self; 7] = [
        Self::Softmax,
        Self::SoftmaxInPlace,
        Self::Sample,
        Self::Argmax,
        Self::Draws,
        Self::AliasBuild,
        Self::AliasDraws,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::SoftmaxInPlace => "softmax_in_place",
            Self::Sample => "sample",
            Self::Argmax => "argmax",
            Self::Draws => "draws",
            Self::AliasBuild => "alias_build",
            Self::AliasDraws => "alias_draws",
        }
    }

    /// How many tokens each row is asked for.
    pub const fn tokens_per_row(self) -> usize {
        match self {
            Self::Sample | Self::Argmax => 1,
            Self::Draws | Self::AliasBuild | Self::AliasDraws => 1000,
            Self::Softmax | Self::SoftmaxInPlace => 0,
        }
    }

    /// One table serves one row. And in place, rows are nearly flat after the first call: another temperature
    /// would show nothing.
    pub fn takes(self, batch: &Batch) -> bool {
        match self {
            Self::AliasBuild | Self::AliasDraws => batch.shape.rows == 1,
            Self::SoftmaxInPlace => batch.temperature == Options::TEMPERATURE,
            _ => true,
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

    pub fn version(&self) -> &'static str {
        version(self.package).unwrap_or("-")
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

/// A call that leaves nothing to fetch.
impl<F: FnMut(&Batch, &mut Answer) -> Result<()>> Task for F {
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        self(batch, answer)
    }
}

/// Such a call, in a box. (It tells the compiler what the closure takes.)
pub fn task(call: impl FnMut(&Batch, &mut Answer) -> Result<()> + 'static) -> Box<dyn Task> {
    Box::new(call)
}

/// A softmax of one row: rows are shared among the threads.
pub fn softmax_by_row<K>(kernel: K) -> Result<Box<dyn Task>>
where
    K: Fn(&[f32], &mut [f32]) -> Result<()> + Sync + 'static,
{
    Ok(task(move |batch, answer| {
        let vocab = batch.shape.vocab;
        let rows = batch.logits.par_chunks(vocab).zip(answer.probs.par_chunks_mut(vocab));
        rows.try_for_each(|(row, probs)| kernel(row, probs))
    }))
}

/// A softmax of one row where it lies. The row of the next call is what this one leaves: each as long, and as
/// costly.
pub fn softmax_in_place_by_row<K>(kernel: K) -> Result<Box<dyn Task>>
where
    K: Fn(&mut [f32]) -> Result<()> + Sync + 'static,
{
    Ok(task(move |batch, answer| answer.probs.par_chunks_mut(batch.shape.vocab).try_for_each(&kernel)))
}

/// A choice of one token from one row.
pub fn choose_by_row<C>(choose: impl Fn(u64) -> C) -> Result<Box<dyn Task>>
where
    C: FnMut(&[f32]) -> Result<u32> + Send + 'static,
{
    draw_by_row(|seed| {
        let mut choose = choose(seed);
        move |row: &[f32], tokens: &mut [u32]| {
            tokens[0] = choose(row)?;
            Ok(())
        }
    })
}

/// Draws from one row, with a state (made from a seed) that its next call goes on with: one for each
/// thread, which serves its share of the rows.
pub fn draw_by_row<D>(draw: impl Fn(u64) -> D) -> Result<Box<dyn Task>>
where
    D: FnMut(&[f32], &mut [u32]) -> Result<()> + Send + 'static,
{
    let mut per_thread: Vec<D> = (0..rayon::current_num_threads() as u64).map(draw).collect();
    Ok(task(move |batch, answer| {
        let Shape { rows, vocab } = batch.shape;
        let (share, each) = (rows.div_ceil(per_thread.len()), answer.tokens.len() / rows);
        let rows = batch.logits.par_chunks(share * vocab);
        let shares = rows.zip(answer.tokens.par_chunks_mut(share * each)).zip(&mut per_thread);
        shares.try_for_each(|((rows, tokens), draw)| {
            rows.chunks(vocab).zip(tokens.chunks_mut(each)).try_for_each(|(row, tokens)| draw(row, tokens))
        })
    }))
}
