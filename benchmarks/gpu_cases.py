"""What is compared with PyTorch on a GPU: nets, batches, and what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import minnet as mn

from . import nets

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
    targets
        The ways to compare with, and how many times as fast minnet is to be; None where
        nothing is asked.
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
    targets: Mapping[str, float | None]
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


SMALL: Mapping[str, float | None] = {"eager": 5.0, "compiled": 1.0}
LARGE: Mapping[str, float | None] = {"eager": 0.5, "no cuDNN": None, "compiled": None}

CASES = {
    case.name: case
    for case in (
        Case("lenet-64", "LeNet, batch 64", nets.lenet, 64, SMALL),
        Case("mlp-32", "MLP 784-512-512-10, batch 32", nets.mlp, 32, SMALL),
        Case(
            "vgg-256",
            "small VGG on 32x32x3, batch 256",
            nets.vgg,
            256,
            {"eager": 1.0, "compiled": None},
        ),
        Case("resnet18-64", "ResNet-18, 224x224, batch 64", resnet18, 64, LARGE, "momentum"),
        Case("resnet18-64-tf32", "the same in TF32", resnet18, 64, LARGE, "momentum", "tf32"),
        Case(
            "caffenet-256",
            "CaffeNet, 227x227, batch 256",
            caffenet,
            256,
            LARGE,
            "momentum",
            is_random=True,
        ),
        Case(
            "caffenet-256-tf32",
            "the same in TF32",
            caffenet,
            256,
            LARGE,
            "momentum",
            "tf32",
            True,
        ),
        Case(
            "head-only",
            "a head of 4096 x 1000 on cached features, batch 256",
            head,
            256,
            {"eager": None, "compiled": None, "memory": 0.5},
        ),
    )
}
