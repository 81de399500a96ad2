"""Buffers: memory for large arrays that is kept and used again in the next training step.

A fresh large array costs more than its memory: the system hands it out page by page,
each at its first touch and filled with zeros, which can take longer than the arithmetic
done in it. A training step asks for the same sizes as the one before, so what that one
is done with serves again.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from .backend import Array, Shape, array_module

__all__ = ["Buffers", "current_buffers", "new_array"]

# Below so many bytes a fresh array comes from memory that the process has already.
SMALL = 1 << 15
# A size that was not asked for in so many steps is given back.
PATIENCE = 50


class Buffers:
    """Memory that the ops called under `with buffers.used():` take their results from.

    Nothing has to be given back by hand: a buffer serves again when no array made of
    it is left, which Python's count of references tells. Arrays that somebody holds on
    to stay what they are.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> from minnet.buffers import Buffers, new_array
    >>> buffers = Buffers()
    >>> with buffers.used():
    ...     a = new_array((100, 100), np.float64)
    ...     first = a.ctypes.data
    ...     del a
    ...     new_array((100, 100), np.float64).ctypes.data == first
    True
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[Array]] = defaultdict(list)
        self._asked: set[int] = set()
        self._steps = 0
        self._of_others: list[Buffers] = []

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Have this thread's ops take their arrays from here."""
        with self._in_use():
            yield
        self._tidy()

    @contextlib.contextmanager
    def used_by_thread(self, number: int) -> Iterator[None]:
        """Have this thread's ops take theirs from what is kept for a thread that helps."""
        while len(self._of_others) < number:
            self._of_others.append(Buffers())
        with (self._of_others[number - 1] if number else self)._in_use():
            yield

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        before = current_buffers()
        _current.buffers = self
        try:
            yield
        finally:
            _current.buffers = before

    def take(self, shape: Shape, dtype: Any) -> Array:
        """Return an array that holds anything, of memory that nothing else uses."""
        room = _room(shape, dtype)
        if not room:
            return np.empty(shape, dtype)
        self._asked.add(room)
        kept = self._kept[room]
        for buffer in kept:
            if sys.getrefcount(buffer) == UNUSED:
                return np.ndarray(shape, dtype, buffer)
        fresh = np.empty(room, np.uint8)
        kept.append(fresh)
        return np.ndarray(shape, dtype, fresh)

    @property
    def size(self) -> int:
        """How many bytes are kept, for the threads that help as well."""
        mine = sum(len(kept) * room for room, kept in self._kept.items())
        return mine + sum(buffers.size for buffers in self._of_others)

    def _tidy(self) -> None:
        """Now and then forget the sizes nobody asked for since the last time."""
        self._steps += 1
        if self._steps % PATIENCE == 0:
            for buffers in (self, *self._of_others):
                buffers._forget()

    def _forget(self) -> None:
        for room in self._kept.keys() - self._asked:
            del self._kept[room]
        self._asked.clear()


_current = threading.local()


def current_buffers() -> Buffers | None:
    """Return the buffers in use by this thread, if there are any."""
    return getattr(_current, "buffers", None)


def new_array(shape: Shape, dtype: Any, like: Any = None) -> Array:
    """Return an array that holds anything; where there are `Buffers` in use, one of theirs.

    Parameters
    ----------
    shape, dtype
        What it is like.
    like
        An array of the device it is to be on; memory of a GPU is kept by CuPy itself.
    """
    if like is not None and not isinstance(like, np.ndarray):
        fresh: Array = array_module(like).empty(shape, dtype)
        return fresh
    buffers = current_buffers()
    return np.empty(shape, dtype) if buffers is None else buffers.take(shape, dtype)


@functools.lru_cache(maxsize=1024)
def _room(shape: Shape, dtype: Any) -> int:
    """Return the size of the buffer for an array: a few sizes serve many; 0 for a small one."""
    size: int = math.prod(shape) * np.dtype(dtype).itemsize
    if size < SMALL:
        return 0
    step = 1 << max(size.bit_length() - 4, 0)
    return -(-size // step) * step


def _count_of_unused() -> int:
    """Return the count of references, as `take` sees it, of a buffer with no array."""
    for buffer in [np.empty(1)]:
        return sys.getrefcount(buffer)
    raise AssertionError


UNUSED = _count_of_unused()
