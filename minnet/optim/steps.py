"""The kernels of optimizers: a whole step of all arrays, from their gradients to the new weights.

Every array is a job: a row of a table that says where in memory it is, and a row of numbers.
Threads do a piece of a job at a time. The gradient is multiplied by `shrink` first, and gets `l2`
times the weight; the change gets `decay` times the weight. Where these are 0 an infinite weight
doesn't come into it. What is remembered and smaller than `least` becomes 0, see
`minnet.optim.fading`.
"""

from __future__ import annotations

import math

from ..backend import Array
from ..ops.compiled.jit import array_at, kernel, unsigned
from ..ops.compiled.panels import fill, width, write_offsets
from ..ops.compiled.team import LINE, Turn, claim, does, end, give_word, meet, share_of
from ..ops.compiled.tile import multiply

__all__ = ["ADAM", "COLUMNS", "MOMENTUM", "PLAIN_STEP", "step"]

ADAM, MOMENTUM, PLAIN_STEP = 0, 1, 2  # what kind of step
# What a job says: kind, size, where the array, the new one, the gradient and two states are; for a
# gradient that is a product not made yet (else 0): rows to make at a time, where x and d are,
# examples, columns, where there is room for the panels of d.
COLUMNS = 13
PIECE = 1 << 14  # elements of an array whose gradient is made that a thread does at a time


@kernel
def step(
    turn: Turn,
    jobs: Array,
    numbers: Array,
    bits: Array,
    checks: bool,
    bad: Array,
    rooms: Array,
) -> None:  # pragma: no cover (compiled)
    """Make the step of all jobs; with `checks`, only if all gradients that are made are finite.

    Parameters
    ----------
    turn
        Which part this thread does.
    jobs
        Of shape (J, `COLUMNS`).
    numbers
        Of shape (J, 8), what the kind of step takes.
    bits
        The infinity of the numbers' dtype, as a whole number of as many bytes.
    checks
        Whether to look at gradients.
    bad
        For each part, to write whether there was one that isn't finite.
    rooms
        Of shape (parts, numbers), for each thread to work in: see `numbers_in`.
    """
    give_word(turn)
    of, is_fine = turn[2], True
    if checks:
        for part in range(of):
            if does(turn, part):
                bad[part] = _has_infinite(jobs, bits, part, of)
        meet(turn)
        for part in range(of):
            is_fine = is_fine and bad[part] == 0
    if is_fine:
        for part in range(of):
            if does(turn, part):
                for job in range(len(jobs)):
                    _fill_panels(jobs[job], numbers[job], part, of)
        meet(turn)
        _do_all(turn, jobs, numbers, rooms[turn[1]])
    end(turn)


@kernel
def _has_infinite(
    jobs: Array, bits: Array, part: int, of: int
) -> bool:  # pragma: no cover (compiled)
    """Tell whether a part of any gradient that is made holds NaN or infinity."""
    for job in range(len(jobs)):
        first, last = share_of(part, of, jobs[job, 1], LINE)
        if jobs[job, 7] == 0 and last > first:
            place = jobs[job, 4] + first * bits.itemsize
            if _largest(array_at(bits, place, last - first), bits[1]) >= bits[0]:
                return True
    return False


@kernel
def _largest(numbers: Array, mask: int) -> int:  # pragma: no cover (compiled)
    """Return the largest of numbers that are seen as whole ones, without their sign."""
    largest = mask - mask
    for i in range(unsigned(numbers.size)):
        one = numbers[i] & mask
        largest = one if one > largest else largest
    return largest


@kernel
def _fill_panels(
    job: Array, like: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Copy a part of the panels of d, if the gradient is a product: every few rows need all."""
    rows, count, columns, size = job[7], job[10], job[11], like.itemsize
    if rows == 0:
        return
    wide = width(size)
    first, last = share_of(part, of, -(-columns // wide), 1)
    for start in range(first * wide, min(last * wide, columns), wide):
        panel = job[12] + start * count * size
        some = min(wide, columns - start)
        fill(like, job[9] + start * size, count, some, columns, panel, wide)


@kernel
def _do_all(
    turn: Turn, jobs: Array, numbers: Array, room: Array
) -> None:  # pragma: no cover (compiled)
    """Do what of all jobs this thread gets to do."""
    at, before = claim(turn, -1), 0
    for j in range(len(jobs)):
        job = jobs[j]
        length, together = job[1], PIECE
        if job[7] != 0:
            length, together = job[1] // job[11], job[7]
        pieces = -(-length // together)
        while at < before + pieces:
            first = (at - before) * together
            _do(job, numbers[j], room, first, min(first + together, length))
            at = claim(turn, at)
        before += pieces


@kernel
def _do(
    job: Array, numbers: Array, room: Array, first: int, last: int
) -> None:  # pragma: no cover (compiled)
    """Do some elements of a job or, where its gradient is a product, rows."""
    rows, count, columns, size = last - first, job[10], job[11], numbers.itemsize
    if job[7] == 0:
        _go(job, numbers, job[4] + first * size, first, last)
        return
    # The gradient x.T @ d is never all there, only these rows of it.
    inputs, wide = job[1] // columns, width(size)
    apart = 1, inputs, columns
    of_rows, steps, targets, made = write_offsets(room, (rows, count, rows), apart)
    for start in range(0, columns, wide):
        multiply(
            numbers.dtype.type(0), job[8] + first * size, of_rows, rows, steps, count,
            job[12] + start * count * size, wide, made + start * size, targets,
            min(wide, columns - start), False,
        )  # fmt: skip
    _go(job, numbers, made, first * columns, last * columns)


@kernel
def _go(
    job: Array, numbers: Array, gradient: int, first: int, last: int
) -> None:  # pragma: no cover (compiled)
    """Make the step of some elements, whose gradient is at a place in memory."""
    count, apart = last - first, first * numbers.itemsize
    array = array_at(numbers, job[2] + apart, count)
    into = array_at(numbers, job[3] + apart, count)
    slopes = array_at(numbers, gradient, count)
    if job[0] == ADAM:
        total = array_at(numbers, job[5] + apart, count)
        squares = array_at(numbers, job[6] + apart, count)
        _adam(array, into, slopes, total, squares, numbers)
    elif job[0] == MOMENTUM:
        _momentum(array, into, slopes, array_at(numbers, job[5] + apart, count), numbers)
    else:
        _plain(array, into, slopes, numbers)


@kernel
def _adam(
    array: Array, into: Array, gradient: Array, total: Array, squares: Array, numbers: Array
) -> None:  # pragma: no cover (compiled)
    """Make Adam's step: see `Adam._divided` for what is divided by what."""
    shrink, l2, decay, least = numbers[0], numbers[1], numbers[2], numbers[3]
    beta1, beta2, epsilon, factor = numbers[4], numbers[5], numbers[6], numbers[7]
    for i in range(unsigned(array.size)):
        g, weight = gradient[i] * shrink, array[i]
        if l2 != 0:
            g += l2 * weight
        faded = total[i] * beta1 + g
        square = squares[i] * beta2 + g * g
        # Choices rather than branches, so that they become vector instructions.
        faded = faded - faded if abs(faded) < least else faded
        square = square - square if square < least else square
        total[i], squares[i] = faded, square
        change = faded / (math.sqrt(square) + epsilon) * factor
        if decay != 0:
            change += decay * weight
        into[i] = weight - change


@kernel
def _momentum(
    array: Array, into: Array, gradient: Array, velocity: Array, numbers: Array
) -> None:  # pragma: no cover (compiled)
    """Make the step of SGD with momentum, of the velocity and, for Nesterov's, the gradient."""
    shrink, l2, decay, least = numbers[0], numbers[1], numbers[2], numbers[3]
    fading, factor, ahead = numbers[4], numbers[5], numbers[6]
    for i in range(unsigned(array.size)):
        g, weight = gradient[i] * shrink, array[i]
        if l2 != 0:
            g += l2 * weight
        new = velocity[i] * fading + g
        new = new - new if abs(new) < least else new
        velocity[i] = new
        change = new * factor
        if ahead != 0:
            change += g * ahead
        if decay != 0:
            change += decay * weight
        into[i] = weight - change


@kernel
def _plain(
    array: Array, into: Array, gradient: Array, numbers: Array
) -> None:  # pragma: no cover (compiled)
    """Make the step of SGD."""
    shrink, l2, decay, factor = numbers[0], numbers[1], numbers[2], numbers[4]
    for i in range(unsigned(array.size)):
        g, weight = gradient[i] * shrink, array[i]
        if l2 != 0:
            g += l2 * weight
        change = g * factor
        if decay != 0:
            change += decay * weight
        into[i] = weight - change
