"""Dividing a batch among threads, each of which takes some of its examples through a net."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..autodiff import value
from ..backend import array_module, device_of
from ..buffers import Buffers
from ..layers import Constant, Conv, Deconv
from ..layers.base import Layer, walk
from ..threads import available_threads, in_parts

__all__ = ["Hands", "count_of", "is_on_host", "is_worth_dividing", "join", "part_of"]

Result = TypeVar("Result")

# Threads with fewer examples than this spend their time on waiting for Python's lock: between
# two calls of NumPy only one of them can run.
LEAST = 64


class Hands:
    """The threads that share the work on batches, and the memory that each of them works in.

    Parameters
    ----------
    threads
        How many at most; as many as BLAS uses when left out. They share the work on nets
        with convolutions: others are mostly products of large matrices, which BLAS
        divides better.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._buffers = [Buffers()]

    @property
    def threads(self) -> int:
        """How many there are at most."""
        if self._threads is None:
            self._threads = available_threads()
        return self._threads

    def divide(self, count: int, is_worth_it: bool) -> list[slice]:
        """Return which of so many examples each thread takes: all about as many."""
        parts = count // LEAST
        parts = min(parts, self.threads) if parts > 1 and is_worth_it else 1
        self._buffers += [Buffers() for _ in range(parts - len(self._buffers))]
        edges = [count * part // parts for part in range(parts + 1)]
        return [slice(*ends) for ends in itertools.pairwise(edges)]

    def do(self, work: Callable[[int, slice], Result], parts: Sequence[slice]) -> list[Result]:
        """Have `work(number, part)` done for each part, by a thread each."""

        def one(number: int) -> Result:
            with self._buffers[number].used():
                return work(number, parts[number])

        return in_parts(one, range(len(parts)))

    def batch_size(self, is_worth_it: bool) -> int:
        """Return how many examples to take at a time, where that is free.

        What comes out of a convolution is large, and soonest done where it fits the cache.
        """
        return 2 * LEAST * self.threads if is_worth_it else 256

    def map(self, function: Callable[[Any], Any], batch: Any, is_worth_it: bool) -> Any:
        """Return the outputs of a function for a batch, part by part where dividing is worth it."""
        parts = self.divide(count_of(batch), is_worth_it and is_on_host(batch))
        return join(self.do(lambda _, part: function(part_of(batch, part)), parts))


def is_worth_dividing(layers: Iterable[Layer]) -> bool:
    """Tell whether threads should share the work of some layers on a batch."""
    leaves = [leaf for layer in layers for _, leaf in walk(layer)]
    # A Constant gives one example for all, which would be there once for each part.
    return any(isinstance(leaf, Conv | Deconv) for leaf in leaves) and not any(
        isinstance(leaf, Constant) for leaf in leaves
    )


def count_of(batch: Any) -> int:
    """Return the number of examples in a batch, or a dict of batches by port."""
    return len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch)


def is_on_host(batch: Any) -> bool:
    """Tell whether threads can share the work on a batch: a GPU divides it by itself."""
    first = next(iter(batch.values())) if isinstance(batch, Mapping) else batch
    return device_of(value(first)) == "cpu"


def part_of(batch: Any, part: slice) -> Any:
    """Return some examples of a batch, of every port where there are several."""
    if isinstance(batch, Mapping):
        return {port: rows[part] for port, rows in batch.items()}
    return batch if part == slice(0, len(batch)) else batch[part]


def join(parts: Sequence[Any]) -> Any:
    """Return the outputs of several batches as one, port by port where they are dicts."""
    if isinstance(parts[0], Mapping):
        return {port: join([part[port] for part in parts]) for port in parts[0]}
    return parts[0] if len(parts) == 1 else array_module(parts[0]).concatenate(parts)
