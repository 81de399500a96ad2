"""Blocks at the beginning of a net, each a Conv with its MaxPool and Ramp, planned for one kernel.

What a batch goes through is known once its shape is. So where everything is, and how far to go
from there, is written down once, and the kernel finds its own way (`minnet.ops.compiled.blocks`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff import value
from ..backend import Array
from ..buffers import new_array
from ..layers import Conv, MaxPool, Ramp
from ..layers.base import Layer
from ..ops import compiled, wide, winograd
from ..ops.compiled.table import BLOCK, COLUMN
from ..ops.sweep import Sweep

__all__ = ["Block", "Blocks", "blocks_of", "place"]

MOST = 256  # elements of a pool's window, of which one is remembered in a byte
APART = 64  # arrays begin at multiples of so many bytes: a line of a processor's cache
# Columns of what a kernel is told of blocks.
X, Y, WEIGHT, BIAS, MATRIX, WINNER, BY_X, BY_Y = (
    COLUMN[name] for name in ("x", "y", "weight", "bias", "matrix", "winner", "by_x", "by_y")
)
INSIDE = [MATRIX, Y, WINNER, BY_Y]  # of what is in the room of the blocks


@dataclass(frozen=True)
class Block:
    """A Conv, the MaxPool after it, if there is one, and whether there is a Ramp as well."""

    key: Any
    conv: Conv
    pool: MaxPool | None
    is_ramp: bool

    @property
    def weight(self) -> Any:
        """Its weight, a Tensor where that is trained."""
        return self.conv.arrays_here["weight"]

    @property
    def bias(self) -> Any:
        """Its bias, or None."""
        return self.conv.arrays_here.get("bias")


def blocks_of(layers: Sequence[tuple[Any, Layer]]) -> tuple[list[Block], int]:
    """Return the blocks at the beginning of layers, and how many layers they are.

    The largest of ramps is the ramp of the largest, so either may come first.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.net.planned import blocks_of
    >>> net = mn.models.lenet(10).initialize()
    >>> blocks, count = blocks_of(net.children())
    >>> [block.key for block in blocks], count
    (['conv1', 'conv2'], 6)
    """
    blocks: list[Block] = []
    at = 0
    while at < len(layers) and _is_plain(layers[at][1]):
        key, conv = layers[at]
        after = [part for _, part in layers[at + 1 : at + 3]]
        kinds = [type(part) for part in after]
        count = 2 if set(kinds) == {Ramp, MaxPool} else int(kinds[:1] in ([Ramp], [MaxPool]))
        pools = [part for part in after[:count] if isinstance(part, MaxPool)]
        assert isinstance(conv, Conv)
        blocks.append(Block(key, conv, pools[0] if pools else None, Ramp in kinds[:count]))
        at += 1 + count
    return blocks, at


def _is_plain(layer: Layer) -> bool:
    """Tell a convolution of images that wide windows do."""
    return (
        type(layer) is Conv
        and layer.dimensions == 2
        and layer.groups == 1
        and bool(np.max(layer.dilation) == 1)
        and "weight" in layer.arrays_here
        and layer.bias == ("bias" in layer.arrays_here)
    )


class Blocks:
    """The plan of blocks for batches of a shape.

    Parameters
    ----------
    blocks
        The blocks.
    x
        Such a batch.
    trains
        Whether room is wanted for the gradients by what comes out of each.

    Attributes
    ----------
    is_fitting
        Whether the kernel takes them, and there is no better way for a convolution.
    work
        How many microseconds a thread takes to go up through them, about.
    shape
        Of what comes out.

    Raises
    ------
    ShapeError
        If the batch doesn't fit the blocks.
    """

    def __init__(self, blocks: Sequence[Block], x: Array, trains: bool = False) -> None:
        self._blocks, self._dtype, self.shape = blocks, x.dtype, x.shape
        self.work, self.is_fitting, rows = 0.0, True, []
        for block in blocks:
            rows.append(self._row(block, x))
        # Numbers, since NumPy copies tables with named columns one by one.
        self._rows = np.array([list(row.values()) for row in rows], np.int64)
        self._between = max(map(compiled.blocks.numbers_between, rows))
        self._size = self._lay_out(rows, trains)

    def _row(self, block: Block, x: Array) -> dict[str, int]:
        """Return what is known of a block for a batch; say what comes out, to go on from there."""
        weight = value(block.weight)
        block.conv.check_arrays(self.shape[1:])
        sweep = Sweep.over(self.shape, weight.shape[:-2], *block.conv._moves())
        self.shape, pool = (len(x), *sweep.positions, weight.shape[-1]), None
        is_better = winograd.suits(x, weight.shape[-1], sweep)
        if block.pool is not None:
            pool = Sweep.over(self.shape, *block.pool._sizes(), block.pool.padding)
            self.shape = (len(x), *pool.positions, weight.shape[-1])
            is_better = is_better or math.prod(pool.window) > MOST
        windows = wide.widened(sweep, weight.shape[-1], wide.COMPILED)
        self.work += sweep.count * windows.correlate_cost / 1000
        self.is_fitting = self.is_fitting and not is_better
        given = windows, pool, block.is_ramp, self.shape, x.itemsize
        found: dict[str, int] = compiled.blocks.block(*given)
        return found

    def _lay_out(self, rows: list[dict[str, int]], trains: bool) -> int:
        """Write down how far from the beginning of their room arrays are; return its size.

        They are the weights as matrices, what comes out of each block, which of a pool's window
        that was, and gradients. What goes into a block is what comes out of the one before.
        """
        size, itemsize = 0, self._dtype.itemsize
        for i, row in enumerate(rows):
            numbers = row["count"] * row["made"]
            matrix = 0 if row["together"] == 1 else compiled.blocks.numbers_of_matrix(row)
            sizes = {MATRIX: matrix * itemsize, Y: numbers * itemsize, WINNER: numbers}
            if trains:
                sizes[BY_Y] = numbers * itemsize
            for column, wanted in sizes.items():
                self._rows[i, column] = size
                size += -(-wanted // APART) * APART
        return size

    def room(self) -> tuple[Array, Array]:
        """Return room for the arrays of the blocks, and rows that say where they are in it.

        Where the images are is not in them yet. `table` makes of rows what the kernel takes.
        """
        rows, room = self._rows.copy(), new_array((self._size + APART,), np.uint8)
        rows[:, INSIDE] += -(-place(room) // APART) * APART
        rows[1:, X], rows[1:, BY_X] = rows[:-1, Y], rows[:-1, BY_Y]
        return rows, room

    def write_arrays(self, rows: Array | None = None) -> None:
        """Write where weights and biases are now, to rows or for all that there will be."""
        rows = self._rows if rows is None else rows
        for i, block in enumerate(self._blocks):
            rows[i, WEIGHT], rows[i, BIAS] = place(block.weight), place(block.bias)

    def top(self, rows: Array, room: Array) -> Array:
        """Return what comes out of the last block, an array in its room."""
        start = int(rows[-1, Y]) - place(room)
        size = math.prod(self.shape) * self._dtype.itemsize
        return room[start : start + size].view(self._dtype).reshape(self.shape)

    def between(self, parts: int) -> Array:
        """Return room for so many threads to work in."""
        return new_array((parts, self._between), self._dtype)


def table(rows: Array) -> Array:
    """Return rows as a kernel takes them."""
    return rows.view(BLOCK).reshape(-1)


def place(array: Any) -> int:
    """Return where an array, or that of a Tensor, is in memory; 0 for None."""
    return 0 if array is None else int(value(array).__array_interface__["data"][0])
