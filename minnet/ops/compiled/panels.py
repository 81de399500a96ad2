"""Products with a large matrix, compiled: some columns of it at a time are copied to a panel.

The rows of a weight are far apart in memory, and a tile of a product needs a few numbers of each
(see `tile`). In a panel they are side by side, and near: it is used for all rows of the first
matrix, then for the next columns.
"""

from __future__ import annotations

from ...backend import Array
from .jit import array_at, kernel, moved, place_of, unsigned
from .product import finish
from .team import Turn, claim, share_of
from .tile import BYTES, OFFSETS, ROWS, VECTORS, multiply

__all__ = [
    "ALIGNED",
    "FEWEST",
    "aligned",
    "fill",
    "numbers_in",
    "product_by_panels",
    "width",
    "write_offsets",
]

# Rows of a first matrix for which it is worth copying the second. With shorter vectors BLAS is
# quicker: panels are narrow then, and the first matrix is gone over as many times more.
FEWEST = max(ROWS) if BYTES == 64 else 1 << 30
ALIGNED = 64  # bytes, at multiples of which panels begin: vectors across two lines take longer
TOGETHER = 16  # columns to transpose at a time


def numbers_in(itemsize: int, rows: int, steps: int, others: int | None = None) -> int:
    """Return of how many numbers a room is to be for `write_offsets` and what comes after them.

    Parameters
    ----------
    itemsize
        Bytes of a number.
    rows, steps
        The most rows of a first matrix, and numbers in one of them.
    others
        How many numbers come after; None for a panel.

    Examples
    --------
    >>> from minnet.ops.compiled.panels import numbers_in
    >>> numbers_in(8, 2, 10, 3)  # 2 + 10 + 2 + 3, and more to begin where panels do
    64
    """
    offsets = ((2 * rows + steps) * OFFSETS.itemsize + ALIGNED) // itemsize
    size = offsets + (steps * width(itemsize) if others is None else others)
    return -(-size // ALIGNED) * ALIGNED  # rooms lie one after another


@kernel
def width(itemsize: int) -> int:
    """Return how many columns a panel has, if there are so many: as many as a tile."""
    return BYTES // itemsize * VECTORS


@kernel
def product_by_panels(
    turn: Turn,
    room: Array,
    is_turned: bool,
    sizes: tuple[int, int, int],
    places: tuple[int, int, int],
    bias: int,
    is_ramp: bool,
) -> None:  # pragma: no cover (compiled)
    """Write the panels of a product that this thread gets to do.

    Parameters
    ----------
    turn
        Which part this thread is.
    room
        Its own, to work in: see `numbers_in`.
    is_turned
        Whether the second matrix is there as its transpose.
    sizes
        Rows, columns, and what is summed over; all matrices' rows lie side by side.
    places
        Where the two are, and where the product goes.
    bias
        Where what is added to each row of the product is; 0 for nothing.
    is_ramp
        Whether to write 0 for what is negative.
    """
    (m, n, k), (a, b, out), size = sizes, places, room.itemsize
    rows, steps, targets, panel = write_offsets(room, (m, k, m), (k, 1, n))
    lanes, wide, row = BYTES // size, width(size), array_at(room, bias, n if bias != 0 else 0)
    count = _panels(-(-n // lanes), turn[2])
    at = claim(turn, -1)
    while at < count:
        first, last = share_of(at, count, n, lanes)
        if is_turned:
            _fill_turned(room, b + first * k * size, last - first, k, panel, wide)
        else:
            fill(room, b + first * size, k, last - first, n, panel, wide)
        multiply(
            room.dtype.type(0), a, rows, m, steps, k, panel, wide, out + first * size, targets,
            last - first, False,
        )  # fmt: skip
        if row.size or is_ramp:
            made = array_at(room, out + first * size, (m - 1) * n + last - first)
            finish(made, m, last - first, n, row[first:], is_ramp)
        at = claim(turn, at)


@kernel
def _panels(vectors: int, of: int) -> int:  # pragma: no cover (compiled)
    """Return among how many panels to part so many vectors of columns: as many for each thread."""
    panels = -(-vectors // VECTORS)
    return min(vectors, -(-panels // of) * of)


@kernel
def write_offsets(
    room: Array, counts: tuple[int, int, int], apart: tuple[int, int, int]
) -> tuple[int, int, int, int]:  # pragma: no cover (compiled)
    """Write what a tile is told, where a room begins; return where each is, and what comes after.

    Parameters
    ----------
    room
        To write to: see `numbers_in`.
    counts
        How many rows and numbers in each the first matrix has, and rows the product.
    apart
        How far each is from the one before.
    """
    there = place_of(room)
    for count, step in zip(counts, apart):  # noqa: B905 (Numba knows no strict)
        offsets = array_at(OFFSETS, there, count)
        for i in range(count):
            offsets[i] = i * step
        there += count * OFFSETS.itemsize
    rows = place_of(room)
    steps = rows + counts[0] * OFFSETS.itemsize
    return rows, steps, steps + counts[1] * OFFSETS.itemsize, aligned(there)


@kernel
def aligned(place: int) -> int:
    """Return the first place in memory, from one on, where a line of the cache begins.

    Examples
    --------
    >>> from minnet.ops.compiled.panels import aligned
    >>> aligned(64), aligned(65)
    (64, 128)
    """
    return -(-place // ALIGNED) * ALIGNED


@kernel
def fill(
    like: Array, matrix: int, rows: int, columns: int, apart: int, panel: int, wide: int
) -> None:  # pragma: no cover (compiled)
    """Copy some columns of a matrix to a panel.

    Parameters
    ----------
    like
        An array of the numbers' dtype.
    matrix, rows, columns, apart
        Where they begin, how many there are, and how far rows are apart.
    panel, wide
        Where that is, and how far its rows are apart.
    """
    size = like.itemsize
    for i in range(rows):
        row = array_at(like, matrix + i * apart * size, columns)
        moved(array_at(like, panel + i * wide * size, columns), 0, row, 0, columns)


@kernel
def _fill_turned(
    like: Array, matrix: int, rows: int, columns: int, panel: int, wide: int
) -> None:  # pragma: no cover (compiled)
    """Copy the transpose of some rows of a matrix to a panel, a few columns at a time."""
    numbers = array_at(like, matrix, rows * columns)
    turned = array_at(like, panel, (columns - 1) * wide + rows)
    for start in range(unsigned(0), unsigned(columns), unsigned(TOGETHER)):
        stop = min(start + unsigned(TOGETHER), unsigned(columns))
        for i in range(unsigned(rows)):
            here, there = i * unsigned(columns), start * unsigned(wide) + i
            for j in range(start, stop):
                turned[there] = numbers[here + j]
                there += unsigned(wide)
