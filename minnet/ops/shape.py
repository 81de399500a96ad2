"""Ops that rearrange, join and surround elements without computing anything new.

Where NumPy gives a view, so do these: the result shares memory with its input.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..autodiff import record
from ..backend import Array, Shape, array_module
from ..errors import ShapeError, SpecError
from .inputs import array, misfit

__all__ = [
    "broadcast_to",
    "concatenate",
    "expand_dims",
    "flip",
    "pad",
    "reshape",
    "squeeze",
    "stack",
    "transpose",
]

Axes: TypeAlias = int | tuple[int, ...]
Widths: TypeAlias = int | Sequence[tuple[int, int]]

# --- the same elements in another shape -----------------------------------------------


def reshape(x: Any, shape: int | Sequence[int]) -> Any:
    """Return `x` in another shape, its elements in the same order.

    Parameters
    ----------
    x
        An array or Tensor.
    shape
        The new shape, with as many elements; one size may be -1 and follows from the others.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.reshape(np.arange(6.0), (2, -1))
    array([[0., 1., 2.],
           [3., 4., 5.]])
    """
    a = array(x)
    before = a.shape
    try:
        data = a.reshape(shape)
    except (ValueError, TypeError) as error:
        raise misfit(f"reshape to {shape}", error, a) from None
    return record(data, (x, lambda g: g.reshape(before)))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Return `x` with its axes in another order.

    Parameters
    ----------
    x
        An array or Tensor.
    axes
        For each axis of the result, which axis of `x` it is; reversed when left out.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.transpose(np.zeros((2, 3, 4)), (0, 2, 1)).shape
    (2, 4, 3)
    """
    a = array(x)
    try:
        data = a.transpose(axes if axes is None else tuple(axes))
    except (ValueError, TypeError) as error:
        raise misfit(f"transpose to axes {axes}", error, a) from None

    def backward(g: Array) -> Array:
        if axes is None:
            return g.transpose()
        order = [axis % g.ndim for axis in axes]
        return g.transpose([order.index(i) for i in range(g.ndim)])

    return record(data, (x, backward))


def squeeze(x: Any, axis: Axes | None = None) -> Any:
    """Return `x` without the axes named, which must have size 1; without all such by default.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.squeeze(np.zeros((2, 1, 3, 1)), axis=-1).shape
    (2, 1, 3)
    """
    a = array(x)
    before = a.shape
    try:
        data = a.squeeze(axis)
    except (ValueError, TypeError) as error:
        raise misfit(f"squeeze of axis {axis}", error, a) from None
    return record(data, (x, lambda g: g.reshape(before)))


def expand_dims(x: Any, axis: Axes) -> Any:
    """Return `x` with axes of size 1 put in, so that they stand at `axis` in the result.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.expand_dims(np.zeros((2, 3)), axis=(0, -1)).shape
    (1, 2, 3, 1)
    """
    a = array(x)
    before = a.shape
    try:
        data = np.expand_dims(a, axis)
    except (ValueError, TypeError) as error:
        raise misfit(f"expand_dims at axis {axis}", error, a) from None
    return record(data, (x, lambda g: g.reshape(before)))


def flip(x: Any, axis: Axes | None = None) -> Any:
    """Return `x` with the elements along the axes in reverse order; along all by default.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.flip(np.array([1.0, 2.0, 3.0]))
    array([3., 2., 1.])
    """
    a = array(x)
    try:
        data = np.flip(a, axis)
    except (ValueError, TypeError) as error:
        raise misfit(f"flip along axis {axis}", error, a) from None
    return record(data, (x, lambda g: np.flip(g, axis)))


def broadcast_to(x: Any, shape: int | Sequence[int]) -> Any:
    """Return `x` repeated along new axes and those of size 1, to the shape given.

    Nothing is copied: the result is a read-only view.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.broadcast_to(np.array([1.0, 2.0]), (2, 2))
    array([[1., 2.],
           [1., 2.]])
    """
    a = array(x)
    try:
        data = np.broadcast_to(a, shape)
    except (ValueError, TypeError) as error:
        raise misfit(f"broadcast_to {shape}", error, a) from None
    return record(data, (x, lambda g: g))


# --- several arrays, or more elements -------------------------------------------------


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Return arrays joined along an axis they have; all their other sizes must agree.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.concatenate([np.array([1.0, 2.0]), np.array([3.0])])
    array([1., 2., 3.])
    """
    arrays = list(arrays)
    parts = [array(x) for x in arrays]
    try:
        data = np.concatenate(parts, operator.index(axis))
    except (ValueError, TypeError) as error:
        raise misfit(f"concatenate along axis {axis}", error, *parts) from None
    before = (slice(None),) * (axis % data.ndim)
    inputs, start = [], 0
    for x, part in zip(arrays, parts, strict=True):
        stop = start + part.shape[axis]
        inputs.append((x, operator.itemgetter((*before, slice(start, stop)))))
        start = stop
    return record(data, *inputs)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Return arrays of one shape joined along a new axis.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.stack([np.array([1.0, 2.0]), np.array([3.0, 4.0])], axis=1)
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = list(arrays)
    parts = [array(x) for x in arrays]
    try:
        data = np.stack(parts, axis)
    except (ValueError, TypeError) as error:
        raise misfit(f"stack along axis {axis}", error, *parts) from None
    before = (slice(None),) * (axis % data.ndim)
    return record(data, *((x, operator.itemgetter((*before, i))) for i, x in enumerate(arrays)))


def pad(x: Any, widths: Widths, constant: float = 0.0) -> Any:
    """Return `x` with a border of one number around it.

    Parameters
    ----------
    x
        An array or Tensor.
    widths
        How many elements to add before and after: a pair for each axis, or one number
        for all ends of all axes.
    constant
        What the border holds; it has no gradient.

    Raises
    ------
    SpecError
        If a width is not a whole number of at least 0.
    ShapeError
        If there are more or fewer pairs than axes.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.pad(np.array([1.0, 2.0]), [(1, 2)])
    array([0., 1., 2., 0., 0.])
    """
    a = array(x)
    ends = _ends(widths, a.shape)
    inner = tuple(slice(low, low + n) for (low, _), n in zip(ends, a.shape, strict=True))
    outer = tuple(low + n + high for (low, high), n in zip(ends, a.shape, strict=True))
    data = array_module(a).full(outer, constant, a.dtype)
    data[inner] = a
    return record(data, (x, operator.itemgetter(inner)))


def _ends(widths: Widths, shape: Shape) -> list[tuple[int, int]]:
    """Return the widths of a border as one pair for each axis."""
    try:
        if isinstance(widths, Sequence):
            ends = [(operator.index(low), operator.index(high)) for low, high in widths]
        else:
            ends = [(operator.index(widths),) * 2] * len(shape)
    except (ValueError, TypeError):
        ends = [(-1, -1)]
    if any(width < 0 for pair in ends for width in pair):
        raise SpecError(
            "the widths of pad are a whole number of at least 0, or a pair of them "
            f"(before, after) for each axis, got {widths!r}"
        )
    if len(ends) != len(shape):
        raise ShapeError(
            f"pad got {len(ends)} pairs of widths for shape {shape}: one for each axis"
        )
    return ends
