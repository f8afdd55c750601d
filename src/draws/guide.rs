//! A guide table: where in the distribution each small interval of the uniforms leads.
//!
//! The unit interval is cut into cells, and the tokens at their ends are kept. The token never goes down
//! when the uniform goes up, so where both ends of a cell lead to one token, everything between them does;
//! elsewhere the uniform is searched for as ever. So the map from uniforms to tokens stays that of the
//! table. (Chen and Asau, "On generating random variates from an empirical distribution", 1974; Devroye
//! 1986, III.2.4.)

use super::cdf::Cdf;

/// The token at the start of each cell, and at the end of the last. Empty if there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Guide(Vec<u32>);

impl Guide {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// One cell per token, or up to twice as many: a power of two, so that a uniform is multiplied exactly.
    fn fill(&mut self, cdf: &Cdf) {
        const LAST: f64 = 1.0 - f64::EPSILON / 2.0;
        let cells = cdf.vocab().next_power_of_two();
        self.0.resize(cells + 1, 0);
        for (chunk, tokens) in self.0.chunks_mut(64).enumerate() {
            let mut uniforms = [0.0; 64];
            for (i, uniform) in uniforms.iter_mut().enumerate() {
                *uniform = ((chunk * 64 + i) as f64 / cells as f64).min(LAST);
            }
            cdf.find(&uniforms[..tokens.len()], tokens);
        }
    }

    /// The tokens of the uniforms. Those that the guide leaves open are searched for together.
    pub(super) fn search(&self, cdf: &Cdf, uniforms: &[f64], tokens: &mut [u32]) {
        const TOGETHER: usize = 64;
        let cells = (self.0.len() - 1) as f64;
        for (uniforms, tokens) in uniforms.chunks(TOGETHER).zip(tokens.chunks_mut(TOGETHER)) {
            let (mut open, mut left, mut found) = ([0; TOGETHER], [0.0; TOGETHER], [0; TOGETHER]);
            let mut count = 0;
            for (i, (&uniform, token)) in uniforms.iter().zip(&mut *tokens).enumerate() {
                let cell = (uniform * cells) as usize;
                *token = self.0[cell];
                (open[count], left[count]) = (i, uniform);
                count += usize::from(self.0[cell + 1] != *token);
            }
            cdf.find(&left[..count], &mut found[..count]);
            open[..count].iter().zip(found).for_each(|(&i, token)| tokens[i] = token);
        }
    }
}

impl Cdf {
    /// Adds a guide table: draws get faster, and stay the same. It pays from about three times as many draws
    /// as there are tokens; 4 to 8 bytes per token.
    pub fn add_guide(&mut self) {
        if self.vocab() > 0 && self.guide.is_empty() {
            let mut guide = core::mem::take(&mut self.guide);
            guide.fill(self);
            self.guide = guide;
        }
    }
}
