"""Softmax, and the cross-entropy of classes with its gradient, compiled: a row of scores at a time.

Letters: N examples, C classes.
"""

from __future__ import annotations

import math

from ...backend import Array
from .jit import kernel

__all__ = ["cross_entropy", "softmax"]


@kernel
def cross_entropy(scores: Array, targets: Array, gradient: Array) -> float:
    """Return the mean of -log softmax(scores) at the targets, and write its gradient.

    Parameters
    ----------
    scores
        Of shape (N, C).
    targets
        The class of each example, of shape (N,).
    gradient
        Of the shape of `scores`, to write to: (softmax - targets) / N.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.loss import cross_entropy
    >>> gradient = np.empty((1, 2))
    >>> round(cross_entropy(np.zeros((1, 2)), np.array([0]), gradient), 4)
    0.6931
    >>> gradient
    array([[-0.5,  0.5]])
    """
    count, classes = scores.shape
    total = 0.0
    for n in range(count):
        largest = _largest(scores[n])
        powers = 0.0
        for c in range(classes):
            gradient[n, c] = math.exp(scores[n, c] - largest)
            powers += gradient[n, c]
        total += math.log(powers) - (scores[n, targets[n]] - largest)
        for c in range(classes):
            gradient[n, c] /= powers * count
        gradient[n, targets[n]] -= 1 / count
    return float(total / count)


@kernel
def softmax(scores: Array) -> None:
    """Write the softmax of each row in its place.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.loss import softmax
    >>> scores = np.array([[1000.0, 1000.0]])
    >>> softmax(scores)
    >>> scores
    array([[0.5, 0.5]])
    """
    count, classes = scores.shape
    for n in range(count):
        largest, powers = _largest(scores[n]), 0.0
        for c in range(classes):
            scores[n, c] = math.exp(scores[n, c] - largest)
            powers += scores[n, c]
        for c in range(classes):
            scores[n, c] /= powers


@kernel
def _largest(row: Array) -> float:
    """Return the largest number, or what is not a number where there is such."""
    largest: float = row[0]
    for c in range(1, row.size):
        if row[c] > largest or row[c] != row[c]:
            largest = row[c]
    return largest
