//! Kelvin's turns, where another program has peers that cannot be called from here (python/compare.py).
//!
//! A line of the input asks for one: `OPERATION ROWS VOCAB MICROSECONDS`. A line of the output has the times
//! of calls that took that long together, in microseconds.

use std::io::{BufRead, Write};
use std::time::Duration;

use crate::batch::{Answer, Batch, Shape};
use crate::peer::Op;
use crate::timing::Contestant;
use crate::{Result, checked, peers};

/// Takes turns until the input ends.
pub fn serve(input: impl BufRead, mut output: impl Write, temperature: f32) -> Result<()> {
    let mut stage: Option<Stage> = None;
    for line in input.lines() {
        let line = line?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [op, rows, vocab, length] = fields[..] else {
            return Err(format!("not a turn: {line}").into());
        };
        let op = Op::ALL.into_iter().find(|known| known.name() == op).ok_or("an unknown operation")?;
        let shape = Shape { rows: rows.parse()?, vocab: vocab.parse()? };
        let stage = match &mut stage {
            Some(stage) if stage.batch.shape == shape => stage,
            stage => stage.insert(Stage::new(shape, temperature)),
        };
        let times = stage.turn(op, Duration::from_micros(length.parse()?))?;
        let times: Vec<String> =
            times.iter().map(|time| format!("{:.3}", time.as_secs_f64() * 1e6)).collect();
        writeln!(output, "{}", times.join(" "))?;
        output.flush()?;
    }
    Ok(())
}

/// A batch, and what has been called on it.
struct Stage {
    batch: Batch,
    answer: Answer,
    operations: Vec<Contestant>,
}

impl Stage {
    fn new(shape: Shape, temperature: f32) -> Self {
        let batch = Batch::gaussian(shape, temperature);
        Self { batch, answer: Answer::new(shape), operations: vec![] }
    }

    fn turn(&mut self, op: Op, length: Duration) -> Result<&[Duration]> {
        let Self { batch, answer, operations } = self;
        let index = match operations.iter().position(|contestant| contestant.peer.op == op) {
            Some(index) => index,
            None => {
                let peer =
                    peers::of(op).find(|peer| peer.name == peers::KELVIN).ok_or("no such operation")?;
                operations.push(checked(peer, batch, answer)?);
                operations.len() - 1
            }
        };
        answer.clear(op, batch);
        operations[index].turn(batch, answer, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn answers(turns: &str) -> Result<Vec<usize>> {
        let mut output = vec![];
        serve(turns.as_bytes(), &mut output, Options::TEMPERATURE)?;
        let count = |line: &str| line.split(' ').filter(|us| us.parse::<f64>().unwrap() > 0.0).count();
        Ok(String::from_utf8(output)?.lines().map(count).collect())
    }

    #[test]
    fn every_turn_is_answered() {
        let counts =
            answers("sample 2 1000 0\nsoftmax 2 1000 9000\nsample 2 1000 0\nargmax 1 50 0\n").unwrap();
        assert_eq!(counts.len(), 4);
        assert!(counts.iter().all(|count| *count > 0));
        assert!(answers("sample 2 1000\n").is_err());
        assert!(answers("sampling 2 1000 0\n").is_err());
    }
}
