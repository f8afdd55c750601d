//! rand's weighted index and rand_distr's alias table, each built of a row's softmax.

use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::{StdRng, Xoshiro256PlusPlus};
use rand_distr::weighted::WeightedAliasIndex;

use super::rten::softmax_row;
use crate::Result;
use crate::batch::{Answer, Batch, Shape};
use crate::peer::{Task, draw_by_row, task};

pub fn index(batch: &Batch) -> Result<Box<dyn Task>> {
    let (vocab, temperature) = (batch.shape.vocab, batch.temperature);
    draw_by_row(|seed| {
        let mut generator = StdRng::seed_from_u64(seed);
        let mut probs = vec![0.0; vocab];
        move |row: &[f32], tokens: &mut [u32]| {
            softmax_row(row, temperature, &mut probs);
            let index = WeightedIndex::new(&probs)?;
            tokens.fill_with(|| index.sample(&mut generator) as u32);
            Ok(())
        }
    })
}

/// The table takes the probabilities: each row's are a new vector.
pub fn alias(batch: &Batch) -> Result<Box<dyn Task>> {
    let temperature = batch.temperature;
    draw_by_row(|seed| {
        let mut generator = StdRng::seed_from_u64(seed);
        move |row: &[f32], tokens: &mut [u32]| {
            let index = WeightedAliasIndex::new(probs(row, temperature))?;
            tokens.fill_with(|| index.sample(&mut generator) as u32);
            Ok(())
        }
    })
}

pub fn alias_build(batch: &Batch) -> Result<Box<dyn Task>> {
    Ok(Box::new(AliasBuild { rows: Probs::new(batch), table: None }))
}

struct AliasBuild {
    rows: Probs,
    table: Option<WeightedAliasIndex<f32>>,
}

impl Task for AliasBuild {
    /// With a copy of the weights, which the table keeps.
    fn call(&mut self, _: &Batch, _: &mut Answer) -> Result<()> {
        self.table = Some(WeightedAliasIndex::new(self.rows.next().to_vec())?);
        Ok(())
    }

    fn fetch(&self, answer: &mut Answer) -> Result<()> {
        let table = self.table.as_ref().ok_or("not called yet")?;
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(0);
        answer.tokens.fill_with(|| table.sample(&mut generator) as u32);
        Ok(())
    }
}

pub fn alias_draws(batch: &Batch) -> Result<Box<dyn Task>> {
    let table = WeightedAliasIndex::new(probs(batch.first_row(), batch.temperature))?;
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(0);
    Ok(task(move |_, answer| {
        answer.tokens.fill_with(|| table.sample(&mut generator) as u32);
        Ok(())
    }))
}

/// The probabilities of sixteen rows, which take turns: the CPU would learn the branches that one row takes.
pub struct Probs {
    rows: Vec<Vec<f32>>,
    calls: usize,
}

impl Probs {
    /// The first row is the batch's.
    pub fn new(batch: &Batch) -> Self {
        let others = Batch::gaussian(Shape { rows: 16, ..batch.shape }, batch.temperature);
        let rows = [batch.first_row()].into_iter().chain(others.rows().skip(1));
        Self { rows: rows.map(|row| probs(row, batch.temperature)).collect(), calls: 0 }
    }

    pub fn next(&mut self) -> &[f32] {
        let row = &self.rows[self.calls % self.rows.len()];
        self.calls += 1;
        row
    }
}

pub fn probs(row: &[f32], temperature: f32) -> Vec<f32> {
    let mut probs = vec![0.0; row.len()];
    softmax_row(row, temperature, &mut probs);
    probs
}
