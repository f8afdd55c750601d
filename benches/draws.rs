//! Many draws from one row: tables against one `sample`, and against each other, in ratios within one run.
//! (`benches/peers` has those of others: its ops `draws`, `alias_build` and `alias_draws`.)
//!
//! Each pair takes turns, so that both see the same machine; the lower quartile of the times is reported.

use std::time::Instant;

use kelvin::{
    AliasTable, Cdf, Draw, Draws, Key, Rows, Temperature, Uniforms, sample, sample_many,
    sample_without_replacement,
};

const VOCAB: usize = 128_256;
const DRAWS: usize = 1000;
const KEY: Key = Key { seed: 2, position: 0 };

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

/// Two jobs, their times, and how many times that of the first the second takes.
fn report(jobs: &str, [first, second]: [f64; 2]) {
    println!("{jobs:58} {first:9.2} us {second:9.2} us  {:6.2} x", second / first);
}

fn main() {
    println!("level {}, {VOCAB} tokens, Gaussian logits of deviation 3, T = 0.8", kelvin::Level::best());
    let data = logits(64);
    let t = [Temperature::new(0.8).expect("a temperature")];
    let row = Rows::new(&data[..VOCAB], VOCAB).expect("a row");
    tables(row, t[0]);
    distinct(row, t[0]);
    threads(&data, t[0]);
    crossover(row, t[0]);
}

fn tables(row: Rows<'_>, t: Temperature) {
    let (mut cdf, mut alias, mut tokens) = (Cdf::default(), AliasTable::default(), [0; DRAWS]);
    let mut uniforms = [0.0; DRAWS];
    KEY.fill(&mut uniforms);
    let mut drawn = [Ok(Draw::default())];
    let build = times(
        200,
        || sample(row, &[t], &uniforms[..1], &mut drawn).expect("fits"),
        || cdf.rebuild(row, 0, t).expect("servable"),
    );
    report("one sample | build of a Cdf", build);
    let build = times(
        60,
        || cdf.rebuild(row, 0, t).expect("servable"),
        || alias.rebuild(row, 0, t).expect("servable"),
    );
    report("build of a Cdf | build of an alias table", build);
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
    report("1000 draws, prebuilt: guided | Cdf", both);
}

fn distinct(row: Rows<'_>, t: Temperature) {
    let (mut tokens, mut drawn) = ([0; 64], [Ok(Draw::default())]);
    // (Another key for each call: the CPU would learn the branches of one.)
    let [mut of_these, mut of_that] = [KEY; 2];
    let both = times(
        1000,
        || {
            of_these.position += 1;
            let keys = [of_these];
            drop(sample_without_replacement(row, &[t], Uniforms::Keys(&keys), &mut tokens).expect("fits"));
        },
        || {
            of_that.position += 1;
            sample(row, &[t], &[of_that.uniform()], &mut drawn).expect("fits");
        },
    );
    report("64 draws without replacement | one sample", both);
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
    report("64 rows x 1000 draws: 2 threads | 1 thread", both);
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
        report(&format!("{draws} draws: Cdf | alias (auto: {chosen})"), both);
    }
}
