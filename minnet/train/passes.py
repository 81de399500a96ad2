"""What a Trainer does with a batch before the update: forward through the net, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..autodiff import Tensor, gradients
from ..backend import Array
from ..errors import SpecError
from ..layers.base import Context, Path
from ..net.threaded import Hands, Work, count_of, join, part_of
from ..threads import together
from .capture import Capture
from .dense import Dense
from .frozen import Bottom
from .objective import Objective
from .parts import Pass, number_of, plain, summed
from .precision import Half
from .room import Trail, tried
from .watch import Watch

__all__ = ["Passes"]

# After so many steps of a small dense net its kernels are loaded, too: about as long as that takes.
LONG = 1 << 12
_NOTHING = nullcontext()


class Passes:
    """The side of a Trainer that finds the loss and the gradients of a batch."""

    bottom: Bottom
    objective: Objective
    _capture: Capture | None  # on a GPU
    _dense: Dense | None
    _half: Half | None
    _hands: Hands
    _randoms: list[np.random.Generator]  # one for each thread
    _seed: int
    _state: dict[Path, Array]  # running statistics
    _tensors: dict[Path, Tensor]
    _watch: Watch | None  # on a GPU
    _work: Work
    steps: int
    _arrays: dict[Path, Array]  # what is trained, written to in place

    def _use(self) -> None:
        """Tell the updater what is trained."""
        raise NotImplementedError

    def _dense_passes(self) -> Dense | None:
        """Return the passes of a dense net; those of a small one are compiled in a long training.

        That a number of steps decides, and no clock, or the numbers would differ from run to run.
        """
        is_long = self.steps >= LONG
        return Dense.of(self.bottom.above, self.objective, self._arrays, is_long)

    def _there_and_back(self, features: Any, targets: Any) -> Pass:
        """Go forward and back over a batch, by hand in a dense net."""
        if self.steps == LONG and self._dense is not None and not self._dense.is_compiled:
            self._dense = self._dense_passes()
            self._use()
        dense = self._dense
        if dense is not None and dense.takes(features, targets):
            with self._hands.inside(features, self._work) if dense.is_large else _NOTHING:
                loss, outputs = dense(features, targets)
            return Pass(loss, outputs, targets, dense.gradients, self._state)
        passes = self._tried(features, targets)
        return Pass(
            passes[0].loss if len(passes) == 1 else sum(one.loss for one in passes),
            join([one.outputs for one in passes]),
            join([one.targets for one in passes]),
            summed([one.gradients for one in passes]),
            passes[0].state,
        )

    def _tried(self, features: Any, targets: Any) -> list[Pass]:
        """Go forward and back over a batch, or say which one a GPU would have room for."""

        def attempt(size: int) -> None:
            some = part_of(features, slice(0, size)), part_of(targets, slice(0, size))
            self._pass(0, 1.0, *some, self._state)

        def follow(size: int) -> tuple[Any, Trail]:
            some = part_of(features, slice(0, size)), part_of(targets, slice(0, size))
            trail = Trail(self._randoms[0], (), dict(self._state))
            return self._forward(trail, *some)[-1], trail

        return tried(lambda: self._passes(features, targets), count_of(targets), attempt, follow)

    def _passes(self, features: Any, targets: Any) -> list[Pass]:
        """Go forward and back over a batch, divided among the threads."""
        if self._capture is not None:
            return [self._capture(features, targets, self._state, id(self._arrays))]
        parts, _ = division = self._hands.divide(features, self._work)
        while len(self._randoms) < len(parts):
            self._randoms.append(np.random.default_rng([self._seed, 1, len(self._randoms)]))
        count = parts[-1].stop

        def work(number: int, part: slice) -> Pass:
            some = part_of(features, part), part_of(targets, part)
            return self._pass(number, (part.stop - part.start) / count, *some, self._state)

        return self._hands.do(work, division)

    def _pass(
        self, number: int, share: float, features: Any, targets: Any, state: Mapping[Path, Array]
    ) -> Pass:
        """Go forward and back over a share of a batch, as the thread of this number."""
        context = Context(self._randoms[number], (), dict(state), share)
        outputs, targets, loss = self._forward(context, features, targets)
        found, amount = {}, number_of(loss)
        part = amount if share == 1 else amount * share
        # All parts go back or none, since they may wait for each other on the way.
        if self._tensors and (self._watch is not None or math.isfinite(together(part)[0])):
            found = self._gradients(loss, share)
        return Pass(part, plain(outputs), targets, found, context.updates)

    def _forward(self, context: Context, features: Any, targets: Any) -> tuple[Any, Any, Any]:
        """Return the outputs of the net, the targets in their shape, and the loss."""
        outputs = (self._half or self.bottom.above).apply(features, context)
        targets = self.objective.fitted(outputs, targets)
        return outputs, targets, self.objective(outputs, targets)

    def _gradients(self, loss: Any, share: float) -> dict[Path, Array]:
        if not isinstance(loss, Tensor):
            raise SpecError(
                "the loss doesn't depend on what is trained: compute it from the outputs, "
                "with operators or with functions from minnet.ops"
            )
        tensors = self._tensors
        start: Any = self._half.scale if self._half else None if share == 1 else share
        return dict(zip(tensors, gradients(loss, list(tensors.values()), start), strict=True))
