"""Updater: apply an optimizer's steps to the arrays being trained, and to nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import Array, array_module, is_finite
from ..checks import number
from ..errors import NonFiniteError, PathError, SpecError
from ..layers.base import Layer, Path
from ..multipliers import Rules, resolve
from ..progress import Progress
from .optimizers import Optimizer
from .plan import Plan, planned
from .product import Product
from .stretch import Piece, Stretch, Trained, stretches, trained

__all__ = ["JOINED", "Updater"]

# Elements updated at a time: enough that the calls cost little, few enough for the cache that
# the processor's cores share.
PIECE = 1 << 20
# Arrays are updated as one up to so many elements together.
JOINED = 1 << 15
# A GPU updates large arrays in one launch each; those up to so many elements in one together.
LAUNCH = 1 << 20


class Updater:
    """The working side of an optimizer: its state, and the steps it takes.

    Parameters
    ----------
    optimizer
        What to do.
    net
        The net whose arrays are trained; the rules of `weight_decay` and `l2`
        are about its paths.
    given
        The net before it was initialized, if it was since: layers that the rules
        name by themselves (`net[0]`) may be those of either.

    Raises
    ------
    SpecError
        If a rule of theirs names nothing in the net, or has a value that is no
        number of at least 0.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> net = mn.Chain(mn.Linear(1, bias=False)).initialize(input_shape=(2,))
    >>> path, weight = (0, "weight"), np.ones((2, 1))
    >>> updater = mn.optim.Updater(mn.optim.SGD(0.1), net)
    >>> updater.use({path: weight}, {path: 1})
    >>> updater.step({path: np.array([[1.0], [-2.0]])}, mn.optim.Progress())
    >>> weight
    array([[0.9],
           [1.2]])
    """

    def __init__(self, optimizer: Optimizer, net: Layer, given: Layer | None = None) -> None:
        if not isinstance(optimizer, Optimizer):
            raise SpecError(f"expected an optimizer such as SGD(0.01), got {optimizer!r}")
        self.optimizer = optimizer
        self._decay = _amounts(net, given, optimizer.weight_decay, "weight_decay")
        self._l2 = _amounts(net, given, optimizer.l2, "l2")
        self._trained: dict[Path, Trained] = {}
        self._stretches: list[Stretch] = []
        self._plan: Plan | None = None
        self._compiles = False

    def use(
        self,
        arrays: Mapping[Path, Array],
        multipliers: Mapping[Path, float | Array],
        into: Mapping[Path, Array] | None = None,
        compiles: bool = False,
    ) -> None:
        """Say what is trained from here on: at the start, and whenever that changes.

        Parameters
        ----------
        arrays
            The arrays to update in place. One that was not in use before starts
            with fresh state; one that no longer is loses its state; the others
            keep theirs.
        multipliers
            For each of them, its multiplier: a number, or an array that broadcasts
            to it. What has the multiplier 0 counts as not in use.
        into
            Arrays with the same numbers as `arrays`, to write the new values to instead:
            after a step, `arrays` are what they were before it. The two then change
            places, so that the next step is from `into` to `arrays`.
        compiles
            Whether kernels, where they are, make the steps of small arrays, too.

        Raises
        ------
        PathError
            If an array is not of the net, or has no multiplier.
        ShapeError
            If an array has another shape than when it was last in use or than what its
            new values go into, or a multiplier doesn't broadcast to it.
        """
        for path in arrays:
            if path not in multipliers:
                raise PathError("there is no multiplier for this array", path)
        moving = {path: array for path, array in arrays.items() if np.any(multipliers[path] != 0)}
        self._trained = {
            path: self._prepared(path, array, array if into is None else into[path], multipliers)
            for path, array in moving.items()
        }
        on_gpu = any(not isinstance(one.array, np.ndarray) for one in self._trained.values())
        together = LAUNCH if on_gpu else JOINED
        self._stretches = stretches(self._trained.values(), together, PIECE)
        self._plan, self._compiles = None, compiles

    def _prepared(
        self, path: Path, array: Array, into: Array, multipliers: Mapping[Path, Any]
    ) -> Trained:
        if path not in self._decay:
            raise PathError("the net has no array of this path that can be trained", path)
        amounts = multipliers[path], self._decay[path], self._l2[path]
        return trained(path, array, into, *amounts, self._trained.get(path), self.optimizer.state)

    def step(self, gradients: Mapping[Path, Array], progress: Progress) -> None:
        """Update every array in use, in place.

        Parameters
        ----------
        gradients
            The gradient of the loss by each array in use; those of others are ignored.
        progress
            How far training has come, for a learning rate that follows it.

        Raises
        ------
        PathError, ShapeError
            If a gradient is missing or is not of its array's shape.
        NonFiniteError
            If gradients are to be clipped to a length that isn't finite. Nothing
            has been updated then.
        """
        self.update(self.flat(gradients), progress)

    def flat(self, gradients: Mapping[Path, Array]) -> list[Array]:
        """Return gradients as `update` takes them, or raise what `step` would raise of them."""
        return [stretch.gradient(gradients) for stretch in self._stretches]

    def flat_with(self, flat: Sequence[Array], products: Mapping[Path, Product]) -> list[Any]:
        """Return such gradients with some that are not made yet in their places.

        Each of these has to be of an array of more than `JOINED` elements.
        """
        return [
            products.get(stretch.members[0].path, gradient)
            for stretch, gradient in zip(self._stretches, flat, strict=True)
        ]

    def update(
        self,
        flat: Sequence[Any],
        progress: Progress,
        ok: Any = None,
        checks: bool = False,
        stays: bool = False,
    ) -> bool:
        """Make the step of gradients that `flat` returned; on a GPU, unless `ok` there is False.

        Then neither what was to be read nor what was to be written is touched. With `checks`,
        which is of the CPU, that is so as well where not all gradients are finite; False says so.
        `stays` says that the next step's gradients will be in the same arrays.
        """
        if flat and not isinstance(flat[0], np.ndarray | Product):
            self._update_on_gpu(flat, progress, ok)
            return True
        plan = self._plan
        if plan is None or not plan.is_for(flat):
            plan = planned(self.optimizer, self._stretches, flat, self._compiles)
            self._plan = plan if stays else None
        for product in plan.products:
            product.made()
        if checks and self.optimizer.clip_norm is not None:
            if not all(map(is_finite, plan.made)):
                return False
            checks = False
        rate, shrink = self._rate(progress), self._shrink(plan.made)
        if checks and not all(is_finite(job.gradient) for job in plan.others):
            return False
        if plan.jobs is not None and not plan.jobs.step(rate, shrink, checks):
            return False
        for piece, gradient, stretch in plan.others:
            part = self._clipped(gradient, piece.mask)
            self._update(piece, part if shrink == 1 else part * shrink, stretch.count + 1, rate)
        for stretch in self._stretches:
            stretch.stepped()
        return True

    def _update_on_gpu(self, flat: Sequence[Array], progress: Progress, ok: Any) -> None:
        """Make the step without waiting for the GPU, in one launch for each stretch."""
        from . import gpu

        rate, clip, shrink = self._rate(progress), self.optimizer.clip_norm, None
        if clip is not None:
            parts = self._parts(flat)
            shrink = gpu.shrink([self._clipped(part, mask) for _, part, mask in parts], clip, ok)
        for stretch, gradient in zip(self._stretches, flat, strict=True):
            count = stretch.count + 1
            for piece in stretch.pieces:
                part = gradient[piece.span]
                if gpu.takes(self.optimizer, piece.array):
                    gpu.update(self.optimizer, piece, part, count, rate, shrink, ok)
                else:
                    part = self._clipped(part, piece.mask)
                    if shrink is not None:
                        part = part * shrink.astype(part.dtype)
                    self._update(piece, part, count, rate, ok)
            stretch.stepped()

    def forget(self, steps: int) -> None:
        """Count so many steps as not made: those in which `ok` was False already."""
        for stretch in self._stretches:
            for one in stretch.members:
                one.count -= steps

    def _rate(self, progress: Progress) -> float:
        rate = self.optimizer.learning_rate
        if not callable(rate):
            return rate
        return number(rate(progress), f"the learning rate at {progress}", least=0.0)

    def _clipped(self, gradient: Array, mask: Array | None) -> Array:
        """Return a part of a gradient, 0 where the element is frozen, clipped by value."""
        if mask is not None:
            gradient = array_module(gradient).where(mask, gradient, gradient.dtype.type(0))
        clip = self.optimizer.clip_value
        return gradient if clip is None else array_module(gradient).clip(gradient, -clip, clip)

    def _shrink(self, flat: Sequence[Array]) -> float:
        """Return the factor that brings the gradients' common length to `clip_norm`."""
        clip = self.optimizer.clip_norm
        if clip is None:
            return 1.0
        total = 0.0
        for path, part, mask in self._parts(flat):
            # float64, since squares of float32 overflow from 2e19 on.
            part = self._clipped(part, mask).astype(np.float64)
            part *= part
            total += float(part.sum())
            if not math.isfinite(total):
                what = "its gradient is not finite, or longer than can be told"
                raise NonFiniteError(what, path)
        return min(1.0, clip / math.sqrt(total)) if total else 1.0

    def _parts(self, flat: Sequence[Array]) -> Iterator[tuple[Path, Array, Array | None]]:
        """Yield the parts of gradients that the pieces and members have, with path and mask."""
        for stretch, gradient in zip(self._stretches, flat, strict=True):
            for path, span, mask in stretch.parts():
                yield path, gradient[span], mask

    def _update(
        self, piece: Piece, gradient: Array, count: int, rate: float, ok: Any = None
    ) -> None:
        """Take the step of one piece, of a gradient that was clipped."""
        array, mask, multiplier = piece.array, piece.mask, piece.multiplier
        xp, weights = array_module(array), array
        if mask is not None:
            # Frozen elements may hold anything, infinities too, and must not come into it.
            weights = xp.where(mask, array, array.dtype.type(0))
        if ok is not None:  # what is remembered of the gradients stays finite, too
            gradient = xp.where(ok, gradient, gradient.dtype.type(0))
        if piece.l2:
            gradient = gradient + piece.l2 * weights
        spare = None if piece.into is array or ok is not None else piece.into
        change = self.optimizer.change(gradient, piece.state, count, rate * multiplier, spare)
        if piece.decay:
            sizes: Any = abs(multiplier)
            change += sizes * (rate * piece.decay) * weights
        if ok is not None:
            new = array - change if mask is None else xp.where(mask, array - change, array)
            xp.copyto(piece.into, new, where=ok)
        elif mask is None:
            xp.subtract(array, change, out=piece.into)
        else:
            change = array - change
            xp.copyto(piece.into, array)
            xp.copyto(piece.into, change, where=mask)


def _amounts(net: Layer, given: Layer | None, rules: Rules, what: str) -> dict[Path, float]:
    """Return the weight decay or L2 of each array of a net that can be trained, by path."""

    def check(amount: Any, rule: str) -> float:
        return 0.0 if amount is None else number(amount, f"{what}: the value of {rule}", least=0.0)

    decisions = resolve(net, rules, lambda place: (0.0, "no rule"), check, given)
    return {place.path: amount for place, amount, _ in decisions if not place.is_state}
