"""What a Trainer does about numbers that are not finite: tell whence they came, and go back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, is_finite, move
from ..errors import NonFiniteError
from ..layers.base import Path
from ..net import Net
from ..optim import Updater
from ..progress import Progress
from .checks import all_finite, where_not_finite
from .objective import Objective
from .watch import Watch

__all__ = ["Recovery"]


class Recovery:
    """The side of a Trainer that keeps what it takes to go back a step, and goes back."""

    objective: Objective
    progress: Progress
    steps: int
    _updater: Updater
    _watch: Watch | None  # on a GPU
    _live: Net
    _base: Net  # all that is not trained at present is as it is here
    _tensors: dict[Path, Tensor]
    _arrays: dict[Path, Array]  # what is trained, written to in place
    _before: dict[Path, Array]  # the same before the last step; the next goes there
    _state: dict[Path, Array]  # running statistics
    _state_before: dict[Path, Array]
    _brought: dict[Path, tuple[Array, Array]]  # there and where the given net was

    @property
    def net(self) -> Net:
        """The net as trained so far."""
        raise NotImplementedError

    def _use(self) -> None:
        """Tell the updater what is trained."""
        raise NotImplementedError

    def _show(self, arrays: dict[Path, Array], before: dict[Path, Array]) -> None:
        """Make these the arrays as they are now, for the forward pass too."""
        self._arrays, self._before = arrays, before
        for path, tensor in self._tensors.items():
            tensor.data = arrays[path]

    def _keep(self, state: dict[Path, Array]) -> None:
        """Keep the running statistics after a step."""
        if self._watch is None:
            self._state_before, self._state = self._state, state
            return
        first = {path: self._base._at(path) for path in state}
        old, older = {**first, **self._state}, {**first, **self._state_before}
        self._state, self._state_before = self._watch.guarded(state, old, older)

    # --- what is not finite -----------------------------------------------------------------

    def check_steps(self, outputs: Any = None, targets: Any = None) -> None:
        """Raise the NonFiniteError of a step on a GPU, which nothing has waited for.

        The steps after it changed nothing; they count as not made. If the outputs of the only
        step are given, and its targets on the host, wrong targets are told as on the CPU.
        """
        trouble = None if self._watch is None else self._watch.trouble(self.steps)
        if trouble is None:
            return
        undone = self.steps - trouble.step + 1
        self.steps = trouble.step - 1
        if self._tensors and undone % 2:  # what was read and written changed places each time
            self._show(self._before, self._arrays)
        self._updater.forget(undone)
        self._use()
        if trouble.path is None:
            if targets is not None:
                self._check_targets(outputs, targets)
            raise self._loss_not_finite(trouble.inputs())
        raise self._not_finite("its gradient is", trouble.path)

    def check_arrays(self) -> None:
        """Raise a NonFiniteError if a trained array is not finite, which no loss may have shown."""
        self.check_steps()
        if self._watch is not None and all_finite(list(self._arrays.values())):
            return
        for path, array in self._arrays.items():
            if not is_finite(array):
                self._take_back()
                raise self._not_finite("after the last step it is", path, self.steps)

    def _check_targets(self, outputs: Any, targets: Any) -> None:
        """Raise a DataError if the loss can't take these targets: on the host it looks at them."""
        with np.errstate(all="ignore"):
            if isinstance(outputs, Mapping):
                outputs = {port: move(part, "cpu") for port, part in outputs.items()}
            else:
                outputs = move(outputs, "cpu")
            self.objective(outputs, self.objective.fitted(outputs, targets))

    def _loss_not_finite(self, inputs: Any) -> NonFiniteError:
        """Return the error for a loss that is not finite, the step before it taken back."""
        path = () if inputs is None else where_not_finite(self._live, inputs)
        self._take_back()
        what = "its output, and with it the loss, is" if path else "the loss is"
        return self._not_finite(what, path)

    def _take_back(self) -> None:
        """Make all arrays what they were before the last step, or at worst in the beginning."""
        for path, array in self._arrays.items():
            before = self._before[path]
            np.copyto(array, before if is_finite(before) else self._base._at(path))
        self._state = self._state_before

    def _not_finite(self, what: str, path: Path, step: int | None = None) -> NonFiniteError:
        """Return the error for something at `path` in a step, by default the one being made."""
        step, round = self.steps + 1 if step is None else step, self.progress.round + 1
        error = NonFiniteError(
            f"{what} not finite in round {round}, step {step}: "
            "a smaller learning rate, clip_norm=, or other initial weights usually help",
            path,  # where it first appeared
        )
        error.round, error.step, error.net = round, step, self.net
        return error
