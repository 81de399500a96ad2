"""The team: threads that share the work of one kernel, and are there at once.

To wake a thread that sleeps takes 0.1 ms, in which much of a small net's step could be done. So a
helper, once awake, watches for the next kernel for a while without Python's lock. `share` calls
a kernel with its turn, in this thread and in those of the helpers; the kernel itself gives the
others the word, by `begin`, when this thread no longer holds the lock, and waits for them, by
`end`. The part of a helper that can't be woken is done here: who does a part makes no difference to
what comes out.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from threading import Lock, Semaphore, Thread
from typing import Any

import numpy as np

from ...backend import Array
from ...threads import cores, in_parts, sharers
from .atomic import give_way, look, pause, put, swap, take, way
from .jit import kernel

__all__ = [
    "ALONE",
    "LINE",
    "Turn",
    "begin",
    "claim",
    "does",
    "end",
    "give_word",
    "meet",
    "parts",
    "pieces",
    "share",
    "share_of",
    "share_stages",
]

Turn = tuple[Array, int, int]  # the desk, which part this is, and of how many

# A thread that has less than so many microseconds of a kernel's work costs more than it saves.
LEAST = 12
# For how many seconds a helper watches for more before it goes to sleep.
PATIENCE = 0.002
# For how many seconds threads do all parts themselves once two of them wanted the team at once:
# then the processor's cores have enough to do.
CROWDED = 0.1
# What a helper's place at the desk says. Places are apart in memory: cores pass it on by lines.
IDLE, ORDERED, ASLEEP = 0, 1, 2
PLACE = 16
MOST = 64  # threads
NEXT = 8  # where the desk says which piece of a stage is the next to be claimed
PIECES = 4  # of a stage for each thread
RESTS = 64  # after so many looks, a few microseconds, whoever watches gives way to others

LINE = 64  # numbers that aren't parted: a few lines of a processor's cache

NOBODY = np.zeros(0, np.int64)  # the desk of a thread that does a part by itself
ALONE: Turn = (NOBODY, 0, 1)


def parts(microseconds: float) -> int:
    """Return among how many threads to share a kernel's work that takes one of them so long."""
    most = min(int(microseconds / LEAST), sharers())
    return 1 if most < 2 else min(most, MOST, cores())


def share(count: int, function: Callable[..., None], *given: Any) -> None:
    """Call a kernel for each of its parts, all at the same time where that is possible.

    Parameters
    ----------
    count
        How many parts there are.
    function
        Takes its turn first, of which `begin` and `end` make something.
    *given
        What it takes after that.
    """
    if count == 1:
        function(ALONE, *given)
    elif not _is_compiled(function):
        in_parts(lambda part: function((NOBODY, part, count), *given), range(count))
    elif not _team().share(count, function, given, has_stages=False):
        for part in range(count):
            function((NOBODY, part, count), *given)


def share_stages(count: int, function: Callable[..., None], *given: Any) -> None:
    """Call a kernel of several stages, between which its parts `meet`, as `share` does.

    In each stage it does the parts that it `does`.
    """
    is_shared = count > 1 and _is_compiled(function)
    if not (is_shared and _team().share(count, function, given, has_stages=True)):
        function((NOBODY, 0, count), *given)


def _is_compiled(function: Callable[..., None]) -> bool:
    """Tell a kernel from a function of Python, as those are that can't call BLAS."""
    return hasattr(function, "py_func")


# --- what kernels call --------------------------------------------------------------------


@kernel
def give_word(turn: Turn) -> None:  # pragma: no cover (compiled)
    """Let the helpers begin."""
    desk, part, of = turn
    if part == 0 and desk.size:
        put(desk, NEXT, 0)
        for number in range(1, of):
            there = number * PLACE
            # Whether it took the word; only this thread reads that.
            desk[there + 1] = swap(desk, there, IDLE, ORDERED)


@kernel
def share_of(
    part: int, of: int, count: int, together: int
) -> tuple[int, int]:  # pragma: no cover (compiled)
    """Return which of so many things are a part's, if so many must not be parted."""
    blocks = -(-count // together)
    first, last = blocks * part // of * together, blocks * (part + 1) // of * together
    return first, min(last, count)


@kernel
def begin(
    turn: Turn, count: int, together: int = 1
) -> tuple[int, int]:  # pragma: no cover (compiled)
    """Give the helpers the word, and return which of so many things are this part's.

    Parameters
    ----------
    turn
        What the kernel was given.
    count
        How many things there are to do.
    together
        How many of them must not be parted.

    Examples
    --------
    >>> from minnet.ops.compiled.team import NOBODY, begin
    >>> begin((NOBODY, 0, 2), 10), begin((NOBODY, 1, 2), 10), begin((NOBODY, 1, 2), 10, 4)
    ((0, 5), (5, 10), (4, 10))
    """
    give_word(turn)
    return share_of(turn[1], turn[2], count, together)


@kernel
def does(turn: Turn, part: int) -> bool:  # pragma: no cover (compiled)
    """Tell whether a part of a stage is to be done here: this one, or that of a helper not there.

    Examples
    --------
    >>> from minnet.ops.compiled.team import NOBODY, does
    >>> does((NOBODY, 0, 2), 1)
    True
    """
    desk, own, _ = turn
    return part == own or desk.size == 0 or (own == 0 and desk[part * PLACE + 1] == 0)


@kernel
def claim(turn: Turn, last: int) -> int:  # pragma: no cover (compiled)
    """Return the next piece of a stage that nobody does yet, so that a slow core does fewer.

    Parameters
    ----------
    turn
        Whose.
    last
        The one that this thread did last; -1 at first.

    Examples
    --------
    >>> from minnet.ops.compiled.team import NOBODY, claim
    >>> claim((NOBODY, 0, 2), -1), claim((NOBODY, 0, 2), 0)
    (0, 1)
    """
    return last + 1 if turn[0].size == 0 else take(turn[0], NEXT)


@kernel
def pieces(count: int, of: int) -> int:  # pragma: no cover (compiled)
    """Return in how many pieces so many threads do so many things.

    Few, where each has sums of its own, but so many that the last ones end at about the same time.

    Examples
    --------
    >>> from minnet.ops.compiled.team import pieces
    >>> pieces(100, 2), pieces(3, 2), pieces(100, 1)
    (8, 3, 1)
    """
    return 1 if of == 1 else min(count, PIECES * of)


@kernel
def meet(turn: Turn) -> None:  # pragma: no cover (compiled)
    """Wait until all are done with a stage."""
    desk, part, of = turn
    if desk.size and part == 0:
        stage = desk[2] + 1
        for number in range(1, of):
            if desk[number * PLACE + 1]:
                looks = 0
                while look(desk, number * PLACE + 2) != stage:
                    looks = _rest(desk, looks)
        put(desk, NEXT, 0)
        put(desk, 2, stage)
    elif desk.size:
        stage = look(desk, 2) + 1
        put(desk, part * PLACE + 2, stage)
        looks = 0
        while look(desk, 2) != stage:
            looks = _rest(desk, looks)


@kernel
def _rest(desk: Array, looks: int) -> int:  # pragma: no cover (compiled)
    """Wait a moment between looks, now and then for whoever else wants the processor core."""
    pause()
    if looks % RESTS == RESTS - 1:
        give_way(desk[3])
    return looks + 1


@kernel
def end(turn: Turn) -> None:  # pragma: no cover (compiled)
    """Wait for the helpers, for a while; as one of them, say so and wait for the next kernel."""
    desk, part, of = turn
    if desk.size and part == 0:
        for number in range(1, of):
            _watch(desk, number, ORDERED, False)
    elif desk.size:
        put(desk, part * PLACE, IDLE)
        _watch(desk, part, ORDERED, True)


@kernel
def _watch(
    desk: Array, number: int, state: int, until: bool
) -> bool:  # pragma: no cover (compiled)
    """Look at a place until it says something, or no longer does; tell whether that came."""
    looks = 0
    while looks < desk[0]:
        if (look(desk, number * PLACE) == state) == until:
            return True
        looks = _rest(desk, looks)
    return False


@kernel
def _watch_or_sleep(desk: Array, number: int) -> bool:  # pragma: no cover (compiled)
    """Tell a helper whether there is something to do; else its place says that it sleeps."""
    if _watch(desk, number, ORDERED, True):
        return True
    return not swap(desk, number * PLACE, IDLE, ASLEEP)


# --- the threads -------------------------------------------------------------------------


class Team:
    """The caller's thread and its helpers, who begin when they are first wanted."""

    def __init__(self) -> None:
        self.desk = np.zeros(MOST * PLACE, np.int64)
        self.desk[0], self.desk[3] = _looks(PATIENCE), way()
        self._bells: list[Semaphore] = []  # of the helpers there are, from number 1 on
        self._order: tuple[int, Callable[..., None], tuple[Any, ...]] | None = None
        self._error: BaseException | None = None
        self._lock = Lock()  # one kernel at a time
        self._crowded_until = 0.0

    def share(
        self, count: int, function: Callable[..., None], given: tuple[Any, ...], has_stages: bool
    ) -> bool:
        """Have a kernel's parts done; tell whether that could be, nobody else wanting the team."""
        if time.monotonic() < self._crowded_until:
            return False
        if not self._lock.acquire(blocking=False):
            self._crowded_until = time.monotonic() + CROWDED
            return False
        desk = self.desk
        try:
            if not self._wake(count):
                return False
            self._order, self._error = (count, function, given), None
            try:
                function((desk, 0, count), *given)
            finally:
                for number in range(1, count):
                    while desk[number * PLACE] == ORDERED:  # held up by other work of the machine
                        time.sleep(0.0001)
                self._order = None
            if self._error is not None:
                raise self._error
            for number in range(1, 1 if has_stages else count):
                if not desk[number * PLACE + 1]:  # it went to sleep just now
                    function((NOBODY, number, count), *given)
        finally:
            self._lock.release()
        return True

    def _wake(self, count: int) -> bool:
        """Have so many there: ring for the helpers that sleep, and wait for them, but not long.

        Tell whether that could be; where no thread can be started it isn't tried again.
        """
        for number in range(1, count):
            if number > len(self._bells):
                name, bell = f"minnet-helper-{number}", Semaphore(0)
                helper = Thread(target=self._help, args=(number, bell), name=name, daemon=True)
                try:
                    helper.start()
                except RuntimeError:  # the system allows no more of them
                    self._crowded_until = math.inf
                    return False
                self._bells.append(bell)
            elif self.desk[number * PLACE] == ASLEEP:
                self._bells[number - 1].release()
                _watch(self.desk, number, ASLEEP, False)
        return True

    def _help(self, number: int, bell: Semaphore) -> None:
        """Do a part of every kernel that has so many."""
        while True:
            if _watch_or_sleep(self.desk, number):
                self._do(number)
            else:
                bell.acquire()
                self.desk[number * PLACE] = IDLE

    def _do(self, number: int) -> None:
        try:
            assert self._order is not None
            count, function, given = self._order
            function((self.desk, number, count), *given)
        except BaseException as error:
            self._error = error
            self.desk[number * PLACE] = IDLE


def _looks(seconds: float) -> int:
    """Return how many looks at a place take so long."""
    desk, looks = np.zeros(2 * PLACE, np.int64), 1000
    for _ in range(2):  # the first time it is compiled
        desk[0] = looks
        start = time.perf_counter()
        _watch(desk, 1, ORDERED, True)
        taken = time.perf_counter() - start
    return int(looks * seconds / taken) + 1


@functools.cache
def _team() -> Team:
    return Team()


if hasattr(os, "register_at_fork"):  # a process that is forked off has none of the threads
    os.register_at_fork(after_in_child=_team.cache_clear)
