"""Run the benchmarks and print the table of ratios: python -m benchmarks [CASE ...]."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import machine
from .result import COLUMNS, RIGHT, Result, combined, read, write

NOTES = """\
ratio: how many times as fast minnet is as the fastest of PyTorch eager, with the fused optimizer
and compiled; the median over the turns, and where nine tenths of them lie (of several runs: the
least and the most). import: the time allowed by the time taken. of products: the part of the
machine's float32 matrix-product rate that minnet reaches."""


def main() -> None:
    """Read the command line and do what it says."""
    options = parsed(sys.argv[1:])
    from minnet.draw import table

    if options.combine:
        runs = [read(file) for file in options.combine]
        first, results = runs[0][0], combined([results for _, results in runs])
    else:
        from .cases import CASES

        if options.list:
            rows = [(case.name, f"{case.target:g}", case.title) for case in CASES.values()]
            print(table([("case", "target", "what"), *rows], right=(1,)))
            return
        chosen = options.cases or list(CASES)
        if unknown := [name for name in chosen if name not in CASES]:
            raise SystemExit(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
        if options.numpy:  # before anything asks for kernels, and for the processes started here
            os.environ["MINNET_COMPILED"] = "0"
        options.threads = machine.use_threads(options.threads)
        first = machine.description(options.threads)
        results = measured([CASES[name] for name in chosen], options)
    print(f"{machine.described(first)}\n")
    print(table([COLUMNS, *(result.row() for result in results)], right=RIGHT))
    print(f"\n{rate(results)}{NOTES}")
    if options.json:
        write(options.json, first, results)
    if options.figure:
        from .figure import draw

        draw(options.figure, results, machine.described(first))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all of them when left out")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each case (default 10)")
    parser.add_argument("--threads", type=int, help="of both sides (default: one for each core)")
    parser.add_argument("--numpy", action="store_true", help="without the kernels Numba compiles")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the ratios there")
    parser.add_argument(
        "--combine", type=Path, nargs="+", metavar="FILE", help="of earlier runs, instead of a new"
    )
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or (options.threads is not None and options.threads < 1):
        parser.error("--seconds and --threads must be positive")
    if options.combine and (options.cases or options.list):
        parser.error("--combine shows whole runs: leave the names of cases and --list out")
    return options


def measured(cases: Sequence[Any], options: argparse.Namespace) -> list[Result]:
    """Measure one case after the other, saying on the way how far it is."""
    try:
        import torch
    except ImportError:
        raise SystemExit("the comparison needs PyTorch: pip install '.[torch]'") from None
    torch.set_num_threads(options.threads)
    results = []
    for case in cases:
        start = time.perf_counter()
        result = case.result(options.seconds)
        results.append(result)
        took = time.perf_counter() - start
        print(f"{case.name}: {result.ratio.median:.2f} ({took:.0f} s)", file=sys.stderr)
    return results


def rate(results: Sequence[Result]) -> str:
    """Return the line about the machine's matrix products, if they were measured."""
    rates = [result.rate for result in results if result.rate is not None]
    if not rates:
        return ""
    return f"matrix products: {min(rates) / 1e9:.0f} to {max(rates) / 1e9:.0f} GFLOP/s\n"


if __name__ == "__main__":
    main()
