"""Which array module an array belongs to, and the few kernels that modules spell differently."""

from __future__ import annotations

import math
import sys
import weakref
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

__all__ = ["Array", "Shape", "add_at", "array_module", "is_array", "is_finite", "read_only"]


_NUMPYS_OWN = (np.ndarray, np.generic, float, int)  # making a union of them takes as long as a sum


def array_module(array: Any) -> Any:
    """Return the module whose functions work on `array`: NumPy, or CuPy for its arrays.

    CuPy is never imported here: an array of its can only exist once somebody has.
    """
    if isinstance(array, _NUMPYS_OWN):
        return np
    return sys.modules.get(type(array).__module__.partition(".")[0], np) if is_array(array) else np


def is_array(value: Any) -> bool:
    """Tell whether `value` is an array of NumPy or CuPy."""
    return isinstance(value, np.ndarray) or type(value).__module__.partition(".")[0] == "cupy"


def add_at(target: Array, index: Any, values: Array) -> None:
    """Add `values` to `target[index]` in place, once for every time an index occurs."""
    array_module(target).add.at(target, index, values)


def read_only(array: Any) -> Array:
    """Return `array` as one that nobody can write to: itself where that is so, else a copy.

    CuPy has no read-only arrays. What is kept instead are copies that nobody else has, or
    what `move` made, by which these are known again.
    """
    if isinstance(array, np.ndarray):
        base: Any = array
        while isinstance(base, np.ndarray) and not base.flags.writeable:
            base = base.base
        if base is None:
            return array
    elif is_array(array):
        known = _kept.get(id(array))
        theirs: Array = array
        return theirs if known is not None and known() is array else kept(array.copy("K"))
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


_kept: dict[int, weakref.ref[Any]] = {}


def kept(array: Any) -> Array:
    """Return an array of a GPU, noted as one that nobody writes to."""
    key = id(array)
    _kept[key] = weakref.ref(array, lambda _: _kept.pop(key, None))
    noted: Array = array
    return noted


def is_finite(array: Array) -> bool:
    """Tell whether all of an array of the CPU is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.backend import is_finite
    >>> is_finite(np.array([1e200])), is_finite(np.array([np.inf]))
    (True, False)
    """
    # A sum of squares is quick, but may overflow where every element is finite.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())
