"""Batch normalization, compiled: as channels.py does it, in fewer passes over memory.

Letters: M positions, C channels.
"""

from __future__ import annotations

import numpy as np

from ...backend import Array
from ...buffers import new_array
from ..channels import Normalized as InRows
from .jit import kernel, unsigned
from .team import Turn, begin, end, parts, share

__all__ = ["Normalized", "normalized"]

# Positions whose sums are kept in the dtype of the numbers; such sums are added up in float64.
BLOCK = 256
# What a number takes in a pass, in microseconds on a common processor.
ELEMENT = 0.0004


class Normalized(InRows):
    """A batch that was normalized, and what its backward pass needs: the batch itself."""

    def _mean(self, a: Array) -> Array:
        self._given = _flat(a)
        mean, squares = moments(self._given)
        self._less, self._squares_of_it = mean.astype(a.dtype), squares.astype(a.dtype)
        return self._less

    def _squares(self, own: Array) -> Array:
        return self._squares_of_it

    def _scaled(self, factor: Array, shift: Array) -> Array:
        return normalized(self._given, self._less, factor, shift)

    def _sums_of(self, g: Array) -> tuple[Array, Array]:
        count = parts(g.size * ELEMENT)
        sums = np.zeros((2, count, g.shape[-1]))
        share(count, _both, _flat(g), self._given, self._less, *sums)
        total, along = sums.sum(axis=1).astype(g.dtype)
        return total, along

    def _back(self, g: Array, factor: Array, slope: Array, constant: Array) -> Array:
        out = new_array(g.shape, g.dtype)
        numbers = self._less, factor, slope, constant
        flat = _flat(g).reshape(-1), self._given.reshape(-1)
        share(parts(g.size * ELEMENT), _back, *flat, *numbers, out.reshape(-1))
        return out


def moments(a: Array) -> tuple[Array, Array]:
    """Return the mean of each channel, and the sum of squares of what is apart from it.

    What the parts find is joined as in Chan, Golub and LeVeque (1983), "Algorithms for computing
    the sample variance", 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.norm import moments
    >>> moments(np.array([[1.0], [3.0]]))
    (array([2.]), array([2.]))
    """
    count = min(-(-len(a) // BLOCK), parts(a.size * ELEMENT))
    numbers, found = np.zeros((count, 1)), np.zeros((2, count, a.shape[-1]))
    share(count, _moments, a, numbers, *found)
    if count == 1:
        return found[0, 0], found[1, 0]
    means, squares = found
    mean = (means * numbers).sum(axis=0) / len(a)
    return mean, (squares + numbers * (means - mean) ** 2).sum(axis=0)


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
    given = _flat(a).reshape(-1), mean, factor, shift, y.reshape(-1)
    share(parts(a.size * ELEMENT), _scaled, *given)
    return y


def _flat(a: Array) -> Array:
    """Return an array as (M, C)."""
    return np.ascontiguousarray(a).reshape(-1, a.shape[-1])


# --- kernels ------------------------------------------------------------------------------


@kernel
def _moments(
    turn: Turn, a: Array, numbers: Array, means: Array, squares: Array
) -> None:  # pragma: no cover (compiled)
    """Write the number of a part's positions, and what `moments` returns of them.

    Each block is gone over twice while it is near, and they are joined as parts are.
    """
    positions, channels = a.shape
    first, last = begin(turn, positions, BLOCK)
    flat, length = a.reshape(-1), unsigned(channels)
    mean, square = means[turn[1]], squares[turn[1]]
    part, less = np.zeros(channels, a.dtype), np.zeros(channels, a.dtype)
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        part[:] = 0
        for i in range(unsigned(start), unsigned(stop)):
            for c in range(length):
                part[c] += flat[i * length + c]
        less[:] = part / a.dtype.type(stop - start)
        part[:] = 0
        for i in range(unsigned(start), unsigned(stop)):
            for c in range(length):
                apart = flat[i * length + c] - less[c]
                part[c] += apart * apart
        before = start - first
        share = (stop - start) / (stop - first)
        for c in range(length):
            apart_from_before = less[c] - mean[c]
            mean[c] += apart_from_before * share
            square[c] += part[c] + apart_from_before * apart_from_before * share * before
    numbers[turn[1], 0] = last - first
    end(turn)


@kernel
def _both(
    turn: Turn, g: Array, a: Array, less: Array, totals: Array, alongs: Array
) -> None:  # pragma: no cover (compiled)
    """Write a part's sums of g, and of g times (a - less), for each channel."""
    positions, channels = a.shape
    first, last = begin(turn, positions, BLOCK)
    gradient, flat, length = g.reshape(-1), a.reshape(-1), unsigned(channels)
    total, along = totals[turn[1]], alongs[turn[1]]
    part, product = np.zeros(channels, a.dtype), np.zeros(channels, a.dtype)
    for start in range(first, last, BLOCK):
        part[:] = 0
        product[:] = 0
        for i in range(unsigned(start), unsigned(min(start + BLOCK, last))):
            for c in range(length):
                part[c] += gradient[i * length + c]
                product[c] += gradient[i * length + c] * (flat[i * length + c] - less[c])
        for c in range(length):
            total[c] += part[c]
            along[c] += product[c]
    end(turn)


@kernel
def _scaled(
    turn: Turn, a: Array, less: Array, factor: Array, shift: Array, y: Array
) -> None:  # pragma: no cover (compiled)
    length = unsigned(less.size)
    first, last = begin(turn, a.size, less.size)
    for at in range(unsigned(first), unsigned(last), length):
        for c in range(length):
            y[at + c] = (a[at + c] - less[c]) * factor[c] + shift[c]
    end(turn)


@kernel
def _back(
    turn: Turn,
    g: Array,
    a: Array,
    less: Array,
    factor: Array,
    slope: Array,
    constant: Array,
    out: Array,
) -> None:  # pragma: no cover (compiled)
    length = unsigned(less.size)
    first, last = begin(turn, g.size, less.size)
    for at in range(unsigned(first), unsigned(last), length):
        for c in range(length):
            centered = a[at + c] - less[c]
            out[at + c] = g[at + c] * factor[c] + centered * slope[c] + constant[c]
    end(turn)
