"""Convolution and its gradients, compiled: each one call of a kernel of `blocks`, for one block."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from ...backend import Array
from ...buffers import new_array
from ..sweep import Sweep
from . import blocks
from .product import product_time
from .table import COLUMN, as_table, block, numbers_between, numbers_of_totals, offsets
from .team import parts, share

__all__ = ["correlate", "correlate_and_pool", "spread", "weight_gradient"]


def correlate(a: Array, w: Array, sweep: Sweep, bias: Array | None = None) -> Array:
    """Take the product of the weight with what the window sees at every position, plus a bias.

    Parameters
    ----------
    a
        Of shape (N, H, W, C) or (N, L, C).
    w
        Of shape (KH, KW, C, outputs) or (K, C, outputs).
    sweep
        How the window moves.
    bias
        Of shape (outputs,), or None.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.conv import correlate
    >>> from minnet.ops.sweep import Sweep
    >>> x, weight = np.arange(4.0).reshape(1, 4, 1), np.ones((2, 1, 1))
    >>> correlate(x, weight, Sweep.over(x.shape, 2, 1, 0))[0, :, 0]
    array([1., 3., 5.])
    """
    y = new_array((len(a), *sweep.positions, w.shape[-1]), a.dtype)
    arrays = {"x": a, "weight": w, "y": y}
    _run(blocks.forward, sweep, arrays if bias is None else arrays | {"bias": bias})
    return y


def correlate_and_pool(
    a: Array, w: Array, sweep: Sweep, bias: Array | None, pool: Sweep, is_ramp: bool = False
) -> tuple[Array, Array]:
    """Return the largest of what `correlate` gives in each window of a sweep over it, and which.

    With `is_ramp` it is 0 where none is larger.
    """
    y = new_array((len(a), *pool.positions, w.shape[-1]), a.dtype)
    winner = new_array(y.shape, np.uint8)
    arrays = {"x": a, "weight": w, "y": y, "winner": winner}
    given = arrays if bias is None else arrays | {"bias": bias}
    _run(blocks.forward, sweep, given, pool, is_ramp)
    return y, winner


def weight_gradient(a: Array, g: Array, sweep: Sweep) -> Array:
    """Return the weight's gradient, from the input and the gradient at the output."""
    shape = *sweep.window, a.shape[-1], g.shape[-1]
    w = np.empty(shape, a.dtype)
    totals = _run(blocks.back, sweep, {"x": a, "by_y": g, "y": g, "by_weight": w})
    found: Array = totals[:, : w.size].sum(axis=0, out=w.reshape(-1))
    return found.reshape(shape)


def spread(g: Array, w: Array, sweep: Sweep) -> Array:
    """Return the input's gradient: each position adds its multiple of the weight around it."""
    x = new_array(sweep.shape, g.dtype)
    turned = np.ascontiguousarray(w.reshape(-1, w.shape[-1]).T)
    _run(blocks.back, sweep, {"by_y": g, "y": g, "by_x": x, "turned": turned})
    return x


def _run(
    kernel: Callable[..., None],
    sweep: Sweep,
    arrays: dict[str, Array],
    pool: Sweep | None = None,
    is_ramp: bool = False,
) -> Array:
    """Have a kernel work on arrays, by their names in `table.PLACES`; return the parts' totals."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    y = arrays["y"]
    known, _ = _known(sweep, y.shape[-1], pool, is_ramp)
    row, taps = known.copy(), int(known[0, COLUMN["taps"]])
    for name, array in arrays.items():
        row[0, COLUMN[name]] = array.ctypes.data
    work = product_time(sweep.count, y.shape[-1], taps)
    count = min(len(y), parts(work))
    one = as_table(row)
    totals = np.empty((count, numbers_of_totals(one[0])), y.dtype)
    row[0, COLUMN["totals"]] = totals.ctypes.data
    between = new_array((count, numbers_between(one[0])), y.dtype)
    share(count, kernel, one, between)
    return totals


@functools.lru_cache(maxsize=256)
def _known(sweep: Sweep, outputs: int, pool: Sweep | None, is_ramp: bool) -> tuple[Array, Array]:
    """Return what is known of a block before its arrays are, and its offsets."""
    images = sweep.of_images()
    positions = sweep.positions if pool is None else pool.positions
    shape = sweep.shape[0], math.prod(positions) * outputs
    there = offsets(images, outputs)
    found = block(images, outputs, pool, is_ramp, shape) | {"offsets": there.ctypes.data}
    return np.array([list(found.values())], np.int64), there
