"""Measures PyTorch, NumPy, ONNX Runtime and XNNPACK (CPU) against kelvin on the same rows.

All take turns as in the Rust program (see ../README.md), which has written the logits, and takes kelvin's
turns. On one thread, both stay on one CPU, where the system can be told so.
"""

import argparse
import csv
import os
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

import rows
from accuracy import accuracy
from contestant import DRAWS, FULL, QUICK, Kelvin, Program, has_right_frequencies, take_turns
from peers import contestants

TIMES = ["op", "level", "rows", "vocab", "threads", "dtype"]
TIMES += ["median_us", "reference", "reference_us", "ratio"]

ACCURACIES = ["peer", "version", "max_relative_error", "sum_minus_1"]
ACCURACY_FILE, ACCURACY_ROWS = "logits_64x128256.f32", 16  # the rows that the Rust program takes


def check_frequencies(threads):
    """Every sampler, on 20,000 draws from the row that the Rust program takes."""
    row = np.array([0.5, -1, 2, -np.inf, 1.5, 0, -0.5, 1], np.float32)
    for op, count in [("sample", 20_000), ("draws", 20_000 // DRAWS)]:
        logits = rows.aligned((count, len(row)))
        logits[:] = row
        for peer in contestants(logits, threads):
            if peer.op == op and not has_right_frequencies(peer.first_call(logits), row):
                raise SystemExit(f"{peer.name}: wrong frequencies")


def accuracies(folder, threads):
    logits = rows.read(folder / ACCURACY_FILE)[:ACCURACY_ROWS]
    print(f"softmax against f64, the worst of {ACCURACY_ROWS} rows of {logits.shape[1]}")
    print(f"{'':36} {'version':>8} {'relative error':>14} {'|sum - 1|':>12}")
    for peer in contestants(logits, threads):
        if peer.op == "softmax":
            version = metadata.version(peer.package).split("+")[0]
            error, sum_minus_1 = accuracy(logits, peer.first_call(logits))
            print(f"{peer.name:36} {version:>8} {error:>14.2e} {sum_minus_1:>12.2e}")
            yield [peer.name, version, as_rust(error), as_rust(sum_minus_1)]


def as_rust(number):
    """As Rust writes it, without a zero or a plus in the exponent."""
    return np.format_float_scientific(number, precision=3, unique=False, exp_digits=1).replace("e+", "e")


def times(folder, threads, effort, program):
    print(f"{'':61} {'median us':>12} {'kelvin us':>12} {'ratio':>8}")
    for file in rows.files(folder):
        logits = rows.read(file)
        peers = list(contestants(logits, threads))
        for peer in peers:
            peer.first_call(logits)
        ours = {op: Kelvin(op, program, logits.shape) for op in dict.fromkeys(peer.op for peer in peers)}
        take_turns([*ours.values(), *peers], effort)
        yield from report(peers, ours, logits.shape, threads)


def report(peers, ours, shape, threads):
    count, vocab = shape
    for peer in peers:
        theirs = peer.median_us()
        if theirs is None:
            print(f"{peer.op:8} {count:>3} x {vocab:<7} {peer.name:36} skipped: {peer.first:.1f} s")
            continue
        us = ours[peer.op].median_us()
        ratio = f"{us / theirs:.4f}"
        print(f"{peer.op:8} {count:>3} x {vocab:<7} {peer.name:36} {theirs:>12.1f} {us:>12.2f} {ratio:>8}")
        line = [f"{us:.2f}", peer.name, f"{theirs:.2f}", ratio]
        yield [peer.op, "python", count, vocab, threads, "f32", *line]


def write(file, head, lines):
    with open(file, "w", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([head, *lines])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder given to --export")
    parser.add_argument("--kelvin", type=Path, required=True, help="the Rust program, kelvin-peers")
    parser.add_argument("--csv", type=Path, help="writes the times")
    parser.add_argument("--accuracy-csv", type=Path, help="writes the accuracies")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer calls")
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    program, effort = Program(args.kelvin, args.threads), QUICK if args.quick else FULL
    with torch.inference_mode():
        check_frequencies(args.threads)
        accurate = list(accuracies(args.data, args.threads))
        timed = list(times(args.data, args.threads, effort, program))
    if args.accuracy_csv:
        write(args.accuracy_csv, ACCURACIES, accurate)
    if args.csv:
        write(args.csv, TIMES, timed)


if __name__ == "__main__":
    main()
