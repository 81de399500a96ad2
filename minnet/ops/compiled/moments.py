"""What BatchNorm does to an image of a convolution, compiled, and what it adds up for that.

A row is that of an image: its positions from left to right with all channels. What there is one of
for each channel stands in rows as often, so that loops are long.

Letters: C channels.
"""

from __future__ import annotations

import math
from typing import Any

from ...backend import Array
from .jit import array_at, kernel, unsigned
from .team import share_of

__all__ = [
    "add_moments",
    "add_sums",
    "gather",
    "join",
    "through_moments",
    "through_norm",
    "write_numbers",
]


@kernel
def add_moments(
    block: Any, n: int, before: int, rows: Array, found: Array
) -> None:  # pragma: no cover (compiled)
    """Take an image of a convolution into the moments of the images before.

    It is gone over twice while it is near, and joined to the others as in Chan, Golub and LeVeque
    (1983), "Algorithms for computing the sample variance", 2.1.
    """
    channels, numbers = block["outputs"], block["along"] * block["outputs"]
    length, positions = unsigned(numbers), block["down"] * block["along"]
    mean, squares = rows[:length], rows[length:]
    for i in range(length):
        mean[i] = 0
        squares[i] = 0
    start = block["y"] + n * block["down"] * numbers * rows.itemsize
    for row in range(block["down"]):
        z = array_at(rows, start + row * numbers * rows.itemsize, numbers)
        for i in range(length):
            mean[i] += z[i]
    gather(mean, numbers, channels)
    for c in range(unsigned(channels)):
        mean[c] /= positions
    _repeat(mean, channels)
    for row in range(block["down"]):
        z = array_at(rows, start + row * numbers * rows.itemsize, numbers)
        for i in range(length):
            apart = z[i] - mean[i]
            squares[i] += apart * apart
    gather(squares, numbers, channels)
    share = 1 / (before + 1)
    if before == 0:
        found[:] = 0
    for c in range(channels):
        apart = mean[c] - found[0, c]
        found[0, c] += apart * share
        found[1, c] += squares[c] + apart * apart * share * before * positions


@kernel
def gather(row: Array, numbers: int, channels: int) -> None:  # pragma: no cover (compiled)
    """Write the sum of each channel to the beginning of a row."""
    for start in range(channels, numbers, channels):
        for c in range(unsigned(channels)):
            row[c] += row[unsigned(start) + c]


@kernel
def _repeat(row: Array, channels: int) -> None:  # pragma: no cover (compiled)
    """Write the numbers at the beginning of a row, one for each channel, to all positions."""
    for i in range(unsigned(channels), unsigned(row.size)):
        row[i] = row[i - unsigned(channels)]


@kernel
def join(
    moments: Array, block: Any, epsilon: float, known: Array
) -> None:  # pragma: no cover (compiled)
    """Write what BatchNorm has to know of a batch, of which each piece found its share."""
    of, positions, count = len(moments), block["down"] * block["along"], block["count"]
    for c in range(block["outputs"]):
        mean, squares = 0.0, 0.0
        for part in range(of):
            first, last = share_of(part, of, count, 1)
            mean += moments[part, 0, c] * ((last - first) / count)
        for part in range(of):
            first, last = share_of(part, of, count, 1)
            apart = moments[part, 0, c] - mean
            squares += moments[part, 1, c] + apart * apart * (last - first) * positions
        known[0, c], known[1, c] = mean, squares / (count * positions)
        known[2, c] = 1 / math.sqrt(known[1, c] + epsilon)


@kernel
def write_numbers(
    branch: Any, block: Any, known: Array, like: Array
) -> None:  # pragma: no cover (compiled)
    """Write what BatchNorm does to a convolution's output, in rows: the mean, factor and shift."""
    channels, length = block["outputs"], block["along"] * block["outputs"]
    numbers = array_at(like, branch["numbers"], 5 * length)
    scale = array_at(like, branch["scale"], channels)
    shift = array_at(like, branch["shift"], channels)
    for c in range(channels):
        numbers[c] = known[0, c]
        numbers[length + c] = scale[c] * known[2, c]
        numbers[2 * length + c] = shift[c]
        numbers[3 * length + c] = 0
        numbers[4 * length + c] = 0
    for k in range(5):
        _repeat(numbers[k * length : (k + 1) * length], channels)


@kernel
def through_norm(
    branch: Any, block: Any, above: int, n: int, own: int, like: Array
) -> None:  # pragma: no cover (compiled)
    """Write the gradient by a convolution's output for an image, from that by the sum above it."""
    size, numbers = like.itemsize, block["along"] * block["outputs"]
    length, rows = unsigned(numbers), array_at(like, branch["numbers"], 5 * numbers)
    mean, factor = rows[:length], rows[length:]
    slope, constant = rows[unsigned(3) * length :], rows[unsigned(4) * length :]
    for row in range(block["down"]):
        at = (n * block["down"] + row) * numbers * size
        z, gradient = array_at(like, branch["z"] + at, numbers), array_at(like, above + at, numbers)
        here = (own * block["down"] + row) * numbers * size
        out = array_at(like, block["by_y"] + here, numbers)
        for i in range(length):
            out[i] = gradient[i] * factor[i] + (z[i] - mean[i]) * slope[i] + constant[i]


@kernel
def add_sums(
    rows: Array, k: int, one: Any, found: Array, is_first: bool
) -> None:  # pragma: no cover (compiled)
    """Add an image's sums, and those of a branch, to those of a piece."""
    if is_first:
        found[:] = 0
    start = k * one["length"]
    for c in range(one["channels"]):
        found[0, c] += rows[c]
        found[1, c] += rows[start + c]


@kernel
def through_moments(
    branch: Any, block: Any, moments: Array, known: Array, like: Array
) -> None:  # pragma: no cover (compiled)
    """Write the gradients by scale and shift, and what BatchNorm does to the gradient, in rows.

    What moves the mean or the spread of the batch changes nothing: those parts are taken out,
    unless it uses fixed ones.
    """
    channels, length = block["outputs"], block["along"] * block["outputs"]
    numbers = array_at(like, branch["numbers"], 5 * length)
    by_scale = array_at(like, branch["by_scale"], channels if branch["by_scale"] != 0 else 0)
    by_shift = array_at(like, branch["by_shift"], channels if branch["by_shift"] != 0 else 0)
    count = block["count"] * block["down"] * block["along"]
    for c in range(channels):
        total, along = 0.0, 0.0
        for part in range(len(moments)):
            total += moments[part, 0, c]
            along += moments[part, 1, c]
        along *= known[2, c]
        if by_scale.size:
            by_scale[c] = along
        if by_shift.size:
            by_shift[c] = total
        if branch["is_fixed"] == 0:
            factor = numbers[length + c]
            numbers[3 * length + c] = -factor * known[2, c] * along / count
            numbers[4 * length + c] = -factor * total / count
    for k in range(3, 5):
        _repeat(numbers[k * length : (k + 1) * length], channels)
