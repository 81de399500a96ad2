"""Losses: how far predictions are from what was wanted, as the mean over the batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff import Tensor, record
from ..backend import Array, array_module, is_array
from ..errors import DataError, ShapeError
from . import gpu
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
        If an index is not one of the C classes, or the batch is empty. On a GPU the loss
        is NaN for such an index: telling would make the host wait.

    Examples
    --------
    >>> import minnet as mn
    >>> round(float(mn.ops.cross_entropy([[1000.0, 0.0], [0.0, 0.0]], [0, 1])), 4)
    0.3466
    """
    z = floating(logits)
    on_gpu = gpu.takes(z) and is_array(targets) and not isinstance(targets, np.ndarray)
    t = _check_targets("cross_entropy", z, targets, look=not on_gpu)
    if on_gpu:
        loss, each = gpu.loss.cross_entropy(z, t, isinstance(logits, Tensor))
        return record(loss, (logits, lambda g: gpu.loss.cross_entropy_gradient(g, each)))
    below = array_module(z).ascontiguousarray(
        z - z.max(-1, keepdims=True)
    )  # no power of these overflows
    powers = np.exp(below)
    totals = powers.sum(-1, keepdims=True)  # the softmax is powers / totals
    count = math.prod(z.shape[:-1])
    if t.ndim < z.ndim:
        at = _index(t, z)
        losses = np.log(totals).reshape(-1) - below.reshape(-1)[at]

        def by_classes(g: Array) -> Any:
            part = g / count
            gradient = powers * (part / totals)
            gradient.reshape(-1)[at] -= part
            return gradient

        return record(_mean(losses), (logits, by_classes))

    logs = below - np.log(totals)

    def by_shares(g: Array) -> Any:
        gradient = powers * (t.sum(-1, keepdims=True) / totals)
        gradient -= t
        gradient *= g / count
        return gradient

    losses = (t * logs).sum(-1)
    return record(-_mean(losses), (logits, by_shares), (targets, lambda g: logs * (-g / count)))


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
    positive = array_module(p).ascontiguousarray(np.maximum(p, np.finfo(p.dtype).tiny))
    logs = np.log(positive)
    count = math.prod(p.shape[:-1])
    if t.ndim < p.ndim:
        at = _index(t, p)

        def by_classes(g: Array) -> Any:
            gradient = np.zeros_like(positive)
            gradient.reshape(-1)[at] = -g / count / positive.reshape(-1)[at]
            return gradient

        return record(-_mean(logs.reshape(-1)[at]), (probabilities, by_classes))
    return record(
        -_mean((t * logs).sum(-1)),
        (probabilities, lambda g: t / positive * (-g / count)),
        (targets, lambda g: logs * (-g / count)),
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
    # A GPU isn't waited for; training has looked at targets before they came there.
    if isinstance(t, np.ndarray) and not ((t >= 0) & (t <= 1)).all():
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


def _index(t: Array, scores: Array) -> Array:
    """Return where among the flat scores those of the classes `t` are."""
    starts = array_module(t).arange(0, scores.size, scores.shape[-1], dtype=np.int64)
    starts += t.reshape(-1).astype(np.int64, copy=False)
    return starts  # type: ignore[no-any-return]


def _mean(losses: Array) -> Any:
    """Return the mean, from the sum (which is quicker) unless that can overflow."""
    return losses.mean() if losses.dtype.itemsize < 4 else losses.sum() / losses.size


def _check_targets(name: str, a: Array, targets: Any, look: bool = True) -> Array:
    """Return the targets as class indices or as probabilities, if they fit the scores `a`.

    Without a look at the indices themselves, where it would make the host wait for a GPU.
    """
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
    if (
        look and isinstance(t, np.ndarray) and t.astype(np.uint64).max() >= classes
    ):  # as which negative ones are huge
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
