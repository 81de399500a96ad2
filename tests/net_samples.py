"""Random nets for the tests of nets and files: Hypothesis strategies, and a few blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minnet as mn

ANYWHERE: list[st.SearchStrategy[Any]] = [
    st.builds(mn.Ramp),
    st.builds(mn.LeakyRamp, st.sampled_from([0.01, 0.1, 1 / 3])),
    st.builds(mn.Tanh),
    st.builds(mn.Sigmoid),
    st.builds(mn.Softplus),
    st.builds(mn.GELU, st.booleans()),
    st.builds(mn.Elementwise, st.sampled_from(["tanh", "absolute", "negative"])),
    st.builds(mn.Dropout, st.sampled_from([0.0, 0.25, 0.5])),
    st.builds(mn.LayerNorm),
    st.builds(mn.BatchNorm, st.sampled_from([0.1, 0.5])),
    st.builds(mn.Softmax),
    st.builds(mn.LogSoftmax),
    st.builds(mn.Linear, st.integers(1, 5), st.booleans()),
    st.builds(mn.Flatten),
]
PADDINGS = st.sampled_from([0, 1, "same", ((1, 0), (0, 1))])
ON_IMAGES: list[st.SearchStrategy[Any]] = [
    st.builds(mn.Conv, st.integers(1, 4), st.integers(1, 3), padding=PADDINGS),
    st.builds(mn.Conv, st.just(4), st.just((1, 3)), stride=st.integers(1, 2), bias=st.booleans()),
    st.builds(mn.Deconv, st.integers(1, 3), st.integers(1, 2), stride=st.integers(1, 2)),
    st.builds(mn.MaxPool, st.just(2), stride=st.sampled_from([None, 1]), padding=st.just("same")),
    st.builds(mn.MeanPool, st.just(2)),
    st.builds(mn.GlobalMeanPool),
    st.builds(mn.LocalResponseNorm, st.sampled_from([3, 5])),
    st.builds(mn.Augment, st.integers(0, 1), st.booleans()),
    st.just(mn.Transpose((1, 0, 2))),
]
NAMES = st.sampled_from([None, None, "a", "b", "conv1", "weight", "Ä"])
MULTIPLIERS = st.sampled_from([..., ..., None, 0, 0.5, -1])


@st.composite
def parts(draw: Any, shape: tuple[int, ...], most: int = 5, depth: int = 1) -> list[Any]:
    """Draw layers, some of them nested nets, that take examples of `shape` one after another."""
    chosen: list[Any] = []
    for _ in range(draw(st.integers(0, most))):
        options = ANYWHERE + (ON_IMAGES if len(shape) == 3 else [])
        if depth:
            options = [*options, chains(shape, depth - 1), residuals(shape, depth - 1)]
        part = draw(st.one_of(options))
        try:
            after = part.output_shape(shape)
        except mn.ShapeError:  # its window is larger than the image
            continue
        name = draw(NAMES)
        taken = [other.name for other in chosen]
        part = part.with_options(name=None if name in taken else name, multiplier=draw(MULTIPLIERS))
        chosen.append(part)
        shape = after
    return chosen


@st.composite
def chains(draw: Any, shape: tuple[int, ...], depth: int = 1) -> mn.Chain:
    """Draw a Chain that takes examples of `shape` and knows it or not."""
    return mn.Chain(*draw(parts(shape, depth=depth)), input=draw(st.sampled_from([None, shape])))


@st.composite
def residuals(draw: Any, shape: tuple[int, ...], depth: int = 1) -> mn.Graph:
    """Draw a Graph that adds its input, or a part of it, to what a chain made of it."""
    body = mn.Chain(*draw(parts(shape, most=2, depth=depth)), mn.Flatten(), mn.Linear(3))
    layers = {"body": body, "flatten": mn.Flatten(), "scale": mn.Linear(3), "add": mn.Add()}
    wiring: dict[str, Any] = {
        "body": "input",
        "flatten": "input",
        "scale": "flatten",
        "add": ("body", "scale"),
    }
    if draw(st.booleans()):
        layers["one"] = mn.Constant([1.0, 2.0, 3.0])
        wiring["add"] = ("body", "one", "scale")
    return mn.Graph(layers, wiring)


SHAPES = st.sampled_from([(4,), (2, 3), (5, 4, 2), (6, 6, 1)])


def decoder_for(draw: Any, shape: tuple[int, ...]) -> Any:
    """Draw a decoder for outputs of this shape, or none."""
    if len(shape) != 1 or draw(st.booleans()):
        return None
    labels = (
        list(range(shape[0])) if draw(st.booleans()) else [f"class {i}" for i in range(shape[0])]
    )
    return mn.ScalarDecoder() if shape[0] == 1 else mn.ClassDecoder(labels)


@st.composite
def nets(draw: Any) -> Any:
    """Draw an initialized Chain or Graph with or without encoder and decoder."""
    shape = draw(SHAPES)
    if draw(st.booleans()):
        net: Any = mn.Chain(*draw(parts(shape)))
    else:
        net = draw(residuals(shape))
    end: Any = shape
    if len(shape) == 3 and draw(st.booleans()):
        end = mn.ImageEncoder(shape[:2], "gray" if shape[2] == 1 else "color", mean=0.25)
        net = mn.Chain(mn.Conv(shape[2], 1), net)
    net = net.with_ends(input=end).initialize(draw(st.integers(0, 9)))
    return net.with_ends(output=decoder_for(draw, net.output_shape(net.input_shape)))


def example_inputs(net: Any, count: int = 3) -> np.ndarray:
    """Return random inputs that a net of one input takes."""
    shape = net.input_shape
    return np.random.default_rng(1).random((count, *shape), dtype=np.float32)


def residual_block() -> mn.Graph:
    """A block that adds its input to what two layers make of it."""
    return mn.Graph(
        {"conv1": mn.Conv(2, 3, padding=1), "ramp": mn.Ramp, "conv2": mn.Conv(2, 3, padding=1),
         "add": mn.Add},
        {"conv1": "input", "ramp": "conv1", "conv2": "ramp", "add": ("conv2", "input")},
    )  # fmt: skip


def inception_block() -> mn.Graph:
    """A block whose branches look through windows of several sizes (Szegedy et al. 2015)."""
    return mn.Graph(
        {
            "one": mn.Conv(2, 1),
            "three": mn.Chain(mn.Conv(2, 1), mn.Ramp(), mn.Conv(3, 3, padding="same")),
            "five": mn.Conv(1, 5, padding="same"),
            "pool": mn.MaxPool(3, stride=1, padding="same"),
            "join": mn.Catenate(),
        },
        {"one": "input", "three": "input", "five": "input", "pool": "input",
         "join": ("one", "three", "five", "pool")},
    )  # fmt: skip


LABELS = mn.ClassDecoder(["cat", "dog", "hen"])


def two_towers() -> mn.Graph:
    """A graph of two inputs and two outputs."""
    return mn.Graph(
        {"left": 3, "right": 3, "add": mn.Add, "ramp": mn.Ramp},
        {"left": "a", "right": "b", "add": ("left", "right"), "ramp": "add",
         "sum": "add", "positive": "ramp"},
        input={"a": 2, "b": 4},
    )  # fmt: skip


def graph_classifier() -> mn.Graph:
    """A graph with a decoder whose last Linear gets its size from it."""
    return mn.Graph(
        {"a": 4, "b": mn.Ramp, "c": mn.Linear(), "d": mn.Softmax},
        {"a": "input", "b": "a", "c": "b", "d": "c"},
        input=5,
        output=LABELS,
    ).initialize()


def values(count: int, size: int) -> np.ndarray:
    """Return so many random vectors."""
    return np.random.default_rng(size).normal(size=(count, size)).astype("float32")
