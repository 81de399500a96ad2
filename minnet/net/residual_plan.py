"""What residual blocks are made of, and their plan: where everything is, for batches of a shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..autodiff import Tensor, value
from ..backend import Array, Shape
from ..errors import ShapeError
from ..layers import BatchNorm, Conv
from ..layers.base import Path
from ..ops import compiled, wide, winograd
from ..ops.compiled import table
from ..ops.compiled.table import BRANCH_NAMES, COLUMN, SUM_NAMES, numbers_between, offsets
from ..ops.sweep import Sweep
from .planned import place

__all__ = ["Branch", "Plan", "Sum"]

# What is saved with each number that a convolution gives, there and back, and what it takes to
# go over one, in microseconds on a common processor.
SAVED, ELEMENT = 0.004, 0.001
IN_SUM, COUNT, LENGTH = BRANCH_NAMES.index("sum"), *map(SUM_NAMES.index, ("count", "length"))


class Branch(NamedTuple):
    """A Conv, the BatchNorm after it with its path, and the number of the sum it takes."""

    conv: Conv
    source: int
    norm_path: Path
    norm: BatchNorm

    @property
    def is_trained(self) -> bool:
        """Whether anything of it is differentiated."""
        arrays = *self.conv.arrays_here.values(), *self.norm.arrays_here.values()
        return any(isinstance(array, Tensor) for array in arrays)

    @property
    def is_fixed(self) -> bool:
        """Whether it would use its running statistics in training, too."""
        arrays = self.norm.arrays_here
        return not (isinstance(arrays["scale"], Tensor) or isinstance(arrays["shift"], Tensor))


class Sum(NamedTuple):
    """The numbers of branches and of earlier sums that are added up; whether a Ramp comes after."""

    branches: tuple[int, ...]
    sums: tuple[int, ...]
    is_ramp: bool


class Plan:
    """What is known of branches and sums for batches of a shape.

    Parameters
    ----------
    sums, branches
        As of `Residual`.
    x
        A batch.

    Attributes
    ----------
    sum_rows, branch_rows, block_rows, around_rows
        What is known of what kernels are told: see `table.SUM`, `table.BRANCH` and `table.BLOCK`;
        the last two for convolutions and, where that is as much work, for those that make of the
        gradient by the output that by the input (else 0).
    lists
        By sum, the numbers of the branches, and of the sums, that are added up in it; each after
        how many they are.
    shape
        Of what comes out.
    made
        The shapes of what comes out of each convolution.
    sources
        The number of the sum that each one takes.
    widest
        The channels of the convolution that has the most.
    between, row
        Of how many numbers the rooms are that a thread works in.
    work
        How many microseconds a thread takes, about.
    saved
        How many microseconds are saved by all this, about.
    lacks_values
        Whether some BatchNorm sees too few values to train on.

    Raises
    ------
    ShapeError
        If something doesn't fit.
    """

    def __init__(self, sums: list[Sum], branches: list[Branch], x: Array) -> None:
        self.sums, self.branches, self.dtype = sums, branches, x.dtype
        self.work, self.saved = ELEMENT * x.size, 0.0
        self._shapes, self.made, self._offsets = list[Shape](), list[Shape](), list[Array]()
        blocks: list[dict[str, int]] = []
        self._arounds: list[dict[str, int]] = []
        self.sum_rows = np.zeros((len(sums), len(SUM_NAMES)), np.int64)
        for j in range(len(sums)):
            self._shapes.append(self._shape(j, x.shape))
            first = len(blocks)
            while len(blocks) < len(branches) and branches[len(blocks)].source == j:
                blocks.append(self._block(branches[len(blocks)], self._shapes[j]))
            count, height, width, channels = self._shapes[j]
            sizes = count, height, width * channels, channels, sums[j].is_ramp, first, len(blocks)
            self.sum_rows[j, COUNT:] = sizes
        self.block_rows, self.around_rows = map(_rows, (blocks, self._arounds))
        self.branch_rows = np.zeros((len(branches), len(BRANCH_NAMES)), np.int64)
        for j, one in enumerate(sums):
            self.branch_rows[list(one.branches), IN_SUM] = j
        self.lists = _listed([one.branches for one in sums]), _listed([one.sums for one in sums])
        self.shape, self.widest = self._shapes[-1], max(shape[-1] for shape in self.made)
        self.between = max(map(numbers_between, [*blocks, *self._arounds]))
        lengths = self.sum_rows[:, LENGTH] * (1 + self.lists[0][:, 0])
        self.row = max(*lengths.tolist(), *(2 * shape[2] * shape[3] for shape in self.made))
        self.sources = [branch.source for branch in branches]
        self.lacks_values = any(math.prod(shape[:-1]) < 2 for shape in self.made)

    def _shape(self, j: int, given: Shape) -> Shape:
        """Return the shape of a sum."""
        parts = [self.made[b] for b in self.sums[j].branches]
        parts += [self._shapes[s] for s in self.sums[j].sums]
        if len(given) != 4 or len(set(parts)) > 1:
            raise ShapeError(f"what is added up has the shapes {parts}")
        return parts[0] if parts else given

    def _block(self, branch: Branch, shape: Shape) -> dict[str, int]:
        """Return what is known of a branch's convolution."""
        branch.conv.check_arrays(shape[1:])
        *window, channels, outputs = value(branch.conv.arrays_here["weight"]).shape
        sweep = Sweep.over(shape, tuple(window), *branch.conv._moves())
        made = (shape[0], *sweep.positions, outputs)
        branch.norm.check_arrays(made[1:])
        self.made.append(made)
        taps, count = channels * math.prod(window), sweep.count
        self.work += compiled.product.product_time(count, outputs, taps) + ELEMENT * count * outputs
        self.saved += SAVED * count * outputs
        if winograd.fits(sweep, outputs):
            self.saved -= 3 * shape[0] * max(0, winograd.saved(sweep, outputs)) / 1000
        self._arounds.append(self._around(sweep, outputs))
        return self._convolution(sweep, outputs)

    def _convolution(self, sweep: Sweep, outputs: int) -> dict[str, int]:
        """Return what is known of a convolution, and keep its offsets."""
        self._offsets.append(offsets(sweep, outputs))
        row = table.block(sweep, outputs, None, False, (sweep.shape[0], *sweep.positions, outputs))
        return row | {"offsets": place(self._offsets[-1])}

    def _around(self, sweep: Sweep, outputs: int) -> dict[str, int]:
        """Return what is known of the convolution that goes back, if it is as much work."""
        around = wide.turned_around(sweep, outputs)
        if around is None or around.count > sweep.count:
            return dict.fromkeys(COLUMN, 0)
        return self._convolution(around, sweep.shape[-1])


def _rows(found: list[dict[str, int]]) -> Array:
    return np.array([list(row.values()) for row in found], np.int64)


def _listed(lists: Sequence[Sequence[int]]) -> Array:
    """Return lists as rows, each with its length before."""
    rows = np.zeros((len(lists), 1 + max(map(len, lists))), np.int64)
    for row, numbers in zip(rows, lists, strict=True):
        row[: 1 + len(numbers)] = len(numbers), *numbers
    return rows
