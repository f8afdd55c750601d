//! Memory that each thread keeps from call to call.

use std::cell::Cell;
use std::thread::LocalKey;

/// The thread's own, with whatever the last borrower left in it, so that only a longer row than any before
/// allocates. (Where the thread is ending, and may have dropped it, it is new.)
pub(crate) fn borrow<T: Default>(kept: &'static LocalKey<Cell<T>>) -> T {
    kept.try_with(Cell::take).unwrap_or_default()
}

/// For the next borrower.
pub(crate) fn give_back<T>(kept: &'static LocalKey<Cell<T>>, scratch: T) {
    // An error: there is no place to keep it any more.
    let _ = kept.try_with(|place| place.set(scratch));
}

/// Lends the thread's own to a kernel.
pub(crate) fn with_scratch<T: Default, R>(
    kept: &'static LocalKey<Cell<T>>,
    kernel: impl FnOnce(&mut T) -> R,
) -> R {
    let mut scratch = borrow(kept);
    let result = kernel(&mut scratch);
    give_back(kept, scratch);
    result
}

/// Room for `len`, with whatever the last borrower left in it: it only ever grows.
pub(crate) fn room<T: Clone>(kept: &mut Vec<T>, len: usize, filler: T) -> &mut [T] {
    kept.resize(kept.len().max(len), filler);
    &mut kept[..len]
}
