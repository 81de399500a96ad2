"""What the `minnet study` command does: run, plan and report."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import SpecError
from .estimate import Estimate, estimate
from .page import to_markdown
from .progress import Progress, duration, work_left
from .study import Study

__all__ = ["run_command"]


def run_command(options: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status."""
    if options.action == "report":
        _report(Study.opened(options.results), options.paper)
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
    plan = study.plan()
    left = work_left(plan, study.store.done())
    progress = Progress(study.spec["name"], len(plan.by_id), left)
    try:
        with _executor(options.dask) as executor, progress as bar:
            outcome = study.run(executor, options.jobs, options.fail_fast, bar.tell, bar.tick)
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
        _report(study, options.paper)
    return 1 if outcome.failed or outcome.left else 0


def _report(study: Study, paper: bool) -> None:
    """Write the report; print what it comes to, and where it and the figure are."""
    page = study.report(paper=paper)
    print(to_markdown(study.summary()))
    figure = page.with_name("figure.png")
    if figure.exists():
        print(f"figure: {figure}")
    print(f"report: {page}")


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
