//! kelvin, on its best level (`KELVIN_LEVEL` lowers it).

use kelvin::{Draw, Key, RowError, Rows, RowsMut, Temperature};

use crate::Result;
use crate::batch::{Answer, Batch, TEMPERATURE};
use crate::peer::Task;

pub fn softmax(_: &Batch) -> Result<Box<dyn Task>> {
    Ok(Box::new(Softmax(Temperature::new(TEMPERATURE)?)))
}

struct Softmax(Temperature);

impl Task for Softmax {
    fn call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        let vocab = batch.shape.vocab;
        let logits = Rows::new(&batch.logits, vocab)?;
        let failed = kelvin::softmax(logits, &[self.0], &mut RowsMut::new(&mut answer.probs, vocab)?)?;
        failed.first().map_or(Ok(()), |&error| Err(error.into()))
    }
}

pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    let rows = batch.shape.rows;
    Ok(Box::new(Sample {
        temperature: Temperature::new(TEMPERATURE)?,
        position: 0,
        uniforms: vec![0.0; rows],
        draws: vec![Ok(Draw::default()); rows],
    }))
}

struct Sample {
    temperature: Temperature,
    position: u64,
    uniforms: Vec<f64>,
    draws: Vec<std::result::Result<Draw, RowError>>,
}

impl Task for Sample {
    /// The randomness is part of the call, as it is for the others.
    fn call(&mut self, batch: &Batch, _: &mut Answer) -> Result<()> {
        for (row, uniform) in self.uniforms.iter_mut().enumerate() {
            *uniform = Key { seed: row as u64, position: self.position }.uniform();
        }
        self.position += 1;
        let logits = Rows::new(&batch.logits, batch.shape.vocab)?;
        Ok(kelvin::sample(logits, &[self.temperature], &self.uniforms, &mut self.draws)?)
    }

    fn fetch(&self, answer: &mut Answer) -> Result<()> {
        for (token, draw) in answer.tokens.iter_mut().zip(&self.draws) {
            *token = (*draw)?.token;
        }
        Ok(())
    }
}

pub fn argmax(batch: &Batch) -> Result<Box<dyn Task>> {
    Ok(Box::new(Argmax(vec![Ok(0); batch.shape.rows])))
}

struct Argmax(Vec<std::result::Result<u32, RowError>>);

impl Task for Argmax {
    fn call(&mut self, batch: &Batch, _: &mut Answer) -> Result<()> {
        Ok(kelvin::argmax(Rows::new(&batch.logits, batch.shape.vocab)?, &mut self.0)?)
    }

    fn fetch(&self, answer: &mut Answer) -> Result<()> {
        for (token, best) in answer.tokens.iter_mut().zip(&self.0) {
            *token = (*best)?;
        }
        Ok(())
    }
}
