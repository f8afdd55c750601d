//! Softmax where the logits lie.

use crate::argmax::greedy_row_in_place;
use crate::batch::{cost_of_weighing, for_each_row};
use crate::blocks::{AlignedBlock, BLOCK, GROUP, groups_mut, widen};
use crate::check::{Temperatures, diagnose};
use crate::output::are_large;
use crate::pass::{Pass, with_pass};
use crate::prefetch::prefetch_lines_and_page;
use crate::simd::{AHEAD, Simd, dispatch};
use crate::summary::Summary;
use crate::sums::Sums;
use crate::weights::{Factor, Peak, weigh_block, weigh_runs_in_place};
use crate::{Error, FailedRows, Level, RowsMut, Temperature};

use super::pending::Pending;
use super::weigh_tail;

/// [`softmax`](crate::softmax) where the logits lie: the same bits.
///
/// - `rows`: logits, which become probabilities. `temperatures`: one for all rows, or one per row.
/// - Cost: one pass that reads the logits and writes weights over them, one that scales these in cache; in a
///   batch of 32 MiB or more, in rows of 1024 or more, while the next row is read (but not with AVX-512 on a
///   Zen 4).
///
/// Returns the rows that could not be served (a NaN or +inf, or all -inf), in order; they are filled with
/// NaN.
///
/// # Errors
/// [`Error::Length`] if the number of temperatures does not fit.
///
/// ```
/// use kelvin::{RowsMut, Temperature, softmax_in_place};
///
/// let mut data = [0.0, 0.0, 0.0, 0.0];
/// softmax_in_place(&mut RowsMut::new(&mut data, 4)?, &[Temperature::ONE])?.into_result()?;
/// assert_eq!(data, [0.25; 4]);
/// # Ok::<(), kelvin::Error>(())
/// ```
pub fn softmax_in_place(rows: &mut RowsMut<'_>, temperatures: &[Temperature]) -> Result<FailedRows, Error> {
    Level::best().softmax_in_place(rows, temperatures)
}

impl Level {
    /// [`softmax_in_place`](crate::softmax_in_place), on this level.
    ///
    /// # Errors
    /// Those of [`softmax_in_place`](crate::softmax_in_place).
    pub fn softmax_in_place(
        self,
        rows: &mut RowsMut<'_>,
        temperatures: &[Temperature],
    ) -> Result<FailedRows, Error> {
        let temperatures = Temperatures::new(rows.rows(), temperatures)?;
        let from_memory = are_large(rows);
        Ok(for_each_row(
            rows,
            cost_of_weighing(rows.vocab()),
            || Pending::new(self, from_memory),
            |pending, index, row| {
                let temperature = temperatures.at(index);
                with_pass(
                    |pass| dispatch!(self, simd => softmax_row_in_place(simd, row, temperature, pass, pending)),
                )
                .map_err(|row| (diagnose(index, row), row))
            },
        ))
    }
}

/// Leaves the row with `pending`. Gives it back if it cannot be served; what is at fault is then still there,
/// if perhaps as another NaN.
#[inline(always)]
fn softmax_row_in_place<'a, S: Simd>(
    simd: S,
    row: &'a mut [f32],
    temperature: &Temperature,
    pass: &mut Pass,
    pending: &mut Pending<'a>,
) -> Result<(), &'a mut [f32]> {
    let Some(factor) = temperature.factor() else {
        return greedy_row_in_place(simd, row, 1.0, 0.0).ok_or(row);
    };
    let served = weigh_row_in_place(
        simd,
        row,
        factor,
        pass,
        #[inline(always)]
        || pending.normalize_group(simd),
    );
    if served.is_none() {
        return Err(row);
    }
    pending.normalize(simd, row, factor, &mut pass.summaries)
}

/// The weights of a row over its logits, and a summary for each block: in runs first, as far as they serve.
/// `meanwhile` is called after each group.
///
/// In a run, a NaN becomes a NaN, and so does a sum: then the row cannot be normalized. Elsewhere, NaN or +inf
/// gives `None`, and its block is as it was. All else that is written is finite: so the first logit at fault
/// can be named.
#[expect(clippy::redundant_closure, reason = "`&mut meanwhile` itself may stay a call")]
#[inline(always)]
fn weigh_row_in_place<S: Simd>(
    simd: S,
    row: &mut [f32],
    factor: &Factor,
    Pass { summaries, weights: room, .. }: &mut Pass,
    mut meanwhile: impl FnMut(),
) -> Option<()> {
    let done = weigh_runs_in_place(
        simd,
        row,
        factor,
        summaries,
        #[inline(always)]
        || meanwhile(),
    );
    let (blocks, tail) = row.as_chunks_mut::<BLOCK>();
    let mut peak = Peak::of_probs();
    for part in [0..done.start / BLOCK, done.end / BLOCK..blocks.len()] {
        let [this, next, ..] = room.each_mut();
        weigh_blocks_in_place(
            simd,
            &mut blocks[part.clone()],
            factor,
            &mut peak,
            [this, next],
            #[inline(always)]
            || meanwhile(),
            #[inline(always)]
            |number, summary| summary.put(part.start + number, summaries),
        )?;
    }
    if !tail.is_empty() {
        let summary = weigh_tail(simd, tail, factor, &mut peak, &mut room[0]);
        if summary.sum.is_nan() {
            return None;
        }
        summaries.push(summary);
        tail.copy_from_slice(&room[0][..tail.len()]);
    }
    Some(())
}

/// The weights of blocks over their logits; `weighed` gets their numbers and summaries. `None` if a logit is
/// NaN or +inf: its block is then as it was.
///
/// A block may have to be weighed twice, so its logits are copied: while the block before it is weighed,
/// which hides it.
#[inline(always)]
fn weigh_blocks_in_place<S: Simd>(
    simd: S,
    mut blocks: &mut [[f32; BLOCK]],
    factor: &Factor,
    peak: &mut Peak,
    [mut this, mut next]: [&mut AlignedBlock; 2],
    mut meanwhile: impl FnMut(),
    mut weighed: impl FnMut(usize, Summary),
) -> Option<()> {
    let mut number = 0;
    if let Some(first) = blocks.first() {
        **this = *first;
    }
    while let [block, ahead @ ..] = blocks {
        let summary = weigh_block::<true, _, _>(
            simd,
            this,
            factor,
            peak,
            block,
            #[inline(always)]
            |group| {
                if let Some(ahead) = ahead.first() {
                    widen(simd, &ahead.as_chunks().0.as_chunks().0[group], &mut groups_mut(next)[group]);
                }
                // Loads wait behind prefetches, so these come after the copy.
                let start = group * GROUP + AHEAD - BLOCK;
                prefetch_lines_and_page::<GROUP, _, _>(simd, ahead.as_flattened(), start);
            },
            #[inline(always)]
            |sums| {
                if let Sums::OfGroup(..) = sums {
                    meanwhile();
                }
            },
        );
        if summary.sum.is_nan() {
            *block = **this;
            return None;
        }
        weighed(number, summary);
        number += 1;
        core::mem::swap(&mut this, &mut next);
        blocks = ahead;
    }
    Some(())
}
