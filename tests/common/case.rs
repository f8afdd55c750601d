//! Bytes to batches: any shape, any bits, with a bias to the edges. What a fuzzer turns, and what the seeds
//! in `tests/corpus` are written in: a change here takes their meaning away.

use super::{LAST_UNIFORM, SPECIAL, TEMPERATURES};

/// Row lengths around those where kernels change their ways. (But for the longest: `properties.rs`.)
const LENGTHS: [usize; 20] =
    [1, 2, 3, 5, 15, 16, 17, 31, 127, 128, 129, 256, 511, 512, 513, 640, 1023, 1025, 1537, 2048];

/// Temperatures around those where kernels change their ways, beside [`TEMPERATURES`].
const EDGES: [f32; 12] = [
    -0.0,
    1e-45,
    f32::from_bits(0x007f_ffff), // the largest that is greedy
    f32::from_bits(0x0080_0001),
    2.35e-38,
    5.4e-20,
    8.8e-5, // |x|/T reaches 2^14 at x = 1
    1.8e19,
    1.83e30,                     // log2(e)/T = 2^-100
    f32::from_bits(0x78b8_ab77), // f32::MAX/T reaches 2^14 powers of two
    1.7e38,
    f32::from_bits(0x7f7f_fffe),
];

/// Uniforms at the ends, and around the middle.
const UNIFORMS: [f64; 8] =
    [0.0, 5e-324, f64::EPSILON / 2.0, 0.25, 0.5 - f64::EPSILON / 4.0, 0.5, 1.0 - f64::EPSILON, LAST_UNIFORM];

/// From so many logits on, most kernels share rows among threads (`src/batch.rs`).
const SHARED: usize = 1 << 19;

/// A row, with what decides its token.
#[derive(Clone, Debug)]
pub struct Row {
    pub logits: Vec<f32>,
    pub temperature: f32,
    pub uniform: f64,
}

impl Row {
    /// The same logits again and again: so many, and all of them once more.
    pub fn repeated(&self, len: usize) -> Self {
        let logits = self.logits.iter().copied().cycle().take(len + self.logits.len()).collect();
        Self { logits, ..*self }
    }
}

/// A batch, and how to run it.
#[derive(Clone, Debug)]
pub struct Case {
    pub vocab: usize,
    pub stride: usize,
    pub threads: usize,
    /// A number for a check to choose by: a level, a token.
    pub choice: usize,
    pub rows: Vec<Row>,
    /// Which of `rows` stands where in the batch: all, in another order; in a crowd, often.
    pub order: Vec<usize>,
}

impl Case {
    pub fn decode(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let vocab = bytes.length();
        let stride = vocab + [0, 1, 7, 16][bytes.below(4)];
        let (threads, choice, turn) = (1 + bytes.below(3), bytes.below(256), bytes.below(256));
        let crowd = bytes.below(64) == 63 && vocab >= 64;
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..1 + bytes.below(4) {
            rows.push(bytes.row(vocab, rows.last()));
        }
        let places = if crowd { SHARED / vocab + 2 } else { rows.len() };
        let order = (0..places).map(|place| (place + turn) % rows.len()).collect();
        Self { vocab, stride, threads, choice, rows, order }
    }

    /// The same batch with other logits.
    pub fn map(&self, logit: impl Fn(f32) -> f32) -> Self {
        let mut case = self.clone();
        case.rows.iter_mut().flat_map(|row| &mut row.logits).for_each(|x| *x = logit(*x));
        case
    }
}

/// What is left of the input. Beyond its end there are zeros.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        let mut array = [0; N];
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.array::<1>()[0]) % end
    }

    fn one_of<T: Copy>(&mut self, table: &[T]) -> T {
        table[self.below(table.len())]
    }

    fn small(&mut self) -> f32 {
        f32::from(i8::from_le_bytes(self.array()))
    }

    fn length(&mut self) -> usize {
        match self.below(4) {
            0 => 1 + usize::from(u16::from_le_bytes(self.array())) % 2600,
            _ => self.one_of(&LENGTHS),
        }
    }

    fn temperature(&mut self) -> f32 {
        match self.below(4) {
            0 => self.one_of(&TEMPERATURES),
            1 => self.one_of(&EDGES),
            // Evenly over the exponents.
            2 => f32::from_bits((u32::from_le_bytes(self.array()) & 0x7fff_ffff).min(0x7f80_0000)),
            _ => (1.0 + self.below(256) as f32) / 64.0,
        }
    }

    fn uniform(&mut self) -> f64 {
        match self.below(3) {
            0 => self.one_of(&UNIFORMS),
            1 => Some(f64::from_bits(u64::from_le_bytes(self.array())))
                .filter(|u| (0.0..1.0).contains(u))
                .unwrap_or(0.75),
            _ => (u64::from_le_bytes(self.array()) >> 11) as f64 * (f64::EPSILON / 2.0),
        }
    }

    fn row(&mut self, vocab: usize, previous: Option<&Row>) -> Row {
        let (temperature, uniform) = (self.temperature(), self.uniform());
        let logits = match (self.below(4), previous) {
            (0, Some(previous)) => self.changed(previous.logits.clone()),
            // As multiples of the temperature, so that the extreme ones have distributions of all kinds.
            (1 | 2, _) => self.logits(vocab).into_iter().map(|x| times(x, temperature)).collect(),
            _ => self.logits(vocab),
        };
        Row { logits, temperature, uniform }
    }

    /// With one logit replaced.
    fn changed(&mut self, mut logits: Vec<f32>) -> Vec<f32> {
        let index = usize::from(u16::from_le_bytes(self.array())) % logits.len();
        logits[index] = self.value(logits[index]);
        logits
    }

    /// Runs of values; where the input ends, the same again.
    fn logits(&mut self, vocab: usize) -> Vec<f32> {
        let mut logits = vec![self.value(0.0)];
        while !self.0.is_empty() && logits.len() < vocab && self.below(64) != 63 {
            self.run(&mut logits);
        }
        logits.iter().copied().cycle().take(vocab).collect()
    }

    fn run(&mut self, logits: &mut Vec<f32>) {
        let last = logits.last().copied().unwrap_or(0.0);
        let value = self.value(last);
        let kind = self.below(6);
        let len = if kind < 2 { 1 } else { self.length().min(600) };
        let start = logits.len();
        logits.extend(std::iter::repeat_n(value, len));
        let run = logits[start..].iter_mut();
        match kind {
            3 => run.for_each(|x| *x = f32::NEG_INFINITY),
            4 => {
                let step = self.value(1.0);
                run.enumerate().for_each(|(i, x)| *x += step * i as f32);
            }
            5 => {
                let (seed, step) = (self.below(256) as u32, self.small() / 256.0);
                let noise = |i: usize| ((i as u32 + seed).wrapping_mul(0x9e37_79b9) >> 20) as f32 / 512.0;
                run.enumerate().for_each(|(i, x)| *x += step * noise(i));
            }
            _ => {}
        }
    }

    fn value(&mut self, last: f32) -> f32 {
        match self.below(8) {
            0 => f32::from_bits(u32::from_le_bytes(self.array())),
            1 => self.one_of(&SPECIAL),
            2 => last.next_up(),
            3 => last.next_down(),
            4 => -last,
            5 => f32::from_bits((self.below(255) as u32) << 23),
            6 => last + self.small() / 16.0,
            _ => self.small() / 8.0,
        }
    }
}

/// The product, unless it is too large for a logit.
fn times(x: f32, temperature: f32) -> f32 {
    let product = x * temperature;
    if product.is_finite() { product } else { x }
}
