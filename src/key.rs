//! Keys: a request's seed and a position become uniforms.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256PlusPlus};

/// Where a row's randomness comes from: the request's seed and the position of the token in it.
///
/// The uniforms of a key are a pure function of its two words. A server that keeps a seed per request
/// gets the same tokens whatever batch the row lands in, and can replay any one of them.
///
/// Two words of `SplitMix64(seed)` and two of `SplitMix64(position ^ the first of them)` are the state
/// of a `Xoshiro256PlusPlus`: different keys have different states. Each output gives one uniform, its
/// upper 53 bits divided by 2^53. (Blackman and Vigna, "Scrambled linear pseudorandom number
/// generators", 2021.)
///
/// Whatever takes a key begins with the same uniform. Decisions that must be independent of each other, as
/// those of speculative decoding at one position (to draft, to accept, to draw again), take their uniforms
/// from one [`Key::fill`], or have keys of different seeds. Give each continuation of one request a seed of
/// its own, from the words of a position that no token has. (`seed + i` may be the seed of another request.)
///
/// ```
/// use kelvin::Key;
///
/// let key = Key { seed: 42, position: 7 };
/// assert_eq!(key.uniform(), key.uniform());
/// let mut uniforms = [0.0; 4];
/// key.fill(&mut uniforms);
/// assert_eq!(uniforms[0], key.uniform());
/// let mut words = [0; 4];
/// key.fill_words(&mut words);
/// assert_eq!(words[0], key.word());
///
/// let mut seeds = [0; 3];
/// Key { seed: 42, position: u64::MAX }.fill_words(&mut seeds);
/// let first_token_of_each = seeds.map(|seed| Key { seed, position: 0 });
/// # let [a, b, c] = first_token_of_each.map(Key::uniform);
/// # assert!(a != b && b != c && c != a);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// The request's seed.
    pub seed: u64,
    /// The position of the token in the request.
    pub position: u64,
}

impl Key {
    /// The first uniform, in [0, 1).
    #[must_use]
    pub fn uniform(self) -> f64 {
        to_uniform(self.word())
    }

    /// The first word of [`Key::fill_words`].
    #[must_use]
    pub fn word(self) -> u64 {
        self.generator().next_u64()
    }

    /// As many uniforms as the slice holds, the first being [`Key::uniform`].
    pub fn fill(self, uniforms: &mut [f64]) {
        uniforms.iter_mut().zip(self.uniforms()).for_each(|(out, uniform)| *out = uniform);
    }

    /// As many 64-bit words as the slice holds: the uniforms of [`Key::fill`] are their upper 53 bits.
    pub fn fill_words(self, words: &mut [u64]) {
        words.iter_mut().zip(self.words()).for_each(|(out, word)| *out = word);
    }

    /// The words of [`Key::fill_words`], without end.
    pub(crate) fn words(self) -> impl Iterator<Item = u64> {
        let mut generator = self.generator();
        core::iter::repeat_with(move || generator.next_u64())
    }

    /// The uniforms of [`Key::fill`], without end.
    pub(crate) fn uniforms(self) -> impl Iterator<Item = f64> {
        self.words().map(to_uniform)
    }

    fn generator(self) -> Xoshiro256PlusPlus {
        let mut of_seed = SplitMix64::from_seed(self.seed.to_le_bytes());
        let (a, b) = (of_seed.next_u64(), of_seed.next_u64());
        let mut of_both = SplitMix64::from_seed((self.position ^ a).to_le_bytes());
        let state = [of_both.next_u64(), of_both.next_u64(), a, b].map(u64::to_le_bytes);
        Xoshiro256PlusPlus::from_seed(bytemuck::must_cast(state))
    }
}

/// The upper 53 bits as a multiple of 2^-53: every one exact in an f64, the largest below 1.
pub(crate) fn to_uniform(word: u64) -> f64 {
    let upper = (word >> 11) as f64;
    upper * (1.0 / 9_007_199_254_740_992.0)
}
