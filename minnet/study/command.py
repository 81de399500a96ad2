"""What the `minnet study` command does: run, plan and report."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Iterator
from typing import Any

from ..errors import SpecError
from .estimate import Estimate, estimate
from .execute import Outcome
from .study import Study

__all__ = ["run_command"]


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status."""
    if options.action == "report":
        print(Study.opened(options.results).report(paper=options.paper))
        return 0
    if options.jobs < 1:
        raise SpecError(f"--jobs must be a whole number of at least 1, got {options.jobs}")
    study = Study.read(options.spec, options.results)
    if options.action == "plan":
        print(plan_text(study, estimate(study, options.jobs)))
        return 0
    return _run(study, options)


def plan_text(study: Study, guess: Estimate) -> str:
    """Return the runs of a study and what they will take."""
    plan, done = study.plan(), study.store.done()
    lines = [
        f"{study.spec['name']}: {len(plan.bases)} bases, then {len(plan.treatments)} treatments"
    ]
    for name, half in plan.halves.items():
        lines.append(f"  half {name}: {', '.join(map(str, half.classes))}")
    for run in (*plan.bases, *plan.treatments):
        lines.append(f"  {'done' if run.id in done else 'to do'}  {run.id}  {run.label}")
    left = sum(run not in done for run in plan.by_id)
    lines += [
        f"{left} of {len(plan.by_id)} runs to do",
        f"about {duration(guess.seconds)} with {guess.jobs} at once ({guess.how})",
        f"about {guess.bytes / 1e6:,.0f} MB of memory for each",
    ]
    return "\n".join(lines)


def _run(study: Study, options: argparse.Namespace) -> int:
    study.open()
    try:
        with _executor(options.dask) as executor, _Bar(study) as bar:
            outcome = study.run(executor, options.jobs, options.fail_fast, bar.tell)
    except KeyboardInterrupt:
        print("stopped; what is done is kept: run again to go on", file=sys.stderr)
        return 130
    for label, error in outcome.failed.items():
        print(f"failed: {label}: {error}", file=sys.stderr)
    for label in outcome.blocked:
        print(f"not begun, since its base failed: {label}", file=sys.stderr)
    if outcome.failed or outcome.left:
        print(
            f"{len(outcome.failed)} runs failed and {outcome.left} more are not done; "
            "run again to try them again",
            file=sys.stderr,
        )
    if study.records():
        page = study.report(paper=options.paper)
        print(page.with_suffix(".md").read_text(encoding="utf-8"))
        print(f"report: {page}")
    return 1 if outcome.failed or outcome.left else 0


@contextlib.contextmanager
def _executor(address: str | None) -> Iterator[Any]:
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise SpecError("--dask needs Dask: pip install 'minnet[dask]'") from None
    with Client(address) as client:
        yield client.get_executor(pure=False)


class _Bar:
    """Shows what is done, what is left, and how long: a bar with tqdm, else a line a run."""

    def __init__(self, study: Study) -> None:
        total = len(study.plan().by_id)
        done = len(study.store.done() & set(study.plan().by_id))
        print(
            f"{study.spec['name']}: {total} runs, {done} done before, {total - done} to do",
            file=sys.stderr,
        )
        self.start, self.bar = time.perf_counter(), None
        with contextlib.suppress(ImportError):
            from tqdm.auto import tqdm

            self.bar = tqdm(total=total, initial=done, unit="run", smoothing=0.1)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def tell(self, outcome: Outcome, total: int, label: str) -> None:
        """Show that a run is over."""
        over = len(outcome.done) + len(outcome.failed)
        if self.bar is not None:
            self.bar.set_postfix_str(label, refresh=False)
            self.bar.update(1)
            return
        left = total - outcome.skipped - over
        seconds = (time.perf_counter() - self.start) / over * left
        print(
            f"{outcome.skipped + over}/{total}  {label}  about {duration(seconds)} left",
            file=sys.stderr,
        )


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
