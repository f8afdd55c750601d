//! llm-samplers: a chain of temperature and random distribution, over logits collected anew for each token.

use llm_samplers::prelude::*;
use rand_08::SeedableRng;
use rand_08::rngs::StdRng;

use crate::Result;
use crate::batch::Batch;
use crate::peer::{Task, choose_by_row};

pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    choose_by_row(|seed| {
        let generator = StdRng::seed_from_u64(seed);
        let mut resources = SimpleSamplerResources::new(Some(Box::new(generator)), None);
        let mut chain =
            SamplerChain::new() + SampleTemperature::new(batch.temperature) + SampleRandDistrib::new();
        move |row: &[f32]| {
            let mut logits = Logits::try_from_iter(row.iter().copied())?;
            Ok(chain.sample_token(&mut resources, &mut logits)?.ok_or("no token")?)
        }
    })
}
