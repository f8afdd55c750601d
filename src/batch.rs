//! Rows in parallel: the only file that says rayon.
//!
//! A row is computed by one thread from its own data alone, so nothing here can change a result.

use std::sync::{Mutex, PoisonError};

use crate::check::{Temperatures, check_length, diagnose};
use crate::output::are_large;
use crate::{Error, FailedRows, Logit, RowError, Rows, RowsMut, Temperature};

/// The cost of weighing a row, in logits, of which one takes 0.2 ns or more. The 256 stand for what a row
/// costs by itself. (One of 16 tokens takes 150 ns or more, on a Zen 4. All costs err on the low side: a
/// thread that is woken for too little costs time.)
pub(crate) const fn cost_of_weighing(vocab: usize) -> usize {
    vocab.saturating_add(256)
}

/// The cost of scaling a row. (On two threads of a Zen 4, 4 x 128256 take 0.6 to 1.5 x the time of one.)
pub(crate) const fn cost_of_scaling(vocab: usize) -> usize {
    cost_of_weighing(vocab) / 2
}

/// The cost of searching a row. (On two threads of a Zen 4, 8 or 16 x 128256 take 0.6 to 1.4 x the time of
/// one, 32 x 128256 0.5 to 0.9 x.)
pub(crate) const fn cost_of_searching(vocab: usize) -> usize {
    cost_of_weighing(vocab) / 8
}

/// Writes one outcome per row. `cost` is that of a row, here and below.
pub(crate) fn fill_outcomes<L: Logit, T: Send>(
    rows: Rows<'_, L>,
    of: &'static str,
    out: &mut [T],
    cost: usize,
    kernel: impl Fn(usize, &[L]) -> T + Sync,
) -> Result<(), Error> {
    check_length(of, rows.rows(), out.len())?;
    for_each_chunk(out, 1, cost, || (), |(), index, out| out[0] = kernel(index, rows.row(index)));
    Ok(())
}

/// Writes a row for each row. The kernel is told whether to write past the caches; where it answers
/// `None`, the row is filled with NaN and reported.
pub(crate) fn map_rows<L: Logit>(
    logits: Rows<'_, L>,
    temperatures: &[Temperature],
    out: &mut RowsMut<'_>,
    cost: usize,
    kernel: impl Fn(&[L], &Temperature, &mut [f32], bool) -> Option<()> + Sync,
) -> Result<FailedRows, Error> {
    let temperatures = Temperatures::new(logits.rows(), temperatures)?;
    check_length("rows of the output", logits.rows(), out.rows())?;
    check_length("vocabulary of the output", logits.vocab(), out.vocab())?;
    let past_caches = are_large(out);
    Ok(for_each_row(
        out,
        cost,
        || (),
        |(), index, out| {
            let row = logits.row(index);
            kernel(row, temperatures.at(index), out, past_caches).ok_or_else(|| (diagnose(index, row), out))
        },
    ))
}

/// Changes each row. Where the kernel answers `None`, the row is reported, and filled with NaN: the logits
/// that are at fault must still be there.
pub(crate) fn map_rows_in_place(
    rows: &mut RowsMut<'_>,
    temperatures: &[Temperature],
    cost: usize,
    kernel: impl Fn(&mut [f32], &Temperature) -> Option<()> + Sync,
) -> Result<FailedRows, Error> {
    let temperatures = Temperatures::new(rows.rows(), temperatures)?;
    Ok(for_each_row(
        rows,
        cost,
        || (),
        |(), index, row| kernel(row, temperatures.at(index)).ok_or_else(|| (diagnose(index, row), row)),
    ))
}

/// Changes each row. A row that fails is given back, with the reason, and filled with NaN; the failures are
/// returned in order. For `init` and the state it makes, see [`for_each_chunk`].
pub(crate) fn for_each_row<'a, State>(
    rows: &'a mut RowsMut<'_>,
    cost: usize,
    init: impl Fn() -> State + Sync,
    kernel: impl Fn(&mut State, usize, &'a mut [f32]) -> Result<(), Failure<'a, f32>> + Sync,
) -> FailedRows {
    let (stride, vocab) = (rows.stride(), rows.vocab());
    for_each_part(rows.data_mut(), stride, vocab, cost, f32::NAN, init, kernel)
}

/// Writes the tokens of `draws` draws from each row. A row that fails has `u32::MAX` instead; the failures
/// are returned in order.
pub(crate) fn fill_tokens(
    tokens: &mut [u32],
    draws: usize,
    vocab: usize,
    cost_of_draw: usize,
    kernel: impl Fn(usize, &mut [u32]) -> Result<(), RowError> + Sync,
) -> FailedRows {
    let cost = cost_of_weighing(vocab).saturating_add(draws.saturating_mul(cost_of_draw));
    for_each_part(
        tokens,
        draws,
        draws,
        cost,
        u32::MAX,
        || (),
        |(), index, tokens| kernel(index, tokens).map_err(|error| (error, tokens)),
    )
}

/// The reason, and the part that failed, given back to be filled.
type Failure<'a, T> = (RowError, &'a mut [T]);

/// Calls `kernel` with the beginning (of `len` items) of each chunk of `stride` items. Where it fails, that
/// is filled with `failure`; the failures are returned in order.
fn for_each_part<'a, T: Copy + Send + Sync, State>(
    data: &'a mut [T],
    stride: usize,
    len: usize,
    cost: usize,
    failure: T,
    init: impl Fn() -> State + Sync,
    kernel: impl Fn(&mut State, usize, &'a mut [T]) -> Result<(), Failure<'a, T>> + Sync,
) -> FailedRows {
    let failed = Mutex::new(Vec::new());
    for_each_chunk(data, stride.max(1), cost, init, |state, row, data: &'a mut [T]| {
        if let Err((error, out)) = kernel(state, row, &mut data[..len]) {
            out.fill(failure);
            failed.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(RowError::row);
    FailedRows(failed)
}

/// What a thread is woken for: so a batch of less than twice that stays on the caller's. (On two cores of a
/// Zen 4, sharing 4 x 128256 takes 0.6 to 1.2 x the time, 8 x 128256 0.55 to 0.85 x, by where the threads lie
/// and how deeply they sleep.)
#[cfg(all(feature = "rayon", not(target_family = "wasm")))]
const WORTH_WAKING: usize = 250_000;

/// Calls `kernel` with each chunk of `chunk` items and its number: with rayon in the caller's pool, if all
/// chunks together, of that cost each, are worth it. The kernel also gets a state: `init` makes one for each
/// job, of which a thread mostly does one; it is dropped after the last chunk of that.
#[cfg_attr(
    not(all(feature = "rayon", not(target_family = "wasm"))),
    expect(unused_variables, reason = "on one thread, the cost decides nothing")
)]
fn for_each_chunk<'a, T: Send, State>(
    data: &'a mut [T],
    chunk: usize,
    cost: usize,
    init: impl Fn() -> State + Sync,
    kernel: impl Fn(&mut State, usize, &'a mut [T]) + Sync,
) {
    #[cfg(all(feature = "rayon", not(target_family = "wasm")))]
    {
        let chunks = data.len().div_ceil(chunk);
        let worth = chunks.min(chunks.saturating_mul(cost) / WORTH_WAKING);
        // (Asking how many threads there are starts the pool: not for a batch that needs none.)
        let threads = if worth > 1 { worth.min(rayon::current_num_threads()) } else { 1 };
        if threads > 1 {
            return share(data, chunk, threads, init, kernel);
        }
    }
    let mut state = init();
    for (i, data) in data.chunks_mut(chunk).enumerate() {
        kernel(&mut state, i, data);
    }
}

/// [`for_each_chunk`], on so many threads of the caller's pool. The caller takes part, also if it is in none:
/// to hand everything to a pool and to wait takes as long as to sample two rows of 128256. Each thread takes a
/// part of what is left when it comes to it, so that one that wakes late, or is slow, leaves more to the
/// others.
///
/// (A caller in no pool comes on top of these threads. With one thread less, the one that wakes is often that
/// of the caller's core: on two cores of a Zen 4, 16 rows took 1.75 x the time. Such a caller waits until all
/// threads have come to their jobs; one in the pool does those that no other has begun.)
#[cfg(all(feature = "rayon", not(target_family = "wasm")))]
fn share<'a, T: Send, State>(
    data: &'a mut [T],
    chunk: usize,
    threads: usize,
    init: impl Fn() -> State + Sync,
    kernel: impl Fn(&mut State, usize, &'a mut [T]) + Sync,
) {
    let left = Mutex::new((0, data));
    // Half of what is its share: the last parts are small, and all are few.
    let next_run = || {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, data) = &mut *left;
        let chunks = (data.len().div_ceil(chunk) / (2 * threads)).max(1);
        let run = data.split_off_mut(..data.len().min(chunks * chunk)).filter(|run| !run.is_empty())?;
        *first += chunks;
        Some((*first - chunks, run))
    };
    let work = || {
        let mut state = init();
        while let Some((first, run)) = next_run() {
            for (i, data) in run.chunks_mut(chunk).enumerate() {
                kernel(&mut state, first + i, data);
            }
        }
    };
    let others = if rayon::current_thread_index().is_some() { threads - 1 } else { threads };
    rayon::in_place_scope(|scope| {
        (0..others).for_each(|_| scope.spawn(|_| work()));
        work();
    });
}

#[cfg(all(test, feature = "rayon", not(target_family = "wasm")))]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use std::thread::{current, sleep};
    use std::time::{Duration, Instant};

    use super::*;

    /// How many threads a batch of such rows is served by, where so many are free. (Its first row waits for
    /// the second thread as long as it may.)
    fn threads(free: usize, rows: usize, cost: usize, patience: Duration) -> usize {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(free).build().expect("a pool");
        let (threads, start) = (Mutex::new(HashSet::new()), Instant::now());
        let seen = || threads.lock().expect("no panic").len();
        pool.install(|| {
            for_each_chunk(
                &mut vec![(); rows],
                1,
                cost,
                || (),
                |(), row, _| {
                    threads.lock().expect("no panic").insert(current().id());
                    while row == 0 && seen() < 2 && start.elapsed() < patience {
                        sleep(Duration::from_millis(1));
                    }
                },
            );
        });
        threads.into_inner().expect("no panic").len()
    }

    /// Whoever takes part, and in whatever runs: each chunk once, by its number, the last one shorter; and a
    /// state for each job.
    #[test]
    fn every_chunk_is_done_once() {
        for (len, chunk) in [(2, 1), (3, 2), (64, 1), (100, 7), (1000, 3)] {
            for threads in 2..6 {
                let (mut data, states) = (vec![0; len], AtomicUsize::new(0));
                share(
                    &mut data,
                    chunk,
                    threads,
                    || states.fetch_add(1, Relaxed),
                    |_, number, items| items.iter_mut().for_each(|item| *item += 1 + number),
                );
                let expected = (0..len).map(|i| 1 + i / chunk).collect::<Vec<_>>();
                assert_eq!(data, expected, "{len} in chunks of {chunk}, {threads} threads");
                assert!(states.into_inner() <= threads + 1);
            }
        }
    }

    /// In no pool, too.
    #[test]
    fn the_caller_takes_part() {
        let (caller, start, begun) = (current().id(), Instant::now(), AtomicBool::new(false));
        share(
            &mut [(); 64],
            1,
            2,
            || (),
            |(), _, _| {
                begun.fetch_or(current().id() == caller, Relaxed);
                while !begun.load(Relaxed) && start.elapsed() < Duration::from_secs(60) {
                    sleep(Duration::from_millis(1));
                }
            },
        );
        assert!(begun.into_inner());
    }

    #[test]
    fn small_batches_stay_on_one_thread() {
        let one = |rows, cost| assert_eq!(threads(2, rows, cost, Duration::from_millis(10)), 1);
        let two = |rows, cost| assert_eq!(threads(2, rows, cost, Duration::from_secs(60)), 2);
        for (rows, vocab) in [(1, 32_000), (8, 32_000), (1, 1 << 20)] {
            one(rows, cost_of_weighing(vocab));
        }
        one(15, cost_of_searching(128_256));
        // Many short rows are no small batch.
        for (rows, vocab) in [(64, 32_000), (2000, 16)] {
            two(rows, cost_of_weighing(vocab));
        }
        two(16_000, cost_of_searching(1));
        // No more than are worth waking.
        assert_eq!(threads(4, 64, WORTH_WAKING / 32 + 1, Duration::from_secs(60)), 2);
    }
}
