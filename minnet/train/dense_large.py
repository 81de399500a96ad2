"""Large dense nets: the same passes by one compiled kernel, and gradients that needn't be made.

Gradients are not looked at one by one where a bound tells enough, and those by large weights are
left to the optimizer, which may make them a few rows at a time, next to the weights that they
change.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import value
from ..backend import Array
from ..layers import Ramp
from ..layers.base import Path
from ..ops import compiled
from ..optim.product import Product
from ..optim.updater import JOINED
from .dense import ACTIVATIONS, Dense, Memory, Unit

__all__ = ["LargeDense"]

# Gradients of at least so many numbers make a net a large one.
MANY = 1 << 16
# A number of float32 whose square is below this is finite, and the sums on the way to it, too.
BOUND = 1e70


class LargeDense(Dense):
    """The passes through a large net of Linear layers, with a Ramp or nothing after each."""

    is_large = True

    def __init__(self, units: list[Unit], gradients: dict[Path, Array]) -> None:
        super().__init__(units, gradients)
        self._dims = [value(unit.weight).shape for unit in units]

    @staticmethod
    def suits(units: list[Unit], gradients: dict[Path, Array]) -> bool:
        """Tell whether a net is a large one of such layers, and there are kernels for it."""
        arrays = [value(a) for unit in units for a in (unit.weight, unit.bias) if a is not None]
        return (
            sum(gradient.size for gradient in gradients.values()) >= MANY
            and all(unit.activation in (None, ACTIVATIONS[Ramp]) for unit in units)
            and all(array.flags.c_contiguous for array in arrays)
            and compiled.takes(max(arrays, key=np.size))
            and compiled.product.address(arrays[0].dtype) != 0
        )

    def __call__(self, features: Array, targets: Array) -> tuple[float, Array]:
        memory = self._memories[features.shape]
        if memory.plan is None:
            memory.plan = self._plan(memory, len(features))
        units, room, work, products = memory.plan
        x, scores = np.ascontiguousarray(features), np.empty(memory.powers.shape, self.dtype)
        for i, unit in enumerate(self.units):  # a step's weights are not where the last one's were
            units[i, 0] = _place(unit.weight)
            units[i, 1] = _place(unit.bias)
        units[-1, 5] = _place(scores)
        parts = compiled.team.parts(work)
        squares, loss = np.empty((len(self.units), 2, parts)), np.empty(1)
        where, gradient = compiled.product.address(self.dtype), memory.gradients[-1]
        given = where, units, _place(x), scores, targets, gradient, squares, room, loss
        compiled.team.share_stages(parts, compiled.dense.there_and_back, *given)
        # No element of x.T @ d is larger than the lengths of x and d multiplied (Cauchy and
        # Schwarz); nor is a sum of d than the lengths of a row of ones and d.
        of_x, of_d = squares.sum(axis=2).T
        self.are_finite = bool((np.maximum(of_x, len(x)) * of_d).sum() < BOUND)
        self.products = {}
        for path, product in products.items():
            if path == (*self.units[0].path, "weight"):
                product.x = x
            if self.are_finite:
                self.products[path] = product
            else:
                product.made()
        return float(loss[0]), scores

    def _plan(self, memory: Memory, count: int) -> tuple[Array, Array, float, dict[Path, Product]]:
        """Return what the kernel is told of the units, and what is needed besides.

        That is room to add up in, how long a pass takes, and the gradients by large weights as
        products. See `ops.compiled.dense.COLUMNS`; what is not known yet is 0.
        """
        room = np.empty((2, max(n for _, n in self._dims)), self.dtype)
        rows, outputs = [], [*memory.outputs, None]
        for i, (unit, (inputs, width)) in enumerate(zip(self.units, self._dims, strict=True)):
            is_made = unit.by_weight is not None and unit.by_weight.size <= JOINED
            # Gradients by biases that nobody wants go to the second half of the room.
            by_bias = room[1] if unit.by_bias is None else unit.by_bias
            places = outputs[i], memory.gradients[i], unit.by_weight if is_made else None, by_bias
            numbers = inputs, width, int(unit.activation is not None)
            rows.append([0, 0, *numbers, *map(_place, places)])
        work = 3 * sum(compiled.product.product_time(count, n, m) for m, n in self._dims)
        inputs = None, *memory.outputs
        products = {
            (*unit.path, "weight"): Product(x, d, unit.by_weight)
            for unit, x, d in zip(self.units, inputs, memory.gradients, strict=True)
            if unit.by_weight is not None and unit.by_weight.size > JOINED
        }
        return np.array(rows, np.int64), room, work, products


def _place(array: Any) -> int:
    """Return where an array, or that of a Tensor, is in memory; 0 for None."""
    return 0 if array is None else int(value(array).ctypes.data)
