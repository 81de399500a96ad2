"""When to stop before the limits: no more improvement, or any function's word."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..checks import number, positive
from ..errors import SpecError

__all__ = ["Stop", "StopFunction", "as_stop", "better", "score_of"]

StopFunction: TypeAlias = Callable[[Sequence[dict[str, Any]]], Any]

# Metrics whose names end so should fall, all others rise.
FALLING = ("loss", "error", "mse", "mae")


def better(metric: str, new: float, old: float, change: float = 0.0) -> bool:
    """Tell whether `new` improves on `old`: losses and errors fall, everything else rises."""
    if math.isnan(old):
        return not math.isnan(new)
    return new < old - change if metric.endswith(FALLING) else new > old + change


def score_of(row: Mapping[str, Any], metric: str, what: str) -> float:
    """Return the number that a row of the history has for a metric."""
    if metric not in row:
        known = ", ".join(key for key in row if key not in ("round", "seconds"))
        raise SpecError(f"there is no {metric!r} to {what} by: there are {known}")
    if np.ndim(row[metric]):
        raise SpecError(f"{metric!r} is no single number to {what} by")
    return float(row[metric])


@dataclass(frozen=True)
class Stop:
    """Stop when a metric has not improved for some rounds (early stopping; Prechelt 1998).

    Parameters
    ----------
    metric
        A column of the history, such as `"validation_loss"` or `"validation_accuracy"`.
        Names ending in loss, error, mse or mae should fall, all others rise.
    patience
        How many rounds without improvement to wait for.
    change
        The smallest difference that counts as an improvement.

    Raises
    ------
    SpecError
        If an option is none of those.

    Examples
    --------
    >>> import minnet as mn
    >>> rounds = [{"validation_loss": x} for x in (0.5, 0.4, 0.45, 0.41)]
    >>> mn.Stop(patience=2)(rounds), mn.Stop(patience=3)(rounds)
    (True, False)
    """

    metric: str = "validation_loss"
    patience: int = 5
    change: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str):
            raise SpecError(f"the metric to stop by is a name, got {self.metric!r}")
        positive(self.patience, "patience")
        number(self.change, "the change that counts as an improvement", least=0.0)

    def __call__(self, history: Sequence[dict[str, Any]]) -> bool:
        best, best_at = math.nan, 0
        for i, row in enumerate(history):
            score = score_of(row, self.metric, "stop")
            if better(self.metric, score, best, self.change):
                best, best_at = score, i
        return len(history) - 1 - best_at >= self.patience


def as_stop(stop: Any) -> StopFunction | None:
    """Return the stop meant by a Stop, a metric's name, a number of rounds, or a function."""
    if stop is None or isinstance(stop, Stop):
        return stop
    if isinstance(stop, str):
        return Stop(stop)
    if isinstance(stop, int | np.integer) and not isinstance(stop, bool):
        return Stop(patience=int(stop))
    if callable(stop) and not isinstance(stop, type):
        return stop  # type: ignore[no-any-return]
    raise SpecError(
        "stop must be a Stop, the name of a metric, a number of rounds without improvement "
        f"or a function of the history, got {stop!r}"
    )
