"""How far training has come: what every schedule is a function of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Progress", "Schedule"]


class Progress(NamedTuple):
    """How far training has come.

    Parameters
    ----------
    step, round
        How many steps and rounds are complete.
    seconds
        How long it has run.
    steps, rounds, max_seconds
        Where it will end; None is no such limit.
    steps_per_round
        How many steps make a round, where that is known: rounds are then also
        counted in parts.

    Examples
    --------
    >>> from minnet.optim import Progress
    >>> Progress(step=30, steps=100, round=2, rounds=4).fraction
    0.5
    >>> Progress(step=30, round=2, rounds=4, steps_per_round=12).rounds_done
    2.5
    """

    step: int = 0
    steps: int | None = None
    round: int = 0
    rounds: int | None = None
    seconds: float = 0.0
    max_seconds: float | None = None
    steps_per_round: int | None = None

    def at_step(self, step: int) -> Progress:
        """Return the same with another number of complete steps."""
        return Progress(step, *self[1:])

    @property
    def rounds_done(self) -> float:
        """How many rounds are complete, in parts of a round where their length is known."""
        return self.step / self.steps_per_round if self.steps_per_round else float(self.round)

    @property
    def fraction(self) -> float:
        """How far along, from 0 to 1: by the limit that will be reached first; 0 without limits."""
        return min(1.0, max(self._shares()))

    def _shares(self) -> Iterator[float]:
        yield 0.0
        for done, limit in (
            (self.step, self.steps),
            (self.rounds_done, self.rounds),
            (self.seconds, self.max_seconds),
        ):
            if limit is not None:
                yield done / limit if limit > 0 else 1.0


class Schedule:
    """The base of minnet's schedules: a number that follows the progress of training.

    Any function from a `Progress` to a number will do in its place.
    """

    def __call__(self, progress: Progress) -> float:
        raise NotImplementedError
