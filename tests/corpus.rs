//! The fuzz targets without a fuzzer: on the committed seeds, and on random bytes.

mod common;

use common::properties::TARGETS;
use common::thinned;
use kelvin::Key;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// (Relative to the package, where tests run: a sandbox like WASI's knows no other path.)
#[test]
fn committed_seeds_hold() {
    for &(target, property) in TARGETS {
        let seeds = std::fs::read_dir(format!("tests/corpus/{target}")).expect("seeds of each target");
        let mut seeds: Vec<_> = seeds.map(|entry| entry.expect("a file").path()).collect();
        seeds.sort();
        let mut count = 0;
        for seed in thinned(seeds, 4) {
            let bytes = std::fs::read(&seed).expect("readable");
            named(&seed.display().to_string(), || property(&bytes));
            count += 1;
        }
        println!("{target}: {count} seeds");
        assert!(count > 0, "{target} has no seeds");
    }
}

#[test]
fn random_bytes_hold() {
    for &(target, property) in TARGETS {
        for seed in thinned(0..200, 10) {
            let mut uniforms = [0.0; 200];
            Key { seed, position: 0 }.fill(&mut uniforms);
            let len = 1 + (uniforms[0] * 199.0) as usize;
            let bytes: Vec<u8> = uniforms[..len].iter().map(|u| (u * 256.0) as u8).collect();
            named(&format!("{target}, random bytes {seed}"), || property(&bytes));
        }
    }
}

/// Says which input it was that failed.
fn named(input: &str, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("failed on {input}");
        resume_unwind(panic);
    }
}
