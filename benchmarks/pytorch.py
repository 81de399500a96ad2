"""PyTorch's side: the same nets with the same weights, run in each of the ways it offers."""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from .compare import Step
from .work import CHECKED_STEPS

Batches = Iterator[tuple[Any, Any]]
# A way's name, whether the optimizer is fused, whether the net is compiled.
TRAINING = (("eager", False, False), ("fused", True, False), ("compile", True, True))
INFERENCE = (("eager", False), ("compile", True))

# --- nets: each layer has the name it has in minnet ---------------------------------------------


def lenet() -> nn.Module:
    """Return LeNet."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5), ramp1=nn.ReLU(), pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5), ramp2=nn.ReLU(), pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(), linear1=nn.Linear(800, 500), ramp3=nn.ReLU(),
            linear2=nn.Linear(500, 10),
        )
    )  # fmt: skip


def lenet_head() -> nn.Module:
    """Return the last layer of LeNet."""
    return nn.Sequential(OrderedDict(linear2=nn.Linear(500, 10)))


def vgg() -> nn.Module:
    """Return the small VGG."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 32, 3, padding=1), ramp1=nn.ReLU(),
            conv2=nn.Conv2d(32, 32, 3, padding=1), ramp2=nn.ReLU(), pool1=nn.MaxPool2d(2),
            conv3=nn.Conv2d(32, 64, 3, padding=1), ramp3=nn.ReLU(),
            conv4=nn.Conv2d(64, 64, 3, padding=1), ramp4=nn.ReLU(), pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(), linear1=nn.Linear(4096, 256), ramp5=nn.ReLU(),
            linear2=nn.Linear(256, 10),
        )
    )  # fmt: skip


def mlp() -> nn.Module:
    """Return a net of two hidden layers of 512 units."""
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def tiny_mlp() -> nn.Module:
    """Return a net of two hidden layers of 16 units."""
    return nn.Sequential(
        nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2)
    )


class Block(nn.Module):  # type: ignore[misc,unused-ignore]  # Any, without PyTorch
    """A basic residual block."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.is_projected = stride > 1
        if self.is_projected:
            self.project = nn.Conv2d(before, channels, 1, stride, bias=False)
            self.norm3 = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        shortcut = self.norm3(self.project(x)) if self.is_projected else x
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + shortcut)


def resnet8() -> nn.Module:
    """Return ResNet-8 of width 16."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(3, 16, 3, padding=1, bias=False),
            norm=nn.BatchNorm2d(16), ramp=nn.ReLU(),
            block1=Block(16, 16, 1), block2=Block(16, 32, 2), block3=Block(32, 64, 2),
            mean=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(64, 10),
        )
    )  # fmt: skip


# --- from minnet's arrays -----------------------------------------------------------------------

NAMES = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}


def load(net: nn.Module, arrays: Mapping[tuple[Any, ...], Any]) -> nn.Module:
    """Give a net the weights of minnet's, whose images have their channels last."""
    channels = 0  # of the images that are flattened before the first linear layer
    with torch.no_grad():
        for path, array in arrays.items():
            new = np.asarray(array)
            if new.ndim == 4:
                channels = new.shape[-1]
                new = new.transpose(3, 2, 0, 1)
            elif new.ndim == 2:
                rows, units = new.shape
                if channels:
                    new = new.reshape(-1, channels, units).swapaxes(0, 1).reshape(rows, units)
                    channels = 0
                new = new.T
            layer = net.get_submodule(".".join(map(str, path[:-1])))
            name = NAMES.get(path[-1], path[-1])
            getattr(layer, name).copy_(torch.from_numpy(new.copy()))
    return net


def tensors(inputs: Any, labels: Any) -> tuple[Any, Any]:
    """Return a batch as PyTorch takes it: the channels first, in this order in memory, too."""
    x = np.moveaxis(inputs, -1, 1) if inputs.ndim == 4 else inputs
    return torch.from_numpy(np.array(x, order="C")), torch.from_numpy(np.asarray(labels))


# --- what is timed ------------------------------------------------------------------------------


def adam(parameters: Iterable[Any], fused: bool) -> Any:
    """Return the optimizer of most cases."""
    return torch.optim.Adam(parameters, 1e-3, fused=fused)


def momentum(parameters: Iterable[Any], fused: bool) -> Any:
    """Return the optimizer of the residual net."""
    return torch.optim.SGD(parameters, 0.01, momentum=0.9, fused=fused)


def training_step(
    net: nn.Module,
    batches: Batches,
    optimizer: Callable[[Iterable[Any], bool], Any] = adam,
    fused: bool = False,
    compiled: bool = False,
) -> Step:
    """Return a step that takes the next batch: forward, loss, backward, update."""
    updating = optimizer([p for p in net.parameters() if p.requires_grad], fused)

    def loss_of(x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(net(x), y)

    loss_function = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def step() -> float:
        updating.zero_grad()
        loss = loss_function(*next(batches))
        loss.backward()
        updating.step()
        return float(loss.item())

    return step


def training(
    twin: Callable[[], nn.Module],
    arrays: Mapping[tuple[Any, ...], Any],
    batches: Callable[[], Batches],
    optimizer: Callable[[Iterable[Any], bool], Any] = adam,
    frozen: tuple[str, ...] = (),
) -> dict[str, tuple[Step, list[object]]]:
    """Return a training step for each way that works here, with the losses of the first steps."""
    torch.compiler.reset()  # else a second net of the same code would be compiled for any size

    def begun(fused: bool, compiled: bool) -> tuple[Step, list[object]]:
        net = load(twin(), arrays)
        for name in frozen:
            net.get_submodule(name).requires_grad_(False)
        step = training_step(net, batches(), optimizer, fused, compiled)
        return step, [step() for _ in range(CHECKED_STEPS)]

    return _working({name: (begun, options) for name, *options in TRAINING})


def inference(
    twin: Callable[[], nn.Module], arrays: Mapping[tuple[Any, ...], Any], x: Any
) -> dict[str, tuple[Step, Any]]:
    """Return a call of the net for each way that works here, with what it gives."""
    torch.compiler.reset()
    net = load(twin(), arrays).eval()

    def begun(compiled: bool) -> tuple[Step, Any]:
        def probabilities(x: Any) -> Any:
            return torch.softmax(net(x), 1)

        function = torch.compile(probabilities, dynamic=False) if compiled else probabilities

        def step() -> Any:
            with torch.inference_mode():
                return function(x)

        return step, step().numpy()

    return _working({name: (begun, options) for name, *options in INFERENCE})


@functools.cache
def compiles() -> bool:
    """Tell whether torch.compile works on this machine; it needs a C++ compiler."""
    return _tried(lambda: torch.compile(torch.sin)(torch.zeros(2))) is not None


def _tried(compiled: Callable[[], Any]) -> Any:
    """Return what comes of compiling something; say so and return None if it fails."""
    try:
        return compiled()
    except Exception as error:  # what is raised differs from version to version
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"torch.compile does not work here and is left out: {why}", file=sys.stderr)
        return None


def _working(ways: dict[str, tuple[Callable[..., Any], list[bool]]]) -> dict[str, Any]:
    """Begin each way that works."""
    found = {}
    for name, (begun, options) in ways.items():
        if name != "compile":
            found[name] = begun(*options)
        elif compiles() and (way := _tried(functools.partial(begun, *options))) is not None:
            found[name] = way
    return found
