"""Batch normalization on the CPU: few passes over memory, in long rows, shared among threads.

The plain way (norm.py) works on rows of channels. NumPy begins anew with every row, which
for 16 channels takes longer than the sums. Here a row holds many positions, and the numbers
for each channel stand in it as often.

Letters: M positions, C channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..backend import Array
from ..buffers import new_array
from ..threads import from_all, in_parts, shares, together

__all__ = ["Normalized", "Rows", "normalized"]

Result = TypeVar("Result")

# Elements in a row at most, and in the tile that is worked on at a time. NumPy copies rows of
# up to half its buffer of 8192 there and back when the same numbers meet all of them.
ROW, TILE = 1 << 14, 1 << 18
# What an element takes in a few passes, in microseconds on a common processor.
ELEMENT = 0.001


@functools.lru_cache(maxsize=256)
def in_a_row(positions: int, channels: int) -> int:
    """Return how many of so many positions to put in a row: as many as fit, in rows all alike."""
    most = max(1, min(positions, ROW // channels))
    return next(number for number in range(most, 0, -1) if positions % number == 0)


class Rows:
    """Arrays of one shape (..., C), seen as rows of many positions."""

    def __init__(self, like: Array) -> None:
        channels = like.shape[-1]
        positions = like.size // channels
        self.positions = in_a_row(positions, channels)
        self.shape = positions // self.positions, self.positions * channels

    def of(self, a: Array) -> Array:
        """Return an array in these rows."""
        return np.ascontiguousarray(a).reshape(self.shape)

    def repeated(self, numbers: Array) -> Array:
        """Return a number for each channel as often as the channels stand in a row."""
        return numbers[None].repeat(self.positions, axis=0).reshape(-1)

    def each(self, work: Callable[[slice], Result]) -> list[Result]:
        """Have work done on all rows, some at a time; return what it gave, in their order."""
        rows, length = self.shape
        step = max(1, TILE // length)

        def one(part: slice) -> list[Result]:
            starts = range(part.start, part.stop, step)
            return [work(slice(start, min(start + step, part.stop))) for start in starts]

        found = in_parts(one, shares(rows, rows * length * ELEMENT))
        return [result for part in found for result in part]

    def sums(self, work: Callable[[slice], Array]) -> Array:
        """Return the sums over all positions of the rows that `work` gives, a row for each sum."""

        def one(part: slice) -> Array:
            rows = work(part)
            return np.ones(rows.shape[-2], rows.dtype) @ rows

        first, *others = self.each(one)
        total = sum(others, start=first)
        sums: Array = total.reshape(*total.shape[:-1], self.positions, -1).sum(axis=-2)
        return sums


class Normalized:
    """A batch that was normalized, and what its backward pass needs.

    Where threads share the batch, each takes its part less that part's own mean, so that they
    meet only once: what its squares lack then is what the means are apart (Chan, Golub and
    LeVeque 1983, "Algorithms for computing the sample variance", 2.1).

    Attributes
    ----------
    y
        The result.
    mean, variance
        Of each channel; the variance is the biased one.
    """

    def __init__(self, a: Array, scale: Array, shift: Array, epsilon: float) -> None:
        count = a.size // a.shape[-1]
        own = self._mean(a)
        parts = from_all(count, own, self._squares(own))
        self._count = sum(n for n, _, _ in parts)
        self.mean = own if len(parts) == 1 else sum(m * (n / self._count) for n, m, _ in parts)
        spread = sum(some + n * (m - self.mean) ** 2 for n, m, some in parts)
        self.variance = spread / self._count
        self._inverse = 1 / np.sqrt(self.variance + a.dtype.type(epsilon))
        self._factor, self._apart = scale * self._inverse, own - self.mean
        self.y = self._scaled(self._factor, shift + self._apart * self._factor).reshape(a.shape)
        self._sums: tuple[Array, Array, Array] | None = None

    def _found(self, g: Array) -> tuple[Array, Array]:
        """Return the sums of a gradient, and of it times what was normalized, over positions.

        Where threads share a batch, those of this part of it.
        """
        if self._sums is None or self._sums[0] is not g:
            total, along = self._sums_of(g)
            self._sums = g, total, (along + self._apart * total) * self._inverse
        return self._sums[1:]

    def by_x(self, g: Array) -> Array:
        """Return the input's gradient: without what moves the mean or the spread of the batch."""
        total, along = together(*self._found(g))
        slope = -self._factor * self._inverse * along / self._count
        constant = self._apart * slope - self._factor * total / self._count
        return self._back(g, self._factor, slope, constant)

    def by_scale(self, g: Array) -> Array:
        """Return the gradient by the scale."""
        return self._found(g)[1]

    def by_shift(self, g: Array) -> Array:
        """Return the gradient by the shift."""
        return self._found(g)[0]

    # --- the passes over memory ----------------------------------------------------------

    def _mean(self, a: Array) -> Array:
        """Return the mean of each channel, and keep what `_squares` needs."""
        self._rows = rows = Rows(a)
        self._given = flat = rows.of(a)
        own: Array = rows.sums(lambda part: flat[part]) / a.dtype.type(a.size // a.shape[-1])
        return own

    def _squares(self, own: Array) -> Array:
        """Return the sum of squares of each channel less a number, and keep what is needed."""
        rows, flat, dtype = self._rows, self._given, self._given.dtype
        centered, mean = new_array(flat.shape, dtype), rows.repeated(own)

        def squares(part: slice) -> Array:
            some = np.subtract(flat[part], mean, out=centered[part])
            return np.multiply(some, some, out=new_array(some.shape, dtype))

        self._given = centered  # which is all that the other passes need
        return rows.sums(squares)

    def _scaled(self, factor: Array, shift: Array) -> Array:
        """Return what was centered times a factor for each channel plus a shift."""
        return _scaled(self._rows, self._given, factor, shift)

    def _sums_of(self, g: Array) -> tuple[Array, Array]:
        """Return the sums of a gradient, and of it times what was centered."""
        flat, centered = self._rows.of(g), self._given

        def both(part: slice) -> Array:
            pair = new_array((2, *flat[part].shape), flat.dtype)
            pair[0] = flat[part]
            np.multiply(flat[part], centered[part], out=pair[1])
            return pair

        total, along = self._rows.sums(both)
        return total, along

    def _back(self, g: Array, factor: Array, slope: Array, constant: Array) -> Array:
        """Return a gradient times a factor plus what was centered times a slope, and a constant."""
        rows = self._rows
        factors, slopes, constants = map(rows.repeated, (factor, slope, constant))
        flat, out = rows.of(g), new_array(self._given.shape, g.dtype)

        def work(part: slice) -> None:
            some = np.multiply(self._given[part], slopes, out=out[part])
            some += constants
            some += np.multiply(flat[part], factors, out=new_array(some.shape, some.dtype))

        rows.each(work)
        return out.reshape(g.shape)


def normalized(a: Array, mean: Array, factor: Array, shift: Array) -> Array:
    """Return (a - mean) * factor + shift, with a number of each for every channel."""
    rows = Rows(a)
    flat, less = rows.of(a), rows.repeated(mean)
    return _scaled(rows, flat, factor, shift, less).reshape(a.shape)


def _scaled(
    rows: Rows, flat: Array, factor: Array, shift: Array, less: Array | None = None
) -> Array:
    """Return rows times a factor for each channel plus a shift, less something before."""
    factors, shifts = rows.repeated(factor), rows.repeated(shift)
    y = new_array(flat.shape, np.result_type(flat, factors, shifts))

    def work(part: slice) -> None:
        some = flat[part] if less is None else np.subtract(flat[part], less, out=y[part])
        np.multiply(some, factors, out=y[part])
        np.add(y[part], shifts, out=y[part])

    rows.each(work)
    return y
