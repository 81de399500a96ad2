"""Pooling on a GPU: a thread for each position going forward, for each input element going back."""

from __future__ import annotations

import math
from typing import Any

from ...backend import Array, array_module
from ..sweep import Sweep
from .launch import Kernel, length
from .windows import SIZES, geometry

__all__ = ["largest", "mean", "send_to_winner", "share_out"]

POSITION = """
    Index i = AT;
    if (i >= count) return;
    Index rest = i;
    int c = rest % CHANNELS; rest /= CHANNELS;
    int w = rest % ACROSS; rest /= ACROSS;
    int h = rest % DOWN;
    Index n = rest / DOWN;
    h = h * STEP_H - EDGE_H;
    w = w * STEP_W - EDGE_W;
    int top = max(h, 0), bottom = min(h + (int)KH, (int)HEIGHT);
    int left = max(w, 0), right = min(w + (int)KW, (int)WIDTH);
    const T* image = x + n * HEIGHT * WIDTH * CHANNELS + c;
"""

# Of several largest the first wins, and what is not a number counts as the largest.
LARGEST = Kernel(
    "largest",
    f"""
extern "C" __global__ void largest(const T* x, T* y, Winner* winner, int64 count) {{
    {POSITION}
    Real most = log((Real)0);  // minus infinity
    int best = 0;
    for (int v = top; v < bottom; v++)
        for (int u = left; u < right; u++) {{
            Real seen = (Real)image[((Index)v * WIDTH + u) * CHANNELS];
            if (seen > most) {{
                most = seen;
                best = (v - h) * KW + u - w;
            }} else if (seen != seen) most = seen;
        }}
    y[i] = (T)most;
    if (winner) winner[i] = (Winner)best;
}}
""",
    SIZES,
    ("Winner",),
)

MEAN = Kernel(
    "mean",
    f"""
extern "C" __global__ void mean(const T* x, T* y, int64 count) {{
    {POSITION}
    Real total = 0;
    for (int v = top; v < bottom; v++)
        for (int u = left; u < right; u++)
            total += (Real)image[((Index)v * WIDTH + u) * CHANNELS];
    y[i] = (T)(total * (1 / (Real)((bottom - top) * (right - left))));
}}
""",
    SIZES,
)

# The positions whose window an element of the input stands in: `down` and `across` of them.
ELEMENT = """
    Index i = AT;
    if (i >= count) return;
    Index rest = i;
    int c = rest % CHANNELS; rest /= CHANNELS;
    int w = rest % WIDTH; rest /= WIDTH;
    int h = rest % HEIGHT;
    Index n = rest / HEIGHT;
    Real total = 0;
    for (int kh = 0; kh < KH; kh++) {
        int down = h + EDGE_H - kh;
        if (down < 0 || down % STEP_H || down / STEP_H >= DOWN) continue;
        down /= STEP_H;
        for (int kw = 0; kw < KW; kw++) {
            int across = w + EDGE_W - kw;
            if (across < 0 || across % STEP_W || across / STEP_W >= ACROSS) continue;
            across /= STEP_W;
            Index at = ((n * DOWN + down) * ACROSS + across) * CHANNELS + c;
"""

TO_WINNER = Kernel(
    "to_winner",
    f"""
extern "C" __global__ void to_winner(const T* g, const Winner* winner, T* x, int64 count) {{
    {ELEMENT}
            if (winner[at] == kh * KW + kw) total += (Real)g[at];
        }}
    }}
    x[i] = (T)total;
}}
""",
    SIZES,
    ("Winner",),
)

SHARE_OUT = Kernel(
    "share_out",
    f"""
extern "C" __global__ void share_out(const T* g, T* x, int64 count) {{
    {ELEMENT}
            int top = down * STEP_H - EDGE_H, left = across * STEP_W - EDGE_W;
            int high = min(top + (int)KH, (int)HEIGHT) - max(top, 0);
            int wide = min(left + (int)KW, (int)WIDTH) - max(left, 0);
            total += (Real)g[at] * (1 / (Real)(high * wide));
        }}
    }}
    x[i] = (T)total;
}}
""",
    SIZES,
)


def largest(a: Array, sweep: Sweep, with_winner: bool) -> tuple[Array, Any]:
    """Return the largest element in each window and, if wanted, which of the window it is."""
    xp = array_module(a)
    a = xp.ascontiguousarray(a)
    y = xp.empty((len(a), *sweep.positions, a.shape[-1]), a.dtype)
    winner = xp.empty(y.shape, _winner_dtype(sweep)[0]) if with_winner else None
    known: dict[str, Any] = {**geometry(sweep), "Winner": _winner_dtype(sweep)[1]}
    LARGEST.over(a, y.size, a, y, winner, length(y.size), **known)
    return y, winner


def send_to_winner(g: Array, winner: Array, sweep: Sweep) -> Array:
    """Send each gradient to the element its window's largest came from."""
    xp = array_module(g)
    x: Array = xp.empty(sweep.shape, g.dtype)
    known: dict[str, Any] = {**geometry(sweep), "Winner": _winner_dtype(sweep)[1]}
    TO_WINNER.over(g, x.size, xp.ascontiguousarray(g), winner, x, length(x.size), **known)
    return x


def mean(a: Array, sweep: Sweep) -> Array:
    """Return the mean of each window, without the padding."""
    xp = array_module(a)
    a = xp.ascontiguousarray(a)
    y: Array = xp.empty((len(a), *sweep.positions, a.shape[-1]), a.dtype)
    MEAN.over(a, y.size, a, y, length(y.size), **geometry(sweep))
    return y


def share_out(g: Array, sweep: Sweep) -> Array:
    """Send every element of a window the same part of its gradient."""
    xp = array_module(g)
    x: Array = xp.empty(sweep.shape, g.dtype)
    SHARE_OUT.over(g, x.size, xp.ascontiguousarray(g), x, length(x.size), **geometry(sweep))
    return x


def _winner_dtype(sweep: Sweep) -> tuple[str, str]:
    """Return what a number of an element of the window is kept as, for NumPy and for C."""
    return ("uint8", "byte") if math.prod(sweep.window) <= 256 else ("int32", "int")
