//! From uniforms to the tokens of a [`Cdf`].

use super::cdf::Cdf;
use crate::inversion::find_lanes;
use crate::simd::{EIGHTS, LANES, Simd, WIDE_LANES, dispatch};

/// Uniforms that are searched for step by step, all of them: so the searches overlap. (1000 draws on a Zen 4:
/// 32 or 64 at a time take 1.02 x the time of 128, the table included.)
pub(super) const TOGETHER: usize = 128;

/// Lanes of up to this many tokens are searched for one by one, those of more sixteen at once.
const FEW: usize = 4;

impl Cdf {
    /// The tokens of uniforms that are in range, of which there are enough.
    pub(super) fn search(&self, uniforms: impl Iterator<Item = f64>, tokens: &mut [u32]) {
        if !self.guide.is_empty() {
            return self.guide.search(self, uniforms, tokens);
        }
        self.search_without_guide(uniforms, tokens);
    }

    /// The same, without the guide.
    pub(super) fn search_without_guide(&self, uniforms: impl Iterator<Item = f64>, tokens: &mut [u32]) {
        match tokens.len() {
            1 => self.find_together::<1>(uniforms, tokens),
            ..=LANES => self.find_together::<LANES>(uniforms, tokens),
            _ => self.find_together::<TOGETHER>(uniforms, tokens),
        }
    }

    fn find_together<const N: usize>(&self, uniforms: impl Iterator<Item = f64>, tokens: &mut [u32]) {
        dispatch!(self.level, simd => {
            let mut uniforms = uniforms; // (here, in registers)
            let mut places = [Place::default(); N];
            for tokens in tokens.chunks_mut(N) {
                self.find_groups(simd, &mut uniforms, &mut places[..tokens.len()]);
                self.find_tokens(simd, &places, tokens);
            }
        });
    }

    /// Where the targets of uniforms lie, one for each place. (They are taken as they are needed: those of a
    /// key wait for one another, but no search waits for them.)
    #[inline(always)]
    pub(super) fn find_groups<S: Simd>(
        &self,
        simd: S,
        uniforms: &mut impl Iterator<Item = f64>,
        places: &mut [Place],
    ) {
        for (place, uniform) in places.iter_mut().zip(uniforms) {
            let (group, within) = self.prefixes.find(simd, uniform, uniform * self.sum);
            *place = Place { group, within };
        }
    }

    /// The tokens there. Their groups are finished.
    #[inline(always)]
    pub(super) fn find_tokens<S: Simd, const N: usize>(
        &self,
        simd: S,
        places: &[Place; N],
        tokens: &mut [u32],
    ) {
        let (mut eights, mut targets) = ([0; N], [0.0; N]);
        for (place, (eight, target)) in places[..tokens.len()].iter().zip(eights.iter_mut().zip(&mut targets))
        {
            let within = place.within * self.scales[place.group];
            let (number, within) = self.eights[place.group].find(simd, within);
            (*eight, *target) = (place.group * EIGHTS + number, within);
        }
        let weights: &[[f32; WIDE_LANES]] = bytemuck::must_cast_slice(&self.weights);
        if tokens.len() <= FEW {
            for (token, (eight, target)) in tokens.iter_mut().zip(eights.iter().zip(&targets)) {
                let [lane] = find_lanes(simd, [&weights[*eight]], &[*target]);
                *token = self.first + (eight * WIDE_LANES) as u32 + lane;
            }
            return;
        }
        // Also of places beyond the last token: what is found there is left out.
        let sixteens = eights.as_chunks::<LANES>().0.iter().zip(targets.as_chunks().0);
        for (tokens, (eights, targets)) in tokens.chunks_mut(LANES).zip(sixteens) {
            let (mut of_eights, mut found) = ([&[0.0; WIDE_LANES]; LANES], [self.first; LANES]);
            for i in 0..LANES {
                of_eights[i] = &weights[eights[i]];
            }
            let lanes = find_lanes(simd, of_eights, targets);
            for i in 0..LANES {
                found[i] += (eights[i] * WIDE_LANES) as u32 + lanes[i];
            }
            match tokens.first_chunk_mut() {
                Some(tokens) => *tokens = found,
                None => tokens.copy_from_slice(&found[..tokens.len()]),
            }
        }
    }
}

/// Where a target lies: in which group of the row, and what of it is left there.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) group: usize,
    within: f64,
}
