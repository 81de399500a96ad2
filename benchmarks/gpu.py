"""Compare with PyTorch on one GPU and print the table: python -m benchmarks.gpu [CASE ...]."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import minnet as mn

from . import machine, nets
from .compare import Spread, Step, Timed, in_turn, ratio

NOTES = """\
over eager, over compiled: how many times as fast minnet is as PyTorch without and with
torch.compile(mode="reduce-overhead"), the median over the turns; behind it what is to be reached.
Of head-only: as PyTorch counts the time that the GPU's memory alone takes for what a step reads
and writes. peak: the device memory that each side comes to have reserved, in MB."""
COLUMNS = ("case", "minnet", "eager", "compiled", "over eager", "over compiled", "peak", "theirs")
CHECKED_STEPS = 3
SLACK = {"float32": 1e-3, "tf32": 1e-2}  # between the losses of the two, relative
FEATURES, CLASSES = 4096, 1000  # of the head


@dataclass(frozen=True)
class Case:
    """Training steps that are timed on both sides.

    Parameters
    ----------
    name, title
        To choose it by, and what it is.
    net
        Builds it; PyTorch's twin has the same name.
    batch
        How many examples in a step.
    eager, compiled
        How many times as fast as PyTorch's ways it is to be; None where nothing is asked.
    optimizer
        `"adam"` or `"momentum"`.
    precision
        As in `mn.Trainer`.
    is_random
        Whether the net drops numbers at random, so that the losses of the two differ.
    """

    name: str
    title: str
    net: Callable[[], Any]
    batch: int
    eager: float | None = None
    compiled: float | None = None
    optimizer: str = "adam"
    precision: str = "float32"
    is_random: bool = False


def resnet18() -> mn.Graph:
    """Return ResNet-18 for 224x224x3 and 1000 classes."""
    return mn.models.resnet18(CLASSES).initialize()


def caffenet() -> mn.Chain:
    """Return CaffeNet for 227x227x3 and 1000 classes."""
    return mn.models.caffenet(CLASSES).initialize()


def head() -> mn.Chain:
    """Return a last layer, which is trained on features that are computed already."""
    labels = mn.ClassDecoder(tuple(range(CLASSES)))
    return mn.Chain(mn.Linear(CLASSES), mn.Softmax(), input=FEATURES, output=labels).initialize()


CASES = {
    case.name: case
    for case in (
        Case("lenet-64", "LeNet, batch 64", nets.lenet, 64, 5.0, 1.0),
        Case("mlp-32", "MLP 784-512-512-10, batch 32", nets.mlp, 32, 5.0, 1.0),
        Case("vgg-256", "small VGG on 32x32x3, batch 256", nets.vgg, 256, 1.0),
        Case("resnet18-64", "ResNet-18, float32", resnet18, 64, 0.5, None, "momentum"),
        Case("resnet18-64-tf32", "ResNet-18, TF32", resnet18, 64, 0.5, None, "momentum", "tf32"),
        Case(
            "caffenet-256",
            "CaffeNet, float32",
            caffenet,
            256,
            0.5,
            None,
            "momentum",
            is_random=True,
        ),
        Case(
            "caffenet-256-tf32",
            "CaffeNet, TF32",
            caffenet,
            256,
            0.5,
            None,
            "momentum",
            "tf32",
            True,
        ),
        Case("head-only", "a head of 4096 x 1000 on cached features", head, 256, 0.5),
    )
}


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
    """What a case came to, in milliseconds and bytes."""

    case: Case
    minnet: Spread
    rivals: dict[str, Spread]
    ratios: dict[str, Spread]
    peak: int
    theirs: int | None

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        ways = "eager", "compiled"
        wanted = self.case.eager, self.case.compiled
        return (
            self.case.name,
            f"{self.minnet.median:.3f} ms",
            *(f"{self.rivals[way].median:.3f} ms" if way in self.rivals else "" for way in ways),
            *(
                told(self.ratios[way].median, target) if way in self.ratios else ""
                for way, target in zip(ways, wanted, strict=True)
            ),
            f"{self.peak / 1e6:.0f}",
            "" if self.theirs is None else f"{self.theirs / 1e6:.0f}",
        )


def told(reached: float, target: float | None) -> str:
    """Return a ratio, and whether it is what was to be reached."""
    if target is None:
        return f"{reached:.2f}"
    return f"{reached:.2f} ({'' if reached >= target else 'not '}{target:g})"


def measured(case: Case, cupy: Any, seconds: float) -> Measured:
    """Time both sides of a case in turn."""
    from . import gpu_pytorch

    net = case.net()
    mn.free("gpu")
    step, losses = trained(case, net)
    peak = mn.memory("gpu").peak
    if case.name == "head-only":
        rivals, theirs = {"eager": copying(cupy, net, case.batch)}, None
    else:
        ways, theirs = gpu_pytorch.training(case, net, lambda: batches(case, net), CHECKED_STEPS)
        for way, (_, found) in ways.items():
            if not case.is_random and not np.allclose(losses, found, rtol=SLACK[case.precision]):
                raise SystemExit(f"not the same work: minnet comes to {losses}, {way} to {found}")
        rivals = {way: waiting(step, gpu_pytorch.wait) for way, (step, _) in ways.items()}
    sides = {"minnet": waiting(step, cupy.cuda.Device().synchronize), **rivals}
    samples = in_turn(sides, seconds)
    spreads = {way: Spread.of(values).times(1e3) for way, values in samples.items()}
    ratios = {way: ratio(samples[way], samples["minnet"]) for way in rivals}
    return Measured(case, spreads.pop("minnet"), spreads, ratios, peak, theirs)


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
    print(f"{described(cupy)}\n")
    rows = []
    for name in options.cases or CASES:
        rows.append(measured(CASES[name], cupy, options.seconds).row())
        print(" ".join(rows[-1]), file=sys.stderr)
    print(table([COLUMNS, *rows], right=range(1, len(COLUMNS))))
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


def described(cupy: Any) -> str:
    """Return the GPU and the versions in two lines."""
    runtime = cupy.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"].decode()
    cuda = runtime.runtimeGetVersion()
    versions = {name: machine.version(name) for name in ("minnet", "numpy", "torch")}
    return (
        f"{name}, CUDA {cuda // 1000}.{cuda % 1000 // 10}, driver {runtime.driverGetVersion()}\n"
        f"minnet {versions['minnet']} on CuPy {cupy.__version__} and NumPy {versions['numpy']}; "
        f"PyTorch {versions['torch']}"
    )


if __name__ == "__main__":
    main()
