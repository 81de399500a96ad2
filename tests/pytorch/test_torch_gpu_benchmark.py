"""PyTorch's side of the benchmark on a GPU, run on the CPU: the same nets, losses and steps."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minnet as mn

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the benchmarks are no part of it

from benchmarks import gpu, gpu_pytorch, pytorch  # noqa: E402


@pytest.mark.parametrize("name", ["lenet-64", "mlp-32", "vgg-256", "head-only"])
@pytest.mark.parametrize("way", ["eager", "no cuDNN"])
def test_both_sides_come_to_the_same_losses(name: str, way: str) -> None:
    case = dataclasses.replace(gpu.CASES[name], batch=4)
    net = case.net()
    step = gpu_pytorch.training(case, net, gpu.batches(case, net), way, "cpu")
    trainer, pairs = mn.Trainer(net, mn.Adam(1e-3)), gpu.batches(case, net)
    losses = [trainer.step(*next(pairs)) for _ in range(gpu.CHECKED_STEPS)]
    gpu.check_same(case, losses, [float(step()) for _ in losses])  # type: ignore[arg-type]
    assert torch.backends.cudnn.enabled


@pytest.mark.parametrize("name", ["resnet18-64", "caffenet-256"])
def test_large_nets_are_the_same(name: str) -> None:
    case: Any = gpu.CASES[name]
    net = case.net()
    x = np.random.default_rng(0).normal(size=(1, *net.input)).astype("float32")
    twin = pytorch.load(gpu_pytorch.twin(case), net.arrays()).eval()
    with torch.inference_mode():
        theirs = torch.softmax(twin(pytorch.tensors(x, np.zeros(1))[0]), 1).numpy()
    np.testing.assert_allclose(net(x, give="array"), theirs, rtol=2e-3, atol=1e-6)


def test_tf32_is_set_and_taken_back() -> None:
    case = dataclasses.replace(gpu.CASES["head-only"], batch=2, precision="tf32")
    net = case.net()
    for precision in ("tf32", "float32"):
        case = dataclasses.replace(case, precision=precision)
        gpu_pytorch.training(case, net, gpu.batches(case, net), "eager", "cpu")
        is_on = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        assert is_on == (precision == "tf32",) * 2
