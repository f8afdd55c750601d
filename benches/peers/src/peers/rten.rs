//! rten-vecmath: its softmax in place, after one pass that multiplies by 1/T (as rten's own sampler does).

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rten_simd::SimdOp;
use rten_vecmath::Softmax;

use super::naive::scan;
use crate::Result;
use crate::batch::Batch;
use crate::peer::{Task, choose_by_row, softmax_by_row, softmax_in_place_by_row};

pub fn softmax(batch: &Batch) -> Result<Box<dyn Task>> {
    let temperature = batch.temperature;
    softmax_by_row(move |row, probs| {
        softmax_row(row, temperature, probs);
        Ok(())
    })
}

/// The shortest sampler that can be made of it: the first token whose prefix, in f32, exceeds a uniform.
pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    let (vocab, temperature) = (batch.shape.vocab, batch.temperature);
    choose_by_row(|seed| {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut probs = vec![0.0; vocab];
        move |row: &[f32]| {
            softmax_row(row, temperature, &mut probs);
            Ok(scan(&probs, generator.random()))
        }
    })
}

pub fn softmax_in_place(batch: &Batch) -> Result<Box<dyn Task>> {
    let temperature = batch.temperature;
    softmax_in_place_by_row(move |row| {
        scale_in_place(row, temperature);
        Softmax::new_mut(row).dispatch();
        Ok(())
    })
}

pub fn softmax_row(row: &[f32], temperature: f32, probs: &mut [f32]) {
    scale(row, temperature, probs);
    Softmax::new_mut(probs).dispatch();
}

pub fn scale(row: &[f32], temperature: f32, scaled: &mut [f32]) {
    let factor = 1.0 / temperature;
    for (y, x) in scaled.iter_mut().zip(row) {
        *y = x * factor;
    }
}

pub fn scale_in_place(row: &mut [f32], temperature: f32) {
    let factor = 1.0 / temperature;
    row.iter_mut().for_each(|x| *x *= factor);
}
