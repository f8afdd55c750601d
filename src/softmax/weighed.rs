//! A row of weights that waits to be shared out.

use core::cell::Cell;
use core::mem::take;

use bytemuck::pod_align_to;

use super::share::{Share, for_each_share};
use crate::Level;
use crate::blocks::GROUP;
use crate::scratch::{borrow, give_back};
use crate::simd::{Line, Simd, dispatch};
use crate::summary::Summary;
use crate::weights::Factor;

/// The row before the one at work. Where rows come from memory, it is shared out while that is weighed, group
/// by group: one waits for the memory, the other for the caches, and seldom both.
///
/// (128 MiB in place on an Intel Granite Rapids, each way in a process of its own, as against one after the
/// other: rows of 131072 take 0.82 x the time, of 524288 0.75 x, of 32,000 0.93 x, of 2048 0.63 x. In the
/// caches, of which the second level may not hold both rows, 0.96 to 1.09 x; and `softmax`, which waits for
/// its output to be written, 0.96 to 1.04 x.)
pub(super) struct Weighed<'a> {
    row: &'a mut [f32],
    /// Up to where it is shared out.
    done: usize,
    /// Of each stretch that is not, its end and its share. The last stretch comes first.
    shares: Vec<(usize, Share)>,
    /// Whether rows are to wait.
    waits: bool,
    level: Level,
}

thread_local! {
    static SHARES: Cell<Vec<(usize, Share)>> = Cell::default();
}

impl<'a> Weighed<'a> {
    /// Before the first row there is none.
    pub(super) fn none(level: Level, waits: bool) -> Self {
        Self { row: &mut [], done: 0, shares: borrow(&SHARES), waits, level }
    }

    /// Takes the next row, when this one is done; if rows do not wait, it is done as well. Gives it back if
    /// there is nothing to share.
    #[inline(always)]
    pub(super) fn follow<S: Simd>(
        &mut self,
        simd: S,
        row: &'a mut [f32],
        factor: &Factor,
        summaries: &mut [Summary],
    ) -> Result<(), &'a mut [f32]> {
        self.share_rest(simd);
        let shares = &mut self.shares;
        if !for_each_share(summaries, factor, row.len(), |range, share| shares.push((range.end, share))) {
            return Err(row);
        }
        shares.reverse();
        (self.row, self.done) = (row, 0);
        if !self.waits {
            self.share_rest(simd);
        }
        Ok(())
    }

    /// Shares out a group, or up to a vector more, so that no later one straddles cache lines.
    #[inline(always)]
    pub(super) fn share_group<S: Simd>(&mut self, simd: S) {
        let Some(&(end, share)) = self.shares.last() else { return };
        let rest = &mut self.row[self.done..end];
        let len = rest.len().min(GROUP + pod_align_to::<_, Line>(rest).0.len());
        share.of_all(simd, &mut rest[..len]);
        self.done += len;
        if self.done == end {
            self.shares.pop();
        }
    }

    /// Shares out what is left.
    #[inline(always)]
    fn share_rest<S: Simd>(&mut self, simd: S) {
        while let Some((end, share)) = self.shares.pop() {
            share.of_all(simd, &mut self.row[self.done..end]);
            self.done = end;
        }
    }
}

/// After the last row, nothing is weighed.
impl Drop for Weighed<'_> {
    fn drop(&mut self) {
        dispatch!(self.level, simd => self.share_rest(simd));
        give_back(&SHARES, take(&mut self.shares));
    }
}
