"""What the layers with windows share: options in their standard form, and a check of the input."""

from __future__ import annotations

from typing import Any, TypeAlias

from ..backend import Shape
from ..checks import positive
from ..errors import ShapeError, SpecError

__all__ = ["Padding", "Sizes", "check_image", "dimensions_of", "each", "padding_option", "sizes"]

Sizes: TypeAlias = int | tuple[int, ...]
Padding: TypeAlias = int | str | tuple[int, ...] | tuple[tuple[int, int], ...]

AXES = {1: "(length, channels)", 2: "(height, width, channels)"}


def dimensions_of(window: Any, dimensions: Any) -> int:
    """Return along how many axes a window slides: a tuple's length, else `dimensions`."""
    count = len(window) if isinstance(window, tuple | list) else dimensions
    if isinstance(count, bool) or count not in AXES:
        raise SpecError(f"a window has 1 or 2 dimensions, got {count!r}")
    return int(count)


def sizes(option: Any, what: str, dimensions: int, minimum: int = 1) -> Sizes:
    """Return a checked option with a number per axis: one number where they are all equal."""
    if not isinstance(option, tuple | list):
        return positive(option, what, minimum)
    if len(option) != dimensions:
        raise SpecError(f"{what} must be one number or a tuple of {dimensions}, got {option!r}")
    numbers = tuple(positive(number, what, minimum) for number in option)
    return numbers[0] if len(set(numbers)) == 1 else numbers


def each(option: Sizes, dimensions: int) -> tuple[int, ...]:
    """Return the number for each axis."""
    return option if isinstance(option, tuple) else (option,) * dimensions


def padding_option(padding: Any, dimensions: int) -> Padding:
    """Return a checked padding: a number, a tuple with one or two for each axis, or "same"."""
    if isinstance(padding, str):
        if padding != "same":
            raise SpecError(
                f"padding must be a number, a tuple of numbers or pairs (before, after), "
                f'or "same", got {padding!r}'
            )
        return padding
    if not isinstance(padding, tuple | list):
        return positive(padding, "padding", 0)
    if not any(isinstance(amount, tuple | list) for amount in padding):
        return sizes(padding, "padding", dimensions, 0)
    if len(padding) != dimensions:
        raise SpecError(f"padding must have {dimensions} pairs (before, after), got {padding!r}")
    pairs = tuple(_pair(amount) for amount in padding)
    if all(before == after for before, after in pairs):
        return sizes(tuple(before for before, _ in pairs), "padding", dimensions, 0)
    return pairs


def _pair(amount: Any) -> tuple[int, int]:
    before, after = each(sizes(amount, "padding (before, after)", 2, 0), 2)
    return before, after


def check_image(kind: str, shape: Shape, dimensions: int) -> None:
    """Raise a ShapeError unless `shape` is that of an example a window can slide over."""
    if len(shape) != dimensions + 1:
        raise ShapeError(
            f"{kind} of {dimensions} dimension{'s' * (dimensions > 1)} expects examples of shape "
            f"{AXES[dimensions]}, got {shape}"
        )
