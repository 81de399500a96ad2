"""The cases: what is measured, under which name, and how far minnet is to get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import nets, process, work
from .compare import Spread, Timed, in_turn, ratio, repeated
from .result import Result

PRODUCT = 1024  # rows and columns of the matrices that tell how fast the machine multiplies


@dataclass(frozen=True)
class Case:
    """Something measured on both sides.

    Parameters
    ----------
    name
        To choose it by.
    title
        What it is.
    target
        How many times as fast as PyTorch's best minnet is to be.
    prepare
        Sets up both sides for timing; or None, and `measure` measures by itself.
    fraction
        Of the machine's matrix products, how much is to be reached.
    """

    name: str
    title: str
    target: float
    prepare: Callable[[], work.Sides] | None
    fraction: float | None = None
    measure: Callable[[float], process.Measured] | None = None
    unit: str = "ms"

    def result(self, seconds: float) -> Result:
        """Measure it, for about so many seconds."""
        if self.prepare is not None:
            return timed(self, self.prepare(), seconds)
        assert self.measure is not None
        ours, rivals, ratio = self.measure(seconds)
        return Result(self.name, self.unit, ours, rivals, ratio, self.target)


def timed(case: Case, sides: work.Sides, seconds: float) -> Result:
    """Time both sides in turn, and matrix products with them if the operations are known."""
    ways = sides.rivals()
    both = {"minnet": sides.minnet, **ways}
    if sides.flops is not None:
        both["products"] = products()
    samples = in_turn(both, seconds)
    ours = samples["minnet"]
    rivals = {way: Spread.of(samples[way]).times(1e3) for way in ways}
    best = min(rivals, key=lambda way: rivals[way].median)
    rate = fraction = None
    if sides.flops is not None:
        rate = 2 * PRODUCT**3 / float(np.median(samples["products"]))
        fraction = sides.flops / float(np.median(ours)) / rate
    milliseconds = Spread.of(ours).times(1e3)
    versus = ratio(samples[best], ours)
    return Result(
        case.name, "ms", milliseconds, rivals, versus, case.target, rate, fraction, case.fraction
    )


def products() -> Timed:
    """Return what times matrix products of float32 as large as to show the machine's best."""
    a, b = np.random.default_rng(0).normal(size=(2, PRODUCT, PRODUCT)).astype(np.float32)
    out = np.empty_like(a)
    return repeated(lambda: np.matmul(a, b, out=out))


def _trained(net: Callable[[], Any], batch: int, **options: Any) -> Callable[[], work.Sides]:
    return lambda: work.training(net(), net.__name__, batch, **options)


CASES = {
    case.name: case
    for case in (
        Case("lenet-16", "LeNet step, batch 16", 2.0, _trained(nets.lenet, 16)),
        Case("lenet-64", "LeNet step, batch 64", 2.0, _trained(nets.lenet, 64), 0.45),
        Case("lenet-256", "LeNet step, batch 256", 1.5, _trained(nets.lenet, 256)),
        Case("vgg-64", "small VGG step, batch 64", 1.0, _trained(nets.vgg, 64)),
        Case("mlp-1", "MLP 784-512-512-10 step, one example", 1.0, _trained(nets.mlp, 1)),
        Case("mlp-32", "MLP 784-512-512-10 step, batch 32", 1.0, _trained(nets.mlp, 32)),
        Case("mlp-128", "MLP 784-512-512-10 step, batch 128", 1.2, _trained(nets.mlp, 128)),
        Case("tiny-mlp", "MLP 2-16-16-2 with tanh, batch 32", 5.0, _trained(nets.tiny_mlp, 32)),
        Case("lenet-infer-1", "LeNet, one image", 2.0, partial(work.inference, 1)),
        Case("lenet-infer-256", "LeNet, 256 images", 1.3, partial(work.inference, 256)),
        Case(
            "resnet8-64",
            "ResNet-8 of width 16 step, batch normalisation, batch 64, momentum",
            1.0,
            _trained(nets.resnet8, 64, optimizer="momentum"),
        ),
        Case(
            "head-only",
            "last layer of LeNet, a step after the first round; PyTorch: requires_grad=False below",
            40.0,
            partial(work.head, keeps_features=False),
        ),
        Case(
            "head-only-cached",
            "the same; PyTorch: the last layer on features kept by hand",
            3.0,
            partial(work.head, keeps_features=True),
        ),
        Case(
            "frozen-half",
            "LeNet step, batch 64, both convolutions frozen, nothing kept",
            1.5,
            _trained(nets.lenet, 64, frozen=("conv1", "conv2")),
        ),
        Case(
            "import",
            f"import minnet after import numpy; {process.IMPORT_ALLOWANCE:g} ms are allowed",
            1.0,
            None,
            measure=partial(process.importing, "import minnet"),
        ),
        Case(
            "import-used",
            "the same, with what a program uses that trains a net",
            1.0,
            None,
            measure=partial(process.importing, process.USED),
        ),
        Case(
            "memory",
            "peak memory of training LeNet, above the interpreter with NumPy",
            3.0,
            None,
            measure=lambda seconds: process.memory(),
            unit="MB",
        ),
    )
}
