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

/// A softmax of one row where it lies. The row of the next call is what this one leaves: each as long, and as
/// costly.
pub fn softmax_in_place_by_row<K>(kernel: K) -> Result<Box<dyn Task>>
where
    K: Fn(&mut [f32]) -> Result<()> + Sync + 'static,
{
    Ok(Box::new(SoftmaxInPlaceByRow(kernel)))
}

struct SoftmaxInPlaceByRow<K>(K);

impl<K> Task for SoftmaxInPlaceByRow<K>
where
    K: Fn(&mut [f32]) -> Result<()> + Sync,
{
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        answer.probs.par_chunks_mut(batch.shape.vocab).try_for_each(&self.0)
    }
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
    let threads = rayon::current_num_threads() as u64;
    Ok(Box::new(DrawByRow { per_thread: (0..threads).map(draw).collect() }))
}

struct DrawByRow<D> {
    per_thread: Vec<D>,
}

impl<D> Task for DrawByRow<D>
where
    D: FnMut(&[f32], &mut [u32]) -> Result<()> + Send,
{
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        let Shape { rows, vocab } = batch.shape;
        let (share, each) = (rows.div_ceil(self.per_thread.len()), answer.tokens.len() / rows);
        let rows = batch.logits.par_chunks(share * vocab);
        let shares = rows.zip(answer.tokens.par_chunks_mut(share * each)).zip(&mut self.per_thread);
        shares.try_for_each(|((rows, tokens), draw)| {
            rows.chunks(vocab).zip(tokens.chunks_mut(each)).try_for_each(|(row, tokens)| draw(row, tokens))
        })
    }
}
