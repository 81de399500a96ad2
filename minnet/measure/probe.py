"""Linear probes: how well a linear classifier does on frozen features."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array
from ..checks import number, positive
from ..data.labels import Label, label_indices
from ..errors import DataError, MinnetWarning, ShapeError
from .blocks import moments, row_blocks
from .checks import class_indices, feature_matrix, one_hot, warn_if_few
from .lbfgs import minimize

__all__ = ["Probe", "linear_probe"]

# Up to how many numbers (256 MiB) the standardized features are kept rather than made anew.
KEPT = 2**25


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features, and how well it does.

    Attributes
    ----------
    accuracy, loss
        On the test examples: the share it gets right, and its mean cross-entropy in nats.
    train_accuracy, train_loss
        The same on the examples it was fitted to.
    iterations, converged
        Steps of the optimizer, and whether they reached the minimum.
    weights, bias
        Of shape (D, K) and (K,), for the features as they came: `features @ weights +
        bias` are the scores of the classes.
    classes
        The labels of the K classes, in the order of the scores.
    """

    accuracy: float
    loss: float
    train_accuracy: float
    train_loss: float
    iterations: int
    converged: bool
    weights: Array
    bias: Array
    classes: tuple[Label, ...]

    def __repr__(self) -> str:
        return (
            f"Probe(accuracy={self.accuracy:.4g}, train_accuracy={self.train_accuracy:.4g}, "
            f"loss={self.loss:.4g}, iterations={self.iterations}, converged={self.converged})"
        )


def linear_probe(
    features: Any,
    labels: Any,
    test_features: Any,
    test_labels: Any,
    *,
    l2: float = 1e-3,
    tolerance: float = 1e-5,
    max_iterations: int = 2000,
) -> Probe:
    """Fit a linear classifier to frozen features and say how well it does on others.

    Multinomial logistic regression on standardized features z: the weights W and
    biases b that minimize

        -1/N sum_n log softmax(W^T z_n + b)[y_n] + l2 / 2 |W|^2,

    a strictly convex function of W, so there is one answer, whatever the start. It
    is found by L-BFGS in float64 from zero; nothing is random.

    Parameters
    ----------
    features, labels
        To fit: (N, D), and as many labels, strings or whole numbers.
    test_features, test_labels
        To judge by: other examples of the same features and classes.
    l2
        The penalty, positive: without one, classes that can be separated have no
        minimum. scikit-learn's `C` is 1 / (N * l2).
    tolerance
        No element of the gradient is larger at the end.
    max_iterations
        After how many steps to give up, with a warning.

    Raises
    ------
    ShapeError
        If features aren't matrices, or not as many in training and test.
    DataError
        If a number isn't finite, labels are too few or too many, there is only one
        class, or the test has a class that training has not.
    SpecError
        If an option isn't a positive number.

    Warns
    -----
    MinnetWarning
        If it didn't converge, or there are no more examples than features: almost any
        features then separate the training examples.

    Notes
    -----
    Features are standardized by the mean and deviation of the training examples,
    block by block, so that a copy in float64 of at most 256 MiB is held.

    References
    ----------
    Alain and Bengio (2016), "Understanding intermediate layers using linear
    classifier probes".

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.measure import linear_probe
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> linear_probe(x, ["low", "low", "high", "high"], [[-5.0], [9.0]], ["low", "high"]).accuracy
    1.0
    """
    x, z = feature_matrix(features), feature_matrix(test_features, "test features")
    if x.shape[1] != z.shape[1]:
        raise ShapeError(f"{x.shape[1]} features to fit but {z.shape[1]} in the test")
    y, classes = class_indices(labels, len(x))
    test_y = label_indices(classes, test_labels)
    if len(test_y) != len(z):
        raise DataError(f"{len(z)} test examples and {len(test_y)} test labels")
    penalty, precision = _positive_number(l2, "l2"), _positive_number(tolerance, "tolerance")
    limit = positive(max_iterations, "max_iterations")
    warn_if_few(x.shape, "almost any can be fitted; give more examples, or pool the maps")
    fit = _Fit(x, y, len(classes), penalty)
    end = minimize(fit, np.zeros((x.shape[1] + 1) * len(classes)), precision, limit)
    if not end.converged:
        warnings.warn(
            f"the probe has not converged after {end.iterations} steps: "
            "raise max_iterations, l2 or tolerance",
            MinnetWarning,
            stacklevel=2,
        )
    weights, bias = fit.for_raw_features(end.point)
    accuracy, loss = _judge(z, test_y, weights, bias)
    train_accuracy, train_loss = _judge(x, y, weights, bias)
    return Probe(
        accuracy, loss, train_accuracy, train_loss,
        end.iterations, end.converged, weights, bias, classes,
    )  # fmt: skip


def _positive_number(given: Any, what: str) -> float:
    return number(given, what, above=0.0)


class _Fit:
    """The function to minimize, of all weights and biases in one vector."""

    def __init__(self, x: Array, y: Array, classes: int, l2: float) -> None:
        self.x, self.l2 = x, l2
        self.targets = one_hot(y, classes)
        self.mean, deviation = moments(x)
        self.scale = np.where(deviation > 0, deviation, 1.0)
        self.kept = list(self._made()) if x.size <= KEPT else None

    def _made(self) -> Iterator[tuple[slice, Array]]:
        for rows in row_blocks(*self.x.shape):
            block = self.x[rows] - self.mean
            block /= self.scale
            yield rows, block

    def __call__(self, vector: Array) -> tuple[float, Array]:
        """Return the penalized loss and its gradient."""
        table = vector.reshape(-1, self.targets.shape[1])  # the weights, and a row of biases
        gradient = np.zeros_like(table)
        total = 0.0
        for rows, block in self._made() if self.kept is None else self.kept:
            targets = self.targets[rows]
            log_p = _log_softmax(block @ table[:-1] + table[-1])
            total -= float(np.vdot(targets, log_p))
            error = np.exp(log_p) - targets
            gradient[:-1] += block.T @ error
            gradient[-1] += error.sum(axis=0)
        gradient /= len(self.x)
        gradient[:-1] += self.l2 * table[:-1]
        penalty = self.l2 / 2 * float(np.square(table[:-1]).sum())
        return total / len(self.x) + penalty, gradient.ravel()

    def for_raw_features(self, vector: Array) -> tuple[Array, Array]:
        """Return weights and biases that take features before they are standardized."""
        table = vector.reshape(-1, self.targets.shape[1])
        weights = table[:-1] / self.scale[:, None]
        return weights, table[-1] - self.mean @ weights


def _log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _judge(x: Array, y: Array, weights: Array, bias: Array) -> tuple[float, float]:
    """Return the accuracy and the mean cross-entropy of a linear classifier."""
    right, loss = 0, 0.0
    for rows in row_blocks(*x.shape):
        log_p = _log_softmax(x[rows].astype(np.float64) @ weights + bias)
        right += int(np.count_nonzero(log_p.argmax(axis=1) == y[rows]))
        loss -= math.fsum(np.take_along_axis(log_p, y[rows, None], axis=1)[:, 0])
    return right / len(x), loss / len(x)
