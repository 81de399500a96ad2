"""The outputs of the frozen bottom of a net, kept in memory or in a temporary file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..errors import MinnetWarning
from .frozen import Bottom
from .scratch import scratch_array

__all__ = ["FeatureCache", "Passes"]

# Fewer multiplications than this for each byte of output are done before a disk has read it.
# (A core does some 10 billion a second; a good disk reads 600 million bytes, spread over a file.)
FILE_PAYS = 16


def _silent(text: str) -> None:
    """Say nothing."""


@dataclass
class Passes:
    """What came of keeping features, for some data.

    Parameters
    ----------
    asked, computed
        How many examples the frozen bottom was asked for, and how many it computed.
    places
        Where features were kept: `"memory"`, `"file"`.
    say
        Told when it is known.
    """

    asked: int = 0
    computed: int = 0
    places: set[str] = field(default_factory=set)
    say: Callable[[str], None] = _silent


class FeatureCache:
    """The outputs of the frozen bottom for every example of some data, each computed once.

    Where they are kept is decided when the first batch shows how large they are.

    Parameters
    ----------
    bottom
        What computes them.
    count
        The number of examples.
    limit
        The largest size in bytes to keep in memory. What is larger goes into a temporary
        file, if that is quicker than computing it again and the disk has room. 0 keeps
        nothing.
    passes
        Where to count what it saves; only of a bottom that has arrays.
    """

    def __init__(self, bottom: Bottom, count: int, limit: float, passes: Passes) -> None:
        self.bottom, self.passes = bottom, passes
        self.limit = limit if bottom.is_costly else 0.0
        self.features: dict[str, Array] = {}
        self._is_missing = np.ones(count, bool)
        self._missing = count

    def is_of(self, bottom: Bottom) -> bool:
        """Tell whether these are the features that `bottom` gives."""
        return self.bottom is bottom or self.bottom.is_like(bottom)

    def __call__(self, positions: Array, read: Callable[[Array], Any], there: Any = None) -> Any:
        """Return the features of some examples; `read(positions)` gives their encoded inputs.

        `there` are the positions for picking where the features are, if not on the host.
        """
        if self.bottom.is_costly:
            self.passes.asked += positions.size
        if not self.limit:
            return self._compute(positions, read)
        if self._missing:
            wanted = positions[self._is_missing[positions]]
            if wanted.size:
                fresh = self._compute(wanted, read)
                if not self.features and not self._make_room(fresh, wanted, read):
                    return fresh  # nothing is kept, so all were wanted
                self._keep(wanted, fresh)
        if there is None:
            found = {port: array.take(positions, 0) for port, array in self.features.items()}
        else:
            found = {port: array[there] for port, array in self.features.items()}
        return found if len(found) > 1 else found[""]

    def _compute(self, positions: Array, read: Callable[[Array], Any]) -> Any:
        if self.bottom.is_costly:
            self.passes.computed += positions.size
        return self.bottom(read(positions))

    def _keep(self, positions: Array, fresh: Any) -> None:
        for port, part in _by_port(fresh).items():
            kept = self.features[port]
            kept[array_module(kept).asarray(positions)] = part
        self._is_missing[positions] = False
        self._missing -= len(positions)

    # --- where to ---------------------------------------------------------------------------

    def _make_room(self, fresh: Any, positions: Array, read: Callable[[Array], Any]) -> bool:
        """Make arrays for the features of all examples, given some; tell whether that was done."""
        parts = _by_port(fresh)
        each = sum(part.nbytes for part in parts.values()) // len(positions)
        size = each * len(self._is_missing)
        place = "memory" if size <= self.limit else "file"
        if place == "memory":
            self._allocate(parts, lambda part, shape: array_module(part).empty(shape, part.dtype))
        elif self._file_pays(parts, each, read(positions[:1])):
            try:
                self._allocate(parts, lambda part, shape: scratch_array(shape, part.dtype))
            except (OSError, OverflowError, ValueError) as error:  # too much for 32 bits, too
                warnings.warn(
                    f"no temporary file has room for the outputs of the frozen layers "
                    f"({_shown(size)}), which are now computed in every round: {error}",
                    MinnetWarning,
                    stacklevel=2,
                )
        if not self.features:
            self.limit = 0.0
            return False
        self.passes.places.add(place)
        self.passes.say(
            f"the frozen layers run once per example: their outputs ({_shown(size)}) are kept in "
            + ("memory" if place == "memory" else "a temporary file")
        )
        return True

    def _allocate(
        self, parts: Mapping[str, Array], make: Callable[[Array, tuple[int, ...]], Array]
    ) -> None:
        count = len(self._is_missing)
        self.features = {port: make(part, (count, *part.shape[1:])) for port, part in parts.items()}

    def _file_pays(self, parts: Mapping[str, Array], each: int, example: Any) -> bool:
        """Tell whether reading features from a disk is quicker than computing them."""
        if any(array_module(part) is not np for part in parts.values()):
            return False
        inputs = _by_port(example)
        shapes = {port: part.shape[1:] for port, part in inputs.items()}
        shape = shapes if isinstance(example, Mapping) else shapes[""]
        return self.bottom.multiplications(shape) >= FILE_PAYS * each


def _by_port(features: Any) -> Mapping[str, Array]:
    return features if isinstance(features, Mapping) else {"": features}


def _shown(size: float) -> str:
    """Return a size in bytes for people to read."""
    power = min(3, int(math.log10(max(size, 1))) // 3)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"
