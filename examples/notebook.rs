//! The temperature notebook everybody starts from: five words, three temperatures, 1000 draws at each.
//!
//! ```text
//! cargo run --release --example notebook
//! ```

#[path = "common/page.rs"]
mod page;

use std::error::Error;
use std::fmt::{self, Write};

use kelvin::{Key, Rows, RowsMut, Temperature, draw_counts, softmax};

const WORDS: [&str; 5] = ["I", "am", "learning", "continuously", "for"];

/// What `torch.manual_seed(42); torch.rand(5)` gives.
#[expect(clippy::excessive_precision, reason = "the digits are torch's")]
const LOGITS: [f32; 5] = [0.882269263, 0.915003955, 0.382863760, 0.959305644, 0.390448213];

const KEY: Key = Key { seed: 42, position: 0 };
const DRAWS: u64 = 1000;
const DRAWS_PER_MARK: u64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut page = String::new();
    writeln!(page, "{:<14} {}", "logits", like_torch(&LOGITS))?;
    for temperature in [1.0, 0.01, 6.0] {
        write_temperature(&mut page, Temperature::new(temperature)?)?;
    }
    Ok(page::print(&page)?)
}

fn write_temperature(page: &mut String, temperature: Temperature) -> Result<(), Box<dyn Error>> {
    let probs = probabilities(temperature)?;
    writeln!(page, "\nT = {temperature:<10} {}", like_torch(&probs))?;
    let mut counts = [0; 5];
    for (token, count) in draw_counts(Rows::new(&LOGITS, 5)?, 0, temperature, KEY, DRAWS)? {
        counts[token as usize] = count;
    }
    for (word, count) in WORDS.iter().zip(counts) {
        bar(page, word, count)?;
    }
    Ok(())
}

fn probabilities(temperature: Temperature) -> Result<[f32; 5], Box<dyn Error>> {
    let mut probs = [0.0; 5];
    let (logits, mut out) = (Rows::new(&LOGITS, 5)?, RowsMut::new(&mut probs, 5)?);
    softmax(logits, &[temperature], &mut out)?.into_result()?;
    Ok(probs)
}

/// A word that was drawn at all has a mark.
fn bar(page: &mut String, word: &str, count: u64) -> fmt::Result {
    let marks = "#".repeat(count.div_ceil(DRAWS_PER_MARK) as usize);
    writeln!(page, "{}", format!("  {word:<12} {count:>5} {marks}").trim_end())
}

/// Four decimals, or in scientific notation if the numbers differ more than a thousandfold.
fn like_torch(numbers: &[f32]) -> String {
    let largest = numbers.iter().copied().fold(0.0, f32::max);
    let smallest = numbers.iter().copied().fold(f32::INFINITY, f32::min);
    let show = |x| if largest > 1000.0 * smallest { format!("{x:.4e}") } else { format!("{x:.4}") };
    numbers.iter().map(show).collect::<Vec<_>>().join(" ")
}
