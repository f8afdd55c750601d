//! token-sampling: a chain of temperature and draw, which keeps its candidates between calls.

use token_sampling::{Dist, SamplerChain, SplitMix64, Temperature};

use crate::Result;
use crate::batch::Batch;
use crate::peer::{Task, choose_by_row};

/// It wants the row mutable (though it does not change it): a copy, below 1 % of its time.
pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    choose_by_row(|seed| {
        let mut generator = SplitMix64::new(seed);
        let mut chain = SamplerChain::new().push(Temperature { t: batch.temperature }).push(Dist);
        let mut logits = Vec::new();
        move |row: &[f32]| {
            logits.clear();
            logits.extend_from_slice(row);
            Ok(chain.sample(&mut logits, &[], &mut generator)?)
        }
    })
}
