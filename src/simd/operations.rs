//! Intrinsics as safe methods of a token.

/// Writes [`Simd::vectorize`](super::Simd::vectorize), and each operation as a safe function with the
/// features on, called through the token.
macro_rules! operations {
    ($features:literal $(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? $body:block)*) => {
        #[inline(always)]
        fn vectorize<R>(self, kernel: impl FnOnce() -> R) -> R {
            #[inline]
            #[target_feature(enable = $features)]
            fn entry<R>(kernel: impl FnOnce() -> R) -> R {
                kernel()
            }
            // SAFETY: the token exists only where `detect` has found every feature named.
            unsafe { entry(kernel) }
        }
        $(
            #[inline(always)]
            fn $name(self, $($arg: $ty),*) $(-> $out)? {
                #[inline]
                #[target_feature(enable = $features)]
                fn operation($($arg: $ty),*) $(-> $out)? $body
                // SAFETY: the token exists only where `detect` has found every feature named.
                unsafe { operation($($arg),*) }
            }
        )*
    };
}
