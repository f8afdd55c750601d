//! rten-vecmath: its softmax in place, after one pass that multiplies by 1/T (as rten's own sampler does).

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rten_simd::SimdOp;
use rten_vecmath::Softmax;

use super::naive::scan;
use crate::Result;
use crate::batch::{Batch, TEMPERATURE};
use crate::peer::{Task, choose_by_row, softmax_by_row, softmax_in_place_by_row};

pub fn softmax(_: &Batch) -> Result<Box<dyn Task>> {
    softmax_by_row(|row, probs| {
        softmax_row(row, probs);
        Ok(())
    })
}

/// The shortest sampler that can be made of it: the first token whose prefix, in f32, exceeds a uniform.
pub fn sample(batch: &Batch) -> Result<Box<dyn Task>> {
    let vocab = batch.shape.vocab;
    choose_by_row(|seed| {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut probs = vec![0.0; vocab];
        move |row: &[f32]| {
            softmax_row(row, &mut probs);
            Ok(scan(&probs, generator.random()))
        }
    })
}

pub fn softmax_in_place(_: &Batch) -> Result<Box<dyn Task>> {
    softmax_in_place_by_row(|row| {
        scale_in_place(row);
        Softmax::new_mut(row).dispatch();
        Ok(())
    })
}

pub fn softmax_row(row: &[f32], probs: &mut [f32]) {
    scale(row, probs);
    Softmax::new_mut(probs).dispatch();
}

pub fn scale(row: &[f32], scaled: &mut [f32]) {
    let factor = 1.0 / TEMPERATURE;
    for (y, x) in scaled.iter_mut().zip(row) {
        *y = x * factor;
    }
}

pub fn scale_in_place(row: &mut [f32]) {
    let factor = 1.0 / TEMPERATURE;
    row.iter_mut().for_each(|x| *x *= factor);
}
