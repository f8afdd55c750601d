//! Softmax where the logits lie.

use bytemuck::pod_align_to;

use crate::argmax::{greatest, one_hot};
use crate::batch::{Temperatures, for_each_row, weighing};
use crate::blocks::{BLOCK, GROUP, Group, groups_mut};
use crate::check::diagnose;
use crate::output::past_caches;
use crate::pass::{Pass, with_pass};
use crate::prefetch::{prefetch_in_second_pass, prefetch_lines_and_page};
use crate::simd::{AHEAD, Line, Simd, dispatch};
use crate::summary::Summary;
use crate::weights::{Factor, Peak, weigh_block};
use crate::{Error, FailedRows, Level, RowsMut, Temperature};

use super::share::for_each_share;
use super::{share_out, weigh_tail};

/// [`softmax`](crate::softmax) where the logits lie: the same bits.
///
/// - Cost: one pass that reads the logits and writes weights over them, one that scales these in cache.
///
/// Returns the rows that could not be served, as there; they are filled with NaN.
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
    /// As there.
    pub fn softmax_in_place(
        self,
        rows: &mut RowsMut<'_>,
        temperatures: &[Temperature],
    ) -> Result<FailedRows, Error> {
        let temperatures = Temperatures::new(rows.rows(), temperatures)?;
        let from_memory = past_caches(rows);
        Ok(for_each_row(rows, weighing(rows.vocab()), |index, row| {
            let temperature = temperatures.at(index);
            let served = with_pass(|pass| {
                if from_memory {
                    dispatch!(self, simd => softmax_row_in_place::<_, true>(simd, row, temperature, pass))
                } else {
                    dispatch!(self, simd => softmax_row_in_place::<_, false>(simd, row, temperature, pass))
                }
            });
            if served { Ok(()) } else { Err(diagnose(index, row)) }
        }))
    }
}

/// False if the row cannot be served; the logits that are at fault are then still there.
#[inline(always)]
fn softmax_row_in_place<S: Simd, const FROM_MEMORY: bool>(
    simd: S,
    row: &mut [f32],
    temperature: &Temperature,
    pass: &mut Pass,
) -> bool {
    let Some(factor) = temperature.factor() else {
        return greatest::<false, _, _>(simd, row).map(|(token, _)| one_hot(row, token, 1.0, 0.0)).is_some();
    };
    weigh_row_in_place::<_, FROM_MEMORY>(simd, row, factor, pass)
        && if FROM_MEMORY {
            share_out_in_place(simd, factor, row, &mut pass.summaries)
        } else {
            share_out(simd, factor, row, &mut pass.summaries)
        }
}

/// [`share_out`], while the next row comes from memory. (Lines ahead are asked for after what is at hand has
/// been loaded, here and in the pass before: on an Intel Granite Rapids, each takes 0.95 x the time.)
#[inline(always)]
fn share_out_in_place<S: Simd>(simd: S, factor: &Factor, row: &mut [f32], summaries: &mut [Summary]) -> bool {
    for_each_share(
        summaries,
        factor,
        row.len(),
        #[inline(always)]
        |range, share| {
            let mut start = range.start;
            let first_line = start + pod_align_to::<_, Line>(&row[range.clone()]).0.len();
            for end in (first_line..range.end).step_by(GROUP).skip(1).chain([range.end]) {
                share.of_all(simd, &mut row[start..end]);
                prefetch_in_second_pass(simd, row, start);
                start = end;
            }
        },
    )
}

/// The weights of a row over its logits, and a summary for each block.
///
/// A block may have to be weighed twice, so its logits are copied: while the block before it is weighed,
/// which hides it. False if a logit is NaN or +inf: its block is then as it was, and what was written before
/// is finite.
#[inline(always)]
fn weigh_row_in_place<S: Simd, const FROM_MEMORY: bool>(
    simd: S,
    row: &mut [f32],
    factor: &Factor,
    pass: &mut Pass,
) -> bool {
    let (mut blocks, tail) = row.as_chunks_mut::<BLOCK>();
    let [mut this, mut next, ..] = pass.weights.each_mut();
    let mut peak = Peak::of_shares();
    if let Some(first) = blocks.first() {
        **this = *first;
    }
    while let [block, ahead @ ..] = blocks {
        let summary = weigh_block(
            simd,
            this,
            factor,
            &mut peak,
            block,
            #[inline(always)]
            |group| {
                if let Some(ahead) = ahead.first() {
                    copy_group(simd, ahead, next, group);
                }
                let (start, ahead_of_block) = (group * GROUP, ahead.as_flattened());
                if FROM_MEMORY && !simd.reads_ahead() {
                    // (As `prefetch_group`, though this block is being written. To the line: 24 left out take
                    // 1.03 x.)
                    let quarter = (ahead_of_block.len() + BLOCK - start) / 4;
                    let start = (start + quarter).saturating_sub(BLOCK);
                    prefetch_lines_and_page::<{ GROUP / 4 * 3 }, _, _>(simd, ahead_of_block, start);
                } else {
                    prefetch_lines_and_page::<GROUP, _, _>(simd, ahead_of_block, start + AHEAD - BLOCK);
                }
            },
            |_, _| (),
        );
        if summary.sum.is_nan() {
            *block = **this;
            return false;
        }
        pass.summaries.push(summary);
        core::mem::swap(&mut this, &mut next);
        blocks = ahead;
    }
    if !tail.is_empty() {
        let summary = weigh_tail(simd, tail, factor, &mut peak, this);
        if summary.sum.is_nan() {
            return false;
        }
        pass.summaries.push(summary);
        tail.copy_from_slice(&this[..tail.len()]);
    }
    true
}

#[inline(always)]
fn copy_group<S: Simd>(simd: S, from: &[f32; BLOCK], to: &mut [f32; BLOCK], group: usize) {
    let from: &[Group<f32>] = from.as_chunks().0.as_chunks().0;
    for (from, to) in from[group].iter().zip(&mut groups_mut(to)[group]) {
        simd.store(simd.load(from), to);
    }
}
