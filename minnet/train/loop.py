"""The loop of rounds and steps that train runs: validation, the best net, the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import using
from ..data import StreamSource
from ..errors import NonFiniteError
from ..net import Net
from ..progress import Progress
from .display import Display
from .evaluate import measured
from .feed import Feed
from .measures import Measure, Tally
from .options import Limits
from .result import TrainResult
from .stop import StopFunction, better, score_of
from .trainer import Trainer

__all__ = ["Loop"]

# Examples at a time when the net is only measured.
EVALUATION_BATCH = 256


@dataclass
class Loop:
    """One training; `run` does it."""

    trainer: Trainer
    feed: Feed
    held: Feed | None
    limits: Limits
    batch_size: int
    measures: tuple[Measure, ...]
    stop: StopFunction | None
    best: str | None
    callbacks: tuple[Callable[[Trainer, dict[str, Any]], Any], ...]
    display: Display
    random: np.random.Generator
    start: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    rounds: int = 0  # complete ones
    examples: int = 0
    best_net: Net | None = None
    best_round: int = 0
    best_score: float = float("nan")

    def run(self) -> TrainResult:
        """Train to the first limit, an early stop, or Ctrl-C."""
        self.start = time.perf_counter()
        with using(self.trainer.device):
            try:
                while not (stopped := self._round()):
                    pass
            except KeyboardInterrupt:
                stopped = "interrupted"
            except NonFiniteError as error:
                error.result = self._result("something was not finite")
                raise
            finally:
                self.display.close()
                for feed in self._feeds():
                    feed.forget()
            return self._result(stopped)

    # --- a round ----------------------------------------------------------------------------

    def _round(self) -> str:
        """Make one round; return why training is over, or nothing."""
        source = self.feed.source
        if isinstance(source, StreamSource) and source.exhausted:
            return "the data ran out"
        self.trainer.set_progress(self._progress())
        tally = Tally(self.measures)
        reached = self._steps(tally)
        self.trainer.check_arrays()
        per_round = self.limits.steps_per_round
        if not reached or (per_round and self.trainer.steps == (self.rounds + 1) * per_round):
            self.rounds += 1
        row = self._record(tally)
        reached = reached or self.limits.reached(self._progress())
        asked = [self._asks_to_stop(callback, row) for callback in self.callbacks]
        if reached:
            return reached
        if any(asked):
            return "a callback asked for it"
        if self.stop is not None and bool(self.stop(self.history)):
            return f"no improvement ({self.stop!r})"
        return ""

    def _steps(self, tally: Tally) -> str:
        """Make the steps of a round; return which limit was reached in it, if any."""
        trainer = self.trainer
        for batch in self.feed.batches(trainer.bottom, self.batch_size, self.random):
            loss, outputs, targets = trainer.step_above(*batch)
            before = tally.count
            tally.add(loss, self._finished(outputs), targets)
            self.examples += tally.count - before
            trainer.progress = progress = self._progress()
            self.display.step(progress, loss if isinstance(loss, float) else None)
            if reached := self.limits.reached(progress):
                return reached
        return ""

    def _asks_to_stop(self, callback: Callable[..., Any], row: dict[str, Any]) -> bool:
        answer = callback(self.trainer, row)
        return isinstance(answer, bool | np.bool_) and bool(answer)

    def _finished(self, outputs: Any) -> Any:
        """Return the outputs as measures take them."""
        return self.trainer.objective.finish(outputs) if self.measures else None

    def _progress(self) -> Progress:
        seconds = time.perf_counter() - self.start
        return self.limits.progress(self.trainer.steps, self.rounds, seconds)

    # --- what is learnt of it ---------------------------------------------------------------

    def _record(self, tally: Tally) -> dict[str, Any]:
        """Add a row to the history, and keep the net if it is the best so far."""
        row: dict[str, Any] = {"round": len(self.history) + 1, **tally.results()}
        if self.held is not None:
            net, objective = self.trainer.plain_above(), self.trainer.objective
            batches = self.held.batches(self.trainer.bottom, EVALUATION_BATCH)
            tally = measured(net, objective, batches, self.measures, self.trainer._hands)
            row |= tally.results("validation_")
        if self.best is not None:
            score = score_of(row, self.best, "choose the best net")
            if self.best_net is None or better(self.best, score, self.best_score):
                self.best_score, self.best_round = score, row["round"]
                self.best_net = self.trainer.there()
        row["seconds"] = time.perf_counter() - self.start
        self.history.append(row)
        self.display.round(row)
        return row

    def _result(self, stopped: str) -> TrainResult:
        seconds = time.perf_counter() - self.start
        final = self.trainer.net
        best = final if self.best_net is None else self.trainer.at_home(self.best_net)
        return TrainResult(
            net=best,
            final=final,
            history=tuple(self.history),
            table=self.trainer.table,
            seconds=seconds,
            examples_per_second=self.examples / seconds if seconds > 0 else 0.0,
            rounds=self.rounds,
            steps=self.trainer.steps,
            best_round=self.best_round or len(self.history),
            stopped=stopped,
            reused=self._reused(),
            kept=" and ".join(sorted({p for feed in self._feeds() for p in feed.passes.places})),
        )

    def _feeds(self) -> list[Feed]:
        return [self.feed] if self.held is None else [self.feed, self.held]

    def _reused(self) -> float:
        """Return the share of the frozen bottom's work that was not done again."""
        passes = [feed.passes for feed in self._feeds()]
        asked = sum(part.asked for part in passes)
        return max(0.0, 1 - sum(part.computed for part in passes) / asked) if asked else 0.0
