//! The part of the contract that draws.

use core::f64::consts::LN_2;

use crate::math::ln;

use super::{
    BLOCK, GROUP, LANES, argmax, at_most_0, blocks, factor, greedy, lane_sums, log_sum, one_hot, pairwise,
    relative, total, weights,
};

/// Tokens that are searched for one by one.
const EIGHT: usize = 8;

/// The token drawn, and its log-probability.
#[must_use]
pub fn sample(row: &[f32], temperature: f32, uniform: f64) -> Option<(u32, f32)> {
    if greedy(temperature) {
        return Some((argmax(row)? as u32, 0.0));
    }
    let (factor, blocks) = (factor(temperature), blocks(row, temperature));
    let total = total(&blocks, factor)?;
    let masses: Vec<f64> = blocks.iter().map(|b| b.sum * relative(b, &total, factor)).collect();
    let target = uniform * total.sum;
    let (index, below) = find(&masses, target)?;
    let (start, block) = (index * BLOCK, blocks[index]);
    let logits = &row[start..row.len().min(start + BLOCK)];
    let weights = weights(logits, factor, block.exponent, block.offset);
    let token = start + find_in_block(&weights, &group_sums(&weights), target, below, masses[index])?;
    let height = (f64::from(row[token]) - f64::from(total.offset)) * factor.exact - f64::from(total.exponent);
    Some((token as u32, at_most_0((height * LN_2 - log_sum(&total)) as f32)))
}

/// The probability of each token under [`sample`]: its share of its eight, times the eight's of its group,
/// the group's of its block and the block's of the row. (The four steps of the search, but for their rounding
/// in f64, which may make 0 of what is below 2^-1074.)
#[must_use]
pub fn distribution(row: &[f32], temperature: f32) -> Option<Vec<f64>> {
    if greedy(temperature) {
        return Some(one_hot(row, 1.0, 0.0)?.into_iter().map(f64::from).collect());
    }
    let (factor, blocks) = (factor(temperature), blocks(row, temperature));
    let total = total(&blocks, factor)?;
    let probabilities = row.chunks(BLOCK).zip(&blocks).flat_map(|(logits, block)| {
        let scale = relative(block, &total, factor) / total.sum;
        let weights = weights(logits, factor, block.exponent, block.offset);
        let sums = group_sums(&weights);
        let within = weights.chunks(GROUP).zip(sums).flat_map(|(group, mass)| {
            let scale = if mass > 0.0 { mass / eight_sums(group)[GROUP / EIGHT] * scale } else { 0.0 };
            group.iter().map(move |&w| f64::from(w) * scale)
        });
        within.take(logits.len()).collect::<Vec<f64>>()
    });
    Some(probabilities.collect())
}

/// [`sample`], from weights: `None` if one is negative, infinite or NaN, or if all are 0.
#[must_use]
pub fn sample_from_probs(weights: &[f32], uniform: f64) -> Option<(u32, f32)> {
    if weights.iter().any(|w| !(0.0..f32::INFINITY).contains(w)) {
        return None;
    }
    let sum_lanes = |part: &[f32]| {
        let lane = |lane: usize| part.iter().skip(lane).step_by(LANES).map(|&w| f64::from(w)).sum();
        pairwise((0..LANES).map(lane).collect::<Vec<f64>>())
    };
    let masses: Vec<f64> = weights.chunks(BLOCK).map(sum_lanes).collect();
    let sum: f64 = masses.iter().sum();
    let (index, below) = find(&masses, uniform * sum)?;
    let mut block = weights[index * BLOCK..].to_vec();
    block.resize(block.len().max(BLOCK), 0.0);
    let block = &block[..BLOCK];
    let sums: Vec<f64> = block.chunks(GROUP).map(sum_lanes).collect();
    let token = index * BLOCK + find_in_block(block, &sums, uniform * sum, below, masses[index])?;
    Some((token as u32, ln(f64::from(weights[token]) / sum) as f32))
}

/// The first part whose prefix exceeds the target, else the last that is not 0; and the prefix before it.
fn find(parts: &[f64], target: f64) -> Option<(usize, f64)> {
    let (mut prefix, mut found) = (0.0, None);
    for (index, &part) in parts.iter().enumerate() {
        if part > 0.0 && prefix <= target {
            found = Some((index, prefix));
            prefix += part;
        }
    }
    found
}

/// The sums of a group's eights of weights, before each and after the last: lanes l and l + 4 of each are
/// added, what that makes runs on, and its four lanes become one.
fn eight_sums(group: &[f32]) -> Vec<f64> {
    let (mut lanes, mut sums) = ([0.0; 4], vec![0.0]);
    for eight in group.chunks(EIGHT) {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += f64::from(eight[l]) + f64::from(eight[l + 4]);
        }
        sums.push(pairwise(lanes.to_vec()));
    }
    sums
}

/// The last part that begins at or below the target and after which the sum still grows, and its beginning:
/// the sum of those before it, as `start` makes it. (`sums` has one more, that of all.)
fn last_begun(sums: &[f64], target: f64, start: impl Fn(f64) -> f64) -> (usize, f64) {
    let (mut found, total) = ((0, start(0.0)), sums[sums.len() - 1]);
    for (index, &sum) in sums.iter().enumerate() {
        if start(sum) <= target && sum < total {
            found = (index, start(sum));
        }
    }
    found
}

/// Of each group, its lanes.
fn group_sums(weights: &[f32]) -> Vec<f64> {
    weights.chunks(GROUP).map(|group| pairwise(lane_sums(group))).collect()
}

/// First the group, in the units of the row; then eight tokens of it, in those of its own sum; then one of
/// these.
fn find_in_block(weights: &[f32], sums: &[f64], target: f64, before: f64, mass: f64) -> Option<usize> {
    let scale = mass / sums.iter().sum::<f64>();
    let mut through = vec![0.0];
    through.extend(sums.iter().scan(0.0, |sum, part| {
        *sum += part;
        Some(*sum)
    }));
    let (group, start) = last_begun(&through, target, |prefix| before + prefix * scale);
    let weights = &weights[group * GROUP..][..GROUP];
    let eights = eight_sums(weights);
    let target = (target - start) * (eights[eights.len() - 1] / (sums[group] * scale)).min(f64::MAX);
    let (eight, start) = last_begun(&eights, target, |prefix| prefix);
    let wide: Vec<f64> = weights[eight * EIGHT..][..EIGHT].iter().map(|&w| f64::from(w)).collect();
    let (lane, _) = find(&wide, target - start)?;
    Some(group * GROUP + eight * EIGHT + lane)
}
