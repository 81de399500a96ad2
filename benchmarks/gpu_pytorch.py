"""PyTorch's side on a GPU: the same nets and weights, run in each of its ways, and its memory."""

from __future__ import annotations

import gc
import itertools
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from . import pytorch
from .compare import Step

# --- nets: each layer has the name it has in minnet ---------------------------------------------


def resnet18() -> nn.Module:
    """Return ResNet-18."""
    stem = OrderedDict(
        conv=nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        norm=nn.BatchNorm2d(64),
        ramp=nn.ReLU(),
        pool=nn.MaxPool2d(3, 2, padding=1),
    )
    before = 64
    for i, channels in enumerate((64, 64, 128, 128, 256, 256, 512, 512), start=1):
        stem[f"block{i}"] = pytorch.Block(before, channels, 1 if channels == before else 2)
        before = channels
    stem |= {"mean": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return nn.Sequential(stem | {"linear": nn.Linear(512, 1000)})


def caffenet() -> nn.Module:
    """Return CaffeNet."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, 4), ramp1=nn.ReLU(), pool1=nn.MaxPool2d(3, 2),
            norm1=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2), ramp2=nn.ReLU(),
            pool2=nn.MaxPool2d(3, 2),
            norm2=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            conv3=nn.Conv2d(256, 384, 3, padding=1), ramp3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2), ramp4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2), ramp5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, 2), flatten=nn.Flatten(),
            fc6=nn.Linear(9216, 4096), ramp6=nn.ReLU(), drop6=nn.Dropout(0.5),
            fc7=nn.Linear(4096, 4096), ramp7=nn.ReLU(), drop7=nn.Dropout(0.5),
            fc8=nn.Linear(4096, 1000),
        )
    )  # fmt: skip


def head() -> nn.Module:
    """Return a last layer for 4096 features and 1000 classes."""
    return nn.Sequential(nn.Linear(4096, 1000))


def twin(case: Any) -> nn.Module:
    """Return the net of a case as PyTorch has it."""
    name = case.net.__name__
    made: nn.Module = (globals().get(name) or getattr(pytorch, name))()
    return made


# --- what is timed ------------------------------------------------------------------------------


def version() -> str:
    """Return PyTorch's version, and those of what it uses."""
    cudnn = torch.backends.cudnn.version()
    return f"PyTorch {torch.__version__} on CUDA {torch.version.cuda} and cuDNN {cudnn}"


def wait() -> None:
    """Wait until the GPU is done."""
    torch.cuda.synchronize()


def clean() -> None:
    """Give back what no tensor uses, and begin to count the peak of the memory again."""
    gc.collect()
    torch.compiler.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def peak() -> int:
    """Return the most bytes that were reserved since `clean`."""
    reserved: int = torch.cuda.max_memory_reserved()
    return reserved


def training(case: Any, net: Any, batches: Iterable[Any], way: str, device: str = "cuda") -> Step:
    """Return a training step of one way, which gives the loss.

    Nothing in a step waits for the GPU, and two batches, taken in turn, are there already, as
    on minnet's side.
    """
    torch.backends.cuda.matmul.allow_tf32 = case.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = case.precision == "tf32"
    pairs = itertools.islice(batches, 2)
    moved = [[part.to(device) for part in pytorch.tensors(*pair)] for pair in pairs]
    there = pytorch.load(twin(case), net.arrays()).to(device)
    step = step_of(case, there, moved, way == "compiled")
    if way == "no cuDNN":
        return without_cudnn(step)
    return step


def step_of(case: Any, net: nn.Module, moved: list[Any], is_compiled: bool) -> Step:
    """Return a step that takes the next batch: forward, loss, backward, update."""
    updating = getattr(pytorch, case.optimizer)(net.parameters(), is_compiled)
    feed = itertools.cycle(moved)

    def loss_of(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(net(x), y)

    function = torch.compile(loss_of, mode="reduce-overhead") if is_compiled else loss_of

    def step() -> Any:
        updating.zero_grad()
        loss = function(*next(feed))
        loss.backward()
        updating.step()
        return loss.detach()

    return step


def without_cudnn(step: Step) -> Step:
    """Return the same step done by PyTorch's own kernels."""

    def other() -> object:
        torch.backends.cudnn.enabled = False
        try:
            return step()
        finally:
            torch.backends.cudnn.enabled = True

    return other
