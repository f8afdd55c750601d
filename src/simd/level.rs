//! The instruction sets, and the choice among them at run time.

use core::fmt;
use core::str::FromStr;
use std::sync::OnceLock;

use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use crate::Error;

/// An instruction set that this CPU supports: what the kernels run on.
///
/// The only ways to a `Level` ask the CPU, so having one is the proof that it works. Every level gives
/// the same bits; they differ in speed alone. The free functions of this crate run on [`Level::best`];
/// each is also a method of `Level`, for tests and benchmarks.
///
/// ```
/// use kelvin::Level;
///
/// for level in Level::available() {
///     println!("{level}");
/// }
/// let level: Level = "portable".parse()?;
/// # Ok::<(), kelvin::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level(pub(crate) Isa);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Isa {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Level {
    /// The fastest level of this CPU, found once. The environment variable `KELVIN_LEVEL`
    /// (`portable`, `avx2`, `avx512`) lowers it, for debugging; a name that is not available here is
    /// ignored.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| {
            let wanted = std::env::var("KELVIN_LEVEL").ok().and_then(|name| name.parse().ok());
            wanted.or_else(|| Self::available().next()).unwrap_or(Self(Isa::Portable(Portable)))
        })
    }

    /// Every level of this CPU, the fastest first, whatever `KELVIN_LEVEL` says.
    pub fn available() -> impl Iterator<Item = Self> {
        let portable = Some(Self(Isa::Portable(Portable)));
        #[cfg(target_arch = "x86_64")]
        let all = [
            Avx512::detect().map(|token| Self(Isa::Avx512(token))),
            Avx2::detect().map(|token| Self(Isa::Avx2(token))),
            portable,
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let all = [portable];
        all.into_iter().flatten()
    }

    /// `portable`, `avx2` or `avx512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Isa::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
        }
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::best()
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.name())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = Error;

    /// The level of that name, in whatever case.
    ///
    /// # Errors
    /// [`Error::Level`] if there is none of that name, or this CPU lacks it.
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::available().find(|level| level.name().eq_ignore_ascii_case(name)).ok_or(Error::Level)
    }
}

/// `dispatch!(level, simd => kernel(simd, ..))`: the kernel, compiled once for each level.
macro_rules! dispatch {
    ($level:expr, $simd:ident => $kernel:expr) => {
        match $level.0 {
            $crate::simd::Isa::Portable($simd) => $simd.vectorize(
                #[inline(always)]
                || $kernel,
            ),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx2($simd) => $simd.vectorize(
                #[inline(always)]
                || $kernel,
            ),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Isa::Avx512($simd) => $simd.vectorize(
                #[inline(always)]
                || $kernel,
            ),
        }
    };
}
pub(crate) use dispatch;
