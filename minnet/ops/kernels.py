"""Kernels that several families of ops share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Array, array_module
from . import gpu

__all__ = ["product", "sum_of_rows"]


def product(a: Array, b: Array) -> Any:
    """Return the product of two matrices."""
    if isinstance(a, np.ndarray):
        return a.dot(b)  # for two matrices the same as @, and quicker where they are small
    return gpu.product.dot(a, b)


def sum_of_rows(a: Array) -> Array:
    """Sum over all axes but the last; a product with ones is several times as fast as `sum`."""
    if gpu.takes(a):
        return gpu.norm.sum_of_rows(a)  # type: ignore[no-any-return]
    rows = math.prod(a.shape[:-1])
    total: Array = array_module(a).ones(rows, dtype=a.dtype) @ a.reshape(rows, a.shape[-1])
    return total
