"""What a Trainer makes sure of: that a net is ready, a batch is whole, and arrays are finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff import value
from ..backend import Array
from ..errors import DataError, SpecError
from ..layers.base import Context, Path, walk
from ..net import Net
from ..net.inner import tapped

__all__ = ["all_finite", "check_counts", "check_initialized", "where_not_finite"]


def all_finite(arrays: Sequence[Array]) -> bool:
    """Tell whether all of several arrays of a GPU is finite, in one wait for it."""
    return not arrays or bool(np.stack([np.isfinite(array).all() for array in arrays]).all())


def where_not_finite(net: Net, inputs: Any) -> Path:
    """Return the path of the first layer with an output that isn't finite; () if none has."""
    seen: dict[Path, list[Any]] = {path: [] for path, _ in walk(net)}
    tapped(net, seen).apply(inputs, Context(np.random.default_rng(0)))
    for where, outputs in seen.items():
        if not all(np.isfinite(value(part)).all() for part in outputs):
            return where
    return ()


def check_initialized(net: Net) -> None:
    for path, part in walk(net):
        for name in part.own_names():
            if name not in part.arrays_here:
                kind = type(part).__name__
                raise SpecError(f"{kind} has no {name} yet: initialize(...) the net first", path)


def check_counts(inputs: Any, targets: Any) -> None:
    if type(inputs) is type(targets) is np.ndarray and len(inputs) == len(targets) > 0:
        return  # at once: every small step comes by here
    parts = (inputs, targets)
    several = [part.values() if isinstance(part, dict) else (part,) for part in parts]
    counts = [len(part) for parts in several for part in parts]
    if len(set(counts)) > 1 or counts[0] == 0:
        raise DataError(
            "a batch has one or more examples, every one with an input and a target for each "
            f"port, got {', '.join(map(str, counts))}"
        )
