"""What `train` is told, checked before the first step: limits, validation, the best, callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..backend import Array
from ..checks import number, positive
from ..data import ArraySource, Source, StreamSource, make_source
from ..data.rows import split_indices
from ..errors import DataError, SpecError
from ..net import Net
from ..progress import Progress
from .feed import encoded_ports, round_size
from .measures import Measure
from .result import counted
from .stop import Stop, StopFunction

__all__ = ["Held", "Limits", "as_callbacks", "best_metric", "hold_out", "kept_bytes", "source_for"]

# With no limit given: at least so many rounds, and at least so many steps.
DEFAULT_ROUNDS, DEFAULT_STEPS = 10, 1000


@dataclass(frozen=True)
class Limits:
    """Where training ends, whichever comes first; None is no such limit.

    Parameters
    ----------
    rounds, steps, max_seconds
        As for `train`.
    steps_per_round
        How many steps make a round, where that is known.
    """

    rounds: int | None = None
    steps: int | None = None
    max_seconds: float | None = None
    steps_per_round: int | None = None

    def __post_init__(self) -> None:
        for name in ("rounds", "steps"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, positive(getattr(self, name), name))
        if self.max_seconds is not None:
            seconds = number(self.max_seconds, "max_seconds", above=0.0)
            object.__setattr__(self, "max_seconds", seconds)

    def for_data(self, source: Source, batch_size: int) -> tuple[Limits, str]:
        """Return the limits with what the data decides, and what to say about it."""
        per_round = None
        if isinstance(source, ArraySource):
            per_round = round_size(len(source), batch_size)
        rounds, said = self.rounds, ""
        if (self.rounds, self.steps, self.max_seconds) == (None, None, None):
            if isinstance(source, StreamSource) and source.is_once:
                said = "no limit given: training until the data ends"
            else:
                enough = -(-DEFAULT_STEPS // per_round) if per_round else 0
                rounds = max(DEFAULT_ROUNDS, enough)
                said = f"no limit given: training for {counted(rounds, 'round')}"
            said += " (set rounds=, steps= or max_seconds=)"
        return Limits(rounds, self.steps, self.max_seconds, per_round), said

    @property
    def see_all_twice(self) -> bool:
        """Whether examples are seen again, as far as is known: after one round they aren't."""
        if self.steps is not None and self.steps_per_round is not None:
            return self.rounds != 1 and self.steps > self.steps_per_round
        return self.rounds != 1

    def progress(self, step: int, round: int, seconds: float) -> Progress:
        """Return how far training has come towards the limits."""
        return Progress(
            step, self.steps, round, self.rounds, seconds, self.max_seconds, self.steps_per_round
        )

    def reached(self, progress: Progress) -> str:
        """Return which limit has been reached, in words, or nothing."""
        if self.rounds is not None and progress.round >= self.rounds:
            return counted(self.rounds, "round")
        if self.steps is not None and progress.step >= self.steps:
            return counted(self.steps, "step")
        if self.max_seconds is not None and progress.seconds >= self.max_seconds:
            return counted(self.max_seconds, "second")
        return ""


def source_for(net: Net, data: Any) -> Source:
    """Return data as what training reads from, for the ports of a net."""
    return make_source(data, net.input_names, net.output_names, encoded=encoded_ports(net))


class Held(NamedTuple):
    """The training data and what is held out, with their positions in the data given."""

    source: Source
    rows: Array | None
    held: Source | None
    held_rows: Array | None


def hold_out(source: Source, validation: Any, net: Net, seed: int) -> Held:
    """Hold a share of the data out for validation, or take data of its own."""
    if validation is None:
        return Held(source, None, None, None)
    if not isinstance(validation, bool | int | float | np.number):
        held = source_for(net, validation)
        if isinstance(held, StreamSource) and held.is_once:
            raise DataError(
                "validation data is needed again after every round, but an iterator gives it "
                "only once: give arrays, or a function that returns a new iterator"
            )
        return Held(source, None, held, None)
    share = number(validation, "validation, as a share of the data,", above=0.0, below=1.0)
    if not isinstance(source, ArraySource):
        raise SpecError(
            "a share for validation can only be held out of data with a known length: "
            "give validation data of its own"
        )
    random = np.random.default_rng([seed, 3])
    picked, rest = split_indices(len(source), share, random, source.labels())
    return Held(source.select(rest), rest, source.select(picked), picked)


def best_metric(
    best: Any, stop: StopFunction | None, measures: Sequence[Measure], is_validated: bool
) -> str | None:
    """Return the metric that chooses the best net; None lets the final one be it.

    Raises a SpecError if it, or the one to stop by, will not be measured.
    """
    columns = ["loss", *(measure.name for measure in measures)]
    if is_validated:
        columns += [f"validation_{name}" for name in columns]
    stops_by = stop.metric if isinstance(stop, Stop) else None
    for what, metric in (("stop", stops_by), ("choose the best net", best)):
        if metric is not None and not (isinstance(metric, str) and metric in columns):
            hint = "" if is_validated else "; validation= (a share, or data) adds more"
            raise SpecError(
                f"there will be no {metric!r} to {what} by: there are {', '.join(columns)}{hint}"
            )
    if best is not None or not is_validated:
        return best  # type: ignore[no-any-return]
    is_held = stops_by is not None and stops_by.startswith("validation_")
    return stops_by if is_held else "validation_loss"


def as_callbacks(given: Any) -> tuple[Callable[..., Any], ...]:
    """Return callbacks, given as one function or several."""
    callbacks = tuple(given) if isinstance(given, Sequence) else (given,)
    for callback in callbacks:
        if not callable(callback) or isinstance(callback, type):
            raise SpecError(
                "callbacks are functions of the trainer and the row of the history, "
                f"got {callback!r}"
            )
    return callbacks


def kept_bytes(reuse_frozen: Any) -> float:
    """Return how many bytes of features to keep in memory; 0 keeps none at all."""
    if isinstance(reuse_frozen, bool):
        return 1e9 if reuse_frozen else 0.0
    return number(reuse_frozen, "reuse_frozen (True, False or a size in bytes)", least=0.0)
