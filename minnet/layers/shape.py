"""Layers that don't change numbers: Flatten, Reshape, Transpose, and one that does nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import ops
from ..backend import Shape
from ..errors import ShapeError, SpecError
from .base import Context, Layer, layer

__all__ = ["Flatten", "Reshape", "Transpose"]


@layer
class Flatten(Layer):
    """Put all numbers of an example on one axis: `(height, width, channels)` to `(size,)`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Flatten()(np.zeros((10, 4, 4, 3))).shape
    (10, 48)
    """

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.reshape(x, (x.shape[0], *self.output_shape(x.shape[1:])))


@layer
class Reshape(Layer):
    """Give each example another shape, its numbers in the same order.

    Parameters
    ----------
    shape
        The new shape of an example. One axis may be -1: whatever is left.

    Raises
    ------
    SpecError
        If the shape is not a tuple of positive whole numbers and at most one -1.
    ShapeError
        If an example has more or fewer numbers than that.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Reshape((4, -1))(np.zeros((10, 12))).shape
    (10, 4, 3)
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        shape = _whole_numbers(self.shape, "the shape")
        if any(size < 1 and size != -1 for size in shape) or shape.count(-1) > 1:
            raise SpecError(
                f"the shape must be of positive whole numbers and at most one -1, got {self.shape}"
            )
        self._settle(shape=shape)
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        size, known = math.prod(shape), math.prod(n for n in self.shape if n != -1)
        if size % known or (-1 not in self.shape and size != known):
            raise ShapeError(
                f"Reshape to {self.shape} doesn't fit examples of {size} numbers (of shape {shape})"
            )
        return tuple(size // known if n == -1 else n for n in self.shape)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.reshape(x, (x.shape[0], *self.output_shape(x.shape[1:])))


@layer
class Transpose(Layer):
    """Put the axes of each example in another order.

    Parameters
    ----------
    axes
        For each axis of the new example, which of the old ones it is. The axis of
        the batch isn't counted and stays first: `(2, 0, 1)` makes `(height, width,
        channels)` into `(channels, height, width)`.

    Raises
    ------
    SpecError
        If the axes are not each axis once.
    ShapeError
        If an example has more or fewer axes.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Transpose((2, 0, 1))(np.zeros((10, 32, 24, 3))).shape
    (10, 3, 32, 24)
    """

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        axes = _whole_numbers(self.axes, "the axes")
        count = len(axes)
        axes = tuple(axis + count if -count <= axis < 0 else axis for axis in axes)
        if sorted(axes) != list(range(count)):
            raise SpecError(
                f"the axes must be each of 0 to {count - 1} once, in some order, got {self.axes}"
            )
        self._settle(axes=axes)
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.axes):
            raise ShapeError(
                f"Transpose to {self.axes} expects examples of {len(self.axes)} axes, "
                f"got the shape {shape}"
            )
        return tuple(shape[axis] for axis in self.axes)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.transpose(x, (0, *(axis + 1 for axis in self.axes)))


def _whole_numbers(option: Any, what: str) -> tuple[int, ...]:
    """Return a tuple of whole numbers as one of int, refusing anything else."""
    if not isinstance(option, tuple | list) or any(
        isinstance(n, bool) or not isinstance(n, int | np.integer) for n in option
    ):
        raise SpecError(f"{what} must be a tuple of whole numbers, got {option!r}")
    return tuple(int(n) for n in option)


@layer
class Passed(Layer):
    """Stands where a layer is computed elsewhere, so that all other paths stay what they are."""

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return x
