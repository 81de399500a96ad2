"""The cases that are timed: what each side does, checked to be the same work before it is timed."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import minnet as mn

from . import nets
from .compare import Timed, repeated
from .flops import operations, trained_paths

BATCH = 64
HEAD_EXAMPLES = 1024
HEAD_ONLY: dict[Any, Any] = {-2: 1, ...: None}
BELOW_HEAD = ("conv1", "conv2", "linear1")
CHECKED_STEPS = 3  # whose losses are compared
SLACK = 1e-3  # between the losses of the two, relative


class Sides(NamedTuple):
    """What is timed: minnet, PyTorch's ways once asked for, the operations where they count."""

    minnet: Timed
    rivals: Callable[[], dict[str, Timed]]
    flops: int | None = None


def training(
    net: Any,
    twin: str,
    batch: int,
    frozen: tuple[str, ...] = (),
    optimizer: str = "adam",
) -> Sides:
    """Return training steps: forward, loss, backward, update."""
    rules: dict[Any, Any] = {**dict.fromkeys(frozen), ...: 1}
    x, y = nets.examples((batch, *net.input), net.output.size)
    ours = mn.Adam(1e-3) if optimizer == "adam" else mn.SGD(0.01, momentum=0.9)
    trainer = mn.Trainer(net, ours, multipliers=rules)
    feed = nets.contradicting(x, y, net.output.size)

    def step() -> float:
        return trainer.step(*next(feed))

    losses = [step() for _ in range(CHECKED_STEPS)]

    def rivals() -> dict[str, Timed]:
        from . import pytorch  # here, since listing, testing and profiling go without

        theirs = pytorch.training(
            getattr(pytorch, twin),
            net.arrays(),
            lambda: (pytorch.tensors(*pair) for pair in nets.contradicting(x, y, net.output.size)),
            getattr(pytorch, optimizer),
            frozen,
        )
        return checked(losses, theirs)

    return Sides(repeated(step), rivals, operations(net, batch, trained_paths(net, rules)))


def inference(batch: int) -> Sides:
    """Return calls of LeNet; a batch of one is an image by itself."""
    net = nets.lenet()
    x, y = nets.examples((batch, *net.input))
    given = x if batch > 1 else x[0]

    def call() -> Any:
        return net(given, give="array")

    def rivals() -> dict[str, Timed]:
        from . import pytorch

        theirs = pytorch.inference(pytorch.lenet, net.arrays(), pytorch.tensors(x, y)[0])
        return checked(call(), theirs)

    return Sides(repeated(call), rivals, operations(net, batch, ()))


def head(keeps_features: bool) -> Sides:
    """Return steps that train the last layer of LeNet, with minnet's train from its second round.

    PyTorch computes what is frozen again in each step, or begins from features kept by hand.
    """
    net = nets.lenet()
    x, y = nets.examples((HEAD_EXAMPLES // 2, *net.input))
    # Every image comes with two labels: no training makes the gradients vanish.
    x, y = np.concatenate([x, x]), np.concatenate([y, (y + 1) % 10])
    trainer = mn.Trainer(net, mn.Adam(1e-3), multipliers=HEAD_ONLY)
    losses = [trainer.step(*pair) for pair in itertools.islice(_batches(x, y), CHECKED_STEPS)]

    def rivals() -> dict[str, Timed]:
        from . import pytorch

        frozen: tuple[str, ...] = ()
        if keeps_features:
            features = np.asarray(net.take("ramp3").apply(x))
            arrays = {path: array for path, array in net.arrays().items() if "linear2" in path}
            data, twin = pytorch.tensors(features, y), pytorch.lenet_head
        else:
            arrays, data, twin = net.arrays(), pytorch.tensors(x, y), pytorch.lenet
            frozen = BELOW_HEAD
        theirs = pytorch.training(twin, arrays, lambda: _batches(*data), frozen=frozen)
        return checked(losses, theirs)

    return Sides(_rounds_after_the_first(net, x, y), rivals)


def _rounds_after_the_first(net: Any, x: Any, y: Any) -> Timed:
    """Return what times the steps of whole rounds of train, once the frozen part is computed."""
    steps = len(x) // BATCH

    def timed(count: int) -> float:
        rounds = math.ceil(count / steps)
        history = mn.train(
            net,
            (x, y),
            optimizer=mn.Adam(1e-3),
            multipliers=HEAD_ONLY,
            rounds=1 + rounds,
            batch_size=BATCH,
            measure=None,
            progress=False,
        ).history
        return float(history[-1]["seconds"] - history[0]["seconds"]) * count / (rounds * steps)

    return timed


def _batches(x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    """Yield batches of arrays or tensors without end, in another order in each round."""
    random = np.random.default_rng(0)
    while True:
        order = random.permutation(len(x))
        for start in range(0, len(x), BATCH):
            positions = order[start : start + BATCH]
            yield x[positions], y[positions]


def checked(ours: Any, theirs: dict[str, tuple[Callable[[], Any], Any]]) -> dict[str, Timed]:
    """Return the steps of the rivals that come to the same numbers; stop if eager ones don't.

    Now and then what PyTorch compiles comes to other numbers than PyTorch itself.
    """
    same = {}
    for way, (step, found) in theirs.items():
        if np.allclose(ours, found, rtol=SLACK, atol=SLACK / 10):
            same[way] = repeated(step)
            continue
        different = f"not the same work: minnet comes to {ours}, PyTorch ({way}) to {found}"
        if way == "eager":
            raise SystemExit(different)
        print(f"left out, {different}", file=sys.stderr)
    return same
