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
from .panels import FEWEST, product_by_panels
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
    room: Array,
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
    room
        As many numbers as any unit has outputs.
    rooms
        Of shape (parts, numbers), for each thread to work in: see `panels.numbers_in`;
        none on top of blocks, whose own room is to stay small.
    loss
        Of shape (2,), to write to: the loss, and what no element of a gradient has a square above.
    """
    give_word(turn)
    through_net(turn, where, units, x, 0, scores, targets, gradient, squares, room, rooms, loss)
    end(turn)


@kernel
def up_net(
    turn: Turn, where: int, units: Array, x: int, count: int, rooms: Array
) -> None:  # pragma: no cover (compiled)
    """Write the outputs of all units."""
    for u in range(len(units)):
        unit = units[u]
        sizes, places = (count, unit[3], unit[2]), (_inputs(units, u, x), unit[0], unit[5])
        _product(turn, where, rooms[turn[1]], False, sizes, places, unit[1], unit[4] == RAMP)
        meet(turn)
        if units[u, 4] == TANH:
            for part in range(turn[2]):
                if does(turn, part):
                    first, last = share_of(part, turn[2], count * units[u, 3], LINE)
                    place = units[u, 5] + first * rooms.itemsize
                    tanh(array_at(rooms, place, last - first))
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
    room: Array,
    rooms: Array,
    loss: Array,
) -> None:  # pragma: no cover (compiled)
    """Do that once the word is given; write the gradient by the inputs to a place, 0 for none."""
    count, of = len(targets), turn[2]
    up_net(turn, where, units, x, count, rooms)
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
        if u > 0 or by_x != 0:
            sizes = count, units[u, 2], units[u, 3]
            places = units[u, 6], units[u, 0], units[u - 1, 6] if u > 0 else by_x
            _product(turn, where, rooms[turn[1]], True, sizes, places, 0, False)
        if units[u, 7] != 0:
            for part in range(of):
                if does(turn, part):
                    _by_weight(where, units[u], _inputs(units, u, x), count, room, part, of)
        if u > 0:
            meet(turn)


@kernel
def _inputs(units: Array, u: int, x: int) -> int:  # pragma: no cover (compiled)
    """Return where in memory what goes into a unit is."""
    return x if u == 0 else int(units[u - 1, 5])


@kernel
def _product(
    turn: Turn,
    where: int,
    room: Array,
    is_turned: bool,
    sizes: tuple[int, int, int],
    places: tuple[int, int, int],
    bias: int,
    is_ramp: bool,
) -> None:  # pragma: no cover (compiled)
    """Write what of a product this thread does: by panels, if it is of many rows and there is room.

    Otherwise BLAS does it. See `product_by_panels`.
    """
    m, n, k = sizes
    if m >= FEWEST and room.size > 0:
        product_by_panels(turn, room, is_turned, sizes, places, bias, is_ramp)
        return
    row = array_at(room, bias, n if bias != 0 else 0)
    turns = PLAIN, TURNED if is_turned else PLAIN
    lengths = m, n, k, k, k if is_turned else n
    for part in range(turn[2]):
        if does(turn, part):
            part_of_product(where, room, turns, lengths, places, row, is_ramp, part, turn[2])


@kernel
def _by_weight(
    where: int, unit: Array, x: int, count: int, like: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Write a part of the gradient by a unit's weight."""
    rows, columns = unit[2], unit[3]
    turns, sizes = (TURNED, PLAIN), (rows, columns, count, rows, columns)
    part_of_product(where, like, turns, sizes, (x, unit[6], unit[7]), like[:0], False, part, of)


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
