"""Compare with PyTorch on one GPU and print the table: python -m benchmarks.gpu [CASE ...]."""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minnet as mn

from . import machine, nets
from .compare import Spread, Step, Timed, in_turn, ratio
from .gpu_cases import CASES, FEATURES, Case

NOTES = """\
Each cell: the milliseconds of a step, and how many times as fast minnet is, the median over the
turns; behind it what is to be reached. eager: PyTorch as it is; no cuDNN: with its own kernels for
convolutions; compiled: torch.compile(mode="reduce-overhead") and the fused optimizer; memory: the
time that the GPU's memory alone takes for what a step of the head reads and writes.
Of ResNet-18 and CaffeNet 0.5 is to be reached without cuDNN on minnet's side, which it doesn't
use, and would be 0.8 with it. peak: the device memory that minnet comes to have reserved, in MB,
and behind it eager PyTorch's, which it is not to exceed."""
WAYS = ("eager", "no cuDNN", "compiled", "memory")
COLUMNS = ("case", "minnet", *WAYS, "peak")
CHECKED_STEPS = 3
WARM_STEPS = 30  # until minnet has recorded its steps, with the memory that takes
SLACK = {"float32": 1e-3, "tf32": 1e-2}  # between the losses of the two, relative


# --- minnet's side --------------------------------------------------------------------------------


def trained(case: Case, net: Any, device: str = "gpu") -> tuple[Step, list[float]]:
    """Return a training step that doesn't wait for the GPU, and the losses of the first steps."""
    from minnet.backend import move, using

    optimizer = mn.Adam(1e-3) if case.optimizer == "adam" else mn.SGD(0.01, momentum=0.9)
    options = {} if case.precision == "float32" else {"precision": case.precision}
    there = net.to(device)
    trainer = mn.Trainer(there, optimizer, **options)
    pairs = batches(case, there)
    with using(there.device):
        moved = [tuple(move(part, device) for part in next(pairs)) for _ in range(2)]
    feed = itertools.cycle(moved)

    def step() -> Any:
        x, y = next(feed)
        with using(there.device):
            return trainer.step_above(x, y, lambda: x)[0]

    losses = [step() for _ in range(CHECKED_STEPS)]
    return step, [float(loss) for loss in losses]


def batches(case: Case, net: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the same inputs with one label and with another, in turn."""
    x, y = nets.examples((case.batch, *net.input), net.output.size)
    return nets.contradicting(x, y.astype(np.int64), net.output.size)


def waiting(step: Step, wait: Callable[[], object]) -> Timed:
    """Return what times steps, the last of which is waited for."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        wait()
        return time.perf_counter() - start

    return timed


def copying(cupy: Any, net: Any, batch: int) -> Timed:
    """Return what times the copying of as many bytes as a step of the head reads and writes.

    The features twice (forward, gradient), and nine times the weights: forward, the
    gradient written and read, weights and Adam's two states read and written.
    """
    weights = sum(array.size for array in net.arrays().values())
    count = 4 * (2 * batch * FEATURES + 9 * weights)
    source = cupy.zeros(count // 2, "uint8")  # copying reads it and writes it
    target = cupy.empty_like(source)

    def copy() -> None:
        target[...] = source

    return waiting(copy, cupy.cuda.Device().synchronize)


# --- both sides -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What a case came to, in milliseconds and bytes; `failed` says why where nothing came of it.

    `minnet` is None where minnet's own side failed, for the reason under that name.
    """

    case: Case
    minnet: Spread | None = None
    rivals: Mapping[str, Spread] = field(default_factory=dict)
    ratios: Mapping[str, Spread] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    peak: int | None = None
    theirs: int | None = None

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        mine = "failed" if self.minnet is None else f"{self.minnet.median:.3f} ms"
        return self.case.name, mine, *map(self.cell, WAYS), self.memory()

    def cell(self, way: str) -> str:
        """Return how one way compares."""
        if way in self.ratios:
            reached = told(self.ratios[way].median, self.case.targets.get(way))
            return f"{self.rivals[way].median:.3f} ms {reached}"
        return "failed" if way in self.failed else ""

    def memory(self) -> str:
        """Return the peak of either side."""
        if self.peak is None:
            return ""
        mine = f"{self.peak / 1e6:.0f}"
        if self.theirs is None:
            return mine
        return f"{mine} ({'' if self.peak <= self.theirs else 'not '}{self.theirs / 1e6:.0f})"


def told(reached: float, target: float | None) -> str:
    """Return a ratio, and whether it is what was to be reached."""
    if target is None:
        return f"{reached:.2f}"
    return f"{reached:.2f} ({'' if reached >= target else 'not '}{target:g})"


def why(error: Exception) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"


def measured(case: Case, cupy: Any, torch_side: Any, seconds: float) -> Measured:
    """Time both sides of a case in turn; a way that fails is left out, with the reason."""
    clean(torch_side)
    try:
        net = case.net()
        step, losses = trained(case, net)
        for _ in range(WARM_STEPS):
            step()
        peak = mn.memory("gpu").peak
    except Exception as error:  # out of memory, of a driver: the other cases are measured still
        return Measured(case, failed={"minnet": why(error)})
    rivals: dict[str, Timed] = {}
    failed, theirs = {}, None
    for way in case.targets:
        try:
            if way == "memory":
                rivals[way] = copying(cupy, net, case.batch)
                continue
            other = torch_side.training(case, net, batches(case, net), way)
            check_same(case, losses, [float(other()) for _ in range(CHECKED_STEPS)])
            rivals[way] = waiting(other, torch_side.wait)
            theirs = torch_side.peak() if way == "eager" else theirs
        except Exception as error:
            failed[way] = why(error)
    mine = waiting(step, cupy.cuda.Device().synchronize)
    try:
        samples = in_turn({"minnet": mine, **rivals}, seconds)
    except Exception as error:
        return Measured(case, failed={**failed, "minnet": why(error)})
    spreads = {way: Spread.of(values).times(1e3) for way, values in samples.items()}
    ratios = {way: ratio(samples[way], samples["minnet"]) for way in rivals}
    return Measured(case, spreads.pop("minnet"), spreads, ratios, failed, peak, theirs)


def clean(torch_side: Any) -> None:
    """Give back the memory of the case before, on both sides."""
    gc.collect()
    mn.free("gpu")
    torch_side.clean()


def check_same(case: Case, mine: Sequence[float], theirs: Sequence[float]) -> None:
    """Raise a ValueError unless both sides came to the same losses."""
    if not case.is_random and not np.allclose(mine, theirs, rtol=SLACK[case.precision]):
        raise ValueError(f"not the same work: minnet comes to {mine}, this to {theirs}")


# --- the command ----------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    from minnet.draw import table

    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all of them when left out")
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each case (default 10)")
    options = parser.parse_args(arguments)
    if options.list:
        print(table([("case", "what"), *((case.name, case.title) for case in CASES.values())]))
        return
    if unknown := [name for name in options.cases if name not in CASES]:
        raise SystemExit(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    cupy = found_cupy()
    from . import gpu_pytorch

    print(f"{described(cupy, gpu_pytorch.version())}\n")
    found = []
    for name in options.cases or CASES:
        found.append(measured(CASES[name], cupy, gpu_pytorch, options.seconds))
        print(" ".join(found[-1].row()), file=sys.stderr)
    print(table([COLUMNS, *(one.row() for one in found)], right=range(1, len(COLUMNS))))
    for one in found:
        for way, reason in one.failed.items():
            print(f"{one.case.name}, {way}: {reason}")
    print(f"\n{NOTES}")


def found_cupy() -> Any:
    """Return CuPy if there is a GPU that both sides can use, else stop with the reason."""
    from minnet.backend.devices import cupy

    try:
        module = cupy()
    except mn.DeviceError as error:
        raise SystemExit(f"these benchmarks need an NVIDIA GPU: {error}") from None
    try:
        import torch
    except ImportError:
        raise SystemExit("the comparison needs PyTorch with CUDA: pip install torch") from None
    if not torch.cuda.is_available():
        raise SystemExit("the comparison needs PyTorch with CUDA; the one that is here has none")
    return module


def described(cupy: Any, pytorch: str) -> str:
    """Return the GPU and the versions in two lines."""
    runtime = cupy.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"].decode()
    cuda = runtime.runtimeGetVersion()
    versions = {name: machine.version(name) for name in ("minnet", "numpy")}
    return (
        f"{name}, CUDA {cuda // 1000}.{cuda % 1000 // 10}, driver {runtime.driverGetVersion()}\n"
        f"minnet {versions['minnet']} on CuPy {cupy.__version__} and NumPy {versions['numpy']}; "
        f"{pytorch}"
    )


if __name__ == "__main__":
    main()
