//! What the tests and the fuzzers share: inputs, levels, and the checks themselves.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part, and so do the fuzzers")]

pub mod batch;
pub mod case;
pub mod check;
pub mod many;
pub mod properties;
pub mod statistics;

use kelvin::{Error, FailedRows, Key, Level, Logit, RowError, Rows, Temperature};

/// The vocabularies of Llama 2, GPT-2, Llama 3, Qwen 2 and Gemma.
pub const VOCABS: [usize; 5] = [32000, 50257, 128_256, 151_936, 262_144];

/// The temperatures every kernel is tried at, to the ends of f32.
pub const TEMPERATURES: [f32; 13] =
    [0.0, f32::MIN_POSITIVE, 1e-30, 1e-6, 0.01, 0.7, 1.0, 6.0, 1e4, 1e30, 1e38, f32::MAX, f32::INFINITY];

/// Logits that kernels get wrong.
pub const SPECIAL: [f32; 12] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    0.0,
    -0.0,
    1e-45,
    -1e-39,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    100.0,
    -100.0,
];

/// The last of the 2^53 uniforms.
pub const LAST_UNIFORM: f64 = 1.0 - f64::EPSILON / 2.0;

/// The order in which a growing uniform draws the first of distinct tokens: block by block, and in each by
/// the digits of the index, the lowest first: 4 x 4 lanes, 8 x 4 vectors.
pub fn order_of_distinct(vocab: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..vocab).collect();
    order.sort_by_key(|token| (token / 512, token % 4, token / 4 % 4, token / 16 % 8, token / 128));
    order
}

/// What the thresholds of an alias table can resolve, and the rounding of the exact values in f64.
pub fn resolution(vocab: usize) -> f64 {
    let bits = usize::BITS - (vocab - 1).leading_zeros();
    f64::from(bits as f32 - 51.0).exp2() + 1e-14
}

/// A batch of this row alone.
pub fn one<L: Logit>(row: &[L]) -> Rows<'_, L> {
    Rows::new(row, row.len()).expect("one row")
}

/// A temperature that is not refused.
pub fn temperature(value: f32) -> Temperature {
    Temperature::new(value).expect("0 or more")
}

/// Every level of this CPU. With `KELVIN_REQUIRE_LEVELS=portable,avx2,avx512` a missing one is a failure.
pub fn levels() -> Vec<Level> {
    let levels: Vec<Level> = Level::available().collect();
    let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
    println!("levels: {}", names.join(", "));
    let required = std::env::var("KELVIN_REQUIRE_LEVELS").unwrap_or_default();
    for name in required.split(',').filter(|name| !name.is_empty()) {
        assert!(names.contains(&name), "level {name} is required, but this CPU has only {names:?}");
    }
    levels
}

/// All of them; with `KELVIN_TEST_QUICK` (for emulators), every n-th: as many kinds of checks, with fewer
/// inputs.
pub fn thinned<T>(all: impl IntoIterator<Item = T>, n: usize) -> impl Iterator<Item = T> {
    let quick = std::env::var_os("KELVIN_TEST_QUICK").is_some();
    all.into_iter().step_by(if quick { n } else { 1 })
}

/// As many uniforms, from a seed.
pub fn uniforms(len: usize, seed: u64) -> Vec<f64> {
    let mut uniforms = vec![0.0; len];
    Key { seed, position: 0 }.fill(&mut uniforms);
    uniforms
}

/// In a pool of one to seven threads, made once.
#[cfg(all(feature = "rayon", not(target_family = "wasm")))]
pub fn in_pool<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    use std::sync::OnceLock;
    static POOLS: [OnceLock<rayon::ThreadPool>; 7] = [const { OnceLock::new() }; 7];
    let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    POOLS[threads - 1].get_or_init(build).install(run)
}

#[cfg(not(all(feature = "rayon", not(target_family = "wasm"))))]
pub fn in_pool<R: Send>(_threads: usize, run: impl FnOnce() -> R + Send) -> R {
    run()
}

/// No row of a batch failed.
#[track_caller]
pub fn served(failed: Result<FailedRows, Error>) {
    failed.expect("shapes fit").into_result().expect("served");
}

/// Nearly normal logits: twelve uniforms added up, so that every platform makes the same ones.
pub fn gaussian(vocab: usize, deviation: f64, seed: u64) -> Vec<f32> {
    let normal = |u: &[f64]| (deviation * (u.iter().sum::<f64>() - 6.0)) as f32;
    uniforms(12 * vocab, seed).chunks(12).map(normal).collect()
}

/// Nine rows of so many logits, two of which cannot be served, and why; a temperature and a key for each.
pub fn nine_rows(vocab: usize) -> (Vec<f32>, [Temperature; 9], [Key; 9], [RowError; 2]) {
    let mut data = gaussian(9 * vocab, 3.0, 1);
    data[vocab + 3] = f32::NAN;
    data[4 * vocab..5 * vocab].fill(f32::NEG_INFINITY);
    let temperatures = [1.0, 1.0, 0.7, 1e30, 1.0, 0.1, f32::INFINITY, 2.0, 0.0];
    let keys = core::array::from_fn(|row| Key { seed: 3, position: row as u64 });
    let errors = [RowError::Logit { row: 1, index: 3, value: f32::NAN }, RowError::NothingToDraw { row: 4 }];
    (data, temperatures.map(temperature), keys, errors)
}

/// What a table of each row draws with the row's key; `u32::MAX` where there is no table.
pub fn drawn_by_tables<T>(
    keys: &[Key],
    draws: usize,
    table: impl Fn(usize) -> Result<T, RowError>,
    draw: fn(&T, Key, &mut [u32]) -> Result<(), Error>,
) -> Vec<u32> {
    let mut tokens = vec![u32::MAX; keys.len() * draws];
    for (row, tokens) in tokens.chunks_mut(draws).enumerate() {
        if let Ok(table) = table(row) {
            draw(&table, keys[row], tokens).expect("a table");
        }
    }
    tokens
}

/// The four shapes of rows that distributions are measured on.
pub fn shapes(vocab: usize) -> [(&'static str, Vec<f32>); 4] {
    let zipf = |rank: usize| -1.1 * ((1 + rank) as f32).ln();
    let mut peaked = gaussian(vocab, 1.0, 3);
    peaked[vocab / 3] = 18.0;
    peaked[vocab / 2] = 16.5;
    [
        ("Zipf", (0..vocab).map(|i| zipf(i * 7919 % vocab)).collect()),
        ("peaked with tail", peaked),
        ("Gaussian s=3", gaussian(vocab, 3.0, 1)),
        ("Gaussian s=1", gaussian(vocab, 1.0, 2)),
    ]
}

/// Rows of weights: zeros at both ends and in runs, one alone, subnormal ones, a sum beyond f32, equal ones;
/// and light and heavy ones in every order, which an alias table pairs.
pub fn odd_weights() -> Vec<Vec<f32>> {
    let mut runs = vec![0.0; 3000];
    runs[600..700].fill(0.3);
    runs[1536..2048].copy_from_slice(&gaussian(512, 1.0, 1).iter().map(|x| x.exp2()).collect::<Vec<_>>());
    runs[2500] = 7.0;
    let mut alone = vec![0.0; 2000];
    alone[1234] = 1e-45;
    let mut odd = vec![runs, alone, vec![f32::MAX; 1500], vec![1.0], vec![0.0, 2.0, 0.0]];
    odd.push((0..900).map(f32::from_bits).collect());
    odd.push((0..900).map(|i| 10_f32.powi(i % 76 - 38)).collect());
    odd.extend((1..300).flat_map(|len| [0.1, 0.3, 0.7].map(|w| vec![w; len])));
    for len in [2, 3, 4, 5, 7, 8, 64, 100, 1000, 1023, 1024, 1025] {
        odd.push(vec![0.1; len]);
        odd.push((0..len).map(|i| i as f32).collect());
        odd.push((0..len).map(|i| (len - i) as f32).collect());
        odd.push((0..len).map(|i| if i % 2 == 0 { 1.0 } else { 3.0 }).collect());
        odd.push((0..len).map(|i| if i == len / 2 { 1.0 } else { 1e-30 }).collect());
        odd.push(gaussian(len, 4.0, len as u64).iter().map(|x| x.exp2()).collect());
    }
    odd
}

/// Logits, as bits, that weigh so that the f32 additions of each group round up; and others, down.
pub const ROUNDED_UP: [u32; 8] = [
    3_200_645_072,
    3_228_640_089,
    3_226_225_170,
    3_219_316_404,
    3_232_230_593,
    3_223_166_908,
    3_219_301_453,
    3_218_621_595,
];
pub const ROUNDED_DOWN: [u32; 8] = [
    3_238_206_842,
    3_240_748_890,
    3_234_653_771,
    3_231_725_328,
    3_230_319_450,
    3_230_320_520,
    3_235_525_370,
    3_231_777_830,
];

/// Blocks of such logits: each fills one vector of every group.
pub fn blocks_of(logits: [u32; 8], blocks: usize) -> Vec<f32> {
    (0..blocks * 512).map(|i| f32::from_bits(logits[i % 128 / 16])).collect()
}
