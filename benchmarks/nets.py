"""The nets that are measured, as one writes them in minnet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

import minnet as mn

DIGITS = mn.ClassDecoder(tuple(range(10)))


def lenet() -> mn.Chain:
    """Return LeNet: 20 and 50 maps of 5x5, 500 units."""
    return mn.models.lenet(10).initialize()


def vgg() -> mn.Chain:
    """Return the small VGG: 3x3 convolutions of 32, 32, 64 and 64 maps, 256 units."""
    return mn.models.small_vgg(10).initialize()


def mlp() -> mn.Chain:
    """Return a net of two hidden layers of 512 units."""
    return mn.Chain(
        mn.Linear(512), mn.Ramp(),
        mn.Linear(512), mn.Ramp(),
        mn.Linear(10), mn.Softmax(),
        input=784, output=DIGITS,
    ).initialize()  # fmt: skip


def tiny_mlp() -> mn.Chain:
    """Return a net of two hidden layers of 16 units, for points of a plane."""
    return mn.Chain(
        mn.Linear(16), mn.Tanh(),
        mn.Linear(16), mn.Tanh(),
        mn.Linear(2), mn.Softmax(),
        input=2, output=mn.ClassDecoder((0, 1)),
    ).initialize()  # fmt: skip


def resnet8() -> mn.Graph:
    """Return ResNet-8 of width 16 (He et al. 2016, section 4.2, with one block a stage)."""
    layers: dict[str, Any] = {
        "conv": mn.Conv(16, 3, padding=1, bias=False),
        "norm": mn.BatchNorm(),
        "ramp": mn.Ramp(),
        "block1": _block(16, 1),
        "block2": _block(32, 2),
        "block3": _block(64, 2),
        "mean": mn.GlobalMeanPool(),
        "linear": mn.Linear(10),
        "softmax": mn.Softmax(),
    }
    names = list(layers)
    wiring = dict(zip(names, ["input", *names], strict=False))
    return mn.Graph(layers, wiring, input=(32, 32, 3), output=DIGITS).initialize()


def _block(channels: int, stride: int) -> mn.Graph:
    """Return a basic residual block; with a stride, its shortcut is a 1x1 convolution."""
    layers: dict[str, Any] = {
        "conv1": mn.Conv(channels, 3, stride=stride, padding=1, bias=False),
        "norm1": mn.BatchNorm(),
        "ramp1": mn.Ramp(),
        "conv2": mn.Conv(channels, 3, padding=1, bias=False),
        "norm2": mn.BatchNorm(),
        "add": mn.Add(),
        "ramp2": mn.Ramp(),
    }
    wiring: dict[str, Any] = {
        "conv1": "input", "norm1": "conv1", "ramp1": "norm1", "conv2": "ramp1", "norm2": "conv2",
        "add": ("norm2", "input"), "ramp2": "add",
    }  # fmt: skip
    if stride > 1:
        layers |= {"project": mn.Conv(channels, 1, stride=stride, bias=False)}
        layers |= {"norm3": mn.BatchNorm()}
        wiring |= {"project": "input", "norm3": "project", "add": ("norm2", "norm3")}
    return mn.Graph(layers, wiring)


def examples(shape: tuple[int, ...], classes: int = 10) -> tuple[Any, Any]:
    """Return made-up inputs and labels: the time does not depend on what they show."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=shape).astype(np.float32)
    return inputs, random.integers(0, classes, shape[0])


def contradicting(x: Any, y: Any, classes: int = 10) -> Iterator[tuple[Any, Any]]:
    """Yield the same inputs again and again, with one label and with another in turn.

    So no training makes the gradients vanish, into numbers so small that
    processors are slow with them.
    """
    return itertools.cycle([(x, y), (x, (y + 1) % classes)])
