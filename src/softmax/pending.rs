//! A row of weights that waits to be normalized.

use core::cell::Cell;
use core::mem::take;

use bytemuck::pod_align_to;

use super::normalize::{Scale, for_each_scale, normalize_row};
use crate::Level;
use crate::blocks::GROUP;
use crate::scratch::{borrow, give_back};
use crate::simd::{Line, Simd, dispatch};
use crate::summary::Summary;
use crate::weights::Factor;

/// The row before the one at work. Where rows come from memory, it is normalized while that is weighed, group
/// by group: one waits for the memory, the other for the caches, and seldom both. (128 MiB in place, in rows
/// of 131072: 0.82 x the time on an Intel Granite Rapids. On a Zen 4, which reads ahead better than it is
/// told to, it would be 1.1 x, so there no row waits; nor do rows in the caches.)
pub(super) struct Pending<'a> {
    row: &'a mut [f32],
    /// How many of its weights are normalized.
    done: usize,
    /// The end and the scale of each stretch that is not; the last one comes first.
    scales: Vec<(usize, Scale)>,
    /// Whether rows are to wait.
    waits: bool,
    level: Level,
}

thread_local! {
    static SCALES: Cell<Vec<(usize, Scale)>> = Cell::default();
}

impl<'a> Pending<'a> {
    /// Before the first row there is none.
    pub(super) fn new(level: Level, from_memory: bool) -> Self {
        let waits = from_memory && !dispatch!(level, simd => simd.reads_ahead());
        Self { row: &mut [], done: 0, scales: borrow(&SCALES), waits, level }
    }

    /// Normalizes a row; or finishes the one that waits, and lets this one wait. Gives it back if it cannot be
    /// normalized.
    #[inline(always)]
    pub(super) fn normalize<S: Simd>(
        &mut self,
        simd: S,
        row: &'a mut [f32],
        factor: &Factor,
        summaries: &mut [Summary],
    ) -> Result<(), &'a mut [f32]> {
        if !self.waits {
            return normalize_row(simd, row, factor, summaries).ok_or(row);
        }
        self.finish(simd);
        let scales = &mut self.scales;
        let scaled =
            for_each_scale(summaries, factor, row.len(), |range, scale| scales.push((range.end, scale)));
        if scaled.is_none() {
            return Err(row);
        }
        scales.reverse();
        (self.row, self.done) = (row, 0);
        Ok(())
    }

    /// Normalizes a group, or up to a vector more, so that no later one straddles cache lines.
    #[inline(always)]
    pub(super) fn normalize_group<S: Simd>(&mut self, simd: S) {
        let Some(&(end, scale)) = self.scales.last() else { return };
        let rest = &mut self.row[self.done..end];
        let len = rest.len().min(GROUP + pod_align_to::<_, Line>(rest).0.len());
        scale.apply_to_all(simd, &mut rest[..len]);
        self.done += len;
        if self.done == end {
            self.scales.pop();
        }
    }

    /// Normalizes what is left.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S) {
        while let Some((end, scale)) = self.scales.pop() {
            scale.apply_to_all(simd, &mut self.row[self.done..end]);
            self.done = end;
        }
    }
}

/// No row follows the last: it is finished here.
impl Drop for Pending<'_> {
    fn drop(&mut self) {
        dispatch!(self.level, simd => self.finish(simd));
        give_back(&SCALES, take(&mut self.scales));
    }
}
