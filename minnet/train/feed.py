"""The batches of a round: read, encoded, checked, and sent through the frozen bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..data import ArraySource, Source, check_finite
from ..data.ports import pick
from ..errors import DataError
from ..net import Net
from ..net.call import encode
from .features import FeatureCache, Passes
from .frozen import Bottom
from .objective import Objective

__all__ = ["Batch", "Feed", "encoded", "encoded_ports", "round_size"]

# How many examples at a time are looked through for NaN before the first round.
CHECKED = 256


class Batch(NamedTuple):
    """What a step takes.

    `features` are the outputs of the frozen bottom, `inputs` gives what went into it,
    for finding out where something went wrong.
    """

    features: Any
    targets: Any
    inputs: Callable[[], Any]


def encoded_ports(net: Net) -> set[str]:
    """Return the inputs that take something else than arrays of numbers."""
    return {port for port, end in net._ends().items() if hasattr(end, "encode")}


def encoded(net: Net, x: Any, rows: Array | None = None, check: bool = True) -> Any:
    """Return a batch of inputs as the first layer takes them, by port if there are several.

    With `check`, raises a DataError that names the first example with NaN or infinity in
    it; `rows` are the examples' positions in the data.
    """
    ports = net.input_names
    if len(ports) == 1:
        array = encode(net, x, ports[0])
        if check:
            check_finite(array, "the inputs", rows)
        return array
    if not (isinstance(x, Mapping) and set(x) == set(ports)):
        raise DataError(f"expected a dict with the inputs {', '.join(ports)}")
    arrays = {port: encode(net, x[port], port) for port in ports}
    if check:
        for port, array in arrays.items():
            check_finite(array, f"input {port!r}", rows)
    return arrays


def round_size(count: int, batch_size: int) -> int:
    """Return how many batches make a round."""
    return len(_starts(count, batch_size))


def _starts(count: int, batch_size: int) -> range:
    """Return where the batches of a round begin.

    A single example left over at the end joins the batch before it: BatchNorm, for one,
    can't be trained on it alone.
    """
    left_over = count > batch_size > 1 and count % batch_size == 1
    return range(0, count - left_over, batch_size)


class Feed:
    """Gives the batches of each round, and computes once what stays the same in all of them.

    Parameters
    ----------
    source
        The data.
    net
        The net, for its encoder and decoder.
    objective
        What targets it takes.
    keep_bytes
        How much memory the features kept from round to round may take, before they go
        into a file; 0 keeps none.
    rows
        The positions of the source's examples in the data that the user gave, for
        messages; None if they are the same.
    """

    def __init__(
        self,
        source: Source,
        net: Net,
        objective: Objective,
        keep_bytes: float = 0.0,
        rows: Array | None = None,
    ) -> None:
        self.source, self.net, self.objective = source, net, objective
        self.keep_bytes, self.rows = keep_bytes, rows
        self.cache: FeatureCache | None = None
        self.passes = Passes()
        self.targets: Array | None = None  # of all examples, where that is a number each
        self.is_checked = False
        if isinstance(source, ArraySource):
            self._look_through(source)

    def _look_through(self, source: ArraySource) -> None:
        """Find out now what is wrong with data in memory; the rest is checked as it is read."""
        outputs = list(source.outputs.values())
        if len(outputs) == 1 and _is_vector(outputs[0]):
            self.targets = self.objective.targets(self.net, source.y, self.rows)
        check_targets = self.targets is None and all(map(_in_memory, outputs))
        check_inputs = not encoded_ports(self.net) and all(map(_in_memory, source.inputs.values()))
        for positions in self._positions(CHECKED, None):
            if check_inputs:
                self._read(positions)
            if check_targets:
                self._targets(positions)
        self.is_checked = check_inputs

    def batches(
        self, bottom: Bottom, batch_size: int, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield the batches of a round, in an order drawn from `random` if it is given."""
        if not isinstance(self.source, ArraySource):
            yield from self._stream(bottom, batch_size)
            return
        if self.cache is None or not self.cache.is_of(bottom):
            self.cache = FeatureCache(bottom, len(self.source), self.keep_bytes, self.passes)
        for positions in self._positions(batch_size, random):
            features = self.cache(positions, self._read)
            yield Batch(features, self._targets(positions), partial(self._read, positions))

    def forget(self) -> None:
        """Let go of the features that were kept, and of the file that they may be in."""
        self.cache = None

    def _positions(self, batch_size: int, random: np.random.Generator | None) -> Iterator[Array]:
        """Yield the positions in the source of each batch of a round."""
        count = len(self.source)  # type: ignore[arg-type]
        order = np.arange(count) if random is None else random.permutation(count)
        starts = _starts(count, batch_size)
        for start in starts:
            yield order[start:] if start == starts[-1] else order[start : start + batch_size]

    def _read(self, positions: Array) -> Any:
        """Return the encoded inputs at these positions."""
        x = self._pick(self.source.inputs, positions)  # type: ignore[union-attr]
        return encoded(self.net, x, self._rows(positions), check=not self.is_checked)

    def _targets(self, positions: Array) -> Any:
        if self.targets is not None:
            return self.targets[positions]
        y = self._pick(self.source.outputs, positions)  # type: ignore[union-attr]
        return self.objective.targets(self.net, y, self._rows(positions))

    def _pick(self, rows: Mapping[str, Any], positions: Array) -> Any:
        """Return what one side of the source has at these positions; the other isn't read."""
        below = self.source.indices  # type: ignore[union-attr]
        return pick(rows, positions if below is None else below[positions])

    def _rows(self, positions: Array) -> Array:
        return positions if self.rows is None else self.rows[positions]

    def _stream(self, bottom: Bottom, batch_size: int) -> Iterator[Batch]:
        for _, x, y in self.source.batches(batch_size, None):
            inputs = encoded(self.net, x)
            targets = self.objective.targets(self.net, y)
            yield Batch(bottom(inputs), targets, partial(lambda x: x, inputs))


def _is_vector(rows: Any) -> bool:
    """Tell whether there is one number or label for each example."""
    return len(getattr(rows, "shape", ())) == 1


def _in_memory(rows: Any) -> bool:
    return isinstance(rows, np.ndarray) and not isinstance(rows, np.memmap)
