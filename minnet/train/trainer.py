"""Trainer: the training loop in your hands, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend import Array, is_finite, using
from ..checks import boolean, positive
from ..errors import NonFiniteError, SpecError
from ..layers.base import Path
from ..multipliers import MultiplierTable, Rules
from ..multipliers import multipliers as resolve_multipliers
from ..net import Net
from ..net.place import returned
from ..net.threaded import Hands
from ..optim import Adam, Optimizer, Updater
from ..optim.flat import packed
from ..progress import Progress
from .capture import Capture
from .checks import check_counts, check_initialized
from .dense import Dense
from .feed import encoded
from .frozen import Bottom, without_frozen_dropout
from .gpu_feed import brought
from .objective import LossSpec, choose_objective
from .parts import step_work
from .passes import Passes
from .precision import Half, checked_precision, products
from .recovery import Recovery
from .room import updating
from .watch import Watch

__all__ = ["Trainer"]

# Arrays of fewer numbers in all are updated in less time than it takes to share that.
LARGE = 1 << 14
_NOTHING = nullcontext()


class Trainer(Passes, Recovery):
    """Trains a net step by step; `train` is built on it.

    Parameters
    ----------
    net
        An initialized net. It is never changed: `trainer.net` gives the trained one.
    optimizer
        `Adam()` when left out.
    loss
        Chosen from the net's end when left out; a name or a function, see `train`.
    multipliers
        The rules that say how fast each array learns, see `minnet.multipliers`.
    seed
        Of what is random in training (dropout, augmentation).
    frozen_dropout
        Whether dropout below the first trainable array is active, too.
    given
        The net before it was initialized, if it was: rules may name layers of either.
    threads
        Among how many threads the examples of a batch (with a loss of your own, which may look
        at all of them, the work of large ops) are divided, in nets with convolutions. As many as
        NumPy's BLAS uses when left out. Different numbers differ by rounding.
    device
        Where to train: `"cpu"`, `"gpu"` or, of several, `"gpu:1"`; where the net is when left
        out. Batches are brought there; `trainer.net` is where `net` is.
    precision
        What a GPU computes in: `"float32"`, `"tf32"` or `"float16"`, see `train`.
    capture
        Whether steps on a GPU are recorded as CUDA graphs and replayed, where that is possible.

    Attributes
    ----------
    table
        The `MultiplierTable` that the rules came to.
    progress
        How far training has come; a step counts itself, see `set_progress` for the rest.
    steps
        How many steps were made.

    Raises
    ------
    SpecError
        If the net has arrays missing, or a rule or option is wrong.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> net = mn.Chain(mn.Linear(8), mn.Tanh(), mn.Linear(1), input=2).initialize()
    >>> trainer = mn.Trainer(net, mn.SGD(0.1), multipliers={0: None, ...: 1})
    >>> x, y = np.eye(2, dtype="float32"), np.ones((2, 1), "float32")
    >>> losses = [trainer.step(x, y) for _ in range(20)]
    >>> losses[-1] < losses[0], trainer.net["0.weight"] is net["0.weight"]
    (True, True)
    """

    def __init__(
        self,
        net: Net,
        optimizer: Optimizer | None = None,
        loss: LossSpec = None,
        multipliers: Rules = None,
        seed: int = 0,
        frozen_dropout: bool = True,
        given: Net | None = None,
        threads: int | None = None,
        device: str | None = None,
        precision: str = "float32",
        capture: bool = True,
    ) -> None:
        if not isinstance(net, Net):
            raise SpecError(f"expected a Chain or Graph to train, got {type(net).__name__}")
        check_initialized(net)
        self._given, self._begun = net, net if device is None else net.to(device)
        if self._begun is not net:
            net, given = self._begun, net if given is None else given
        self.device, self._brought = net.device, {}
        self.optimizer = Adam() if optimizer is None else optimizer
        if not isinstance(self.optimizer, Optimizer):
            raise SpecError(f"optimizer must be one such as Adam() or SGD(0.1), got {optimizer!r}")
        self.objective = choose_objective(net, loss)
        self.table: MultiplierTable = resolve_multipliers(net, multipliers, given)
        self.frozen_dropout = boolean(frozen_dropout, "frozen_dropout")
        self.progress, self.steps = Progress(), 0
        self._seed = positive(seed, "seed", 0)
        self._randoms = [np.random.default_rng([self._seed, 1])]  # one for each thread
        self._hands = Hands(None if threads is None else positive(threads, "threads"))
        self._updater = Updater(self.optimizer, net, given)
        self._base = net
        self._arrays, self._before, self._state, self._state_before = {}, {}, {}, {}
        self._multipliers: Mapping[Path, Any] | None = None
        self._dense_flat: list[Array] | None = None
        self.precision = checked_precision(precision, net)
        self._captures = boolean(capture, "capture") and self.device != "cpu"
        with using(self.device):
            arrays = net.arrays().values()
            self._half = Half(next(iter(arrays))) if self.precision == "float16" else None
            self._watch = None if self.device == "cpu" else Watch(next(iter(arrays)))
            self.set_progress(self.progress)

    # --- the net ----------------------------------------------------------------------------

    @property
    def net(self) -> Net:
        """The net as trained so far, a value of its own; frozen arrays are the same objects.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(3), mn.Linear(1), input=2).initialize()
        >>> trainer = mn.Trainer(net, multipliers={0: None})
        >>> loss = trainer.step([[1.0, 2.0]], [[3.0]])
        >>> [trainer.net[i, "weight"] is net[i, "weight"] for i in (0, 1)]
        [True, False]
        """
        with using(self.device):
            return self.at_home(self.there())

    def there(self) -> Net:
        """Return the net as trained so far on the device that it is trained on."""
        changed = {**self._arrays, **self._state}
        return self._base.with_arrays(changed) if changed else self._base

    def at_home(self, there: Net) -> Net:
        """Return a net that `there` gave where the given one was; what is frozen is that one's."""
        return returned(there, self._begun, self._given, self._brought)

    @property
    def trainable(self) -> tuple[Path, ...]:
        """The paths of the arrays that are trained at present.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(3), mn.Linear(1), input=2).initialize()
        >>> mn.Trainer(net, multipliers={0: None}).trainable
        ((1, 'weight'), (1, 'bias'))
        """
        return tuple(self._tensors)

    def set_progress(self, progress: Progress) -> None:
        """Say how far training has come, and read schedules of multipliers again.

        `train` does so before every round. A weight that thaws starts with fresh
        optimizer state.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(mn.Linear(3), mn.Linear(1), input=2).initialize()
        >>> trainer = mn.Trainer(net, multipliers=mn.gradual_unfreeze())
        >>> len(trainer.trainable)
        2
        >>> trainer.set_progress(mn.Progress(round=1))
        >>> len(trainer.trainable)
        4
        """
        now, before = self.table.at(progress), self._multipliers
        try:
            if before is None or set(now) != set(before):
                before = None
                self._make_live(now)
            if before is None or any(now[path] is not before[path] for path in now):
                self._multipliers = now
                self._use()
        except MemoryError as error:
            raise updating(error) from error.__cause__
        self.progress = progress

    def _use(self) -> None:
        """Tell the updater what is trained."""
        compiles = self._dense is not None and self._dense.is_compiled
        self._updater.use(self._arrays, self._multipliers or {}, self._before, compiles)
        self._dense_flat = None

    def _make_live(self, now: Mapping[Path, Any]) -> None:
        """Make a Tensor of each array trained from now on, and of nothing else."""
        current = self.there()
        here, before = self._arrays, self._before
        self._arrays = packed({p: here[p] if p in here else current._at(p) for p in now})
        self._before = packed({p: before[p] if p in before else current._at(p) for p in now})
        self._base, self._state, self._state_before = current, {}, {}
        self._tensors = {path: Tensor(array) for path, array in self._arrays.items()}
        live = self.objective.without_ends(current).with_arrays(self._tensors)
        self._live = live if self.frozen_dropout else without_frozen_dropout(live)
        self.bottom = Bottom(self._live, self._hands)
        if self._half is not None:
            self._half.use(self.bottom.above)
        self._capture = None
        if self._captures:
            self._capture = Capture.of(self.bottom.above, self.objective, self._pass, self.device)
        self._is_large = sum(array.size for array in self._arrays.values()) >= LARGE
        self._work = step_work(self.bottom.above, self.objective)
        self._dense = self._dense_passes()

    def plain_above(self) -> Net:
        """Return the part above the frozen bottom as it is now, with plain arrays."""
        return self.bottom.above.with_arrays({**self._arrays, **self._state})

    # --- steps ------------------------------------------------------------------------------

    def step(self, x: Any, y: Any) -> float:
        """Train on one batch and return its loss.

        Parameters
        ----------
        x, y
            Inputs and targets as the net's encoder and decoder take them (dicts by
            port for several).

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is not finite; `trainer.net` is then the last net
            whose loss was.
        DataError, ShapeError
            If the batch can't be used, or doesn't fit the net.

        Examples
        --------
        >>> import numpy as np, minnet as mn
        >>> trainer = mn.Trainer(mn.Chain(mn.Linear(1), input=2).initialize())
        >>> trainer.step(np.zeros((3, 2)), [1, 2, 3])
        4.666666507720947
        """
        with using(self.device):
            inputs = brought(encoded(self._base, x), self.device)
            targets = self.objective.targets(self._base, y)
            check_counts(inputs, targets)
            features = self.bottom(inputs)
            made = self.step_above(features, brought(targets, self.device), lambda: inputs)
            self.check_steps(made[1], targets)
            self.progress = self.progress.at_step(self.steps)
            return float(made[0])

    def step_above(
        self, features: Any, targets: Any, inputs: Callable[[], Any]
    ) -> tuple[Any, Any, Any]:
        """Train on the outputs of the frozen bottom; what `train` does once they are known.

        On a GPU nothing waits for the step to be made: see `check_steps`.

        Parameters
        ----------
        features
            What the bottom gave for a batch.
        targets
            The targets as the loss takes them.
        inputs
            Gives what went into the bottom, for finding out where something went wrong.

        Returns
        -------
        loss, outputs, targets
            The loss, the outputs before what the loss takes over, and the targets in
            their shape.
        """
        # Whatever becomes infinite or NaN is reported.
        with np.errstate(all="ignore"), products(self.precision):
            made = self._there_and_back(features, targets)
            loss, found = made.loss, made.gradients
            if self._watch is not None:
                seen = found if self._half is None else {}  # a step that overflows is left out
                self._watch.look(self.steps + 1, loss, seen, inputs)
            elif not math.isfinite(loss):
                raise self._loss_not_finite(inputs())
            if self._tensors:
                try:
                    with self._hands.between() if self._is_large else _NOTHING:
                        self._descend(found)
                except MemoryError as error:
                    raise updating(error) from error.__cause__
        self._keep(made.state)
        self.steps += 1
        return loss, made.outputs, made.targets

    def _descend(self, found: dict[Path, Array]) -> None:
        """Update the arrays, of the gradients that were found."""
        dense = self._dense if self._dense is not None and found is self._dense.gradients else None
        flat = self._updater.flat(found) if dense is None else self._flat(dense)
        arrays, spare, is_made = self._arrays, self._before, True
        try:
            ok = None if self._watch is None else self._watch.ok
            if self._half is None:
                checks = self._watch is None and not (dense is not None and dense.are_finite)
                stays = dense is not None
                is_made = self._updater.update(flat, self.progress, ok, checks, stays)
            else:
                self._half.update(self._updater, flat, self.progress, ok, spare, arrays)
            if is_made:
                self._show(spare, arrays)
        except NonFiniteError as error:  # a length beyond what floats hold
            raise self._not_finite("its gradient is", error.path) from None
        except BaseException:  # Ctrl-C, too, leaves no step half made
            for path, array in arrays.items():
                np.copyto(spare[path], array)
            self._show(arrays, spare)
            self._use()
            self._state_before = self._state
            raise
        if not is_made:  # the backward pass came by the last one first
            fine = {} if dense is None else dense.products
            there = (path for path in reversed(found) if path not in fine)
            path = next(path for path in there if not is_finite(found[path]))
            raise self._not_finite("its gradient is", path)

    def _flat(self, dense: Dense) -> list[Any]:
        """Return a dense net's gradients as the updater takes them: they are always the same."""
        if self._dense_flat is None:
            self._dense_flat = self._updater.flat(dense.gradients)
        flat, products = self._dense_flat, dense.products
        return self._updater.flat_with(flat, products) if products else flat
