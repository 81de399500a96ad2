"""Reductions along axes: sums, means, extremes, and the stable forms built on exponentials.

`axis` is a whole number or a tuple of them, counted from the end where negative, or
None for all axes; `keepdims` leaves the axes that were reduced in place with size 1.
A `ShapeError` says so if there is no such axis, or nothing along it to reduce.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..autodiff import record
from ..backend import Array, Shape, array_module
from ..errors import ShapeError
from .inputs import array, misfit

__all__ = ["log_softmax", "logsumexp", "max", "mean", "min", "softmax", "sum", "variance"]

Axis: TypeAlias = int | tuple[int, ...] | None


def _reduced(name: str, a: Array, axis: Axis, keepdims: bool) -> Any:
    """Call the array's method `name`, with an error that says which axis doesn't fit."""
    if not a.ndim and axis in (0, -1):
        axis = None  # NumPy's methods do so, CuPy's don't
    try:
        return getattr(a, name)(axis=axis, keepdims=keepdims)
    except (ValueError, TypeError) as error:
        raise misfit(f"{name} over axis {axis}", error, a) from None


def _axes(axis: Axis, dimensions: int) -> set[int]:
    """Return which axes `axis` means, all counted from the start."""
    if axis is None or dimensions == 0:  # NumPy lets axis 0 or -1 of a single number pass
        return set(range(dimensions))
    return {i % dimensions for i in (axis if isinstance(axis, tuple) else (axis,))}


def _kept(reduced: Any, shape: Shape, axis: Axis) -> Any:
    """Give what was reduced from `shape` its axes back, with size 1."""
    axes = _axes(axis, len(shape))
    ones = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return reduced.reshape(ones)


def _spread(g: Array, shape: Shape, axis: Axis) -> Any:
    """Repeat the gradient of what was reduced along the axes it was reduced over."""
    spread = array_module(g).empty(shape, g.dtype)
    spread[...] = _kept(g, shape, axis)
    return spread


def _count(a: Array, axis: Axis, name: str) -> int:
    """Return how many elements go into one result; there must be some."""
    count = 1
    for i in _axes(axis, a.ndim):
        count *= a.shape[i]
    if count == 0:
        raise ShapeError(f"{name} of no elements: shape {a.shape} over axis {axis}")
    return count


# --- sums and means -------------------------------------------------------------------


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the sum along axes; that of no elements is 0.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([4., 6.])
    """
    a = array(x)
    shape = a.shape
    return record(_reduced("sum", a, axis, keepdims), (x, lambda g: _spread(g, shape, axis)))


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean along axes.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.mean(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([2., 3.])
    """
    a = array(x)
    shape = a.shape
    total = _reduced("sum", a, axis, keepdims)
    count = _count(a, axis, "mean")
    return record(total / count, (x, lambda g: _spread(g / count, shape, axis)))


def variance(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the mean squared distance from the mean, along axes.

    It is the biased variance: divided by the number of elements, not by one less.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.variance(np.array([[1.0, 2.0], [3.0, 6.0]]), axis=0)
    array([1., 4.])
    """
    a = array(x)
    total = _reduced("sum", a, axis, True)
    count = _count(a, axis, "variance")
    centred = a - total / count
    data = _reduced("sum", centred * centred, axis, keepdims) / count
    return record(data, (x, lambda g: centred * _kept(g * (2 / count), centred.shape, axis)))


# --- extremes -------------------------------------------------------------------------


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the largest element along axes; equally large ones share the gradient equally.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.max(np.array([[1.0, 5.0], [3.0, 4.0]]), axis=0)
    array([3., 5.])
    >>> mn.grad(mn.ops.max)(np.array([1.0, 3.0, 3.0]))
    array([0. , 0.5, 0.5])
    """
    a = array(x)
    data = _reduced("max", a, axis, keepdims)
    return record(data, (x, lambda g: _share(g, a, data, axis)))


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the smallest element along axes; equally small ones share the gradient equally.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.min(np.array([[1.0, 5.0], [3.0, 4.0]]), axis=0)
    array([1., 4.])
    """
    a = array(x)
    data = _reduced("min", a, axis, keepdims)
    return record(data, (x, lambda g: _share(g, a, data, axis)))


def _share(g: Array, a: Array, extreme: Any, axis: Axis) -> Any:
    """Share the gradient of a maximum or minimum among the elements equal to it."""
    chosen = a == _kept(extreme, a.shape, axis)
    part = _kept(g, a.shape, axis) / _reduced("sum", chosen, axis, True)
    return chosen * part.astype(g.dtype)


# --- built on exponentials ------------------------------------------------------------


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return `log(sum(exp(x)))` along axes, without overflow.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.logsumexp(np.array([1000.0, 1000.0]))
    array(1000.69314718)
    """
    a = array(x)
    largest = _reduced("max", a, axis, True)
    shift = np.where(np.isfinite(largest), largest, 0)  # infinity minus itself is no number
    powers = np.exp(a - shift)
    total = _reduced("sum", powers, axis, True)
    data = np.log(total) + shift
    if a.ndim and not keepdims:
        data = data.squeeze(axis=axis)
    return record(data, (x, lambda g: _kept(g, powers.shape, axis) / total * powers))


def softmax(x: Any, axis: Axis = -1) -> Any:
    """Return `exp(x)` divided by its sum along axes, without overflow.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.softmax(np.array([1000.0, 1000.0, 0.0]))
    array([0.5, 0.5, 0. ])
    """
    a = array(x)
    powers = np.exp(a - _reduced("max", a, axis, True))
    data = powers / _reduced("sum", powers, axis, True)
    return record(data, (x, lambda g: data * (g - _reduced("sum", g * data, axis, True))))


def log_softmax(x: Any, axis: Axis = -1) -> Any:
    """Return the logarithm of `softmax(x)`, without overflow and precise where it is far below 0.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.log_softmax(np.array([1000.0, 1000.0, 0.0]))
    array([-6.93147181e-01, -6.93147181e-01, -1.00069315e+03])
    """
    a = array(x)
    below = a - _reduced("max", a, axis, True)
    data = below - np.log(_reduced("sum", np.exp(below), axis, True))
    return record(data, (x, lambda g: g - np.exp(data) * _reduced("sum", g, axis, True)))
