//! Blocks to rows: the sum of each block's weights is all that is kept of it.

use crate::math::{exp2, ln, power_of_two};
use crate::simd::{Simd, UNIT};
use crate::weights::Factor;

/// What the weights of a block are relative to: that of a logit x is [`UNIT`] x 2^((x - offset) log2(e)/T -
/// exponent).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reference {
    pub(crate) exponent: f32,
    pub(crate) offset: f32,
}

impl Reference {
    /// log2 of the weight of a logit, relative to this reference, in [`UNIT`]s.
    pub(crate) fn log2_weight(self, x: f64, factor: &Factor) -> f64 {
        (x - f64::from(self.offset)) * factor.exact - f64::from(self.exponent)
    }

    /// log2 of what it stands for, itself relative to a logit of 0.
    pub(crate) fn height(self, factor: &Factor) -> f64 {
        f64::from(self.offset) * factor.exact + f64::from(self.exponent)
    }

    /// The highest of those that weigh something; `None` if nothing does.
    pub(crate) fn highest(blocks: &[Summary], factor: &Factor) -> Option<Self> {
        let mut highest = blocks.iter().find(|block| block.sum != 0.0)?.reference;
        for block in blocks {
            let other = block.reference;
            if other.difference(highest) != 0
                && block.sum != 0.0
                && other.height(factor) > highest.height(factor)
            {
                highest = other;
            }
        }
        Some(highest)
    }

    /// The sum of a block, relative to this reference.
    #[inline(always)]
    pub(crate) fn mass_of(self, block: &Summary, factor: &Factor) -> f64 {
        // (Most blocks at low temperatures are not weighed: no scale is asked for.)
        if block.reference.difference(self) == 0 || block.sum == 0.0 {
            block.sum
        } else {
            block.sum * block.reference.relative_to(self, factor)
        }
    }

    /// 0 if they have the same bits. (Cheaper than a comparison of f32.)
    #[inline(always)]
    fn difference(self, other: Self) -> u32 {
        (self.exponent.to_bits() ^ other.exponent.to_bits())
            | (self.offset.to_bits() ^ other.offset.to_bits())
    }

    /// What the weights of a block must be multiplied by to be relative to this reference. (A block
    /// that is not weighed has no reference to speak of: its weights stay 0.)
    pub(crate) fn scale_of(self, block: &Summary, factor: &Factor) -> f64 {
        if block.sum == 0.0 { 0.0 } else { block.reference.relative_to(self, factor) }
    }

    /// What a weight relative to `self` must be multiplied by to be relative to `other`.
    fn relative_to(self, other: Self, factor: &Factor) -> f64 {
        let powers = f64::from(self.exponent) - f64::from(other.exponent);
        if self.offset.to_bits() == other.offset.to_bits() {
            return power_of_two(powers);
        }
        let offsets = f64::from(self.offset) - f64::from(other.offset);
        exp2(offsets * factor.exact + powers)
    }
}

/// A block as the rest of its row sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Of the weights, relative to `reference`. NaN if a logit is NaN or +inf; 0 if the block is
    /// not weighed, as where all are -inf.
    pub(crate) sum: f64,
    pub(crate) reference: Reference,
    /// The sum of the row through this block, relative to the row's reference: see [`Total::of`].
    pub(crate) through: f64,
}

impl Summary {
    pub(crate) const fn new(sum: f64, reference: Reference) -> Self {
        Self { sum, reference, through: 0.0 }
    }

    /// That of a block whose weights are relative to 1, from the sums of its lanes.
    #[inline(always)]
    pub(crate) fn of_lanes<S: Simd>(simd: S, sums: S::D) -> Self {
        Self::new(simd.reduce_add_wide(sums), Reference::default())
    }

    /// Puts it in its place among those of a row, which are there without gaps.
    #[inline(always)]
    pub(crate) fn put(self, index: usize, summaries: &mut Vec<Self>) {
        debug_assert!(index <= summaries.len());
        match summaries.get_mut(index) {
            Some(place) => *place = self,
            None => summaries.push(self),
        }
    }

    /// Whether the weights of another block have the same scale: what [`Reference::scale_of`] makes of both.
    #[inline(always)]
    pub(crate) fn has_scale_of(&self, other: &Self) -> bool {
        self.reference.difference(other.reference) == 0 && (self.sum == 0.0) == (other.sum == 0.0)
    }
}

/// A row: the sum of its weights, relative to its highest reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    pub(crate) sum: f64,
    pub(crate) reference: Reference,
}

impl Total {
    /// Folds the blocks in index order. `None` unless the sum is above 0 and finite: if a logit is NaN or
    /// +inf, or all are -inf, or if a weight is negative or not finite, or all are 0.
    pub(crate) fn of(blocks: &mut [Summary], factor: &Factor) -> Option<Self> {
        let mut total = Self { sum: 0.0, reference: blocks.first()?.reference };
        // Mostly all have the same reference: then this is the sum.
        let mut differences = 0;
        for block in &mut *blocks {
            differences |= block.reference.difference(total.reference);
            total.sum += block.sum;
            block.through = total.sum;
        }
        if differences != 0 {
            total = Self { sum: 0.0, reference: Reference::highest(blocks, factor)? };
            for block in blocks {
                total.sum += total.mass(block, factor);
                block.through = total.sum;
            }
        }
        (total.sum > 0.0 && total.sum < f64::INFINITY).then_some(total)
    }

    /// The first block through which the sum exceeds a target. (There is one: u times the sum, which is a
    /// normal number, rounds to less than the sum for every f64 u below 1.)
    pub(crate) fn find(&self, blocks: &[Summary], target: f64, factor: &Factor) -> Option<Found> {
        let index = blocks.partition_point(|block| block.through <= target);
        let before = index.checked_sub(1).map_or(0.0, |before| blocks[before].through);
        Some(Found { index, before, mass: self.mass(blocks.get(index)?, factor) })
    }

    /// ln of the sum of weights of logits, in [`UNIT`]s.
    pub(crate) fn log_sum(&self) -> f64 {
        ln(self.sum / UNIT)
    }

    /// The sum of a block, relative to the row's reference.
    #[inline(always)]
    pub(crate) fn mass(&self, block: &Summary, factor: &Factor) -> f64 {
        self.reference.mass_of(block, factor)
    }
}

/// A block that a target lies in: its interval of the row's sum.
pub(crate) struct Found {
    pub(crate) index: usize,
    pub(crate) before: f64,
    pub(crate) mass: f64,
}
