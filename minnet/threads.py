"""Threads: how many to use, a small pool for work cut in parts, and BLAS kept to one meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from .buffers import current_buffers

__all__ = [
    "available_threads",
    "cores",
    "divided",
    "from_all",
    "in_parts",
    "sharers",
    "shares",
    "sharing",
    "together",
]

# A thread that has less than so many microseconds of work in an op costs more than it saves.
LEAST = 300

Part = TypeVar("Part")
Result = TypeVar("Result")


def available_threads() -> int:
    """Return how many threads work is divided among by default: as many as NumPy's BLAS uses.

    That is the number of processor cores, or what OPENBLAS_NUM_THREADS and the like
    say; 1 where the BLAS can't be told to use one thread, and so threads of our own
    would compete with its.

    Examples
    --------
    >>> from minnet.threads import available_threads
    >>> available_threads() >= 1
    True
    """
    blas = _blas()
    if blas is None:
        return 1
    with _blas_alone.lock:  # while parts are done BLAS is at 1
        threads = _blas_alone.before if _blas_alone.inside else blas[0]()
    return max(1, min(threads, cores()))


def in_parts(function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Return what a function gives for each part, all done at the same time by a thread each.

    Meanwhile every product of matrices uses one thread. The first part is done by the
    caller's own thread; an error in any is raised once all are over. What is itself a
    part does its own parts one after another. Each part has buffers of its own, if the
    caller has any.
    """
    if len(parts) < 2 or getattr(_here, "is_part", False):
        return [function(part) for part in parts]
    buffers, meeting = current_buffers(), Meeting(len(parts))

    def as_part(number: int) -> Result:
        _here.is_part, _here.meeting, _here.number = True, meeting, number
        try:
            with buffers.used_by_thread(number) if buffers else contextlib.nullcontext():
                return function(parts[number])
        except BaseException:
            meeting.leave(number)
            raise
        finally:
            _here.is_part, _here.meeting = False, None

    with _blas_alone:
        pool = _pool(len(parts) - 1)
        with _submitting:  # all parts at once: each may wait for the others
            # Threads begin with no context; NumPy's `errstate` is in it.
            others = [pool.submit(copy_context().run, as_part, i) for i in range(1, len(parts))]
        try:
            first = as_part(0)
        except PartFailedError:
            for other in others:
                if not isinstance(other.exception(), PartFailedError):
                    other.result()
            raise
        finally:
            for other in others:
                other.exception()  # waits: none may work on while the caller goes on
        return [first, *(other.result() for other in others)]


_submitting = threading.Lock()


class PartFailedError(Exception):
    """Another part of the work came to an error: there is nothing to wait for."""


class Meeting:
    """Where the threads that do the parts of some work tell each other numbers."""

    def __init__(self, count: int) -> None:
        # From each part to each: what a quick one says next must not be taken for what a slow
        # one was to say.
        self._ways: list[list[Any]] = [[SimpleQueue() for _ in range(count)] for _ in range(count)]

    def exchange(self, number: int, numbers: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Say what a part has, wait for the others and return what all have, in their order."""
        for way in self._ways[number]:
            way.put(numbers)
        brought = [ways[number].get() for ways in self._ways]
        if None in brought:
            raise PartFailedError
        return brought

    def leave(self, number: int) -> None:
        """Have nobody wait for a part any more, which came to an error."""
        for way in self._ways[number]:
            way.put(None)


def from_all(*numbers: Any) -> list[tuple[Any, ...]]:
    """Return what every part of a batch has here, in their order; only this, if it is whole.

    Every part has to come by with as many numbers or arrays, in the same order.
    """
    meeting = getattr(_here, "meeting", None)
    return [numbers] if meeting is None else meeting.exchange(_here.number, numbers)


def together(*numbers: Any) -> list[Any]:
    """Return the sums of what the parts of a batch have here: see `from_all`."""
    parts = zip(*from_all(*numbers), strict=True)
    return [sum(several[1:], start=several[0]) for several in parts]


def divided(count: int, parts: int) -> list[slice]:
    """Return which of so many things belong to each part: all have about as many.

    Examples
    --------
    >>> from minnet.threads import divided
    >>> divided(5, 2)
    [slice(0, 2, None), slice(2, 5, None)]
    """
    edges = (count * part // parts for part in range(parts + 1))
    return [slice(*ends) for ends in itertools.pairwise(edges)]


@contextlib.contextmanager
def sharing(threads: int) -> Iterator[None]:
    """Let the large ops called inside divide their work among so many threads.

    An op that is called anywhere else does all of its work by itself. Meanwhile every
    product of matrices uses one thread: those of BLAS, once begun, go on looking for work
    for a while, and take the time of ours.
    """
    if threads < 2:
        yield
        return
    before = getattr(_here, "threads", 1)
    _here.threads = threads
    try:
        with _blas_alone:
            yield
    finally:
        _here.threads = before


def shares(count: int, microseconds: float) -> list[slice]:
    """Return which of so many things each thread is to work on in an op.

    Parameters
    ----------
    count
        How many things there are.
    microseconds
        How long one thread takes for all of them, about.
    """
    parts = min(sharers(), count, int(microseconds / LEAST))
    return divided(count, parts) if parts > 1 else [slice(0, count)]


def sharers() -> int:
    """Return among how many threads at most an op that is called here divides its work."""
    return 1 if getattr(_here, "is_part", False) else getattr(_here, "threads", 1)


_here = threading.local()


@functools.lru_cache(maxsize=4)
def _pool(count: int) -> Any:
    """Return a pool of threads, which start when they are first used."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(count, thread_name_prefix="minnet")


if hasattr(os, "register_at_fork"):  # a process that is forked off has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


@functools.cache
def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _BlasAlone:
    """Keeps BLAS to one thread as long as anybody is inside, from whatever thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.before = 1

    def __enter__(self) -> None:
        blas = _blas()
        with self.lock:
            self.inside += 1
            if blas and self.inside == 1:
                self.before = blas[0]()
                blas[1](1)

    def __exit__(self, *error: object) -> None:
        blas = _blas()
        with self.lock:
            self.inside -= 1
            if blas and self.inside == 0:
                blas[1](self.before)


_blas_alone = _BlasAlone()


@functools.cache
def _blas() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """Return OpenBLAS's functions that tell and set how many threads it uses, if NumPy has it."""
    try:
        # The libraries it is linked with are searched as well.
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for name in _names():
        if hasattr(library, name.format("get")) and hasattr(library, name.format("set")):
            return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None


def _names() -> Iterator[str]:
    """Yield what OpenBLAS's functions are called in NumPy's own wheels, Debian and conda."""
    for prefix in ("scipy_", ""):
        for suffix in ("64_", "", "_64"):
            yield f"{prefix}openblas_{{}}_num_threads{suffix}"
