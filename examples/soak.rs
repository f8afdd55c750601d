//! Load, with faults: many threads draw from random mixed batches in which one row in a hundred is poisoned,
//! and each outcome is compared with that of its row alone, on a level chosen at random. Fails if one
//! differs, or if memory grows.
//!
//! ```text
//! cargo run --release --example soak -- --seconds 600 --threads 8
//! ```

use kelvin::{Draw, Key, Level, RowError, Rows, Temperature};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Options {
    time: Duration,
    threads: u64,
}

#[derive(Default)]
struct Counts {
    rows: AtomicU64,
    faults: AtomicU64,
    mismatches: AtomicU64,
}

/// A row's outcome, by its bits.
type Outcome = Result<(u32, u32), RowError>;

fn main() -> Result<ExitCode, lexopt::Error> {
    let Some(options) = options()? else { return Ok(ExitCode::SUCCESS) };
    let (counts, start) = (Counts::default(), Instant::now());
    let done = || start.elapsed() >= options.time;
    let mut warm = None;
    std::thread::scope(|scope| {
        for thread in 0..options.threads {
            let counts = &counts;
            scope.spawn(move || {
                (0..).take_while(|_| !done()).for_each(|n| serve(Seed(thread << 40 | n), counts))
            });
        }
        while !done() {
            std::thread::sleep((options.time / 10).min(options.time.saturating_sub(start.elapsed())));
            report(start.elapsed(), &counts);
            warm = warm.or_else(resident);
        }
    });
    println!("all threads have stopped");
    report(start.elapsed(), &counts);
    let right = counts.mismatches.load(Relaxed) == 0 && counts.rows.load(Relaxed) > 0;
    Ok(if right && is_flat(warm, options.threads) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether memory at the end is what it was when warm, but for the batches that threads happen to hold.
fn is_flat(warm: Option<u64>, threads: u64) -> bool {
    let (Some(warm), Some(end)) = (warm, resident()) else {
        println!("memory: not looked at (only Linux tells)");
        return true;
    };
    let allowed = warm + 4 * threads;
    println!("memory: {warm} MiB after the first tenth, {end} MiB at the end, {allowed} MiB allowed");
    end <= allowed
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options { time: Duration::from_secs(600), threads: 4 };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => options.time = Duration::from_secs(arguments.value()?.parse()?),
            Long("threads") => options.threads = arguments.value()?.parse()?,
            Long("help") => {
                println!("soak [--seconds 600] [--threads 4]");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn report(time: Duration, counts: &Counts) {
    let [rows, faults, mismatches] =
        [&counts.rows, &counts.faults, &counts.mismatches].map(|count| count.load(Relaxed));
    let memory = resident().map_or(String::new(), |memory| format!(", {memory} MiB resident"));
    let seconds = time.as_secs();
    println!("{seconds} s: {rows} rows served, {faults} faults injected, {mismatches} mismatches{memory}");
}

/// The process's memory in MiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<u64>().ok()? >> 10)
}

/// Draws one batch, then each of its rows alone.
fn serve(seed: Seed, counts: &Counts) {
    let batch = Batch::new(seed, counts);
    let all: Vec<usize> = (0..batch.rows).collect();
    let together = batch.draw(Level::best(), &all);
    let levels: Vec<Level> = Level::available().collect();
    for (row, outcome) in together.into_iter().enumerate() {
        let level = levels[seed.below(100_000 + row, levels.len())];
        let alone = batch.draw(level, &[row])[0].map_err(|error| in_row(error, row));
        // Bad rows must fail, and no others.
        let right = outcome == alone && outcome.is_err() == batch.is_poisoned(row);
        counts.mismatches.fetch_add(u64::from(!right), Relaxed);
    }
    counts.rows.fetch_add(batch.rows as u64, Relaxed);
}

/// The error of a row that was alone, as it would be in a batch.
fn in_row(error: RowError, row: usize) -> RowError {
    match error {
        RowError::Logit { index, value, .. } => RowError::Logit { row, index, value },
        RowError::NothingToDraw { .. } => RowError::NothingToDraw { row },
        other => other,
    }
}

/// Rows of one vocabulary, with gaps; a temperature and a uniform for each.
struct Batch {
    rows: usize,
    vocab: usize,
    stride: usize,
    data: Vec<f32>,
    temperatures: Vec<Temperature>,
    uniforms: Vec<f64>,
}

impl Batch {
    fn new(seed: Seed, counts: &Counts) -> Self {
        const TEMPERATURES: [f32; 10] =
            [0.0, f32::MIN_POSITIVE, 1e-6, 0.1, 0.7, 1.0, 1.3, 5.0, 1e30, f32::INFINITY];
        // Rows few or many, short or long; now and then so much that the batch is shared among threads.
        let (rows, vocab) =
            [(1, 151_936), (5, 128_256), (16, 32_000), (64, 5003), (300, 17)][seed.below(0, 5)];
        let stride = vocab + seed.below(1, 40);
        let mut noise = vec![0.0; stride];
        Key { seed: seed.0, position: 1 << 32 }.fill(&mut noise);
        let spread = [1.0, 20.0, 3000.0][seed.below(2, 3)];
        // Each row starts elsewhere in the same noise: as good as new, and much faster to make.
        let data =
            (0..rows * stride).map(|i| (noise[(i + i / stride * 31) % stride] * spread) as f32).collect();
        let temperature = |row| TEMPERATURES[seed.below(1000 + row, TEMPERATURES.len())];
        let temperatures =
            (0..rows).map(temperature).map(|t| Temperature::new(t).expect("0 or more")).collect();
        let uniforms = (0..rows).map(|row| seed.uniform(2000 + row)).collect();
        let mut batch = Self { rows, vocab, stride, data, temperatures, uniforms };
        (0..rows).for_each(|row| batch.poison(seed, row, counts));
        batch
    }

    /// Spoils one row in a hundred; masks a part of every other.
    fn poison(&mut self, seed: Seed, row: usize, counts: &Counts) {
        let logits = &mut self.data[row * self.stride..][..self.vocab];
        let middle = seed.below(3000 + row, self.vocab);
        if seed.below(4000 + row, 2) == 0 {
            logits[middle / 2..middle].fill(f32::NEG_INFINITY);
        }
        if seed.below(5000 + row, 100) > 0 {
            return;
        }
        counts.faults.fetch_add(1, Relaxed);
        match seed.below(6000 + row, 3) {
            0 => logits[middle] = f32::NAN,
            1 => logits[middle] = f32::INFINITY,
            _ => logits.fill(f32::NEG_INFINITY),
        }
    }

    fn is_poisoned(&self, row: usize) -> bool {
        let logits = &self.data[row * self.stride..][..self.vocab];
        logits.iter().any(|x| x.is_nan() || *x == f32::INFINITY)
            || logits.iter().all(|x| *x == f32::NEG_INFINITY)
    }

    /// Some of the rows that follow each other, as one batch.
    fn draw(&self, level: Level, rows: &[usize]) -> Vec<Outcome> {
        let (first, last) = (rows[0], rows[rows.len() - 1]);
        let logits =
            Rows::with_stride(&self.data[first * self.stride..], rows.len(), self.vocab, self.stride);
        let (t, u) = (&self.temperatures[first..=last], &self.uniforms[first..=last]);
        let mut draws = vec![Ok(Draw::default()); rows.len()];
        let logits = logits.expect("the shape that was made");
        level.sample(logits, t, u, &mut draws).expect("one of each per row");
        draws.into_iter().map(|draw| draw.map(|draw| (draw.token, draw.logprob.to_bits()))).collect()
    }
}

/// Random numbers of one batch, by their place.
#[derive(Clone, Copy)]
struct Seed(u64);

impl Seed {
    fn uniform(self, place: usize) -> f64 {
        Key { seed: self.0, position: place as u64 }.uniform()
    }

    fn below(self, place: usize, end: usize) -> usize {
        (self.uniform(place) * end as f64) as usize
    }
}
