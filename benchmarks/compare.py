"""Timing several ways of doing the same work in turn, which holds when the speed drifts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Step = Callable[[], object]
# Does so many steps and returns the seconds they took.
Timed = Callable[[int], float]

# Between two sides: the threads of the one before wait busily for this long before they sleep.
PAUSE = 0.03


@dataclass(frozen=True)
class Spread:
    """A median, and how far nine tenths of the values lie below and above it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the median and the tenth and ninetieth percentile."""
        low, median, high = np.quantile(values, (0.1, 0.5, 0.9))
        return cls(float(median), float(low), float(high))

    def times(self, factor: float) -> Spread:
        """Return the same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return by how much ours is less, from what was measured in the same turn."""
    return Spread.of([one / other for one, other in zip(theirs, ours, strict=True)])


def repeated(step: Step) -> Timed:
    """Return what times a step done again and again."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        return time.perf_counter() - start

    return timed


def in_turn(
    sides: dict[str, Timed], seconds: float, pause: float = PAUSE
) -> dict[str, tuple[float, ...]]:
    """Time each side in short blocks, one after the other, again and again.

    Parameters
    ----------
    sides
        What to time, by name.
    seconds
        For all of them together; there are three turns at least.
    pause
        Seconds of rest before each block.

    Returns
    -------
    dict
        For each side the seconds a step took, one number for each turn.
    """
    block = min(0.15, seconds / 30)
    counts = {name: steps_for(timed, block) for name, timed in sides.items()}
    samples: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    end = time.perf_counter() + seconds
    turns = 0
    while turns < 3 or time.perf_counter() < end:
        for name in order:
            time.sleep(pause)
            sides[name](1)  # brings its arrays back into the caches and its threads to life
            samples[name].append(sides[name](counts[name]) / counts[name])
        order.reverse()  # so that each comes after every neighbour
        turns += 1
    return {name: tuple(values) for name, values in samples.items()}


def steps_for(timed: Timed, block: float) -> int:
    """Return how many steps take about `block` seconds."""
    timed(2)  # the first steps allocate, plan, fill caches
    count = 1
    while (took := timed(count)) < block / 4:
        count *= 4
    return max(1, round(count * block / took))
