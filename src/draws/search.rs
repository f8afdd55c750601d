//! From uniforms to the tokens of a [`Cdf`].

use core::mem::replace;

use super::cdf::Cdf;
use crate::blocks::{GROUPS, padded};
use crate::inversion::find_lanes;
use crate::simd::{LANES, Simd, VECTORS, dispatch};

/// Up to this many uniforms take less time one by one than sixteen at once. (35 ns each, or
/// 160 ns for all sixteen, on a Zen 4.)
const FEW: usize = 4;

impl Cdf {
    /// The tokens of uniforms that are in range.
    pub(super) fn search(&self, uniforms: &[f64], tokens: &mut [u32]) {
        if !self.guide.is_empty() {
            return self.guide.search(self, uniforms, tokens);
        }
        self.find(uniforms, tokens);
    }

    /// The same, without the guide.
    pub(super) fn find(&self, uniforms: &[f64], tokens: &mut [u32]) {
        dispatch!(self.level, simd => find_all(Complete(simd, self), uniforms, tokens));
    }

    /// The same, in a table whose vectors are not summed: it is done where tokens are drawn from. (1000 draws
    /// come from a third of the groups of 128,256 Gaussian logits, and take 0.88 x the time, the table
    /// included.)
    pub(super) fn find_lazily(&mut self, uniforms: &[f64], tokens: &mut [u32]) {
        dispatch!(self.level, simd => find_all(Lazy(simd, self), uniforms, tokens));
    }

    /// The vectors of groups that nothing was drawn from so far. (They are listed first: a branch for each
    /// draw could not be foreseen.)
    #[inline(always)]
    fn sum_new<S: Simd, const N: usize>(&mut self, simd: S, places: &Places<N>) {
        let (mut new, mut count) = ([0; N], 0);
        for &group in &places.groups {
            new[count] = group;
            count += usize::from(!replace(&mut self.summed[group], true));
        }
        for &group in &new[..count] {
            self.finish_group(simd, group);
        }
    }

    /// Where the targets of uniforms lie. (Step by step for all of them, so that the searches overlap.)
    #[inline(always)]
    fn find_groups<const N: usize>(&self, uniforms: &[f64; N]) -> Places<N> {
        let mut targets = [0.0; N];
        for i in 0..N {
            targets[i] = uniforms[i] * self.sum;
        }
        let blocks = self.prefixes.find(uniforms, &targets);
        let mut places = Places { groups: [0; N], within: [0.0; N] };
        for i in 0..N {
            let (group, within) = self.groups[blocks[i]].find(targets[i]);
            (places.groups[i], places.within[i]) = (blocks[i] * GROUPS + group, within);
        }
        places
    }

    /// The tokens there. The vectors of their groups are summed.
    #[inline(always)]
    fn find_tokens<S: Simd, const N: usize>(&self, simd: S, places: &Places<N>) -> [u32; N] {
        let (mut tokens, mut targets, mut weights) = ([self.first; N], [0.0; N], [&[0.0; LANES]; N]);
        for i in 0..N {
            let group = places.groups[i];
            let (vector, within) = self.vectors[group].find(simd, places.within[i]);
            let vector = group * VECTORS + vector;
            (targets[i], weights[i]) = (within, self.weights[vector].as_array());
            tokens[i] += (vector * LANES) as u32;
        }
        let lanes = find_lanes(simd, weights, &targets);
        for i in 0..N {
            tokens[i] += lanes[i];
        }
        tokens
    }
}

/// Where targets lie: in which groups of the row, and what of each is left there.
struct Places<const N: usize> {
    groups: [usize; N],
    within: [f64; N],
}

/// What finds tokens, for several uniforms at once or for one.
trait Find {
    fn tokens<const N: usize>(&mut self, uniforms: &[f64; N]) -> [u32; N];
}

/// In a table with all its vectors.
struct Complete<'a, S>(S, &'a Cdf);

impl<S: Simd> Find for Complete<'_, S> {
    #[inline(always)]
    fn tokens<const N: usize>(&mut self, uniforms: &[f64; N]) -> [u32; N] {
        let Self(simd, cdf) = self;
        cdf.find_tokens(*simd, &cdf.find_groups(uniforms))
    }
}

/// In a table that gets those it needs.
struct Lazy<'a, S>(S, &'a mut Cdf);

impl<S: Simd> Find for Lazy<'_, S> {
    #[inline(always)]
    fn tokens<const N: usize>(&mut self, uniforms: &[f64; N]) -> [u32; N] {
        let Self(simd, cdf) = self;
        let places = cdf.find_groups(uniforms);
        cdf.sum_new(*simd, &places);
        cdf.find_tokens(*simd, &places)
    }
}

/// The tokens of all uniforms: of sixteen at a time, and of the last ones one by one if they are few.
#[inline(always)]
fn find_all(mut find: impl Find, uniforms: &[f64], tokens: &mut [u32]) {
    let rest = uniforms.len() % LANES;
    let (sixteens, few) = uniforms.split_at(uniforms.len() - if rest > FEW { 0 } else { rest });
    let (out_sixteens, out_few) = tokens.split_at_mut(sixteens.len());
    for (uniforms, tokens) in sixteens.chunks(LANES).zip(out_sixteens.chunks_mut(LANES)) {
        let room;
        let sixteen = match uniforms.first_chunk::<LANES>() {
            Some(sixteen) => sixteen,
            None => {
                room = padded(uniforms, uniforms[0]);
                &room
            }
        };
        let found = find.tokens(sixteen);
        match tokens.first_chunk_mut() {
            Some(tokens) => *tokens = found,
            None => tokens.copy_from_slice(&found[..tokens.len()]),
        }
    }
    for (&uniform, token) in few.iter().zip(out_few) {
        [*token] = find.tokens(&[uniform]);
    }
}
