"""Convolution by wide windows, compiled: what is gathered goes on to the product at once.

See `minnet.ops.wide` for what wide windows are. Padding is not written anywhere: a window that
reaches over the edge sees 0 there.

Letters: N, H, W, C as everywhere; L = W * C is the length of a line of an image, R the numbers
in a row of a window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backend import Array
from ...buffers import new_array
from ..sweep import Sweep
from .activation import add_to_each
from .jit import kernel, unsigned
from .pool import find_largest
from .pool import moves as moves_of
from .product import address, calling_products, product
from .team import Turn, begin, end, share

__all__ = [
    "correlate",
    "correlate_and_pool",
    "gather",
    "moves_of_wide",
    "scatter",
    "spread",
    "weight_gradient",
]

# Bytes of windows to work on at a time: few enough for the cache of one processor core.
ROOM = 1 << 19


def correlate(
    images: Array, matrix: Array, bias: Array, y: Array, wide: Any, parts: int = 1
) -> None:
    """Write the product of the weight with what the windows see, plus a bias.

    Parameters
    ----------
    images
        Of shape (N, H, W, C), not padded.
    matrix
        The weight of a wide window, of shape (KH * R, P * outputs).
    bias
        What to add, of shape (P * outputs,); or of shape (0,).
    y
        Of shape (N * OH * OW / P, P * outputs), to write to.
    wide
        The wide windows.
    parts
        Among how many threads to share the work.
    """
    lines, windows, rows = _prepared(images, wide, parts)
    given = lines, matrix, bias, y, windows, rows, moves_of_wide(wide)
    share(parts, _correlate, address(y.dtype), *given)


def correlate_and_pool(
    images: Array,
    matrix: Array,
    bias: Array,
    y: Array,
    winner: Array,
    wide: Any,
    sweep: Sweep,
    is_ramp: bool,
    parts: int = 1,
) -> None:
    """Write the largest of what `correlate` gives in each window of a sweep over that, and which.

    Parameters
    ----------
    images, matrix, bias, wide, parts
        As in `correlate`, of images alone.
    y, winner
        What `pool.largest` gives, to write to.
    sweep
        How the pool's window moves.
    is_ramp
        Whether to write 0 where none of a window is larger.
    """
    lines, windows, rows = _prepared(images, wide, parts)
    made = new_array((*windows.shape[:2], *sweep.shape[1:]), y.dtype)
    rooms = made, made.reshape(*rows.shape[:2], -1), y, winner, windows, rows
    given = lines, matrix, bias, *rooms, moves_of_wide(wide), moves_of(sweep), is_ramp
    share(parts, _correlate_and_pool, address(y.dtype), *given)


def weight_gradient(images: Array, g: Array, wide: Any, parts: int = 1) -> Array:
    """Return the gradient of the weight of a wide window, from that of the output.

    Parameters
    ----------
    images
        As in `correlate`.
    g
        Of the shape of `y` there.
    wide, parts
        As in `correlate`.

    Returns
    -------
    array
        Of the shape of `matrix` there.
    """
    lines, windows, rows = _prepared(images, wide, parts)
    columns, seen = g.shape[1], rows.shape[2]
    totals = new_array((parts, seen, columns), g.dtype)
    given = lines, g, totals, windows, rows, moves_of_wide(wide)
    share(parts, _weight_gradient, address(g.dtype), *given)
    total: Array = totals[0]
    for other in totals[1:]:
        total += other
    return total


def spread(g: Array, matrix: Array, images: Array, wide: Any, parts: int = 1) -> None:
    """Write the sums of what all windows, each its multiple of the weight, add to the images.

    Parameters
    ----------
    g
        As in `weight_gradient`.
    matrix
        The transpose of that of `correlate`.
    images
        As in `correlate`, to write to.
    wide, parts
        As in `correlate`.
    """
    lines, windows, rows = _prepared(images, wide, parts)
    share(parts, _spread, address(g.dtype), g, matrix, lines, windows, rows, moves_of_wide(wide))


def _prepared(images: Array, wide: Any, parts: int) -> tuple[Array, Array, Array]:
    """Return images as lines, and for each part room for some images' windows, also as rows."""
    lines = np.ascontiguousarray(images).reshape(*images.shape[:2], -1)
    most = -(-len(images) // parts)
    some = max(1, min(most, ROOM // (math.prod(wide.shape) * images.itemsize)))
    windows = new_array((parts, some, *wide.shape), images.dtype)
    down, across, window, run = wide.shape
    return lines, windows, windows.reshape(parts, some * down * across, window * run)


def moves_of_wide(wide: Any) -> tuple[int, int, int, int]:
    """Return how far windows move down and along a line, and what is padded above and before."""
    sweep = wide.sweep
    (down, across), ((above, _), (before, _)) = sweep.stride, sweep.edges
    channels = sweep.shape[-1]
    return down, across * wide.together * channels, above, before * channels


# --- piece by piece -------------------------------------------------------------------------


@calling_products
def _correlate(
    turn: Turn,
    where: int,
    lines: Array,
    matrix: Array,
    bias: Array,
    y: Array,
    all_windows: Array,
    all_rows: Array,
    moves: Sequence[int],
) -> None:
    start, stop = begin(turn, len(lines))
    windows, rows = all_windows[turn[1]], all_rows[turn[1]]
    each, sizes = windows.shape[1] * windows.shape[2], _sizes(lines, windows)
    for first in range(start, stop, len(windows)):
        some = min(len(windows), stop - first)
        images, seen = lines[first : first + some].reshape(-1), windows[:some].reshape(-1)
        gather(images, seen, some, sizes, moves)
        part = y[first * each : (first + some) * each]
        product(where, rows[: some * each], matrix, part, False)
        if bias.size:
            add_to_each(part.reshape(-1), bias)
    end(turn)


@calling_products
def _correlate_and_pool(
    turn: Turn,
    where: int,
    lines: Array,
    matrix: Array,
    bias: Array,
    all_made: Array,
    all_rows_made: Array,
    y: Array,
    winner: Array,
    all_windows: Array,
    all_rows: Array,
    moves: Sequence[int],
    pool: Sequence[int],
    is_ramp: bool,
) -> None:
    start, stop = begin(turn, len(lines))
    windows, rows = all_windows[turn[1]], all_rows[turn[1]]
    made, rows_made = all_made[turn[1]], all_rows_made[turn[1]]
    pooled = made.shape[1], made.shape[2], made.shape[3], y.shape[1], y.shape[2]
    each, sizes = windows.shape[1] * windows.shape[2], _sizes(lines, windows)
    for first in range(start, stop, len(windows)):
        some = min(len(windows), stop - first)
        images, seen = lines[first : first + some].reshape(-1), windows[:some].reshape(-1)
        gather(images, seen, some, sizes, moves)
        part = rows_made[: some * each]
        product(where, rows[: some * each], matrix, part, False)
        if bias.size:
            add_to_each(part.reshape(-1), bias)
        part_of_y, part_of_winner = y[first : first + some], winner[first : first + some]
        find_largest(
            made[:some].reshape(-1), part_of_y.reshape(-1), part_of_winner.reshape(-1),
            some, pooled, pool, is_ramp,
        )  # fmt: skip
    end(turn)


@calling_products
def _weight_gradient(
    turn: Turn,
    where: int,
    lines: Array,
    g: Array,
    totals: Array,
    all_windows: Array,
    all_rows: Array,
    moves: Sequence[int],
) -> None:
    start, stop = begin(turn, len(lines))
    windows, rows, total = all_windows[turn[1]], all_rows[turn[1]], totals[turn[1]]
    each, sizes = windows.shape[1] * windows.shape[2], _sizes(lines, windows)
    for first in range(start, stop, len(windows)):
        some = min(len(windows), stop - first)
        images, seen = lines[first : first + some].reshape(-1), windows[:some].reshape(-1)
        gather(images, seen, some, sizes, moves)
        part = g[first * each : (first + some) * each]
        product(where, rows[: some * each].T, part, total, first > start)
    end(turn)


@calling_products
def _spread(
    turn: Turn,
    where: int,
    g: Array,
    matrix: Array,
    lines: Array,
    all_windows: Array,
    all_rows: Array,
    moves: Sequence[int],
) -> None:
    start, stop = begin(turn, len(lines))
    windows, rows = all_windows[turn[1]], all_rows[turn[1]]
    each, sizes = windows.shape[1] * windows.shape[2], _sizes(lines, windows)
    for first in range(start, stop, len(windows)):
        some = min(len(windows), stop - first)
        part = g[first * each : (first + some) * each]
        product(where, part, matrix, rows[: some * each], False)
        images, seen = lines[first : first + some].reshape(-1), windows[:some].reshape(-1)
        scatter(seen, images, some, sizes, moves)
    end(turn)


# --- the loops ------------------------------------------------------------------------------


@kernel
def _sizes(
    lines: Array, windows: Array
) -> tuple[int, int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return the sizes that the loops take, of images as lines and of what their windows see."""
    return (
        lines.shape[1], lines.shape[2],
        windows.shape[1], windows.shape[2], windows.shape[3], windows.shape[4],
    )  # fmt: skip


@kernel
def gather(
    source: Array, target: Array, count: int, sizes: Sequence[int], moves: Sequence[int]
) -> None:  # pragma: no cover (compiled)
    """Write what the windows of some images see.

    Parameters
    ----------
    source, target
        The images and what the windows see, flat.
    count
        How many images they are.
    sizes
        H, W * C; how many windows there are along H and W, rows of each, numbers of a row.
    moves
        See `moves_of_wide`.
    """
    height, length, positions_down, positions_along, window, run = sizes
    down, along, above, before = moves
    at = unsigned(0)
    for n in range(count):
        for i in range(positions_down):
            for j in range(positions_along):
                start = j * along - before
                first, end = max(0, -start), min(run, length - start)
                for k in range(window):
                    y = i * down + k - above
                    is_inside = y >= 0 and y < height
                    if not is_inside or end - first < run:
                        for r in range(unsigned(run)):
                            target[at + r] = 0
                    if is_inside and end > first:
                        here = at + unsigned(first)
                        there = unsigned((n * height + y) * length + start + first)
                        for r in range(unsigned(end - first)):
                            target[here + r] = source[there + r]
                    at += unsigned(run)


@kernel
def scatter(
    source: Array, target: Array, count: int, sizes: Sequence[int], moves: Sequence[int]
) -> None:  # pragma: no cover (compiled)
    """Write to each element of images the sum of what windows hold where it stands.

    Parameters
    ----------
    source, target
        What the windows hold and the images, flat.
    count, sizes, moves
        As in `gather`.
    """
    height, length, positions_down, positions_along, window, run = sizes
    down, along, above, before = moves
    at = unsigned(0)
    for n in range(count):
        for r in range(unsigned(n * height * length), unsigned((n + 1) * height * length)):
            target[r] = 0
        for i in range(positions_down):
            for j in range(positions_along):
                start = j * along - before
                first, end = max(0, -start), min(run, length - start)
                for k in range(window):
                    y = i * down + k - above
                    if y >= 0 and y < height and end > first:
                        here = at + unsigned(first)
                        there = unsigned((n * height + y) * length + start + first)
                        for r in range(unsigned(end - first)):
                            target[there + r] += source[here + r]
                    at += unsigned(run)
