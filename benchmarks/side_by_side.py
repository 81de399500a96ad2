"""What Python's lock costs threads: python -m benchmarks.side_by_side.

A training alone, two of them at once in threads of one process, and two at once in a
process each. Where there are two cores all would take the same, if not for the lock that
lets only one thread of a process run Python at a time (in builds without free threading),
and for the memory that both cores share.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

import minnet as mn

from . import machine, nets
from .process import ROOT

NETS = ("lenet", "vgg", "resnet8")
BATCH = 32
WARM = 3  # steps before the time is taken
WAYS = ("alone", "two in threads", "two in processes")


def main() -> None:
    """Measure all nets in turn and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="a way, net and turn (default 3)"
    )
    parser.add_argument("--turns", type=int, default=3, help="(default 3)")
    options = parser.parse_args(sys.argv[1:])
    from minnet.draw import table

    taken: dict[tuple[str, str], list[float]] = {(net, way): [] for net in NETS for way in WAYS}
    for _ in range(options.turns):
        for net in NETS:
            for way, found in zip(WAYS, measured(net, options.seconds), strict=True):
                taken[net, way].append(found)
    lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(machine.described(machine.description(1)))
    print(
        f"the lock is {'on' if lock else 'off'}\n\nms a step of {BATCH} images, one thread each\n"
    )
    rows = [(net, *(f"{statistics.median(taken[net, way]):.1f}" for way in WAYS)) for net in NETS]
    print(table([("net", *WAYS), *rows], right=(1, 2, 3)))


def measured(net: str, seconds: float) -> list[float]:
    """Return the milliseconds of a step of a net in each of the ways."""
    alone = finished([begun(net, seconds, 1)])
    return [alone, finished([begun(net, seconds, 2)]), finished([begun(net, seconds, 1)] * 2)]


def begun(net: str, seconds: float, threads: int) -> list[str]:
    """Return the command that trains a net in so many threads at once and prints a step's time."""
    call = f"at_once({net!r}, {seconds}, {threads})"
    return [sys.executable, "-c", f"from benchmarks.side_by_side import at_once; print({call})"]


def finished(commands: list[list[str]]) -> float:
    """Run commands at the same time; return the mean of what they print."""
    env = {**os.environ, **dict.fromkeys(machine.VARIABLES, "1")}
    running = [
        subprocess.Popen(one, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        for one in commands
    ]
    said = [one.communicate()[0] for one in running]
    for one in running:
        if one.returncode:
            raise subprocess.CalledProcessError(one.returncode, one.args)
    return statistics.mean(map(float, said))


def at_once(net: str, seconds: float, threads: int) -> float:
    """Return the milliseconds of a step, of as many trainings as threads at the same time."""
    taken: list[float] = []
    start = threading.Barrier(threads)

    def train() -> None:
        chain = getattr(nets, net)()
        x, y = nets.examples((BATCH, *chain.input), chain.output.size)
        trainer, feed = mn.Trainer(chain, threads=1), nets.contradicting(x, y, chain.output.size)
        for _ in range(WARM):
            trainer.step(*next(feed))
        start.wait()
        count, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds or not count:
            trainer.step(*next(feed))
            count += 1
        taken.append(1e3 * passed / count)

    workers = [threading.Thread(target=train) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statistics.mean(taken)


if __name__ == "__main__":
    main()
