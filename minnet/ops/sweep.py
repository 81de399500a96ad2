"""Sweep: a window sliding over an input, worked out for convolution and pooling."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..backend import Array, Shape
from ..buffers import new_array
from .checks import Amount, per_axis
from .windows import Edges, Padding, output_sizes, resolve_padding

__all__ = ["Sweep"]


@dataclasses.dataclass(frozen=True, slots=True)
class Sweep:
    """How a window moves over an input; a number for each axis but batch and channels."""

    shape: Shape  # of the input, not padded, with batch and channels
    positions: Shape
    window: Shape
    stride: Shape
    dilation: Shape
    edges: Edges
    groups: int = 1

    @classmethod
    def over(
        cls,
        shape: Shape,
        window: Amount,
        stride: Amount,
        padding: Padding,
        dilation: Amount = 1,
        groups: int = 1,
    ) -> Self:
        """Work out how the window moves; ShapeError or SpecError if it can't."""
        given: Any = shape, window, stride, padding, dilation, groups
        known: Any = _known
        try:
            return known(cls, *given)  # type: ignore[no-any-return]
        except TypeError:  # a list is no key for what is known already
            return cls(*_worked_out(*given))

    @property
    def is_padded(self) -> bool:
        """Whether there is any padding at all."""
        return any(map(any, self.edges))

    @property
    def padded_shape(self) -> Shape:
        """The shape of the padded input."""
        sizes = (n + sum(e) for n, e in zip(self.shape[1:-1], self.edges, strict=True))
        return (self.shape[0], *sizes, self.shape[-1])

    @property
    def count(self) -> int:
        """The number of positions in the whole batch."""
        return self.shape[0] * math.prod(self.positions)

    @property
    def overlaps(self) -> bool:
        """Whether an element of the input can be seen from more than one position."""
        return any(
            (k - 1) * d >= s
            for k, d, s in zip(self.window, self.dilation, self.stride, strict=True)
        )

    @property
    def covers(self) -> bool:
        """Whether every element of the padded input is seen from some position."""
        reached = (
            k >= s and d == 1 and (n - 1) * s + k == size
            for k, s, d, n, size in zip(
                self.window,
                self.stride,
                self.dilation,
                self.positions,
                self.padded_shape[1:-1],
                strict=True,
            )
        )
        return all(reached)

    def of_images(self) -> Self:
        """Return the sweep over images that this one is; those of a sequence are of height 1."""
        if len(self.window) == 2:
            return self
        return dataclasses.replace(
            self,
            shape=(self.shape[0], 1, *self.shape[1:]),
            positions=(1, *self.positions),
            window=(1, *self.window),
            stride=(1, *self.stride),
            dilation=(1, *self.dilation),
            edges=((0, 0), *self.edges),
        )

    def taps(self) -> Sequence[tuple[Shape, tuple[slice, ...]]]:
        """Return each element of the window, and the part of the padded input that it meets."""
        return _taps(self)

    def pad(self, x: Array, fill: float = 0) -> Array:
        """Return examples padded: a copy with `fill` around them, or themselves if no padding."""
        if not self.is_padded:
            return x
        padded = new_array((len(x), *self.padded_shape[1:]), x.dtype, x)
        padded.fill(fill)
        self.crop(padded)[:] = x
        return padded

    def crop(self, padded: Array) -> Array:
        """Return a view of a padded array without its padding."""
        middle = (
            slice(lo, lo + n) for (lo, _), n in zip(self.edges, self.shape[1:-1], strict=True)
        )
        return padded[(slice(None), *middle)]


def _worked_out(
    shape: Shape,
    window: Amount,
    stride: Amount,
    padding: Padding,
    dilation: Amount,
    groups: int,
) -> tuple[Any, ...]:
    """Return the fields of a Sweep."""
    sizes = shape[1:-1]
    axes = len(sizes)
    return (
        shape,
        output_sizes(sizes, window, stride, padding, dilation),
        per_axis(window, axes, "window"),
        per_axis(stride, axes, "stride"),
        per_axis(dilation, axes, "dilation"),
        resolve_padding(padding, sizes, window, stride, dilation),
        groups,
    )


@functools.lru_cache(maxsize=256)
def _taps(sweep: Sweep) -> Sequence[tuple[Shape, tuple[slice, ...]]]:
    found = []
    for tap in np.ndindex(*sweep.window):
        starts = (t * d for t, d in zip(tap, sweep.dilation, strict=True))
        parts = (
            slice(start, start + (n - 1) * s + 1, s)
            for start, s, n in zip(starts, sweep.stride, sweep.positions, strict=True)
        )
        found.append((tap, (slice(None), *parts)))
    return found


# The same few sweeps come again in every step of a training.
@functools.lru_cache(maxsize=256, typed=True)
def _known(cls: Any, *given: Any) -> Any:
    return cls(*_worked_out(*given))
