"""The cross-entropy of classes and its gradient, compiled: a row of scores at a time.

Letters: N examples, C classes.
"""

from __future__ import annotations

import math

from ...backend import Array
from .jit import kernel

__all__ = ["cross_entropy"]


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
        largest = scores[n, 0]
        for c in range(1, classes):
            # What is not a number stays so.
            if scores[n, c] > largest or scores[n, c] != scores[n, c]:
                largest = scores[n, c]
        powers = 0.0
        for c in range(classes):
            gradient[n, c] = math.exp(scores[n, c] - largest)
            powers += gradient[n, c]
        total += math.log(powers) - (scores[n, targets[n]] - largest)
        for c in range(classes):
            gradient[n, c] /= powers * count
        gradient[n, targets[n]] -= 1 / count
    return float(total / count)
