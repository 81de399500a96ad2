"""The first layers of a chain in use, where nothing is trained: blocks and what is on top, at once.

One kernel takes a batch through all of them; between two calls of kernels Python would take as
long as a small batch itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, Shape
from ..buffers import new_array
from ..errors import MinnetError
from ..layers import Flatten, Linear, Ramp, Softmax
from ..layers.base import Layer
from ..ops import compiled
from ..ops.compiled.table import as_table
from .planned import Block, Blocks, Y, blocks_of, place, plan_for

__all__ = ["Forward"]


class Unit(NamedTuple):
    """A Linear layer above blocks, and whether there is a Ramp after it."""

    linear: Linear
    is_ramp: bool


class Forward:
    """The first layers of a chain that a kernel can compute: blocks, and Linear layers on top.

    Parameters
    ----------
    blocks, units
        Those layers.
    is_flat
        Whether there is a Flatten between them.
    is_softmax
        Whether there is a Softmax at the end.

    Attributes
    ----------
    count
        How many layers of the chain they are.
    """

    def __init__(
        self, blocks: list[Block], units: list[Unit], is_flat: bool, is_softmax: bool
    ) -> None:
        self._blocks, self._units = blocks, units
        self._is_flat, self._is_softmax, self.count = is_flat, is_softmax, 0
        layers = [*(block.conv for block in blocks), *(unit.linear for unit in units)]
        self._arrays = [array for layer in layers for array in layer.arrays_here.values()]
        self._plans: dict[tuple[Shape, Any], Plan | None] = {}

    @classmethod
    def of(cls, parts: Sequence[tuple[Any, Layer]]) -> Forward | None:
        """Return them, if there are any and nothing is trained in them."""
        blocks, count = blocks_of(parts)
        if not blocks:
            return None
        units: list[Unit] = []
        layers = [part for _, part in parts[count:]]
        is_flat = bool(layers) and type(layers[0]) is Flatten
        at = int(is_flat)
        while is_flat and at < len(layers) and _is_plain(layers[at]):
            linear, following = layers[at], layers[at + 1 : at + 2]
            assert isinstance(linear, Linear)
            units.append(Unit(linear, [type(part) for part in following] == [Ramp]))
            at += 1 + units[-1].is_ramp
        is_softmax = bool(units) and at < len(layers) and type(layers[at]) is Softmax
        found = cls(blocks, units, is_flat, is_softmax)
        found.count = count + at + is_softmax
        is_fixed = all(type(a) is np.ndarray and a.flags.c_contiguous for a in found._arrays)
        return found if is_fixed else None

    def __call__(self, x: Array) -> Array | None:
        """Return what comes out for a batch, or None where there is no plan for it."""
        plan = plan_for(self._plans, x, self._plan)
        return None if plan is None else plan(x if x.flags.c_contiguous else x.copy())

    def _plan(self, x: Array) -> Plan | None:
        """Return the plan for batches like this one; None where the kernel is of no use."""
        # What comes out of the first convolution is larger than the images.
        size = x.size // max(1, x.shape[-1]) * self._blocks[0].conv.channels if x.ndim else 0
        if not compiled.takes(x, *self._arrays, size=size):
            return None
        if compiled.product.address(x.dtype) == 0:
            return None
        try:
            blocks = Blocks(self._blocks, x)
            if not blocks.is_fitting:
                return None
            return Plan(blocks, self._units, self._is_flat, self._is_softmax)
        except MinnetError:  # whatever is wrong, the layers say so themselves
            return None


def _is_plain(layer: Layer) -> bool:
    """Tell a Linear layer with its arrays."""
    if type(layer) is not Linear or "weight" not in layer.arrays_here:
        return False
    return layer.bias == ("bias" in layer.arrays_here)


class Plan:
    """How batches of a shape go through.

    Parameters
    ----------
    blocks
        The plan of the blocks.
    units, is_flat, is_softmax
        As in `Forward`.

    Raises
    ------
    ShapeError
        If what comes out of the blocks doesn't fit the units.
    """

    def __init__(self, blocks: Blocks, units: list[Unit], is_flat: bool, is_softmax: bool) -> None:
        self._blocks, self._work, self._is_softmax = blocks, blocks.work, is_softmax
        count, *shape = blocks.shape
        size, rows = math.prod(shape), []
        self._shape: Shape = (count, size) if is_flat else blocks.shape
        for linear, is_ramp in units:
            linear.check_arrays((size,))
            arrays = linear.arrays_here
            inputs, size = size, arrays["weight"].shape[1]
            self._work += compiled.product.product_time(count, size, inputs)
            self._shape = count, size
            places = place(arrays["weight"]), place(arrays.get("bias"))
            rows.append(
                [*places, inputs, size, int(is_ramp), blocks.reserve(count * size), 0, 0, 0]
            )
        blocks.write_arrays()  # which stay where they are
        self._rows = np.array(rows, np.int64).reshape(len(rows), compiled.dense.COLUMNS)

    def __call__(self, x: Array) -> Array:
        """Return what comes out for a batch."""
        blocks, units, y = self._blocks, self._rows.copy(), new_array(self._shape, x.dtype)
        rows, room, start = blocks.room(x)
        if len(units):
            units[:, 5] += start
            units[-1, 5] = place(y)
        else:
            rows[-1, Y] = place(y)
        parts = compiled.team.parts(self._work)
        scores = y if self._is_softmax else np.empty((0, 0), x.dtype)
        given = as_table(rows), blocks.between(parts), units, x, scores
        where = compiled.product.address(x.dtype)
        compiled.team.share_stages(parts, compiled.blocks.up, where, *given)
        del room  # which the kernel has worked in until now
        return y
