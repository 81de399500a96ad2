"""Carrying a plan out: two waves of runs, by one process or many, here or elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backend.devices import cupy
from ..checks import positive
from .plan import Plan, Run
from .run import work
from .store import Store
from .workers import Processes

__all__ = ["Outcome", "Tell", "Tick", "execute"]

# How often to ask whether runs are done.
POLL_SECONDS = 0.02
# A run whose worker dies is given to another, up to so many in all.
TRIES = 3


@dataclass
class Outcome:
    """What carrying out a plan came to.

    Attributes
    ----------
    done, failed
        The labels of the runs that were finished now, and of those that failed, with their errors.
    blocked
        The labels of the runs that could not begin, because a base net they need failed.
    skipped
        How many were finished before.
    left
        How many are not done and did not fail: those that are blocked, and those that the
        study was stopped before.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    skipped: int = 0
    left: int = 0


Tell = Callable[[Outcome, int, str], None]
Tick = Callable[[Sequence[str]], None]


def execute(
    spec: Mapping[str, Any],
    base: Path,
    plan: Plan,
    store: Store,
    *,
    executor: Any = None,
    jobs: int = 1,
    fail_fast: bool = False,
    tell: Tell = lambda outcome, total, label: None,
    tick: Tick = lambda labels: None,
) -> Outcome:
    """Do every run of a plan that is not done yet: the bases, then the treatments.

    Parameters
    ----------
    spec, base
        The checked spec and the folder its paths count from.
    plan, store
        What to do and where to keep it.
    executor
        Anything with the interface of `concurrent.futures.Executor`; its futures are
        asked by `.done()` only. Processes of this machine when left out.
    jobs
        How many at once, without an executor.
    fail_fast
        Stop at the first run that fails.
    tell
        Called with the outcome so far, the number of runs, and the label of the run
        just over.
    tick
        Called many times a second while nothing is over, with the labels of the runs that
        are under way; with none where an executor doesn't say which these are.

    Raises
    ------
    SpecError
        If `jobs` is no whole number of at least 1.
    """
    jobs = positive(jobs, "jobs")
    finished = _finished(plan, store)
    outcome = Outcome(skipped=len(finished))
    arguments = (dict(spec), str(base), str(store.folder.absolute()))
    with contextlib.ExitStack() as stack:
        if executor is None:
            if spec["device"] != "cpu":
                cupy(spec["device"])  # or an error now, rather than one for every run
            executor = stack.enter_context(Processes(jobs, spec["threads"]))
        wave = _Wave(executor, arguments, store, outcome, len(plan.by_id), tell, tick)
        if wave.run([run for run in plan.bases if run.id not in finished], fail_fast):
            todo = [run for run in plan.treatments if run.id not in finished]
            ready = [run for run in todo if _has_bases(plan, run, store)]
            outcome.blocked += [run.label for run in todo if run not in ready]
            wave.run(ready, fail_fast)
        if fail_fast and outcome.failed and isinstance(executor, Processes):
            executor.stop()
    if isinstance(executor, Processes) or not wave.pending:
        store.tidy()  # a worker killed while it wrote leaves a part of a file
    outcome.left = len(plan.by_id) - outcome.skipped - len(outcome.done) - len(outcome.failed)
    return outcome


def _finished(plan: Plan, store: Store) -> set[str]:
    """Return the ids of the runs that need not be done again.

    A base whose net is lost or damaged is done again, if anything left needs it.
    """
    finished = store.done() & set(plan.by_id)
    left = [run for run in plan.treatments if run.id not in finished]
    needed = {base.id for run in left for base in _bases(plan, run)}
    return finished - {run for run in needed & finished if not store.has_net(run)}


def _bases(plan: Plan, run: Run) -> list[Run]:
    """Return the bases a run needs."""
    return [plan.base_of(half, run.replicate) for half in {run.target, run.source or run.target}]


def _has_bases(plan: Plan, run: Run, store: Store) -> bool:
    return all(store.result(base.id) is not None for base in _bases(plan, run))


class _Wave:
    """Has an executor do runs, and keeps account of them."""

    def __init__(
        self,
        executor: Any,
        arguments: tuple[Any, ...],
        store: Store,
        outcome: Outcome,
        total: int,
        tell: Tell,
        tick: Tick,
    ) -> None:
        self.executor, self.arguments, self.store = executor, arguments, store
        self.outcome, self.total, self.tell, self.tick = outcome, total, tell, tick
        self.pending: dict[str, tuple[Run, Any]] = {}
        self.losses: Counter[str] = Counter()  # how often the worker of a run has died

    def run(self, runs: Iterable[Run], fail_fast: bool) -> bool:
        """Do the runs; return whether the study goes on."""
        waiting = deque(runs)
        try:
            while waiting or self.pending:
                if isinstance(self.executor, Processes):
                    self.executor.heed_ctrl_c()
                while waiting and self._has_room(waiting[0]):
                    run = waiting.popleft()
                    self.pending[run.id] = run, self.executor.submit(work, *self.arguments, run.id)
                over = [item for item in self.pending.values() if item[1].done()]
                if not over:
                    self.tick(self._under_way())
                    time.sleep(POLL_SECONDS)
                for run, future in over:
                    del self.pending[run.id]
                    if not self._account(run, future):
                        waiting.appendleft(run)
                    elif fail_fast and self.outcome.failed:
                        return False
        finally:
            for _, future in self.pending.values():
                future.cancel()
        return True

    def _under_way(self) -> list[str]:
        """Return the labels of the runs that have begun; not every future knows whether it has."""
        begun = (run for run, future in self.pending.values() if _has_begun(future))
        return [run.label for run in begun]

    def _has_room(self, run: Run) -> bool:
        """Tell whether a run may begin: all may with an executor, which has a queue of its own.

        When one of our processes dies, the others end with it. So that no run is blamed for
        another, each that was under way is then repeated alone.
        """
        if not isinstance(self.executor, Processes):
            return True
        is_alone = any(map(self.losses.get, (run.id, *self.pending)))
        return len(self.pending) < (1 if is_alone else self.executor.jobs)

    def _account(self, run: Run, future: Any) -> bool:
        """Say how a run went; return False if it is to be repeated."""
        try:
            error = future.result()["error"]
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # whatever an executor makes of a lost worker
            error = None
            if not _is_kept(run, self.store):  # else only the news of it was lost
                self.losses[run.id] += _is_loss(problem)
                if 0 < self.losses[run.id] < TRIES:
                    return False
                error = _explained(problem, self.losses[run.id])
                with contextlib.suppress(OSError):
                    self.store.fail(run.id, run.label, error, "")
        if error is None:
            self.outcome.done.append(run.label)
        else:
            self.outcome.failed[run.label] = error
        self.tell(self.outcome, self.total, run.label)
        return True


def _has_begun(future: Any) -> bool:
    return hasattr(future, "running") and bool(future.running())


def _is_kept(run: Run, store: Store) -> bool:
    """Tell whether what came of a run is in the folder, which is the truth."""
    is_done = store.result(run.id) is not None
    return is_done and (run.treatment != "base" or store.has_net(run.id))


def _is_loss(error: BaseException) -> bool:
    """Tell whether an error says that a worker was lost, here or in a Dask cluster."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ in (
        "KilledWorker",
        "CancelledError",
        "FutureCancelledError",
        "CommClosedError",
    )


def _explained(error: BaseException, losses: int) -> str:
    if losses:
        return (
            f"its worker died {losses} times. Is there too little memory? A script that runs a "
            'study must do so under `if __name__ == "__main__":`'
        )
    return f"{type(error).__name__}: {error}"
