"""Flat memory: arrays that stand one after another in one buffer, to be worked on in one call.

A call costs about as much as working on a thousand numbers, and most nets have small
arrays among their large ones. So those that are trained are made views into a buffer,
and what is done alike to neighbours is done to the flat stretch that they make up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from ..backend import Array, array_module, is_array

__all__ = ["joined", "packed"]

Key = TypeVar("Key")


def packed(arrays: Mapping[Key, Array], copies: bool = True) -> dict[Key, Array]:
    """Return copies of arrays, those of the same dtype one after another in one buffer.

    Without `copies` they hold anything.

    Examples
    --------
    >>> import numpy as np
    >>> copies = packed({"weight": np.ones((2, 3)), "bias": np.zeros(3)})
    >>> copies["bias"].base
    array([1., 1., 1., 1., 1., 1., 0., 0., 0.])
    """
    alike: dict[Any, list[Key]] = {}
    for key, array in arrays.items():
        alike.setdefault(array.dtype, []).append(key)
    copied: dict[Key, Array] = {}
    for dtype, keys in alike.items():
        xp = array_module(arrays[keys[0]])
        buffer = xp.empty(sum(arrays[key].size for key in keys), dtype)
        start = 0
        for key in keys:
            array = arrays[key]
            copied[key] = buffer[start : start + array.size].reshape(array.shape)
            if copies:
                copied[key][...] = array
            start += array.size
    return {key: copied[key] for key in arrays}


def joined(arrays: Sequence[Array]) -> Array | None:
    """Return the flat view that arrays make up; None if they don't follow one another in a buffer.

    Examples
    --------
    >>> import numpy as np
    >>> copies = packed({"weight": np.ones((2, 3)), "bias": np.zeros(3)})
    >>> joined([copies["weight"], copies["bias"]])
    array([1., 1., 1., 1., 1., 1., 0., 0., 0.])
    >>> joined([copies["bias"], copies["weight"]]) is None
    True
    """
    buffer: Any = arrays[0].base
    if not is_array(buffer) or buffer.ndim != 1 or not buffer.flags.c_contiguous:
        return None
    start = end = _address(arrays[0])
    for array in arrays:
        follows = array.base is buffer and _address(array) == end and array.flags.c_contiguous
        if not follows or array.dtype != buffer.dtype:
            return None
        end += array.nbytes
    first = (start - _address(buffer)) // buffer.itemsize
    view: Array = buffer[first : first + (end - start) // buffer.itemsize]
    return view


def _address(array: Array) -> int:
    """Return where in memory an array begins."""
    given: Any = array
    if isinstance(array, np.ndarray):
        return int(given.__array_interface__["data"][0])
    return int(given.data.ptr)
