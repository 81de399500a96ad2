"""Pooling: the largest or the mean of what a sliding window sees, channel by channel.

Both go through the window element by element: each time all windows at once, in
long runs of memory, which is several times faster than going window by window.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff import Tensor, record
from ..backend import Array, array_module
from ..buffers import new_array
from ..errors import SpecError
from . import compiled, gpu
from .checks import Amount, array_of, floating
from .sweep import Sweep
from .windows import Padding, spatial_sizes

__all__ = ["max_pool", "mean_pool"]


def max_pool(x: Any, window: Amount, stride: Amount | None = None, padding: Padding = 0) -> Any:
    """Take the largest element that a sliding window sees, for each channel by itself.

    Of several largest elements the first (row by row) is the one the gradient goes to.

    Parameters
    ----------
    x
        Array or Tensor of shape (N, H, W, C) or (N, L, C).
    window
        The window's size: a number or one for each axis.
    stride
        How far the window moves; as far as it is large when left out.
    padding
        As in `conv`, but smaller than the window and with -inf, which is never the largest.

    Returns
    -------
    array or Tensor
        Of shape (N, OH, OW, C) or (N, OL, C); see `output_sizes`.

    Raises
    ------
    ShapeError
        If the input has too few axes, or the window is larger than the padded input.
    SpecError
        If a window could see nothing but padding.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)
    >>> mn.ops.max_pool(x, 2)[0, :, 0]
    array([5., 3.])
    """
    a = array_of(x)
    sweep = _pool_sweep("max_pool", a, window, stride, padding)
    if gpu.takes_windows(sweep, a):
        y, winner = gpu.pool.largest(a, sweep, isinstance(x, Tensor))
        return record(y, (x, lambda g: gpu.pool.send_to_winner(g, winner, sweep)))
    if compiled.takes_pool(sweep, a):
        y, winner = compiled.pool.largest(a, sweep)
        return record(y, (x, lambda g: compiled.pool.send_to_winner(g, winner, sweep)))
    padded = sweep.pad(floating(a), -math.inf) if sweep.is_padded else a
    if not isinstance(x, Tensor):
        return _largest(padded, sweep)
    y, winner = _largest_and_winner(padded, sweep)
    return record(y, (x, lambda g: _send_to_winner(g, winner, sweep)))


def mean_pool(x: Any, window: Amount, stride: Amount | None = None, padding: Padding = 0) -> Any:
    """Take the mean of what a sliding window sees, for each channel by itself.

    Parameters
    ----------
    x
        Array or Tensor of shape (N, H, W, C) or (N, L, C).
    window
        The window's size: a number or one for each axis.
    stride
        How far the window moves; as far as it is large when left out.
    padding
        As in `conv`, but smaller than the window. Padding does not count in the mean.

    Returns
    -------
    array or Tensor
        Of shape (N, OH, OW, C) or (N, OL, C); see `output_sizes`.

    Raises
    ------
    ShapeError
        If the input has too few axes, or the window is larger than the padded input.
    SpecError
        If a window could see nothing but padding.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([1.0, 5.0, 2.0, 3.0]).reshape(1, 4, 1)
    >>> mn.ops.mean_pool(x, 3, stride=1, padding=1)[0, :, 0]
    array([3.        , 2.66666667, 3.33333333, 2.5       ])
    """
    a = floating(x)  # small whole numbers would overflow in the sum
    sweep = _pool_sweep("mean_pool", a, window, stride, padding)
    if gpu.takes_windows(sweep, a):
        return record(gpu.pool.mean(a, sweep), (x, lambda g: gpu.pool.share_out(g, sweep)))
    share = _share(a, sweep)
    y = _sum(sweep.pad(a), sweep) * share
    return record(y, (x, lambda g: _share_out(g * share, sweep)))


def _pool_sweep(name: str, a: Array, window: Amount, stride: Any, padding: Padding) -> Sweep:
    """Check what a pooling op was given."""
    spatial_sizes(a, f"the input of {name}")
    sweep = Sweep.over(a.shape, window, window if stride is None else stride, padding)
    if any(max(edge) >= k for edge, k in zip(sweep.edges, sweep.window, strict=True)):
        raise SpecError(
            f"{name} with a window of {sweep.window} needs padding smaller than the window, "
            f"got {padding!r}: a window could see nothing but padding"
        )
    return sweep


# --- the largest --------------------------------------------------------------------------


def _largest(padded: Array, sweep: Sweep) -> Array:
    """Return the largest element in each window."""
    xp = array_module(padded)
    (_, first), *others = sweep.taps()
    y = _copy(padded[first])
    for _, met in others:
        xp.maximum(y, padded[met], out=y)
    return y


def _largest_and_winner(padded: Array, sweep: Sweep) -> tuple[Array, Array]:
    """Return the largest element in each window, and which element of the window it is."""
    xp = array_module(padded)
    (_, first), *others = sweep.taps()
    y = _copy(padded[first])
    winner = new_array(y.shape, np.min_scalar_type(len(others)), y)
    winner.fill(0)
    rank = new_array(y.shape, winner.dtype, y)
    greater = new_array(y.shape, bool, y)
    for number, (_, met) in enumerate(others, 1):
        seen = _copy(padded[met])
        xp.greater(seen, y, out=greater)
        xp.maximum(y, seen, out=y)
        xp.multiply(greater, winner.dtype.type(number), out=rank)
        xp.maximum(winner, rank, out=winner)  # numbers rise, so the larger is the later
    return y, winner


def _copy(a: Array) -> Array:
    """Return a copy whose elements lie side by side."""
    copy = new_array(a.shape, a.dtype, a)
    copy[...] = a
    return copy


def _send_to_winner(g: Array, winner: Array, sweep: Sweep) -> Array:
    """Send each gradient to the element its window's largest came from."""
    xp = array_module(g)
    chosen = new_array(winner.shape, bool, winner)

    def send(number: int, out: Array) -> None:
        xp.equal(winner, number, out=chosen)
        xp.multiply(g, chosen, out=out)

    return _send(g, sweep, send)


# --- the mean -----------------------------------------------------------------------------


def _sum(padded: Array, sweep: Sweep) -> Array:
    """Return the sum over each window."""
    (_, first), *others = sweep.taps()
    y = padded[first].copy()
    for _, met in others:
        y += padded[met]
    return y


def _share_out(part: Array, sweep: Sweep) -> Array:
    """Send every element of a window the same part."""

    def send(number: int, out: Array) -> None:
        out[...] = part

    return _send(part, sweep, send)


def _share(a: Array, sweep: Sweep) -> Any:
    """Return 1 / (how many elements of the input each window sees), broadcastable to the output."""
    if not sweep.is_padded:
        return 1 / math.prod(sweep.window)
    seen = np.ones((), dtype=int)
    for size, (before, _), k, s, positions in zip(
        a.shape[1:-1], sweep.edges, sweep.window, sweep.stride, sweep.positions, strict=True
    ):
        starts = np.arange(positions) * s - before
        along = np.minimum(starts + k, size) - np.maximum(starts, 0)
        seen = seen[..., None] * along
    return array_module(a).asarray((1 / seen[..., None]).astype(a.dtype))


# --- both ---------------------------------------------------------------------------------


def _send(g: Array, sweep: Sweep, send: Callable[[int, Array], None]) -> Array:
    """Return the input's gradient, of what `send` writes for each element of the window."""
    total = new_array(sweep.padded_shape, g.dtype, g)
    if sweep.overlaps or not sweep.covers:
        total.fill(0)
    part = new_array(g.shape, g.dtype, g) if sweep.overlaps else None
    for number, (_, met) in enumerate(sweep.taps()):
        if part is None:  # nothing else goes there
            send(number, total[met])
        else:
            send(number, part)
            total[met] += part
    return sweep.crop(total)
