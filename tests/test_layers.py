"""Every layer: shapes, gradients, dtypes, what is frozen, what never changes; random ones."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minnet as mn
from minnet import layers
from minnet.layers.activation import FUNCTIONS

lengths = st.integers(1, 4)
flags = st.booleans()
seeds = st.integers(0, 2**32 - 1)


def shapes(least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(lengths, min_size=least, max_size=most).map(tuple)


# --- random layers, each with a shape of examples it takes --------------------------------


@st.composite
def linear(draw: st.DrawFn) -> tuple[Any, Any]:
    return layers.Linear(draw(lengths), bias=draw(flags)), draw(shapes(least=1))


@st.composite
def embedding(draw: st.DrawFn) -> tuple[Any, Any]:
    return layers.Embedding(draw(lengths), count=draw(lengths)), draw(shapes())


@st.composite
def windowed(draw: st.DrawFn, kind: str) -> tuple[Any, Any]:
    """Draw any of the layers with windows, its options given for each axis or for all at once."""
    axes = draw(st.sampled_from([1, 2]))

    def amounts(least: int, most: int) -> tuple[int, ...]:
        return draw(st.tuples(*[st.integers(least, most)] * axes))

    window, stride = amounts(1, 3), amounts(1, 3)
    most = min(window) - 1
    pairs = tuple(draw(st.tuples(st.integers(0, most), st.integers(0, most))) for _ in window)
    padding = draw(st.sampled_from([most, amounts(0, most), pairs, "same"]))
    options: dict[str, Any] = {"stride": stride, "padding": padding}
    if draw(flags):  # a number for all axes
        window, options["stride"], options["dimensions"] = window[0], stride[0], axes
        options["padding"] = draw(st.sampled_from([window - 1, "same"]))
    sizes, channels = amounts(5, 8), draw(st.integers(1, 2))
    if kind == "Conv":
        groups = draw(st.integers(1, 2))
        options |= {"dilation": draw(st.integers(1, 2)), "groups": groups, "bias": draw(flags)}
        return layers.Conv(groups * draw(lengths), window, **options), (*sizes, groups * channels)
    if kind == "Deconv":
        deconv = layers.Deconv(draw(st.integers(1, 2)), window, bias=draw(flags), **options)
        return deconv, (*(size - 2 for size in sizes), channels)
    if draw(flags):
        del options["stride"]
    return getattr(layers, kind)(window, **options), (*sizes, channels)


@st.composite
def reshape(draw: st.DrawFn) -> tuple[Any, Any]:
    shape, new = draw(shapes(least=1)), draw(st.permutations(draw(shapes(least=2))))
    assume(np.prod(shape) % np.prod(new[1:]) == 0)
    return layers.Reshape((-1, *new[1:])), shape


@st.composite
def transpose(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(shapes())
    return layers.Transpose(tuple(draw(st.permutations(range(len(shape)))))), shape


@st.composite
def augment(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(shapes(3, 3))
    crop = tuple(draw(st.integers(1, size)) for size in shape[:2])
    crop = draw(st.sampled_from([None, crop, min(crop)]))
    return layers.Augment(draw(st.integers(0, 3)), flip=draw(flags), crop=crop), shape


@st.composite
def add(draw: st.DrawFn) -> tuple[Any, Any]:
    return layers.Add(), (draw(shapes()),) * draw(lengths)


@st.composite
def multiply(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(shapes())
    several = [tuple(draw(st.sampled_from([1, n])) for n in shape) for _ in range(draw(lengths))]
    return layers.Multiply(), tuple(several)


@st.composite
def catenate(draw: st.DrawFn) -> tuple[Any, Any]:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    several = [list(shape) for _ in range(draw(lengths))]
    for one in several:
        one[axis] = draw(lengths)
    return layers.Catenate(axis), tuple(map(tuple, several))


def simple(least: int, *kinds: Any) -> st.SearchStrategy[tuple[Any, Any]]:
    """Draw one of the layers that keep the shape of what they get."""
    return st.tuples(st.sampled_from(kinds), shapes(least))


CASES: dict[str, st.SearchStrategy[tuple[Any, Any]]] = {
    "Linear": linear(),
    "Embedding": embedding(),
    **{kind: windowed(kind) for kind in ("Conv", "Deconv", "MaxPool", "MeanPool")},
    "GlobalMeanPool": st.tuples(st.just(layers.GlobalMeanPool()), shapes(least=2)),
    "Flatten": st.tuples(st.just(layers.Flatten()), shapes()),
    "Reshape": reshape(),
    "Transpose": transpose(),
    "Ramp": simple(0, layers.Ramp(), layers.LeakyRamp(), layers.LeakyRamp(slope=-0.5)),
    "Smooth": simple(0, layers.Tanh(), layers.Sigmoid(), layers.Softplus()),
    "GELU": simple(0, layers.GELU(), layers.GELU(approximate=True)),
    "Elementwise": simple(
        0, layers.Elementwise(lambda x: x * x + 1), *map(layers.Elementwise, FUNCTIONS)
    ),
    "Softmax": simple(1, layers.Softmax(), layers.LogSoftmax()),
    "BatchNorm": simple(1, layers.BatchNorm(), layers.BatchNorm(momentum=0.5, epsilon=0.1)),
    "LayerNorm": simple(1, layers.LayerNorm(), layers.LayerNorm(epsilon=0.1)),
    "LocalResponseNorm": simple(
        1, layers.LocalResponseNorm(), layers.LocalResponseNorm(3, alpha=0.5, beta=0.5, k=1)
    ),
    "Dropout": simple(0, layers.Dropout(), layers.Dropout(rate=0.0)),
    "Augment": augment(),
    "Add": add(),
    "Multiply": multiply(),
    "Catenate": catenate(),
}
every_layer = pytest.mark.parametrize("kind", CASES)


def spread(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return numbers far enough from each other and from 0 for finite differences."""
    size = int(np.prod(shape))
    return ((random.permutation(size) + 0.4) / size * 4 - 2).reshape(shape).astype(dtype)


def batch_for(layer: Any, shape: Any, random: np.random.Generator, dtype: Any, n: int = 3) -> Any:
    """Return a batch of examples of the given shape that the layer takes."""
    if layer.input_count is None:
        return tuple(spread(random, (n, *one), dtype) for one in shape)
    if isinstance(layer, layers.Embedding):
        return random.integers(layer.count, size=(n, *shape))
    x = spread(random, (n, *shape), dtype)
    return abs(x) if getattr(layer, "function", None) in ("log", "sqrt") else x


def with_arrays(layer: Any, shape: Any, random: np.random.Generator, dtype: Any) -> Any:
    """Return the layer with random arrays of the shapes it asks for; variances are positive."""
    arrays = {
        name: spread(random, spec.shape, dtype) for name, spec in layer.array_specs(shape).items()
    }
    if "running_variance" in arrays:
        arrays["running_variance"] = abs(arrays["running_variance"])
    return layer.with_arrays_here(arrays)


def trainable(layer: Any) -> list[str]:
    return [name for name in layer.arrays_here if name not in layer.state_names]


def leaves(tensor: Any) -> set[Any]:
    """Return the ends of the graph that a Tensor was computed from."""
    found, stack = set(), [tensor.node]
    while stack:
        node = stack.pop()
        if not node.parents:
            found.add(node)
        stack.extend(parent for parent, _ in node.parents)
    return found


# --- what holds for every layer ---------------------------------------------------------


@every_layer
@given(data=st.data(), seed=seeds, n=st.integers(0, 3))
def test_output_has_the_shape_foretold_and_stays_float32(
    kind: str, data: st.DataObject, seed: int, n: int
) -> None:
    layer, shape = data.draw(CASES[kind])
    random = np.random.default_rng(seed)
    layer = with_arrays(layer, shape, random, np.float32)
    y = layer(batch_for(layer, shape, random, np.float32, n))
    assert y.shape == (n, *layer.output_shape(shape))
    assert type(y) is np.ndarray  # all is constant, so nothing is recorded
    assert y.dtype == np.float32
    assert set(layer.arrays_here) == set(layer.own_names()) == set(layer.array_specs(shape))


@every_layer
@given(data=st.data(), seed=seeds)
def test_gradients(kind: str, data: st.DataObject, seed: int) -> None:
    layer, shape = data.draw(CASES[kind])
    random = np.random.default_rng(seed)
    layer = with_arrays(layer, shape, random, np.float64)
    x, names = batch_for(layer, shape, random, np.float64), trainable(layer)
    inputs = x if isinstance(x, tuple) else () if x.dtype != np.float64 else (x,)

    def function(*values: Any) -> Any:
        new = dict(zip(names, values[len(inputs) :], strict=True))
        changed = layer.with_arrays_here({**layer.arrays_here, **new})
        if layer.input_count is None:
            return changed.apply(values[: len(inputs)])
        return changed.apply(values[0] if inputs else x)

    mn.check_grad(function, *inputs, *(layer.arrays_here[name] for name in names))


@every_layer
@given(data=st.data(), seed=seeds)
def test_only_what_is_a_tensor_is_differentiated(kind: str, data: st.DataObject, seed: int) -> None:
    layer, shape = data.draw(CASES[kind])
    random = np.random.default_rng(seed)
    layer = with_arrays(layer, shape, random, np.float32)
    x = batch_for(layer, shape, random, np.float32)
    for name in trainable(layer):
        leaf = mn.Tensor(layer.arrays_here[name])
        y = layer.with_arrays_here({**layer.arrays_here, name: leaf}).apply(x)
        assert leaves(y) == {leaf.node}
        (gradient,) = mn.autodiff.gradients(y, [leaf], np.ones_like(y.data))
        assert gradient.shape == leaf.shape
        assert gradient.dtype == np.float32


@every_layer
@given(data=st.data(), seed=seeds)
def test_layers_are_values(kind: str, data: st.DataObject, seed: int) -> None:
    bare, shape = data.draw(CASES[kind])
    random = np.random.default_rng(seed)
    layer = with_arrays(bare, shape, random, np.float32)
    assert not bare.arrays_here  # nothing happened to it
    for option in (*layer.options(), "name", "anything"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(layer, option, 1)
    for name, array in layer.arrays_here.items():
        assert not array.flags.writeable
        with pytest.raises(TypeError):
            layer.arrays_here[name] = array
    again = layer.with_arrays_here(layer.arrays_here)
    renamed = layer.renamed("other")
    for name, array in layer.arrays_here.items():
        assert again.arrays_here[name] is array
        assert renamed.arrays_here[name] is array
    assert (renamed.name, layer.name) == ("other", None)
    assert layer.renamed(None) is layer


@every_layer
@given(data=st.data())
def test_options_make_the_same_layer_again(kind: str, data: st.DataObject) -> None:
    layer, shape = data.draw(CASES[kind])
    again = type(layer)(**layer.options())
    assert again.options() == layer.options()
    assert again.output_shape(shape) == layer.output_shape(shape)
    if kind != "Elementwise":  # whose function may be without a name
        assert repr(eval(repr(layer), vars(layers))) == repr(layer)


def test_writable_arrays_are_copied_and_read_only_ones_kept() -> None:
    weight, bias = np.ones((2, 3)), np.zeros(3)
    bias.flags.writeable = False
    layer = layers.Linear(3).with_arrays_here({"weight": weight, "bias": bias})
    weight[:] = 7
    assert layer.arrays_here["weight"].max() == 1
    assert layer.arrays_here["bias"] is bias


def test_copies_and_pickles_are_read_only_too() -> None:
    layer = layers.Constant([1.0, 2.0], name="c")
    assert copy.copy(layer).arrays_here["array"] is layer.arrays_here["array"]
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert (again.name, again.arrays_here["array"].tolist()) == ("c", [1, 2])
        assert not again.arrays_here["array"].flags.writeable


def test_relu_is_ramp() -> None:
    assert layers.ReLU is layers.Ramp


def test_every_layer_is_tested_and_exported() -> None:
    kinds = [kind for kind in vars(layers).values() if isinstance(kind, type)]
    kinds = {kind.__name__ for kind in kinds if issubclass(kind, layers.Layer)} - {"Layer"}
    shared = {"LeakyRamp", "Tanh", "Sigmoid", "Softplus", "LogSoftmax"}  # "Ramp", "Smooth", ...
    assert kinds == set(CASES) - {"Smooth"} | shared | {"Constant"}
    assert kinds <= set(layers.__all__)
