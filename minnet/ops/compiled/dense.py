"""A pass forward and back through a dense net, compiled: one kernel from end to end.

Between two calls of kernels Python has to find its way anew through a cache full of weights. Here
there are none: threads share every product, and meet before the next. See `minnet.train.dense`
for what is computed.

Letters: N examples, C classes, U units (a Linear layer and the Ramp or Tanh after it).
"""

from __future__ import annotations

from ...backend import Array
from .activation import tanh
from .jit import array_at, kernel, unsigned
from .loss import cross_entropy
from .product import PLAIN, TURNED, part_of_product
from .team import Turn, does, end, give_word, meet, share_of

__all__ = ["COLUMNS", "RAMP", "TANH", "there_and_back", "through_net", "up_net"]

# What a row says of a unit: where its weight and its bias are (0 for none), the numbers of its
# inputs and outputs, what comes after it (0 for nothing); where its output goes, the gradients by
# that, by the weight (0 where that is not wanted) and by the bias.
COLUMNS = 9
RAMP, TANH = 1, 2
LINE = 16  # columns that aren't parted: a line of a processor's cache


@kernel
def there_and_back(
    turn: Turn,
    where: int,
    units: Array,
    x: int,
    scores: Array,
    targets: Array,
    gradient: Array,
    squares: Array,
    rooms: Array,
    loss: Array,
) -> None:  # pragma: no cover (compiled)
    """Write the loss of a batch, the outputs and the gradients.

    Parameters
    ----------
    turn
        Which part this thread does.
    where
        What `product.address` gives.
    units
        Of shape (U, `COLUMNS`), from the bottom up.
    x
        Where in memory the inputs are, row after row.
    scores, gradient
        The output of the last unit and the gradient by it, of shape (N, C).
    targets
        The class of each example.
    squares
        Of shape (U, 2, parts), to write to: each part's share of the sums of squares of each
        unit's inputs, and of the gradient by its outputs.
    rooms
        Of shape (2, most), of as many numbers as any unit has outputs.
    loss
        Of shape (2,), to write to: the loss, and what no element of a gradient has a square above.
    """
    give_word(turn)
    through_net(turn, where, units, x, 0, scores, targets, gradient, squares, rooms, loss)
    end(turn)


@kernel
def up_net(
    turn: Turn, where: int, units: Array, x: int, count: int, like: Array
) -> None:  # pragma: no cover (compiled)
    """Write the outputs of all units."""
    for u in range(len(units)):
        for part in range(turn[2]):
            if does(turn, part):
                _forward(where, units, u, x, count, like, part, turn[2])
        meet(turn)
        if units[u, 4] == TANH:
            for part in range(turn[2]):
                if does(turn, part):
                    first, last = share_of(part, turn[2], count * units[u, 3], LINE)
                    tanh(array_at(like, units[u, 5] + first * like.itemsize, last - first))
            meet(turn)


@kernel
def through_net(
    turn: Turn,
    where: int,
    units: Array,
    x: int,
    by_x: int,
    scores: Array,
    targets: Array,
    gradient: Array,
    squares: Array,
    rooms: Array,
    loss: Array,
) -> None:  # pragma: no cover (compiled)
    """Do that once the word is given; write the gradient by the inputs to a place, 0 for none."""
    count, of, room = len(targets), turn[2], rooms[0]
    up_net(turn, where, units, x, count, room)
    if turn[1] == 0:
        loss[0], loss[1] = cross_entropy(scores, targets, gradient), 0
    meet(turn)
    for u in range(len(units) - 1, -1, -1):
        for part in range(of):
            if does(turn, part):
                inputs = array_at(room, _inputs(units, u, x), count * units[u, 2])
                squares[u, 0, part] = _squares(inputs, part, of)
                squares[u, 1, part] = _through_activation(units[u], count, room, part, of)
        meet(turn)
        if turn[1] == 0:
            # No element of x.T @ d is larger than the lengths of x and d multiplied (Cauchy and
            # Schwarz); nor is a sum of d than the lengths of a row of ones and d.
            of_x = squares[u, 0].sum()
            loss[1] += (count if of_x < count else of_x) * squares[u, 1].sum()
        for part in range(of):
            if does(turn, part):
                _back(where, units, u, x, by_x, count, room, part, of)
        if u > 0:
            meet(turn)


@kernel
def _inputs(units: Array, u: int, x: int) -> int:  # pragma: no cover (compiled)
    """Return where in memory what goes into a unit is."""
    return x if u == 0 else int(units[u - 1, 5])


@kernel
def _forward(
    where: int, units: Array, u: int, x: int, count: int, like: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of a unit's output."""
    unit, rows, columns = units[u], units[u, 2], units[u, 3]
    bias = array_at(like, unit[1], columns if unit[1] != 0 else 0)
    sizes = count, columns, rows, rows, columns
    places = _inputs(units, u, x), unit[0], unit[5]
    part_of_product(where, like, (PLAIN, PLAIN), sizes, places, bias, unit[4] == RAMP, part, of)


@kernel
def _back(
    where: int,
    units: Array,
    u: int,
    x: int,
    by_x: int,
    count: int,
    like: Array,
    part: int,
    of: int,
) -> None:  # pragma: no cover (compiled)
    """Write a part of the gradients by a unit's weight and by its inputs."""
    unit, rows, columns, none = units[u], units[u, 2], units[u, 3], array_at(like, 0, 0)
    if unit[7] != 0:
        sizes = rows, columns, count, rows, columns
        places = _inputs(units, u, x), unit[6], unit[7]
        part_of_product(where, like, (TURNED, PLAIN), sizes, places, none, False, part, of)
    if u > 0 or by_x != 0:
        sizes = count, rows, columns, columns, columns
        places = unit[6], unit[0], units[u - 1, 6] if u > 0 else by_x
        part_of_product(where, like, (PLAIN, TURNED), sizes, places, none, False, part, of)


@kernel
def _squares(numbers: Array, part: int, of: int) -> float:  # pragma: no cover (compiled)
    """Return a part's share of the sum of squares."""
    first, last = share_of(part, of, numbers.size, 8)
    # Several sums, since they can't wait for each other.
    a = b = c = d = e = f = g = h = numbers.dtype.type(0)
    for i in range(unsigned(first), unsigned(last // 8 * 8), unsigned(8)):
        a += numbers[i] * numbers[i]
        b += numbers[i + unsigned(1)] * numbers[i + unsigned(1)]
        c += numbers[i + unsigned(2)] * numbers[i + unsigned(2)]
        d += numbers[i + unsigned(3)] * numbers[i + unsigned(3)]
        e += numbers[i + unsigned(4)] * numbers[i + unsigned(4)]
        f += numbers[i + unsigned(5)] * numbers[i + unsigned(5)]
        g += numbers[i + unsigned(6)] * numbers[i + unsigned(6)]
        h += numbers[i + unsigned(7)] * numbers[i + unsigned(7)]
    for i in range(unsigned(last // 8 * 8), unsigned(last)):
        a += numbers[i] * numbers[i]
    return float(a + b + c + d + e + f + g + h)


@kernel
def _through_activation(
    unit: Array, count: int, room: Array, part: int, of: int
) -> float:  # pragma: no cover (compiled)
    """Take columns of a gradient back to the Linear layer; write the bias's; sum up squares."""
    columns = unit[3]
    first, last = share_of(part, of, columns, LINE)
    y = array_at(room, unit[5], count * columns)
    gradient = array_at(room, unit[6], count * columns)
    sums = array_at(room, unit[8], columns)
    for j in range(unsigned(first), unsigned(last)):
        sums[j] = 0
        room[j] = 0
    for i in range(count):
        at = unsigned(i * columns)
        if unit[4] == RAMP:
            for j in range(unsigned(first), unsigned(last)):
                one = gradient[at + j]
                gradient[at + j] = one if y[at + j] > 0 else one * 0
        elif unit[4] == TANH:
            for j in range(unsigned(first), unsigned(last)):
                gradient[at + j] -= gradient[at + j] * y[at + j] * y[at + j]
        for j in range(unsigned(first), unsigned(last)):
            one = gradient[at + j]
            sums[j] += one
            room[j] += one * one
    total = 0.0
    for j in range(first, last):
        total += room[j]
    return total
