"""Aside: a stream with memory of its own, where passes are recorded as CUDA graphs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..backend.pool import OwnPool
from ..ops import gpu

__all__ = ["Aside"]

Result = TypeVar("Result")


class Aside:
    """Where passes are recorded.

    All recordings share the memory that they only need while they run: they never run at the
    same time. What they give has memory that nothing else gets as long as it is kept.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._pool = OwnPool(module)
        self._stream = module.cuda.Stream(non_blocking=True)
        with self._inside():
            self._blas = gpu.product.Blas(module, self._stream)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        with self._pool.used(), self._stream:
            yield

    def run(self, work: Callable[[], Result]) -> Result:
        """Do the work here, after what was begun elsewhere, and wait for it."""
        self._stream.wait_event(self._module.cuda.get_current_stream().record())
        with self._inside():
            found = work()
            self._stream.synchronize()
        return found

    def record(self, work: Callable[[], Result]) -> tuple[Any, Result]:
        """Return the work as a graph to be launched, and where what it finds will be."""
        with self._blas.used():
            # Once for real: what has to be looked up, loaded or allocated isn't while recording.
            self.run(work)
            with self._inside():
                self._stream.begin_capture()
                try:
                    found = work()
                finally:
                    graph = self._stream.end_capture()
        return graph, found
