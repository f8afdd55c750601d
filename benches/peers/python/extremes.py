"""What PyTorch (CPU) makes of extreme temperatures: softmax(x / T), and multinomial of that.

Takes the rows and temperatures that `extremes` (../src/bin/extremes) wrote, and adds torch.csv to its tables. The
columns are explained there, in metrics.rs.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from accuracy import exact_softmax

HEAD = "method,row,temperature,relative_error,total_variation,reach,lost,drawable"
SPECIAL = [0.0, 1e-45, 1e-39, np.inf, -1.0, np.nan]


def softmax(logits, temperature):
    return torch.softmax(logits / temperature, dim=-1)


def metrics(logits, temperature):
    probs = softmax(torch.from_numpy(logits), temperature).numpy().astype(np.float64)
    if np.isnan(probs).any():
        return [np.nan] * 5
    truth = exact_softmax(logits, temperature)
    counted, reachable = truth > 2.0**-100, truth >= 2.0**-50
    return [
        np.abs(probs[counted] / truth[counted] - 1).max(),
        # multinomial draws by a race of exponentials, so in these proportions.
        np.abs(probs / probs.sum() - truth).sum() / 2,
        (probs[reachable] > 0).mean(),
        truth[probs == 0].max(initial=0),
        (probs > 0).mean(),
    ]


def multinomial(probs):
    try:
        return f"draws {sorted(set(torch.multinomial(probs, 1).item() for _ in range(1000)))}"
    except RuntimeError as error:
        return f"raises RuntimeError: {error}"


def print_special():
    logits = torch.tensor([0.5, 2.0, -1.0, 1.0])
    print(f"torch {torch.__version__}, logits {logits.tolist()}")
    for temperature in SPECIAL:
        probs = softmax(logits, np.float32(temperature))
        print(f"T = {temperature:g}: {probs.tolist()}; multinomial {multinomial(probs)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/extremes"))
    folder = parser.parse_args().data
    torch.manual_seed(0)
    print_special()
    temperatures = np.fromfile(folder / "temperatures.f32", "<f4")
    with open(folder / "torch.csv", "w") as table:
        print(HEAD, file=table)
        for file in sorted(folder.glob("*.f32")):
            if file.stem == "temperatures":
                continue
            logits = np.fromfile(file, "<f4")
            for temperature in temperatures:
                error, distance, reach, lost, drawable = metrics(logits, temperature)
                numbers = f"{error:.4e},{distance:.4e},{reach},{lost:.4e},{drawable}"
                print(f"torch,{file.stem},{temperature:e},{numbers}", file=table)


if __name__ == "__main__":
    main()
