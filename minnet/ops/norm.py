"""Normalization: over a batch, with known statistics, over the channels, and AlexNet's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array, array_module
from ..checks import number
from ..errors import DataError, ShapeError
from ..threads import together
from . import channels, compiled, gpu
from .checks import array_of, floating, per_axis
from .kernels import sum_of_rows

__all__ = ["batch_norm", "layer_norm", "local_response_norm", "normalize"]


def batch_norm(x: Any, scale: Any, shift: Any, epsilon: float = 1e-5) -> tuple[Any, Array, Array]:
    """Normalize each channel to mean 0 and variance 1 over the batch, then scale and shift it.

    y = scale * (x - mean) / sqrt(variance + epsilon) + shift, with mean and variance
    taken over all axes but the last (Ioffe and Szegedy 2015, "Batch normalization").

    Parameters
    ----------
    x
        Array or Tensor of shape (N, ..., C).
    scale, shift
        Of shape (C,).
    epsilon
        Keeps a channel that is nearly constant from being blown up.

    Returns
    -------
    y : array or Tensor
        Of the shape of `x`.
    mean, variance : array
        Of shape (C,), for running statistics; the variance is the biased one.

    Raises
    ------
    ShapeError
        If scale or shift don't have one number for each channel.
    DataError
        If there is nothing to take the mean of.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mean, variance = mn.ops.batch_norm(x, np.ones(1), np.zeros(1), epsilon=0)
    >>> y[:, 0], mean, variance
    (array([-1.,  1.]), array([2.]), array([1.]))
    """
    a, b, c = _channels("batch_norm", x, scale, shift)
    if a.size == 0:
        raise DataError(f"batch_norm can't take the mean of nothing: the input has shape {a.shape}")
    epsilon = number(epsilon, "epsilon", least=0.0)
    if _are_alike(a, b, c):
        kernels = compiled.norm if compiled.takes(a, b, c) else channels
        whole = kernels.Normalized(a, b, c, epsilon)
        y = record(whole.y, (x, whole.by_x), (scale, whole.by_scale), (shift, whole.by_shift))
        return y, whole.mean, whole.variance
    if gpu.takes_channels(a, b, c):
        found = gpu.norm.Normalized(a, b, c, epsilon)
        routes = (x, found.by_x), (scale, found.by_scale), (shift, found.by_shift)
        return record(found.y, *routes), found.mean, found.variance
    mean = _mean_of_rows(a)
    normal = a - mean
    variance = _mean_of_rows(normal * normal)
    inverse = 1 / (variance + epsilon) ** 0.5
    normal *= inverse

    def back(g: Array) -> Any:
        # What moves the mean or the spread of the batch changes nothing: take those parts out.
        along = g - _mean_of_rows(g)
        along -= normal * _mean_of_rows(g * normal)
        along *= b * inverse
        return along

    y = record(
        normal * b + c,
        (x, back),
        (scale, lambda g: sum_of_rows(g * normal)),
        (shift, sum_of_rows),
    )
    return y, mean, variance


def normalize(
    x: Any, mean: Any, variance: Any, scale: Any, shift: Any, epsilon: float = 1e-5
) -> Any:
    """Normalize each channel with a mean and variance that are known: batch_norm in inference.

    y = scale * (x - mean) / sqrt(variance + epsilon) + shift

    Parameters
    ----------
    x
        Array or Tensor of shape (N, ..., C).
    mean, variance
        Of shape (C,): constants, no gradient goes to them.
    scale, shift
        Of shape (C,).
    epsilon
        As in `batch_norm`.

    Raises
    ------
    ShapeError
        If one of the others doesn't have one number for each channel.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> one = np.ones(1)
    >>> mn.ops.normalize(np.array([[1.0], [3.0]]), 2 * one, 4 * one, one, one, epsilon=0)[:, 0]
    array([0.5, 1.5])
    """
    a, m, v, b, c = _channels("normalize", x, mean, variance, scale, shift)
    epsilon = number(epsilon, "epsilon", least=0.0)
    if gpu.takes_channels(a, m, v, b, c):
        found = gpu.norm.Normalized(a, b, c, epsilon, m, v)
        routes = (x, found.by_x), (scale, found.by_scale), (shift, found.by_shift)
        return record(found.y, *routes)
    inverse = 1 / (v + epsilon) ** 0.5
    factor = b * inverse
    if _are_alike(a, m, factor, c):
        kernels = compiled.norm if compiled.takes(a, m, factor, c) else channels
        y = kernels.normalized(a, m, factor, c)
    else:
        y = a - m
        y *= factor
        y += c
    return record(
        y,
        (x, lambda g: g * factor),
        (scale, lambda g: sum_of_rows(g * (a - m)) * inverse),
        (shift, sum_of_rows),
    )


def layer_norm(x: Any, scale: Any, shift: Any, epsilon: float = 1e-5) -> Any:
    """Normalize each example's channels to mean 0 and variance 1, then scale and shift them.

    As `batch_norm`, but with mean and variance over the last axis
    (Ba et al. 2016, "Layer normalization").

    Parameters
    ----------
    x
        Array or Tensor of shape (..., C).
    scale, shift
        Of shape (C,).
    epsilon
        As in `batch_norm`.

    Raises
    ------
    ShapeError
        If scale or shift don't have one number for each channel.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), epsilon=0)
    array([[-1.,  1.]])
    """
    a, b, c = _channels("layer_norm", x, scale, shift)
    if a.shape[-1] == 0:
        raise DataError(f"layer_norm can't take the mean of nothing: the input has shape {a.shape}")
    epsilon = number(epsilon, "epsilon", least=0.0)
    normal = a - a.mean(-1, keepdims=True)
    variance = (normal * normal).mean(-1, keepdims=True)
    inverse = 1 / (variance + epsilon) ** 0.5
    normal *= inverse

    def back(g: Array) -> Any:
        scaled = g * b
        along = scaled - scaled.mean(-1, keepdims=True)
        along -= normal * (scaled * normal).mean(-1, keepdims=True)
        along *= inverse
        return along

    return record(
        normal * b + c,
        (x, back),
        (scale, lambda g: sum_of_rows(g * normal)),
        (shift, sum_of_rows),
    )


def local_response_norm(
    x: Any, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> Any:
    """Divide each element by what it and its neighbours in the channels come to together.

    y = x / (k + alpha * sum of x**2 over `size` channels) ** beta, the channels being
    those around each one, as far as there are any (Krizhevsky et al. 2012, "ImageNet
    classification with deep convolutional neural networks", 3.3, whose constants are
    the defaults). Mind that PyTorch and Caffe divide alpha by `size`.

    Parameters
    ----------
    x
        Array or Tensor of shape (..., C).
    size
        How many channels; of an even number one more comes before than after.
    alpha, beta, k
        The constants; `k` must be positive.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.local_response_norm(np.array([[1.0, 2.0, 3.0]]), size=3, alpha=1, beta=1, k=1)
    array([[0.16666667, 0.13333333, 0.21428571]])
    """
    a = floating(x)
    if a.ndim == 0:
        raise ShapeError("local_response_norm expects an input of shape (..., C), got ()")
    (size,) = per_axis(size, 1, "size")
    before, after = size // 2, (size - 1) // 2
    k = number(k, "k", above=0.0)
    alpha, beta = number(alpha, "alpha", least=0.0), number(beta, "beta", least=0.0)
    total = alpha * _sum_around(a * a, before, after) + k
    divided = np.exp(-beta * np.log(total))  # several times as fast as total**-beta

    def back(g: Array) -> Any:
        # Each element also stands in its neighbours' sums: those it is a neighbour to.
        through = g * divided
        others = _sum_around(through * a / total, after, before)
        return through - (2 * alpha * beta) * a * others

    return record(a * divided, (x, back))


def _channels(name: str, x: Any, *others: Any) -> tuple[Array, ...]:
    """Return all as plain arrays, if the others have one number for each channel of x."""
    a = floating(x)
    if a.ndim == 0:
        raise ShapeError(f"{name} expects an input of shape (..., C), got ()")
    arrays = [array_of(other) for other in others]
    for array in arrays:
        if array.shape != a.shape[-1:]:
            raise ShapeError(
                f"{name} of an input of shape {a.shape} expects an array of shape "
                f"{a.shape[-1:]}, one number for each channel, got {array.shape}"
            )
    return (a, *arrays)


def _are_alike(*arrays: Array) -> bool:
    """Tell whether these are NumPy's arrays of one dtype, and hold anything."""
    return all(
        isinstance(array, np.ndarray) and array.dtype == arrays[0].dtype and array.size > 0
        for array in arrays
    )


def _mean_of_rows(g: Array) -> Array:
    """Take the mean over all axes but the last, of all parts of a batch that threads share."""
    total, count = together(sum_of_rows(g), math.prod(g.shape[:-1]))
    mean: Array = total / count
    return mean


def _sum_around(a: Array, before: int, after: int) -> Array:
    """Sum over each channel's neighbours: itself, so many before it and so many after it.

    Zeros between the rows let each addition run over all of them in one go.
    """
    *rows, channels = a.shape
    apart: Array = array_module(a).zeros((*rows, before + channels + after), dtype=a.dtype)
    apart[..., before : before + channels] = a
    flat = apart.reshape(apart.size)
    total = flat.copy()
    for distance in range(1, before + after + 1):
        total[:-distance] += flat[distance:]
    return total.reshape(apart.shape)[..., :channels]
