"""The passes through residual blocks, forward and back, each a call of one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..autodiff import Tensor, record, value
from ..backend import Array
from ..buffers import new_array
from ..layers.base import Context
from ..ops.compiled import residual, team
from ..ops.compiled.table import (
    BRANCH,
    BRANCH_NAMES,
    COLUMN,
    SUM,
    SUM_NAMES,
    as_table,
    numbers_of_totals,
)
from .planned import APART, place
from .residual_plan import Plan

__all__ = ["computed"]

# Columns of what kernels are told.
SUM_X, GRADIENT, GIVEN = (SUM_NAMES.index(name) for name in ("x", "gradient", "given"))
Z, NUMBERS, SCALE, SHIFT, IS_FIXED = (
    BRANCH_NAMES.index(name) for name in ("z", "numbers", "scale", "shift", "is_fixed")
)
X, Y, WEIGHT, BIAS, BY_X, BY_Y, TURNED, TOTALS, COUNT = (
    COLUMN[name]
    for name in ("x", "y", "weight", "bias", "by_x", "by_y", "turned", "totals", "count")
)
BY_ARRAY = {name: COLUMN[f"by_{name}"] for name in ("weight", "bias")} | {
    name: BRANCH_NAMES.index(f"by_{name}") for name in ("scale", "shift")
}


def computed(plan: Plan, x: Any, context: Context | None) -> Any:
    """Return what comes out for a batch; a Tensor where anything is differentiated."""
    passes = Passes(plan, x, context)
    routes = [(x, partial(passes.gradient, ()))]
    for b, branch in enumerate(plan.branches):
        for part in (branch.conv, branch.norm):
            for name, array in part.arrays_here.items():
                routes.append((array, partial(passes.gradient, (b, name))))
    return record(passes.y, *routes)


class Passes:
    """A batch on its way, and back.

    Parameters
    ----------
    plan
        What is known of such batches.
    x
        The batch.
    context
        That of training.

    Attributes
    ----------
    y
        What comes out.
    """

    def __init__(self, plan: Plan, x: Any, context: Context | None) -> None:
        self._plan, self._wants_x = plan, isinstance(x, Tensor)
        self._x, self.y = np.ascontiguousarray(value(x)), new_array(plan.shape, plan.dtype)
        self._parts = min(len(self._x), team.parts(plan.work))
        self._pieces = team.pieces(len(self._x), self._parts)
        self._found: tuple[Array | None, dict[Any, Array]] = None, {}
        self._sums, self._branches = plan.sum_rows.copy(), plan.branch_rows.copy()
        self._blocks = plan.block_rows.copy()
        columns = self._sums[:, SUM_X], self._branches[:, Z], self._branches[:, NUMBERS]
        self._room = _laid_out(columns, self._kept(), plan.dtype)
        self._sums[[0, -1], SUM_X] = place(self._x), place(self.y)
        self._blocks[:, X] = self._sums[plan.sources, SUM_X]
        self._blocks[:, Y] = self._branches[:, Z]
        self._known = np.empty((len(plan.branches), 3, plan.widest))
        self._arrays: list[Any] = []  # held, since kernels know only where they are
        for b, branch in enumerate(plan.branches):
            conv, norm = branch.conv.arrays_here, branch.norm.arrays_here
            self._arrays += map(value, (*conv.values(), *norm.values()))
            self._blocks[b, [WEIGHT, BIAS]] = place(conv["weight"]), place(conv.get("bias"))
            self._branches[b, [SCALE, SHIFT]] = place(norm["scale"]), place(norm["shift"])
            if context is None or branch.is_fixed:
                self._branches[b, IS_FIXED] = 1
                variance, known = value(norm["running_variance"]), self._known[b]
                known[0, : variance.size] = value(norm["running_mean"])
                known[2, : variance.size] = 1 / np.sqrt(variance + branch.norm.epsilon)
        self._go_up(context)

    def _go_up(self, context: Context | None) -> None:
        """Go forward, and leave the running statistics in the context."""
        plan = self._plan
        epsilons = np.array([branch.norm.epsilon for branch in plan.branches])
        given = plan.lists, epsilons, self._rooms(), self._moments(), self._known
        team.share_stages(self._parts, residual.up, *self._tables(), *given)
        for b, branch in enumerate(plan.branches):
            if context is not None and not self._branches[b, IS_FIXED]:
                mean, variance, _ = self._known[b, :, : plan.made[b][-1]]
                count = int(np.prod(plan.made[b][:-1]))
                branch.norm.remember(context.at(branch.norm_path), mean, variance, count)

    def _tables(self) -> tuple[Array, Array, Array]:
        sums, branches = self._sums.view(SUM).reshape(-1), self._branches.view(BRANCH).reshape(-1)
        return sums, branches, as_table(self._blocks)

    def _kept(self) -> list[Array]:
        """Return of how many numbers arrays are: sums, convolutions' outputs, rows of numbers."""
        sums, _, blocks = self._tables()
        of_sums = sums["count"] * sums["height"] * sums["length"]
        of_sums[[0, -1]] = 0  # these are elsewhere
        return [of_sums, blocks["count"] * blocks["made"], 5 * blocks["along"] * blocks["outputs"]]

    def _of_way_back(self) -> list[Array]:
        """Return of how many numbers arrays are: gradients by sums; each thread's by an image.

        That is by what goes into each convolution and by what comes out; the transposes of the
        weights, and the pieces' shares of the gradients by them.
        """
        sums, _, blocks = self._tables()
        images, parts = sums["height"] * sums["length"], self._parts
        totals = np.array([self._pieces * numbers_of_totals(block) for block in blocks])
        of_each = parts * images[self._plan.sources], parts * blocks["made"]
        return [sums["count"] * images, *of_each, blocks["taps"] * blocks["outputs"], totals]

    def _rooms(self) -> tuple[Array, Array]:
        sizes = self._plan.between, self._plan.row
        between, rows = (new_array((self._parts, size), self._plan.dtype) for size in sizes)
        return between, rows

    def _moments(self) -> Array:
        return np.empty((len(self._branches), self._pieces, 2, self._plan.widest))

    # --- back -----------------------------------------------------------------------------

    def gradient(self, key: Any, g: Array) -> Array:
        """Return the gradient by one of the arrays, or by the batch, from that by the result."""
        if self._found[0] is not g:
            self._found = g, self._back(g)
        return self._found[1][key]

    def _back(self, g: Array) -> dict[Any, Array]:
        """Return all gradients that are wanted: by number of the branch and name."""
        found, plan, wanted = dict[Any, Array](), self._plan, self._wanted()
        sums, branches, blocks = self._sums, self._branches, self._blocks
        columns = sums[:, GRADIENT], *(blocks[:, c] for c in (BY_X, BY_Y, TURNED, TOTALS))
        room = _laid_out(columns, self._of_way_back(), plan.dtype)
        top, arounds = np.ascontiguousarray(g), plan.around_rows.copy()
        sums[-1, GIVEN] = place(top)
        sums[~np.array(wanted), GRADIENT] = 0
        if wanted[0]:
            found[()] = new_array(self._x.shape, self._x.dtype)
            sums[0, GRADIENT] = place(found[()])
        for b, branch in enumerate(plan.branches):
            if not wanted[branch.source]:
                blocks[b, BY_X] = 0
            elif arounds[b, COUNT]:
                arounds[b, [X, Y, WEIGHT]] = blocks[b, [BY_Y, BY_X, TURNED]]
                blocks[b, BY_X] = 0
            for name, array in branch.conv.arrays_here.items():
                blocks[b, BY_ARRAY[name]] = _place_for(found, (b, name), array)
            for name in ("scale", "shift"):
                array = branch.norm.arrays_here[name]
                branches[b, BY_ARRAY[name]] = _place_for(found, (b, name), array)
        given = as_table(arounds), plan.lists, self._rooms(), self._moments(), self._known
        team.share_stages(self._parts, residual.down, *self._tables(), *given)
        del room  # which the kernel has worked in until now
        return found

    def _wanted(self) -> list[bool]:
        """Return of each sum whether the gradient by it is wanted."""
        wanted, branches = [self._wants_x], self._plan.branches
        for one in self._plan.sums[1:]:
            below = [wanted[s] for s in one.sums]
            for b in one.branches:
                below += [wanted[branches[b].source], branches[b].is_trained]
            wanted.append(any(below))
        return wanted


def _place_for(found: dict[Any, Array], key: Any, array: Any) -> int:
    """Return where the gradient by an array goes, a new one; 0 if the array is not a Tensor."""
    if not isinstance(array, Tensor):
        return 0
    found[key] = np.empty_like(array.data)
    return place(found[key])


def _laid_out(columns: Sequence[Array], counts: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """Return room for arrays of so many numbers, after writing to columns where each is."""
    sizes = -(-np.concatenate(counts) * dtype.itemsize // APART) * APART
    room = new_array((int(sizes.sum()) + APART,), np.uint8)
    places, at = -(-place(room) // APART) * APART + np.cumsum(sizes) - sizes, 0
    for column in columns:
        column[:] = places[at : at + len(column)]
        at += len(column)
    return room
