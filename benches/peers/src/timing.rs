//! Who is timed when: in turns, so that a busy moment of the machine hits everybody alike.

use std::time::{Duration, Instant};

use crate::Result;
use crate::batch::{Answer, Batch};
use crate::peer::{Peer, Task};

/// A peer whose call takes longer is not timed.
const TOO_SLOW: Duration = Duration::from_secs(1);

/// How much time to spend.
pub struct Effort {
    pub rounds: usize,
    /// A peer calls again and again for that long, at its turn.
    pub turn: Duration,
    /// Who has measured for that long, and has that many samples, sits out.
    pub enough: Duration,
    pub fewest: usize,
}

impl Effort {
    pub const FULL: Self =
        Self { rounds: 21, turn: Duration::from_millis(8), enough: Duration::from_millis(800), fewest: 5 };
    pub const QUICK: Self =
        Self { rounds: 7, turn: Duration::from_millis(2), enough: Duration::from_millis(50), fewest: 3 };
}

pub struct Contestant {
    pub peer: &'static Peer,
    task: Box<dyn Task>,
    pub first: Duration,
    samples: Vec<Duration>,
}

impl Contestant {
    pub fn new(peer: &'static Peer, batch: &Batch) -> Result<Self> {
        let task = (peer.prepare)(batch)?;
        Ok(Self { peer, task, first: Duration::ZERO, samples: Vec::new() })
    }

    /// The call whose answer is looked at.
    pub fn first_call(&mut self, batch: &Batch, answer: &mut Answer) -> Result<()> {
        answer.clear(self.peer.op, batch);
        self.first = self.time(batch, answer)?;
        self.task.fetch(answer)
    }

    /// In microseconds, if it was timed.
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).map(|time| time.as_secs_f64() * 1e6)
    }

    fn sits_out(&self, effort: &Effort) -> bool {
        let spent: Duration = self.samples.iter().sum();
        self.first > TOO_SLOW || (self.samples.len() >= effort.fewest && spent > effort.enough)
    }

    /// A call that warms the caches, and timed ones for that long. Returns their times.
    pub fn turn(&mut self, batch: &Batch, answer: &mut Answer, length: Duration) -> Result<&[Duration]> {
        self.time(batch, answer)?;
        let (before, start) = (self.samples.len(), Instant::now());
        loop {
            let time = self.time(batch, answer)?;
            self.samples.push(time);
            if start.elapsed() > length {
                return Ok(&self.samples[before..]);
            }
        }
    }

    fn time(&mut self, batch: &Batch, answer: &mut Answer) -> Result<Duration> {
        let start = Instant::now();
        self.task.call(batch, answer)?;
        Ok(start.elapsed())
    }
}

/// A B C A B C ...
pub fn take_turns(
    contestants: &mut [Contestant],
    batch: &Batch,
    answer: &mut Answer,
    effort: &Effort,
) -> Result<()> {
    for _ in 0..effort.rounds {
        for contestant in contestants.iter_mut().filter(|contestant| !contestant.sits_out(effort)) {
            contestant.turn(batch, answer, effort.turn)?;
        }
    }
    Ok(())
}
