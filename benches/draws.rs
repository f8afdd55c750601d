//! Many draws from one row: tables against one `sample`, and against each other, in ratios within one run.
//! (`benches/peers` has those of others: its ops `draws`, `alias_build` and `alias_draws`.)
//!
//! ```text
//! cargo bench --bench draws             about 10 s
//! cargo bench --bench draws -- --quick  about 2 s
//! cargo bench --bench draws -- --csv draws.csv
//! ```

#[path = "common/csv.rs"]
mod csv;
#[path = "common/logits.rs"]
mod logits;
#[path = "common/options.rs"]
mod options;
#[path = "common/pairs.rs"]
mod pairs;
#[path = "common/pool.rs"]
mod pool;
#[path = "common/timing.rs"]
mod timing;

use std::error::Error;

use kelvin::{
    AliasTable, Cdf, Draw, Draws, Key, Level, Rows, Temperature, Uniforms, sample, sample_many,
    sample_without_replacement,
};

use logits::logits;
use options::Options;
use pairs::Bench;
use pool::pool;

const VOCAB: usize = 128_256;
const DRAWS: usize = 1000;
const KEY: Key = Key { seed: 2, position: 0 };
/// The CPU would learn the branches of building an alias table from one row, or of sorting the same uniforms:
/// so each call takes others, of this many.
const TURNS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(Options { effort, csv }) = Options::from_args()? else { return Ok(()) };
    let mut bench = Bench::new(VOCAB, effort);
    println!("level {}, {VOCAB} tokens, Gaussian logits of deviation 3, T = 0.8", Level::best());
    let data = logits(64 * VOCAB);
    let t = Temperature::new(0.8).expect("a temperature");
    let row = Rows::new(&data[..VOCAB], VOCAB).expect("a row");
    let rows = Rows::new(&data[..TURNS * VOCAB], VOCAB).expect("rows");
    tables(&mut bench, row, rows, t);
    order(&mut bench, row, t);
    distinct(&mut bench, row, t);
    threads(&mut bench, &data, t);
    for t in [0.3, 0.8, 2.0] {
        choice(&mut bench, rows, Temperature::new(t).expect("a temperature"));
    }
    if let Some(path) = csv {
        bench.write(&path)?;
    }
    Ok(())
}

fn next(turn: &mut usize) -> usize {
    *turn = (*turn + 1) % TURNS;
    *turn
}

fn tables(bench: &mut Bench, row: Rows<'_>, rows: Rows<'_>, t: Temperature) {
    let (mut cdf, mut alias, mut tokens) = (Cdf::default(), AliasTable::default(), [0; DRAWS]);
    let mut uniforms = [0.0; DRAWS];
    KEY.fill(&mut uniforms);
    let mut drawn = [Ok(Draw::default())];
    let mut one = || sample(row, &[t], &uniforms[..1], &mut drawn).expect("fits");
    bench.compare(["Cdf::rebuild", "sample"], (1, 1), || cdf.rebuild(row, 0, t).expect("servable"), &mut one);
    let mut turn = 0;
    let build = || alias.rebuild(rows, next(&mut turn), t).expect("servable");
    bench.compare(["AliasTable::rebuild (1 of 16 rows)", "sample"], (1, 1), build, &mut one);
    let mut guided = Cdf::default();
    let build = || {
        guided.rebuild(row, 0, t).expect("servable");
        guided.add_guide();
    };
    bench.compare(["Cdf::rebuild and add_guide", "sample"], (1, 1), build, &mut one);
    let mut others = [0; DRAWS];
    bench.compare(
        ["1000 draws with a guide", "without"],
        (1, 1),
        || guided.draw_many(&uniforms, &mut others).expect("a table"),
        || cdf.draw_many(&uniforms, &mut tokens).expect("a table"),
    );
    assert_eq!(tokens, others);
    bench.compare(
        ["1000 draws one by one", "together"],
        (1, 1),
        || (0..DRAWS).for_each(|i| others[i] = cdf.draw(uniforms[i]).expect("a table")),
        || cdf.draw_many(&uniforms, &mut tokens).expect("a table"),
    );
    assert_eq!(tokens, others);
}

/// What sorting the uniforms takes, and what it saves.
fn order(bench: &mut Bench, row: Rows<'_>, t: Temperature) {
    let cdf = Cdf::new(row, 0, t).expect("servable");
    let (mut sorted, mut tokens, mut others) = ([0.0; DRAWS], [0; DRAWS], [0; DRAWS]);
    let mut uniforms = vec![0.0; TURNS * DRAWS];
    KEY.fill(&mut uniforms);
    let mut draw = || cdf.draw_many(&uniforms[..DRAWS], &mut tokens).expect("a table");
    let mut sort = |turn| {
        sorted.copy_from_slice(&uniforms[turn * DRAWS..][..DRAWS]);
        sorted.sort_unstable_by(f64::total_cmp);
    };
    let mut turn = 0;
    bench.compare(["sorting 1000 uniforms", "1000 draws"], (1, 1), || sort(next(&mut turn)), &mut draw);
    sort(0);
    let draw_sorted = || cdf.draw_many(&sorted, &mut others).expect("a table");
    bench.compare(["1000 draws by sorted uniforms", "1000 draws"], (1, 1), draw_sorted, draw);
    tokens.sort_unstable();
    assert_eq!(tokens, others);
}

fn distinct(bench: &mut Bench, row: Rows<'_>, t: Temperature) {
    let (mut tokens, mut drawn) = ([0; 64], [Ok(Draw::default())]);
    // (Another key for each call: the CPU would learn the branches of one.)
    let [mut of_these, mut of_that] = [KEY; 2];
    bench.compare(
        ["64 distinct tokens", "sample"],
        (1, 1),
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
}

fn threads(bench: &mut Bench, data: &[f32], t: Temperature) {
    let rows = Rows::new(data, VOCAB).expect("rows");
    let keys: Vec<Key> = (0..64).map(|position| Key { seed: 3, position }).collect();
    let mut tokens = vec![0; 64 * DRAWS];
    let mut others = tokens.clone();
    let (single, all) = (pool(1).expect("a pool"), pool(0).expect("a pool"));
    let threads = all.current_num_threads();
    let draw = |tokens: &mut [u32]| {
        drop(sample_many(rows, &[t], Uniforms::Keys(&keys), tokens).expect("fits"));
    };
    bench.compare(
        [&format!("64 x 1000 draws on {threads} threads"), "on 1"],
        (64, threads),
        || all.install(|| draw(&mut tokens)),
        || single.install(|| draw(&mut others)),
    );
    assert_eq!(tokens, others);
}

/// Where the alias table overtakes the Cdf, both built from logits; and which of them is chosen.
fn choice(bench: &mut Bench, rows: Rows<'_>, t: Temperature) {
    for draws in [VOCAB / 8, VOCAB / 16 * 3, VOCAB / 4, VOCAB / 2, VOCAB] {
        let (mut cdf, mut table) = (Cdf::default(), AliasTable::default());
        let (mut tokens, mut others) = (vec![0; draws], vec![0; draws]);
        let [mut of_these, mut of_that] = [0; 2];
        let chosen = match Draws::auto(rows, 0, t, draws).expect("servable") {
            Draws::Cdf(_) => "Cdf",
            _ => "AliasTable",
        };
        bench.compare(
            [&format!("{draws} draws at T = {t} by AliasTable"), &format!("by Cdf (auto: {chosen})")],
            (1, 1),
            || {
                table.rebuild(rows, next(&mut of_these), t).expect("servable");
                table.draw_keyed(KEY, &mut others).expect("a table");
            },
            || {
                cdf.rebuild(rows, next(&mut of_that), t).expect("servable");
                cdf.draw_keyed(KEY, &mut tokens).expect("a table");
            },
        );
    }
}
