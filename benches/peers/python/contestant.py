"""Who takes part at one operation on one batch: checked once, then timed in turns with the others."""

import statistics
import subprocess
import time

import numpy as np

from accuracy import accuracy, exact_softmax
from rows import TEMPERATURE

DRAWS = 1000  # Tokens of each row, for the operation of that name.

TOLERANCE = 1e-3  # The relative error that a softmax may have.
TOO_SLOW = 1.0  # A peer whose call takes longer (seconds) is not timed.
FULL = {"rounds": 21, "turn": 0.008, "enough": 0.8, "fewest": 5}
QUICK = {"rounds": 7, "turn": 0.002, "enough": 0.05, "fewest": 3}


class Contestant:
    """`package` is where its version is from; `read` gives the answer if the call does not return it."""

    def __init__(self, op, name, package, call, read=None):
        self.op, self.name, self.package, self.call, self.read = op, name, package, call, read
        self.first, self.samples = 0.0, []

    def first_call(self, logits):
        """The answer, which is right."""
        start = time.perf_counter()
        answer = self.call()
        self.first = time.perf_counter() - start
        answer = np.asarray(self.read() if self.read else answer)
        if not is_right(self.op, logits, answer):
            raise SystemExit(f"{self.name}: a wrong {self.op}")
        return answer

    def turn(self, effort):
        self.call()  # It warms the caches.
        start = time.perf_counter()
        while True:
            before = time.perf_counter()
            self.call()
            after = time.perf_counter()
            self.samples.append(after - before)
            if after - start > effort["turn"]:
                return

    def sits_out(self, effort):
        done = len(self.samples) >= effort["fewest"] and sum(self.samples) > effort["enough"]
        return done or self.first > TOO_SLOW

    def median_us(self):
        return statistics.median(self.samples) * 1e6 if self.samples else None


class Kelvin(Contestant):
    """Calls made, checked and timed by a program that waits meanwhile."""

    def __init__(self, op, program, shape):
        super().__init__(op, "kelvin", None, None)
        self.program, self.shape = program, shape

    def turn(self, effort):
        self.samples += self.program.turn(self.op, self.shape, effort["turn"])


class Program:
    """kelvin-peers, which has the rows that it exported."""

    def __init__(self, path, threads):
        command = [path, "--turns", "--threads", str(threads)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        # Until other threads than the main one wait no longer at full speed.
        self.pause = 0.005 if threads > 1 else 0

    def turn(self, op, shape, seconds):
        time.sleep(self.pause)
        try:
            print(op, *shape, round(seconds * 1e6), file=self.process.stdin, flush=True)
            times = self.process.stdout.readline().split()
        except BrokenPipeError:
            times = []
        if not times:
            raise SystemExit("kelvin-peers has ended")
        return [float(us) / 1e6 for us in times]


def is_right(op, logits, answer):
    """Whether the answer can be right."""
    rows, vocab = logits.shape
    if op == "softmax":
        ends = [0, -1]
        error, _ = accuracy(logits[ends], answer[ends])
        return answer.shape == logits.shape and error < TOLERANCE
    if op == "argmax":
        return np.array_equal(answer, logits.argmax(axis=-1))
    each = DRAWS if op == "draws" else 1
    return answer.shape == (rows, each) and ((0 <= answer) & (answer < vocab)).all()


def has_right_frequencies(tokens, row):
    """Within five standard deviations, and a masked token never."""
    mean = exact_softmax(row, TEMPERATURE) * tokens.size
    drawn = np.bincount(np.ravel(tokens), minlength=len(row))
    return (np.abs(drawn - mean) <= 5 * np.sqrt(mean * (1 - mean / tokens.size))).all()


def take_turns(peers, effort):
    for _ in range(effort["rounds"]):
        for peer in peers:
            if not peer.sits_out(effort):
                peer.turn(effort)
