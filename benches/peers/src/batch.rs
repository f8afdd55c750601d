//! The rows that everybody gets, and where the answers go.

use std::io::{BufWriter, Write};
use std::ops::{Deref, DerefMut};
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, Normal};

use crate::peer::Op;
use crate::{Result, create};

const SEED: u64 = 0;
const DEVIATION: f32 = 3.0;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub rows: usize,
    pub vocab: usize,
}

impl Shape {
    pub fn len(self) -> usize {
        self.rows * self.vocab
    }
}

/// Logits: rows x vocab, all of one temperature.
pub struct Batch {
    pub shape: Shape,
    pub temperature: f32,
    pub logits: Aligned,
}

impl Batch {
    /// Normally distributed logits, the same in every run.
    pub fn gaussian(shape: Shape, temperature: f32) -> Self {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(SEED);
        let normal = Normal::new(0.0, DEVIATION).expect("a finite deviation");
        let mut logits = Aligned::new(shape.len());
        logits.fill_with(|| normal.sample(&mut generator));
        Self { shape, temperature, logits }
    }

    /// The same row again and again.
    pub fn repeated(row: &[f32], rows: usize, temperature: f32) -> Self {
        let shape = Shape { rows, vocab: row.len() };
        let mut logits = Aligned::new(shape.len());
        logits.chunks_mut(row.len()).for_each(|copy| copy.copy_from_slice(row));
        Self { shape, temperature, logits }
    }

    pub fn first_row(&self) -> &[f32] {
        &self.logits[..self.shape.vocab]
    }

    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.logits.chunks(self.shape.vocab)
    }

    /// Writes the logits as raw little-endian f32, for benchmarks in other languages.
    pub fn export(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let name = format!("logits_{}x{}.f32", self.shape.rows, self.shape.vocab);
        let mut file = BufWriter::new(create(&folder.join(name))?);
        for logit in self.logits.iter() {
            file.write_all(&logit.to_le_bytes())?;
        }
        Ok(file.flush()?)
    }
}

/// Where all peers that write to a caller's memory write to: the same, so that no one is lucky with pages.
pub struct Answer {
    pub probs: Aligned,
    pub tokens: Vec<u32>,
}

impl Answer {
    pub fn new(shape: Shape) -> Self {
        Self { probs: Aligned::new(shape.len()), tokens: vec![] }
    }

    /// Room for an answer, with nothing in it that a peer could have answered; or the rows that it is to
    /// change.
    pub fn clear(&mut self, op: Op, batch: &Batch) {
        match op {
            Op::SoftmaxInPlace => self.probs.copy_from_slice(&batch.logits),
            _ => self.probs.fill(f32::NAN),
        }
        self.tokens.clear();
        self.tokens.resize(batch.shape.rows * op.tokens_per_row(), u32::MAX);
    }
}

/// Floats that start on a cache line, as tensor libraries lay them out.
pub struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    const LINE: usize = 64;

    fn new(len: usize) -> Self {
        let data = vec![0.0; len + Self::LINE / size_of::<f32>()];
        let start = data.as_ptr().align_offset(Self::LINE);
        Self { data, start, len }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..][..self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..][..self.len]
    }
}
