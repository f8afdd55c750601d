//! Threads, each on a core of its own.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// So many threads (0: as many as there are cores) that stay on their cores. Left to the system, two that were
/// asleep may wake on one core, and stay there for longer than a call takes: that would be what is measured.
pub(crate) fn pool(threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let stay = move |thread| {
        if let Some(core) = cores.get(thread) {
            core_affinity::set_for_current(*core);
        }
    };
    ThreadPoolBuilder::new().num_threads(threads).start_handler(stay).build()
}
