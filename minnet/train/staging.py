"""Staging: moving batches to a GPU on a stream of its own, while the GPU works on those before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..backend import Array

__all__ = ["Staging"]

# One place is worked on while the other is filled.
PLACES = 2


class Place:
    """Memory for one batch: pinned, where the GPU can fetch it by itself, and on the GPU."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.filled = module.cuda.Event(disable_timing=True)
        self.used = module.cuda.Event(disable_timing=True)
        self.is_begun = False
        self._pinned: dict[Any, Array] = {}
        self._there: dict[Any, Array] = {}

    def put(self, key: Any, part: Array, stream: Any) -> Array:
        """Begin to move an array, and return it as it will be."""
        if key not in self._there or self._there[key].nbytes < part.nbytes:
            self._pinned[key] = self._pinned_bytes(part.nbytes)
            self._there[key] = self.module.empty(part.nbytes, np.uint8)
            # What had this memory before may still be worked on.
            self.used.record(self.module.cuda.get_current_stream())
            stream.wait_event(self.used)
        here = np.ndarray(part.shape, part.dtype, self._pinned[key])
        here[...] = part
        size, memory = part.nbytes, self._there[key]
        there: Array = self.module.ndarray(part.shape, part.dtype, memory.data)
        if size:
            there.set(here, stream=stream)  # type: ignore[attr-defined]
        return there

    def _pinned_bytes(self, size: int) -> Array:
        memory = self.module.cuda.alloc_pinned_memory(max(size, 1))
        return np.frombuffer(memory, np.uint8, max(size, 1))


class Staging:
    """Moves batches by way of pinned memory, on a second stream.

    The stream fetches a batch while the GPU works on the one before; it waits for the GPU,
    and the GPU for it, but the host waits for neither (only for a place in pinned memory
    that was to be fetched two batches ago).
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.stream = module.cuda.Stream(non_blocking=True)
        self.places = [Place(module) for _ in range(PLACES)]

    def moved(self, batches: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """Yield batches on the GPU, each with what came with it.

        A batch is an array, or a tuple or dict of batches; it is valid until the next but
        one is asked for.
        """
        ahead = None
        try:
            for number, (batch, more) in enumerate(batches):
                place = self.places[number % PLACES]
                staged = place, self._begin(place, batch), more
                if ahead is not None:
                    yield self._ready(*ahead)
                    self._done(ahead[0])
                ahead = staged
            if ahead is not None:
                yield self._ready(*ahead)
                self._done(ahead[0])
        finally:
            self.stream.synchronize()  # before anything else gets the memory

    def _begin(self, place: Place, batch: Any) -> Any:
        """Begin to move a batch to a place."""
        if place.is_begun:
            if not place.filled.done:  # the pinned memory is to be written to again
                place.filled.synchronize()
            self.stream.wait_event(place.used)
        there = self._put(place, (), batch)
        place.filled.record(self.stream)
        place.is_begun = True
        return there

    def _put(self, place: Place, key: tuple[Any, ...], batch: Any) -> Any:
        if isinstance(batch, Mapping):
            return {port: self._put(place, (*key, port), part) for port, part in batch.items()}
        if isinstance(batch, tuple):
            return tuple(self._put(place, (*key, i), part) for i, part in enumerate(batch))
        if not isinstance(batch, np.ndarray):
            return batch  # it is there already
        return place.put(key, batch, self.stream)

    def _ready(self, place: Place, there: Any, more: Any) -> tuple[Any, Any]:
        """Return a batch for the GPU to work on once it has come."""
        self.module.cuda.get_current_stream().wait_event(place.filled)
        return there, more

    def _done(self, place: Place) -> None:
        """Say that all work on a batch has been given to the GPU."""
        place.used.record(self.module.cuda.get_current_stream())
