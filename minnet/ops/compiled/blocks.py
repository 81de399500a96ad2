"""Blocks of a net, forward and back, compiled: a Conv, the MaxPool after it, and the Ramp.

They are stages of larger kernels, which go through a whole net without coming back to Python.
Threads share the images of a batch; each works on a few at a time, from end to end of a block, so
that what is between is near: what the windows see (see `windows`), what the convolution gives and
the gradient by that are never all there.

Letters: N, H, W, C as everywhere; P as in `minnet.ops.wide`; O outputs, K numbers that a wide
window sees.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array, Shape
from . import windows
from .dense import through_net, up_net
from .jit import array_at, kernel, unsigned
from .pool import find_largest, moves, send_to
from .product import PLAIN, TURNED, finish, product_at
from .table import BLOCK, MOVES, POOL
from .team import Turn, does, end, give_word, meet, share_of
from .windows import gather, moves_of_wide, scatter

__all__ = [
    "block",
    "numbers_between",
    "numbers_of_matrix",
    "numbers_of_totals",
    "there_and_back",
    "up",
]

NUMBERS = np.zeros(1, np.uint8)  # of the dtype that says which of a window was the largest


def block(wide: Any, pool: Any, is_ramp: bool, shape: Shape, itemsize: int) -> dict[str, int]:
    """Return what is known of a block before its arrays are.

    Parameters
    ----------
    wide
        The wide windows of the convolution.
    pool
        How the pool's window moves over what that gives, or None.
    is_ramp
        Whether there is a Ramp.
    shape
        Of what comes out.
    itemsize
        The bytes of a number.
    """
    count, height, width, channels = wide.sweep.shape
    found = dict.fromkeys(BLOCK.names or (), 0)
    found |= {"count": count, "height": height, "length": width * channels}
    found |= zip(("down", "along", "rows", "run"), wide.shape, strict=True)
    found |= {"outputs": wide.outputs, "together": wide.together, "is_ramp": int(is_ramp)}
    found |= {"step": wide.sweep.stride[1] * channels, "made": math.prod(shape[1:])}
    found["some"] = max(1, windows.ROOM // (math.prod(wide.shape) * itemsize))
    found |= zip(MOVES, moves_of_wide(wide), strict=True)
    if pool is not None:
        found |= zip(POOL, (*moves(pool), *pool.positions), strict=True)
    return found


def numbers_of_matrix(one: Any) -> int:
    """Return of how many numbers the weight of a block's wide windows is."""
    return int(one["rows"] * one["run"] * one["outputs"] * one["together"])


def numbers_of_totals(one: Any) -> int:
    """Return of how many numbers a part's share of the gradients by a block's arrays is."""
    return numbers_of_matrix(one) + int(one["outputs"])


def numbers_between(one: Any) -> int:
    """Return of how many numbers the room is that a thread works in."""
    seen, made = one["rows"] * one["run"], one["outputs"] * one["together"]
    some = min(one["some"], one["count"])
    return int(some * one["down"] * one["along"] * (seen + made))


# --- a whole net -----------------------------------------------------------------------------


@kernel
def up(
    turn: Turn, where: int, blocks: Array, between: Array, units: Array, images: Array
) -> None:  # pragma: no cover (compiled)
    """Write what comes out of blocks and a dense net on top, of which there may be none."""
    give_word(turn)
    _up(turn, where, blocks, between)
    top = blocks[len(blocks) - 1]
    up_net(turn, where, units, top["y"], top["count"], between[0])
    end(turn)


@kernel
def there_and_back(
    turn: Turn,
    where: int,
    blocks: Array,
    between: Array,
    units: Array,
    images: Array,
    scores: Array,
    targets: Array,
    gradient: Array,
    squares: Array,
    rooms: Array,
    loss: Array,
) -> None:  # pragma: no cover (compiled)
    """Write the loss of a batch, the outputs and the gradients of blocks and a dense net on top.

    Parameters
    ----------
    turn, where, units, scores, targets, gradient, squares, rooms, loss
        As in `dense.there_and_back`.
    blocks
        Of dtype `table.BLOCK`, from the bottom up.
    between
        Of shape (parts, numbers): room for each part to work in.
    images
        What goes in, whose place in memory the blocks know.
    """
    give_word(turn)
    of, top = turn[2], blocks[len(blocks) - 1]
    _up(turn, where, blocks, between)
    through_net(
        turn, where, units, top["y"], top["by_y"],
        scores, targets, gradient, squares, rooms, loss,
    )  # fmt: skip
    for b in range(len(blocks) - 1, -1, -1):
        meet(turn)
        for part in range(of):
            if does(turn, part):
                _back(where, blocks[b], between[part], part, of)
    meet(turn)
    for part in range(of):
        if does(turn, part):
            for b in range(part, len(blocks), of):
                _gradients(blocks[b], between, of)
    end(turn)


@kernel
def _up(
    turn: Turn, where: int, blocks: Array, between: Array
) -> None:  # pragma: no cover (compiled)
    """Write the outputs of all blocks."""
    of = turn[2]
    for part in range(of):
        if does(turn, part):
            for b in range(part, len(blocks), of):
                _widen(blocks[b], between)
    for b in range(len(blocks)):
        meet(turn)
        for part in range(of):
            if does(turn, part):
                _forward(where, blocks[b], between[part], part, of)
    meet(turn)


# --- a block ---------------------------------------------------------------------------------


@kernel
def _widen(one: Any, like: Array) -> None:  # pragma: no cover (compiled)
    """Write a weight where it stands in the matrix of wide windows, and 0 elsewhere."""
    outputs, together, run = one["outputs"], one["together"], one["run"]
    if together == 1:  # the weight is that matrix
        return
    row = run - (together - 1) * one["step"]
    weight = array_at(like, one["weight"], one["rows"] * row * outputs)
    matrix = array_at(like, one["matrix"], one["rows"] * run * together * outputs)
    for i in range(unsigned(matrix.size)):
        matrix[i] = 0
    for k in range(one["rows"]):
        for p in range(together):
            for r in range(row):
                here = unsigned((k * row + r) * outputs)
                there = unsigned(((k * run + p * one["step"] + r) * together + p) * outputs)
                for o in range(unsigned(outputs)):
                    matrix[there + o] = weight[here + o]


@kernel
def _matrix(one: Any) -> int:  # pragma: no cover (compiled)
    """Return where the weight of wide windows is."""
    return int(one["weight"] if one["together"] == 1 else one["matrix"])


@kernel
def _forward(
    where: int, one: Any, room: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of a block's outputs."""
    first, last = share_of(part, of, one["count"], 1)
    (each, seen, columns, image, size), apart = _sizes(one), room.itemsize
    outputs, most = one["outputs"], min(one["some"], one["count"])
    bias = array_at(room, one["bias"], outputs if one["bias"] != 0 else 0)
    taken, made = room[: most * each * seen], room[most * each * seen :]
    for start in range(first, last, one["some"]):
        some = min(one["some"], last - start)
        images = array_at(room, one["x"] + start * image * apart, some * image)
        gather(images, taken, some, _windows(one), _moves(one))
        y = array_at(room, one["y"] + start * size * apart, some * size)
        is_pooled = one["pool_height"] != 0
        to = made.ctypes.data if is_pooled else y.ctypes.data
        shape = some * each, columns, seen, seen, columns, columns
        places = taken.ctypes.data, _matrix(one), to
        product_at(where, room, (PLAIN, PLAIN), shape, places, False)
        if is_pooled:
            winner = array_at(NUMBERS, one["winner"] + start * size, some * size)
            find_largest(made, y, winner, some, _pooled(one), _pool(one), False)
        # The largest of sums with a bias is the sum of the largest with it.
        finish(y, y.size // outputs, outputs, outputs, bias, one["is_ramp"] != 0)


@kernel
def _back(
    where: int, one: Any, room: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of the gradient by what goes into a block, and its share of those by arrays."""
    first, last = share_of(part, of, one["count"], 1)
    (each, seen, columns, image, size), apart = _sizes(one), room.itemsize
    outputs, most = one["outputs"], min(one["some"], one["count"])
    place = one["totals"] + part * (seen * columns + outputs) * apart
    totals = array_at(room, place, seen * columns + outputs)
    sums = totals[seen * columns :]
    for i in range(unsigned(0 if first >= last else seen * columns), unsigned(totals.size)):
        totals[i] = 0
    taken, made = room[: most * each * seen], room[most * each * seen :]
    for start in range(first, last, one["some"]):
        some = min(one["some"], last - start)
        g = array_at(room, one["by_y"] + start * size * apart, some * size)
        y = array_at(room, one["y"] + start * size * apart, some * size)
        _through_ramp(g, y, sums, one["is_ramp"] != 0)
        slopes = g.ctypes.data
        if one["pool_height"] != 0:
            winner = array_at(NUMBERS, one["winner"] + start * size, some * size)
            send_to(g, winner, made, some, _pooled(one), _pool(one))
            slopes = made.ctypes.data
        if one["by_weight"] != 0:
            images = array_at(room, one["x"] + start * image * apart, some * image)
            gather(images, taken, some, _windows(one), _moves(one))
            shape = seen, columns, some * each, seen, columns, columns
            places = taken.ctypes.data, slopes, place
            product_at(where, room, (TURNED, PLAIN), shape, places, start > first)
        if one["by_x"] != 0:
            shape = some * each, seen, columns, columns, columns, seen
            places = slopes, _matrix(one), taken.ctypes.data
            product_at(where, room, (PLAIN, TURNED), shape, places, False)
            images = array_at(room, one["by_x"] + start * image * apart, some * image)
            scatter(taken, images, some, _windows(one), _moves(one))


@kernel
def _sizes(one: Any) -> tuple[int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return windows of an image, K, columns of a product; numbers of an image and its output."""
    each, columns = one["down"] * one["along"], one["outputs"] * one["together"]
    return each, one["rows"] * one["run"], columns, one["height"] * one["length"], one["made"]


@kernel
def _windows(one: Any) -> tuple[int, int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return the sizes that `gather` takes."""
    return one["height"], one["length"], one["down"], one["along"], one["rows"], one["run"]


@kernel
def _moves(one: Any) -> tuple[int, int, int, int]:  # pragma: no cover (compiled)
    return one["by"], one["across"], one["above"], one["before"]


@kernel
def _pooled(one: Any) -> tuple[int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return the sizes that `find_largest` takes."""
    wide = one["along"] * one["together"]
    return one["down"], wide, one["outputs"], one["pooled_down"], one["pooled_along"]


@kernel
def _pool(one: Any) -> tuple[int, int, int, int, int, int]:  # pragma: no cover (compiled)
    """Return how a pool's windows move, as `find_largest` takes it."""
    return (
        one["pool_height"], one["pool_width"], one["pool_down"], one["pool_across"],
        one["pool_above"], one["pool_left"],
    )  # fmt: skip


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
def _gradients(one: Any, like: Array, of: int) -> None:  # pragma: no cover (compiled)
    """Write the gradients by a block's arrays, of which each part has its share."""
    _, seen, columns, _, _ = _sizes(one)
    outputs, together, run = one["outputs"], one["together"], one["run"]
    size, row = seen * columns + outputs, run - (together - 1) * one["step"]
    total = array_at(like, one["totals"], size)
    for part in range(1, of):
        other = array_at(like, one["totals"] + part * size * like.itemsize, size)
        for i in range(unsigned(size)):
            total[i] += other[i]
    if one["by_bias"] != 0:
        found = array_at(like, one["by_bias"], outputs)
        for o in range(outputs):
            found[o] = total[seen * columns + o]
    if one["by_weight"] == 0:
        return
    found = array_at(like, one["by_weight"], one["rows"] * row * outputs)
    for k in range(one["rows"]):
        for r in range(row):
            there = unsigned((k * row + r) * outputs)
            for o in range(unsigned(outputs)):
                found[there + o] = 0
            for p in range(together):
                here = unsigned(((k * run + p * one["step"] + r) * together + p) * outputs)
                for o in range(unsigned(outputs)):
                    found[there + o] += total[here + o]
