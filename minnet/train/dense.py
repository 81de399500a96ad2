"""Dense nets: forward and back through Linear layers written out by hand, in memory kept for it.

In a small net most of a step goes by in making Tensors, gradient functions and arrays,
not in arithmetic. So where what is trained is nothing but Linear layers in a row, with
Ramp or Tanh between them and a cross-entropy of classes at the end, nothing is recorded,
since what would be is known beforehand. This file does the sums of the ops and of their
gradient functions, in the same order, and writes the gradients to where the optimizer
reads them.

It is backpropagation as in a textbook. With x the input of a Linear layer and d the
gradient of the loss by its output,

    the gradient by the weight is   x.T @ d
    the gradient by the bias is     the sum of the rows of d
    the gradient by x is            d @ weight.T

which the slope of the activation that x came out of turns into the d of the layer
below. At the top, d is (softmax - targets) / N.

Letters: N examples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..autodiff import value
from ..backend import Array, Shape
from ..data.labels import is_below
from ..errors import MinnetError
from ..layers import Flatten, Linear, Ramp, Tanh
from ..layers.base import Layer, Path
from ..layers.shape import Passed
from ..net import Chain, Net
from ..net.planned import Block, blocks_of
from ..ops import compiled
from ..optim.flat import packed
from ..optim.product import Product
from .objective import Objective

__all__ = ["Dense"]

# Memory is kept for batches of so many shapes: that of most, and that of the last in a round.
SHAPES = 2


# --- activations, in place ------------------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """What an elementwise function does to an array, and its slope to a gradient."""

    apply: Callable[[Array], object]
    back: Callable[[Array, Array, Array], object]  # of gradient, output, room for the slope
    room: Any = None  # of what numbers that is, if not of the net's


def _back_through_ramp(d: Array, output: Array, room: Array) -> None:
    np.greater(output, 0, out=room)
    np.multiply(d, room, out=d)


def _back_through_tanh(d: Array, output: Array, room: Array) -> None:
    np.multiply(output, output, out=room)
    np.subtract(1, room, out=room)
    np.multiply(d, room, out=d)


ACTIVATIONS: dict[type[Layer], Activation] = {
    Ramp: Activation(lambda a: np.maximum(a, 0, out=a), _back_through_ramp, bool),
    Tanh: Activation(lambda a: np.tanh(a, out=a), _back_through_tanh),
}


# --- what a net is made of, and the memory for a batch ----------------------------------------


@dataclass
class Unit:
    """A Linear layer and the activation after it, if there is one."""

    path: Path
    weight: Any  # Tensors, where they are trained
    bias: Any
    activation: Activation | None = None
    by_weight: Array | None = None  # where their gradients go; None where they are frozen
    by_bias: Array | None = None


class Memory:
    """Room for what is computed of a batch."""

    def __init__(self, count: int, units: list[Unit], dtype: Any) -> None:
        shapes = [(count, value(unit.weight).shape[1]) for unit in units]
        self.outputs = [np.empty(shape, dtype) for shape in shapes[:-1]]  # the last are given away
        self.gradients = [np.empty(shape, dtype) for shape in shapes]  # by the outputs
        self.slopes = [
            np.empty(shape, (unit.activation and unit.activation.room) or dtype)
            for shape, unit in zip(shapes, units, strict=True)
        ]
        self.ones, self.share = np.ones(count, dtype), dtype.type(1) / count
        self.powers = np.empty(shapes[-1], dtype)
        self.largest, self.totals = (np.empty((count, 1), dtype) for _ in range(2))
        self.starts = np.arange(0, self.powers.size, shapes[-1][1])  # of the rows, counted flat
        self.plan: Any = None  # what a large net keeps besides
        self.flat_powers, self.flat_top = self.powers.reshape(-1), self.gradients[-1].reshape(-1)


def _layers(net: Layer, path: Path = ()) -> Iterator[tuple[Path, Layer]]:
    """Yield the layers that a net applies one after another, with their paths."""
    if isinstance(net, Chain) and _is_usual(type(net)):
        for key, part in net.children():
            yield from _layers(part, (*path, key))
    elif type(net) is not Passed:
        yield path, net


def _is_usual(chain: type[Chain]) -> bool:
    """Tell whether chains of a class apply their layers one after another and do nothing else."""
    return chain.apply is Chain.apply and chain._flow is Chain._flow


def _units(layers: Sequence[tuple[Path, Layer]]) -> list[Unit]:
    """Return the units that layers consist of; none if there is anything else."""
    units: list[Unit] = []
    for path, part in layers:
        if type(part) is Linear:
            units.append(Unit(path, part.arrays_here["weight"], part.arrays_here.get("bias")))
        elif type(part) not in ACTIVATIONS or not units or units[-1].activation is not None:
            return []
        else:
            units[-1].activation = ACTIVATIONS[type(part)]
    return units


def arrays_of(blocks: Sequence[Block], units: Sequence[Unit]) -> list[Any]:
    """Return the arrays of the parts of a net."""
    parts: list[Any] = [*blocks, *units]
    return [value(a) for part in parts for a in (part.weight, part.bias) if a is not None]


# --- the passes -------------------------------------------------------------------------------


class Dense:
    """The passes through a dense net.

    Attributes
    ----------
    gradients
        The gradients by the arrays that are trained, written to anew in every step.
    are_finite
        Whether those of the last step are known to be finite, without looking at each.
    is_large
        Whether threads may share the passes.
    is_compiled
        Whether kernels make them.
    products
        Those of the last step that are not made yet, and so not in `gradients`.
    """

    is_large = is_compiled = False
    products: dict[Path, Product]

    def __init__(self, units: list[Unit], gradients: dict[Path, Array]) -> None:
        self.units, self.gradients = units, gradients
        for unit in units:
            unit.by_weight = gradients.get((*unit.path, "weight"))
            unit.by_bias = gradients.get((*unit.path, "bias"))
        self.dtype = value(units[0].weight).dtype
        self.classes = value(units[-1].weight).shape[1]
        self._memories: dict[Shape, Memory] = {}
        self.are_finite, self.products = False, {}

    @classmethod
    def of(
        cls, net: Net, objective: Objective, arrays: Mapping[Path, Array], is_long: bool = False
    ) -> Dense | None:
        """Return the passes through what is above the frozen bottom, if that is a dense net.

        Parameters
        ----------
        net
            That net, with Tensors for what is trained.
        objective
            What it is trained towards.
        arrays
            What is trained.
        is_long
            Whether it has been trained for so long that kernels are worth loading.
        """
        layers = list(_layers(net))
        blocks, count = blocks_of(layers)
        if blocks and type(layers[count][1]) is Flatten:
            count += 1
        units = _units(layers[count:])
        goals = [(goal.function, goal.kind) for goal in objective.goals.values()]
        there = arrays_of(blocks, units)
        fits = (
            arrays
            and units
            and goals == [(ops.cross_entropy, "classes")]
            and all(isinstance(array, np.ndarray) for array in there)
            and len({array.dtype for array in there}) == 1
            and there[0].dtype in (np.float32, np.float64)
        )
        if not fits:
            return None
        from .planned import Planned

        gradients = packed(arrays, copies=False)
        if Planned.suits(blocks, units, gradients, is_long):
            return Planned(blocks, units, gradients)
        return None if blocks else cls(units, gradients)

    def takes(self, features: Any, targets: Any) -> bool:
        """Tell whether there is room for a batch, with classes for targets.

        What is wrong with others the ops find out.
        """
        return (
            isinstance(features, np.ndarray)
            and features.dtype == self.dtype
            and (features.shape in self._memories or self._makes_room(features))
            and targets.dtype == np.int64
            and targets.shape == features.shape[:1]
            and is_below(targets, self.classes)
        )

    def _makes_room(self, features: Array) -> bool:
        """Make room for batches like this one; tell whether they fit."""
        try:
            memory = self._room(features)
        except (MinnetError, MemoryError):
            return False
        if memory is None:
            return False
        if len(self._memories) == SHAPES:
            self._memories.clear()
        self._memories[features.shape] = memory
        return True

    def _room(self, features: Array) -> Memory | None:
        """Return room for batches like this one, or None if they don't fit."""
        if features.ndim != 2 or not self._are_fitting(features.shape[1]):
            return None
        return Memory(len(features), self.units, self.dtype)

    def _are_fitting(self, inputs: int) -> bool:
        """Tell whether the units fit each other and examples of so many numbers."""
        for unit in self.units:
            rows, columns = value(unit.weight).shape
            if rows != inputs or (unit.bias is not None and value(unit.bias).shape != (columns,)):
                return False
            inputs = columns
        return True

    def __call__(self, features: Array, targets: Array) -> tuple[float, Array]:
        """Return the loss and the outputs of a batch, and leave the gradients in `gradients`."""
        memory = self._memories[features.shape]
        outputs = [*memory.outputs, np.empty(memory.powers.shape, self.dtype)]
        self._forward(features, outputs)
        x = outputs[-1]
        if compiled.takes(features, x):
            loss = compiled.loss.cross_entropy(x, targets, memory.gradients[-1])
        else:
            loss = _cross_entropy(x, targets, memory)
        self._back([features, *outputs], memory)
        return loss, x

    def _forward(self, x: Array, outputs: list[Array]) -> None:
        """Write the output of each unit."""
        for unit, output in zip(self.units, outputs, strict=True):
            x.dot(value(unit.weight), output)
            if unit.bias is not None:
                np.add(output, value(unit.bias), out=output)
            if unit.activation is not None:
                unit.activation.apply(output)
            x = output

    def _back(self, outputs: list[Array], memory: Memory) -> None:
        """Send the gradient that is in memory back from the top."""
        d = memory.gradients[-1]
        for i in range(len(self.units) - 1, -1, -1):
            unit, x = self.units[i], outputs[i]
            if unit.activation is not None:
                unit.activation.back(d, outputs[i + 1], memory.slopes[i])
            if unit.by_weight is not None:
                x.T.dot(d, unit.by_weight)
            if unit.by_bias is not None:
                memory.ones.dot(d, unit.by_bias)
            if i:
                d = d.dot(value(unit.weight).T, memory.gradients[i - 1])


def _cross_entropy(scores: Array, targets: Array, memory: Memory) -> float:
    """Return the loss, and leave in memory the gradient by the scores; see ops.cross_entropy."""
    at = targets + memory.starts
    powers, totals = memory.powers, memory.totals
    np.maximum.reduce(scores, axis=-1, out=memory.largest, keepdims=True)
    np.subtract(scores, memory.largest, out=powers)
    at_targets = memory.flat_powers[at]
    np.exp(powers, out=powers)
    np.add.reduce(powers, axis=-1, out=totals, keepdims=True)
    losses = np.log(totals).reshape(-1) - at_targets
    np.multiply(powers, memory.share / totals, out=memory.gradients[-1])
    memory.flat_top[at] -= memory.share
    return float(losses.sum() / len(scores))
