"""What ops make of their inputs: the plain arrays inside, and errors that name the shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, is_array
from ..errors import ShapeError

__all__ = ["array", "elementwise", "misfit", "operand"]


def array(x: Any) -> Array:
    """Return the plain array of a Tensor, an array as it is, and anything else as an array."""
    if isinstance(x, Tensor):
        return x.data
    return x if isinstance(x, np.ndarray) or is_array(x) else np.asarray(x)


def operand(x: Any) -> Any:
    """Return what to compute with for an input that meets another one.

    Like `array`, but numbers stay numbers, which take on the precision of what they
    meet. That goes for NumPy's float64 and int64 as well: either would turn a
    float32 computation into float64.
    """
    if isinstance(x, Tensor):
        return x.data
    if isinstance(x, np.ndarray):  # the frequent case first
        return x
    if isinstance(x, np.float64 | np.integer):
        return x.item()
    return x if isinstance(x, int | float | np.generic) or is_array(x) else np.asarray(x)


def elementwise(function: Callable[..., Any], *operands: Any) -> Any:
    """Apply `function`, with an error that names the shapes where they don't broadcast."""
    try:
        return function(*operands)
    except ValueError:
        shapes = [np.shape(each) for each in operands]
        try:
            np.broadcast_shapes(*shapes)
        except ValueError:
            raise ShapeError(
                f"shapes {' and '.join(map(str, shapes))} don't broadcast: "
                "counted from the last axis, sizes must be equal, or one of them 1"
            ) from None
        raise  # NumPy had another reason


def misfit(what: str, error: Exception, *arrays: Any) -> ShapeError:
    """Return a ShapeError that adds the shapes of `arrays` to NumPy's reason."""
    shapes = " and ".join(str(np.shape(each)) for each in arrays)
    return ShapeError(f"{what} doesn't fit shape{'s' * (len(arrays) > 1)} {shapes}: {error}")
