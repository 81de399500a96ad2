"""Measure the two laws of cost, print their tables and draw them: python -m benchmarks.laws."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from . import frozen_law, machine, size_law


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.laws", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0, help="for the first (default 40)")
    parser.add_argument("--threads", type=int, help="to use (default: one for each core)")
    parser.add_argument(
        "--most", type=int, default=1_000_000, help="examples for the second (default 1,000,000)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument(
        "--figure", type=Path, default=Path("laws.png"), metavar="FILE", help="(default laws.png)"
    )
    options = parser.parse_args()
    if options.most < size_law.SIZES[1]:
        parser.error(f"--most must be at least {size_law.SIZES[1]:,}: growth takes two sizes")
    threads = machine.use_threads(options.threads)
    from minnet.draw import table

    described = machine.description(threads)
    print(f"{machine.described(described)}\n", flush=True)
    frozen = frozen_law.measured(options.seconds)
    print("1. What a step of LeNet costs, as layers are frozen from the bottom\n")
    print(table([frozen_law.COLUMNS, *(k.row() for k in frozen)], right=frozen_law.RIGHT))
    print(f"\n{first_verdict(frozen)}\n", flush=True)
    sizes = tuple(size for size in size_law.SIZES if size <= options.most)
    rounds = size_law.measured(sizes)
    print("2. What a round costs, by its examples in a memory-mapped file\n")
    print(table([size_law.COLUMNS, *(r.row() for r in rounds)], right=size_law.RIGHT))
    print(f"\n{second_verdict(rounds)}")
    if options.json:
        first, second = (list(map(dataclasses.asdict, law)) for law in (frozen, rounds))
        content = {"machine": described, "frozen": first, "rounds": second}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    try:
        from .laws_figure import draw
    except ImportError:
        print("drawing needs matplotlib: pip install '.[plot]'", file=sys.stderr)
    else:
        draw(options.figure, frozen, rounds)


def first_verdict(frozen: list[frozen_law.Frozen]) -> str:
    """Return in a sentence whether the first law holds."""
    worst = max(frozen[1:], key=lambda k: abs(k.deviation.median))
    verdict = "holds" if worst.is_held else "does not hold"
    return (
        f"The law {verdict} to within {frozen_law.ALLOWED:.0%}: the step that is farthest from the "
        f"sum of its parts (k = {worst.count}) is {worst.deviation.median:+.1%} from it."
    )


def second_verdict(rounds: list[size_law.Round]) -> str:
    """Return in a few sentences how time and memory grow with the number of examples."""
    said = f"Time grows with the number of examples to the power {size_law.exponent(rounds):.3f}."
    last = rounds[-1]
    if last.memory is None or last.limit is None:
        return f"{said} Memory is measured and limited on Linux alone."
    refused = "was refused" if last.is_refused else "could still have had"
    return (
        f"{said}\nAn example of {4 * size_law.WIDTH} bytes more takes "
        f"{size_law.growth(rounds):.1f} bytes of memory.\nThe last process {refused} "
        f"the {last.megabytes:.0f} MB to hold its file: it was allowed {last.limit / 1e6:.0f} MB."
    )


if __name__ == "__main__":
    main()
