"""Pooling against plain loops, and the gradients."""

import functools
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import Case, Refused, distinct, op_tests
from window_references import reference_pool, windows

import minnet as mn


@st.composite
def poolings(draw):
    """Draw the shape of an input, and the window and how it moves."""
    sizes, window, options = draw(windows(dilated=False, partial=True))
    if draw(st.booleans()):
        del options["stride"]  # as far as the window is large
    shape = (draw(st.integers(0, 2)), *sizes, draw(st.integers(1, 3)))
    return Case((shape,), {"window": window} | options)


X = np.zeros((2, 6, 6, 3))
bad = [
    Refused((X[0, 0], 2), mn.ShapeError, r"_pool expects shape \(N, H, W, C\) .* got \(6, 3\)"),
    Refused((X, 7), mn.ShapeError, r"reaching over \(7, 7\) does not fit .* \(6, 6\)"),
    Refused((X[:, :0], 1), mn.ShapeError, "does not fit"),
    Refused((X, (2, 2, 2)), mn.SpecError, "window must be .* each of the 2 axes"),
    Refused((X, 0), mn.SpecError, "window must be .* at least 1"),
    Refused((X, 2), mn.SpecError, "stride must be .* at least 1", {"stride": 0}),
    Refused((X, 2), mn.SpecError, "padding must be .* at least 0", {"padding": -1}),
    Refused((X, 2), mn.SpecError, "smaller than the window, got 2", {"padding": 2}),
    Refused((X, (3, 2)), mn.SpecError, "could see nothing", {"padding": ((0, 0), (0, 2))}),
    Refused((X.astype(object), 2), mn.DataError, "real numbers, got one of dtype object"),
]

TestMaxPool = op_tests(
    mn.ops.max_pool,
    functools.partial(reference_pool, np.max),
    cases=poolings(),
    numbers=distinct,
    refused=bad,
)
TestMeanPool = op_tests(
    mn.ops.mean_pool, functools.partial(reference_pool, np.mean), cases=poolings(), refused=bad
)


@given(poolings())
def test_the_first_of_equal_elements_gets_the_whole_gradient(case):
    x = mn.Tensor(np.ones(case.shapes[0]))
    y = mn.ops.max_pool(x, **case.options)
    assert (y.data == 1).all()
    y.backward(np.ones(y.shape))
    # Numbers that fall from one element to the next make the first one the largest.
    falling = mn.Tensor(-np.arange(float(x.size)).reshape(x.shape))
    mn.ops.max_pool(falling, **case.options).backward(np.ones(y.shape))
    assert np.array_equal(x.grad, falling.grad)


def test_padding_is_never_the_largest():
    x = np.full((1, 3, 3, 1), -5.0, "float32")
    assert (mn.ops.max_pool(x, 3, 1, 1) == -5).all()
    whole = mn.ops.max_pool(x.astype(int), 3, 1, 1)  # which have no -inf
    assert whole.dtype == np.float32
    assert (whole == -5).all()


def test_whole_numbers_do_not_overflow_in_the_mean():
    assert mn.ops.mean_pool(np.full((1, 4, 1), 200, np.uint8), 2).tolist() == [[[200], [200]]]


def test_not_a_number_is_passed_on():
    numbers = np.array([1.0, np.nan, 2.0, 3.0]).reshape(1, 4, 1)
    for x in (numbers, mn.Tensor(numbers)):
        for op in (mn.ops.max_pool, mn.ops.mean_pool):
            y = mn.autodiff.value(op(x, 2))[0, :, 0]
            assert np.isnan(y[0])
            assert not np.isnan(y[1])


def test_a_window_of_more_elements_than_a_byte_can_count():
    x = distinct(np.random.default_rng(0), (2, 17, 18, 2), 0)
    mn.check_grad(lambda x: mn.ops.max_pool(x, (17, 18)), x)
    leaf = mn.Tensor(x)
    mn.ops.max_pool(leaf, (17, 18)).backward(np.ones((2, 1, 1, 2)))
    assert np.array_equal(leaf.grad != 0, x == x.max((1, 2), keepdims=True))


def test_three_axes_go_as_well():
    x = distinct(np.random.default_rng(0), (1, 4, 5, 4, 2), 0)
    assert np.array_equal(mn.ops.max_pool(x, 2), reference_pool(np.max, x, 2))


@pytest.mark.parametrize("op", [mn.ops.max_pool, mn.ops.mean_pool])
def test_the_input_is_not_kept_for_the_gradient(op):
    x = mn.Tensor(np.ones((2, 6, 6, 3)))
    array = weakref.ref(x.data)
    y = op(x, 2)
    del x
    assert array() is None
    assert y.shape == (2, 3, 3, 3)
