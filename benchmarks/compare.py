"""Timing several ways of doing the same work in turn, which holds when the speed drifts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Step = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The seconds a step took, in each of several blocks."""

    name: str
    blocks: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.blocks))

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.blocks), max(self.blocks)


def in_turn(steps: dict[str, Step], seconds: float = 20.0, block: float = 0.3) -> dict[str, Timing]:
    """Time each step in short blocks, one after the other, again and again.

    Parameters
    ----------
    steps
        What to time, by name.
    seconds
        For all of them together.
    block
        About how long to repeat one of them before it is the next one's turn.

    Returns
    -------
    dict of Timing
        With the mean time of a step in each block.
    """
    repeats = {}
    for name, step in steps.items():
        for _ in range(3):
            step()  # the first calls allocate, compile, fill caches
        start = time.perf_counter()
        step()
        repeats[name] = max(1, round(block / (time.perf_counter() - start)))
    blocks: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(blocks[next(iter(steps))]) < 3:
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                step()
            blocks[name].append((time.perf_counter() - start) / repeats[name])
    return {name: Timing(name, tuple(times)) for name, times in blocks.items()}
