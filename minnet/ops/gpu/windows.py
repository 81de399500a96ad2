"""Convolution on a GPU: what the window sees gathered into a matrix, and matrix products.

`columns` gathers, padding included, and `fold` is its gradient: each element of the input
adds up, in a fixed order, what the windows it stands in send back. Both work on a tile of
images at a time, so that the matrix never takes more memory than `TILE`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

from ...backend import Array, array_module
from ..sweep import Sweep
from .launch import Kernel, length
from .product import dot, matmul

__all__ = ["correlate", "geometry", "spread", "weight_gradient"]

TILE = 1 << 27  # bytes

SIZES = (
    "HEIGHT", "WIDTH", "CHANNELS", "GROUP", "DOWN", "ACROSS", "KH", "KW",
    "STEP_H", "STEP_W", "APART_H", "APART_W", "EDGE_H", "EDGE_W",
)  # fmt: skip

COLUMNS = Kernel(
    "columns",
    """
extern "C" __global__ void columns(const T* x, T* rows, int64 count) {
    Index i = AT;
    if (i >= count) return;
    int group = blockIdx.y;
    Index rest = i;
    int c = rest % GROUP; rest /= GROUP;
    int kw = rest % KW; rest /= KW;
    int kh = rest % KH; rest /= KH;
    int w = rest % ACROSS; rest /= ACROSS;
    int h = rest % DOWN;
    Index n = rest / DOWN;
    h = h * STEP_H + kh * APART_H - EDGE_H;
    w = w * STEP_W + kw * APART_W - EDGE_W;
    bool inside = h >= 0 && h < HEIGHT && w >= 0 && w < WIDTH;
    T seen = (T)(Real)0;
    if (inside) seen = x[((n * HEIGHT + h) * WIDTH + w) * CHANNELS + group * GROUP + c];
    rows[group * count + i] = seen;
}
""",
    SIZES,
)

FOLD = Kernel(
    "fold",
    """
extern "C" __global__ void fold(const T* rows, T* x, int64 count, int64 in_group) {
    Index i = AT;
    if (i >= count) return;
    Index rest = i;
    int c = rest % CHANNELS; rest /= CHANNELS;
    int w = rest % WIDTH; rest /= WIDTH;
    int h = rest % HEIGHT;
    Index n = rest / HEIGHT;
    const T* mine = rows + c / GROUP * in_group;
    c %= GROUP;
    Real total = 0;
    for (int kh = 0; kh < KH; kh++) {
        int down = h + EDGE_H - kh * APART_H;
        if (down < 0 || down % STEP_H || down / STEP_H >= DOWN) continue;
        for (int kw = 0; kw < KW; kw++) {
            int across = w + EDGE_W - kw * APART_W;
            if (across < 0 || across % STEP_W || across / STEP_W >= ACROSS) continue;
            Index position = (n * DOWN + down / STEP_H) * ACROSS + across / STEP_W;
            total += (Real)mine[((position * KH + kh) * KW + kw) * GROUP + c];
        }
    }
    x[i] = (T)total;
}
""",
    SIZES,
)


@functools.lru_cache(maxsize=1024)
def geometry(sweep: Sweep) -> dict[str, int]:
    """Return the constants of a kernel for a sweep; a sequence is an image of height 1."""
    pairs = zip(
        sweep.shape[1:-1],
        sweep.positions,
        sweep.window,
        sweep.stride,
        sweep.dilation,
        (before for before, _ in sweep.edges),
        strict=True,
    )
    *before, last = pairs
    first = before[0] if before else (1, 1, 1, 1, 1, 0)
    (h, down, kh, sh, dh, eh), (w, across, kw, sw, dw, ew) = first, last
    channels = sweep.shape[-1]
    group = channels // sweep.groups
    sizes = h, w, channels, group, down, across, kh, kw, sh, sw, dh, dw, eh, ew
    return dict(zip(SIZES, sizes, strict=True))


# --- what conv is made of -----------------------------------------------------------------


def correlate(a: Array, w: Array, sweep: Sweep) -> Array:
    """Take the product of the weight with what the window sees at every position."""
    matrix = _by_group(w, sweep)
    y: Array = array_module(a).empty((len(a), *sweep.positions, w.shape[-1]), a.dtype)
    for tile in _tiles(sweep, a.itemsize):
        rows = _columns(a[tile], sweep)
        if sweep.groups == 1:
            dot(rows, matrix, y[tile].reshape(len(rows), -1))
        else:
            y[tile] = matmul(rows, matrix).swapaxes(0, 1).reshape(y[tile].shape)
    return y


def weight_gradient(a: Array, g: Array, sweep: Sweep) -> Array:
    """Return the weight's gradient, from the input and the gradient at the output."""
    total: Any = None
    for tile in _tiles(sweep, a.itemsize):
        rows = _columns(a[tile], sweep)
        part = matmul(rows.swapaxes(-1, -2), _by_group(g[tile], sweep))
        total = part if total is None else total + part
    shape = (*sweep.window, a.shape[-1] // sweep.groups, g.shape[-1])
    if total is None:  # no images
        total = array_module(a).zeros(shape, a.dtype)
    elif sweep.groups > 1:
        total = total.swapaxes(0, 1)
    return total.reshape(shape)  # type: ignore[no-any-return]


def spread(g: Array, w: Array, sweep: Sweep) -> Array:
    """Return the input's gradient: each position adds its multiple of the weight around it."""
    turned = _by_group(w, sweep).swapaxes(-1, -2)
    total = array_module(g).empty((len(g), *sweep.shape[1:]), g.dtype)
    for tile in _tiles(sweep, g.itemsize):
        at, part = _by_group(g[tile], sweep), total[tile]
        if _is_pointwise(sweep):
            dot(at, turned, part.reshape(len(at), -1))
        else:
            rows = matmul(at, turned)
            counts = length(part.size), length(rows.size // sweep.groups)
            FOLD.over(g, part.size, rows, part, *counts, **geometry(sweep))
    return total  # type: ignore[no-any-return]


def _columns(a: Array, sweep: Sweep) -> Array:
    """Gather what the window sees at every position: (M, K), in several groups (G, M, K)."""
    if _is_pointwise(sweep):
        return array_module(a).ascontiguousarray(a).reshape(-1, a.shape[-1])  # type: ignore[no-any-return]
    xp, groups = array_module(a), sweep.groups
    m = len(a) * math.prod(sweep.positions)
    k = math.prod(sweep.window) * a.shape[-1] // groups
    rows: Array = xp.empty((groups, m, k) if groups > 1 else (m, k), a.dtype)
    a = xp.ascontiguousarray(a)
    COLUMNS.over(a, m * k, a, rows, length(m * k), groups=groups, **geometry(sweep))
    return rows


def _by_group(g: Array, sweep: Sweep) -> Array:
    """Return what stands at the output's positions as (M, out), or as (G, M, out of a group).

    A weight likewise, whose rows are the K numbers in a window.
    """
    groups = sweep.groups
    if groups == 1:
        return g.reshape(-1, g.shape[-1])
    return g.reshape(-1, groups, g.shape[-1] // groups).swapaxes(0, 1)


def _is_pointwise(sweep: Sweep) -> bool:
    """Tell whether the matrix of what a window sees is the input itself."""
    ones = {*sweep.window, *sweep.stride, sweep.groups} == {1}
    return ones and not sweep.is_padded


def _tiles(sweep: Sweep, itemsize: int) -> Iterator[slice]:
    """Yield the images to work on at a time."""
    each = math.prod((*sweep.positions, *sweep.window, sweep.shape[-1])) * itemsize
    count = sweep.shape[0]
    images = count if _is_pointwise(sweep) else max(1, TILE // max(each, 1))
    return (slice(i, min(i + images, count)) for i in range(0, count, max(images, 1)))
