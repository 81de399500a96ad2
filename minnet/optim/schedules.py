"""Schedules: learning rates and multipliers that follow the progress of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..checks import number
from ..errors import SpecError
from ..progress import Progress, Schedule

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "OneCycle",
    "Polynomial",
    "Progress",
    "Rate",
    "Schedule",
    "StepDecay",
    "WarmUp",
]

Rate: TypeAlias = float | Callable[[Progress], float]


def _numbers(schedule: Any, /, **bounds: dict[str, float]) -> None:
    """Check options that are numbers, given their bounds, and make them Python floats."""
    for name, within in bounds.items():
        what = f"the {name} of {type(schedule).__name__}"
        object.__setattr__(schedule, name, number(getattr(schedule, name), what, **within))


def _period(schedule: Any) -> None:
    """Check that one of share, rounds and steps is given, and that it is positive."""
    given = [name for name in ("share", "rounds", "steps") if getattr(schedule, name) is not None]
    if len(given) != 1:
        raise SpecError(
            f"{type(schedule).__name__} needs one of share, rounds and steps, "
            f"got {' and '.join(given) or 'none'}"
        )
    most = {"most": 1.0} if given == ["share"] else {}
    _numbers(schedule, **{given[0]: {"above": 0.0, **most}})


def _periods_done(schedule: Any, progress: Progress) -> float:
    """Return how many of the schedule's share, rounds or steps are complete."""
    if schedule.share is not None:
        return progress.fraction / float(schedule.share)
    if schedule.rounds is not None:
        return progress.rounds_done / float(schedule.rounds)
    return progress.step / float(schedule.steps)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value throughout.

    Parameters
    ----------
    value
        The value.
    """

    value: float

    def __post_init__(self) -> None:
        _numbers(self, value={})

    def __call__(self, progress: Progress) -> float:
        return self.value


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply by a factor after every so long: the "step" policy of Caffe.

    Parameters
    ----------
    start
        The value to begin with.
    factor
        What to multiply by each time.
    share, rounds, steps
        After how long: a share of the whole training (from 0 to 1), a number of
        rounds, or a number of steps. Give one.

    Examples
    --------
    >>> from minnet.optim import Progress, StepDecay
    >>> schedule = StepDecay(0.8, factor=0.5, rounds=10)
    >>> [schedule(Progress(round=r)) for r in (0, 9, 10, 25)]
    [0.8, 0.8, 0.4, 0.2]
    """

    start: float
    factor: float = 0.1
    share: float | None = None
    rounds: float | None = None
    steps: float | None = None

    def __post_init__(self) -> None:
        _numbers(self, start={}, factor={"above": 0.0})
        _period(self)

    def __call__(self, progress: Progress) -> float:
        # 0.3 / 0.1 is just below 3: a period that rounding alone keeps open is complete.
        periods = math.floor(_periods_done(self, progress) + 1e-9)
        return self.start * float(self.factor**periods)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """Go from `start` to `end` along a power of what remains; a straight line by default.

    Parameters
    ----------
    start, end
        The values at the beginning and at the end of training.
    power
        `end + (start - end) * (1 - fraction) ** power`.

    Examples
    --------
    >>> from minnet.optim import Polynomial, Progress
    >>> Polynomial(1.0, power=2)(Progress(step=50, steps=100))
    0.25
    """

    start: float
    end: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        _numbers(self, start={}, end={}, power={"above": 0.0})

    def __call__(self, progress: Progress) -> float:
        remains = float((1 - progress.fraction) ** self.power)
        return self.end + (self.start - self.end) * remains


@dataclass(frozen=True)
class Exponential(Schedule):
    """Go from `start` to `end` by equal factors: `start * (end / start) ** fraction`.

    Parameters
    ----------
    start, end
        The values at the beginning and at the end of training, of the same sign.

    Examples
    --------
    >>> from minnet.optim import Exponential, Progress
    >>> round(Exponential(1.0, 0.01)(Progress(step=50, steps=100)), 12)
    0.1
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        _numbers(self, start={}, end={})
        if not self.start * self.end > 0:
            raise SpecError(
                f"Exponential goes between values of the same sign, neither 0; "
                f"got {self.start:g} and {self.end:g}"
            )

    def __call__(self, progress: Progress) -> float:
        return self.start * float((self.end / self.start) ** progress.fraction)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Go from `start` to `end` along half a cosine: slowly, fast, slowly.

    Loshchilov & Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", equation 5, without restarts.

    Parameters
    ----------
    start, end
        The values at the beginning and at the end of training.

    Examples
    --------
    >>> from minnet.optim import Cosine, Progress
    >>> Cosine(0.1)(Progress(step=50, steps=100))
    0.05
    """

    start: float
    end: float = 0.0

    def __post_init__(self) -> None:
        _numbers(self, start={}, end={})

    def __call__(self, progress: Progress) -> float:
        return _half_cosine(self.start, self.end, progress.fraction)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Follow another schedule, but rise to it along a straight line at the beginning.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 2.2 ("gradual
    warmup").

    Parameters
    ----------
    schedule
        A number, or a schedule, to follow.
    share, rounds, steps
        How long the rise takes: a share of the whole training (from 0 to 1), a
        number of rounds, or a number of steps. Give one.
    start
        What part of the schedule's value to begin with, from 0 to 1.

    Examples
    --------
    >>> from minnet.optim import Progress, WarmUp
    >>> schedule = WarmUp(1.0, steps=90)
    >>> [schedule(Progress(step=s)) for s in (0, 50, 90, 500)]
    [0.1, 0.6, 1.0, 1.0]
    """

    schedule: Rate
    share: float | None = None
    rounds: float | None = None
    steps: float | None = None
    start: float = 0.1

    def __post_init__(self) -> None:
        if not callable(self.schedule) or isinstance(self.schedule, type):
            _numbers(self, schedule={})
        _numbers(self, start={"least": 0.0, "most": 1.0})
        _period(self)

    def __call__(self, progress: Progress) -> float:
        risen = min(1.0, _periods_done(self, progress))
        value = self.schedule(progress) if callable(self.schedule) else self.schedule
        return value * (self.start + (1 - self.start) * risen)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rise to a peak, then fall to almost nothing, both along half a cosine.

    Smith & Topin 2018, "Super-Convergence: Very Fast Training of Neural Networks
    Using Large Learning Rates".

    Parameters
    ----------
    peak
        The largest value.
    start
        The value at the beginning; a 25th of the peak when left out.
    end
        The value at the end; a 10,000th of the start when left out.
    rise
        The share of training that the rise takes.

    Examples
    --------
    >>> from minnet.optim import OneCycle, Progress
    >>> schedule = OneCycle(1.0)
    >>> [round(schedule(Progress(step=s, steps=100)), 6) for s in (0, 15, 30, 65, 100)]
    [0.04, 0.52, 1.0, 0.500002, 4e-06]
    """

    peak: float
    start: float | None = None
    end: float | None = None
    rise: float = 0.3

    def __post_init__(self) -> None:
        _numbers(self, peak={}, rise={"above": 0.0, "below": 1.0})
        if self.start is not None:
            _numbers(self, start={})
        if self.end is not None:
            _numbers(self, end={})

    def __call__(self, progress: Progress) -> float:
        start = self.peak / 25 if self.start is None else self.start
        end = start / 10_000 if self.end is None else self.end
        done = progress.fraction
        if done < self.rise:
            return _half_cosine(start, self.peak, done / self.rise)
        return _half_cosine(self.peak, end, (done - self.rise) / (1 - self.rise))
