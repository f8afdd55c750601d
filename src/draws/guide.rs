//! A guide table: where in the distribution each small interval of the uniforms leads.
//!
//! The unit interval is cut into cells, and the tokens at their ends are kept. The token never goes down
//! when the uniform goes up, so where both ends of a cell lead to one token, everything between them does;
//! elsewhere the uniform is searched for as ever. So the map from uniforms to tokens stays that of the
//! table. (Chen and Asau, "On generating random variates from an empirical distribution", 1974; Devroye
//! 1986, III.2.4.)

use super::cdf::Cdf;
use super::search::TOGETHER;

/// Tokens per cell. (Measured on a Zen 4 at 8,192 to 128,256 tokens, Gaussian logits of deviation 3, T = 0.3,
/// 0.8 and 2: with one token per cell, the guide takes eight times as long to make and serves as well; with
/// 16 or 32, it serves less.)
const TOKENS: usize = 8;

/// A guide is kept if at least one cell in three leads to a single token. (That saves a search of 10 ns.
/// For each uniform, looking up takes 2 to 3 ns.)
const USEFUL: usize = 3;

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

    /// One cell for eight tokens, or up to twice as many: a power of two, so that a uniform is multiplied
    /// exactly. None, if so many of the cells lead to several tokens that they would rather cost time.
    fn fill(&mut self, cdf: &Cdf) {
        const LAST: f64 = 1.0 - f64::EPSILON / 2.0;
        let cells = cdf.vocab().div_ceil(TOKENS).next_power_of_two();
        self.0.resize(cells + 1, 0);
        for (chunk, tokens) in self.0.chunks_mut(TOGETHER).enumerate() {
            let mut uniforms = [0.0; TOGETHER];
            for (i, uniform) in uniforms.iter_mut().enumerate() {
                *uniform = ((chunk * TOGETHER + i) as f64 / cells as f64).min(LAST);
            }
            cdf.search_without_guide(uniforms.into_iter(), tokens);
        }
        if USEFUL * self.0.windows(2).filter(|ends| ends[0] == ends[1]).count() < cells {
            self.clear();
        }
    }

    /// The tokens of the uniforms. Those that the guide leaves open are searched for together.
    pub(super) fn search(&self, cdf: &Cdf, mut uniforms: impl Iterator<Item = f64>, tokens: &mut [u32]) {
        let cells = (self.0.len() - 1) as f64;
        for tokens in tokens.chunks_mut(BATCH) {
            let (mut of_tokens, mut open, mut count) = ([0.0; BATCH], [0; BATCH], 0);
            for (i, (token, uniform)) in (0..=u8::MAX).zip(tokens.iter_mut().zip(&mut uniforms)) {
                of_tokens[usize::from(i)] = uniform;
                let cell = (uniform * cells) as usize;
                *token = self.0[cell];
                open[count] = i;
                count += usize::from(self.0[cell + 1] != *token);
            }
            for open in open[..count].chunks(TOGETHER) {
                let mut found = [0; TOGETHER];
                let left = open.iter().map(|&i| of_tokens[usize::from(i)]);
                cdf.search_without_guide(left, &mut found[..open.len()]);
                open.iter().zip(found).for_each(|(&i, found)| tokens[usize::from(i)] = found);
            }
        }
    }
}

/// Uniforms that are looked up before those left open are searched for: as many as a byte counts.
const BATCH: usize = 256;

impl Cdf {
    /// Adds a guide table: draws get faster, and stay the same. It pays from about half as many draws as
    /// there are tokens, and earlier where few of them have most of the weight. Where the weights are so even
    /// that it would not pay at all, none is kept (and its making is lost). Returns whether there is one now.
    ///
    /// - Cost: a draw per four to eight tokens. Memory: half a byte to a byte per token.
    /// - Source: Chen and Asau, "On generating random variates from an empirical distribution", 1974.
    ///
    /// ```
    /// use kelvin::{Cdf, Rows};
    ///
    /// let mut cdf = Cdf::from_probs(Rows::new(&[0.1, 0.9], 2)?, 0)?;
    /// let before = cdf.draw(0.3)?;
    /// println!("a guide pays: {}", cdf.add_guide());
    /// assert_eq!(cdf.draw(0.3)?, before);
    /// # Ok::<(), kelvin::Error>(())
    /// ```
    pub fn add_guide(&mut self) -> bool {
        if self.vocab() > 0 && self.guide.is_empty() {
            let mut guide = core::mem::take(&mut self.guide);
            guide.fill(self);
            self.guide = guide;
        }
        !self.guide.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Cdf, Key, Rows};

    /// One token in 250 has three quarters of the weight: kept. All weigh the same: not.
    #[test]
    fn a_guide_is_kept_where_it_pays_and_changes_no_token() {
        const KEY: Key = Key { seed: 1, position: 0 };
        let heavy: Vec<f32> = (0..4000).map(|i| if i % 250 == 7 { 750.0 } else { 1.0 }).collect();
        let flat = [3, 9, 16, 33, 4000].map(|vocab| (vec![1.0; vocab], false));
        for (weights, kept) in [(heavy, true), (vec![1.0], true)].into_iter().chain(flat) {
            let row = Rows::new(&weights, weights.len()).expect("a row");
            let plain = Cdf::from_probs(row, 0).expect("servable");
            let mut guided = plain.clone();
            assert_eq!([guided.add_guide(), guided.add_guide()], [kept; 2], "{}", weights.len());
            assert_eq!(guided.guide.is_empty(), !kept);
            assert_eq!(guided.count_keyed(KEY, 5000), plain.count_keyed(KEY, 5000));
            let uniforms: Vec<f64> = (0..9000).map(|i| f64::from(i) / 9000.0).collect();
            for together in [1, 3, 255, 256, 257, 9000] {
                for uniforms in uniforms.chunks(together) {
                    let (mut tokens, mut expected) = (vec![0; uniforms.len()], vec![0; uniforms.len()]);
                    guided.draw_many(uniforms, &mut tokens).expect("a table");
                    plain.draw_many(uniforms, &mut expected).expect("a table");
                    assert_eq!(tokens, expected);
                }
            }
        }
    }
}
