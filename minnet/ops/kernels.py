"""Kernels that several families of ops share."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..buffers import new_array
from ..threads import sharers
from . import compiled, gpu

__all__ = ["product", "product_into", "sum_of_rows"]

# Products of at least so many multiplications may be shared among threads.
MANY = 1 << 20


def product(a: Array, b: Array) -> Any:
    """Return the product of two matrices."""
    if isinstance(a, np.ndarray):
        if sharers() > 1 and a.size * b.shape[1] >= MANY and compiled.takes(a, b):
            return product_into(a, b, new_array((a.shape[0], b.shape[1]), a.dtype))
        return a.dot(b)  # for two matrices the same as @, and quicker where they are small
    return gpu.product.dot(a, b)


def product_into(a: Array, b: Array, out: Array) -> Array:
    """Write the product of two matrices on the CPU, which threads may share, and return it."""
    if compiled.takes(out, a, b):
        compiled.product.multiplied(a, b, out)
    else:
        a.dot(b, out)
    return out


def sum_of_rows(a: Array) -> Array:
    """Sum over all axes but the last; a product with ones is several times as fast as `sum`."""
    if gpu.takes(a):
        return gpu.norm.sum_of_rows(a)  # type: ignore[no-any-return]
    rows = math.prod(a.shape[:-1])
    if isinstance(a, np.ndarray):
        ones = _ones(rows, a.dtype) if rows < MANY >> 4 else np.ones(rows, a.dtype)
        sums: Array = ones.dot(a.reshape(rows, a.shape[-1]))
        return sums
    total: Array = array_module(a).ones(rows, dtype=a.dtype) @ a.reshape(rows, a.shape[-1])
    return total


@functools.lru_cache(maxsize=16)
def _ones(count: int, dtype: np.dtype[Any]) -> Array:
    return np.ones(count, dtype)
