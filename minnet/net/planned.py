"""Blocks at the beginning of a net, each a Conv with its MaxPool and Ramp, planned for one kernel.

What a batch goes through is known once its shape is. So where everything is, and how far to go
from there, is written down once, and the kernel finds its own way (`minnet.ops.compiled.blocks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..autodiff import value
from ..backend import Array
from ..buffers import new_array
from ..layers import BatchNorm, Conv, MaxPool, Ramp
from ..layers.base import Layer
from ..ops import compiled, winograd
from ..ops.compiled import table
from ..ops.compiled.table import COLUMN, INSIDE, numbers_between, offsets
from ..ops.sweep import Sweep

__all__ = ["Block", "Blocks", "blocks_of", "is_plain", "place", "plan_for"]

Plan = TypeVar("Plan")

MOST = 256  # elements of a pool's window, of which one is remembered in a byte
SHAPES = 4  # for batches of so many, plans are kept
UNKNOWN: Any = object()
APART = 64  # arrays begin at multiples of so many bytes: a line of a processor's cache
# Columns of what a kernel is told of blocks.
X, Y, WEIGHT, BIAS, TURNED, WINNER, BY_X, BY_Y = (
    COLUMN[name] for name in ("x", "y", "weight", "bias", "turned", "winner", "by_x", "by_y")
)


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
    while at < len(layers) and is_plain(layers[at][1]):
        key, conv = layers[at]
        after = [part for _, part in layers[at + 1 : at + 3]]
        kinds = [type(part) for part in after]
        if kinds[:1] == [BatchNorm]:  # what comes then is another kernel's
            break
        count = 2 if set(kinds) == {Ramp, MaxPool} else int(kinds[:1] in ([Ramp], [MaxPool]))
        pools = [part for part in after[:count] if isinstance(part, MaxPool)]
        assert isinstance(conv, Conv)
        blocks.append(Block(key, conv, pools[0] if pools else None, Ramp in kinds[:count]))
        at += 1 + count
    return blocks, at


def is_plain(layer: Layer) -> bool:
    """Tell a convolution of images whose outputs all see all channels."""
    return (
        type(layer) is Conv
        and layer.dimensions == 2
        and layer.groups == 1
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
        self._offsets: list[Array] = []
        for block in blocks:
            rows.append(self._row(block, x))
        # Numbers, since NumPy copies tables with named columns one by one.
        self._rows = np.array([list(row.values()) for row in rows], np.int64)
        self._between = max(map(numbers_between, rows))
        self._size = self._lay_out(rows, trains)

    def _row(self, block: Block, x: Array) -> dict[str, int]:
        """Return what is known of a block for a batch; say what comes out, to go on from there."""
        weight = value(block.weight)
        *window, channels, outputs = weight.shape
        block.conv.check_arrays(self.shape[1:])
        sweep = Sweep.over(self.shape, tuple(window), *block.conv._moves())
        self.shape, pool = (len(x), *sweep.positions, outputs), None
        is_better = winograd.suits(x, outputs, sweep)
        if block.pool is not None:
            pool = Sweep.over(self.shape, *block.pool._sizes(), block.pool.padding)
            self.shape = (len(x), *pool.positions, outputs)
            is_better = is_better or math.prod(pool.window) > MOST
        self._offsets.append(offsets(sweep, outputs))
        taps = math.prod(window) * channels
        self.work += compiled.product.product_time(sweep.count, outputs, taps)
        self.is_fitting = self.is_fitting and not is_better
        row = table.block(sweep, outputs, pool, block.is_ramp, self.shape)
        return row | {"offsets": place(self._offsets[-1])}

    def _lay_out(self, rows: list[dict[str, int]], trains: bool) -> int:
        """Write down how far from the beginning of their room arrays are; return its size.

        They are what comes out of each block, which of a pool's window that was, and in training
        transposes of weights and gradients. What goes into a block comes out of the one before.
        """
        size, itemsize = 0, self._dtype.itemsize
        for i, row in enumerate(rows):
            if i:
                self._rows[i, [X, BY_X]] = self._rows[i - 1, [Y, BY_Y]]
            numbers = row["count"] * row["made"]
            sizes = {Y: numbers * itemsize, WINNER: numbers}
            if trains:
                sizes |= {BY_Y: numbers * itemsize, TURNED: row["taps"] * row["outputs"] * itemsize}
            for column, wanted in sizes.items():
                self._rows[i, column] = size
                size += -(-wanted // APART) * APART
        return size

    def reserve(self, numbers: int) -> int:
        """Have the room larger by so many numbers; return how many bytes into it they are."""
        start = self._size
        self._size += -(-numbers * self._dtype.itemsize // APART) * APART
        return start

    def room(self, x: Array) -> tuple[Array, Array, int]:
        """Return rows that say where arrays of the blocks and images are, and room for them.

        `as_table` makes of the rows what the kernel takes. The room begins at a place in memory.
        """
        rows, room = self._rows.copy(), new_array((self._size + APART,), np.uint8)
        start = -(-place(room) // APART) * APART
        rows[:, : len(INSIDE)] += start
        rows[0, X], rows[0, BY_X] = place(x), 0
        return rows, room, start

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


def plan_for(
    plans: dict[Any, Plan | None], x: Array, make: Callable[[Array], Plan | None]
) -> Plan | None:
    """Return the plan for batches like this one, of a few that are kept; None where there is none.

    It is looked up at once, since other threads may call the same net.
    """
    key = x.shape, x.dtype
    plan: Plan | None = plans.get(key, UNKNOWN)
    if plan is UNKNOWN:
        if len(plans) >= SHAPES:
            plans.clear()
        plan = plans[key] = make(x)
    return plan


def place(array: Any) -> int:
    """Return where an array, or that of a Tensor, is in memory; 0 for None."""
    return 0 if array is None else int(value(array).__array_interface__["data"][0])
