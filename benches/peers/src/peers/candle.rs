//! candle: tensors in, tensors out. The tensor of the logits exists before the call, as a model returns it.

use candle_core::{D, Device, Tensor};
use candle_nn::ops::softmax_last_dim;
use candle_transformers::generation::{LogitsProcessor, Sampling};
use rayon::prelude::*;

use crate::Result;
use crate::batch::{Answer, Batch};
use crate::peer::{Task, task};

fn tensor(batch: &Batch) -> Result<Tensor> {
    let shape = (batch.shape.rows, batch.shape.vocab);
    Ok(Tensor::from_slice(&batch.logits, shape, &Device::Cpu)?)
}

pub fn softmax(batch: &Batch) -> Result<Box<dyn Task>> {
    Ok(Box::new(Softmax { logits: tensor(batch)?, probs: None }))
}

struct Softmax {
    logits: Tensor,
    probs: Option<Tensor>,
}

impl Task for Softmax {
    fn call(&mut self, batch: &Batch, _: &mut Answer) -> Result<()> {
        self.probs = Some(softmax_last_dim(&(&self.logits / f64::from(batch.temperature))?)?);
        Ok(())
    }

    fn fetch(&self, answer: &mut Answer) -> Result<()> {
        let probs = self.probs.as_ref().ok_or("not called yet")?;
        answer.probs.copy_from_slice(&probs.flatten_all()?.to_vec1()?);
        Ok(())
    }
}

pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    let (logits, rows) = (tensor(batch)?, batch.shape.rows);
    let rows = (0..rows).map(|row| logits.get(row)).collect::<std::result::Result<Vec<_>, _>>()?;
    let sampling = Sampling::All { temperature: f64::from(batch.temperature) };
    let processor = |seed| LogitsProcessor::from_sampling(seed, sampling.clone());
    let mut per_thread: Vec<_> = (0..rayon::current_num_threads() as u64).map(processor).collect();
    Ok(task(move |_, answer| {
        let share = rows.len().div_ceil(per_thread.len());
        let shares = rows.par_chunks(share).zip(answer.tokens.par_chunks_mut(share));
        shares.zip(&mut per_thread).try_for_each(|((rows, tokens), processor)| {
            for (row, token) in rows.iter().zip(tokens) {
                *token = processor.sample(row)?;
            }
            Ok(())
        })
    }))
}

pub fn argmax(batch: &Batch) -> Result<Box<dyn Task>> {
    Ok(Box::new(Argmax { logits: tensor(batch)?, tokens: None }))
}

struct Argmax {
    logits: Tensor,
    tokens: Option<Tensor>,
}

impl Task for Argmax {
    fn call(&mut self, _: &Batch, _: &mut Answer) -> Result<()> {
        self.tokens = Some(self.logits.argmax(D::Minus1)?);
        Ok(())
    }

    fn fetch(&self, answer: &mut Answer) -> Result<()> {
        answer.tokens = self.tokens.as_ref().ok_or("not called yet")?.to_vec1()?;
        Ok(())
    }
}
