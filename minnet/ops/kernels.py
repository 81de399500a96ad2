"""Kernels that several families of ops share."""

from __future__ import annotations

import math

from ..backend import Array, array_module
from . import gpu

__all__ = ["sum_of_rows"]


def sum_of_rows(a: Array) -> Array:
    """Sum over all axes but the last; a product with ones is several times as fast as `sum`."""
    if gpu.takes(a):
        return gpu.norm.sum_of_rows(a)  # type: ignore[no-any-return]
    rows = math.prod(a.shape[:-1])
    total: Array = array_module(a).ones(rows, dtype=a.dtype) @ a.reshape(rows, a.shape[-1])
    return total
