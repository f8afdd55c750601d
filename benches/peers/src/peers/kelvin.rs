//! kelvin, on its best level (`KELVIN_LEVEL` lowers it).

use kelvin::{AliasTable, Draw, Key, RowError, Rows, RowsMut, Temperature, Uniforms};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use super::weighted::{Probs, probs};
use crate::Result;
use crate::batch::{Answer, Batch};
use crate::peer::{Task, task};

pub fn softmax(batch: &Batch) -> Result<Box<dyn Task>> {
    let t = [Temperature::new(batch.temperature)?];
    Ok(task(move |batch, answer| {
        let vocab = batch.shape.vocab;
        let logits = Rows::new(&batch.logits, vocab)?;
        let mut probs = RowsMut::new(&mut answer.probs, vocab)?;
        Ok(kelvin::softmax(logits, &t, &mut probs)?.into_result()?)
    }))
}

pub fn softmax_in_place(batch: &Batch) -> Result<Box<dyn Task>> {
    let t = [Temperature::new(batch.temperature)?];
    Ok(task(move |batch, answer| {
        let mut rows = RowsMut::new(&mut answer.probs, batch.shape.vocab)?;
        Ok(kelvin::softmax_in_place(&mut rows, &t)?.into_result()?)
    }))
}

pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    let rows = batch.shape.rows;
    Ok(Box::new(Sample {
        temperature: Temperature::new(batch.temperature)?,
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

pub fn draws(batch: &Batch) -> Result<Box<dyn Task>> {
    let t = [Temperature::new(batch.temperature)?];
    let mut keys: Vec<Key> = (0..batch.shape.rows as u64).map(|seed| Key { seed, position: 0 }).collect();
    Ok(task(move |batch, answer| {
        keys.iter_mut().for_each(|key| key.position += 1);
        let logits = Rows::new(&batch.logits, batch.shape.vocab)?;
        let tokens = &mut answer.tokens;
        Ok(kelvin::sample_many(logits, &t, Uniforms::Keys(&keys), tokens)?.into_result()?)
    }))
}

pub fn alias_build(batch: &Batch) -> Result<Box<dyn Task>> {
    Ok(Box::new(AliasBuild { rows: Probs::new(batch), table: AliasTable::default() }))
}

struct AliasBuild {
    rows: Probs,
    table: AliasTable,
}

impl Task for AliasBuild {
    fn call(&mut self, batch: &Batch, _: &mut Answer) -> Result<()> {
        Ok(self.table.rebuild_from_probs(Rows::new(self.rows.next(), batch.shape.vocab)?, 0)?)
    }

    fn fetch(&self, answer: &mut Answer) -> Result<()> {
        Ok(self.table.draw_keyed(Key { seed: 0, position: 0 }, &mut answer.tokens)?)
    }
}

/// One by one, with the generator that the other table has.
pub fn alias_draws(batch: &Batch) -> Result<Box<dyn Task>> {
    let probs = probs(batch.first_row(), batch.temperature);
    let table = AliasTable::from_probs(Rows::new(&probs, batch.shape.vocab)?, 0)?;
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(0);
    Ok(task(move |_, answer| {
        for token in &mut answer.tokens {
            *token = table.draw(generator.next_u64())?;
        }
        Ok(())
    }))
}
