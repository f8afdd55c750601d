"""The rows that the Rust program exported."""

import math

import numpy as np

TEMPERATURE = float(np.float32(0.8))

LINE = 64  # The bytes of a cache line.


def files(folder):
    return sorted(folder.glob("logits_*.f32"), key=shape_of)


def shape_of(file):
    """logits_ROWSxVOCAB.f32"""
    return tuple(int(number) for number in file.stem.removeprefix("logits_").split("x"))


def read(file):
    logits = aligned(shape_of(file))
    logits[:] = np.fromfile(file, "<f4").reshape(logits.shape)
    return logits


def aligned(shape):
    """Room that starts on a cache line, as the Rust program's does; NumPy's own need not."""
    count = math.prod(shape)
    room = np.empty(count * 4 + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + count * 4].view(np.float32).reshape(shape)
