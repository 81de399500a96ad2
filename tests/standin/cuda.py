"""The stand-in's `cupy.cuda`: devices, memory pools, streams, events and pinned memory."""

from __future__ import annotations

import sys
import types
from typing import Any, ClassVar

import numpy as np

from . import counts as counted
from .counts import Block, OutOfMemoryError, here, rooms, stack


class Device:
    """A device; `with Device(1):` makes it the one in use."""

    __module__ = "cupy.cuda"

    def __init__(self, device: Any = None) -> None:
        number = here() if device is None else int(device)
        if not 0 <= number < len(rooms):
            raise runtime.CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = number

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __enter__(self) -> Device:
        stack().append(self.id)
        return self

    def __exit__(self, *error: object) -> None:
        stack().pop()

    def use(self) -> None:
        stack()[-1] = self.id

    def synchronize(self) -> None:
        counted.counts.waits += 1

    compute_capability = "90"
    cublas_handle = 7

    @property
    def mem_info(self) -> tuple[int, int]:
        room = rooms[self.id]
        return room.total - room.reserved, room.total


class Event:
    """A mark in a stream."""

    __module__ = "cupy.cuda"

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.done = True

    def record(self, stream: Any = None) -> None:
        """Mark where the stream has got to."""

    def synchronize(self) -> None:
        counted.counts.waits += 1


class Stream:
    """A queue of work, which here is done at once."""

    __module__ = "cupy.cuda"
    null: Any = None
    _stack: ClassVar[list[Stream]] = []

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: Any = None,
    ) -> None:
        self.is_non_blocking = non_blocking
        self.device_id = here()
        self.done = True
        self.ptr = 0 if null else id(self)

    def __enter__(self) -> Stream:
        self._stack.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.pop()

    def use(self) -> Stream:
        self._stack[-1:] = [self]
        return self

    def record(self, event: Any = None) -> Any:
        return Event() if event is None else event

    def wait_event(self, event: Any) -> None:
        """Have what comes next in this stream wait for the event."""

    def synchronize(self) -> None:
        counted.counts.waits += 1


Stream.null = Stream(null=True)


def get_current_stream(device_id: int = -1) -> Stream:
    stream: Stream = Stream._stack[-1] if Stream._stack else Stream.null
    return stream


def alloc_pinned_memory(size: int) -> Any:
    """Return pinned memory (a bytearray, which NumPy's frombuffer takes as it does CuPy's)."""
    return bytearray(-(-size // 512) * 512)


class MemoryPointer:
    """A place in the memory of a device."""

    __module__ = "cupy.cuda"

    def __init__(self, mem: Any, offset: int) -> None:
        mem = getattr(mem, "block", mem)  # of `Memory`
        self.mem, self.offset = mem, offset
        self.ptr = mem.root.ctypes.data + offset
        self.device_id = mem.device


class Memory:
    """Memory of a device that belongs to no pool."""

    __module__ = "cupy.cuda"

    def __init__(self, size: int) -> None:
        try:
            self.block = Block(np.empty(size, np.uint8), here())
        except OutOfMemoryError:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory") from None


class MemoryPool:
    """Keeps memory that arrays have given back, and hands it out again.

    There is one for all: others count nothing.
    """

    __module__ = "cupy.cuda"

    def __init__(self, allocator: Any = None) -> None:
        self.allocator = allocator

    def malloc(self, size: int) -> MemoryPointer:
        if self.allocator is not None:
            found: MemoryPointer = self.allocator(size)
            return found
        return MemoryPointer(Block(np.empty(size, np.uint8), here()), 0)

    def used_bytes(self) -> int:
        return rooms[here()].used if self is _pool else 0

    def total_bytes(self) -> int:
        return rooms[here()].reserved if self is _pool else 0

    def free_bytes(self) -> int:
        return rooms[here()].reserved - rooms[here()].used

    def n_free_blocks(self) -> int:
        return int(self.free_bytes() > 0)

    def free_all_blocks(self, stream: Any = None) -> None:
        if self is _pool:
            rooms[here()].reserved = rooms[here()].used

    def set_limit(self, size: Any = None, fraction: Any = None) -> None:
        if self is not _pool:
            return
        if fraction is not None:
            size = int(fraction * rooms[here()].total)
        rooms[here()].limit = size or 0

    def get_limit(self) -> int:
        return rooms[here()].limit


class PinnedMemoryPool:
    """Keeps pinned memory that was given back."""

    __module__ = "cupy.cuda"

    def free_all_blocks(self) -> None:
        """Give it to the system."""

    def n_free_blocks(self) -> int:
        return 0


_pool, _pinned_pool = MemoryPool(), PinnedMemoryPool()


def get_default_memory_pool() -> MemoryPool:
    return _pool


def get_default_pinned_memory_pool() -> PinnedMemoryPool:
    return _pinned_pool


def alloc(size: int) -> MemoryPointer:
    return _pool.malloc(size)


class MemoryHook:
    """Is told of every allocation, between `with hook:`; here nobody tells it."""

    __module__ = "cupy.cuda"


def is_available() -> bool:
    return bool(rooms)


def get_device_id() -> int:
    return here()


# --- modules inside ----------------------------------------------------------------------------


class CUDARuntimeError(RuntimeError):
    """What CUDA's functions raise."""

    __module__ = "cupy_backends.cuda.api.runtime"


def _get_device_count() -> int:
    if not rooms:
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return len(rooms)


def _mem_get_info() -> tuple[int, int]:
    return Device().mem_info


def _get_device_properties(device: int) -> dict[str, Any]:
    return {
        "name": b"Stand-in",
        "totalGlobalMem": rooms[device].total,
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 1,
    }


def module(name: str, **names: Any) -> Any:
    """Return a module of these names."""
    made = types.ModuleType(name)
    vars(made).update(names)
    return made


runtime = module(
    "cupy.cuda.runtime",
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=_get_device_count,
    getDeviceProperties=_get_device_properties,
    memGetInfo=_mem_get_info,
    runtimeGetVersion=lambda: 12090,
    driverGetVersion=lambda: 13000,
    getDevice=here,
)
memory = module(
    "cupy.cuda.memory",
    OutOfMemoryError=OutOfMemoryError,
    MemoryPool=MemoryPool,
    MemoryPointer=MemoryPointer,
)
NAMES = """
    Device Event Stream Memory MemoryPointer MemoryPool PinnedMemoryPool MemoryHook
    alloc alloc_pinned_memory get_current_stream get_device_id is_available memory runtime
"""


def cuda() -> Any:
    """Return the module `cupy.cuda`."""
    here_now = vars(sys.modules[__name__])
    return module("cupy.cuda", **{name: here_now[name] for name in NAMES.split()})
