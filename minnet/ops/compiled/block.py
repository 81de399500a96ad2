"""A block for an image, forward and back, compiled: a Conv, the MaxPool after it, and the Ramp.

What windows see is not copied anywhere, see `tile`, but where an image is padded.

Letters: H, W, C as everywhere; O outputs, K numbers that a window sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import array_at, kernel, place_of, unsigned
from .pool import find_largest, send_to
from .product import finish
from .team import LINE, share_of
from .tile import OFFSETS, multiply

__all__ = ["back_image", "clear", "forward_image", "turn_around", "turn_weight", "write_gradients"]

# Positions whose gradients and inputs, for many channels, fit the processor's nearest cache.
NEAR = 256
NUMBERS = np.zeros(1, np.uint8)  # of the dtype that says which of a window was the largest


@kernel
def turn_weight(one: Any, like: Array, part: int, of: int) -> None:  # pragma: no cover (compiled)
    """Write a part of the transpose of a weight."""
    taps, outputs = one["taps"], one["outputs"]
    weight = array_at(like, one["weight"], taps * outputs)
    turned = array_at(like, one["turned"], taps * outputs)
    first, last = share_of(part, of, outputs, 1)
    for o in range(unsigned(first), unsigned(last)):
        here, there = o * unsigned(taps), o
        for k in range(unsigned(taps)):
            turned[here + k] = weight[there]
            there += unsigned(outputs)


@kernel
def turn_around(
    one: Any, place: int, like: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of the weight of the convolution that goes back through another one.

    That one's weight, at a place in memory, with its window turned around and its channels in
    the place of its outputs.
    """
    outputs, channels = one["channels"], one["outputs"]
    size, taps = outputs * channels, one["taps"] // outputs
    there, weight = array_at(like, one["weight"], taps * size), array_at(like, place, taps * size)
    first, last = share_of(part, of, taps, 1)
    for tap in range(first, last):
        here, to = unsigned((taps - 1 - tap) * size), unsigned(tap * size)
        for o in range(unsigned(outputs)):
            for c in range(unsigned(channels)):
                there[to] = weight[here + c * unsigned(outputs) + o]
                to += unsigned(1)


@kernel
def forward_image(one: Any, n: int, room: Array) -> None:  # pragma: no cover (compiled)
    """Write a block's output for an image."""
    size, made, outputs = room.itemsize, one["made"], one["outputs"]
    positions, taps, rows, _, _ = _offsets(one)
    bias = array_at(room, one["bias"], outputs if one["bias"] != 0 else 0)
    is_pooled, maps = one["pool_height"] != 0, _maps(one, room)
    y = array_at(room, one["y"] + n * made * size, made)
    multiply(
        room.dtype.type(0), _padded(one, n, room),
        positions, one["down"] * one["along"], taps, one["taps"],
        one["weight"], outputs, place_of(maps) if is_pooled else place_of(y), rows, outputs, False,
    )  # fmt: skip
    if is_pooled:
        winner = array_at(NUMBERS, one["winner"] + n * made, made)
        find_largest(maps, y, winner, 1, _pooled(one), _pool(one))
    # The largest of sums with a bias is the sum of the largest with it.
    finish(y, made // outputs, outputs, outputs, bias, one["is_ramp"] != 0)


@kernel
def back_image(
    one: Any, n: int, of_y: int, of_x: int, room: Array, part: int
) -> None:  # pragma: no cover (compiled)
    """Write the gradient by an image that goes into a block; add what it adds to those by arrays.

    Of the gradients by what comes out and by what goes in, they are those of these numbers.
    """
    size, made, outputs, zero = room.itemsize, one["made"], one["outputs"], room.dtype.type(0)
    positions, taps, rows, rows_of_weight, numbers = _offsets(one)
    count, totals = one["down"] * one["along"], _totals(one, room, part)
    g = array_at(room, one["by_y"] + of_y * made * size, made)
    if one["is_ramp"] != 0 or one["by_bias"] != 0:
        y = array_at(room, one["y"] + n * made * size, made)
        _through_ramp(g, y, totals[one["taps"] * outputs :], one["is_ramp"] != 0)
    slopes, maps = place_of(g), _maps(one, room)
    if one["pool_height"] != 0:
        winner = array_at(NUMBERS, one["winner"] + n * made, made)
        send_to(g, winner, maps, 1, _pooled(one), _pool(one))
        slopes = place_of(maps)
    if one["by_weight"] != 0:
        image, into = _padded(one, n, room), place_of(totals)
        for first in range(0, count, NEAR):
            multiply(
                zero, image, taps, one["taps"], positions + first * 8, min(NEAR, count - first),
                slopes + first * outputs * size, outputs, into, rows_of_weight, outputs, True,
            )  # fmt: skip
    if one["by_x"] == 0:
        return
    image = _cleared(one, of_x, room)
    for run in range(one["runs"]):  # of what a window sees, these lie side by side
        start = run * one["run"]
        begins = array_at(OFFSETS, taps + start * 8, 1)[0]
        multiply(
            zero, slopes, rows, count, numbers, outputs,
            one["turned"] + start * size, one["taps"],
            image + begins * size, positions, one["run"], True,
        )  # fmt: skip
    _crop(one, of_x, room)


@kernel
def _totals(one: Any, like: Array, part: int) -> Array:  # pragma: no cover (compiled)
    """Return a part's share of the gradients by the weight and, after it, by the bias."""
    size = (one["taps"] + 1) * one["outputs"]
    return array_at(like, one["totals"] + part * size * like.itemsize, size)


@kernel
def clear(one: Any, like: Array, part: int) -> None:  # pragma: no cover (compiled)
    """Write 0 to a part's share."""
    totals = _totals(one, like, part)
    for i in range(unsigned(totals.size)):
        totals[i] = 0


@kernel
def _offsets(one: Any) -> tuple[int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return where each part of what `table.offsets` gives begins."""
    positions, count = one["offsets"], one["down"] * one["along"]
    taps = positions + count * 8
    rows = taps + one["taps"] * 8
    rows_of_weight = rows + count * 8
    return positions, taps, rows, rows_of_weight, rows_of_weight + one["taps"] * 8


@kernel
def _maps(one: Any, room: Array) -> Array:  # pragma: no cover (compiled)
    """Return the room for what a convolution gives of an image."""
    return room[one["padded_height"] * one["padded_length"] :]


@kernel
def _pooled(one: Any) -> tuple[int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return the sizes that `find_largest` takes."""
    return one["down"], one["along"], one["outputs"], one["pooled_down"], one["pooled_along"]


@kernel
def _pool(one: Any) -> tuple[int, int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return how a pool's windows move, as `find_largest` takes it."""
    return (
        one["pool_height"], one["pool_width"], one["pool_down"], one["pool_across"],
        one["pool_above"], one["pool_left"],
    )  # fmt: skip


# --- padding ---------------------------------------------------------------------------------


@kernel
def _is_padded(one: Any) -> bool:  # pragma: no cover (compiled)
    return bool(one["padded_height"] > one["height"] or one["padded_length"] > one["length"])


@kernel
def _padded(one: Any, n: int, room: Array) -> int:  # pragma: no cover (compiled)
    """Return where an image is; a padded one is written to the room."""
    place = one["x"] + n * one["height"] * one["length"] * room.itemsize
    if not _is_padded(one):
        return int(place)
    size, length = one["height"] * one["length"], unsigned(one["length"])
    image = array_at(room, place, size)
    for i in range(unsigned(one["padded_height"] * one["padded_length"])):
        room[i] = 0
    for row in range(one["height"]):
        here = unsigned(row * one["length"])
        there = unsigned((one["above"] + row) * one["padded_length"] + one["before"])
        for i in range(length):
            room[there + i] = image[here + i]
    return place_of(room)


@kernel
def _cleared(one: Any, n: int, room: Array) -> int:  # pragma: no cover (compiled)
    """Return where to add up the gradient by a padded image, after writing 0 there."""
    size = one["height"] * one["length"]
    image = array_at(room, one["by_x"] + n * size * room.itemsize, size)
    if _is_padded(one):
        image = room[: one["padded_height"] * one["padded_length"]]
    for i in range(unsigned(image.size)):
        image[i] = 0
    return place_of(image)


@kernel
def _crop(one: Any, n: int, room: Array) -> None:  # pragma: no cover (compiled)
    """Write the gradient by an image, of which that by the padded one is in the room."""
    if not _is_padded(one):
        return
    size, length = one["height"] * one["length"], unsigned(one["length"])
    image = array_at(room, one["by_x"] + n * size * room.itemsize, size)
    for row in range(one["height"]):
        here = unsigned(row * one["length"])
        there = unsigned((one["above"] + row) * one["padded_length"] + one["before"])
        for i in range(length):
            image[here + i] = room[there + i]


# --- gradients -------------------------------------------------------------------------------


@kernel
def _through_ramp(
    g: Array, y: Array, sums: Array, is_ramp: bool
) -> None:  # pragma: no cover (compiled)
    """Take a gradient back through a ramp, and add it up by output."""
    length = unsigned(sums.size)
    for at in range(unsigned(0), unsigned(g.size), length):
        if is_ramp:
            for o in range(length):
                one = g[at + o]
                g[at + o] = one if y[at + o] > 0 else one * 0
        for o in range(length):
            sums[o] += g[at + o]


@kernel
def write_gradients(
    one: Any, like: Array, count: int, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of the gradients by a block's arrays, of which there are so many shares."""
    size = one["taps"] * one["outputs"]
    _sum_up(one, like, one["by_weight"], (0, size), count, part, of)
    _sum_up(one, like, one["by_bias"], (size, one["outputs"]), count, part, of)


@kernel
def _sum_up(
    one: Any, like: Array, place: int, where: tuple[int, int], count: int, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of the sum of all shares, if it is wanted: of so many numbers from one on."""
    start, size = where
    first, last = share_of(part, of, size, LINE)
    if place == 0 or first >= last:
        return
    found = array_at(like, place + first * like.itemsize, last - first)
    for other in range(count):
        numbers = _totals(one, like, other)[start + first : start + last]
        for i in range(unsigned(found.size)):
            found[i] = numbers[i] if other == 0 else found[i] + numbers[i]
