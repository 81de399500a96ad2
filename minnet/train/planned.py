"""Nets whose passes one compiled kernel makes, as planned: blocks, and dense nets worth it.

Gradients are not looked at one by one where a bound tells enough, and those by large weights of
Linear layers are left to the optimizer, which may make them a few rows at a time, next to the
weights that they change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff import Tensor, value
from ..backend import Array
from ..layers import Ramp, Tanh
from ..layers.base import Path
from ..net.planned import Block, Blocks, place
from ..ops import compiled
from ..ops.compiled.table import COLUMN, as_table, numbers_of_totals
from ..optim.product import Product
from ..optim.updater import JOINED
from .dense import ACTIVATIONS, Dense, Memory, Unit, arrays_of

__all__ = ["Planned"]

# Gradients of at least so many numbers make a dense net a large one.
MANY = 1 << 16
# With fewer of them one thread makes the passes; those of so many microseconds it leaves to NumPy,
# whose BLAS has threads.
ALONE = 200
# What `ops.compiled.dense` calls what comes after a Linear layer: RAMP and TANH.
KINDS = {None: 0, ACTIVATIONS[Ramp]: 1, ACTIVATIONS[Tanh]: 2}
# A number of float32 whose square is below this is finite, and the sums on the way to it, too.
BOUND = 1e70


@dataclass
class Plan:
    """What the kernel is told, and what it writes to, for batches of a shape.

    Parameters
    ----------
    units
        See `ops.compiled.dense.COLUMNS`; what is not known yet is 0.
    room, squares, loss
        To add up in, for each part; for the loss, and the bound of gradients.
    rooms
        For each thread to work in, where there are no blocks.
    work
        How many microseconds a thread takes.
    products
        Gradients by large weights.
    blocks
        What is told of blocks, if there are any; the arrays where their outputs are and so on.
    """

    units: Array
    room: Array
    squares: Array
    loss: Array
    rooms: Array
    work: float
    products: dict[Path, Product]
    blocks: PlannedBlocks | None
    tables: tuple[tuple[Any, Array], ...] = ()  # an array, and `units` for when that is trained

    def rooms_of(self, parts: int) -> Array:
        """Return room for so many threads to work in."""
        if len(self.rooms) != parts:
            self.rooms = np.empty((parts, self.rooms.shape[1]), self.rooms.dtype)
        return self.rooms


class Planned(Dense):
    """The passes through blocks, Linear layers and the Ramp or Tanh after them.

    Parameters
    ----------
    blocks
        The blocks at the bottom; none in a dense net.
    units, gradients
        As in `Dense`.
    """

    is_compiled = True

    def __init__(
        self, blocks: list[Block], units: list[Unit], gradients: dict[Path, Array]
    ) -> None:
        super().__init__(units, gradients)
        self.blocks = blocks
        self.is_large = bool(blocks) or _size(gradients) >= MANY
        self._dims = [value(unit.weight).shape for unit in units]
        self._where = compiled.product.address(self.dtype)
        arrays = [array for unit in units for array in (unit.weight, unit.bias)]
        self._trained = next((array for array in arrays if isinstance(array, Tensor)), None)

    @staticmethod
    def suits(
        blocks: list[Block], units: list[Unit], gradients: dict[Path, Array], is_long: bool
    ) -> bool:
        """Tell whether kernels are worth it, for a large net or a long training, and are there."""
        arrays = arrays_of(blocks, units)
        return (
            (is_long or bool(blocks) or _size(gradients) >= MANY)
            and all(unit.activation in KINDS for unit in units)
            and all(array.flags.c_contiguous for array in arrays)
            and compiled.takes(*arrays, size=compiled.LEAST)
            and compiled.product.address(arrays[0].dtype) != 0
        )

    def _room(self, features: Array) -> Memory | None:
        if not self.blocks:
            return super()._room(features)
        if features.ndim != 4 or not compiled.takes(features):
            return None
        blocks = Blocks(self.blocks, features, trains=True)
        if not blocks.is_fitting or not self._are_fitting(math.prod(blocks.shape[1:])):
            return None
        memory = Memory(len(features), self.units, self.dtype)
        memory.plan = blocks
        return memory

    def __call__(self, features: Array, targets: Array) -> tuple[float, Array]:
        memory = self._memories[features.shape]
        if not isinstance(memory.plan, Plan):
            memory.plan = self._plan(memory, features)
        plan: Plan = memory.plan
        self.are_finite, self.products = False, {}
        if plan.work > ALONE and not self.is_large:
            return super().__call__(features, targets)
        x, scores = np.ascontiguousarray(features), np.empty(memory.powers.shape, self.dtype)
        units = self._units(plan)
        units[-1, 5] = place(scores)
        parts = compiled.team.parts(plan.work)
        if plan.squares.shape[-1] != parts:
            plan.squares = np.empty((len(self.units), 2, parts))
        gradient = memory.gradients[-1]
        given: tuple[Any, ...] = scores, targets, gradient, plan.squares, plan.room[0]
        kernel: Any
        bottom: tuple[Any, ...]
        if plan.blocks is None:
            kernel, bottom = compiled.dense.there_and_back, (units, place(x))
            given += (plan.rooms_of(parts),)
        else:
            kernel, bottom = compiled.blocks.there_and_back, (*plan.blocks.at(x, parts), units, x)
        compiled.team.share_stages(parts, kernel, self._where, *bottom, *given, plan.loss)
        loss, bound = plan.loss.tolist()
        is_bounded = bound < BOUND
        self.are_finite = is_bounded and plan.blocks is None
        for path, product in plan.products.items():
            if plan.blocks is None and path == (*self.units[0].path, "weight"):
                product.x = x
            if is_bounded:
                self.products[path] = product
            else:
                product.made()
        return loss, scores

    def _units(self, plan: Plan) -> Array:
        """Return what the kernel is told of the units, with where arrays are now.

        All that are trained change places at every step, with those of the step before.
        """
        trained = value(self._trained)
        for array, table in plan.tables:
            if array is trained:
                return table
        table = plan.units.copy()
        table[:, 0] = [place(unit.weight) for unit in self.units]
        table[:, 1] = [place(unit.bias) for unit in self.units]
        plan.tables = *plan.tables[-1:], (trained, table)
        return table

    def _plan(self, memory: Memory, features: Array) -> Plan:
        """Return the plan for a batch like this one."""
        blocks, bottom, count = None, None, len(features)
        most = max(max(dims) for dims in self._dims)
        size = compiled.panels.numbers_in(self.dtype.itemsize, count, most)
        if memory.plan is not None:
            blocks = PlannedBlocks(memory.plan, self.blocks, self.gradients, features)
            bottom = blocks.top.reshape(count, -1)
        room = np.empty((2, most), self.dtype)
        rows, outputs = [], [*memory.outputs, None]
        for i, (unit, (inputs, width)) in enumerate(zip(self.units, self._dims, strict=True)):
            is_made = unit.by_weight is not None and unit.by_weight.size <= JOINED
            # Gradients by biases that nobody wants go to the second half of the room.
            by_bias = room[1] if unit.by_bias is None else unit.by_bias
            places = outputs[i], memory.gradients[i], unit.by_weight if is_made else None, by_bias
            numbers = inputs, width, KINDS[unit.activation]
            rows.append([0, 0, *numbers, *map(place, places)])
        work = 3 * sum(compiled.product.product_time(count, n, m) for m, n in self._dims)
        products = {
            (*unit.path, "weight"): Product(x, d, unit.by_weight)
            for unit, x, d in zip(
                self.units, [bottom, *memory.outputs], memory.gradients, strict=True
            )
            if unit.by_weight is not None and unit.by_weight.size > JOINED
        }
        work += 0 if blocks is None else 3 * blocks.work
        sums = np.empty((len(self.units), 2, 1)), np.empty(2), np.empty((0, size), self.dtype)
        return Plan(np.array(rows, np.int64), room, *sums, work, products, blocks)


def _size(gradients: dict[Path, Array]) -> int:
    return sum(gradient.size for gradient in gradients.values())


class PlannedBlocks:
    """What a kernel is told of blocks in training, and the memory that it works in.

    Parameters
    ----------
    plan
        Their plan.
    blocks
        The blocks.
    gradients
        Where the gradients by arrays go.
    x
        A batch.

    Attributes
    ----------
    top
        Where the outputs of the last one come to be.
    """

    def __init__(
        self, plan: Blocks, blocks: list[Block], gradients: dict[Path, Array], x: Array
    ) -> None:
        self._plan, self.work = plan, plan.work
        self._rows, room, _ = plan.room(x)
        self.top = plan.top(self._rows, room)
        self._totals: list[Array] = []  # each piece's share
        self._between = plan.between(0)
        for row, block in zip(self._rows, blocks, strict=True):
            row[COLUMN["by_weight"]] = place(gradients.get((*block.key, "weight")))
            row[COLUMN["by_bias"]] = place(gradients.get((*block.key, "bias")))

    def at(self, x: Array, parts: int) -> tuple[Array, Array]:
        """Return what the kernel is told, with where arrays are now, and room for its threads."""
        if len(self._between) != parts:
            self._between = self._plan.between(parts)
            sizes = map(numbers_of_totals, as_table(self._rows))
            pieces = compiled.team.pieces(len(x), parts)
            self._totals = [np.empty((pieces, size), x.dtype) for size in sizes]
            self._rows[:, COLUMN["totals"]] = list(map(place, self._totals))
        self._plan.write_arrays(self._rows)
        self._rows[0, COLUMN["x"]] = place(x)
        return as_table(self._rows), self._between
