"""Dividing a batch among threads, each of which takes some of its examples through a net."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..autodiff import value
from ..backend import array_module, device_of
from ..buffers import Buffers
from ..errors import MinnetError
from ..layers import (
    Add,
    BatchNorm,
    Constant,
    Conv,
    Deconv,
    Flatten,
    GlobalMeanPool,
    Linear,
    MaxPool,
    Ramp,
    Softmax,
)
from ..layers.base import Layer, walk
from ..layers.shape import Passed
from ..ops import compiled
from ..threads import available_threads, divided, in_parts, sharing
from .structure import Structure

__all__ = ["Hands", "Work", "count_of", "is_on_host", "join", "multiplications", "part_of"]

Result = TypeVar("Result")

# Threads with fewer microseconds of work than this spend them on waiting for Python's lock:
# between two calls of NumPy only one of them can run.
LEAST = 4500
# From so many microseconds of work on compiled kernels share theirs among threads.
FOR_TEAM = 40
# What a multiplication by a weight takes, in microseconds on a common processor.
MULTIPLICATION = 3e-5
# Examples at a time for each thread, where that is free: what comes out of a convolution is
# large, and soonest done where it fits the cache.
AT_A_TIME = 128

# Besides Conv, the layers whose work compiled kernels share, or that have little.
WITH_KERNELS = Add, BatchNorm, Flatten, GlobalMeanPool, Linear, MaxPool, Passed, Ramp, Softmax

_NOTHING = nullcontext()


class Division(NamedTuple):
    """How threads share the work on a batch.

    Parameters
    ----------
    parts
        The examples that each thread takes.
    inside
        Among how many threads the work inside of large ops is divided.
    """

    parts: list[slice]
    inside: int


class Hands:
    """The threads that share the work on batches, and the memory that each of them works in.

    Parameters
    ----------
    threads
        How many at most; as many as BLAS uses when left out.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._buffers = Buffers()
        self._are_busy = False  # whether they have shared any work yet

    @property
    def threads(self) -> int:
        """How many there are at most."""
        return available_threads() if self._threads is None else self._threads

    def divide(self, batch: Any, work: Work) -> Division:
        """Return how the threads share the work on a batch.

        Nets without convolutions are mostly products of large matrices, which are better
        shared themselves; so are those of layers whose work compiled kernels share.
        """
        count = count_of(batch)
        time, most = count * work.of(batch), self.threads
        has_team = time >= FOR_TEAM and most > 1 and compiled.reason_not() is None
        is_divided = work.is_convolutional and not (has_team and work.is_of_kernels)
        parts = min(count, int(time / LEAST)) if is_divided else 1
        threads = min(parts, most) if parts > 1 else 1
        self._are_busy = self._are_busy or threads > 1 or has_team
        if work.is_independent and threads > 1:
            return Division(divided(count, threads), 1)
        return Division([slice(0, count)], self._inside())

    def _inside(self) -> int:
        """Return among how many threads the work inside of large ops is divided.

        BLAS's threads, once begun, look for more work for a while and so get in the way of
        ours: where ours are at work in every step, what lies between is theirs as well.
        """
        return self.threads if self._are_busy else 1

    def inside(self, batch: Any, work: Work) -> AbstractContextManager[None]:
        """Have the large ops of work that is not divided shared by these threads."""
        self.divide(batch, work)
        return self.between()

    def between(self) -> AbstractContextManager[None]:
        """Have what is done between divided batches done by these threads as well."""
        return sharing(self.threads) if self._are_busy else _NOTHING

    def do(self, work: Callable[[int, slice], Result], division: Division) -> list[Result]:
        """Have `work(number, part)` done for each part, by a thread each."""
        parts, inside = division
        with self._buffers.used(), sharing(inside):
            return in_parts(lambda number: work(number, parts[number]), range(len(parts)))

    def alone(self, function: Callable[[Any], Result], batch: Any) -> Result:
        """Return what a function gives for a batch that one thread works on."""
        with self._buffers.used():
            return function(batch)

    @property
    def memory(self) -> int:
        """How many bytes they keep to work in."""
        return self._buffers.size

    def batch_size(self, work: Work) -> int:
        """Return how many examples to take at a time, where that is free."""
        return AT_A_TIME * self.threads if work.is_convolutional else 256

    def map(self, function: Callable[[Any], Any], batch: Any, work: Work) -> Any:
        """Return the outputs of a function for a batch, part by part where dividing is worth it."""
        division = self.divide(batch, work)
        return join(self.do(lambda _, part: function(part_of(batch, part)), division))


class Work:
    """How much work layers are, for telling whether and how threads should share it.

    Parameters
    ----------
    layers
        What examples go through, one after another.
    passes
        How many times the forward pass it is.
    is_independent
        Whether what comes of an example doesn't depend on the others in its batch.
    """

    def __init__(
        self, layers: Iterable[Layer], passes: int = 1, is_independent: bool = True
    ) -> None:
        self._layers, self._passes = list(layers), passes
        leaves = [leaf for layer in self._layers for _, leaf in walk(layer)]
        self.is_convolutional = any(isinstance(leaf, Conv | Deconv) for leaf in leaves)
        self.is_of_kernels = all(map(_shares_its_work, leaves))
        # A Constant gives one example for all, which would be there once for each part.
        self.is_independent = is_independent and not any(
            isinstance(leaf, Constant) for leaf in leaves
        )
        self._known: dict[Any, float] = {}

    def of(self, batch: Any) -> float:
        """Return how many microseconds a thread takes for an example; 0 on a GPU."""
        if type(batch) is np.ndarray and batch.shape[1:] in self._known:
            return self._known[batch.shape[1:]]  # at once: every step comes by here
        if not is_on_host(batch):
            return 0.0
        shape, key = _example_shape(batch)
        if key not in self._known:
            try:
                count = multiplications(self._layers, shape)
            except MinnetError:  # whatever is wrong, the net says so itself
                count = 0
            self._known[key] = count * self._passes * MULTIPLICATION
        return self._known[key]


def _shares_its_work(layer: Layer) -> bool:
    """Tell whether compiled kernels share the work of a layer, if it is much."""
    if isinstance(layer, Conv):
        return layer.groups == 1 and np.max(layer.dilation) == 1
    return isinstance(layer, WITH_KERNELS)


def multiplications(layers: Iterable[Layer], shape: Any) -> int:
    """Return how many multiplications by weights an example of this shape takes, about."""
    total = 0

    def run(key: Any, part: Layer, taken: Any) -> Any:
        nonlocal total
        if isinstance(part, Structure):
            return part._flow(taken, run)
        given = part.output_shape(taken)
        weight = part.arrays_here.get("weight")
        if weight is not None and not part.wants_integers:  # an Embedding only looks up
            total += weight.size * math.prod(given[:-1])
        return given

    for layer in layers:
        shape = run((), layer, shape)
    return total


def _example_shape(batch: Any) -> tuple[Any, Any]:
    """Return the shape of an example, by port where there are several, and a key for it."""
    if isinstance(batch, Mapping):
        shapes = {port: part.shape[1:] for port, part in batch.items()}
        return shapes, tuple(shapes.items())
    return batch.shape[1:], batch.shape[1:]


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
