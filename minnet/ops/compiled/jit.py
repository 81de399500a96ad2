"""How kernels are compiled: all alike, and what comes of it kept for the next process.

Without Numba they are functions of Python, slow ones, that come to the same numbers: they can
be read, tried and stepped through as any other.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...backend import Array

try:
    import numba
except ImportError:
    numba = None

__all__ = ["array_at", "kernel", "moved", "numba", "place_of", "unsigned"]

Function = TypeVar("Function", bound=Callable[..., Any])

# Numba looks at every index whether it is negative and counts from the end; those made of this
# type can't be, and only with them do loops become vector instructions.
unsigned: Any = int if numba is None else numba.uintp

# Threads go on meanwhile; x * y + z may be one instruction; division by 0 gives what NumPy gives.
OPTIONS = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def kernel(function: Function) -> Function:
    """Have a function compiled when it is first called, once for each dtype."""
    if numba is None:
        return function
    try:
        compiled: Any = numba.njit(cache=True, **OPTIONS)(function)
        kept = compiled._cache._cache_file
        # Numba looks at the function's own file alone, but what it calls is compiled into it.
        kept._source_stamp = (kept._source_stamp, _stamp())
    except (RuntimeError, AttributeError):  # no folder to keep it in, or another Numba
        compiled = numba.njit(**OPTIONS)(function)
    return compiled  # type: ignore[no-any-return]


@functools.cache
def _stamp() -> tuple[Any, ...]:
    """Return what changes when a file of kernels does."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@kernel
def place_of(array: Array) -> int:  # pragma: no cover (compiled)
    """Return where in memory an array is, as a number that others can be added to."""
    return int(np.int64(array.ctypes.data))


def moved(target: Array, to: int, source: Array, start: int, count: int) -> None:
    """Copy so many numbers of one flat array to another, which don't overlap.

    In kernels that is a few instructions, where a loop would look for overlaps each time.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.jit import moved
    >>> line = np.zeros(4)
    >>> moved(line, 1, np.array([7.0, 8.0, 9.0]), 0, 2)
    >>> line
    array([0., 7., 8., 0.])
    """
    target[to : to + count] = source[start : start + count]


def array_at(like: Array, place: int, size: int) -> Array:
    """Return the flat array of so many numbers of a dtype that is at a place in memory.

    Of that memory somebody else takes care.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.jit import array_at
    >>> numbers = np.array([5.0, 6.0])
    >>> array_at(numbers, numbers.ctypes.data, 2)
    array([5., 6.])
    """
    if size == 0:
        return np.empty(0, like.dtype)
    there: Any = (ctypes.c_char * int(size * like.itemsize)).from_address(int(place))
    return np.ndarray(int(size), like.dtype, there)


if numba is not None:
    from numba.core import cgutils, types
    from numba.extending import intrinsic, overload

    @intrinsic
    def _copied(typing, target, to, source, start, count):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            kind, _, other, _, number = signature.args
            there = context.make_array(kind)(context, builder, given[0]).data
            here = context.make_array(other)(context, builder, given[2]).data
            size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            count = context.cast(builder, given[4], number, types.intp)
            there, here = builder.gep(there, [given[1]]), builder.gep(here, [given[3]])
            cgutils.raw_memcpy(builder, there, here, count, size)
            return context.get_dummy_value()

        return types.void(target, to, source, start, count), generate

    @intrinsic
    def _pointer(typing, like, place):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            return builder.inttoptr(given[1], context.get_value_type(signature.return_type))

        kinds: Any = types
        return kinds.CPointer(like.dtype)(like, types.intp), generate

    @overload(array_at, inline="always")
    def _array_at(like, place, size):  # type: ignore[no-untyped-def]
        return lambda like, place, size: numba.carray(_pointer(like, place), (size,))

    @overload(moved, inline="always")
    def _moved(target, to, source, start, count):  # type: ignore[no-untyped-def]
        return lambda target, to, source, start, count: _copied(target, to, source, start, count)
