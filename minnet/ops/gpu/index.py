"""Gradients of picking on a GPU: what was picked several times is added up, always in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array, Shape, array_module, is_array
from .launch import Kernel, length

__all__ = ["scatter"]

# A key is which row was picked, times how many were picked, plus the number of the pick: sorted
# they have the picks of a row side by side, in their order. The first one's thread adds them up.
ADD_UP = Kernel(
    "add_up",
    """
extern "C" __global__ void add_up(
    const T* g, const int64* keys, T* total, int64 picks, int64 width, int64 count
) {
    Index i = AT;
    if (i >= count) return;
    int64 k = i / width, c = i % width, row = keys[k] / picks;
    if (k > 0 && keys[k - 1] / picks == row) return;
    Real sum = 0;
    for (; k < picks && keys[k] / picks == row; k++)
        sum += (Real)g[keys[k] % picks * width + c];
    total[row * width + c] = (T)sum;
}
""",
)


def scatter(g: Array, index: Any, shape: Shape) -> Array:
    """Return zeros of a shape, with `g` added up where `index` had picked it."""
    xp = array_module(g)
    total: Array = xp.zeros(shape, g.dtype)
    if g.size:
        rows = _rows(index, shape, xp)
        picks = rows.size
        keys = xp.sort(rows * picks + xp.arange(picks))
        sizes = length(picks), length(g.size // picks), length(g.size)
        ADD_UP.over(g, g.size, xp.ascontiguousarray(g), keys, total, *sizes)
    return total


def _rows(index: Any, shape: Shape, xp: Any) -> Array:
    """Return the numbers of the rows that were picked, or of single elements, counted flat."""
    if is_array(index) and index.dtype.kind in "iu":
        rows: Array = xp.asarray(index).reshape(-1).astype(np.int64)
        return xp.where(rows < 0, rows + shape[0], rows)  # type: ignore[no-any-return]
    numbers = xp.arange(math.prod(shape)).reshape(shape)
    return numbers[index].reshape(-1)  # type: ignore[no-any-return]
