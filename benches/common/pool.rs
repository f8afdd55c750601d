//! Threads that stay where they are.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// So many threads (0: as many as there are logical CPUs). If there is one for each of these, it stays there:
/// left to the system, two that were asleep may wake on one, and stay there for longer than a call takes.
/// That would be what is measured.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let stay = move |thread| {
        if let Some(core) = cores.get(thread).filter(|_| threads == 0 || threads == cores.len()) {
            core_affinity::set_for_current(*core);
        }
    };
    ThreadPoolBuilder::new().num_threads(threads).start_handler(stay).build()
}
