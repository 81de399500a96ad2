"""Activations, sums and biases, compiled: one pass over memory each, shared among threads."""

from __future__ import annotations

import numpy as np

from ...backend import Array
from ...buffers import new_array
from .jit import kernel, unsigned
from .team import LINE, Turn, begin, end, parts, share

__all__ = ["add", "add_to_rows", "ramp", "ramp_gradient", "tanh"]

# What a number takes, in microseconds on a common processor.
ELEMENT = 0.0004


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
    share(parts(y.size * ELEMENT), _add_row, y.reshape(-1), np.ascontiguousarray(row))


def add(a: Array, b: Array) -> Array:
    """Return the sum of two arrays of one shape.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.activation import add
    >>> add(np.ones((1, 2)), np.ones((1, 2)))
    array([[2., 2.]])
    """
    out = new_array(a.shape, a.dtype)
    flat = np.ascontiguousarray(a).reshape(-1), np.ascontiguousarray(b).reshape(-1)
    share(parts(a.size * ELEMENT), _add, *flat, out.reshape(-1))
    return out


def ramp(a: Array) -> Array:
    """Return what is positive, and 0 in place of the rest.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.activation import ramp
    >>> ramp(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    out = new_array(a.shape, a.dtype)
    share(parts(a.size * ELEMENT), _ramp, np.ascontiguousarray(a).reshape(-1), out.reshape(-1))
    return out


def ramp_gradient(g: Array, y: Array) -> Array:
    """Return the gradient where the output of a ramp is positive, and 0 elsewhere."""
    out = new_array(g.shape, g.dtype)
    flat, shown = np.ascontiguousarray(g).reshape(-1), np.ascontiguousarray(y).reshape(-1)
    share(parts(g.size * ELEMENT), _ramp_gradient, flat, shown, out.reshape(-1))
    return out


@kernel
def _add_to_each(y: Array, row: Array) -> None:  # pragma: no cover (compiled)
    """Add a row to all rows of a flat array."""
    length = unsigned(row.size)
    for at in range(unsigned(0), unsigned(y.size), length):
        for i in range(length):
            y[at + i] += row[i]


@kernel
def _add_row(turn: Turn, y: Array, row: Array) -> None:  # pragma: no cover (compiled)
    first, last = begin(turn, y.size, row.size)
    _add_to_each(y[first:last], row)
    end(turn)


@kernel
def _add(turn: Turn, a: Array, b: Array, out: Array) -> None:  # pragma: no cover (compiled)
    first, last = begin(turn, out.size, LINE)
    for i in range(unsigned(first), unsigned(last)):
        out[i] = a[i] + b[i]
    end(turn)


@kernel
def _ramp(turn: Turn, a: Array, out: Array) -> None:  # pragma: no cover (compiled)
    first, last = begin(turn, out.size, LINE)
    for i in range(unsigned(first), unsigned(last)):
        # What is not a number stays so.
        out[i] = a[i] if a[i] > 0 or a[i] != a[i] else 0
    end(turn)


@kernel
def _ramp_gradient(
    turn: Turn, g: Array, y: Array, out: Array
) -> None:  # pragma: no cover (compiled)
    first, last = begin(turn, out.size, LINE)
    for i in range(unsigned(first), unsigned(last)):
        out[i] = g[i] if y[i] > 0 else g[i] * 0
    end(turn)


@kernel
def tanh(a: Array) -> None:  # pragma: no cover (compiled)
    """Write the hyperbolic tangent of each number of a flat array in its place.

    Near 0 it is what Lambert's fraction, x / (1 + x^2 / (3 + x^2 / (5 + ...))), comes to when it
    is cut off. From there it is doubled: tanh(2 x) = 2 tanh(x) / (1 + tanh(x)^2). All of that are
    vector instructions, where `math.tanh` is called for one number after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.activation import tanh
    >>> a = np.array([0.0, 0.5, -np.inf])
    >>> tanh(a)
    >>> a.round(6)
    array([ 0.      ,  0.462117, -1.      ])
    """
    exact, is_double = a.dtype.type, a.itemsize == 8
    # Where tanh is 1 but for rounding; what makes that so small that what is cut off is less, too.
    most, small = (exact(20), exact(1 / 64)) if is_double else (exact(10), exact(1 / 8))
    for i in range(unsigned(a.size)):
        x = most if a[i] > most else -most if a[i] < -most else a[i]
        x *= small
        s = x * x
        above = exact(10395) + s * (exact(1260) + s * exact(21))
        below = exact(10395) + s * (exact(4725) + s * (exact(210) + s))
        y = x * above / below
        for _ in range(3):
            y = (y + y) / (exact(1) + y * y)
        if is_double:
            for _ in range(3):
                y = (y + y) / (exact(1) + y * y)
        a[i] = y
