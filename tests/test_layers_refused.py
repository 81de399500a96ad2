"""What layers refuse: options that can't be, inputs that don't fit, arrays that aren't there."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minnet as mn
from minnet import layers
from minnet.layers import Context

NAN, INF = float("nan"), float("inf")

BAD_OPTIONS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("Linear", (0,), {}, "size of a Linear must be a whole number of at least 1, got 0"),
    ("Linear", (-3,), {}, "at least 1, got -3"),
    ("Linear", (2.0,), {}, r"whole number .* got 2\.0"),
    ("Linear", (True,), {}, "whole number .* got True"),
    ("Linear", ("ten",), {}, "whole number .* got 'ten'"),
    ("Linear", (3,), {"bias": 0}, "bias must be True or False, got 0"),
    ("Linear", (3,), {"name": "a.b"}, "name is a non-empty string without dots"),
    ("Embedding", (0, 3), {}, "size of an Embedding"),
    ("Embedding", (3, 0), {}, "count of an Embedding"),
    ("Conv", (0, 3), {}, "channels must be a whole number"),
    ("Conv", (4, 0), {}, "window must be a whole number"),
    ("Conv", (4, (3, 0)), {}, "window must be a whole number"),
    ("Conv", (4, (3, 3, 3)), {}, "1 or 2 dimensions, got 3"),
    ("Conv", (4, ()), {}, "1 or 2 dimensions, got 0"),
    ("Conv", (4, 3), {"dimensions": 3}, "1 or 2 dimensions, got 3"),
    ("Conv", (4, 3), {"dimensions": True}, "1 or 2 dimensions, got True"),
    ("Conv", (4, 3), {"stride": 0}, "stride must be a whole number"),
    ("Conv", (4, 3), {"stride": (1, 1, 1)}, "stride must be one number or a tuple of 2"),
    ("Conv", (4, (3,)), {"stride": (1, 1)}, "stride must be one number or a tuple of 1"),
    ("Conv", (4, 3), {"dilation": 0}, "dilation must be a whole number"),
    ("Conv", (4, 3), {"padding": -1}, "padding must be a whole number of at least 0"),
    ("Conv", (4, 3), {"padding": "valid"}, "or \"same\", got 'valid'"),
    ("Conv", (4, 3), {"padding": None}, "padding must be a whole number"),
    ("Conv", (4, 3), {"padding": (1, 1, 1)}, "padding must be one number or a tuple of 2"),
    ("Conv", (4, 3), {"padding": ((1, 1),)}, "padding must have 2 pairs"),
    ("Conv", (4, 3), {"padding": ((1, 1, 1), (0, 0))}, "before, after"),
    ("Conv", (4, 3), {"padding": ((1, -1), (0, 0))}, "at least 0, got -1"),
    ("Conv", (4, 3), {"groups": 0}, "groups must be a whole number"),
    ("Conv", (4, 3), {"groups": 3}, "4 channels don't divide into 3 groups"),
    ("Conv", (4, 3), {"bias": "no"}, "bias must be True or False"),
    ("Deconv", (0, 3), {}, "channels must be a whole number"),
    ("Deconv", (4, (2, 2, 2)), {}, "1 or 2 dimensions"),
    ("Deconv", (4, 3), {"stride": -1}, "stride must be"),
    ("Deconv", (4, 3), {"padding": "full"}, "padding must be"),
    ("Deconv", (4, 3), {"bias": None}, "bias must be"),
    ("MaxPool", (0,), {}, "window must be"),
    ("MaxPool", (2,), {"stride": 0}, "stride must be"),
    ("MaxPool", (2,), {"padding": 2}, "smaller than the window"),
    ("MaxPool", ((3, 2),), {"padding": 2}, "smaller than the window"),
    ("MeanPool", ((3, 3),), {"padding": ((0, 3), (0, 0))}, "smaller than the window"),
    ("MeanPool", (2,), {"dimensions": 0}, "1 or 2 dimensions"),
    ("Reshape", (5,), {}, "shape must be a tuple of whole numbers"),
    ("Reshape", ((2, 0),), {}, "positive whole numbers and at most one -1"),
    ("Reshape", ((-1, -1),), {}, "at most one -1"),
    ("Reshape", ((2, -3),), {}, "positive whole numbers"),
    ("Reshape", ((2.0,),), {}, "tuple of whole numbers"),
    ("Transpose", ("ab",), {}, "tuple of whole numbers"),
    ("Transpose", ((0, 0),), {}, "each of 0 to 1 once"),
    ("Transpose", ((1, 2),), {}, "each of 0 to 1 once"),
    ("Transpose", ((0, -3),), {}, "each of 0 to 1 once"),
    ("LeakyRamp", (NAN,), {}, "slope must be a finite number"),
    ("LeakyRamp", ("steep",), {}, "slope must be a finite number"),
    ("GELU", ("tanh",), {}, "approximate must be True or False"),
    ("Elementwise", ("tahn",), {}, "'tahn': did you mean tanh"),
    ("Elementwise", ("qqqq",), {}, "did you mean absolute or exp"),
    ("Elementwise", ("matmul",), {}, "no elementwise function 'matmul'"),
    ("Elementwise", (3,), {}, "name of an op or a function, got 3"),
    ("BatchNorm", (1.5,), {}, "momentum must be a finite number at least 0 and at most 1, got 1.5"),
    ("BatchNorm", (-0.1,), {}, "momentum must be a finite number at least 0 and at most 1"),
    (
        "BatchNorm",
        (None,),
        {},
        "momentum must be a finite number at least 0 and at most 1, got N",
    ),
    ("BatchNorm", (), {"epsilon": 0}, "epsilon must be a finite number above 0"),
    ("LayerNorm", (-1e-5,), {}, "epsilon must be a finite number above 0"),
    ("LayerNorm", (INF,), {}, "epsilon must be a finite number above 0"),
    ("LocalResponseNorm", (0,), {}, "size of a LocalResponseNorm"),
    ("LocalResponseNorm", (5,), {"alpha": -1}, "alpha must be"),
    ("LocalResponseNorm", (5,), {"beta": NAN}, "beta must be"),
    ("LocalResponseNorm", (5,), {"k": 0}, "k must be a finite number above 0"),
    ("Dropout", (1,), {}, "at least 0 and below 1, got 1"),
    ("Dropout", (-0.5,), {}, "at least 0 and below 1"),
    ("Dropout", (True,), {}, "at least 0 and below 1, got True"),
    ("Augment", (-1,), {}, "shift of Augment must be a whole number of at least 0"),
    ("Augment", (0,), {"flip": 1}, "flip must be True or False"),
    ("Augment", (0,), {"crop": (3, 3, 3)}, "crop of Augment must be one number or a tuple of 2"),
    ("Augment", (0,), {"crop": 0}, "crop of Augment"),
    ("Catenate", (1.0,), {}, "axis of Catenate must be a whole number"),
    ("Catenate", (True,), {}, "axis of Catenate"),
    ("Constant", ("words",), {}, "must be an array of numbers, got str"),
    ("Constant", ([[1, 2], [3]],), {}, "must be an array of numbers, got list"),
    ("Constant", (np.array([None]),), {}, "array of numbers, got ndarray of object"),
    ("Constant", ([1j],), {}, "array of numbers"),
    ("Constant", ([NAN],), {}, "NaN"),
    ("Constant", ([1e300],), {}, "float32"),
]

BAD_SHAPES: list[tuple[Any, Any, str]] = [
    (layers.Linear(3), (), "at least one axis per example"),
    (layers.Conv(4, 3), (8, 3), r"\(height, width, channels\), got \(8, 3\)"),
    (layers.Conv(4, (3,)), (8, 8, 3), r"\(length, channels\), got \(8, 8, 3\)"),
    (layers.Conv(4, 3, groups=2), (8, 8, 3), "groups=2 expects channels that divide by it, got 3"),
    (layers.Conv(4, 9), (8, 8, 3), "window"),
    (layers.Conv(4, 5, dilation=2), (8, 8, 3), "window"),
    (layers.Deconv(4, 3), (8,), r"\(height, width, channels\), got \(8,\)"),
    (layers.Deconv(4, 3, padding=2), (1, 1, 3), "padding"),
    (layers.MaxPool(3), (2, 8, 3), "window"),
    (layers.MaxPool(2), (8,), "MaxPool of 2 dimensions expects"),
    (layers.MeanPool((2,)), (8,), r"MeanPool of 1 dimension expects .*\(length, channels\)"),
    (layers.GlobalMeanPool(), (8,), r"at least two axes, \(..., channels\), got \(8,\)"),
    (layers.Reshape((2, 3)), (7,), r"Reshape to \(2, 3\) doesn't fit examples of 7"),
    (layers.Reshape((2, -1)), (7,), "doesn't fit examples of 7"),
    (layers.Transpose((1, 0)), (2, 3, 4), r"expects examples of 2 axes, got the shape \(2, 3, 4\)"),
    (layers.Softmax(), (), r"\(..., classes\), got \(\)"),
    (layers.LogSoftmax(), (3, 0), r"\(..., classes\), got \(3, 0\)"),
    (layers.BatchNorm(), (), r"\(..., channels\), got single numbers"),
    (layers.LayerNorm(), (), "channels"),
    (layers.LocalResponseNorm(), (), "channels"),
    (layers.Augment(), (28, 28), r"\(height, width, channels\), got \(28, 28\)"),
    (layers.Augment(crop=(4, 9)), (8, 8, 3), r"can't crop \(4, 9\) out of a smaller image"),
    (layers.Add(), ((3,), (4,)), r"equal shapes, got \(3,\), \(4,\)"),
    (layers.Add(), ((3,), (3, 3)), "equal shapes"),
    (layers.Add(), ((3,), (1,)), "equal shapes"),
    (layers.Multiply(), ((3, 2), (4, 2)), r"an axis of length 1 fits any, got \(3, 2\), \(4, 2\)"),
    (layers.Multiply(), ((2,), (2, 2)), "equal shapes"),
    (layers.Catenate(), ((3, 2), (4, 2)), r"only differ along axis -1, got \(3, 2\), \(4, 2\)"),
    (layers.Catenate(0), ((3, 2), (4,)), "only differ along axis 0"),
    (layers.Catenate(2), ((3, 2), (3, 2)), "along axis 2 expects it"),
]


@pytest.mark.parametrize(("kind", "args", "options", "message"), BAD_OPTIONS)
def test_bad_options(
    kind: str, args: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(mn.SpecError, match=message):
        getattr(layers, kind)(*args, **options)


@pytest.mark.parametrize(("layer", "shape", "message"), BAD_SHAPES, ids=repr)
def test_bad_shapes(layer: Any, shape: Any, message: str) -> None:
    """The same error from the shape, in inference and from the arrays it would need."""
    with pytest.raises(mn.ShapeError, match=message):
        layer.output_shape(shape)
    if layer.array_names:
        with pytest.raises(mn.ShapeError, match=message):
            layer.array_specs(shape)
        fake = {name: np.ones((3, 3)) for name in layer.own_names()}
        layer = layer.with_arrays_here(fake)
    several = layer.input_count is None
    x = tuple(np.ones((2, *one)) for one in shape) if several else np.ones((2, *shape))
    with pytest.raises(mn.ShapeError, match=message):
        layer.apply(x)


def arrays_for(layer: Any, shape: Any) -> Any:
    specs = layer.array_specs(shape)
    return layer.with_arrays_here({name: np.ones(spec.shape) for name, spec in specs.items()})


@pytest.mark.parametrize(
    ("layer", "shape", "other"),
    [
        (layers.Linear(2), (3,), (4,)),
        (layers.Conv(2, 3), (5, 5, 3), (5, 5, 1)),
        (layers.Conv(2, 3, groups=2), (5, 5, 4), (5, 5, 6)),
        (layers.Deconv(2, 3), (5, 5, 3), (5, 5, 1)),
        (layers.BatchNorm(), (4, 3), (3, 4)),
        (layers.LayerNorm(), (4, 3), (3, 4)),
    ],
)
def test_inputs_that_do_not_fit_the_arrays(layer: Any, shape: Any, other: Any) -> None:
    layer = arrays_for(layer, shape)
    assert layer(np.ones((2, *shape))).shape == (2, *layer.output_shape(shape))
    expected = layer.arrays_here[layer.own_names()[0]].shape
    message = f"has shape {expected}, but an input of shape {other} needs"
    with pytest.raises(mn.ShapeError, match=re.escape(message)):
        layer(np.ones((2, *other)))


def test_an_image_that_was_not_flattened() -> None:
    layer = arrays_for(layers.Linear(10), (12,))
    with pytest.raises(mn.ShapeError, match=r"got an input of shape \(3, 4, 1\): put Flatten\(\)"):
        layer(np.ones((2, 3, 4, 1)))


def test_arrays_of_the_wrong_shape() -> None:
    layer = layers.Linear(2).with_arrays_here({"weight": np.ones((3, 2)), "bias": np.ones(5)})
    with pytest.raises(mn.ShapeError, match=r"its bias has shape \(5,\).*needs \(2,\)"):
        layer(np.ones((1, 3)))
    table = layers.Embedding(2, count=3).with_arrays_here({"weight": np.ones((9, 2))})
    with pytest.raises(mn.ShapeError, match=r"\(9, 2\)"):
        table(np.zeros((1, 3), int))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Linear(2), (3,)),
        (layers.Conv(2, 3), (5, 5, 3)),
        (layers.Deconv(2, 3), (5, 5, 3)),
        (layers.BatchNorm(), (3,)),
        (layers.LayerNorm(), (3,)),
    ],
)
def test_arrays_that_are_missing(layer: Any, shape: Any) -> None:
    for missing in layer.own_names():
        full = arrays_for(layer, shape)
        rest = {name: array for name, array in full.arrays_here.items() if name != missing}
        with pytest.raises(mn.SpecError, match=f"has no {missing} yet: initialize"):
            layer.with_arrays_here(rest).apply(np.ones((2, *shape)))


def test_arrays_that_a_layer_does_not_have() -> None:
    with pytest.raises(mn.PathError, match="no array 'kernel': it has weight, bias"):
        layers.Linear(2).with_arrays_here({"kernel": np.ones((3, 2))})
    with pytest.raises(mn.PathError, match="no array 'bias': it has weight"):
        layers.Linear(2, bias=False).with_arrays_here({"bias": np.ones(2)})
    with pytest.raises(mn.PathError, match="it has none"):
        layers.Tanh().with_arrays_here({"weight": np.ones(2)})


def test_a_size_that_is_not_known() -> None:
    for question in (layers.Linear().output_shape, layers.Linear().array_specs):
        with pytest.raises(mn.SpecError, match=r"inferred from the decoder .* Linear\(10\)"):
            question((3,))
    for question in (layers.Constant().output_shape, layers.Constant().array_specs):
        with pytest.raises(mn.SpecError, match="Constant has no array yet"):
            question()
    with pytest.raises(mn.SpecError, match="Constant has no array yet"):
        layers.Constant()(None)


@pytest.mark.parametrize("kind", [layers.Add, layers.Multiply, layers.Catenate])
def test_combining_refuses_what_is_not_several_inputs(kind: Any) -> None:
    with pytest.raises(mn.ShapeError, match=r"expects a tuple of inputs, got one of shape \(2, 3"):
        kind()(np.ones((2, 3)))
    with pytest.raises(mn.ShapeError, match="tuple of one or more inputs"):
        kind()(())
    with pytest.raises(mn.ShapeError, match=r"tuple of one or more inputs, got \(4, 3\)"):
        kind().output_shape((4, 3))
    with pytest.raises(mn.ShapeError, match=r"equally many examples, got \(2, 3\), \(4, 3\)"):
        kind()((np.ones((2, 3)), np.ones((4, 3))))


@pytest.mark.parametrize("x", [[[1.0, 2.0]], 3.0, None, np.array(3.0), mn.Tensor(3.0)])
def test_what_is_no_batch(x: Any) -> None:
    for layer in (layers.Tanh(), layers.Flatten()):
        with pytest.raises(mn.ShapeError, match="takes a batch, an array whose first axis"):
            layer(x)


def test_an_elementwise_function_that_changes_the_shape() -> None:
    with pytest.raises(mn.ShapeError, match=r"keep the shape \(2, 3\).*made it \(3,\)"):
        layers.Elementwise(lambda x: x[0])(np.ones((2, 3)))
    with pytest.raises(mn.ShapeError, match="made it float"):
        layers.Elementwise(lambda x: 1.0)(np.ones((2, 3)))


def test_augment_refuses_what_layers_computed() -> None:
    with pytest.raises(mn.SpecError, match="put it before them, first in the net"):
        layers.Augment(1).apply(mn.Tensor(np.ones((1, 4, 4, 1))), Context(np.random.default_rng(0)))


@pytest.mark.host
@pytest.mark.parametrize("x", [[[0.5]], [[3]], [[-1]], [[True]]])
def test_embedding_refuses_what_has_no_row(x: Any) -> None:
    layer = layers.Embedding(2, count=3).with_arrays_here({"weight": np.ones((3, 2))})
    with pytest.raises(mn.DataError):
        layer(np.array(x))
