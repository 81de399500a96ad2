"""Layers for where a Graph's branches meet or begin: Add, Multiply, Catenate and Constant."""

from __future__ import annotations

from functools import reduce
from types import EllipsisType
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..backend import Array, Shape, read_only
from ..errors import ShapeError, SpecError
from .base import ArraySpec, Context, Layer, Multiplier, layer

__all__ = ["Add", "Catenate", "Constant", "Multiply"]


@layer
class Add(Layer):
    """Add several inputs up: any number of them, all of the same shape.

    Raises
    ------
    ShapeError
        If the shapes differ, or a batch has another number of examples.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Add()((np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])))
    array([[11., 22.]])
    """

    input_count: ClassVar[int | None] = None

    def output_shape(self, shape: Any) -> Shape:
        shapes = _several("Add", shape)
        if len(set(shapes)) > 1:
            raise ShapeError(f"Add expects inputs of equal shapes, got {_listed(shapes)}")
        return shapes[0]

    def apply(self, x: Any, context: Context | None = None) -> Any:
        _check_inputs(self, x)
        return reduce(ops.add, x)


@layer
class Multiply(Layer):
    """Multiply several inputs, number by number.

    Any number of them, with equally many axes of equal lengths; an axis of length
    1 is stretched to that of the others, so that `(1, 1, channels)` can gate the
    channels of `(height, width, channels)`.

    Raises
    ------
    ShapeError
        If the shapes don't fit, or a batch has another number of examples.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Multiply()((np.array([[1.0, 2.0]]), np.array([[10.0]])))
    array([[10., 20.]])
    """

    input_count: ClassVar[int | None] = None

    def output_shape(self, shape: Any) -> Shape:
        shapes = _several("Multiply", shape)
        lengths = [set(axis) - {1} for axis in zip(*shapes, strict=False)]
        if len({len(shape) for shape in shapes}) > 1 or any(len(axis) > 1 for axis in lengths):
            raise ShapeError(
                "Multiply expects inputs of equal shapes, where an axis of length 1 fits any, "
                f"got {_listed(shapes)}"
            )
        return tuple(axis.pop() if axis else 1 for axis in lengths)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        _check_inputs(self, x)
        return reduce(ops.multiply, x)


@layer
class Catenate(Layer):
    """Put several inputs one after the other along an axis: by default, all their channels.

    Parameters
    ----------
    axis
        Along which axis of an example (the batch doesn't count); from the end if
        negative. The inputs' other axes must be equal.

    Raises
    ------
    SpecError
        If the axis is not a whole number.
    ShapeError
        If the shapes don't fit, or a batch has another number of examples.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Catenate()((np.array([[1.0, 2.0]]), np.array([[10.0]])))
    array([[ 1.,  2., 10.]])
    """

    axis: int = -1

    input_count: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, int | np.integer):
            raise SpecError(f"the axis of Catenate must be a whole number, got {self.axis!r}")
        self._settle(axis=int(self.axis))
        super().__post_init__()

    def output_shape(self, shape: Any) -> Shape:
        shapes = _several("Catenate", shape)
        axis = self._axis(len(shapes[0]), shapes)
        others = {(len(shape), shape[:axis], shape[axis + 1 :]) for shape in shapes}
        if len(others) > 1:
            raise ShapeError(
                f"Catenate expects inputs that only differ along axis {self.axis}, "
                f"got {_listed(shapes)}"
            )
        total = sum(shape[axis] for shape in shapes)
        return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])

    def apply(self, x: Any, context: Context | None = None) -> Any:
        count = _check_inputs(self, x)
        # A Constant comes as a batch of one.
        whole = [a if len(a) == count else ops.broadcast_to(a, (count, *a.shape[1:])) for a in x]
        return ops.concatenate(whole, axis=self._axis(x[0].ndim - 1, ()) + 1)

    def _axis(self, count: int, shapes: tuple[Shape, ...]) -> int:
        """Return the axis counted from the start, of `count` axes."""
        if not -count <= self.axis < count:
            raise ShapeError(f"Catenate along axis {self.axis} expects it, got {_listed(shapes)}")
        return self.axis % count


@layer
class Constant(Layer):
    """Give the same array for every example; it takes no input and is never trained.

    Parameters
    ----------
    array
        The numbers, without an axis for the batch; they become float32. Left out,
        they must come through `with_arrays` (which keeps any dtype) or a file.

    Raises
    ------
    SpecError
        If it doesn't hold numbers, one is NaN, or one is too large for float32.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Constant([1.0, 2.0])(None)
    array([[1., 2.]], dtype=float32)
    """

    array_names: ClassVar[tuple[str, ...]] = ("array",)
    state_names: ClassVar[tuple[str, ...]] = ("array",)
    constant_names: ClassVar[tuple[str, ...]] = ("array",)
    input_count: ClassVar[int | None] = 0

    # Not generated from the fields: the array is kept where all arrays are, not as an option.
    def __init__(
        self,
        array: Any = None,
        *,
        name: str | None = None,
        multiplier: Multiplier | EllipsisType = ...,
    ) -> None:
        super().__init__(name=name, multiplier=multiplier)
        if array is not None:
            self._settle(_arrays={"array": read_only(_float32(array))})

    def output_shape(self, shape: Any = ()) -> Shape:
        array: Shape = self._need("array").shape
        return array

    def array_specs(self, shape: Any = ()) -> dict[str, ArraySpec]:
        return {"array": ArraySpec(self.output_shape(shape))}

    def apply(self, x: Any = None, context: Context | None = None) -> Any:
        """Return the array as a batch of one, which fits any other batch."""
        return self._need("array")[None]


def _float32(array: Any) -> Array:
    """Return an array of finite or infinite numbers as float32."""
    try:
        given = np.asarray(array)
    except ValueError:
        given = np.asarray(None)  # a ragged list
    if given.dtype.kind not in "buif":
        raise SpecError(
            f"a Constant must be an array of numbers, got {type(array).__name__} of {given.dtype}"
        )
    with np.errstate(over="ignore"):
        single = given.astype(np.float32)
    if np.isnan(single).any() or (np.isinf(single) & ~np.isinf(given)).any():
        raise SpecError("a Constant must hold numbers that float32 can hold, got NaN or larger")
    return single


def _listed(shapes: tuple[Shape, ...]) -> str:
    """Return shapes as they are listed in errors."""
    return ", ".join(str(shape) for shape in shapes)


def _several(kind: str, shapes: Any) -> tuple[Shape, ...]:
    """Return the shapes of several inputs, of which there must be one at least."""
    if not isinstance(shapes, tuple | list) or not shapes or isinstance(shapes[0], int):
        raise ShapeError(f"{kind} expects a tuple of one or more inputs, got {shapes!r}")
    return tuple(tuple(shape) for shape in shapes)


def _check_inputs(combining: Layer, x: Any) -> int:
    """Return how many examples the inputs have, which must fit each other."""
    if not isinstance(x, tuple | list):
        raise ShapeError(
            f"{type(combining).__name__} expects a tuple of inputs, got one of shape "
            f"{getattr(x, 'shape', x)}"
        )
    combining.output_shape(tuple(a.shape[1:] for a in x))
    counts = {len(a) for a in x}
    if len(counts - {1}) > 1:
        raise ShapeError(
            f"{type(combining).__name__} expects batches of equally many examples, "
            f"got {_listed(tuple(a.shape for a in x))}"
        )
    return max(counts) if 0 not in counts else 0
