"""Convolution and its transpose against plain loops, and their gradients."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import Case, Refused, op_tests
from window_references import reference_conv, reference_deconv, windows

import minnet as mn


def normal(seed, *shape):
    """Return normally distributed numbers, the same for the same seed."""
    return np.random.default_rng(seed).normal(size=shape)


@st.composite
def convolutions(draw):
    """Draw the shapes of input, weight and perhaps bias, and the options of a convolution."""
    sizes, window, options = draw(windows())
    groups = draw(st.integers(1, 3))
    # From 4 on, what lies side by side in a window is copied in other runs than below.
    per_group = draw(st.sampled_from([1, 2, 13]))
    outputs = groups * draw(st.integers(1, 2))
    x = (draw(st.integers(0, 2)), *sizes, per_group * groups)
    bias = draw(st.sampled_from([(), ((outputs,),)]))
    return Case((x, (*window, per_group, outputs), *bias), options | {"groups": groups})


@st.composite
def deconvolutions(draw):
    """Draw the shapes of input, weight and perhaps bias, and the options of a deconvolution."""
    sizes, window, options = draw(windows(dilated=False))
    padding = draw(st.sampled_from(["same", 0, 1, ((1, 0),) * len(sizes)]))
    if padding not in ("same", 0):  # leave something
        sizes = tuple(max(n, 4 - min(k, 3)) for n, k in zip(sizes, window, strict=True))
    channels, outputs = draw(st.sampled_from([1, 3, 13])), draw(st.integers(1, 3))
    bias = draw(st.sampled_from([(), ((outputs,),)]))
    shapes = ((draw(st.integers(0, 2)), *sizes, channels), (*window, channels, outputs), *bias)
    return Case(shapes, options | {"padding": padding})


X, W, B = np.zeros((2, 8, 8, 4)), np.zeros((3, 3, 4, 6)), np.zeros(6)
bad_conv = [
    Refused((X[..., :3], W), mn.ShapeError, r"expects 4 channels .* \(2, 8, 8, 3\) with 3"),
    Refused((X, W), mn.ShapeError, "expects 8 channels .* in 2 groups", {"groups": 2}),
    Refused((X, W[:, :, :1]), mn.ShapeError, "divide 6 outputs into 4 equal groups", {"groups": 4}),
    Refused((X, W), mn.SpecError, "groups must be .* at least 1", {"groups": 0}),
    Refused((X, W, B[:5]), mn.ShapeError, r"bias of shape \(6,\), got \(5,\)"),
    Refused((X, W, B[:, None]), mn.ShapeError, r"bias of shape \(6,\), got \(6, 1\)"),
    Refused((X, W[0]), mn.ShapeError, r"weight of shape \(KH, KW, in / groups, out\), got"),
    Refused((X[0], W), mn.ShapeError, r"weight of shape \(K, in / groups, out\), got"),
    Refused((X[0, 0], W), mn.ShapeError, r"expects shape \(N, H, W, C\) or .* got \(8, 4\)"),
    Refused((X[:, :2], W), mn.ShapeError, "does not fit into an input of"),
    Refused((X[:, :0], W), mn.ShapeError, "does not fit into an input of"),
    Refused((X, W), mn.ShapeError, r"reaching over \(9, 9\) does not fit", {"dilation": 4}),
    Refused((X, W), mn.SpecError, "stride must be .* at least 1.* got -1", {"stride": -1}),
    Refused((X, W), mn.SpecError, "each of the 2 axes", {"stride": (1, 2, 3)}),
    Refused((X, W), mn.SpecError, "padding must be .* at least 0.* got -1", {"padding": -1}),
    Refused((X, W), mn.SpecError, "dilation must be", {"dilation": 0}),
    Refused((X.astype(str), W), mn.DataError, "real numbers, got one of dtype <U"),
    Refused(([[1], [2, 3]], W), mn.DataError, "expected an array of real numbers"),
]
bad_deconv = [
    Refused((X[..., :3], W), mn.ShapeError, r"expects 4 channels .* \(2, 8, 8, 3\) with 3"),
    Refused((X, W, B[:5]), mn.ShapeError, r"bias of shape \(6,\), got \(5,\)"),
    Refused((X, W[0]), mn.ShapeError, r"weight of shape \(KH, KW, in, out\), got"),
    Refused((X, W), mn.ShapeError, "padding 5 leaves nothing", {"padding": 5}),
    Refused((X, W), mn.SpecError, "stride must be", {"stride": 0}),
    Refused((X, W), mn.SpecError, "padding before and after", {"padding": ((0, 0), (0, -1))}),
]

TestConv = op_tests(mn.ops.conv, reference_conv, cases=convolutions(), refused=bad_conv)
TestDeconv = op_tests(mn.ops.deconv, reference_deconv, cases=deconvolutions(), refused=bad_deconv)


@given(windows(dilated=False))
def test_same_deconv_is_the_adjoint_of_same_conv(drawn):
    sizes, window, options = drawn
    stride = options["stride"]
    small = normal(1, 2, *sizes, 3)
    large = normal(2, 2, *(n * s for n, s in zip(sizes, stride, strict=True)), 4)
    weight = normal(3, *window, 3, 4)
    spread = mn.ops.deconv(small, weight, stride=stride, padding="same")
    gathered = mn.ops.conv(large, weight.swapaxes(-1, -2), stride=stride, padding="same")
    assert spread.shape == large.shape
    assert gathered.shape == small.shape
    assert np.isclose((spread * large).sum(), (gathered * small).sum())


def test_three_axes_go_as_well():
    x, weight = normal(1, 1, 3, 4, 3, 2), normal(2, 2, 2, 2, 2, 3)
    expected = reference_conv(x, weight, stride=(1, 2, 1))
    assert np.allclose(mn.ops.conv(x, weight, stride=(1, 2, 1)), expected)


def test_a_window_of_one_is_a_matrix_product():
    x, weight = normal(1, 2, 4, 5, 6), normal(2, 1, 1, 6, 7)
    assert np.allclose(mn.ops.conv(x, weight), x @ weight[0, 0])
    mn.check_grad(mn.ops.conv, x, weight)


@pytest.mark.parametrize("op", [mn.ops.conv, mn.ops.deconv])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_empty_batch_gives_an_empty_result_and_gradients_of_zero(op, stride):
    inputs = [mn.Tensor(normal(0, *shape)) for shape in [(0, 5, 6, 2), (3, 2, 2, 4), (4,)]]
    y = op(*inputs, stride=stride)
    full = op(normal(0, 3, 5, 6, 2), *inputs[1:], stride=stride)
    assert y.shape == (0, *full.shape[1:])
    y.backward(np.zeros(y.shape))
    assert [x.grad.shape for x in inputs] == [x.shape for x in inputs]
    assert not any(x.grad.any() for x in inputs)


@pytest.mark.parametrize("name", ["conv", "deconv"])
def test_images_of_whole_numbers_are_taken_as_they_are(name):
    op = getattr(mn.ops, name)
    image = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 1), dtype=np.uint8)
    weight, bias = normal(1, 3, 3, 1, 2).astype("float32"), np.ones(2, "float32")
    y = op(image, weight, bias)
    assert y.dtype == np.float32
    assert np.allclose(y, op(image.astype("float32"), weight, bias))


# --- what is frozen costs nothing ---------------------------------------------------------


@pytest.mark.host
def test_constant_inputs_make_a_plain_array_and_no_gradient_function():
    x, weight, bias = normal(1, 2, 5, 5, 2), normal(2, 3, 3, 2, 4), normal(3, 4)
    assert isinstance(mn.ops.conv(x, weight, bias), np.ndarray)
    assert len(mn.ops.conv(x, mn.Tensor(weight), bias).node.parents) == 1
    assert len(mn.ops.conv(mn.Tensor(x), weight, mn.Tensor(bias)).node.parents) == 2


@pytest.mark.host
@pytest.mark.parametrize("name", ["conv", "deconv"])
@pytest.mark.parametrize("trained", [0, 1, 2])
def test_each_gradient_keeps_only_what_it_needs(name, trained):
    inputs = [normal(1, 2, 5, 5, 2), normal(2, 3, 3, 2, 4), normal(3, 4)]
    inputs[trained] = mn.Tensor(inputs[trained])
    arrays = [weakref.ref(each.data if i == trained else each) for i, each in enumerate(inputs)]
    y = getattr(mn.ops, name)(*inputs)
    del inputs
    alive = [array() is not None for array in arrays]
    # The input's gradient needs the weight, the weight's the input, the bias's neither.
    assert alive == [[False, True, False], [True, False, False], [False] * 3][trained]
    del y
