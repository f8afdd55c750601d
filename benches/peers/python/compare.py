"""Times PyTorch, NumPy and ONNX Runtime (CPU) on the rows that kelvin was timed on.

The peers take turns as in the Rust program (see ../README.md), which writes the logits and, before this
runs, the table that kelvin's medians are taken from.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

TEMPERATURE = float(np.float32(0.8))
DRAWS = 1000
COLUMNS = ["op", "level", "rows", "vocab", "threads", "dtype"]
COLUMNS += ["median_us", "reference", "reference_us", "ratio"]

TOO_SLOW = 1.0  # A peer whose call takes longer (seconds) is not timed,
WARM = 0.005  # and one that takes longer than this needs no call to warm the caches.
FULL = {"rounds": 21, "turn": 0.008, "enough": 0.8, "fewest": 5}
QUICK = {"rounds": 7, "turn": 0.002, "enough": 0.05, "fewest": 3}


class Contestant:
    def __init__(self, op, name, call):
        self.op, self.name, self.call = op, name, call
        self.first, self.samples = 0.0, []

    def first_call(self, logits):
        start = time.perf_counter()
        answer = np.asarray(self.call())
        self.first = time.perf_counter() - start
        check(self, logits, answer)

    def turn(self, effort):
        if self.first < WARM:
            self.call()
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


def contestants(logits, threads):
    yield from torch_peers(torch.from_numpy(logits).clone())  # laid out as torch likes it
    yield Contestant("softmax", "numpy softmax(out=)", numpy_softmax(logits))
    yield Contestant("argmax", "numpy argmax", lambda: logits.argmax(axis=-1))
    yield Contestant("softmax", "onnxruntime Div + Softmax", onnx_softmax(logits, threads))


def torch_peers(logits):
    def softmax():
        return torch.softmax(logits / TEMPERATURE, dim=-1)

    scaled, probs = torch.empty_like(logits), torch.empty_like(logits)

    def softmax_out():
        torch.div(logits, TEMPERATURE, out=scaled)
        return torch.softmax(scaled, dim=-1, out=probs)

    def race():
        exponentials = torch.empty_like(logits).exponential_()
        return softmax().div_(exponentials).argmax(dim=-1)

    yield Contestant("softmax", "torch softmax(x/T)", softmax)
    yield Contestant("softmax", "torch div(out=) + softmax(out=)", softmax_out)
    yield Contestant("sample", "torch softmax + multinomial", lambda: torch.multinomial(softmax(), 1))
    yield Contestant("sample", "torch softmax + exponential race", race)
    yield Contestant("argmax", "torch argmax", lambda: logits.argmax(dim=-1))
    if logits.shape == (1, 128256):
        many = f"torch softmax + multinomial({DRAWS})"
        yield Contestant("draws", many, lambda: torch.multinomial(softmax(), DRAWS, replacement=True))


def numpy_softmax(logits):
    probs = np.empty_like(logits)

    def call():
        np.divide(logits, np.float32(TEMPERATURE), out=probs)
        np.subtract(probs, probs.max(axis=-1, keepdims=True), out=probs)
        np.exp(probs, out=probs)
        np.divide(probs, probs.sum(axis=-1, keepdims=True), out=probs)
        return probs

    return call


def onnx_softmax(logits, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = onnx_model(logits.shape).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    probs = np.empty_like(logits)
    binding = session.io_binding()
    binding.bind_ortvalue_input("logits", onnxruntime.OrtValue.ortvalue_from_numpy(logits))
    binding.bind_output("probs", "cpu", 0, np.float32, probs.shape, probs.ctypes.data)

    def call():
        session.run_with_iobinding(binding)
        return probs

    return call


def onnx_model(shape):
    tensor = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
        onnx.helper.make_node("Softmax", ["scaled"], ["probs"], axis=-1),
    ]
    temperature = onnx.helper.make_tensor("temperature", onnx.TensorProto.FLOAT, [], [TEMPERATURE])
    inputs = [tensor("logits", onnx.TensorProto.FLOAT, shape)]
    outputs = [tensor("probs", onnx.TensorProto.FLOAT, shape)]
    graph = onnx.helper.make_graph(nodes, "softmax", inputs, outputs, [temperature])
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)


def check(contestant, logits, answer):
    """Whether the answer can be right."""
    if contestant.op == "softmax":
        ends = [0, -1]
        exact = logits[ends].astype(np.float64) / TEMPERATURE
        exact = np.exp(exact - exact.max(axis=-1, keepdims=True))
        exact /= exact.sum(axis=-1, keepdims=True)
        right = np.allclose(answer[ends], exact, rtol=1e-3, atol=0)
    elif contestant.op == "argmax":
        right = (answer == logits.argmax(axis=-1)).all()
    else:
        right = ((0 <= answer) & (answer < logits.shape[1])).all()
    if not right:
        raise SystemExit(f"{contestant.name}: a wrong {contestant.op}")


def take_turns(peers, effort):
    for _ in range(effort["rounds"]):
        for peer in peers:
            if not peer.sits_out(effort):
                peer.turn(effort)


def kelvin_medians(file):
    """By operation, rows, vocabulary and threads."""
    with open(file, newline="") as lines:
        keys = ("op", "rows", "vocab", "threads")
        return {tuple(line[key] for key in keys): float(line["median_us"]) for line in csv.DictReader(lines)}


def report(peers, shape, threads, kelvin):
    rows, vocab = shape
    for peer in peers:
        theirs = peer.median_us()
        if theirs is None:
            print(f"{peer.op:8} {rows:>3} x {vocab:<7} {peer.name:34} skipped: {peer.first:.1f} s")
            continue
        # Kelvin's may be missing: not every version of it has every operation.
        ours = kelvin.get((peer.op, str(rows), str(vocab), str(threads)))
        ours_us, ratio = (f"{ours:.2f}", f"{ours / theirs:.4f}") if ours else ("", "")
        print(f"{peer.op:8} {rows:>3} x {vocab:<7} {peer.name:34} {theirs:>12.1f} {ours_us:>12} {ratio:>8}")
        yield [peer.op, "python", rows, vocab, threads, "f32", ours_us, peer.name, f"{theirs:.2f}", ratio]


def shape_of(file):
    """logits_ROWSxVOCAB.f32"""
    return tuple(int(number) for number in file.stem.removeprefix("logits_").split("x"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder given to --export")
    parser.add_argument("--kelvin", type=Path, required=True, help="the file given to --csv there")
    parser.add_argument("--csv", type=Path, help="writes the times")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="fewer calls")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    kelvin = kelvin_medians(args.kelvin)
    print(f"torch {torch.__version__}, numpy {np.__version__}, onnxruntime {onnxruntime.__version__}")
    print(f"{'':59} {'median us':>12} {'kelvin us':>12} {'ratio':>8}")
    lines = []
    for file in sorted(args.data.glob("logits_*.f32"), key=shape_of):
        logits = np.fromfile(file, "<f4").reshape(shape_of(file))
        with torch.inference_mode():
            peers = list(contestants(logits, args.threads))
            for peer in peers:
                peer.first_call(logits)
            take_turns(peers, QUICK if args.quick else FULL)
        lines += report(peers, logits.shape, args.threads, kelvin)
    if args.csv:
        with open(args.csv, "w", newline="") as out:
            csv.writer(out, lineterminator="\n").writerows([COLUMNS, *lines])


if __name__ == "__main__":
    main()
