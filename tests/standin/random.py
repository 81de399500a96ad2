"""The stand-in's `cupy.random`: generators, whose numbers are made on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import made, ndarray
from .counts import launch


class XORWOW:
    """What a generator takes its bits from."""

    __module__ = "cupy.random"

    def __init__(self, seed: Any = None, *, size: int = -1) -> None:
        self._bits = np.random.PCG64(seed)


class Philox4x3210(XORWOW):
    """Another one, counter-based."""

    __module__ = "cupy.random"


class MRG32k3a(XORWOW):
    """Yet another."""

    __module__ = "cupy.random"


class Generator:
    """Draws arrays of random numbers."""

    __module__ = "cupy.random"

    def __init__(self, bit_generator: XORWOW) -> None:
        self.bit_generator = bit_generator
        self._numpys = np.random.Generator(bit_generator._bits)

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        launch("random")
        found = self._numpys.random(size, np.dtype(dtype).type)
        if out is not None:
            out._host[...] = found
            return out
        return made(np.asarray(found, dtype))

    def integers(
        self,
        low: Any,
        high: Any = None,
        size: Any = None,
        dtype: Any = np.int64,
        endpoint: bool = False,
    ) -> ndarray:
        launch("integers")
        return made(np.asarray(self._numpys.integers(low, high, size, dtype, endpoint)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        launch("standard_normal")
        return made(np.asarray(self._numpys.standard_normal(size, np.dtype(dtype).type)))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None, dtype: Any = float) -> Any:
        launch("uniform")
        return made(np.asarray(self._numpys.uniform(low, high, size), dtype))


def default_rng(seed: Any = None) -> Generator:
    return Generator(XORWOW(seed))


NAMES = "XORWOW Philox4x3210 MRG32k3a Generator default_rng"
