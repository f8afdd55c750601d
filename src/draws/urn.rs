//! What is left of a row while tokens are taken from it.
//!
//! ```text
//! masses of the groups of 128 tokens, in a tree of sums                                            (tree.rs)
//! for each draw:  down the tree to a group; its weights, the first time; a vector, a lane
//!                 the token is removed, its group summed again, and the path up to the root
//! ```
//!
//! A removed weight is never subtracted: what is left is summed anew, so nothing cancels, however little
//! that is. A group left far below its reference gets a new one, and so does the row: the tokens drawn
//! last are as exact as the first.

use super::search::first_lanes_above;
use super::source::Source;
use super::tree::Tree;
use crate::Logit;
use crate::simd::{LANES, Simd, WIDTH};
use crate::summary::{Reference, Summary};
use crate::weights::{BLOCK, Factor, GROUP, Group, padded};

/// A row, and what has been taken from it.
#[derive(Debug, Default)]
pub(super) struct Urn {
    /// Of each group, what is left.
    summaries: Vec<Summary>,
    /// Of their masses.
    tree: Tree,
    /// Of each group, without the tokens that were taken; valid where `touched`.
    weights: Vec<Group<f32>>,
    touched: Vec<bool>,
    /// A bit per token.
    taken: Vec<u64>,
}

impl Urn {
    /// Takes as many tokens as the slice holds. `Err(None)` if the row cannot be served, `Err(Some(n))` if it
    /// has only n tokens that weigh something.
    #[inline(always)]
    pub(super) fn draw<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
        uniforms: &mut impl Iterator<Item = f64>,
        tokens: &mut [u32],
    ) -> Result<(), Option<usize>> {
        let (factor, mut least) = (source.factor(), COARSE);
        self.fill(simd, source, row);
        let mut top = self.rebuild_tree(&factor).ok_or(None)?;
        for (drawn, (token, uniform)) in tokens.iter_mut().zip(uniforms).enumerate() {
            if self.tree.sum() < least {
                if least == COARSE {
                    self.refine(simd, source, row);
                    least = EXHAUSTED;
                }
                top = self.rebuild_tree(&factor).ok_or(Some(drawn))?;
            }
            let (group, fraction) = self.tree.find(uniform);
            *token = self.take(simd, source, row, group, fraction).ok_or(Some(drawn))? as u32;
            self.tree.set(group, top.mass_of(&self.summaries[group], &factor));
        }
        Ok(())
    }

    /// One pass over the row.
    #[inline(always)]
    fn fill<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) {
        let groups = row.len().div_ceil(GROUP);
        source.summarize_groups(simd, row, &mut self.summaries);
        self.summaries.truncate(groups);
        self.weights.resize(self.weights.len().max(groups), [[0.0; LANES]; WIDTH]);
        self.touched.clear();
        self.touched.resize(groups, false);
        self.taken.clear();
        self.taken.resize(row.len().div_ceil(64), 0);
    }

    /// The tree, relative to the highest reference, which is returned; `None` if there is nothing to draw, or if the row
    /// cannot be served.
    fn rebuild_tree(&mut self, factor: &Factor) -> Option<Reference> {
        let top = Reference::highest(&self.summaries, factor)?;
        self.tree.fill(self.summaries.iter().map(|summary| top.mass_of(summary, factor)));
        (self.tree.sum() > 0.0 && self.tree.sum() < f64::INFINITY).then_some(top)
    }

    /// A reference of its own for every group that was weighed relative to a much larger one of its block.
    #[inline(always)]
    fn refine<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L]) {
        for group in 0..self.summaries.len() {
            if self.summaries[group].sum < source.low() {
                self.weigh_again(simd, source, row, group);
            }
        }
    }

    /// Takes a token out of a group.
    #[inline(always)]
    fn take<S: Simd, L: Logit>(
        &mut self,
        simd: S,
        source: impl Source<L>,
        row: &[L],
        group: usize,
        fraction: f64,
    ) -> Option<usize> {
        if !core::mem::replace(&mut self.touched[group], true) {
            let mut room = [[source.nothing(); LANES]; WIDTH];
            let logits = whole(part(row, group), &mut room);
            source.weigh_group(simd, logits, self.summaries[group].reference, &mut self.weights[group]);
        }
        let (within, sum) = take_from(simd, &mut self.weights[group], fraction)?;
        let token = group * GROUP + within;
        self.taken[token / 64] |= 1 << (token % 64);
        self.summaries[group].sum = sum;
        if sum < source.low() {
            self.weigh_again(simd, source, row, group);
        }
        Some(token)
    }

    /// What is left of a group, with a reference that suits it. (A function of its own: where a kernel gets too long,
    /// LLVM leaves its operations as calls.)
    #[inline(never)]
    fn weigh_again<S: Simd, L: Logit>(&mut self, simd: S, source: impl Source<L>, row: &[L], group: usize) {
        let mut rest: [L; BLOCK] = padded(part(row, group), source.nothing());
        for (bits, tokens) in self.taken[group * GROUP / 64..].iter().zip(rest[..GROUP].chunks_mut(64)) {
            for (bit, token) in tokens.iter_mut().enumerate() {
                if bits >> bit & 1 == 1 {
                    *token = source.nothing();
                }
            }
        }
        let mut weights = [0.0; BLOCK];
        self.touched[group] = true;
        self.summaries[group] = simd.vectorize(
            #[inline(always)]
            || source.weigh(simd, &rest, &mut weights, |_| ()),
        );
        self.weights[group].as_flattened_mut().copy_from_slice(&weights[..GROUP]);
    }
}

/// A group of a row.
fn part<L>(row: &[L], group: usize) -> &[L] {
    let start = group * GROUP;
    &row[start..row.len().min(start + GROUP)]
}

/// It, if it is as long as a group; or the room for one, with it at the beginning.
#[inline(always)]
fn whole<'a, L: Logit>(part: &'a [L], room: &'a mut Group<L>) -> &'a Group<L> {
    match part.as_chunks().0.first_chunk() {
        Some(group) => group,
        None => {
            room.as_flattened_mut()[..part.len()].copy_from_slice(part);
            room
        }
    }
}

/// Takes the token at which `fraction` of the weight is exceeded. Returns it, and the sum of what is left.
#[inline(always)]
fn take_from<S: Simd>(simd: S, weights: &mut Group<f32>, fraction: f64) -> Option<(usize, f64)> {
    let mut sums = simd.reduce_add_eight(weights);
    let (vector, within) = find(&sums, fraction);
    let [lane] = first_lanes_above(simd, [&weights[vector]], &[within]);
    let weight = &mut weights[vector][lane as usize];
    if *weight == 0.0 {
        return None;
    }
    *weight = 0.0;
    sums[vector] = simd.reduce_add_wide(simd.widen(simd.load(&weights[vector])));
    Some((vector * LANES + lane as usize, sums.iter().sum()))
}

/// The part at which `fraction` of all is exceeded, and how much of it lies below that; if rounding lets none exceed it,
/// the last part that is not 0.
#[inline(always)]
fn find(parts: &[f64; WIDTH], fraction: f64) -> (usize, f64) {
    let (mut through, mut sum, mut index) = ([0.0; WIDTH], 0.0, 0);
    for i in 0..WIDTH {
        sum += parts[i];
        through[i] = sum;
    }
    let target = fraction * sum;
    for through in &through {
        index += usize::from(*through <= target);
    }
    if index == WIDTH {
        index = parts.iter().rposition(|part| *part > 0.0).unwrap_or_default();
    }
    let before = if index == 0 { 0.0 } else { through[index - 1] };
    (index, target - before)
}

/// Below this sum groups get references of their own, where they have none. (In a group weighed with its block, what
/// counts as 0 is less than 2^-125: so little of this that it does not matter.)
const COARSE: f64 = f64::from_bits((1023 - 40) << 52);

/// Below this sum a row gets a new reference. (Masses 2^-522 of that are still exact.)
const EXHAUSTED: f64 = f64::from_bits((1023 - 500) << 52);

#[cfg(test)]
mod tests {
    use super::find;

    /// Rounding may carry a target to the end of the parts.
    #[test]
    fn targets_beyond_the_end_find_the_last_that_is_not_0() {
        let parts = [0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!([0.0, 0.5, 1.0].map(|fraction| find(&parts, fraction)), [(1, 0.0), (3, 0.5), (3, 2.0)]);
    }
}
