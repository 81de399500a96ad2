"""Losses: how far predictions are from what was wanted, as the mean over the batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array, array_module
from ..errors import DataError, ShapeError
from .checks import array_of, floating

__all__ = [
    "binary_cross_entropy",
    "cross_entropy",
    "mean_absolute_error",
    "mean_squared_error",
    "negative_log_likelihood",
]


def cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the mean of -log(softmax(logits)) at the targets, computed stably.

    Large logits neither overflow nor lose precision, as they would if the softmax
    were taken first; so this wants the logits.

    Parameters
    ----------
    logits
        Array or Tensor of shape (N, ..., C).
    targets
        Class indices, whole numbers of shape (N, ...), or probabilities of shape
        (N, ..., C).

    Returns
    -------
    number or Tensor
        The mean over all axes but the last.

    Raises
    ------
    ShapeError
        If the targets have neither shape.
    DataError
        If an index is not one of the C classes, or the batch is empty.

    Examples
    --------
    >>> import minnet as mn
    >>> round(float(mn.ops.cross_entropy([[1000.0, 0.0], [0.0, 0.0]], [0, 1])), 4)
    0.3466
    """
    z = floating(logits)
    t = _check_targets("cross_entropy", z, targets)
    below = np.ascontiguousarray(z - z.max(-1, keepdims=True))  # no power of these overflows
    powers = np.exp(below)
    totals = powers.sum(-1, keepdims=True)
    logs = below - np.log(totals)  # of the softmax, which is powers / totals
    count, at = math.prod(z.shape[:-1]), _index(t, z)

    def back(g: Array) -> Any:
        part = g / count
        sums = 1 if at is not None else t.sum(-1, keepdims=True)
        return _minus_targets(powers * (part * sums / totals), t, at, part)

    return record(-_mean_at(logs, t, at), (logits, back), (targets, lambda g: logs * (-g / count)))


def negative_log_likelihood(probabilities: Any, targets: Any) -> Any:
    """Return the mean of -log(probabilities) at the targets.

    For a net that ends in a softmax; from the logits, `cross_entropy` is more
    precise. A probability of 0 counts as the smallest positive number, so that the
    result stays finite.

    Parameters
    ----------
    probabilities
        Array or Tensor of shape (N, ..., C).
    targets
        Class indices, whole numbers of shape (N, ...), or probabilities of shape
        (N, ..., C).

    Returns
    -------
    number or Tensor
        The mean over all axes but the last.

    Raises
    ------
    ShapeError
        If the targets have neither shape.
    DataError
        If an index is not one of the C classes, or the batch is empty.

    Examples
    --------
    >>> import minnet as mn
    >>> round(float(mn.ops.negative_log_likelihood([[0.5, 0.5], [0.25, 0.75]], [0, 0])), 4)
    1.0397
    """
    p = floating(probabilities)
    t = _check_targets("negative_log_likelihood", p, targets)
    positive = np.ascontiguousarray(np.maximum(p, np.finfo(p.dtype).tiny))
    logs = np.log(positive)
    count, at = math.prod(p.shape[:-1]), _index(t, p)

    def back(g: Array) -> Any:
        gradient = _minus_targets(np.zeros_like(positive), t, at, g / count)
        gradient /= positive
        return gradient

    return record(
        -_mean_at(logs, t, at), (probabilities, back), (targets, lambda g: logs * (-g / count))
    )


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the mean cross-entropy of sigmoid(logits), computed stably.

    That is the mean over all elements of -t log(s) - (1 - t) log(1 - s), s being
    the sigmoid of the logit; each element is a question of its own.

    Parameters
    ----------
    logits
        Array or Tensor of any shape.
    targets
        Of the same shape, from 0 to 1 (or bools).

    Returns
    -------
    number or Tensor
        The mean over all elements.

    Raises
    ------
    ShapeError
        If the shapes differ.
    DataError
        If a target is not between 0 and 1, or the batch is empty.

    Examples
    --------
    >>> import minnet as mn
    >>> round(float(mn.ops.binary_cross_entropy([0.0, 1000.0], [1, 1])), 4)
    0.3466
    """
    z, t = _same_shape("binary_cross_entropy", logits, targets)
    if not ((t >= 0) & (t <= 1)).all():
        raise DataError("binary_cross_entropy expects targets between 0 and 1, got others")
    small = np.exp(-abs(z))  # of the two exponentials, the one that can't overflow
    losses = np.maximum(z, 0) - z * t + np.log1p(small)

    def back(g: Array) -> Any:
        sigmoid = np.where(z >= 0, 1, small) / (1 + small)
        return (sigmoid - t) * (g / z.size)

    return record(losses.mean(), (logits, back), (targets, lambda g: z * (-g / z.size)))


def mean_squared_error(prediction: Any, target: Any) -> Any:
    """Return the mean of (prediction - target)**2 over all elements.

    Parameters
    ----------
    prediction, target
        Arrays or Tensors of the same shape.

    Returns
    -------
    number or Tensor
        The mean.

    Raises
    ------
    ShapeError
        If the shapes differ: broadcasting here would nearly always be a slip.
    DataError
        If the batch is empty.

    Examples
    --------
    >>> import minnet as mn
    >>> float(mn.ops.mean_squared_error([1.0, 2.0], [1.0, 4.0]))
    2.0
    """
    p, t = _same_shape("mean_squared_error", prediction, target)
    difference = p - t
    return record(
        (difference * difference).mean(),
        (prediction, lambda g: difference * (2 * g / difference.size)),
        (target, lambda g: difference * (-2 * g / difference.size)),
    )


def mean_absolute_error(prediction: Any, target: Any) -> Any:
    """Return the mean of |prediction - target| over all elements.

    Where the two are equal the gradient is 0.

    Parameters
    ----------
    prediction, target
        Arrays or Tensors of the same shape.

    Returns
    -------
    number or Tensor
        The mean.

    Raises
    ------
    ShapeError
        If the shapes differ: broadcasting here would nearly always be a slip.
    DataError
        If the batch is empty.

    Examples
    --------
    >>> import minnet as mn
    >>> float(mn.ops.mean_absolute_error([1.0, 2.0], [1.0, 4.0]))
    1.0
    """
    p, t = _same_shape("mean_absolute_error", prediction, target)
    difference = p - t
    sign = np.sign(difference)
    return record(
        abs(difference).mean(),
        (prediction, lambda g: sign * (g / sign.size)),
        (target, lambda g: sign * (-g / sign.size)),
    )


def _index(t: Array, scores: Array) -> Array | None:
    """Return where among the flat scores those of the classes `t` are; None for probabilities."""
    if t.ndim == scores.ndim:
        return None
    starts = array_module(t).arange(0, scores.size, scores.shape[-1], dtype=np.int64)
    starts += t.reshape(-1).astype(np.int64, copy=False)
    return starts  # type: ignore[no-any-return]


def _mean_at(logs: Array, t: Array, at: Array | None) -> Any:
    """Return the mean of contiguous logs, each for its targets: at an index, or probabilities."""
    if at is None:
        return (t * logs).sum() / math.prod(logs.shape[:-1])
    return logs.reshape(-1)[at].mean()


def _minus_targets(gradient: Array, t: Array, at: Array | None, part: Any) -> Array:
    """Subtract `part` times the targets from a contiguous gradient in place."""
    if at is None:
        gradient -= t * part
    else:
        gradient.reshape(-1)[at] -= part
    return gradient


def _check_targets(name: str, a: Array, targets: Any) -> Array:
    """Return the targets as class indices or as probabilities, if they fit the scores `a`."""
    t = array_of(targets)
    if a.ndim < 2:
        raise ShapeError(f"{name} expects scores of shape (N, ..., C), got {a.shape}")
    _check_some(name, a)
    if t.shape == a.shape:
        return t.astype(a.dtype, copy=False)
    if t.shape != a.shape[:-1]:
        raise ShapeError(
            f"{name} of scores of shape {a.shape} expects class indices of shape "
            f"{a.shape[:-1]} or probabilities of shape {a.shape}, got targets of shape {t.shape}"
        )
    if t.dtype.kind not in "iu":
        raise DataError(f"{name} expects class indices to be whole numbers, got {t.dtype}")
    classes = a.shape[-1]
    if t.min() < 0 or t.max() >= classes:
        wrong = t[(t < 0) | (t >= classes)]
        raise DataError(
            f"{name} expects class indices from 0 to {classes - 1} "
            f"for scores of shape {a.shape}, got {int(wrong[0])}"
        )
    return t


def _same_shape(name: str, prediction: Any, target: Any) -> tuple[Array, Array]:
    """Return both as arrays of the prediction's dtype, if their shapes are the same."""
    p, t = floating(prediction), array_of(target)
    if p.shape != t.shape:
        raise ShapeError(
            f"{name} expects both of the same shape, got predictions of shape {p.shape} "
            f"and targets of shape {t.shape}"
        )
    _check_some(name, p)
    return p, t.astype(p.dtype, copy=False)


def _check_some(name: str, a: Array) -> None:
    """Raise a DataError if there is nothing to take the mean of."""
    if a.size == 0:
        raise DataError(f"{name} can't take the mean of nothing: it got shape {a.shape}")
