"""Winograd's tiles, compiled: from patches of images to values at points, and back.

See `minnet.ops.winograd` for what they are for. A patch of 6 x 6 elements becomes its values at
6 x 6 points, and those become a tile of 4 x 4 elements of the output: each time a matrix is
applied along both axes. The kernels do that for as many channels at a time as make a vector
instruction or two, in a room that stays next to the processor's arithmetic.

Letters: T tiles, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...backend import Array
from ...buffers import new_array
from .jit import kernel, moved, unsigned
from .points import LANES, PATCH, apply_input, apply_output, apply_output_turned, constants
from .product import address, calling_products, product
from .team import Turn, begin, end, share

__all__ = ["Tiles", "correlate", "weight_gradient"]


class Tiles(NamedTuple):
    """Where tiles are: how many along H and W, and the padding above and before the images."""

    down: int
    across: int
    above: int = 0
    before: int = 0


def correlate(
    images: Array,
    weight: Array,
    bias: Array,
    y: Array,
    where: Tiles,
    some: int,
    parts: int = 1,
) -> None:
    """Write the convolution of images with a weight that is given at the points, plus a bias.

    Parameters
    ----------
    images
        Of shape (N, H, W, C), not padded; C and O are at least `LANES`.
    weight
        Of shape (36, C, O).
    bias
        Of shape (O,), added everywhere.
    y
        Of shape (N, OH, OW, O), to write to.
    where
        The tiles.
    some
        How many to work on at a time.
    parts
        Among how many threads to share the work.
    """
    tiles = len(images) * where.down * where.across
    some, dtype = min(some, -(-tiles // parts)), y.dtype
    points, made = (_planes(parts, some, channels, dtype) for channels in weight.shape[1:])
    rooms = points, made, np.empty((parts, 2 * PATCH), dtype)
    given = images, weight, bias, y, *rooms, tiles, tuple(where), constants(dtype)
    share(parts, _correlate, address(dtype), *given)


def weight_gradient(
    images: Array, g: Array, totals: Array, where: Tiles, some: int, parts: int = 1
) -> None:
    """Write what is the gradient of the weight at the points, from that at the output.

    All is as in `correlate`, but that each part has a total of its own.
    """
    tiles = len(images) * where.down * where.across
    some, dtype = min(some, -(-tiles // parts)), g.dtype
    points, slopes = (_planes(parts, some, channels, dtype) for channels in totals.shape[2:])
    rooms = points, slopes, np.empty((parts, 2 * PATCH), dtype)
    given = images, g, totals, *rooms, tiles, tuple(where), constants(dtype)
    share(parts, _weight_gradient, address(dtype), *given)


def _planes(parts: int, tiles: int, channels: int, dtype: np.dtype[Any]) -> Array:
    """Return room for values of each part's tiles at 36 points.

    A tile more stands between the points: if they were a power of two apart in memory, they
    would all want the same few places of the processor's cache.
    """
    return new_array((parts, 36, tiles + 1, channels), dtype)


# --- some tiles at a time -------------------------------------------------------------------


@calling_products
def _correlate(
    turn: Turn,
    function: int,
    images: Array,
    weight: Array,
    bias: Array,
    y: Array,
    all_points: Array,
    all_made: Array,
    rooms: Array,
    tiles: int,
    where: Sequence[int],
    numbers: Sequence[float],
) -> None:
    start, stop = begin(turn, tiles)
    points, made, room = all_points[turn[1]], all_made[turn[1]], rooms[turn[1]]
    most = points.shape[1] - 1
    for first in range(start, stop, most):
        some = min(most, stop - first)
        _patches_at_points(images, points, room, first, some, where, numbers)
        for k in range(36):
            product(function, points[k, :some], weight[k], made[k, :some], False)
        _tiles_from_points(made, bias, y, room, first, some, where, numbers)
    end(turn)


@calling_products
def _weight_gradient(
    turn: Turn,
    function: int,
    images: Array,
    g: Array,
    totals: Array,
    all_points: Array,
    all_slopes: Array,
    rooms: Array,
    tiles: int,
    where: Sequence[int],
    numbers: Sequence[float],
) -> None:
    start, stop = begin(turn, tiles)
    points, slopes, room = all_points[turn[1]], all_slopes[turn[1]], rooms[turn[1]]
    total, most = totals[turn[1]], points.shape[1] - 1
    for first in range(start, stop, most):
        some = min(most, stop - first)
        _patches_at_points(images, points, room, first, some, where, numbers)
        _tiles_at_points(g, slopes, room, first, some, where, numbers)
        for k in range(36):
            product(function, points[k, :some].T, slopes[k, :some], total[k], first > start)
    end(turn)


# --- tiles one after another ---------------------------------------------------------------


@kernel
def _patches_at_points(
    images: Array,
    points: Array,
    room: Array,
    first: int,
    some: int,
    where: Sequence[int],
    numbers: Sequence[float],
) -> None:  # pragma: no cover (compiled)
    down, across, above, before = where
    _, height, width, channels = images.shape
    source, target, plane = images.reshape(-1), points.reshape(-1), points[0].size
    for t in range(some):
        n, place = divmod(first + t, down * across)
        top, left = place // across * 4 - above, place % across * 4 - before
        for block in range(0, channels, LANES):
            start = min(block, channels - LANES)
            for i in range(6):
                for j in range(6):
                    y, x = top + i, left + j
                    here = (i * 6 + j) * LANES
                    if y >= 0 and y < height and x >= 0 and x < width:
                        there = ((n * height + y) * width + x) * channels + start
                        moved(room, here, source, there, LANES)
                    else:
                        for c in range(unsigned(LANES)):
                            room[unsigned(here) + c] = 0
            apply_input(room, numbers)
            for k in range(36):
                moved(target, k * plane + t * channels + start, room, k * LANES, LANES)


@kernel
def _tiles_at_points(
    g: Array,
    points: Array,
    room: Array,
    first: int,
    some: int,
    where: Sequence[int],
    numbers: Sequence[float],
) -> None:  # pragma: no cover (compiled)
    down, across, _, _ = where
    _, height, width, channels = g.shape
    source, target, plane = g.reshape(-1), points.reshape(-1), points[0].size
    for t in range(some):
        n, place = divmod(first + t, down * across)
        top, left = place // across * 4, place % across * 4
        for block in range(0, channels, LANES):
            start = min(block, channels - LANES)
            for i in range(4):
                for j in range(4):
                    here = (i * 6 + j) * LANES
                    if top + i < height and left + j < width:
                        there = ((n * height + top + i) * width + left + j) * channels + start
                        moved(room, here, source, there, LANES)
                    else:
                        for c in range(unsigned(LANES)):
                            room[unsigned(here) + c] = 0
            apply_output_turned(room, numbers)
            for k in range(36):
                moved(target, k * plane + t * channels + start, room, k * LANES, LANES)


@kernel
def _tiles_from_points(
    points: Array,
    bias: Array,
    y: Array,
    room: Array,
    first: int,
    some: int,
    where: Sequence[int],
    numbers: Sequence[float],
) -> None:  # pragma: no cover (compiled)
    down, across, _, _ = where
    _, height, width, channels = y.shape
    source, target, plane = points.reshape(-1), y.reshape(-1), points[0].size
    for t in range(some):
        n, place = divmod(first + t, down * across)
        top, left = place // across * 4, place % across * 4
        for block in range(0, channels, LANES):
            start = min(block, channels - LANES)
            for k in range(36):
                moved(room, k * LANES, source, k * plane + t * channels + start, LANES)
            apply_output(room, numbers)
            for i in range(min(4, height - top)):
                for j in range(min(4, width - left)):
                    here = unsigned((i * 6 + j) * LANES)
                    for c in range(unsigned(LANES)):
                        room[here + c] += bias[unsigned(start) + c]
                    there = ((n * height + top + i) * width + left + j) * channels + start
                    moved(target, there, room, here, LANES)
