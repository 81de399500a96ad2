"""How far a study is: a line that moves at a terminal, or else a line for every run."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Self, TextIO

from .execute import Outcome
from .plan import FROZEN, Plan

__all__ = ["Progress", "duration", "work_left"]

BAR = 20


class Progress:
    """Shows what is done, what is under way, and how long it takes; a context manager.

    At a terminal it is one line, which moves at least every second; else, as in a file, a
    line for every run that is over.

    Parameters
    ----------
    name
        Of the study.
    total
        How many runs it has.
    left
        The labels of those to do, and how much work each is, in any unit.
    stream
        Where to show it; standard error when left out.
    clock
        What says the time in seconds.

    Examples
    --------
    >>> import sys
    >>> from minnet.study.execute import Outcome
    >>> left, now = {"AnB n=1": 1.0, "AnB n=2": 0.5}, iter([0, 60, 60])
    >>> with Progress("a study", 3, left, sys.stdout, lambda: next(now)) as progress:
    ...     progress.tell(Outcome(done=["AnB n=1"], skipped=1), 3, "AnB n=1")
    a study: 3 runs, 1 done before, 2 to do
    2/3  AnB n=1  1:00 gone, about 30 s left
    """

    def __init__(
        self,
        name: str,
        total: int,
        left: Mapping[str, float],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name, self.total, self.left = name, total, dict(left)
        self.count, self.work = total - len(left), 0.0  # runs over, and work done since the start
        self.stream = sys.stderr if stream is None else stream
        self.clock, self.start = clock, clock()
        self.last = self.start  # when a run ended last
        self.moves, self.shown = self.stream.isatty(), ""
        self._write(f"{name}: {total} runs, {self.count} done before, {len(left)} to do\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.shown:
            self._write("\n")

    def tell(self, outcome: Outcome, total: int, label: str) -> None:
        """Show that a run is over."""
        self.count = outcome.skipped + len(outcome.done) + len(outcome.failed)
        self.work += self.left.pop(label, 1.0)
        self.last = self.clock()
        if self.moves:
            self.tick(())
        else:
            self._write(f"{self.count}/{total}  {label}  {self._times()}\n")

    def tick(self, labels: Sequence[str]) -> None:
        """Show that time goes by, and which runs are under way."""
        if not self.moves:
            return
        bar = ("#" * (BAR * self.count // self.total)).ljust(BAR, ".")
        text = f"{self.name} [{bar}] {self.count}/{self.total}  {self._times()}"
        text = "  ".join([text, *labels])[: shutil.get_terminal_size().columns - 1]
        if text != self.shown:  # it is asked many times a second, and changes once
            self._write("\r" + text.ljust(len(self.shown)))
            self.shown = text

    def _times(self) -> str:
        """Return how long it took so far, and how long the rest takes at the same pace."""
        now = self.clock()
        text = f"{_clock_face(now - self.start)} gone"
        if not self.work:
            return text
        pace = (self.last - self.start) / self.work
        seconds = pace * sum(self.left.values()) - (now - self.last)
        return f"{text}, about {duration(max(0.0, seconds))} left"

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def work_left(plan: Plan, done: Container[str]) -> dict[str, float]:
    """Return the labels of the runs to do, and how much of a whole net each trains."""
    return {
        run.label: 1 - run.n / plan.layers if run.treatment in FROZEN else 1.0
        for run in plan.by_id.values()
        if run.id not in done
    }


def _clock_face(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
