"""The kernels of optimizers: a whole step of all arrays, from their gradients to the new weights.

Every array is a job: a row of a table that says where in memory it is, and a row of numbers. Each
thread does its share of every job. The gradient is multiplied by `shrink` first, and gets `l2`
times the weight; the change gets `decay` times the weight. Where these are 0 an infinite weight
doesn't come into it. What is remembered and smaller than `least` becomes 0, see
`minnet.optim.fading`.
"""

from __future__ import annotations

import math

from ..backend import Array
from ..ops.compiled.jit import array_at, kernel, unsigned
from ..ops.compiled.product import PLAIN, TURNED, product_at
from ..ops.compiled.team import LINE, Turn, does, end, give_word, meet, share_of

__all__ = ["ADAM", "COLUMNS", "MOMENTUM", "PLAIN_STEP", "step"]

ADAM, MOMENTUM, PLAIN_STEP = 0, 1, 2  # what kind of step
# What a job says: kind, size, where the array, the new one, the gradient and two states are; for a
# gradient that is a product not made yet (else 0): rows to make at a time, where x and d are,
# examples, columns.
COLUMNS = 12


@kernel
def step(
    turn: Turn, where: int, jobs: Array, numbers: Array, bits: Array, checks: bool, bad: Array
) -> None:  # pragma: no cover (compiled)
    """Make the step of all jobs; with `checks`, only if all gradients that are made are finite.

    Parameters
    ----------
    turn
        Which part this thread does.
    where
        What `ops.compiled.product.address` gives.
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
                    _do(where, jobs[job], numbers[job], part, of)
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
def _do(
    where: int, job: Array, numbers: Array, part: int, of: int
) -> None:  # pragma: no cover (compiled)
    """Do a part of a job."""
    size, rows, columns, wide = job[1], job[7], job[11], numbers.itemsize
    if rows == 0:
        first, last = share_of(part, of, size, LINE)
        if last > first:
            _go(job, numbers, job[4] + first * wide, first, last)
        return
    # The gradient x.T @ d is never all there: so many rows at a time are, in the first ones of
    # its room that are this part's.
    first, last = share_of(part, of, size // columns, 1)
    room, inputs = job[4] + first * columns * wide, size // columns
    for start in range(first, last, rows):
        stop = min(start + rows, last)
        sizes = stop - start, columns, job[10], inputs, columns, columns
        places = job[8] + start * wide, job[9], room
        product_at(where, numbers, (TURNED, PLAIN), sizes, places)
        _go(job, numbers, room, start * columns, stop * columns)


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
