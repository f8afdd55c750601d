//! Several blocks in one loop, whose weights are relative to 1 and do not count as 0. At ordinary
//! temperatures most blocks are like that. The sums are those of [`weigh`](super::weigh).
//!
//! ```text
//! for each vector:  2^t of its logits, times 2^n
//!                   beside that, of the next group's:  n = round(x * hi), t = (x * hi - n) + x * lo
//! for each group:   their sums
//! ```
//!
//! In this order (a software pipeline: Lam, 1988), nothing waits for a t. And what counts as 0 is looked for
//! once for all, by the callers, by the least logit: on a Zen 4, a minimum goes through the ports that add, a
//! comparison of each n through those that multiply, which have the most to do. There, a row of 131072 in L2
//! takes 0.91 x the time, a softmax 0.88 x.

use core::hint::black_box;

use super::Factor;
use crate::blocks::GROUPS;
use crate::simd::{Exp2, Simd, VECTORS};

/// The weights of several blocks, and the sums of each, lane by lane. `load` is called with the number of a
/// group, that of a vector in it, and the vector: a group ahead, and after the last one with the first one
/// again. `weighed` is called with these numbers and weights, `summed` with the number of each group
/// and its sums.
///
/// A barrier after each vector keeps this order: LLVM would add up in the end, and spill what it holds until
/// then. (In place 1.03 to 1.1 x the time.)
#[inline(always)]
pub(super) fn weigh_groups<S: Simd, X>(
    simd: S,
    groups: &[[X; VECTORS]],
    factor: &Factor,
    sums: &mut [S::D],
    mut load: impl FnMut(usize, usize, &X) -> S::V,
    mut weighed: impl FnMut(usize, usize, S::V),
    mut summed: impl FnMut(usize, S::V),
) {
    // (As in blocks.rs: loops are to stay loops.)
    let groups = black_box(groups);
    let (exp2, zero) = (Exp2::new(simd, factor.hi, factor.lo), simd.splat(0.0));
    let (mut n, mut t) = ([zero; VECTORS], [zero; VECTORS]);
    for i in 0..VECTORS {
        (n[i], t[i]) = exp2.reduce(simd, load(0, i, &groups[0][i]));
    }
    let mut group = 0;
    for sum in sums {
        let mut wide = simd.widen(zero);
        for _ in 0..black_box(GROUPS) {
            // After the last group, the first one again. (In place, a load of the last one would wait for its
            // stores: 1.1 x the time where vectors straddle cache lines.)
            let next = if group + 1 < groups.len() { group + 1 } else { 0 };
            let mut lanes = [zero; VECTORS / 2];
            for i in 0..VECTORS {
                let weights = simd.scalef(exp2.polynomial(simd, t[i]), n[i]);
                weighed(group, i, weights);
                if i < lanes.len() {
                    lanes[i] = weights;
                } else {
                    let lanes = &mut lanes[i - VECTORS / 2];
                    [*lanes] = simd.stage([simd.add(*lanes, weights)]);
                }
                (n[i], t[i]) = exp2.reduce(simd, load(next, i, &groups[next][i]));
                [t[i]] = simd.stage([t[i]]);
            }
            let lanes = simd.add(simd.add(lanes[0], lanes[2]), simd.add(lanes[1], lanes[3]));
            summed(group, lanes);
            wide = simd.add_wide(wide, simd.widen(lanes));
            group += 1;
        }
        *sum = wide;
    }
}

/// What the tests of runs have in common.
#[cfg(test)]
pub(super) mod tests {
    use crate::simd::{Simd, dispatch};
    use crate::{Key, Level};

    pub(in crate::weights) fn levels_with_runs() -> impl Iterator<Item = Level> {
        fn holds_group<S: Simd>(_: S) -> bool {
            S::HOLDS_GROUP
        }
        Level::available().filter(|level| dispatch!(level, simd => holds_group(simd)))
    }

    /// Logits that end no run at T = 1.
    pub(in crate::weights) fn plain_logits(len: usize) -> Vec<f32> {
        let mut uniforms = vec![0.0; len];
        Key { seed: 3, position: 0 }.fill(&mut uniforms);
        uniforms.iter().map(|u| (20.0 * u - 10.0) as f32).collect()
    }
}
