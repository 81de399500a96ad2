"""Watch: whether all that was computed on a GPU was finite, which the host asks once a round.

To raise an error in the step that went wrong, the host would have to wait for every step.
Instead a flag on the GPU says whether all is well; when it is not, the steps to come change
nothing, and the first one that went wrong is remembered there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array, array_module, move
from ..layers.base import Path
from ..ops import gpu

__all__ = ["Trouble", "Watch"]

# What went wrong: the loss, or (from 1 on) the gradient of the array of this number.
LOSS, LENGTH = -1, 0


class Trouble(NamedTuple):
    """The first step that went wrong, with the array whose gradient did; None of the loss."""

    step: int
    path: Path | None
    inputs: Callable[[], Any]


class Watch:
    """Looks at every step of a round, without waiting for it.

    Attributes
    ----------
    ok
        A bool on the GPU: whether all has been finite so far.
    """

    def __init__(self, like: Array) -> None:
        xp = array_module(like)
        self.ok: Array = xp.ones((), bool)
        self._first: Array = xp.zeros(2, np.int64)  # the step that went wrong, and what did
        self._worst: Array = xp.zeros((), np.int64)  # the number of the last gradient that is not
        self._inputs: dict[int, Callable[[], Any]] = {}
        self._paths: tuple[Path, ...] = ()

    def look(
        self, step: int, loss: Any, gradients: Mapping[Path, Array], inputs: Callable[[], Any]
    ) -> None:
        """Look at the loss and the gradients of a step, counted from 1."""
        xp = array_module(self.ok)
        self._inputs[step], self._paths = inputs, tuple(gradients)
        found = list(map(xp.ascontiguousarray, gradients.values()))
        if gpu.takes(loss, *found):
            gpu.finite.look(loss, found, self._worst, self.ok, self._first, step)
            return
        is_fine = xp.isfinite(loss).reshape(())
        what = xp.where(is_fine, LENGTH, LOSS)
        if gradients:
            flags = xp.stack([xp.isfinite(gradient).all() for gradient in gradients.values()])
            numbers = xp.arange(1, len(flags) + 1)
            # The backward pass came by the last one first.
            worst = xp.where(flags, 0, numbers).max()
            what = xp.where(is_fine, worst, what)
            is_fine = is_fine & (worst == 0)
        was_lost = ~self.ok & (self._first[0] == 0)  # by the length of the last step's gradient
        new = xp.stack([xp.where(was_lost, step - 1, step), xp.where(was_lost, LENGTH, what)])
        is_first = was_lost | (self.ok & ~is_fine)
        self._first = xp.where(is_first, new, self._first)
        self.ok = self.ok & is_fine

    def guarded(
        self, new: Mapping[Path, Array], old: Mapping[Path, Array], older: Mapping[Path, Array]
    ) -> tuple[dict[Path, Array], dict[Path, Array]]:
        """Return running statistics after a step and before it; `older` are those before `old`.

        Once all is not well the two stay as they were.
        """
        if not new:
            return {}, {}
        xp = array_module(self.ok)
        after, before, earlier = (_flat([one[path] for path in new]) for one in (new, old, older))
        now, then = xp.where(self.ok, after, before), xp.where(self.ok, before, earlier)
        return _split(now, new), _split(then, new)

    def trouble(self, last: int) -> Trouble | None:
        """Return what went wrong since the last time this was asked; the one wait of a round."""
        xp = array_module(self.ok)
        step, what, is_ok = move(xp.stack([*self._first, self.ok.astype(np.int64)]), "cpu").tolist()
        inputs, self._inputs = self._inputs, {}
        if is_ok:
            return None
        step = step or last
        path = self._paths[what - 1] if what > 0 else None if what == LOSS else ()
        self.ok, self._first = xp.ones((), bool), xp.zeros(2, np.int64)
        return Trouble(step, path, inputs.get(step, lambda: None))


def _flat(arrays: Sequence[Array]) -> Array:
    parts = [array.reshape(-1) for array in arrays]
    flat: Array = array_module(parts[0]).concatenate(parts)
    return flat


def _split(flat: Array, like: Mapping[Path, Array]) -> dict[Path, Array]:
    """Return parts of a flat array in the shapes of others."""
    found, start = {}, 0
    for path, array in like.items():
        found[path] = flat[start : start + array.size].reshape(array.shape)
        start += array.size
    return found
