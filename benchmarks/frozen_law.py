"""The first law: a step costs the forward pass of what is frozen and the whole of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import minnet as mn
from minnet.net.threaded import Hands
from minnet.train.frozen import Bottom

from . import nets
from .compare import Spread, Timed, in_turn, ratio, repeated

ALLOWED = 0.15
BATCH = 64


@dataclass(frozen=True)
class Frozen:
    """What a step costs with the lowest `count` layers that have arrays frozen, in milliseconds.

    `forward` is the cost of the frozen part's forward pass by itself, `rest` that of
    training the other part by itself, and `deviation` how much more than both together
    the step takes.
    """

    count: int
    names: tuple[str, ...]
    step: float
    forward: float
    rest: float
    deviation: Spread

    @property
    def is_held(self) -> bool:
        """Whether the law holds."""
        return abs(self.deviation.median) <= ALLOWED

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        part = self.deviation
        return (
            str(self.count),
            ", ".join(self.names) or "nothing",
            f"{self.step:.2f}",
            f"{self.forward:.2f}",
            f"{self.rest:.2f}",
            f"{part.median:+.1%}" if self.count else "",
            f"{part.low:+.1%} to {part.high:+.1%}" if self.count else "",
        )


COLUMNS = ("k", "frozen", "step, ms", "forward", "rest", "step beyond their sum", "from, to")
RIGHT = (0, 2, 3, 4, 5)


def measured(seconds: float) -> list[Frozen]:
    """Measure LeNet's step with nothing frozen, and with the lowest 1, 2, ... layers frozen."""
    net = nets.lenet()
    names = tuple(dict.fromkeys(str(path[0]) for path in net.arrays()))
    sides: dict[str, Timed] = {}
    for count in range(len(names)):
        for what, timed in _sides(net, names, count).items():
            sides[f"{what} {count}"] = timed
    samples = in_turn(sides, seconds)
    return [law(names, count, samples) for count in range(len(names))]


def _sides(net: Any, names: tuple[str, ...], count: int) -> dict[str, Timed]:
    """Return the step with `count` layers frozen and, if there are any, its two parts."""
    x, y = nets.examples((BATCH, *net.input))
    sides = {"step": _training(net, dict.fromkeys(names[:count]), x, y)}
    if count:
        cut = net.keys().index(names[count])
        frozen, rest = net[:cut], net[cut:]
        features = np.asarray(frozen.apply(x))
        bottom = Bottom(frozen, Hands())  # as training does it, in threads and memory kept for it
        sides["forward"] = repeated(lambda: bottom(x))
        sides["rest"] = _training(rest, {}, features, y)
    return sides


def _training(net: Any, frozen: dict[str, None], x: Any, y: Any) -> Timed:
    trainer = mn.Trainer(net, mn.Adam(1e-3), multipliers={**frozen, ...: 1})
    feed = nets.contradicting(x, y)
    return repeated(lambda: trainer.step(*next(feed)))


def law(names: tuple[str, ...], count: int, samples: Mapping[str, tuple[float, ...]]) -> Frozen:
    """Return what the samples of `count` frozen layers come to."""
    steps = samples[f"step {count}"]
    forwards = samples.get(f"forward {count}", (0.0,) * len(steps))
    rests = samples.get(f"rest {count}", steps)
    sums = [forward + rest for forward, rest in zip(forwards, rests, strict=True)]
    part = ratio(steps, sums)
    step, forward, rest = (1e3 * float(np.median(times)) for times in (steps, forwards, rests))
    deviation = Spread(part.median - 1, part.low - 1, part.high - 1)
    return Frozen(count, names[:count], step, forward, rest, deviation)
