//! Where a target lies among the parts of a whole, and what lies around it.

/// A part that a target lies in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    pub(super) index: usize,
    /// The target, less what lies before.
    pub(super) within: f64,
    /// The sum of all others.
    pub(super) others: f64,
}

/// The part at which the running sum exceeds the target, which `target` makes of the sum of all; if rounding
/// lets none exceed it, the last part that is not 0. (The last comparison is left out: only there may it end
/// at a part of 0.) N is a power of two.
///
/// No branch depends on the target. And what lies after a part is summed while the target is searched for: so
/// the whole without it is known at once. No sum waits for more than log2 N additions after one another
/// (Sklansky, "Conditional-sum addition logic", 1960), and those of more parts are never below those of
/// fewer.
#[inline(always)]
pub(super) fn find<const N: usize>(parts: &[f64; N], target: impl FnOnce(f64) -> f64) -> Part {
    let (mut through, mut from) = (*parts, *parts);
    let mut half = 1;
    while half < N {
        for i in 0..N {
            let middle = i / (2 * half) * (2 * half) + half;
            if i < middle {
                from[i] += from[middle];
            } else {
                through[i] += through[middle - 1];
            }
        }
        half *= 2;
    }
    let (mut before, mut after) = ([0.0; N], [0.0; N]);
    before[1..].copy_from_slice(&through[..N - 1]);
    after[..N - 1].copy_from_slice(&from[1..]);
    let target = target(through[N - 1]);
    let mut index = 0;
    for through in &through[..N - 1] {
        index += usize::from(*through <= target);
    }
    if parts[index] == 0.0 {
        index = parts.iter().rposition(|part| *part > 0.0).unwrap_or_default();
    }
    Part { index, within: target - before[index], others: before[index] + after[index] }
}

/// The part of a table that a target lies in: first the column, by its sum, then the row. (Few at a time, so
/// that few additions wait for one another; and columns are added up without shuffles.)
#[inline(always)]
pub(super) fn find_by_columns<const COLUMNS: usize>(
    table: &[[f64; COLUMNS]; 4],
    target: impl FnOnce(f64) -> f64,
) -> Part {
    let mut sums = [0.0; COLUMNS];
    for i in 0..COLUMNS {
        sums[i] = (table[0][i] + table[2][i]) + (table[1][i] + table[3][i]);
    }
    let column = find(&sums, target);
    let mut parts = [0.0; 4];
    for i in 0..4 {
        parts[i] = table[i][column.index];
    }
    let row = find(&parts, |_| column.within);
    Part { index: row.index * COLUMNS + column.index, within: row.within, others: column.others + row.others }
}

#[cfg(test)]
mod tests {
    use super::{find, find_by_columns};

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
            assert_eq!(part.others, rest, "{target}");
        }
    }

    /// Zeros at both ends and between, in a column and whole ones.
    #[test]
    fn targets_in_a_table_find_the_column_then_the_row() {
        let table = [[0.0, 1.0, 0.0, 0.0], [0.0; 4], [0.0, 2.0, 0.0, 8.0], [0.0, 0.0, 0.0, 4.0]];
        let [first, second, third, last] = [1, 9, 11, 15];
        for (target, index, within) in [
            (0.0, first, 0.0),
            (1.0, second, 0.0),
            (2.5, second, 1.5),
            (3.0, third, 0.0),
            (11.0, last, 0.0),
            (15.0, last, 4.0),
        ] {
            let part = find_by_columns(&table, |sum| target + (sum - 15.0));
            assert_eq!((part.index, part.within), (index, within), "{target}");
            assert_eq!(part.others, 15.0 - table[index / 4][index % 4], "{target}");
        }
    }
}
