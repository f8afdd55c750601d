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

    /// Whether every row has a token, the first one this.
    fn drew(&self, rows: usize, draw: Option<(u32, f32)>) -> bool {
        let first = self.draws[0].ok().map(|draw| (draw.token, draw.logprob));
        self.draws[..rows].iter().all(Result::is_ok) && first == draw
    }

    /// Whether this is the first row of the output.
    fn wrote(&self, row: Option<Vec<f32>>) -> bool {
        row.as_deref() == Some(&self.out[..VOCAB])
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
    /// Whether that many rows are served, and the first one's answer is what the contract says.
    is_right: fn(usize, &Buffers) -> bool,
}

impl Op {
    pub(crate) fn dtype(self) -> &'static str {
        if matches!(self.input, Input::Halves) { "bf16" } else { "f32" }
    }
}

pub(crate) const OPS: [Op; 9] = [
    Op {
        name: "sample",
        against: Against::Reading,
        input: Input::Logits,
        run: |level, rows, b| {
            let logits = view(&b.logits, rows);
            level.sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
        },
        is_right: |rows, b| b.drew(rows, contract::sample(&b.logits[..VOCAB], TEMPERATURE, b.uniforms[0])),
    },
    Op {
        name: "sample",
        against: Against::Reading,
        input: Input::Halves,
        run: |level, rows, b| {
            let logits = view(&b.halves, rows);
            level.sample(logits, &t(), &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
        },
        is_right: |rows, b| {
            let logits: Vec<f32> = b.halves[..VOCAB].iter().map(|x| x.to_f32()).collect();
            b.drew(rows, contract::sample(&logits, TEMPERATURE, b.uniforms[0]))
        },
    },
    Op {
        name: "log_sum_exp",
        against: Against::Reading,
        input: Input::Logits,
        run: |level, rows, b| {
            level.log_sum_exp(view(&b.logits, rows), &t(), &mut b.sums[..rows]).expect("fits");
        },
        is_right: |rows, b| {
            let sum = contract::log_sum_exp(&b.logits[..VOCAB], TEMPERATURE);
            b.sums[..rows].iter().all(Result::is_ok) && b.sums[0].ok() == sum
        },
    },
    Op {
        name: "argmax",
        against: Against::Reading,
        input: Input::Logits,
        run: |level, rows, b| {
            level.argmax(view(&b.logits, rows), &mut b.tokens[..rows]).expect("fits");
        },
        is_right: |rows, b| {
            let token = contract::argmax(&b.logits[..VOCAB]).map(|token| token as u32);
            b.tokens[..rows].iter().all(Result::is_ok) && b.tokens[0].ok() == token
        },
    },
    Op {
        name: "sample_from_probs",
        against: Against::Reading,
        input: Input::Probs,
        run: |level, rows, b| {
            let weights = view(&b.probs, rows);
            level.sample_from_probs(weights, &b.uniforms[..rows], &mut b.draws[..rows]).expect("fits");
        },
        is_right: |rows, b| b.drew(rows, contract::sample_from_probs(&b.probs[..VOCAB], b.uniforms[0])),
    },
    Op {
        name: "scale",
        against: Against::Copying,
        input: Input::Logits,
        run: |level, rows, b| {
            let mut scaled = view_mut(&mut b.out[..rows * VOCAB]);
            all_served(&level.scale(view(&b.logits, rows), &t(), &mut scaled).expect("fits"));
        },
        is_right: |_, b| b.wrote(contract::scale(&b.logits[..VOCAB], TEMPERATURE)),
    },
    Op {
        name: "softmax",
        against: Against::Copying,
        input: Input::Logits,
        run: |level, rows, b| {
            let mut probs = view_mut(&mut b.out[..rows * VOCAB]);
            all_served(&level.softmax(view(&b.logits, rows), &t(), &mut probs).expect("fits"));
        },
        is_right: |_, b| b.wrote(contract::softmax(&b.logits[..VOCAB], TEMPERATURE)),
    },
    Op {
        name: "log_softmax",
        against: Against::Copying,
        input: Input::Logits,
        run: |level, rows, b| {
            let mut logprobs = view_mut(&mut b.out[..rows * VOCAB]);
            all_served(&level.log_softmax(view(&b.logits, rows), &t(), &mut logprobs).expect("fits"));
        },
        is_right: |_, b| b.wrote(contract::log_softmax(&b.logits[..VOCAB], TEMPERATURE)),
    },
    Op {
        name: "softmax_in_place",
        against: Against::ScalingInPlace,
        input: Input::Logits,
        run: |level, rows, b| softmax_in_place(level, &mut b.out[..rows * VOCAB]),
        is_right: |_, b| b.wrote(contract::softmax(&b.logits[..VOCAB], TEMPERATURE)),
    },
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

/// The answers first.
pub(crate) fn check(level: Level, rows: usize, b: &mut Buffers) {
    for op in OPS {
        b.reset();
        (op.run)(level, rows, b);
        assert!((op.is_right)(rows, b), "{} of {rows} rows of {} on {level}", op.name, op.dtype());
    }
}
