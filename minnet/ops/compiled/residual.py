"""Convolutions with BatchNorm and residual sums, compiled: an image at a time, while it is near.

Each convolution's output and each sum is gone over several times: for the mean, for what is apart
from that, to scale, to add, for the ramp. Here an image of it goes through all of that while it is
in the processor's cache. Only where BatchNorm needs the whole batch threads meet: after the
convolutions of a sum on the way up, after the gradient by it on the way down.

Letters: J sums, B branches (a convolution and its BatchNorm), C channels of the widest.
"""

from __future__ import annotations

from typing import Any

from ...backend import Array
from .block import (
    back_image,
    clear,
    forward_image,
    turn_around,
    turn_weight,
    write_gradients,
)  # fmt: skip
from .jit import array_at, kernel, unsigned
from .moments import (
    add_moments,
    add_sums,
    gather,
    join,
    through_moments,
    through_norm,
    write_numbers,
)  # fmt: skip
from .team import Turn, claim, does, end, give_word, meet, pieces, share_of

__all__ = ["down", "up"]


@kernel
def up(
    turn: Turn,
    sums: Array,
    branches: Array,
    blocks: Array,
    lists: tuple[Array, Array],
    epsilons: Array,
    rooms: tuple[Array, Array],
    moments: Array,
    known: Array,
) -> None:  # pragma: no cover (compiled)
    """Write all sums and the outputs of all convolutions.

    Parameters
    ----------
    turn
        Which part this thread does.
    sums, branches, blocks
        Tables of `table.SUM`, `table.BRANCH` and, for their convolutions, `table.BLOCK`. The
        branches that take the same sum stand side by side.
    lists
        By sum, the numbers of the branches and those of the earlier sums that are added up in it,
        each after how many they are.
    epsilons
        Of each BatchNorm.
    rooms
        For each thread, room for `block` to work in, and for some rows.
    moments
        Of shape (B, pieces, 2, C), to write to: the mean of each channel in a piece's images, and
        the sum of squares of what is apart from it.
    known
        Of shape (B, 3, C): mean, variance and the inverse of its root, as BatchNorm uses them. To
        write to, where it is not fixed.
    """
    give_word(turn)
    room, row, (members, shortcuts) = rooms[0][turn[1]], rooms[1][turn[1]], lists
    count = pieces(sums[0]["count"], turn[2])
    for j in range(len(sums)):
        one, piece = sums[j], claim(turn, -1)
        while piece < count:
            first, last = share_of(piece, count, one["count"], 1)
            for n in range(first, last):
                _add_up(sums, j, branches, members[j], shortcuts[j], n, room)
                for b in range(one["first_reader"], one["last_reader"]):
                    forward_image(blocks[b], n, room)
                    if branches[b]["is_fixed"] == 0:
                        add_moments(blocks[b], n, n - first, row, moments[b, piece])
            piece = claim(turn, piece)
        meet(turn)
        if turn[1] == 0:
            for b in range(one["first_reader"], one["last_reader"]):
                if branches[b]["is_fixed"] == 0:
                    join(moments[b], blocks[b], epsilons[b], known[b])
                write_numbers(branches[b], blocks[b], known[b], room)
        meet(turn)
    end(turn)


@kernel
def _add_up(
    sums: Array, j: int, branches: Array, members: Array, shortcuts: Array, n: int, like: Array
) -> None:  # pragma: no cover (compiled)
    """Write a sum for an image, row by row; the first one is there."""
    one, size, count = sums[j], like.itemsize, members[0]
    if j == 0:
        return
    length = unsigned(one["length"])
    for row in range(one["height"]):
        at = (n * one["height"] + row) * one["length"] * size
        x = array_at(like, one["x"] + at, one["length"])
        for k in range(count):
            branch = branches[members[1 + k]]
            z = array_at(like, branch["z"] + at, one["length"])
            numbers = array_at(like, branch["numbers"], 3 * one["length"])
            mean, factor, shift = numbers, numbers[length:], numbers[unsigned(2) * length :]
            if k == 0:
                for i in range(length):
                    x[i] = (z[i] - mean[i]) * factor[i] + shift[i]
            else:
                for i in range(length):
                    x[i] += (z[i] - mean[i]) * factor[i] + shift[i]
        for k in range(shortcuts[0]):
            other = array_at(like, sums[shortcuts[1 + k]]["x"] + at, one["length"])
            if k + count == 0:
                for i in range(length):
                    x[i] = other[i]
            else:
                for i in range(length):
                    x[i] += other[i]
        if one["is_ramp"] != 0:
            for i in range(length):
                number = x[i]
                # What is not a number stays so.
                x[i] = number if number > 0 or number != number else number * 0


# --- back -------------------------------------------------------------------------------------


@kernel
def down(
    turn: Turn,
    sums: Array,
    branches: Array,
    blocks: Array,
    arounds: Array,
    lists: tuple[Array, Array],
    rooms: tuple[Array, Array],
    moments: Array,
    known: Array,
) -> None:  # pragma: no cover (compiled)
    """Write the gradients by all arrays and sums that are wanted; where one goes is else 0.

    Parameters
    ----------
    turn, sums, branches, blocks, lists, rooms, known
        As in `up`.
    arounds
        For each convolution the one that makes of the gradient by its output that by its input,
        a table of `table.BLOCK`; of 0 where it had better be spread.
    moments
        Of shape (B, pieces, 2, C), to write to: each piece's sum of the gradient by the sum that a
        branch is in, and of it times what is apart from the mean.
    """
    give_word(turn)
    of, room = turn[2], rooms[0][turn[1]]
    for part in range(of):
        if does(turn, part):
            for b in range(len(blocks)):
                if blocks[b]["by_x"] != 0:
                    turn_weight(blocks[b], room, part, of)
                if arounds[b]["y"] != 0:
                    turn_around(arounds[b], blocks[b]["weight"], room, part, of)
    meet(turn)
    count = pieces(sums[0]["count"], of)
    for j in range(len(sums) - 1, -1, -1):
        piece = claim(turn, -1)
        while piece < count:
            _down_to(sums, j, branches, blocks, arounds, lists, rooms, moments, turn[1], piece)
            piece = claim(turn, piece)
        meet(turn)
        if turn[1] == 0 and sums[j]["gradient"] != 0:
            for k in range(lists[0][j, 0]):
                b = lists[0][j, 1 + k]
                through_moments(branches[b], blocks[b], moments[b], known[b], room)
        for part in range(of):
            if does(turn, part):
                for b in range(sums[j]["first_reader"], sums[j]["last_reader"]):
                    write_gradients(blocks[b], room, count, part, of)
        meet(turn)
    end(turn)


@kernel
def _down_to(
    sums: Array,
    j: int,
    branches: Array,
    blocks: Array,
    arounds: Array,
    lists: tuple[Array, Array],
    rooms: tuple[Array, Array],
    moments: Array,
    own: int,
    piece: int,
) -> None:  # pragma: no cover (compiled)
    """Write the gradient by a sum for a piece's images, and its share of those by weights.

    Gradients by an image of a convolution are in the room of this thread, that of this number.
    """
    one, room, row = sums[j], rooms[0][own], rooms[1][own]
    size, numbers = room.itemsize, one["height"] * one["length"]
    for b in range(one["first_reader"], one["last_reader"]):
        clear(blocks[b], room, piece)
    first, last = share_of(piece, moments.shape[1], one["count"], 1)
    for n in range(first, last):
        at = n * numbers * size
        gradient = array_at(room, one["gradient"] + at, numbers if one["gradient"] != 0 else 0)
        is_there = False
        if one["given"] != 0:
            is_there = _bring(gradient, array_at(room, one["given"] + at, numbers), is_there)
        for t in range(j + 1, len(sums)):
            for k in range(lists[1][t, 0]):
                if lists[1][t, 1 + k] == j and gradient.size:
                    later = array_at(room, sums[t]["gradient"] + at, numbers)
                    is_there = _bring(gradient, later, is_there)
        for b in range(one["first_reader"], one["last_reader"]):
            place = blocks[b]["by_x"] + arounds[b]["y"]  # one of them
            if place + blocks[b]["by_weight"] + blocks[b]["by_bias"] != 0:
                above = sums[branches[b]["sum"]]["gradient"]
                through_norm(branches[b], blocks[b], above, n, own, room)
                back_image(blocks[b], n, own, own, room, piece)
            if arounds[b]["y"] != 0:
                forward_image(arounds[b], own, room)
            if gradient.size:
                by_x = array_at(room, place + own * numbers * size, numbers)
                is_there = _bring(gradient, by_x, is_there)
        if gradient.size:
            _through_sum(one, branches, lists[0][j], n, gradient, row)
            for k in range(lists[0][j, 0]):
                add_sums(row, 1 + k, one, moments[lists[0][j, 1 + k], piece], n == first)


@kernel
def _bring(gradient: Array, other: Array, adds: bool) -> bool:  # pragma: no cover (compiled)
    """Write numbers to a gradient or add them; say that there is something now."""
    if adds:
        for i in range(unsigned(gradient.size)):
            gradient[i] += other[i]
    else:
        for i in range(unsigned(gradient.size)):
            gradient[i] = other[i]
    return True


@kernel
def _through_sum(
    one: Any, branches: Array, members: Array, n: int, gradient: Array, rows: Array
) -> None:  # pragma: no cover (compiled)
    """Take an image of a gradient back through the ramp, and add it up as BatchNorm needs it.

    In rows: the gradient and, for each branch in the sum, it times what is apart from the mean.
    """
    size, numbers, count = rows.itemsize, one["length"], members[0]
    length = unsigned(numbers)
    for i in range(unsigned((1 + count) * numbers)):
        rows[i] = 0
    for row in range(one["height"]):
        at = (n * one["height"] + row) * numbers * size
        g = gradient[row * numbers : (row + 1) * numbers]
        if one["is_ramp"] != 0:
            x = array_at(rows, one["x"] + at, numbers)
            for i in range(length):
                number = g[i]
                g[i] = number if x[i] > 0 else number * 0
        for i in range(length):
            rows[i] += g[i]
        for k in range(count):
            branch = branches[members[1 + k]]
            z = array_at(rows, branch["z"] + at, numbers)
            mean = array_at(rows, branch["numbers"], numbers)
            along = rows[unsigned(1 + k) * length :]
            for i in range(length):
                along[i] += g[i] * (z[i] - mean[i])
    for k in range(1 + count):
        gather(rows[unsigned(k) * length :], numbers, one["channels"])
