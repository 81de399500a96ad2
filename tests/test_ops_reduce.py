"""Reductions: forward, gradients, axes, ties, empty axes and extreme numbers."""

import numpy as np
import pytest
from hypothesis import strategies as st
from op_checks import Case, Refused, differentiated, distinct, op_tests, same, shapes

import minnet as mn
from minnet import ShapeError, Tensor, ops

a23 = np.arange(6.0).reshape(2, 3)


@st.composite
def axes_of(draw, dimensions):
    """None, one axis or several, from the start or the end."""
    if dimensions == 0:
        return draw(st.sampled_from([None, ()]))
    one = st.integers(-dimensions, dimensions - 1)
    several = st.lists(one, max_size=3, unique_by=lambda axis: axis % dimensions).map(tuple)
    return draw(st.none() | one | several)


@st.composite
def reductions(draw, min_side=1):
    """One array, the axes to reduce and whether to keep them."""
    shape = draw(shapes(min_side=min_side))
    axis = draw(axes_of(len(shape)))
    return Case((shape,), {"axis": axis, "keepdims": draw(st.booleans())})


@st.composite
def normalizations(draw):
    """One array, and the axes along which to normalize it."""
    shape = draw(shapes(min_dims=1, min_side=1))
    return Case((shape,), {"axis": draw(axes_of(len(shape)))})


no_axis = [
    Refused((a23,), ShapeError, r"axis 2 doesn't fit shape \(2, 3\)", {"axis": 2}),
    Refused((a23,), ShapeError, r"axis \(0, -2\) doesn't fit", {"axis": (0, -2)}),
    Refused((a23,), ShapeError, r"axis 0\.5 doesn't fit", {"axis": 0.5}),
    Refused((np.array(1.0),), ShapeError, r"axis -2 doesn't fit shape \(\)", {"axis": -2}),
]
nothing = [
    Refused((np.zeros((0, 2)),), ShapeError, r"\(0, 2\)", {"axis": 0}),
    Refused((Tensor(np.zeros((0, 2))),), ShapeError, r"\(0, 2\)", {"axis": None}),
]
nothing_over_some = [Case(((2, 0, 3),), {"axis": 2}), Case(((0, 2),), {"axis": (-1,)})]


def reduction(op, reference, **details):
    details = {"cases": reductions(), "refused": no_axis + nothing} | details
    return op_tests(op, reference, examples=nothing_over_some, **details)


def plain_logsumexp(x, axis=None, keepdims=False):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def plain_softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


TestSum = reduction(ops.sum, np.sum, cases=reductions(min_side=0), refused=no_axis)
TestMean = reduction(ops.mean, np.mean)
TestVariance = reduction(ops.variance, np.var)
TestMax = reduction(ops.max, np.max, numbers=distinct)
TestMin = reduction(ops.min, np.min, numbers=distinct)
TestLogsumexp = reduction(ops.logsumexp, plain_logsumexp)
TestSoftmax = reduction(ops.softmax, plain_softmax, cases=normalizations())
TestLogSoftmax = reduction(
    ops.log_softmax, lambda x, axis=-1: np.log(plain_softmax(x, axis)), cases=normalizations()
)


def test_the_sum_of_nothing_is_zero():
    x = Tensor(np.zeros((0, 2)))
    result = ops.sum(x, axis=0)
    assert result.data.tolist() == [0.0, 0.0]
    assert mn.gradients(result, [x], np.ones(2))[0].shape == (0, 2)


def test_by_default_everything_is_reduced_and_softmax_goes_along_the_last_axis():
    for op, plain in [(ops.sum, np.sum), (ops.mean, np.mean), (ops.max, np.max),
                      (ops.min, np.min), (ops.variance, np.var),
                      (ops.logsumexp, plain_logsumexp)]:  # fmt: skip
        same(op(a23), plain(a23))
    same(ops.softmax(a23).sum(axis=-1), np.ones(2))
    same(np.exp(ops.log_softmax(a23)).sum(axis=-1), np.ones(2))


@pytest.mark.parametrize(("op", "extreme"), [(ops.max, 3.0), (ops.min, -3.0)])
def test_equal_extremes_share_the_gradient(op, extreme):
    x = np.array([[extreme, 0.0, extreme], [1.0, extreme, 0.0]])
    same(mn.grad(lambda x: op(x, axis=1).sum())(x), [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    same(mn.grad(op)(x), (x == extreme) / 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_of_large_numbers(dtype):
    x = np.array([[-1000.0, 0.0, 1000.0], [1000.0, 1000.0, -1000.0]], dtype)
    half, two = 0.5, np.log(2)
    same(ops.softmax(x), [[0, 0, 1], [half, half, 0]], 1e-6)
    same(ops.log_softmax(x), [[-2000, -1000, 0], [-two, -two, -2000 - two]], 1e-6)
    same(ops.logsumexp(x, axis=1), [1000, 1000 + two], 1e-6)
    for op in (ops.softmax, ops.log_softmax, lambda x: ops.logsumexp(x, axis=-1)):
        assert np.isfinite(differentiated(op, [x])[1][0]).all()


@pytest.mark.host
def test_minus_infinity_masks_out():
    x = np.array([0.0, -np.inf, 0.0])
    same(ops.softmax(x), [0.5, 0.0, 0.5])
    same(ops.logsumexp(x), np.log(2))
    same(mn.grad(ops.logsumexp)(x), [0.5, 0.0, 0.5])
    assert ops.logsumexp(np.array([0.0, np.inf])) == np.inf
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert ops.logsumexp(np.full(2, -np.inf)) == -np.inf


def test_log_softmax_is_precise_where_softmax_is_zero():
    below = ops.log_softmax(np.array([0.0, -800.0]))
    assert below[1] == pytest.approx(-800.0, abs=1e-12)
    assert ops.softmax(np.array([0.0, -800.0]))[1] == 0.0


@pytest.mark.host
def test_the_gradient_of_a_sum_can_be_written_to():
    (gradient,) = mn.gradients(ops.sum(x := Tensor(np.ones((2, 3)))), [x])
    gradient += 1.0
    same(gradient, np.full((2, 3), 2.0))


def test_whole_numbers_are_reduced_as_by_numpy():
    whole = np.array([[1, 2], [3, 5]])
    assert ops.sum(whole) == 11
    assert ops.sum(whole).dtype == whole.dtype
    assert ops.mean(whole) == 2.75
    same(ops.softmax(whole), plain_softmax(whole))


def test_a_single_number_may_be_reduced_along_its_last_axis():
    x = np.array(2.5)  # NumPy's sum, max and min let this pass
    for op in (ops.sum, ops.max, ops.mean, ops.logsumexp):
        assert op(x, axis=-1) == 2.5
        same(mn.grad(lambda x, op=op: op(x, axis=-1))(x), 1.0)
    assert ops.softmax(x) == 1.0


def test_numbers_and_lists_are_taken_for_arrays():
    assert ops.sum(np.float64(2.5)) == 2.5
    assert ops.mean([1.0, 2.0]) == 1.5
    assert ops.logsumexp(3.0) == 3.0
