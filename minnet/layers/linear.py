"""Layers that multiply by a matrix or look rows up in one: Linear and Embedding."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..backend import Shape
from ..checks import boolean, positive
from ..errors import ShapeError, SpecError
from .base import ArraySpec, Context, Layer, layer

__all__ = ["Embedding", "Linear"]


@layer
class Linear(Layer):
    """Multiply by a matrix and add a bias: `x @ weight + bias`.

    It takes examples of shape `(..., in)` to `(..., size)`: it acts on the last
    axis alone, so put `Flatten()` before it to let it see a whole image.

    Parameters
    ----------
    size
        How many numbers come out, at least 1. Left out at the end of a net, the
        net infers it from its decoder.
    bias
        Whether to add a bias.

    Raises
    ------
    SpecError
        If an option is not one of those, or the size is needed and not known.
    ShapeError
        If the input's last axis is not as long as the weight, of shape
        `(in, size)`, needs.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> layer = mn.Linear(2).with_arrays_here({"weight": np.eye(3, 2), "bias": np.ones(2)})
    >>> layer(np.array([[1.0, 2.0, 3.0]]))
    array([[2., 3.]])
    """

    size: int | None = None
    bias: bool = True

    array_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __post_init__(self) -> None:
        if self.size is not None:
            self._settle(size=positive(self.size, "the size of a Linear"))
        self._settle(bias=boolean(self.bias, "bias"))
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        if not shape:
            raise ShapeError(
                "Linear expects at least one axis per example, (..., in), got single numbers"
            )
        return (*shape[:-1], self._known_size())

    def array_specs(self, shape: Shape) -> dict[str, ArraySpec]:
        size = self.output_shape(shape)[-1]
        weight = ArraySpec((shape[-1], size), fan_in=shape[-1], fan_out=size)
        return {"weight": weight} | ({"bias": ArraySpec((size,), "zeros")} if self.bias else {})

    def apply(self, x: Any, context: Context | None = None) -> Any:
        shape, weight = x.shape[1:], self._need("weight")
        if shape != self._checked_shape:
            self._check(shape, weight)
        return ops.linear(x, weight, self._need("bias") if self.bias else None)

    def _check(self, shape: Shape, weight: Any) -> None:
        """Raise a ShapeError if the layer can't take examples of this shape."""
        if shape[-1:] != weight.shape[:1] and math.prod(shape) == weight.shape[0]:
            raise ShapeError(
                f"its weight of shape {weight.shape} expects {weight.shape[0]} numbers along the "
                f"last axis, got an input of shape {shape}: put Flatten() before it"
            )
        self.check_arrays(shape)

    def _known_size(self) -> int:
        if self.size is None:
            raise SpecError(
                "the size of this Linear() is not known: it is inferred from the decoder at the "
                "end of a net, and must be given, as in Linear(10), everywhere else"
            )
        return self.size


@layer
class Embedding(Layer):
    """Look up a vector for each whole number: row `i` of a table for the number `i`.

    It takes examples of whole numbers, of any shape `(...)`, to `(..., size)`.

    Parameters
    ----------
    size
        The length of each vector, at least 1.
    count
        How many different numbers there are, at least 1: 0 to `count - 1`.

    Raises
    ------
    SpecError
        If an option is not a whole number of at least 1.
    DataError
        If the input is not whole numbers from 0 to `count - 1`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> table = np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
    >>> mn.Embedding(2, count=3).with_arrays_here({"weight": table})(np.array([[2, 0]]))
    array([[[2. , 2.5],
            [0. , 0.5]]])
    """

    size: int
    count: int

    array_names: ClassVar[tuple[str, ...]] = ("weight",)
    wants_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._settle(size=positive(self.size, "the size of an Embedding"))
        self._settle(count=positive(self.count, "the count of an Embedding"))
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape, self.size)

    def array_specs(self, shape: Shape) -> dict[str, ArraySpec]:
        # One number in: each output is one row's element, not a sum over the rows.
        return {"weight": ArraySpec((self.count, self.size), fan_in=1, fan_out=self.size)}

    def apply(self, x: Any, context: Context | None = None) -> Any:
        weight = self._need("weight")
        self.check_arrays(x.shape[1:])
        return ops.embedding(weight, x)
