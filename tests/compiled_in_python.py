"""A program that compares every kernel with NumPy, for processes where they aren't compiled whole.

Without Numba kernels are functions of Python; where there is no BLAS to call from kernels, some
of them are.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
from compiled_samples import both, loss_by_kernel, loss_by_ops, same, same_both_ways
from optimizer_samples import NET, START, WEIGHT

import minnet as mn
from minnet.ops import compiled, winograd
from minnet.ops.compiled import product, team
from minnet.optim import updater
from minnet.threads import sharing
from minnet.train import planned

EDGES = ((1, 0), (0, 1))


def check_ops(random: np.random.Generator, dtype: str) -> None:
    """Compare values and gradients of ops on small inputs."""

    def draw(*shape: int) -> Any:
        return random.normal(size=shape).astype(dtype)

    def conv(*arrays: Any) -> Any:
        return mn.ops.conv(*arrays, stride=(1, 2), padding=EDGES)

    def largest(x: Any) -> Any:
        return mn.ops.max_pool(x, (2, 3), 2, EDGES)

    def norm(*arrays: Any) -> Any:
        return mn.ops.batch_norm(*arrays)[0]

    def known(*arrays: Any) -> Any:
        return mn.ops.normalize(arrays[0], zero, zero + 2, *arrays[1:])

    zero = np.zeros(3, dtype)
    same_both_ways(conv, draw(2, 4, 5, 2), draw(2, 3, 2, 3), draw(3))
    same_both_ways(mn.ops.deconv, draw(1, 3, 2), draw(2, 2, 3), draw(3))
    same_both_ways(largest, draw(2, 4, 5, 3))
    chain = mn.Chain(mn.Ramp(), mn.Conv(3, 2), mn.MaxPool(2))
    chain = chain.initialize(input_shape=(5, 5, 2), dtype=dtype)
    same(*both(chain.apply, draw(2, 5, 5, 2)))  # the last two as one op
    same_both_ways(mn.ops.ramp, draw(3, 4))
    same_both_ways(norm, draw(5, 3), draw(3), draw(3))
    same_both_ways(known, draw(5, 3), draw(3), draw(3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_cost", lambda *_: 0.5)
        # The sums of the products of 36 values round more than the 9 plain ones.
        tolerance = {"float32": 1e-4, "float64": 1e-11}[dtype]
        arrays = draw(1, 4, 5, 17), draw(3, 3, 17, 16)
        same_both_ways(lambda *a: mn.ops.conv(*a, padding=1), *arrays, tolerance=tolerance)


def check_shared(random: np.random.Generator, dtype: str) -> None:
    """Compare what is done in several parts only, and what threads tell each other by."""
    a, b = (random.normal(size=(20, 17)).astype(dtype) for _ in range(2))
    bias, out = random.normal(size=20).astype(dtype), np.empty((20, 20), dtype)
    with pytest.MonkeyPatch.context() as patch, sharing(2):
        patch.setattr(team, "LEAST", 1e-9)
        patch.setattr(team, "cores", lambda: 2)
        same_both_ways(mn.ops.ramp, a)
        same_both_ways(mn.ops.add, a, b)
        same_both_ways(lambda *x: mn.ops.batch_norm(*x)[0], a, b[0], b[1])
        product.multiplied(a, b.T, out, bias, True)
        same(out, np.maximum(a @ b.T + bias, 0))
    desk = np.zeros(2 * team.PLACE, np.int64)
    desk[0] = 3
    assert not team._watch(desk, 1, team.ORDERED, True)
    assert not team._watch_or_sleep(desk, 1) and desk[team.PLACE] == team.ASLEEP


def check_planned(random: np.random.Generator, dtype: str) -> None:
    """Compare steps of nets whose passes one kernel makes, and what comes out of them."""
    tolerance = {"float32": 1e-3, "float64": 1e-9}[dtype]
    top = [9, mn.Ramp, 4, mn.Tanh, 3, mn.Softmax]
    below = mn.Conv(3, 2, padding=1), mn.MaxPool(2), mn.Ramp, mn.Conv(2, (1, 2)), mn.Flatten
    dense = mn.Chain(*top, input=4).initialize(dtype=dtype)
    blocks = mn.Chain(*below, *top, input=(5, 7, 1)).initialize(dtype=dtype)
    y = random.integers(0, 3, 5)

    def trained(net: Any, x: Any) -> Any:
        trainer = mn.Trainer(net, mn.Adam(0.1), threads=1)
        losses = [trainer.step(x, y) for _ in range(3)]
        return [np.array(losses, dtype), *map(np.array, trainer.net.arrays().values())]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned, "MANY", 0)
        patch.setattr(compiled.dense, "FEWEST", 2)
        for module in (planned, updater):
            patch.setattr(module, "JOINED", 30)  # between the sizes of the two weights
        for net, shape in ((dense, (4,)), (blocks, (5, 7, 1))):
            x = random.normal(size=(5, *shape)).astype(dtype)
            same(*both(lambda x, net=net: trained(net, x), x), tolerance)
    same(*both(lambda x: mn.Chain(*blocks.layers).apply(x), x))
    conv, norm = mn.Conv(2, 3, padding=1, bias=False), mn.BatchNorm()
    layers = {"conv": conv, "norm": norm, "ramp": mn.Ramp(), "conv2": conv, "norm2": norm}
    wiring = {"conv": "input", "norm": "conv", "ramp": "norm", "conv2": "ramp", "norm2": "conv2"}
    layers |= {"add": mn.Add(), "mean": mn.GlobalMeanPool(), "last": mn.Linear(3)}
    wiring |= {"add": ("norm2", "ramp"), "mean": "add", "last": "mean", "end": "last"}
    net = mn.Graph({**layers, "end": mn.Softmax()}, wiring, input=(4, 3, 1))
    x = random.normal(size=(5, 4, 3, 1)).astype(dtype)
    same(*both(lambda x: trained(net.initialize(dtype=dtype), x), x), tolerance)


def check_loss(random: np.random.Generator, dtype: str) -> None:
    """Compare the cross-entropy and its gradient."""
    scores, targets = random.normal(size=(4, 3)).astype(dtype), random.integers(0, 3, 4)
    same(loss_by_kernel(scores, targets), loss_by_ops(scores, targets))


def check_optimizers(random: np.random.Generator, dtype: str) -> None:
    """Compare the steps of optimizers."""
    weight, *gradients = (random.normal(size=(2, 3)).astype(dtype) for _ in range(3))

    def after(optimizer: mn.optim.Optimizer) -> Any:
        now, spare = weight.copy(), weight.copy()
        work = mn.optim.Updater(optimizer, NET)
        work.use({WEIGHT: now}, {WEIGHT: -0.5}, into={WEIGHT: spare})
        for gradient in gradients:
            work.step({WEIGHT: gradient}, START)
        return now

    options = {"l2": 0.1, "weight_decay": 0.1}
    for optimizer in (mn.SGD(0.1, **options), mn.SGD(0.1, momentum=0.9), mn.Adam(0.1, **options)):
        same(*both(after, optimizer))


def kernels_of(module: ModuleType) -> dict[Any, str]:
    """Return the code of all kernels of a module that are functions of Python, with their names."""
    found = {}
    for part in ast.parse(inspect.getsource(module)).body:
        if isinstance(part, ast.FunctionDef):
            marks = {ast.unparse(mark) for mark in part.decorator_list}
            function = getattr(module, part.name, None)
            if marks & {"kernel", "calling_products"} and inspect.isfunction(function):
                found[function.__code__] = f"{module.__name__}.{part.name}"
    return found


def main(has_blas: bool) -> None:
    """Compare everything; print how many kernels are of Python, and those that were not called."""
    if not has_blas:
        product.address = lambda dtype: 0
    called = set()

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            called.add(frame.f_code)

    sys.setprofile(watch)
    # To compile the others for one dtype takes long enough.
    for dtype in ("float32", "float64") if has_blas else ("float32",):
        random = np.random.default_rng(0)
        check_ops(random, dtype)
        check_loss(random, dtype)
        check_optimizers(random, dtype)
        check_shared(random, dtype)
        check_planned(random, dtype)
    sys.setprofile(None)
    for family in compiled.FAMILIES:
        importlib.import_module(f"minnet.ops.compiled.{family}")
    kernels: dict[Any, str] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("minnet."):
            kernels |= kernels_of(module)
    print(len(kernels))
    print(*(name for code, name in kernels.items() if code not in called))
