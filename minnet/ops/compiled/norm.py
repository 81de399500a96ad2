"""Batch normalization, compiled: as channels.py does it, in fewer passes over memory.

Letters: M positions, C channels.
"""

from __future__ import annotations

import numpy as np

from ...backend import Array
from ...buffers import new_array
from ..channels import Normalized as InRows
from .jit import kernel, unsigned

__all__ = ["Normalized", "normalized"]

# Positions whose sums are kept in the dtype of the numbers; such sums are added up in float64.
BLOCK = 256


class Normalized(InRows):
    """A batch that was normalized, and what its backward pass needs: the batch itself."""

    def _mean(self, a: Array) -> Array:
        self._given = _flat(a)
        mean, squares = _moments(self._given)
        self._less, self._squares_of_it = mean.astype(a.dtype), squares.astype(a.dtype)
        return self._less

    def _squares(self, own: Array) -> Array:
        return self._squares_of_it

    def _scaled(self, factor: Array, shift: Array) -> Array:
        return normalized(self._given, self._less, factor, shift)

    def _sums_of(self, g: Array) -> tuple[Array, Array]:
        total, along = _both(_flat(g), self._given, self._less)
        return total.astype(g.dtype), along.astype(g.dtype)

    def _back(self, g: Array, factor: Array, slope: Array, constant: Array) -> Array:
        out = new_array(g.shape, g.dtype)
        numbers = self._less, factor, slope, constant
        _back(_flat(g).reshape(-1), self._given.reshape(-1), *numbers, out.reshape(-1))
        return out


def normalized(a: Array, mean: Array, factor: Array, shift: Array) -> Array:
    """Return (a - mean) * factor + shift, with a number of each for every channel.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.norm import normalized
    >>> one = np.ones(2)
    >>> normalized(np.array([[1.0, 2.0]]), one, 3 * one, 0 * one)
    array([[0., 3.]])
    """
    y = new_array(a.shape, a.dtype)
    _scaled(_flat(a).reshape(-1), mean, factor, shift, y.reshape(-1))
    return y


def _flat(a: Array) -> Array:
    """Return an array as (M, C)."""
    return np.ascontiguousarray(a).reshape(-1, a.shape[-1])


# --- kernels ------------------------------------------------------------------------------


@kernel
def _moments(a: Array) -> tuple[Array, Array]:  # pragma: no cover (compiled)
    """Return the mean of each channel, and the sum of squares of what is apart from it.

    Each block is gone over twice while it is near, and they are joined as in Chan, Golub and
    LeVeque (1983), "Algorithms for computing the sample variance", 2.1.
    """
    positions, channels = a.shape
    flat, length = a.reshape(-1), unsigned(channels)
    mean, squares = np.zeros(channels), np.zeros(channels)
    part, less = np.zeros(channels, a.dtype), np.zeros(channels, a.dtype)
    for start in range(0, positions, BLOCK):
        end = min(start + BLOCK, positions)
        part[:] = 0
        for i in range(unsigned(start), unsigned(end)):
            for c in range(length):
                part[c] += flat[i * length + c]
        less[:] = part / a.dtype.type(end - start)
        part[:] = 0
        for i in range(unsigned(start), unsigned(end)):
            for c in range(length):
                apart = flat[i * length + c] - less[c]
                part[c] += apart * apart
        share = (end - start) / end
        for c in range(length):
            apart_from_before = less[c] - mean[c]
            mean[c] += apart_from_before * share
            squares[c] += part[c] + apart_from_before * apart_from_before * share * start
    return mean, squares


@kernel
def _both(g: Array, a: Array, less: Array) -> tuple[Array, Array]:  # pragma: no cover (compiled)
    """Return the sums of g, and of g times (a - less), for each channel."""
    positions, channels = a.shape
    gradient, flat, length = g.reshape(-1), a.reshape(-1), unsigned(channels)
    total, along = np.zeros(channels), np.zeros(channels)
    part, product = np.zeros(channels, a.dtype), np.zeros(channels, a.dtype)
    for start in range(0, positions, BLOCK):
        part[:] = 0
        product[:] = 0
        for i in range(unsigned(start), unsigned(min(start + BLOCK, positions))):
            for c in range(length):
                part[c] += gradient[i * length + c]
                product[c] += gradient[i * length + c] * (flat[i * length + c] - less[c])
        total += part
        along += product
    return total, along


@kernel
def _scaled(
    a: Array, less: Array, factor: Array, shift: Array, y: Array
) -> None:  # pragma: no cover (compiled)
    length = unsigned(less.size)
    for at in range(unsigned(0), unsigned(a.size), length):
        for c in range(length):
            y[at + c] = (a[at + c] - less[c]) * factor[c] + shift[c]


@kernel
def _back(
    g: Array,
    a: Array,
    less: Array,
    factor: Array,
    slope: Array,
    constant: Array,
    out: Array,
) -> None:  # pragma: no cover (compiled)
    length = unsigned(less.size)
    for at in range(unsigned(0), unsigned(g.size), length):
        for c in range(length):
            centered = a[at + c] - less[c]
            out[at + c] = g[at + c] * factor[c] + centered * slope[c] + constant[c]
