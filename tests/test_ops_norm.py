"""Normalization against its equations, and the gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import Case, Refused, op_tests, positive, same, seeds

import minnet as mn
from minnet import threads
from minnet.ops import channels, norm
from minnet.threads import sharing


def shapes(vectors, least_rows=0):
    """Draw an input (..., C) and so many vectors (C,), and an epsilon that is felt."""

    def case(lead, channels, epsilon):
        return Case((((*lead, channels),) + ((channels,),) * vectors), {"epsilon": epsilon})

    lead = st.lists(st.integers(least_rows, 4), min_size=1, max_size=3).map(tuple)
    return st.builds(case, lead, st.integers(1, 4), st.sampled_from([0.1, 1.0]))


def reference_batch_norm(x, scale, shift, epsilon):
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        values = x[..., c]
        spread = math.sqrt(((values - values.mean()) ** 2).mean() + epsilon)
        y[..., c] = scale[c] * (values - values.mean()) / spread + shift[c]
    return y


def reference_layer_norm(x, scale, shift, epsilon):
    y = np.empty_like(x)
    for i in np.ndindex(x.shape[:-1]):
        spread = math.sqrt(((x[i] - x[i].mean()) ** 2).mean() + epsilon)
        y[i] = scale * (x[i] - x[i].mean()) / spread + shift
    return y


def reference_local_response_norm(x, size, alpha, beta, k):
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        near = x[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        y[..., c] = x[..., c] / (k + alpha * (near**2).sum(-1)) ** beta
    return y


def only_y(x, scale, shift, epsilon=1e-5):
    return mn.ops.batch_norm(x, scale, shift, epsilon)[0]


def normalize_by(x, scale, shift, epsilon=1e-5):
    mean, variance = np.linspace(-1, 1, 4), np.linspace(0.5, 2, 4)
    channels = x.shape[-1]
    known = (each[:channels].astype(x.dtype) for each in (mean, variance))
    return mn.ops.normalize(x, *known, scale, shift, epsilon)


def reference_normalize(x, scale, shift, epsilon):
    channels = x.shape[-1]
    mean, variance = np.linspace(-1, 1, 4)[:channels], np.linspace(0.5, 2, 4)[:channels]
    return scale * (x - mean) / np.sqrt(variance + epsilon) + shift


X, ONE = np.ones((2, 5, 3)), np.ones(3)
bad = [
    Refused((X, ONE[:2], ONE), mn.ShapeError, r"shape \(3,\), one number for .* got \(2,\)"),
    Refused((X, ONE, X), mn.ShapeError, r"shape \(3,\), one number for .* got \(2, 5, 3\)"),
    Refused((X[0, 0, 0], ONE, ONE), mn.ShapeError, r"shape \(..., C\), got \(\)"),
    Refused((X, ONE, ONE), mn.SpecError, "epsilon must be .* at least 0", {"epsilon": -1}),
    Refused((X, ONE, ONE), mn.SpecError, "epsilon must be a finite number", {"epsilon": "small"}),
    Refused((X.astype("complex"), ONE, ONE), mn.DataError, "real numbers, got one of dtype comp"),
]
nothing = Refused((X[:, :0], ONE, ONE), mn.DataError, r"mean of nothing.* \(2, 0, 3\)")
narrow = Refused((X[..., :0], ONE[:0], ONE[:0]), mn.DataError, r"mean of nothing.* \(2, 5, 0\)")

TestBatchNorm = op_tests(
    only_y, reference_batch_norm, cases=shapes(2, least_rows=1), refused=[*bad, nothing]
)
TestLayerNorm = op_tests(
    mn.ops.layer_norm, reference_layer_norm, cases=shapes(2), refused=[*bad, narrow]
)
TestNormalize = op_tests(
    normalize_by, reference_normalize, cases=shapes(2), refused=bad[:2] + bad[3:]
)
TestLocalResponseNorm = op_tests(
    mn.ops.local_response_norm,
    reference_local_response_norm,
    cases=st.builds(
        lambda lead, channels, **options: Case(((*lead, channels),), options),
        st.lists(st.integers(0, 3), max_size=2).map(tuple),
        st.integers(0, 6),
        size=st.integers(1, 7),
        alpha=st.sampled_from([0.0, 1e-4, 0.5]),
        beta=st.sampled_from([0.0, 0.5, 0.75, 2.0]),
        k=st.sampled_from([0.5, 2.0]),
    ),
    refused=[
        Refused((X[0, 0, 0],), mn.ShapeError, r"shape \(..., C\), got \(\)"),
        Refused((X, 0), mn.SpecError, "size must be .* at least 1"),
        Refused((X, 2.5), mn.SpecError, "size must be .* got 2.5"),
        Refused((X,), mn.SpecError, "k must be a finite number above 0, got 0", {"k": 0}),
        Refused((X,), mn.SpecError, "alpha must be .* at least 0", {"alpha": -1}),
        Refused((X,), mn.SpecError, "beta must be a finite number", {"beta": math.nan}),
    ],
)


@given(shapes(2, least_rows=1), seeds)
def test_normalize_with_the_statistics_of_the_batch_is_batch_norm(case, seed):
    random = np.random.default_rng(seed)
    x, scale, shift = (random.normal(size=shape) for shape in case.shapes)
    y, mean, variance = mn.ops.batch_norm(x, scale, shift, **case.options)
    axes = tuple(range(x.ndim - 1))
    same(mean, x.mean(axes))
    same(variance, x.var(axes))
    same(mn.ops.normalize(x, mean, variance, scale, shift, **case.options), y)


def test_statistics_of_a_tensor_are_plain_arrays():
    y, mean, variance = mn.ops.batch_norm(mn.Tensor(X), ONE, ONE)
    assert isinstance(y, mn.Tensor)
    assert type(mean) is type(variance) is np.ndarray


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm"])
def test_a_large_mean_costs_little_precision_in_float32(name):
    random = np.random.default_rng(0)
    x = random.normal(1000, 1, (64, 8)).astype("float32")
    one, zero = np.ones(8, "float32"), np.zeros(8, "float32")
    y, exact = (getattr(mn.ops, name)(a, one, zero) for a in (x, x.astype("float64")))
    if name == "batch_norm":
        y, exact = y[0], exact[0]
    assert y.dtype == np.float32
    same(y, exact, 1e-3)


def test_a_constant_channel_becomes_the_shift():
    y, _, variance = mn.ops.batch_norm(np.full((5, 1), 3.0), np.ones(1), np.full(1, 7.0))
    assert variance == 0
    assert (y == 7).all()


def test_whole_numbers_are_normalized_in_float32():
    x = np.arange(12).reshape(4, 3)
    one = np.ones(3, "float32")
    assert mn.ops.batch_norm(x, one, one)[0].dtype == np.float32
    assert mn.ops.layer_norm(x, one, one).dtype == np.float32
    assert mn.ops.normalize(x, one, one, one, one).dtype == np.float32
    assert mn.ops.local_response_norm(x).dtype == np.float32


def test_alexnet_constants_are_the_defaults():
    x = positive(np.random.default_rng(0), (2, 3, 9), 0)
    expected = reference_local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=2)
    same(mn.ops.local_response_norm(x), expected)


@pytest.mark.host
def test_a_frozen_norm_keeps_only_what_the_others_need():
    y, *_ = mn.ops.batch_norm(X, ONE, mn.Tensor(ONE))
    ((_, back),) = y.node.parents
    assert getattr(back, "__closure__", None) is None  # the shift's gradient needs no array


# --- in long rows -------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([1, 7, channels.TILE]),
    st.integers(1, 3),
    seeds,
)
def test_long_rows_give_what_the_plain_way_gives(lead, width, dtype, tile, number, seed):
    random = np.random.default_rng(seed)
    x, g = (random.normal(3, 2, (*lead, width)).astype(dtype) for _ in range(2))
    scale, shift = (random.normal(size=width).astype(dtype) for _ in range(2))
    inputs = tuple(map(mn.Tensor, (x, scale, shift)))

    def found(op):
        y = op(*inputs)
        return [y.data, *mn.gradients(y, inputs, g)]

    for op in (only_y, normalize_by):
        with pytest.MonkeyPatch.context() as patch, sharing(number):
            patch.setattr(channels, "TILE", tile)
            patch.setattr(channels, "ROW", tile)
            patch.setattr(threads, "LEAST", 1e-9)
            results = found(lambda *given, op=op: op(*given, epsilon=0.1))
            patch.setattr(norm, "_are_alike", lambda *arrays: False)
            expected = found(lambda *given, op=op: op(*given, epsilon=0.1))
        for one, other in zip(results, expected, strict=True):
            assert one.dtype == other.dtype
            same(one, other, 1e-10 if dtype == "float64" else 1e-3)


@given(st.integers(1, 5000), st.integers(1, 300))
def test_rows_hold_all_positions_in_equal_numbers(positions, width):
    together = channels.in_a_row(positions, width)
    assert positions % together == 0
    assert together * width <= channels.ROW or together == 1
    more = [n for n in range(together + 1, positions + 1) if positions % n == 0]
    assert all(n * width > channels.ROW for n in more)
