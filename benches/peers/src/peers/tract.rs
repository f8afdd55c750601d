//! tract-linalg: the three kernels that make a softmax (maximum; exponentials and their sum; product with
//! its reciprocal), after one pass that multiplies by 1/T.

use tract_linalg::Func;

use super::rten::scale;
use crate::Result;
use crate::batch::Batch;
use crate::peer::{Task, softmax_by_row};

pub fn softmax(_: &Batch) -> Result<Box<dyn Task>> {
    let max = Func::ReduceMax.reduce_f32()?;
    let exponentials = Func::Softmax2.map_reduce_f32()?;
    let multiply = Func::MulByScalar.ew_f32_param()?;
    softmax_by_row(move |row, probs| {
        scale(row, probs);
        let max = max.run(probs)?;
        let sum = exponentials.run_with_params(probs, max)?;
        Ok(multiply.run_with_params(probs, sum.recip())?)
    })
}
