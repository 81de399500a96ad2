"""What the stand-in counts: launches, transfers, waits and memory, and the devices it has."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

ROUND = 512  # CuPy's pool hands out memory in multiples of this


@dataclass
class Counts:
    """How often what happened since the beginning, over all devices."""

    launches: int = 0
    to_device: int = 0
    to_device_bytes: int = 0
    to_host: int = 0
    to_host_bytes: int = 0
    waits: int = 0  # the host stood still until the device was done
    allocations: int = 0
    allocated_bytes: int = 0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def copy(self) -> Counts:
        return self - Counts()


counts = Counts()
names: list[str] = []  # of the kernels launched, while somebody is watching
watching = False


@contextlib.contextmanager
def counting() -> Iterator[Counts]:
    """Give what is counted inside, which is complete when the block is left."""
    start, found = counts.copy(), Counts()
    try:
        yield found
    finally:
        for f in fields(found):
            setattr(found, f.name, getattr(counts, f.name) - getattr(start, f.name))


@contextlib.contextmanager
def launched() -> Iterator[list[str]]:
    """Give the names of the kernels that are launched inside, in order."""
    global watching
    before, watching = watching, True
    start = len(names)
    found: list[str] = []
    try:
        yield found
    finally:
        watching = before
        found.extend(names[start:])
        if not watching:
            names.clear()


def launch(name: str = "") -> None:
    """Count a kernel."""
    counts.launches += 1
    if watching:
        names.append(name)


def to_host(nbytes: int) -> None:
    """Count a transfer that makes the host wait."""
    counts.to_host += 1
    counts.to_host_bytes += nbytes
    counts.waits += 1


def to_device(nbytes: int) -> None:
    counts.to_device += 1
    counts.to_device_bytes += nbytes


# --- devices and their memory ----------------------------------------------------------------


class OutOfMemoryError(MemoryError):
    """What CuPy raises when a device has no room left."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


OutOfMemoryError.__module__ = "cupy.cuda.memory"


@dataclass
class Room:
    """The memory of a device."""

    total: int = 8 << 30
    used: int = 0
    reserved: int = 0
    peak: int = 0
    limit: int = 0

    def take(self, size: int) -> None:
        most = min(self.total, self.limit or self.total)
        if self.used + size > most or refuses(size):
            raise OutOfMemoryError(size, self.used, self.limit)
        self.used += size
        self.reserved = min(max(self.reserved, self.used), most)
        self.peak = max(self.peak, self.used)
        counts.allocations += 1
        counts.allocated_bytes += size

    def give(self, size: int) -> None:
        self.used -= size


def refuses(size: int) -> bool:
    """Tell whether there is to be no room for so many bytes, though there is."""
    return False


@contextlib.contextmanager
def refusing(when: Callable[[int], bool]) -> Iterator[None]:
    """Have no room where `when`, asked with the bytes of each new array, says so."""
    global refuses
    before, refuses = refuses, when
    try:
        yield
    finally:
        refuses = before


rooms = [Room(), Room()]
in_use = threading.local()  # each thread has its own device in use


class Block:
    """The device memory of an array and of all its views, which goes with the last of them."""

    def __init__(self, root: np.ndarray[Any, Any], device: int) -> None:
        self.root, self.device = root, device
        size = -(-root.nbytes // ROUND) * ROUND
        room = rooms[device]
        if size:
            room.take(size)
            weakref.finalize(self, room.give, size).atexit = False


def here() -> int:
    """Return the number of the device in use."""
    number: int = stack()[-1]
    return number


def stack() -> list[int]:
    """Return the devices that were made the one in use, one inside another."""
    if not hasattr(in_use, "stack"):
        in_use.stack = [0]
    found: list[int] = in_use.stack
    return found
