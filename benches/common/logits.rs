//! What the kernels are timed on.

use kelvin::Key;
use rayon::prelude::*;

/// Logits from one key.
const PART: usize = 4096;

/// Nearly normal logits of deviation 3: sums of twelve uniforms.
pub(crate) fn logits(len: usize) -> Vec<f32> {
    let part = |position: usize| {
        let mut uniforms = vec![0.0; 12 * PART];
        Key { seed: 1, position: position as u64 }.fill(&mut uniforms);
        uniforms.chunks(12).map(|u| (3.0 * (u.iter().sum::<f64>() - 6.0)) as f32).collect::<Vec<_>>()
    };
    let mut logits: Vec<f32> = (0..len.div_ceil(PART)).into_par_iter().flat_map_iter(part).collect();
    logits.truncate(len);
    logits
}
