"""What each kind of layer does of its own: values, statistics, randomness, fans, repr."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minnet as mn
from minnet import layers
from minnet.layers import Context

sizes = st.integers(1, 5)


def context(seed: int = 0, path: tuple[str | int, ...] = ("norm",)) -> Context:
    return Context(np.random.default_rng(seed), path)


def test_a_shape_that_fits_some_arrays_is_checked_again_for_others() -> None:
    layer = mn.Linear(2).with_arrays_here({"weight": np.ones((3, 2)), "bias": np.ones(2)})
    for _ in range(2):
        assert layer(np.ones((4, 3))).shape == (4, 2)
        with pytest.raises(mn.ShapeError, match="needs"):
            layer(np.ones((4, 5)))
    other = layer.with_arrays_here({"weight": np.ones((5, 2)), "bias": np.ones(2)})
    for _ in range(2):
        with pytest.raises(mn.ShapeError, match="needs"):
            other(np.ones((4, 3)))
        assert other(np.ones((4, 5))).shape == (4, 2)
    assert layer(np.ones((4, 3))).shape == (4, 2)


def batch_norm(channels: int, options: Any = (), dtype: Any = np.float64, **trained: Any) -> Any:
    """Return a BatchNorm with fresh arrays, those in `trained` instead of its own."""
    layer = layers.BatchNorm(**dict(options))
    make = {"ones": np.ones, "zeros": np.zeros}
    specs = layer.array_specs((channels,))
    arrays = {name: make[spec.initial](spec.shape, dtype) for name, spec in specs.items()}
    return layer.with_arrays_here(arrays | trained)


# --- values -----------------------------------------------------------------------------


def test_linear_acts_on_the_last_axis() -> None:
    random = np.random.default_rng(0)
    x, weight, bias = random.normal(size=(2, 5, 3)), random.normal(size=(3, 4)), np.arange(4.0)
    layer = layers.Linear(4).with_arrays_here({"weight": weight, "bias": bias})
    np.testing.assert_allclose(layer(x), x @ weight + bias)
    without = layer.with_options(bias=False)
    np.testing.assert_allclose(without(x), x @ weight)
    assert set(without.arrays_here) == {"weight"}
    assert without.arrays_here["weight"] is layer.arrays_here["weight"]


def test_conv_in_one_dimension_and_its_window_as_a_tuple() -> None:
    assert layers.Conv(8, (3,)).options() == layers.Conv(8, 3, dimensions=1).options()
    assert layers.Conv(8, (3, 3)).options() == layers.Conv(8, 3).options()
    assert layers.Conv(8, [3, 2]).window == (3, 2)
    assert layers.Conv(8, 3, padding=((1, 1), (2, 2))).padding == (1, 2)
    assert layers.Conv(8, 3, padding=[[0, 1], 2]).padding == ((0, 1), (2, 2))
    assert layers.Conv(8, 3, padding=[[1, 1], [1, 1]]).padding == 1
    assert layers.MaxPool(np.int64(2)).options() == {"window": 2}


def test_fans() -> None:
    specs = layers.Linear(7).array_specs((5, 3))
    assert (specs["weight"].fan_in, specs["weight"].fan_out) == (3, 7)
    specs = layers.Conv(12, (3, 5), groups=2).array_specs((9, 9, 4))
    assert specs["weight"].shape == (3, 5, 2, 12)
    assert (specs["weight"].fan_in, specs["weight"].fan_out) == (3 * 5 * 2, 3 * 5 * 6)
    specs = layers.Deconv(6, (4,), stride=2).array_specs((9, 3))
    assert specs["weight"].shape == (4, 3, 6)
    assert (specs["weight"].fan_in, specs["weight"].fan_out) == (4 // 2 * 3, 4 * 6)
    assert specs["bias"].initial == "zeros"
    specs = layers.Embedding(6, count=10).array_specs(())
    assert (specs["weight"].fan_in, specs["weight"].fan_out) == (1, 6)
    assert {n: s.initial for n, s in layers.BatchNorm().array_specs((3,)).items()} == {
        "scale": "ones",
        "shift": "zeros",
        "running_mean": "zeros",
        "running_variance": "ones",
    }


@given(window=sizes, stride=sizes, channels=sizes, places=sizes)
def test_a_deconv_fan_in_counts_what_goes_into_an_output(
    window: int, stride: int, channels: int, places: int
) -> None:
    """Where windows overlap evenly, exactly `fan_in` products make up an output in the middle."""
    window *= stride
    layer = layers.Deconv(1, (window,), stride=stride, bias=False)
    spec = layer.array_specs((9, channels))["weight"]
    y = layer.with_arrays_here({"weight": np.ones(spec.shape)})(np.ones((1, 9, channels)))
    assert y.max() == spec.fan_in


def test_pools_move_by_their_window_unless_told() -> None:
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    np.testing.assert_array_equal(layers.MaxPool((3, 2))(x)[0, ..., 0], [[9, 11]])
    np.testing.assert_array_equal(layers.MeanPool((3, 2))(x)[0, ..., 0], [[4.5, 6.5]])
    assert layers.MaxPool((3, 2), stride=1)(x)[0, 0, :, 0].tolist() == [9, 10, 11]


def test_elementwise_takes_names_and_functions() -> None:
    x = np.array([[-1.0, 2.0]])
    np.testing.assert_array_equal(layers.Elementwise("tanh")(x), np.tanh(x))
    np.testing.assert_array_equal(layers.Elementwise(abs)(x), abs(x))
    assert repr(layers.Elementwise("tanh")) == "Elementwise(function='tanh')"
    assert repr(layers.Elementwise(abs)) == "Elementwise(function=abs)"


def test_repr_names_what_would_not_be_understood() -> None:
    assert repr(layers.Linear(10, bias=False)) == "Linear(10, bias=False)"
    assert repr(layers.Conv(20, (5, 3), padding="same")) == "Conv(20, (5, 3), padding='same')"
    assert repr(layers.Tanh(name="t", multiplier=None)) == "Tanh(name='t', multiplier=None)"


# --- BatchNorm --------------------------------------------------------------------------


@given(seed=st.integers(0, 999), n=st.integers(2, 5), more=st.lists(sizes, max_size=2))
def test_batch_norm_in_training(seed: int, n: int, more: list[int]) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(3, 2, size=(n, *more, 2))
    layer = batch_norm(2, {"momentum": 0.25}, scale=mn.Tensor(np.array([2.0, 3.0])))
    here = context()
    y = layer.apply(x, here).data
    axes = tuple(range(x.ndim - 1))
    variance = x.var(axes)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-9)
    np.testing.assert_allclose(y.var(axes), np.array([4, 9]) * variance / (variance + 1e-5))
    assert set(here.updates) == {("norm", "running_mean"), ("norm", "running_variance")}
    np.testing.assert_allclose(here.updates["norm", "running_mean"], 0.25 * x.mean(axes))
    np.testing.assert_allclose(
        here.updates["norm", "running_variance"], 0.75 + 0.25 * x.var(axes, ddof=1)
    )
    assert layer.arrays_here["running_mean"].max() == 0  # the layer itself is as it was


@pytest.mark.parametrize("name", ["scale", "shift"])
def test_batch_norm_with_either_array_trained_uses_the_batch(name: str) -> None:
    here = context(path=())
    layer = batch_norm(1, dtype=np.float32, **{name: mn.Tensor(np.ones(1, np.float32))})
    layer.apply(np.array([[1.0], [3.0]]), here)  # a float64 input leaves the statistics float32
    assert here.updates["running_mean",] == np.float32(0.2)
    assert here.updates["running_mean",].dtype == here.updates["running_variance",].dtype
    assert type(here.updates["running_mean",]) is np.ndarray
    assert here.updates["running_variance",].dtype == np.float32


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_without_trained_arrays_uses_the_running_statistics(training: bool) -> None:
    here = context()
    running = {"running_mean": np.array([5.0]), "running_variance": np.array([4.0])}
    layer = batch_norm(1, {"epsilon": 1e-12}, **running)
    trained = layer.with_arrays_here({**layer.arrays_here, "scale": mn.Tensor(np.ones(1))})
    x = np.array([[5.0], [9.0], [1.0]])
    # Frozen it is the same in training; trainable it is the same in inference.
    y = layer.apply(x, here) if training else trained.apply(x).data
    np.testing.assert_allclose(y, [[0], [2], [-2]])
    assert not here.updates
    # A gradient passing through to layers below doesn't make it use the batch either.
    y = layer.apply(mn.Tensor(x), here)
    np.testing.assert_allclose(y.data, [[0], [2], [-2]])
    assert not here.updates


@given(seed=st.integers(0, 999), shape=st.lists(sizes, max_size=2))
def test_batch_norm_gradients_in_training(seed: int, shape: list[int]) -> None:
    random = np.random.default_rng(seed)

    def function(x: Any, scale: Any, shift: Any) -> Any:
        given = scale if isinstance(scale, mn.Tensor) else mn.Tensor(scale)
        return batch_norm(2, scale=given, shift=shift).apply(x, context())

    x = random.normal(size=(4, *shape, 2))
    mn.check_grad(function, x, random.normal(size=2), random.normal(size=2))


@pytest.mark.parametrize("shape", [(1, 2), (1, 1, 1, 2)])
def test_batch_norm_cannot_train_on_one_value(shape: tuple[int, ...]) -> None:
    layer = batch_norm(2, scale=mn.Tensor(np.ones(2)))
    with pytest.raises(mn.ShapeError, match="more than one value per channel"):
        layer.apply(np.ones(shape), context())
    assert layer(np.ones(shape)).shape == shape


# --- Dropout and Augment ------------------------------------------------------------------


@given(rate=st.floats(0, 0.9), seed=st.integers(0, 999))
@example(rate=0.5, seed=0)
def test_dropout(rate: float, seed: int) -> None:
    layer, x = layers.Dropout(rate), np.ones((40, 50))
    assert layer.is_random
    assert layer(x) is x
    y = layer.apply(x, context(seed))
    np.testing.assert_array_equal(y, layer.apply(x, context(seed)))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 6 * np.sqrt(0.25 / x.size)


def test_dropout_passes_gradients_only_through_what_is_kept() -> None:
    mn.check_grad(lambda x: layers.Dropout(0.5).apply(x, context()), np.ones((4, 5)))


@given(data=st.data(), shift=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 999))
def test_augment_shifts_flips_and_crops(
    data: st.DataObject, shift: int, flip: bool, seed: int
) -> None:
    height, width = data.draw(sizes), data.draw(sizes)
    crop = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    layer = layers.Augment(shift, flip=flip, crop=crop)
    images = np.random.default_rng(seed).normal(size=(6, height, width, 2))
    made = layer.apply(images, context(seed))
    np.testing.assert_array_equal(made, layer.apply(images, context(seed)))
    assert made.shape == (6, *layer.output_shape(images.shape[1:])) == layer(images).shape
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    for before, after in zip(padded, made, strict=True):
        mirrored = [before, before[:, ::-1]] if flip else [before]
        parts = [
            one[i : i + crop[0], j : j + crop[1]]
            for one in mirrored
            for i in range(before.shape[0] - crop[0] + 1)
            for j in range(before.shape[1] - crop[1] + 1)
        ]
        assert any(np.array_equal(after, part) for part in parts)


def test_augment_moves_each_image_by_itself() -> None:
    images = np.repeat(np.arange(64.0).reshape(1, 8, 8, 1), 50, axis=0)
    for options in ({"shift": 2}, {"flip": True}, {"crop": 6}):
        made = layers.Augment(**options).apply(images, context())
        assert len(np.unique(made, axis=0)) > 1, options


def test_augment_in_inference() -> None:
    image = np.arange(30.0).reshape(1, 5, 6, 1)
    assert layers.Augment(2, flip=True)(image) is image
    cropped = layers.Augment(2, flip=True, crop=(3, 2))(image)
    np.testing.assert_array_equal(cropped, image[:, 1:4, 2:4])
    mn.check_grad(layers.Augment(crop=(3, 2)), image)
    assert layers.Augment().is_random


# --- several inputs and none ----------------------------------------------------------------


def test_combining_values() -> None:
    a, b, c = (np.random.default_rng(i).normal(size=(3, 2, 4)) for i in range(3))
    np.testing.assert_allclose(layers.Add()((a, b, c)), a + b + c)
    np.testing.assert_allclose(layers.Multiply()((a, b, c)), a * b * c)
    np.testing.assert_array_equal(layers.Catenate()((a, b, c)), np.concatenate([a, b, c], 2))
    np.testing.assert_array_equal(layers.Catenate(0)([a, b]), np.concatenate([a, b], 1))
    np.testing.assert_array_equal(layers.Add()((a,)), a)


@pytest.mark.parametrize("kind", [layers.Add, layers.Multiply, layers.Catenate])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_constant_fits_every_example(kind: Any, n: int) -> None:
    constant = layers.Constant([2.0, 3.0])
    x = mn.Tensor(np.ones((n, 2), np.float32))
    y = kind()((constant(None), x))
    assert y.shape == (n, *kind().output_shape((constant.output_shape(), (2,))))
    assert y.dtype == np.float32
    (gradient,) = mn.autodiff.gradients(y, [x], np.ones(y.shape, np.float32))
    expected = np.tile([2, 3], (n, 1)) if kind is layers.Multiply else np.ones((n, 2))
    np.testing.assert_array_equal(gradient, expected)


def test_constant() -> None:
    given = np.arange(6.0).reshape(2, 3)
    constant = layers.Constant(given, name="mean", multiplier=2.0)
    array = constant.arrays_here["array"]
    given[:] = 0
    assert (array.shape, array.dtype, array.max()) == ((2, 3), np.float32, 5)
    assert not array.flags.writeable
    assert constant.apply(None, context()).shape == (1, 2, 3)
    assert np.shares_memory(constant(None), array)
    assert constant.output_shape() == constant.array_specs()["array"].shape == (2, 3)
    assert constant.options() == {"name": "mean", "multiplier": 2.0}
    assert repr(constant) == "Constant(name='mean', multiplier=2.0)"
    assert constant.own_names() == constant.state_names == constant.constant_names
    assert (constant.input_count, constant.is_random) == (0, False)
    assert constant.renamed("other").arrays_here["array"] is array
    assert layers.Constant([[1, -np.inf]])(None).min() == -np.inf
    double = layers.Constant().with_arrays_here({"array": np.ones(3)})
    assert double(None).dtype == np.float64
