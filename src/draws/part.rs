//! Where a target lies among the parts of a whole, and what lies around it.

/// A part that a target lies in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) index: usize,
    /// The target, less what lies before.
    pub(super) within: f64,
    before: f64,
    after: f64,
}

impl Part {
    /// The sum of all, were the part of this size.
    #[inline(always)]
    pub(super) fn whole(&self, part: f64) -> f64 {
        self.before + part + self.after
    }
}

/// The part at which the running sum exceeds the target, which `target` makes of the sum of all; if rounding
/// lets none exceed it, the last part that is not 0.
///
/// No branch depends on the target. And what lies after a part is summed while the target is searched for: so
/// the whole without it is known at once.
#[inline(always)]
pub(super) fn find<const N: usize>(parts: &[f64; N], target: impl FnOnce(f64) -> f64) -> Part {
    let (mut before, mut through, mut after) = ([0.0; N], [0.0; N], [0.0; N]);
    let (mut sum, mut rest) = (0.0, 0.0);
    for i in 0..N {
        before[i] = sum;
        sum += parts[i];
        through[i] = sum;
    }
    for i in (0..N).rev() {
        after[i] = rest;
        rest += parts[i];
    }
    let target = target(sum);
    let mut index = 0;
    for through in &through {
        index += usize::from(*through <= target);
    }
    if index == N {
        index = parts.iter().rposition(|part| *part > 0.0).unwrap_or_default();
    }
    Part { index, within: target - before[index], before: before[index], after: after[index] }
}

#[cfg(test)]
mod tests {
    use super::find;

    /// Rounding may carry a target to the end of the parts.
    #[test]
    fn targets_beyond_the_end_find_the_last_that_is_not_0() {
        let parts = [0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 4.0, 0.0];
        for (target, index, within, rest) in [
            (0.0, 1, 0.0, 6.0),
            (1.0, 3, 0.0, 5.0),
            (2.5, 3, 1.5, 5.0),
            (3.0, 6, 0.0, 3.0),
            (7.0, 6, 4.0, 3.0),
        ] {
            let part = find(&parts, |sum| target + (sum - 7.0));
            assert_eq!((part.index, part.within), (index, within), "{target}");
            assert_eq!((part.whole(0.0), part.whole(parts[index])), (rest, 7.0), "{target}");
        }
    }
}
