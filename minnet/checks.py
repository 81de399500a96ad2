"""Checks of options: whole numbers, numbers within bounds, truth values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import SpecError

__all__ = ["boolean", "number", "positive"]


def positive(value: Any, what: str, minimum: int = 1) -> int:
    """Return `value` if it is a whole number of at least `minimum`, else raise a SpecError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < minimum:
        raise SpecError(f"{what} must be a whole number of at least {minimum}, got {value!r}")
    return int(value)


def number(
    value: Any,
    what: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> float:
    """Return a finite number within bounds as a Python float, else raise a SpecError.

    A NumPy scalar left in an option would turn float32 weights into float64.
    """
    bounds = {"above": above, "at least": least, "below": below, "at most": most}
    limits = " and ".join(f"{how} {bound:g}" for how, bound in bounds.items() if bound is not None)
    try:
        is_number = isinstance(value, int | float | np.integer | np.floating)
        is_finite = is_number and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        is_finite = False
    if (
        not is_finite
        or (above is not None and not value > above)
        or (least is not None and not value >= least)
        or (below is not None and not value < below)
        or (most is not None and not value <= most)
    ):
        raise SpecError(f"{what} must be a finite number {limits}".rstrip() + f", got {value!r}")
    return float(value)


def boolean(value: Any, what: str) -> bool:
    """Return `value` if it is True or False, else raise a SpecError."""
    if not isinstance(value, bool | np.bool_):
        raise SpecError(f"{what} must be True or False, got {value!r}")
    return bool(value)
