//! rand's weighted index and rand_distr's alias table, each built of a row's softmax for one draw.

use rand::SeedableRng;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand_distr::weighted::WeightedAliasIndex;

use super::rten::softmax_row;
use crate::Result;
use crate::batch::Batch;
use crate::peer::{Task, choose_by_row};

pub fn index(batch: &Batch) -> Result<Box<dyn Task>> {
    let vocab = batch.shape.vocab;
    choose_by_row(|seed| {
        let mut generator = StdRng::seed_from_u64(seed);
        let mut probs = vec![0.0; vocab];
        move |row: &[f32]| {
            softmax_row(row, &mut probs);
            Ok(WeightedIndex::new(&probs)?.sample(&mut generator) as u32)
        }
    })
}

/// The table takes the probabilities: each row's are a new vector.
pub fn alias(_: &Batch) -> Result<Box<dyn Task>> {
    choose_by_row(|seed| {
        let mut generator = StdRng::seed_from_u64(seed);
        move |row: &[f32]| {
            let mut probs = vec![0.0; row.len()];
            softmax_row(row, &mut probs);
            Ok(WeightedAliasIndex::new(probs)?.sample(&mut generator) as u32)
        }
    })
}
