"""LogME: how well a source net suits target data, by the evidence for a linear model."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..backend import Array
from ..errors import DataError, MinnetWarning
from .blocks import spectrum
from .checks import class_indices, feature_matrix, one_hot, warn_if_few

__all__ = ["logme"]


def logme(features: Any, labels: Any) -> float:
    """Return LogME: the evidence for a linear model of the labels, its priors at their best.

    Each class's indicator y is modelled as y = F w + noise with w ~ N(0, I / alpha) and
    noise ~ N(0, I / beta). The log evidence, with A = alpha I + beta F^T F and
    m = beta A^-1 F^T y,

        L = N/2 log beta + D/2 log alpha - N/2 log 2 pi
            - beta/2 |F m - y|^2 - alpha/2 m^T m - 1/2 log |A|,

    is maximized over alpha and beta. LogME is L / N, averaged over the classes; higher
    is better.

    Parameters
    ----------
    features, labels
        Source features (N, D) of target data, and the target labels.

    Returns
    -------
    float
        Infinite, with a warning, where the features give the labels exactly.

    Raises
    ------
    ShapeError, DataError
        If the features aren't a matrix of finite numbers with a label each, or all are
        0, or there is only one class.

    Warns
    -----
    MinnetWarning
        Where there are no more examples than features, or it is infinite.

    Notes
    -----
    With the singular values of F, the best beta is known for each ratio alpha / beta, so
    the maximum is sought over that one number. The paper's fixed-point iteration seeks
    the same maximum; it can take very long, or end at a lower one of two.

    References
    ----------
    You, Liu, Wang, Long (2021), "LogME: practical assessment of pre-trained models for
    transfer learning", section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.measure import logme
    >>> labels = np.arange(100) % 2
    >>> noise = np.random.default_rng(0).normal(size=(100, 3))
    >>> logme(noise, labels) < logme(noise + labels[:, None], labels)
    True
    """
    x = feature_matrix(features)
    y, classes = class_indices(labels, len(x))
    if not x.any():
        raise DataError("all features are 0: there is nothing to score")
    warn_if_few(x.shape, "the evidence rests on the prior; give more examples, or pool the maps")
    size = x.shape[1]
    targets = one_hot(y, len(classes))
    # The evidence doesn't depend on the features' scale; the numbers behind it shouldn't either.
    largest = np.full(size, np.abs(x).max(), dtype=np.float64)
    squares, along = spectrum(x, targets, np.zeros(size), largest)
    sizes = targets.sum(axis=0)
    outside = np.maximum(sizes - np.square(along).sum(axis=0), 0)  # what no F w can reach
    if len(squares) < len(x) and (outside <= 1e-9 * sizes).any():
        warnings.warn(
            "the features give the labels of a class exactly: LogME is infinite",
            MinnetWarning,
            stacklevel=2,
        )
        return math.inf
    squares = squares / squares.max()
    own = [_best_evidence(squares, along[:, k] ** 2, outside[k], len(x)) for k in range(len(sizes))]
    return math.fsum(own) / len(own) / len(x)


def _best_evidence(squares: Array, along: Array, outside: float, count: int) -> float:
    """Return the highest log evidence of one class, by a grid of log ratios that closes in."""
    low, high = -30.0, 30.0  # the largest of `squares` is 1: beyond, nothing changes any more
    while True:
        grid = np.linspace(low, high, 61)
        evidence = _evidence(np.exp(grid), squares, along, outside, count)
        best = int(evidence.argmax())
        if high - low < 1e-4:  # at a maximum, what is left to gain is of the order of its square
            return float(evidence[best])
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 60)]


def _evidence(ratios: Array, squares: Array, along: Array, outside: float, count: int) -> Array:
    """Return the log evidence for each alpha / beta, with the best beta there.

    beta enters as N/2 log beta - beta/2 E with E = |F m - y|^2 + ratio |m|^2, so the
    best is N / E.
    """
    kept = ratios[:, None] / (ratios[:, None] + squares)
    misfit = outside + kept @ along
    fit = count / 2 * (np.log(count / (2 * np.pi * misfit)) - 1)
    evidence: Array = fit + np.log(kept).sum(axis=1) / 2
    return evidence
