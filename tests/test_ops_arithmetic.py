"""Elementwise ops: arithmetic and activation functions."""

import gc
import math
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import Case, Refused, differentiated, distinct, op_tests, positive, same

import minnet as mn
from minnet import ShapeError, SpecError, Tensor, ops
from minnet.ops.activation import erf

a23, a4 = np.ones((2, 3)), np.ones(4)
two_shapes = [
    Refused((a23, a4), ShapeError, r"\(2, 3\) and \(4,\) don't broadcast"),
    Refused((Tensor(a4), a23), ShapeError, r"\(4,\) and \(2, 3\) don't broadcast"),
]
emptiness = [Case(((0, 3), (1,))), Case(((), (2, 0))), Case(((1, 1), (1,)))]


def two_inputs(op, reference, **details):
    return op_tests(op, reference, 2, examples=emptiness, refused=two_shapes, **details)


TestAdd = two_inputs(ops.add, np.add)
TestSubtract = two_inputs(ops.subtract, np.subtract)
TestMultiply = two_inputs(ops.multiply, np.multiply)
TestDivide = two_inputs(ops.divide, np.divide)
TestPower = two_inputs(ops.power, np.power, numbers=positive)
TestMaximum = two_inputs(ops.maximum, np.maximum, numbers=distinct)
TestMinimum = two_inputs(ops.minimum, np.minimum, numbers=distinct)

TestNegative = op_tests(ops.negative, np.negative)
TestAbsolute = op_tests(ops.absolute, np.absolute)
TestExp = op_tests(ops.exp, np.exp)
TestLog = op_tests(ops.log, np.log, numbers=positive)
TestSqrt = op_tests(ops.sqrt, np.sqrt, numbers=positive)
TestTanh = op_tests(ops.tanh, np.tanh)
TestSigmoid = op_tests(ops.sigmoid, lambda x: 1 / (1 + np.exp(-x)))
TestSoftplus = op_tests(ops.softplus, lambda x: np.log(1 + np.exp(x)))
TestRamp = op_tests(ops.ramp, lambda x: x * (x > 0))
TestLeakyRamp = op_tests(ops.leaky_ramp, lambda x: np.where(x > 0, x, 0.01 * x))
TestLeakyRampSteep = op_tests(
    lambda x: ops.leaky_ramp(x, slope=-1.5), lambda x: np.where(x > 0, x, -1.5 * x)
)
TestGelu = op_tests(
    ops.gelu, lambda x: x * np.vectorize(lambda z: math.erfc(-z / 2**0.5) / 2, otypes="d")(x)
)
TestGeluApproximate = op_tests(
    lambda x: ops.gelu(x, approximate=True),
    lambda x: x / 2 * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
)

condition = np.array([[True], [False]])
TestWhere = op_tests(
    lambda x, y: ops.where(condition, x, y),
    lambda x, y: np.where(condition, x, y),
    cases=st.sampled_from([Case(((), (2, 1))), Case(((3,), (2, 3))), Case(((0,), (2, 1)))]),
    refused=[Refused((a4, np.ones(3)), ShapeError, r"\(2, 1\) and \(4,\) and \(3,\)")],
)
TestClip = op_tests(
    lambda x: ops.clip(x, -1.0, np.float64(0.5)),
    lambda x: np.clip(x, -1.0, 0.5),
    examples=[Case(((0, 2),))],
)


# --- clip ---------------------------------------------------------------------------------


def test_clip_takes_one_bound_or_none():
    x = np.array([-2.0, 0.0, 2.0])
    same(ops.clip(x, low=-1), [-1.0, 0.0, 2.0])
    same(ops.clip(x, high=1), [-2.0, 0.0, 1.0])
    same(ops.clip(x), x)


def test_clip_bounds_may_be_arrays_that_broadcast():
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    low = np.array([[-0.5], [0.5]])
    same(ops.clip(x, low, 0.7), np.clip(x, low, 0.7))
    mn.check_grad(lambda x: ops.clip(x, low, 0.7), x)
    mn.check_grad(lambda x: ops.clip(x, low, 0.7), x[0])


def test_clip_lets_the_gradient_through_at_its_bounds():
    x = np.array([-1.0, -0.5, 0.5, 1.0, 2.0])
    same(mn.grad(lambda x: ops.clip(x, -0.5, 1.0).sum())(x), [0.0, 1.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize("bounds", [{"low": Tensor(0.0)}, {"high": Tensor(0.0)}])
def test_clip_refuses_bounds_it_would_not_differentiate_by(bounds):
    with pytest.raises(SpecError, match="use maximum and minimum"):
        ops.clip(np.ones(2), **bounds)


def test_clip_refuses_bounds_that_do_not_broadcast():
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(4,\)"):
        ops.clip(a23, a4)


# --- kinks and ties -----------------------------------------------------------------------


def test_equal_inputs_share_the_gradient_of_maximum_and_minimum():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for op, expected in [(ops.maximum, [0.0, 0.5, 1.0]), (ops.minimum, [1.0, 0.5, 0.0])]:
        tensors = [Tensor(x), Tensor(y)]
        by_x, by_y = mn.gradients(op(*tensors).sum(), tensors)
        same(by_x, expected)
        same(by_x + by_y, np.ones(3))


@pytest.mark.parametrize(
    ("op", "slope"),
    [(ops.ramp, 0.0), (ops.absolute, 0.0), (ops.leaky_ramp, 0.01), (ops.gelu, 0.5)],
)
def test_gradient_at_zero(op, slope):
    same(mn.grad(op)(np.array(0.0)), slope)


def test_where_keeps_the_gradient_of_what_is_not_chosen_at_zero():
    x = Tensor(np.array([1.0, 2.0]))
    result = ops.where(np.array([True, False]), x, 0.0)
    assert mn.gradients(result, [x], [1.0, np.inf])[0].tolist() == [1.0, 0.0]


# --- power --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exponent", "slope"), [(0, 0.0), (1, 1.0), (2, 0.0), (0.0, 0.0), (1.5, 0.0), (3, 0.0)]
)
def test_power_of_zero_has_a_gradient(exponent, slope):
    for given_as in (exponent, np.full(1, exponent), np.full(1, exponent, np.float64)):
        same(mn.grad(lambda x, e=given_as: ops.power(x, e).sum())(np.zeros(1)), [slope])


def test_power_of_a_negative_base_with_a_constant_exponent():
    mn.check_grad(lambda x: x**3, np.array([-1.5, 2.0, -0.1]))
    mn.check_grad(lambda x: x**-2, np.array([-1.5, 2.0, -0.7]))


def test_power_by_its_exponent():
    mn.check_grad(lambda y: 2.0**y, np.array([-1.0, 0.0, 3.0]))
    mn.check_grad(lambda y: 2**y, np.array([-1.0, 0.0, 3.0]))
    assert mn.grad(lambda y: (np.zeros(2) ** y).sum())(np.array([1.0, 2.5])).tolist() == [0, 0]


def test_power_of_two_numbers_is_numpys():
    assert ops.power(2, 3) == 8
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(ops.power(-1.0, 0.5))  # Python itself would answer with a complex number


def test_an_error_that_is_not_about_shapes_stays_numpys():
    with pytest.raises(ValueError, match="negative integer powers") as caught:
        ops.power(np.array([1, 2]), np.array([-1, -2]))
    assert not isinstance(caught.value, ShapeError)


# --- extreme inputs -----------------------------------------------------------------------

far = np.array([-1000.0, -1.0, 0.0, 1.0, 1000.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("op", "low", "high", "slopes"),
    [
        (ops.sigmoid, 0.0, 1.0, (0.0, 0.0)),
        (ops.softplus, 0.0, 1000.0, (0.0, 1.0)),
        (ops.tanh, -1.0, 1.0, (0.0, 0.0)),
        (ops.gelu, 0.0, 1000.0, (0.0, 1.0)),
        (lambda x: ops.gelu(x, approximate=True), 0.0, 1000.0, (0.0, 1.0)),
    ],
)
def test_activations_far_from_zero(op, low, high, slopes, dtype):
    result, (gradient,) = differentiated(op, [far.astype(dtype)])
    assert result[[0, -1]].tolist() == [low, high]
    start = np.cos([0, 4]).astype(dtype)
    same(gradient[[0, -1]], start * np.array(slopes, dtype), 1e-6)


def test_sigmoid_and_softplus_are_precise_where_they_are_tiny():
    x = np.array([-30.0, -100.0, -700.0])
    np.testing.assert_allclose(ops.sigmoid(x), np.exp(x), rtol=1e-12)
    np.testing.assert_allclose(ops.softplus(x), np.exp(x), rtol=1e-12)


@pytest.mark.host
def test_values_outside_a_domain_are_numpys():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert ops.log(np.zeros(1)).tolist() == [-np.inf]
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert np.isnan(ops.sqrt(-np.ones(1))).all()
    assert np.isnan(ops.ramp(np.array([np.nan]))).all()


# --- the error function -------------------------------------------------------------------


@given(st.floats(-40, 40) | st.floats(-1e-6, 1e-6))
def test_erf_is_that_of_the_c_library(x):
    assert erf(np.array([x]))[0] == pytest.approx(math.erf(x), abs=1e-15)
    assert erf(np.array([x], np.float32))[0] == pytest.approx(math.erf(np.float32(x)), abs=4e-7)


def test_erf_everywhere():
    x = np.linspace(-7, 7, 14_001)
    expected = np.array([math.erf(z) for z in x])
    np.testing.assert_allclose(erf(x), expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(erf(x.astype(np.float32)), expected, rtol=0, atol=4e-7)
    assert erf(np.array([-np.inf, np.inf, -1e300])).tolist() == [-1.0, 1.0, -1.0]
    assert np.isnan(erf(np.array([np.nan]))).all()


def test_erf_keeps_the_dtype():
    for dtype in (np.float16, np.float32, np.float64):
        assert erf(np.ones(2, dtype)).dtype == dtype


# --- dtypes and memory --------------------------------------------------------------------

scalars = [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2)]


@pytest.mark.parametrize("scalar", scalars, ids=lambda scalar: type(scalar).__name__)
@pytest.mark.parametrize("op", [ops.add, ops.subtract, ops.multiply, ops.divide, ops.power,
                                ops.maximum, ops.minimum])  # fmt: skip
def test_scalars_do_not_turn_float32_into_float64(op, scalar):
    x = np.full(3, 1.5, np.float32)
    assert op(x, scalar).dtype == op(scalar, x).dtype == np.float32
    for swap in (False, True):
        result, (gradient,) = differentiated(
            lambda x, swap=swap: op(scalar, x) if swap else op(x, scalar), [x]
        )
        assert result.dtype == gradient.dtype == np.float32
    assert ops.where(x > 1, x, scalar).dtype == np.float32


def test_float32_scalars_keep_their_precision_among_themselves():
    total = ops.sum(np.ones(3, np.float32))
    for result in (ops.add(total, 1e-6), ops.exp(total), ops.multiply(total, total)):
        assert result.dtype == np.float32


def test_gradient_functions_do_not_compute_in_float64():
    x = Tensor(np.ones(3, np.float32))
    results = [x**2, 2.0**x, x**0, x / 3, ops.maximum(x, 1), ops.clip(x, 0.0, 2.0),
               ops.leaky_ramp(x), ops.gelu(x), ops.softplus(x), ops.where(x > 0, x, 1)]  # fmt: skip
    for result in results:
        for _, function in result.node.parents:
            assert function(np.ones(3, np.float32)).dtype == np.float32


@pytest.mark.host
def test_lists_and_numbers_are_taken_for_arrays():
    same(ops.add([1.0, 2.0], [3.0, 4.0]), [4.0, 6.0])
    same(ops.multiply([1.0, 2.0], Tensor(np.array([3.0, 4.0]))).data, [3.0, 8.0])
    same(ops.exp([0.0]), [1.0])
    assert ops.add(1.0, 2.0) == 3.0
    assert ops.negative(2.0) == -2.0


def test_ramp_keeps_its_output_and_not_its_input():
    array = np.array([-1.0, 1.0])
    watch = weakref.ref(array)
    result = ops.ramp(ops.add(array, Tensor(np.zeros(2))))
    del array
    gc.collect()
    assert watch() is None
    assert result.data.tolist() == [0.0, 1.0]


def test_a_constant_factor_frees_what_only_its_gradient_would_need():
    array = np.ones(3)
    watch = weakref.ref(array)
    result = ops.multiply(Tensor(array), np.full(3, 2.0))  # its gradient needs the 2s alone
    del array
    gc.collect()
    assert watch() is None
    assert result.data.tolist() == [2.0, 2.0, 2.0]
