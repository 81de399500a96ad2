"""Well-known nets as plain Chains and Graphs, to use, to cut, and to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .checks import positive
from .data import ClassDecoder
from .layers import (
    Add,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    GlobalMeanPool,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Ramp,
    Softmax,
)
from .net import Chain, Graph

__all__ = ["caffenet", "lenet", "resnet18", "small_vgg"]


def _head(classes: Any) -> tuple[int, ClassDecoder]:
    """Return the number of classes and their decoder, from a number or from labels."""
    is_labels = isinstance(classes, Iterable) and not isinstance(classes, str)
    decoder = ClassDecoder(tuple(classes if is_labels else range(positive(classes, "classes"))))
    return decoder.size, decoder


def lenet(classes: Any = 10, input: Any = (28, 28, 1)) -> Chain:
    """Return LeNet as Caffe and the Wolfram Language have it, after LeCun et al. (1998).

    Two convolutions of 5x5 with 20 and 50 maps, each halved by max-pooling, and two
    fully connected layers, with Ramp in place of the sigmoids of 1998.

    Parameters
    ----------
    classes
        How many, or their labels.
    input
        An encoder or the shape of one image.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.models.lenet(10).initialize()
    >>> sum(array.size for array in net.arrays().values())
    431080
    """
    size, decoder = _head(classes)
    return Chain(
        conv1=Conv(20, 5),
        ramp1=Ramp(),
        pool1=MaxPool(2),
        conv2=Conv(50, 5),
        ramp2=Ramp(),
        pool2=MaxPool(2),
        flatten=Flatten(),
        linear1=Linear(500),
        ramp3=Ramp(),
        linear2=Linear(size),
        softmax=Softmax(),
        input=input,
        output=decoder,
    )


def caffenet(classes: Any = 1000, input: Any = (227, 227, 3)) -> Chain:
    """Return CaffeNet, the net of Yosinski et al. (2014), after Krizhevsky et al. (2012).

    Five convolutions, three of them in two groups, response normalisation after
    pooling (as Caffe has it: its alpha is divided by the window's size), and three
    fully connected layers with dropout between them.

    Parameters
    ----------
    classes
        How many, or their labels.
    input
        An encoder or the shape of one image.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.models.caffenet(1000)
    >>> net["conv2"].groups, net.output_shape((227, 227, 3))
    (2, (1000,))
    """
    size, decoder = _head(classes)
    norm = LocalResponseNorm(size=5, alpha=1e-4 / 5, beta=0.75, k=1.0)
    return Chain(
        conv1=Conv(96, 11, stride=4),
        ramp1=Ramp(),
        pool1=MaxPool(3, stride=2),
        norm1=norm,
        conv2=Conv(256, 5, padding=2, groups=2),
        ramp2=Ramp(),
        pool2=MaxPool(3, stride=2),
        norm2=norm,
        conv3=Conv(384, 3, padding=1),
        ramp3=Ramp(),
        conv4=Conv(384, 3, padding=1, groups=2),
        ramp4=Ramp(),
        conv5=Conv(256, 3, padding=1, groups=2),
        ramp5=Ramp(),
        pool5=MaxPool(3, stride=2),
        flatten=Flatten(),
        fc6=Linear(4096),
        ramp6=Ramp(),
        drop6=Dropout(0.5),
        fc7=Linear(4096),
        ramp7=Ramp(),
        drop7=Dropout(0.5),
        fc8=Linear(size),
        softmax=Softmax(),
        input=input,
        output=decoder,
    )


def small_vgg(classes: Any = 10, input: Any = (32, 32, 3)) -> Chain:
    """Return a small net of 3x3 convolutions, after Simonyan and Zisserman (2015).

    Two convolutions of 32 maps, two of 64, each pair halved by max-pooling, then
    256 units.

    Parameters
    ----------
    classes
        How many, or their labels.
    input
        An encoder or the shape of one image.

    Examples
    --------
    >>> import minnet as mn
    >>> mn.models.small_vgg(10).output_shape((32, 32, 3))
    (10,)
    """
    size, decoder = _head(classes)
    return Chain(
        conv1=Conv(32, 3, padding="same"),
        ramp1=Ramp(),
        conv2=Conv(32, 3, padding="same"),
        ramp2=Ramp(),
        pool1=MaxPool(2),
        conv3=Conv(64, 3, padding="same"),
        ramp3=Ramp(),
        conv4=Conv(64, 3, padding="same"),
        ramp4=Ramp(),
        pool2=MaxPool(2),
        flatten=Flatten(),
        linear1=Linear(256),
        ramp5=Ramp(),
        linear2=Linear(size),
        softmax=Softmax(),
        input=input,
        output=decoder,
    )


def _block(channels: int, stride: int, project: bool) -> Graph:
    """Return a basic residual block (He et al. 2016, figure 2), with projection where needed."""
    layers: dict[str, Any] = {
        "conv1": Conv(channels, 3, stride=stride, padding=1, bias=False),
        "norm1": BatchNorm(),
        "ramp1": Ramp(),
        "conv2": Conv(channels, 3, padding=1, bias=False),
        "norm2": BatchNorm(),
    }
    wiring: dict[str, Any] = {
        "conv1": "input",
        "norm1": "conv1",
        "ramp1": "norm1",
        "conv2": "ramp1",
        "norm2": "conv2",
    }
    shortcut = "input"
    if project:
        layers |= {"project": Conv(channels, 1, stride=stride, bias=False), "norm3": BatchNorm()}
        wiring |= {"project": "input", "norm3": "project"}
        shortcut = "norm3"
    layers |= {"add": Add(), "ramp2": Ramp()}
    wiring |= {"add": ("norm2", shortcut), "ramp2": "add"}
    return Graph(layers, wiring)


def resnet18(classes: Any = 1000, input: Any = (224, 224, 3)) -> Graph:
    """Return ResNet-18 (He et al. 2016, table 1) as a Graph of residual blocks.

    Parameters
    ----------
    classes
        How many, or their labels.
    input
        An encoder or the shape of one image.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.models.resnet18(1000)
    >>> net["block3"].wiring["add"], net["block3", "project"].stride
    (('norm2', 'norm3'), 2)
    """
    size, decoder = _head(classes)
    layers: dict[str, Any] = {
        "conv": Conv(64, 7, stride=2, padding=3, bias=False),
        "norm": BatchNorm(),
        "ramp": Ramp(),
        "pool": MaxPool(3, stride=2, padding=1),
    }
    before = 64
    for i, channels in enumerate((64, 64, 128, 128, 256, 256, 512, 512), start=1):
        changes = channels != before
        layers[f"block{i}"] = _block(channels, 2 if changes else 1, project=changes)
        before = channels
    layers |= {"mean": GlobalMeanPool(), "linear": Linear(size), "softmax": Softmax()}
    names = list(layers)
    wiring = dict(zip(names, ["input", *names], strict=False))
    return Graph(layers, wiring, input=input, output=decoder)
