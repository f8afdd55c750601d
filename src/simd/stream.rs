//! Stores past the caches, which nothing may read or write before they are settled.

use core::cell::Cell;
use core::marker::PhantomData;

use super::{LANES, Simd};

/// Stores vectors: past the caches, if that is wanted, where they are whole lines.
///
/// What it has been given stays borrowed for `'a`, and that does not end before [`with_stores`] does.
/// (`Cell`, so that nothing shortens `'a`, and that no other thread stores, whose stores this one could not
/// settle.)
pub(crate) struct Stores<'a, S: Simd> {
    simd: S,
    past_caches: bool,
    given: PhantomData<Cell<&'a mut [f32]>>,
}

/// Proof that what is streamed will be settled: only [`Stores`] has one.
#[derive(Debug)]
pub struct Streaming(());

/// Lends [`Stores`] to a kernel, and settles in the end what it has stored, also where the kernel panics.
#[inline(always)]
pub(crate) fn with_stores<'a, S: Simd>(simd: S, past_caches: bool, kernel: impl FnOnce(&Stores<'a, S>)) {
    kernel(&Stores { simd, past_caches, given: PhantomData });
}

impl<'a, S: Simd> Stores<'a, S> {
    #[inline(always)]
    pub(crate) fn store(&self, v: S::V, out: &'a mut [f32; LANES]) {
        if self.past_caches
            && let Ok(line) = bytemuck::try_cast_mut(out)
        {
            self.simd.stream(v, line, Streaming(()));
        } else {
            self.simd.store(v, out);
        }
    }
}

impl<S: Simd> Drop for Stores<'_, S> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.past_caches {
            self.simd.settle();
        }
    }
}
