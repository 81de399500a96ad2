"""Activations and biases, compiled: one pass over memory each."""

from __future__ import annotations

import numpy as np

from ...backend import Array
from ...buffers import new_array
from .jit import kernel, unsigned

__all__ = ["add_to_each", "add_to_rows", "ramp_gradient"]


def add_to_rows(y: Array, row: Array) -> None:
    """Add the same row to all rows of an array of shape (..., C) whose elements lie side by side.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.activation import add_to_rows
    >>> y = np.zeros((2, 3))
    >>> add_to_rows(y, np.array([1.0, 2.0, 3.0]))
    >>> y
    array([[1., 2., 3.],
           [1., 2., 3.]])
    """
    add_to_each(y.reshape(-1), np.ascontiguousarray(row))


def ramp_gradient(g: Array, y: Array) -> Array:
    """Return the gradient where the output of a ramp is positive, and 0 elsewhere."""
    out = new_array(g.shape, g.dtype)
    flat, shown = np.ascontiguousarray(g).reshape(-1), np.ascontiguousarray(y).reshape(-1)
    _ramp_gradient(flat, shown, out.reshape(-1))
    return out


@kernel
def add_to_each(y: Array, row: Array) -> None:  # pragma: no cover (compiled)
    """Add a row to all rows of a flat array."""
    length = unsigned(row.size)
    for at in range(unsigned(0), unsigned(y.size), length):
        for i in range(length):
            y[at + i] += row[i]


@kernel
def _ramp_gradient(g: Array, y: Array, out: Array) -> None:  # pragma: no cover (compiled)
    for i in range(unsigned(g.size)):
        out[i] = g[i] if y[i] > 0 else g[i] * 0
