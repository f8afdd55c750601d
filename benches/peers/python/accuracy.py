"""How far a softmax is from the exact one, by the definition of ../src/accuracy.rs."""

import numpy as np

from rows import TEMPERATURE

SMALLEST = 2.0**-100  # Errors of smaller probabilities are taken relative to this one.


def accuracy(logits, probs):
    """The largest relative error, and the largest |sum - 1| of a row."""
    exact, probs = exact_softmax(logits, TEMPERATURE), probs.astype(np.float64)
    errors = np.abs(probs - exact) / np.maximum(exact, SMALLEST)
    return worst(errors), worst(np.abs(probs.sum(axis=-1) - 1))


def exact_softmax(logits, temperature):
    logits = logits.astype(np.float64)
    weights = np.exp((logits - logits.max(axis=-1, keepdims=True)) / temperature)
    return weights / weights.sum(axis=-1, keepdims=True)


def worst(errors):
    """A NaN is infinitely wrong."""
    return np.inf if np.isnan(errors).any() else errors.max()
