"""Where the time of a case goes, function by function: python -m benchmarks.profile CASE."""

from __future__ import annotations

import argparse
import cProfile
import math
import pstats
import sys
from pathlib import Path
from typing import NamedTuple

from . import machine
from .compare import Timed

LEAST = 0.01  # of the whole, what a function takes to be listed
PACKAGE = Path(__file__).resolve().parent.parent


class Line(NamedTuple):
    """What a function takes: milliseconds and calls in each step, without those it calls.

    The time of NumPy's elementwise functions and products counts for whoever calls them.
    """

    where: str
    milliseconds: float
    calls: float


def main() -> None:
    """Read the command line, and profile the case with one thread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("case")
    parser.add_argument("--seconds", type=float, default=5.0, help="about (default 5)")
    options = parser.parse_args(sys.argv[1:])
    from minnet.draw import table

    from .cases import CASES

    case = CASES.get(options.case)
    if case is None or case.prepare is None:
        named = ", ".join(name for name, one in CASES.items() if one.prepare is not None)
        raise SystemExit(f"no case {options.case} to profile; there are {named}")
    machine.use_threads(1)  # what other threads do isn't seen
    step, lines = profiled(case.prepare().minnet, options.seconds)
    print(f"{machine.described(machine.description(1))}\n\n{case.title}: {step:.2f} ms\n")
    rows = [
        (f"{one.milliseconds:.2f}", f"{one.milliseconds / step:.0%}", f"{one.calls:.0f}", one.where)
        for one in lines
    ]
    print(table([("ms", "share", "calls", "in"), *rows], right=(0, 1, 2)))


def profiled(steps: Timed, seconds: float) -> tuple[float, list[Line]]:
    """Return the milliseconds of a step, and what takes them, most first.

    The profile itself takes time; what a function is found to take is scaled to a step
    without it.
    """
    steps(3)
    count = max(3, math.ceil(seconds / 2 / (steps(3) / 3)))
    step = 1e3 * steps(count) / count
    profile = cProfile.Profile()
    profile.enable()
    steps(count)
    profile.disable()
    stats = pstats.Stats(profile)
    whole = stats.total_tt  # type: ignore[attr-defined]
    found = stats.stats  # type: ignore[attr-defined]
    lines = [
        Line(where(*function), step * took / whole, calls / count)
        for function, (_, calls, took, _, _) in found.items()
        if took >= LEAST * whole
    ]
    return step, sorted(lines, key=lambda line: -line.milliseconds)


def where(file: str, line: int, name: str) -> str:
    """Return what to call a function: its file in the package, and its name."""
    path = Path(file)
    if path.is_relative_to(PACKAGE):
        return f"{path.relative_to(PACKAGE)}:{line} {name}"
    return name if file == "~" else f"{path.name}:{line} {name}"


if __name__ == "__main__":
    main()
