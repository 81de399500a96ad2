"""Steps as CUDA graphs: all launches of a forward and backward pass recorded once, then replayed.

To launch a small kernel takes the host longer than it takes the GPU to run it. A pass
over a batch of the same shapes launches the same kernels on the same memory, so the
second time and from then on one launch of the whole can do. What goes in (the batch, the
running statistics) is copied to where the recorded kernels look for it; the weights,
which change places at every step, make two recordings.

What the host decides in a pass would be recorded as it was decided the first time. So
only nets of minnet's own layers and losses are recorded, with nothing random in them, and
a recording is only used after it gave what the plain pass gives, for two batches: those
few steps are the only ones that the host waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from weakref import WeakMethod

from ..backend import Array, array_module, is_array, move
from ..backend.devices import cupy
from ..layers.base import Path, walk
from ..net import Net
from .aside import Aside
from .frozen import is_trained
from .objective import Objective
from .parts import Pass

__all__ = ["Capture", "is_repeatable"]

# Passes of the same shapes before they are recorded, which takes about as long as some.
WARM = 10
CHECKS = 2
# Recordings that are kept, each with its memory.
MOST = 8
SLACK = 1e-3  # between a recording and the plain pass, of the largest number

State = Mapping[Path, Array]
Work = Callable[[int, float, Any, Any, State], Pass]


def is_repeatable(net: Net, objective: Objective) -> bool:
    """Tell whether a pass through a net does the same for every batch of the same shape."""
    leaves = [leaf for _, leaf in walk(net)]
    own = all(type(leaf).__module__.startswith("minnet.") for leaf in leaves)
    named = all(goal.loss != "custom" for goal in objective.goals.values())
    return own and named and not any(leaf.is_random for leaf in leaves)


@dataclass(slots=True, eq=False)
class Recording:
    """A pass for batches of one shape, from weights in one place."""

    seen: int = 0
    checks: int = 0
    graph: Any = None
    inputs: tuple[Array, ...] = ()  # where the graph finds what goes in
    found: Any = None  # the `Pass` whose arrays the graph writes to


class Capture:
    """Makes the passes of a training on a GPU, replayed where that is possible.

    Parameters
    ----------
    work
        A method that makes a plain pass: of the number of the thread and the share of the
        batch (0 and all), features, targets and running statistics.
    device
        The GPU.

    Attributes
    ----------
    problem
        Why passes can't be recorded, once that has come out; empty if they can.
    """

    @classmethod
    def of(cls, net: Net, objective: Objective, work: Work, device: str) -> Self | None:
        """Return what makes passes through a net; None if they can't be recorded."""
        if is_trained(net) and is_repeatable(net, objective):
            return cls(work, device)
        return None

    def __init__(self, work: Work, device: str) -> None:
        # Whose method it is keeps this object: memory of a GPU should not wait for a collection.
        self._method, self._module = WeakMethod(work), cupy(device)
        self._recordings: dict[Any, Recording] = {}
        self._aside: Aside | None = None
        self._is_possible = True
        self.problem = ""

    def __call__(self, features: Any, targets: Any, state: State, place: int) -> Pass:
        """Make a pass; `place` tells apart the places in memory that the weights can be in."""
        if not (self._is_possible and is_array(features) and is_array(targets)):
            return self._work(features, targets, state)
        given = (features, targets, *state.values())
        key = place, tuple(state), tuple((array.shape, array.dtype) for array in given)
        recording = self._recordings.get(key)
        if recording is None:
            if len(self._recordings) >= MOST:
                return self._work(features, targets, state)
            recording = self._recordings[key] = Recording()
        recording.seen += 1
        if recording.checks >= CHECKS:
            return self._replayed(recording, given, state)
        if recording.seen > WARM:
            return self._tried(recording, given, state)
        return self._work(features, targets, state)

    def _work(self, features: Any, targets: Any, state: State) -> Pass:
        """Make a plain pass."""
        method = self._method()
        assert method is not None
        found: Pass = method(0, 1.0, features, targets, state)
        return found

    def _tried(self, recording: Recording, given: tuple[Array, ...], state: State) -> Pass:
        """Make a plain pass, record it if that wasn't done, and check that both give the same."""
        features, targets, *_ = given
        try:
            if self._aside is None:
                # What plain passes have left is of use to recordings, which can't take it.
                self._module.get_default_memory_pool().free_all_blocks()
                self._aside = Aside(self._module)
            plain = self._aside.run(lambda: self._work(features, targets, state))
            if recording.graph is None:
                self._record(self._aside, recording, given, state)
            recording.checks += 1
            if _agree(plain, self._replayed(recording, given, state)):
                return _taken(plain, plain.targets)
            self._give_up("it gave something else than the plain pass")
        except Exception as error:  # whatever it is that can't be recorded, the plain pass can do
            self._give_up(f"{type(error).__name__}: {error}")
        return self._work(features, targets, state)

    def _give_up(self, problem: str) -> None:
        """Make plain passes from now on, and let go of all memory."""
        self._is_possible, self.problem = False, problem
        self.__del__()

    def __del__(self) -> None:
        """Let go of the arrays first, and then of the pool that they are from."""
        self._recordings.clear()
        self._aside = None

    def _record(
        self, aside: Aside, recording: Recording, given: tuple[Array, ...], state: State
    ) -> None:
        recording.inputs = tuple(array.copy() for array in given)
        features, targets, *statistics = recording.inputs
        known = dict(zip(state, statistics, strict=True))
        recording.graph, recording.found = aside.record(
            lambda: self._work(features, targets, known)
        )

    def _replayed(self, recording: Recording, given: tuple[Array, ...], state: State) -> Pass:
        """Make a pass by its recording; gradients are good until the next one."""
        for there, array in zip(recording.inputs, given, strict=True):
            there[...] = array
        recording.graph.launch()
        found: Pass = recording.found
        return _taken(found, given[1].reshape(found.targets.shape))


def _taken(found: Pass, targets: Array) -> Pass:
    """Return a pass made aside; all that is kept beyond the step is in other memory."""
    return replace(
        found,
        loss=found.loss.copy(),
        outputs=_copied(found.outputs),
        targets=targets,
        state={path: array.copy() for path, array in found.state.items()},
    )


def _copied(outputs: Any) -> Any:
    if isinstance(outputs, Mapping):
        return {port: part.copy() for port, part in outputs.items()}
    return outputs.copy()


def _agree(one: Pass, other: Pass) -> bool:
    """Tell whether two passes came to the same numbers, as far as rounding goes."""
    pairs = zip(_arrays(one), _arrays(other), strict=True)
    same = [_is_close(a, b) for a, b in pairs]
    return bool(move(array_module(same[0]).stack(same), "cpu").all())


def _is_close(a: Array, b: Array) -> Any:
    """Return whether arrays are nearly the same; in float16 gradients may be infinite or NaN."""
    xp = array_module(a)
    is_finite = xp.isfinite(a)
    size = xp.where(is_finite, abs(a), 0).max() if a.size else 0
    is_near = abs(a - b) <= SLACK * size
    return xp.where(is_finite, is_near, (a == b) | (xp.isnan(a) & xp.isnan(b))).all()


def _arrays(found: Pass) -> Iterator[Array]:
    outputs = found.outputs.values() if isinstance(found.outputs, Mapping) else [found.outputs]
    yield found.loss
    yield from outputs
    yield from found.gradients.values()
    yield from found.state.values()
