"""What the ops check before they compute, said in minnet's words rather than NumPy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, Shape
from ..errors import DataError, SpecError
from .inputs import array

__all__ = ["Amount", "array_of", "floating", "per_axis"]

# One whole number for all axes, or one for each.
Amount: TypeAlias = int | Sequence[int]


def array_of(x: Any) -> Array:
    """Return the plain array of real numbers that `x` is, holds (a Tensor) or lists."""
    try:
        a = array(x)
    except ValueError as error:
        raise DataError(f"expected an array of real numbers: {error}") from None
    if a.dtype.kind not in "biuf":
        raise DataError(f"expected an array of real numbers, got one of dtype {a.dtype}")
    return a


def per_axis(amount: Amount, axes: int, what: str, minimum: int = 1) -> Shape:
    """Return `amount` as one whole number for each axis, or raise a SpecError about `what`."""
    given = tuple(amount) if isinstance(amount, Sequence) else (amount,) * axes
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in given)
    if len(given) != axes or not whole or min(given, default=minimum) < minimum:
        raise SpecError(
            f"{what} must be a whole number of at least {minimum}, "
            f"or a tuple of one for each of the {axes} axes, got {amount!r}"
        )
    return tuple(int(n) for n in given)


def floating(x: Any) -> Array:
    """Return `x` as an array of floating-point numbers; whole ones become float32."""
    a = array_of(x)
    return a if a.dtype.kind == "f" else a.astype(np.float32)
