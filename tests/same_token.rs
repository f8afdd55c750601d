//! A token depends on its row alone: not on neighbours, threads, strides or levels.

mod common;

use common::check::run;
use common::{gaussian, in_pool, levels, one, temperature, uniforms};
use kelvin::{Draw, FailedRows, Key, Level, RowError, Rows, Temperature};

const VOCAB: usize = 5003;
const ROWS: usize = 256;

struct Row {
    logits: Vec<f32>,
    temperature: Temperature,
    uniform: f64,
}

fn rows() -> Vec<Row> {
    let temperatures = [0.0, 0.01, 0.3, 0.8, 1.0, 4.0, 1e-30, 1e30, f32::INFINITY];
    let row = |i: usize| Row {
        logits: if i == 17 { vec![f32::NAN; VOCAB] } else { gaussian(VOCAB, 3.0, i as u64) },
        temperature: temperature(temperatures[i % temperatures.len()]),
        uniform: Key { seed: 5, position: i as u64 }.uniform(),
    };
    (0..ROWS).map(row).collect()
}

fn sample(level: Level, rows: &[&Row], stride: usize) -> Vec<Result<(u32, u32), RowError>> {
    let mut data = vec![f32::NAN; stride * rows.len()];
    for (row, data) in rows.iter().zip(data.chunks_mut(stride)) {
        data[..VOCAB].copy_from_slice(&row.logits);
    }
    let logits = Rows::with_stride(&data, rows.len(), VOCAB, stride).expect("rows");
    let temperatures: Vec<Temperature> = rows.iter().map(|row| row.temperature).collect();
    let uniforms: Vec<f64> = rows.iter().map(|row| row.uniform).collect();
    let mut draws = vec![Ok(Draw::default()); rows.len()];
    level.sample(logits, &temperatures, &uniforms, &mut draws).expect("shapes fit");
    draws.into_iter().map(|draw| draw.map(|draw| (draw.token, draw.logprob.to_bits()))).collect()
}

#[test]
fn alone_or_among_shuffled_neighbours_on_any_thread_and_level() {
    let rows = rows();
    let best = Level::best();
    let alone: Vec<_> = rows.iter().map(|row| sample(best, &[row], VOCAB)[0]).collect();
    assert_eq!(alone.iter().filter(|draw| draw.is_err()).count(), 1);
    let mut order: Vec<usize> = (0..ROWS).collect();
    let shuffle = uniforms(ROWS, 3);
    order.sort_by(|&a, &b| shuffle[a].total_cmp(&shuffle[b]));
    let shuffled: Vec<&Row> = order.iter().map(|&i| &rows[i]).collect();
    for level in levels() {
        for threads in [1, 2, 7] {
            for stride in [VOCAB, VOCAB + 1, 5120] {
                let drawn = in_pool(threads, || sample(level, &shuffled, stride));
                for (place, &i) in order.iter().enumerate() {
                    let moved = alone[i].map_err(|_| drawn[place].expect_err("a bad row").row());
                    let expected = drawn[place].map_err(|error| error.row());
                    assert_eq!(moved, expected, "{level}, {threads} threads, stride {stride}, row {i}");
                }
            }
        }
    }
}

/// Masked tokens after the last one do not move a token.
#[test]
fn trailing_masked_tokens_change_nothing() {
    let row = gaussian(1000, 3.0, 1);
    for (i, u) in uniforms(200, 4).into_iter().enumerate() {
        let t = temperature([0.2, 1.0, 3.0][i % 3]);
        let mut padded = row.clone();
        padded.resize(1000 + 13 * i, f32::NEG_INFINITY);
        let draw = |row: &[f32]| common::check::draw(Level::best(), row, t, u).expect("servable");
        assert_eq!(draw(&row), draw(&padded));
    }
}

/// (There are no threads on wasm.)
#[cfg(not(target_family = "wasm"))]
mod ending_threads {
    use std::cell::Cell;
    use std::sync::mpsc::{Sender, channel};

    use kelvin::{Uniforms, Words};

    use super::*;

    /// Asks for tokens when its thread ends, and by then may have dropped what kelvin keeps in it.
    struct Late(Cell<Option<Sender<Vec<u32>>>>);

    impl Drop for Late {
        fn drop(&mut self) {
            let sender = self.0.take().expect("a sender");
            sender.send(by_every_way()).expect("someone listens");
        }
    }

    thread_local! {
        static LATE: Late = const { Late(Cell::new(None)) };
    }

    /// Tokens, and the bits of probabilities, by all functions that keep memory in their thread. (But for the
    /// scratch row of a large softmax.)
    fn by_every_way() -> Vec<u32> {
        let (row, t, keys) = (gaussian(1000, 3.0, 1), [Temperature::ONE], [Key { seed: 1, position: 2 }]);
        let logits = one(&row);
        let draw = common::check::draw(Level::best(), &row, t[0], 0.7).expect("servable");
        let probs = run(Level::best(), "softmax", &row, &t).0;
        let mut tokens = [0; 30];
        let (many, others) = tokens.split_at_mut(10);
        let (distinct, by_alias) = others.split_at_mut(10);
        let failed = [
            kelvin::sample_many(logits, &t, Uniforms::Keys(&keys), many),
            kelvin::sample_without_replacement(logits, &t, Uniforms::Keys(&keys), distinct),
            kelvin::sample_many_by_alias(logits, &t, Words::Keys(&keys), by_alias),
        ];
        assert_eq!(failed, [0; 3].map(|_| Ok(FailedRows::default())));
        probs.into_iter().map(f32::to_bits).chain(tokens).chain([draw.token]).collect()
    }

    #[test]
    fn in_a_thread_that_is_ending() {
        let (sender, receiver) = channel();
        for is_late_first in [true, false] {
            let sender = sender.clone();
            let register = move || LATE.with(|late| late.0.set(Some(sender)));
            let work = move || {
                if is_late_first {
                    register();
                    by_every_way();
                } else {
                    by_every_way();
                    register();
                }
            };
            std::thread::spawn(work).join().expect("no panic");
            assert_eq!(receiver.recv(), Ok(by_every_way()));
        }
    }
}
