//! The operations, the buffers they work on, and the check of their answers.

use half::bf16;
use kelvin::reference::contract;
use kelvin::{Draw, Key, Level, RowError, Rows, RowsMut, Temperature};

use crate::logits::logits;

pub(crate) const VOCAB: usize = 131_072;
const TEMPERATURE: f32 = 0.8;

/// What is read (logits, the same as bf16, and their probabilities), and what is written.
pub(crate) struct Buffers {
    logits: Vec<f32>,
    halves: Vec<bf16>,
    probs: Vec<f32>,
    out: Vec<f32>,
    uniforms: Vec<f64>,
    draws: Vec<Result<Draw, RowError>>,
    sums: Vec<Result<f64, RowError>>,
    tokens: Vec<Result<u32, RowError>>,
}

impl Buffers {
    pub(crate) fn new(rows: usize) -> Self {
        let logits = logits(rows * VOCAB);
        let mut probs = logits.clone();
        softmax_in_place(Level::best(), &mut probs);
        Self {
            halves: logits.iter().map(|&x| bf16::from_f32(x)).collect(),
            probs,
            out: logits.clone(), // pages that are there, unlike zeros
            logits,
            uniforms: (0..rows as u64).map(|position| Key { seed: 2, position }.uniform()).collect(),
            draws: vec![Ok(Draw::default()); rows],
            sums: vec![Ok(0.0); rows],
            tokens: vec![Ok(0); rows],
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.uniforms.len()
    }

    /// The output and what the operation reads, whatever its type, as f32, which is what the references take;
    /// and how many of these a row to read has.
    pub(crate) fn of(&mut self, input: Input) -> (&mut [f32], &[f32], usize) {
        let read = match input {
            Input::Logits => &self.logits,
            Input::Halves => bytemuck::cast_slice(&self.halves),
            Input::Probs => &self.probs[..],
        };
        (&mut self.out, read, read.len() / self.uniforms.len())
    }

    /// Answers that are wrong, and logits to work on in place.
    fn reset(&mut self) {
        self.out.copy_from_slice(&self.logits);
        self.draws.fill(Err(RowError::NothingToDraw { row: 0 }));
        self.sums.fill(Err(RowError::NothingToDraw { row: 0 }));
        self.tokens.fill(Err(RowError::NothingToDraw { row: 0 }));
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Against {
    Reading,
    Copying,
    ScalingInPlace,
}

#[derive(Clone, Copy)]
pub(crate) enum Input {
    Logits,
    Halves,
    Probs,
}

#[derive(Clone, Copy)]
pub(crate) struct Op {
    pub(crate) name: &'static str,
    pub(crate) against: Against,
    pub(crate) input: Input,
    pub(crate) run: fn(Level, usize, &mut Buffers),
}

impl Op {
    pub(crate) fn dtype(self) -> &'static str {
        if matches!(self.input, Input::Halves) { "bf16" } else { "f32" }
    }
}

const fn op(name: &'static str, against: Against, input: Input, run: fn(Level, usize, &mut Buffers)) -> Op {
    Op { name, against, input, run }
}

pub(crate) const OPS: [Op; 8] = [
    op("sample", Against::Reading, Input::Logits, |level, rows, b| {
        let logits = view(&b.logits, rows);
        level.sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
    }),
    op("sample bf16", Against::Reading, Input::Halves, |level, rows, b| {
        let logits = view(&b.halves, rows);
        level.sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
    }),
    op("log_sum_exp", Against::Reading, Input::Logits, |level, rows, b| {
        level.log_sum_exp(view(&b.logits, rows), &t(), &mut b.sums[..rows]).expect("fits");
    }),
    op("argmax", Against::Reading, Input::Logits, |level, rows, b| {
        level.argmax(view(&b.logits, rows), &mut b.tokens[..rows]).expect("fits");
    }),
    op("sample_from_probs", Against::Reading, Input::Probs, |level, rows, b| {
        let weights = view(&b.probs, rows);
        level.sample_from_probs(weights, &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
    }),
    op("softmax", Against::Copying, Input::Logits, |level, rows, b| {
        let mut probs = view_mut(&mut b.out[..rows * VOCAB]);
        all_served(&level.softmax(view(&b.logits, rows), &t(), &mut probs).expect("fits"));
    }),
    op("log_softmax", Against::Copying, Input::Logits, |level, rows, b| {
        let mut logprobs = view_mut(&mut b.out[..rows * VOCAB]);
        all_served(&level.log_softmax(view(&b.logits, rows), &t(), &mut logprobs).expect("fits"));
    }),
    op("softmax_in_place", Against::ScalingInPlace, Input::Logits, |level, rows, b| {
        softmax_in_place(level, &mut b.out[..rows * VOCAB]);
    }),
];

fn softmax_in_place(level: Level, rows: &mut [f32]) {
    all_served(&level.softmax_in_place(&mut view_mut(rows), &t()).expect("fits"));
}

fn t() -> [Temperature; 1] {
    [Temperature::new(TEMPERATURE).expect("a temperature")]
}

fn view<L: kelvin::Logit>(data: &[L], rows: usize) -> Rows<'_, L> {
    Rows::new(&data[..rows * VOCAB], VOCAB).expect("rows")
}

fn view_mut(data: &mut [f32]) -> RowsMut<'_> {
    RowsMut::new(data, VOCAB).expect("rows")
}

/// A row that fails may cost less.
fn all_served(failed: &[RowError]) {
    assert!(failed.is_empty(), "{failed:?}");
}

/// The answers first: every row is served, and the first one's answer is what the contract says.
pub(crate) fn check(level: Level, rows: usize, b: &mut Buffers) {
    for op in OPS {
        b.reset();
        (op.run)(level, rows, b);
        assert!(is_right(op.name, rows, b), "{} of {rows} rows on {level}", op.name);
    }
}

fn is_right(op: &str, rows: usize, b: &Buffers) -> bool {
    let (logits, probs) = (&b.logits[..VOCAB], &b.probs[..VOCAB]);
    let wrote = |row: Option<Vec<f32>>| row.as_deref() == Some(&b.out[..VOCAB]);
    let drew = |draw: Option<(u32, f32)>| {
        let first = b.draws[0].ok().map(|draw| (draw.token, draw.logprob));
        b.draws[..rows].iter().all(Result::is_ok) && first == draw
    };
    match op {
        "sample" => drew(contract::sample(logits, TEMPERATURE, b.uniforms[0])),
        "sample bf16" => {
            let logits: Vec<f32> = b.halves[..VOCAB].iter().map(|x| x.to_f32()).collect();
            drew(contract::sample(&logits, TEMPERATURE, b.uniforms[0]))
        }
        "log_sum_exp" => {
            let sum = contract::log_sum_exp(logits, TEMPERATURE);
            b.sums[..rows].iter().all(Result::is_ok) && b.sums[0].ok() == sum
        }
        "argmax" => {
            let token = contract::argmax(logits).map(|token| token as u32);
            b.tokens[..rows].iter().all(Result::is_ok) && b.tokens[0].ok() == token
        }
        "sample_from_probs" => drew(contract::sample_from_probs(probs, b.uniforms[0])),
        "softmax" | "softmax_in_place" => wrote(contract::softmax(logits, TEMPERATURE)),
        "log_softmax" => wrote(contract::log_softmax(logits, TEMPERATURE)),
        _ => false,
    }
}
