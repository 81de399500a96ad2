"""Memory of a GPU for recorded launches, which write to the same places again and again."""

from __future__ import annotations

import contextlib
import functools
import weakref
from typing import Any

__all__ = ["OwnPool", "own_bytes"]


class OwnPool:
    """A memory pool that never gives back what is free in it: recorded launches still write there.

    CuPy's pools do when they run short, so the one in here can't be told that it does. It goes
    back as a whole, when nobody has this object any more: arrays in it have to go before.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._pool = module.cuda.MemoryPool(functools.partial(_allocated, module))
        self._pool.set_limit(size=0)  # near a limit a pool gives back what is free in it, too
        _pools.add(self)
        # CuPy 14 never gives back what is free in a pool that is forgotten.
        weakref.finalize(self, _emptied, self._pool, module.cuda.Device()).atexit = False

    def used(self) -> contextlib.AbstractContextManager[None]:
        """Have arrays take their memory from here for a while."""
        there: contextlib.AbstractContextManager[None] = self._module.cuda.using_allocator(
            self._pool.malloc
        )
        return there

    def bytes(self) -> tuple[int, int]:
        """Return how many bytes of the device in use are used by arrays, and held here."""
        return self._pool.used_bytes(), self._pool.total_bytes()


_pools: weakref.WeakSet[OwnPool] = weakref.WeakSet()


def own_bytes() -> tuple[int, int]:
    """Return how many bytes all such pools have in use and held, on the device in use."""
    found = [pool.bytes() for pool in _pools]
    return sum(used for used, _ in found), sum(held for _, held in found)


def _emptied(pool: Any, device: Any) -> None:
    with device:
        pool.free_all_blocks()


def _allocated(module: Any, size: int) -> Any:
    """Return new memory; where there is none, after what other arrays have left is given back."""
    cuda = module.cuda
    try:
        return cuda.MemoryPointer(cuda.Memory(size), 0)
    except cuda.runtime.CUDARuntimeError:
        module.get_default_memory_pool().free_all_blocks()
    try:
        return cuda.MemoryPointer(cuda.Memory(size), 0)
    except cuda.runtime.CUDARuntimeError as error:
        raise MemoryError(f"no {size:,} bytes for recording a step: {error}") from None
