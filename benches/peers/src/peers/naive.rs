//! What one writes without a library: loops in f32, with the exponential of `std`.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

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

pub fn softmax_in_place(batch: &Batch) -> Result<Box<dyn Task>> {
    let temperature = batch.temperature;
    softmax_in_place_by_row(move |row| {
        let max = max(row);
        let mut sum = 0.0;
        for x in row.iter_mut() {
            *x = ((*x - max) / temperature).exp();
            sum += *x;
        }
        normalize(row, sum);
        Ok(())
    })
}

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

pub fn argmax(_: &Batch) -> Result<Box<dyn Task>> {
    choose_by_row(|_| |row: &[f32]| Ok(argmax_row(row)))
}

fn softmax_row(row: &[f32], temperature: f32, probs: &mut [f32]) {
    let max = max(row);
    let mut sum = 0.0;
    for (p, x) in probs.iter_mut().zip(row) {
        *p = ((x - max) / temperature).exp();
        sum += *p;
    }
    normalize(probs, sum);
}

fn max(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

fn normalize(weights: &mut [f32], sum: f32) {
    for w in weights {
        *w /= sum;
    }
}

/// The first token whose prefix exceeds the uniform, or the last if rounding lets none.
pub fn scan(probs: &[f32], uniform: f32) -> u32 {
    let mut prefix = 0.0;
    let found = probs.iter().position(|p| {
        prefix += p;
        prefix > uniform
    });
    found.unwrap_or(probs.len() - 1) as u32
}

/// The first of the largest.
pub fn argmax_row(row: &[f32]) -> u32 {
    let mut best = 0;
    for (token, x) in row.iter().enumerate() {
        if *x > row[best] {
            best = token;
        }
    }
    best as u32
}
