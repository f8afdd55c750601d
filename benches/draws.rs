//! Many draws from one row, against `rand` and `rand_distr`, in ratios within one run.
//!
//! ```text
//! cargo bench --bench draws
//! TORCH_US=344 cargo bench --bench draws      with torch's time on this machine
//! ```
//!
//! Each pair takes turns, so that both see the same machine; the lower quartile of the times is reported.

use std::hint::black_box;
use std::time::Instant;

use kelvin::{
    AliasTable, Cdf, Draw, Draws, Key, Rows, RowsMut, Temperature, Uniforms, sample, sample_many,
    sample_without_replacement, softmax,
};
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use rand_distr::weighted::WeightedAliasIndex;

const VOCAB: usize = 128_256;
const DRAWS: usize = 1000;
const KEY: Key = Key { seed: 2, position: 0 };
/// `torch.multinomial(torch.softmax(row / T, -1), 1000, True)` at this vocabulary, one thread, in microseconds, of
/// another run: by default on a Zen 5, or as measured beside this one.
fn torch() -> f64 {
    std::env::var("TORCH_US").ok().and_then(|us| us.parse().ok()).unwrap_or(221.0)
}

/// Nearly normal logits of deviation 3.
fn logits(rows: usize) -> Vec<f32> {
    let mut uniforms = vec![0.0; 12 * rows * VOCAB];
    Key { seed: 1, position: 0 }.fill(&mut uniforms);
    uniforms.chunks(12).map(|u| (3.0 * (u.iter().sum::<f64>() - 6.0)) as f32).collect()
}

/// The lower quartiles of both, in microseconds.
fn times(repeats: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> [f64; 2] {
    let time = |f: &mut dyn FnMut()| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64() * 1e6
    };
    let (mut of_a, mut of_b): (Vec<f64>, Vec<f64>) =
        (0..repeats).map(|_| (time(&mut a), time(&mut b))).unzip();
    of_a.sort_by(f64::total_cmp);
    of_b.sort_by(f64::total_cmp);
    [of_a[repeats / 4], of_b[repeats / 4]]
}

fn report(job: &str, [ours, theirs]: [f64; 2], bound: &str) {
    println!("{job:58} {ours:9.2} us {theirs:9.2} us  {:6.2} x  (bound: {bound})", theirs / ours);
}

fn main() {
    println!("level {}, {VOCAB} tokens, Gaussian logits of deviation 3, T = 0.8", kelvin::Level::best());
    let data = logits(64);
    let t = [Temperature::new(0.8).expect("a temperature")];
    let row = Rows::new(&data[..VOCAB], VOCAB).expect("a row");
    let mut probs = vec![0.0_f32; VOCAB];
    softmax(row, &t, &mut RowsMut::new(&mut probs, VOCAB).expect("a row")).expect("fits");
    with_replacement(row, t[0]);
    alias(row, t[0], &probs);
    distinct(row, t[0]);
    threads(&data, t[0]);
    crossover(row, t[0]);
}

fn with_replacement(row: Rows<'_>, t: Temperature) {
    let (mut cdf, mut tokens) = (Cdf::default(), [0; DRAWS]);
    let mut probs = vec![0.0_f32; VOCAB];
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
    let both = times(
        200,
        || {
            cdf.rebuild(row, 0, t).expect("servable");
            cdf.draw_keyed(KEY, &mut tokens).expect("a table");
        },
        || {
            softmax(row, &[t], &mut RowsMut::new(&mut probs, VOCAB).expect("a row")).expect("fits");
            let index = WeightedIndex::new(&probs).expect("weights");
            for _ in 0..DRAWS {
                black_box(index.sample(&mut generator));
            }
        },
    );
    report("1000 draws: Cdf | rand WeightedIndex on our softmax", both, ">= 12");
    report("1000 draws: Cdf | torch, of another run", [both[0], torch()], ">= 8");
    let mut uniforms = [0.0; DRAWS];
    KEY.fill(&mut uniforms);
    let mut drawn = [Ok(Draw::default())];
    let build = times(
        200,
        || sample(row, &[t], &uniforms[..1], &mut drawn).expect("fits"),
        || cdf.rebuild(row, 0, t).expect("servable"),
    );
    report("one sample | build of a Cdf", build, "none");
    let plain = cdf.clone();
    let mut guided = cdf.clone();
    guided.add_guide();
    let mut others = [0; DRAWS];
    let both = times(
        200,
        || guided.draw_many(&uniforms, &mut others).expect("a table"),
        || plain.draw_many(&uniforms, &mut tokens).expect("a table"),
    );
    assert_eq!(tokens, others);
    report("1000 draws, prebuilt: guided | Cdf", both, "none");
}

fn alias(row: Rows<'_>, t: Temperature, probs: &[f32]) {
    let mut table = AliasTable::default();
    let weights = Rows::new(probs, VOCAB).expect("a row");
    let both = times(
        60,
        || table.rebuild_from_probs(weights, 0).expect("servable"),
        || drop(black_box(WeightedAliasIndex::new(probs.to_vec()).expect("weights"))),
    );
    report("alias build, from weights | rand_distr", both, ">= 4");
    let both = times(60, || table.rebuild(row, 0, t).expect("servable"), || ());
    report("alias build, from logits | -", both, "none");
    for vocab in [4096, 32_000, VOCAB] {
        let table =
            AliasTable::from_probs(Rows::new(&probs[..vocab], vocab).expect("a row"), 0).expect("fits");
        let theirs = WeightedAliasIndex::new(probs[..vocab].to_vec()).expect("weights");
        let mut one = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut other = Xoshiro256PlusPlus::seed_from_u64(1);
        let both = times(
            200,
            || {
                (0..DRAWS).for_each(|_| {
                    black_box(table.draw(one.next_u64())).expect("a table");
                })
            },
            || {
                (0..DRAWS).for_each(|_| {
                    black_box(theirs.sample(&mut other));
                })
            },
        );
        report(&format!("1000 alias draws, {vocab} tokens | rand_distr"), both, ">= 1.5");
    }
}

fn distinct(row: Rows<'_>, t: Temperature) {
    let (mut tokens, mut drawn) = ([0; 64], [Ok(Draw::default())]);
    let keys = [KEY];
    let both = times(
        200,
        || drop(sample_without_replacement(row, &[t], Uniforms::Keys(&keys), &mut tokens).expect("fits")),
        || sample(row, &[t], &[0.5], &mut drawn).expect("fits"),
    );
    report("64 draws without replacement | one sample", both, ">= 1 / 1.5");
}

fn threads(data: &[f32], t: Temperature) {
    let rows = Rows::new(data, VOCAB).expect("rows");
    let keys: Vec<Key> = (0..64).map(|position| Key { seed: 3, position }).collect();
    let mut tokens = vec![0; 64 * DRAWS];
    let mut others = tokens.clone();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let (two, single) = (pool(2), pool(1));
    let draw = |tokens: &mut [u32]| {
        drop(sample_many(rows, &[t], Uniforms::Keys(&keys), tokens).expect("fits"));
    };
    let both = times(30, || two.install(|| draw(&mut tokens)), || single.install(|| draw(&mut others)));
    assert_eq!(tokens, others);
    report("64 rows x 1000 draws: 2 threads | 1 thread", both, ">= 1.8");
}

/// Where the alias table overtakes the Cdf, both built from logits.
fn crossover(row: Rows<'_>, t: Temperature) {
    for draws in [VOCAB / 16, VOCAB / 8, VOCAB / 4, VOCAB / 2, VOCAB] {
        let (mut cdf, mut table) = (Cdf::default(), AliasTable::default());
        let (mut tokens, mut others) = (vec![0; draws], vec![0; draws]);
        let both = times(
            30,
            || {
                cdf.rebuild(row, 0, t).expect("servable");
                cdf.draw_keyed(KEY, &mut tokens).expect("a table");
            },
            || {
                table.rebuild(row, 0, t).expect("servable");
                table.draw_keyed(KEY, &mut others).expect("a table");
            },
        );
        let chosen = match Draws::auto(row, 0, t, draws).expect("servable") {
            Draws::Cdf(_) => "Cdf",
            Draws::Alias(_) => "alias",
        };
        report(&format!("{draws} draws: Cdf | alias (auto: {chosen})"), both, "none");
    }
}
