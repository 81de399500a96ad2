"""Pooling by the largest, compiled: a window at a time, all of its channels together.

Letters: N, H, W, C and OH, OW as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...backend import Array
from ...buffers import new_array
from ..sweep import Sweep
from .jit import kernel, unsigned
from .table import moves
from .team import Turn, begin, end, parts, share

__all__ = ["find_largest", "largest", "send_to", "send_to_winner"]

# What a number of the images takes, in microseconds on a common processor.
ELEMENT = 0.0005


def largest(a: Array, sweep: Sweep) -> tuple[Array, Array]:
    """Return the largest element in each window, and which element of the window it is."""
    y = new_array((len(a), *sweep.positions, a.shape[-1]), a.dtype)
    images = np.ascontiguousarray(a).reshape(_as_images(a.shape))
    shape = _as_images(y.shape)
    winner = new_array(y.shape, np.uint8)
    given = images, y.reshape(shape), winner.reshape(shape), moves(sweep)
    share(_parts(a.size, len(a)), _find_largest, *given)
    return y, winner


@kernel
def _find_largest(
    turn: Turn, images: Array, y: Array, winner: Array, pool: Sequence[int]
) -> None:  # pragma: no cover (compiled)
    first, last = begin(turn, len(images))
    some = images[first:last].reshape(-1), y[first:last].reshape(-1), winner[first:last].reshape(-1)
    find_largest(some[0], some[1], some[2], last - first, _sizes(images, y), pool)
    end(turn)


def send_to_winner(g: Array, winner: Array, sweep: Sweep) -> Array:
    """Send each gradient to the element its window's largest came from."""
    total = new_array(sweep.shape, g.dtype)
    shape = _as_images(g.shape)
    gradients, winners = np.ascontiguousarray(g).reshape(shape), winner.reshape(shape)
    given = gradients, winners, total.reshape(_as_images(sweep.shape)), moves(sweep)
    share(_parts(total.size, len(g)), _send, *given)
    return total


def _parts(numbers: int, images: int) -> int:
    """Return among how many threads to share so many numbers of so many images."""
    return min(images, parts(numbers * ELEMENT))


def _as_images(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a batch of sequences as that of images of height 1."""
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


@kernel
def _sizes(
    images: Array, y: Array
) -> tuple[int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return the sizes that the loops take, of images and of the results of a pool."""
    return images.shape[1], images.shape[2], images.shape[3], y.shape[1], y.shape[2]


@kernel
def find_largest(
    source: Array,
    target: Array,
    chosen: Array,
    count: int,
    sizes: Sequence[int],
    pool: Sequence[int],
) -> None:  # pragma: no cover (compiled)
    """Write the largest element in each window of images, and which it is.

    Parameters
    ----------
    source, target, chosen
        The images, the largest and which, flat.
    count
        How many images they are.
    sizes
        H, W and C of the images; how many windows there are along H and W.
    pool
        See `table.moves`.
    """
    height, width, down, across, above, left = pool
    rows, columns, channels, positions_down, positions_along = sizes
    length, at = unsigned(channels), unsigned(0)
    for n in range(count):
        for i in range(positions_down):
            for j in range(positions_along):
                for c in range(length):
                    target[at + c] = -np.inf
                    chosen[at + c] = 0
                for k in range(height):
                    row = i * down + k - above
                    if row < 0 or row >= rows:
                        continue
                    for m in range(width):
                        column = j * across + m - left
                        if column < 0 or column >= columns:
                            continue
                        there = unsigned(((n * rows + row) * columns + column) * channels)
                        number = np.uint8(k * width + m)
                        for c in range(length):
                            seen, most = source[there + c], target[at + c]
                            is_more = seen > most
                            chosen[at + c] = number if is_more else chosen[at + c]
                            # What is not a number stays so.
                            target[at + c] = seen if is_more or seen != seen else most
                at += length


@kernel
def _send(
    turn: Turn, g: Array, winner: Array, total: Array, pool: Sequence[int]
) -> None:  # pragma: no cover (compiled)
    first, last = begin(turn, len(total))
    some = g[first:last].reshape(-1), winner[first:last].reshape(-1), total[first:last].reshape(-1)
    send_to(some[0], some[1], some[2], last - first, _sizes(total, g), pool)
    end(turn)


@kernel
def send_to(
    source: Array,
    chosen: Array,
    target: Array,
    count: int,
    sizes: Sequence[int],
    pool: Sequence[int],
) -> None:  # pragma: no cover (compiled)
    """Write to each element of images the gradients of the windows whose largest it was.

    Parameters
    ----------
    source, chosen, target
        The gradients by the largest, which these are, and the images, flat.
    count, sizes, pool
        As in `find_largest`.
    """
    height, width, down, across, above, left = pool
    rows, columns, channels, positions_down, positions_along = sizes
    length, at = unsigned(channels), unsigned(0)
    for c in range(unsigned(target.size)):
        target[c] = 0
    for n in range(count):
        for i in range(positions_down):
            for j in range(positions_along):
                for k in range(height):
                    row = i * down + k - above
                    if row < 0 or row >= rows:
                        continue
                    for m in range(width):
                        column = j * across + m - left
                        if column < 0 or column >= columns:
                            continue
                        there = unsigned(((n * rows + row) * columns + column) * channels)
                        number = np.uint8(k * width + m)
                        for c in range(length):
                            target[there + c] += source[at + c] * (chosen[at + c] == number)
                at += length
