"""Ops that pick some of the elements: indexing, and embedding, which picks rows of a table."""

from __future__ import annotations

from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array, Shape, add_at, array_module
from ..errors import DataError, ShapeError
from . import gpu
from .inputs import array, misfit

__all__ = ["embedding", "getitem"]

# Indices of these types pick every element at most once.
_BASIC = (int, np.integer, slice, EllipsisType, NoneType)


def getitem(x: Any, index: Any) -> Any:
    """Return `x[index]`, for any index that NumPy takes.

    That is numbers, slices, `...`, `None`, arrays of whole numbers or bool, and tuples
    of these. Where an array of numbers picks an element several times, its gradient is
    the sum over all of them.

    Raises
    ------
    ShapeError
        If the index reaches beyond the array, or is none that NumPy takes.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> mn.ops.getitem(x, [0, 0, 2])
    array([1., 1., 3.])
    >>> mn.grad(lambda x: x[[0, 0, 2]].sum())(x)
    array([2., 0., 1.])
    """
    a = array(x)
    shape = a.shape
    try:
        data = a[index]
    except (IndexError, ValueError, TypeError) as error:
        raise misfit("the index", error, a) from None
    return record(data, (x, lambda g: _scatter(g, index, shape)))


def _scatter(g: Array, index: Any, shape: Shape) -> Any:
    """Put the gradient of what was picked back where it came from, in zeros."""
    parts = index if isinstance(index, tuple) else (index,)
    is_basic = all(isinstance(part, _BASIC) for part in parts)
    if not is_basic and gpu.takes(g):
        return gpu.index.scatter(g, index, shape)
    scattered = array_module(g).zeros(shape, g.dtype)
    if is_basic:
        scattered[index] = g
    else:
        add_at(scattered, index, g)
    return scattered


def embedding(table: Any, indices: Any) -> Any:
    """Return the rows of `table` that `indices` names.

    Parameters
    ----------
    table
        An array or Tensor of shape (count, ...).
    indices
        Whole numbers from 0 to count - 1, of any shape.

    Returns
    -------
    array or Tensor
        Of the shape of `indices` followed by that of a row.

    Raises
    ------
    DataError
        If an index is not a whole number or names no row. Unlike in NumPy, negative
        indices don't count from the end: in data they are mistakes. On a GPU a row that
        isn't there is NaN, since telling would mean waiting.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.embedding(np.array([[0.0, 0.1], [1.0, 1.1]]), [1, 1, 0])
    array([[1. , 1.1],
           [1. , 1.1],
           [0. , 0.1]])
    """
    rows, chosen = array(table), array(indices)
    shape = rows.shape
    if not shape:
        raise ShapeError("an embedding's table needs at least one axis, got a single number")
    if chosen.dtype.kind not in "iu":
        raise DataError(f"an embedding is looked up by whole numbers, got {chosen.dtype}")
    if gpu.takes(rows) and shape[0]:
        return record(*_looked_up(rows, chosen, table))
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < shape[0]):
        wrong = chosen.min() if chosen.min() < 0 else chosen.max()
        raise DataError(f"index {wrong} is outside the embedding's {shape[0]} rows")
    return record(rows[chosen], (table, lambda g: _scatter(g, chosen, shape)))


def _looked_up(rows: Array, chosen: Array, table: Any) -> tuple[Array, Any]:
    """Return rows of a table on a GPU, NaN where there is no such row, and what `record` takes."""
    xp, shape = array_module(rows), rows.shape
    chosen = xp.asarray(chosen)
    is_there = (chosen >= 0) & (chosen < shape[0])
    chosen = xp.where(is_there, chosen, 0)
    ones = (1,) * (len(shape) - 1)
    data = xp.where(is_there.reshape(*is_there.shape, *ones), rows[chosen], np.nan)
    return data, (table, lambda g: _scatter(g, chosen, shape))
