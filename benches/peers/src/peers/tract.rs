//! tract-linalg: the three kernels that make a softmax (maximum; exponentials and their sum; product with
//! its reciprocal), after one pass that multiplies by 1/T.

use tract_linalg::Func;

use super::rten::{scale, scale_in_place};
use crate::Result;
use crate::batch::Batch;
use crate::peer::{Task, softmax_by_row, softmax_in_place_by_row};

pub fn softmax(batch: &Batch) -> Result<Box<dyn Task>> {
    let (temperature, normalize) = (batch.temperature, normalize()?);
    softmax_by_row(move |row, probs| {
        scale(row, temperature, probs);
        normalize(probs)
    })
}

pub fn softmax_in_place(batch: &Batch) -> Result<Box<dyn Task>> {
    let (temperature, normalize) = (batch.temperature, normalize()?);
    softmax_in_place_by_row(move |row| {
        scale_in_place(row, temperature);
        normalize(row)
    })
}

/// The softmax of logits where they lie, at T = 1.
fn normalize() -> Result<impl Fn(&mut [f32]) -> Result<()> + Sync> {
    let max = Func::ReduceMax.reduce_f32()?;
    let exponentials = Func::Softmax2.map_reduce_f32()?;
    let multiply = Func::MulByScalar.ew_f32_param()?;
    Ok(move |row: &mut [f32]| {
        let max = max.run(row)?;
        let sum = exponentials.run_with_params(row, max)?;
        Ok(multiply.run_with_params(row, sum.recip())?)
    })
}
