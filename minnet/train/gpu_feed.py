"""Batches for a GPU: data that fits is moved there once, other data while the GPU works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import ops
from ..backend import Array, device_of, is_array, move
from ..backend.devices import cupy
from ..data import ArraySource, Source
from ..errors import DataError, DeviceError
from ..net import Net
from .features import FeatureCache
from .feed import Batch, Feed, encoded
from .frozen import Bottom
from .objective import Objective
from .staging import Staging

__all__ = ["GpuFeed", "brought", "check_places", "make_feed"]

# The share of the memory that is free that data may take; the rest is for training.
SHARE = 0.5
# Bytes to encode and move at a time.
CHUNK = 1 << 24


def make_feed(
    source: Source,
    net: Net,
    objective: Objective,
    keep_bytes: float = 0.0,
    rows: Array | None = None,
    device: str = "cpu",
) -> Feed:
    """Return the `Feed` of batches for a device."""
    check_places(source, device)
    if device == "cpu":
        return Feed(source, net, objective, keep_bytes, rows)
    return GpuFeed(source, net, objective, keep_bytes, rows, device)


def brought(batch: Any, device: str) -> Any:
    """Return a batch that training takes, on its device; by port if there are several.

    Raises
    ------
    DeviceError
        If it is on yet another device: only the host's arrays are brought to a GPU.
    """
    if device == "cpu" and isinstance(batch, np.ndarray):
        return batch  # at once: every small step comes by here
    if isinstance(batch, Mapping):
        return {port: brought(part, device) for port, part in batch.items()}
    _check_place(batch, device)
    return move(batch, device)


def check_places(source: Source, device: str) -> None:
    """Raise a DeviceError if data can't be brought to a device."""
    for array in source.inputs.values() if isinstance(source, ArraySource) else ():
        _check_place(array, device)


def _check_place(array: Any, device: str) -> None:
    here = device_of(array)
    if is_array(array) and here not in ("cpu", device):
        raise DeviceError(
            f"the data is on the {here}, what is trained or measured with it on the {device}: "
            f"net.to({here!r}) or minnet.backend.move(x, {device!r}) brings both to one device"
        )


class GpuFeed(Feed):
    """Gives the batches of each round on a GPU.

    Inputs are encoded once and moved to the GPU as a whole, where they fit beside what
    training needs; a batch is then picked there. Otherwise batches are encoded on the host
    and moved through pinned memory while the GPU works on the one before.
    """

    def __init__(
        self,
        source: Source,
        net: Net,
        objective: Objective,
        keep_bytes: float,
        rows: Array | None,
        device: str,
    ) -> None:
        super().__init__(source, net, objective, keep_bytes, rows)
        self.device, self.module = device, cupy(device)
        self._inputs: dict[str, Array] | None = None
        self._wanted: dict[str, Array] = {}
        self._fits = isinstance(source, ArraySource)

    def batches(
        self, bottom: Bottom, batch_size: int, random: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """Yield the batches of a round, in an order drawn from `random` if it is given."""
        if not isinstance(self.source, ArraySource):
            stream = ((x, y, partial(_nothing)) for x, y in self._encoded_stream())
            yield from self._staged(stream, bottom)
            return
        if self.cache is None or not self.cache.is_of(bottom):
            self.cache = FeatureCache(bottom, len(self.source), self.keep_bytes, self.passes)
        if self._fits and self._inputs is None:
            self._move_all()
        positions = self._positions(batch_size, random)
        if self._fits:
            yield from self._picked(list(positions), random is None)
        elif self.cache.limit:
            yield from self._from_features(positions)
        else:
            read = ((self._read(p), self._targets(p), partial(self._there, p)) for p in positions)
            yield from self._staged(read, bottom)

    def forget(self) -> None:
        """Let go of everything that is kept on the GPU."""
        super().forget()
        self._inputs, self._wanted = None, {}

    # --- data that is on the GPU as a whole -------------------------------------------------

    def _picked(self, positions: list[Array], in_order: bool) -> Iterator[Batch]:
        """Yield batches picked on the GPU; their positions are moved there once a round."""
        whole = None if in_order else self.module.asarray(np.concatenate(positions))
        start = 0
        for part in positions:
            span = slice(start, start + len(part))
            there = span if whole is None else whole[span]
            start += len(part)

            def read(wanted: Array, part: Array = part, there: Any = there) -> Any:
                return self._pick_there(wanted, there if len(wanted) == len(part) else None)

            features = self.cache(part, read, there)  # type: ignore[misc]
            targets = _unwrapped({port: rows[there] for port, rows in self._wanted.items()})
            yield Batch(features, targets, partial(self._pick_there, part))

    def _pick_there(self, positions: Array, there: Any = None) -> Any:
        """Return the inputs at some positions, which the GPU may have already."""
        assert self._inputs is not None
        index = _index(positions, self.module) if there is None else there
        return _unwrapped({port: rows[index] for port, rows in self._inputs.items()})

    def _move_all(self) -> None:
        """Move all inputs and targets to the GPU, if they fit."""
        first = np.arange(1)
        sizes = {**_by_port(self._read(first)), **_by_port(self._targets(first), "targets of ")}
        each = sum(part.nbytes for part in sizes.values())
        free = self.module.cuda.Device().mem_info[0]
        free += self.module.get_default_memory_pool().free_bytes()
        count = len(self.source)  # type: ignore[arg-type]
        self._fits = each * count <= SHARE * free
        if not self._fits:
            return
        step = max(1, CHUNK // max(each, 1))
        try:
            self._inputs = self._whole(self._read, count, step)
            self._wanted = self._whole(self._targets, count, step)
        except MemoryError:  # others use the GPU, too
            self._inputs, self._wanted, self._fits = None, {}, False

    def _whole(self, read: Callable[[Array], Any], count: int, step: int) -> dict[str, Array]:
        """Return what `read` gives for all examples, on the GPU."""
        whole: dict[str, Array] = {}
        for start in range(0, count, step):
            positions = np.arange(start, min(start + step, count))
            for port, part in _by_port(read(positions)).items():
                if port not in whole:
                    whole[port] = self.module.empty((count, *part.shape[1:]), part.dtype)
                whole[port][start : start + len(part)] = brought(part, self.device)
        return whole

    # --- data that doesn't fit ----------------------------------------------------------------

    def _staged(self, batches: Iterator[tuple[Any, Any, Any]], bottom: Bottom) -> Iterator[Batch]:
        """Yield batches that are moved to the GPU while it works on those before."""
        staging = Staging(self.module)
        for (inputs, targets), again in staging.moved(((x, y), again) for x, y, again in batches):
            yield Batch(bottom(inputs), targets, again)

    def _encoded_stream(self) -> Iterator[tuple[Any, Any]]:
        for _, x, y in self.source.batches(0, None):
            yield encoded(self.net, x), self._checked(self.objective.targets(self.net, y))

    def _from_features(self, positions: Iterator[Array]) -> Iterator[Batch]:
        """Yield batches of the frozen bottom's outputs, which may fit where its inputs don't."""
        for part in positions:
            there = _index(part, self.module)
            features = self.cache(part, self._there, there)  # type: ignore[misc]
            yield Batch(
                features, brought(self._targets(part), self.device), partial(self._there, part)
            )

    def _there(self, positions: Array) -> Any:
        """Return the inputs at some positions, read and moved now."""
        return brought(self._read(positions), self.device)

    # --- targets --------------------------------------------------------------------------------

    def _targets(self, positions: Array) -> Any:
        return self._checked(super()._targets(positions))

    def _checked(self, targets: Any) -> Any:
        """Check on the host what a loss on the GPU would have to wait for."""
        for port, goal in self.objective.goals.items():
            part = targets[port] if isinstance(targets, Mapping) else targets
            is_outside = part.dtype.kind == "f" and not ((part >= 0) & (part <= 1)).all()
            if goal.function is ops.binary_cross_entropy and is_outside:
                raise DataError("binary_cross_entropy expects targets between 0 and 1, got others")
        return targets


def _nothing() -> None:
    """Give no inputs: those of a stream are gone."""


def _index(positions: Array, module: Any) -> Any:
    """Return positions that the host has for picking on the GPU."""
    ends = positions[0], positions[-1]
    if ends[1] - ends[0] + 1 == len(positions) and (np.diff(positions) == 1).all():
        return slice(int(ends[0]), int(ends[1]) + 1)
    return module.asarray(positions)


def _by_port(batch: Any, prefix: str = "") -> dict[str, Array]:
    parts = batch if isinstance(batch, Mapping) else {"": batch}
    return {prefix + port: part for port, part in parts.items()}


def _unwrapped(parts: dict[str, Array]) -> Any:
    return parts.get("", parts)
