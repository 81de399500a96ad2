"""What a Trainer makes sure of: that a net is ready, a batch is whole, and arrays are finite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Array
from ..errors import DataError, SpecError
from ..layers.base import walk
from ..net import Net

__all__ = ["check_counts", "check_initialized", "is_finite"]


def is_finite(array: Array) -> bool:
    """Tell whether all of an array is finite."""
    # A sum of squares is quick, but may overflow where every element is finite.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def check_initialized(net: Net) -> None:
    for path, part in walk(net):
        for name in part.own_names():
            if name not in part.arrays_here:
                kind = type(part).__name__
                raise SpecError(f"{kind} has no {name} yet: initialize(...) the net first", path)


def check_counts(inputs: Any, targets: Any) -> None:
    parts = (inputs, targets)
    several = [part.values() if isinstance(part, dict) else (part,) for part in parts]
    counts = [len(part) for parts in several for part in parts]
    if len(set(counts)) > 1 or counts[0] == 0:
        raise DataError(
            "a batch has one or more examples, every one with an input and a target for each "
            f"port, got {', '.join(map(str, counts))}"
        )
