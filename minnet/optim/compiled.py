"""The step of an optimizer, compiled: once over memory, from all gradients to the new weights.

It does for each element what `Updater` does array by array with NumPy, with L2 and decay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..ops import compiled
from .fading import least
from .optimizers import SGD, Adam, AdamW, Optimizer
from .product import Product
from .stretch import Piece, Stretch

__all__ = ["Job", "Jobs", "takes", "takes_product"]

# What the step of an element takes, in microseconds on a common processor.
ELEMENT = 0.0007
# Bytes of a product to make at a time, and of how many examples at most: with more of them, d is
# too large to be read again and again.
ROOM, MOST = 1 << 16, 256
# Infinity as a whole number, and what leaves out the sign of another.
BITS = {
    np.dtype(np.float32): np.array([0x7F800000, 0x7FFFFFFF], np.int32),
    np.dtype(np.float64): np.array([0x7FF << 52, (1 << 63) - 1], np.int64),
}


class Job(NamedTuple):
    """A piece to make the step of, its flat gradient or `Product`, and the stretch it is of."""

    piece: Piece
    gradient: Any
    stretch: Stretch


def takes(optimizer: Optimizer, piece: Piece, gradient: Any) -> bool:
    """Tell whether a kernel can make the step: of Adam or SGD, the same multiplier everywhere.

    Arrays that are written to where they are read are left to NumPy: compiled loops can't
    know that no number is overwritten too early, and are slow then.
    """
    return (
        type(optimizer) in (SGD, Adam, AdamW)
        and optimizer.clip_value is None
        and isinstance(piece.multiplier, float)
        and piece.mask is None
        and piece.into is not piece.array
        and piece.array.flags.c_contiguous
        and type(piece.array) is np.ndarray
        and (type(gradient) is Product or gradient.flags.c_contiguous)
        and gradient.dtype == piece.array.dtype
        and piece.array.dtype in BITS
    )


def takes_product(optimizer: Optimizer, piece: Piece, product: Product) -> bool:
    """Tell whether a kernel can make the step of a product that is not made yet."""
    return (
        len(product.d) <= MOST
        and piece.array.size == product.room.size
        and product.x.flags.c_contiguous
        and compiled.takes(piece.array)
        and takes(optimizer, piece, product)
    )


class Jobs:
    """Pieces whose steps one kernel makes, all of one dtype.

    Parameters
    ----------
    optimizer
        Whose steps.
    jobs
        The pieces with their gradients, which are of the same arrays in every step.
    """

    def __init__(self, optimizer: Optimizer, jobs: list[Job]) -> None:
        from ..ops.compiled.team import parts, share_stages  # here, since that loads Numba
        from .steps import step

        self._optimizer, self._jobs = optimizer, jobs
        self._dtype = jobs[0].piece.array.dtype
        self._bits = BITS[self._dtype]
        self._panels = [_room_for_panels(job.gradient) for job in jobs]
        rows = [_row(optimizer, *given) for given in zip(jobs, self._panels, strict=True)]
        self._table = np.array(rows, np.int64)
        self._rooms = np.empty((1, max(map(_numbers_to_work_in, jobs))), self._dtype)
        self._work = sum(job.piece.array.size for job in jobs) * ELEMENT
        self._parts, self._share, self._kernel = parts, share_stages, step
        self._numbers, self._bad = np.empty((len(jobs), 8), self._dtype), np.zeros(1, np.int64)

    def step(self, rate: float, shrink: float, checks: bool) -> bool:
        """Make the step of all pieces; with `checks` only if all gradients are finite, and tell.

        Parameters
        ----------
        rate
            The learning rate.
        shrink
            What to multiply gradients with.
        checks
            Whether to look at the gradients; products are known to be finite.
        """
        table, numbers = self._table, self._numbers
        for i, job in enumerate(self._jobs):
            table[i, 2:4] = _places(job.piece)[:2]  # which change places at every step
            if isinstance(job.gradient, Product):
                table[i, 8] = job.gradient.x.ctypes.data
            numbers[i] = _numbers(self._optimizer, job, rate, shrink)
        count = self._parts(self._work)
        if count != self._bad.size:
            self._bad = np.zeros(count, np.int64)
            self._rooms = np.empty((count, self._rooms.shape[1]), self._dtype)
        given = table, numbers, self._bits, checks, self._bad, self._rooms
        self._share(count, self._kernel, *given)
        return not (checks and self._bad.any())


def _places(piece: Piece) -> list[int]:
    """Return where the arrays of a piece are in memory."""
    if piece.places is None:
        arrays = piece.array, piece.into, *piece.state.values()
        piece.places = [array.ctypes.data for array in arrays]
    return piece.places


def _row(optimizer: Optimizer, job: Job, panels: Array) -> list[int]:
    """Return what `steps.step` is told of a job: see `steps.COLUMNS`."""
    from ..ops.compiled.panels import aligned
    from .steps import ADAM, MOMENTUM, PLAIN_STEP

    piece, gradient, _ = job
    kind = ADAM if isinstance(optimizer, Adam) else MOMENTUM if piece.state else PLAIN_STEP
    array, into, *states = _places(piece)
    states += [0] * (2 - len(states))
    if not isinstance(gradient, Product):
        made = gradient.ctypes.data, *states, *[0] * 6
        return [kind, piece.array.size, array, into, *made]
    x, d, room = gradient.x, gradient.d, gradient.room
    places = x.ctypes.data, d.ctypes.data
    product = _rows_at_a_time(gradient), *places, *d.shape, aligned(panels.ctypes.data)
    return [kind, piece.array.size, array, into, room.ctypes.data, *states, *product]


def _rows_at_a_time(product: Product) -> int:
    """Return how many rows of a product to make at a time: whole tiles, near the processor."""
    from ..ops.compiled.tile import ROWS

    length = int(product.d.shape[1] * product.dtype.itemsize)
    return max(1, ROOM // (length * ROWS[-1])) * ROWS[-1]


def _room_for_panels(gradient: Any) -> Array:
    """Return room for the panels of a product's d; none for a gradient that is made."""
    from ..ops.compiled.panels import ALIGNED, width

    if not isinstance(gradient, Product):
        return np.empty(0, gradient.dtype)
    (count, columns), dtype = gradient.d.shape, gradient.dtype
    wide = width(dtype.itemsize)
    return np.empty(-(-columns // wide) * wide * count + ALIGNED // dtype.itemsize, dtype)


def _numbers_to_work_in(job: Job) -> int:
    """Return how many numbers a thread needs room for."""
    from ..ops.compiled.panels import numbers_in

    if not isinstance(job.gradient, Product):
        return 0
    rows, (count, columns) = _rows_at_a_time(job.gradient), job.gradient.d.shape
    return numbers_in(job.gradient.d.itemsize, rows, count, rows * columns)


def _numbers(optimizer: Optimizer, job: Job, rate: float, shrink: float) -> list[float]:
    """Return the numbers that the step of a job takes."""
    piece: Any = job.piece
    factor, decay = rate * piece.multiplier, abs(piece.multiplier) * rate * piece.decay
    own: tuple[float, float, float, float] = (factor, 0.0, 0.0, 0.0)
    if isinstance(optimizer, Adam):
        # See `Adam._divided` for what is divided by what.
        mean, root = optimizer.corrections(job.stretch.count + 1)
        own = optimizer.beta1, optimizer.beta2, optimizer.epsilon / root, mean / root * factor
    elif isinstance(optimizer, SGD) and optimizer.momentum:
        way = (optimizer.momentum * factor, factor) if optimizer.nesterov else (factor, 0.0)
        own = optimizer.momentum, *way, 0.0
    return [shrink, piece.l2, decay, least(piece.array.dtype), *own]
