//! Many tokens from one row: counts, distinct tokens, a mask, and tables to keep.
//!
//! ```text
//! cargo run --release --example many
//! ```

#[path = "common/page.rs"]
mod page;

use std::error::Error;
use std::fmt::Write;

use kelvin::{Cdf, Draws, Key, Rows, Temperature, Uniforms, draw_counts, sample_without_replacement};

/// What may follow "the weather today is", with the logits of some model.
const WORDS: [&str; 8] = ["sunny", "cold", "nice", "rainy", "not", "very", "cloudy", "purple"];
const LOGITS: [f32; 8] = [4.1, 3.6, 3.5, 2.9, 2.2, 2.1, 1.8, -6.0];
const KEY: Key = Key { seed: 7, position: 0 };

fn main() -> Result<(), Box<dyn Error>> {
    let mut page = String::new();
    let (row, warm) = (Rows::new(&LOGITS, 8)?, Temperature::new(1.3)?);

    writeln!(page, "10,000 draws, counted:")?;
    for (token, count) in draw_counts(row, 0, warm, KEY, 10_000)? {
        writeln!(page, "  {count:>5} {}", WORDS[token as usize])?;
    }

    let mut distinct = [0; 3];
    let keys = [KEY];
    sample_without_replacement(row, &[warm], Uniforms::Keys(&keys), &mut distinct)?.into_result()?;
    writeln!(
        page,
        "three distinct ones, in the order drawn: {:?}",
        distinct.map(|token| WORDS[token as usize])
    )?;

    // A filter of yours is a mask: what must not be drawn gets -inf. (Here, what is less than a tenth as
    // probable as the best.)
    let mut masked = LOGITS;
    let least = LOGITS[0] + warm.get() * 0.1_f32.ln();
    masked.iter_mut().filter(|x| **x < least).for_each(|x| *x = f32::NEG_INFINITY);

    // One uniform draws the same token from a table as from `sample`. It can be kept, and rebuilt in its
    // memory.
    let mut table = Cdf::new(Rows::new(&masked, 8)?, 0, warm)?;
    writeln!(page, "masked, the median: {}", WORDS[table.draw(0.5)? as usize])?;
    table.rebuild(row, 0, Temperature::new(0.3)?)?;
    writeln!(page, "colder, the median: {}", WORDS[table.draw(0.5)? as usize])?;

    // For very many draws, an alias table: `Draws` picks what takes least time in all.
    let mut tokens = vec![0; 1_000_000];
    Draws::auto(row, 0, warm, tokens.len())?.draw_keyed(KEY, &mut tokens)?;
    let purple = tokens.iter().filter(|token| **token == 7).count();
    writeln!(page, "of a million, {purple} are purple")?;
    Ok(page::print(&page)?)
}
