"""What threads tell each other in kernels: a whole number that one writes and others watch.

An ordinary read or write may be moved or left out by the compiler, or be seen late by another
processor core; these are not. In Python, where one thread runs at a time, they are plain.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from typing import Any

from ...backend import Array
from .jit import numba

__all__ = ["give_way", "look", "pause", "put", "swap", "take", "way"]


def look(numbers: Array, at: int) -> int:
    """Return a number of an array of int64, as the last thread wrote it.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.atomic import look
    >>> look(np.array([5, 6]), 1)
    6
    """
    return int(numbers[at])


def put(numbers: Array, at: int, new: int) -> None:
    """Write a number: who sees it sees all that this thread has written before."""
    numbers[at] = new


def swap(numbers: Array, at: int, old: int, new: int) -> bool:
    """Write a number where there is another one, and tell whether that was so: all at once.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.atomic import swap
    >>> numbers = np.array([5])
    >>> swap(numbers, 0, 4, 7), swap(numbers, 0, 5, 7), numbers
    (False, True, array([7]))
    """
    if numbers[at] != old:
        return False
    numbers[at] = new
    return True


def take(numbers: Array, at: int) -> int:
    """Return a number and put the next one in its place: all at once.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.atomic import take
    >>> numbers = np.array([5])
    >>> take(numbers, 0), take(numbers, 0)
    (5, 6)
    """
    found = int(numbers[at])
    numbers[at] = found + 1
    return found


def pause() -> None:
    """Let a processor core rest for some instructions, between one look and the next."""


@functools.cache
def way() -> int:
    """Return where in memory the system's function for `give_way` is; 0 where none is known."""
    try:
        function = ctypes.CDLL(None).sched_yield  # Linux and macOS have it
    except (AttributeError, OSError, TypeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def give_way(where: int) -> None:
    """Let another thread have this processor core, if one waits for it; nothing in Python.

    Parameters
    ----------
    where
        What `way` gave.
    """


if numba is not None:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic, overload

    ALIGNED = 8  # bytes, as int64 is

    def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
        """Return where an element of an array is."""
        return builder.gep(context.make_array(kind)(context, builder, array).data, [at])

    @intrinsic
    def _look(typing, numbers, at):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            place = _place(context, builder, signature.args[0], *given)
            return builder.load_atomic(place, "acquire", ALIGNED)

        return types.int64(numbers, types.intp), generate

    @intrinsic
    def _put(typing, numbers, at, new):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            place = _place(context, builder, signature.args[0], *given[:2])
            builder.store_atomic(given[2], place, "release", ALIGNED)
            return context.get_dummy_value()

        return types.void(numbers, types.intp, types.int64), generate

    @intrinsic
    def _swap(typing, numbers, at, old, new):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            place = _place(context, builder, signature.args[0], *given[:2])
            found = builder.cmpxchg(place, given[2], given[3], "acq_rel", "acquire")
            return builder.extract_value(found, 1)

        return types.boolean(numbers, types.intp, types.int64, types.int64), generate

    @intrinsic
    def _take(typing, numbers, at):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            place = _place(context, builder, signature.args[0], *given)
            return builder.atomic_rmw("add", place, ir.IntType(64)(1), "acq_rel")

        return types.int64(numbers, types.intp), generate

    @intrinsic
    def _pause(typing):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            if platform.machine().lower() in ("x86_64", "amd64"):
                kind = ir.FunctionType(ir.VoidType(), [])
                name = "llvm.x86.sse2.pause"
                builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
            return context.get_dummy_value()

        return types.void(), generate

    @intrinsic
    def _give_way(typing, where):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            function = ir.FunctionType(ir.IntType(32), []).as_pointer()
            builder.call(builder.inttoptr(given[0], function), [])
            return context.get_dummy_value()

        return types.void(types.intp), generate

    @overload(give_way)
    def _give_way_here(where):  # type: ignore[no-untyped-def]
        def called(where):  # type: ignore[no-untyped-def]
            if where != 0:
                _give_way(where)

        return called

    @overload(look, inline="always")
    def _look_here(numbers, at):  # type: ignore[no-untyped-def]
        return lambda numbers, at: _look(numbers, at)

    @overload(put, inline="always")
    def _put_here(numbers, at, new):  # type: ignore[no-untyped-def]
        return lambda numbers, at, new: _put(numbers, at, new)

    @overload(swap, inline="always")
    def _swap_here(numbers, at, old, new):  # type: ignore[no-untyped-def]
        return lambda numbers, at, old, new: _swap(numbers, at, old, new)

    @overload(take, inline="always")
    def _take_here(numbers, at):  # type: ignore[no-untyped-def]
        return lambda numbers, at: _take(numbers, at)

    @overload(pause, inline="always")
    def _pause_here():  # type: ignore[no-untyped-def]
        return lambda: _pause()
