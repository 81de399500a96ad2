"""The core: record, the backward pass, grad, value_and_grad and check_grad."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minnet as mn
from minnet import DataError, GradientError, ShapeError, SpecError, Tensor, ops
from minnet.autodiff import record, value


def is_freed(watch):
    gc.collect()
    return watch() is None


# --- record -------------------------------------------------------------------------------


def test_ops_on_plain_arrays_make_no_tensor():
    x, y = np.ones((2, 3)), np.ones((3, 2))
    for result in (ops.add(x, 1.0), ops.matmul(x, y), ops.sum(x), ops.ramp(x), x * 2):
        assert isinstance(result, np.ndarray | np.generic)
    plain = np.ones(2)
    assert record(plain, (x, lambda g: g), (1.0, lambda g: g)) is plain


def test_record_keeps_gradient_functions_of_tensors_only():
    calls = []

    def function(name):
        return lambda g: (calls.append(name), g)[1]

    x, y = Tensor(np.ones(2)), Tensor(np.ones(2))
    result = record(
        np.ones(2), (x, function("x")), (np.ones(2), function("constant")), (y, function("y"))
    )
    assert [parent for parent, _ in result.node.parents] == [x.node, y.node]
    mn.gradients(result, [x], np.ones(2))
    assert calls == ["x", "y"]


@pytest.mark.host
def test_a_frozen_layer_keeps_no_activation():
    """Below the lowest trainable weight nothing is recorded, above it only what is needed."""
    x, frozen = np.ones((4, 3)), np.ones((3, 3))
    hidden = ops.tanh(ops.linear(x, frozen))
    assert isinstance(hidden, np.ndarray)
    watch = weakref.ref(hidden)
    weight = Tensor(np.ones((3, 3)))
    second = ops.linear(hidden, weight)
    del hidden
    assert not is_freed(watch)  # the gradient of the weight needs it
    second_array = weakref.ref(second.data)
    third = ops.linear(second, frozen)  # the gradient of its input needs its frozen weight alone
    del second
    assert is_freed(second_array)
    (gradient,) = mn.gradients(third.sum(), [weight])
    np.testing.assert_allclose(gradient, np.full((3, 3), 4 * 3 * np.tanh(3.0)))
    del third
    assert is_freed(watch)


def test_dropping_the_result_frees_everything():
    x = Tensor(np.ones(3))
    result = ops.exp(ops.multiply(x, x))
    watches = [weakref.ref(result.data), weakref.ref(x.data)]
    del result, x
    assert all(is_freed(watch) for watch in watches)


# --- the backward pass --------------------------------------------------------------------


def test_each_backward_gives_fresh_gradients():
    x = Tensor([1.0, 2.0, 3.0])
    y = (x * x).sum()
    for _ in range(3):
        y.backward()
        assert x.grad.tolist() == [2.0, 4.0, 6.0]
    (x * 5.0).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0, 5.0]


def test_backward_sets_the_gradients_of_leaves_only():
    x, unused = Tensor([1.0, 2.0]), Tensor([1.0])
    middle = x * 3.0
    middle.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert middle.grad is None
    assert unused.grad is None
    x.backward(np.array([7.0, 8.0]))
    assert x.grad.tolist() == [7.0, 8.0]


def test_backward_starts_from_one_number_or_a_given_gradient():
    x = Tensor(np.ones((2, 3)))
    y = x * 2.0
    with pytest.raises(ShapeError, match=r"starts from a single number.*shape \(2, 3\)"):
        y.backward()
    with pytest.raises(ShapeError, match=r"has shape \(3,\), not \(2, 3\)"):
        y.backward(np.ones(3))
    assert x.grad is None
    y.backward(np.full((2, 3), 4, np.int64))
    assert x.grad.dtype == np.float64
    assert x.grad.tolist() == np.full((2, 3), 8.0).tolist()
    (x[:1, :1] * 2.0).backward()  # one element, whatever its number of axes
    assert x.grad.tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_chain_fifty_thousand_ops_deep():
    x = Tensor(np.ones(1))
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert y.data.tolist() == [50_001.0]
    assert x.grad.tolist() == [1.0]
    del y  # freeing it must not run out of stack either


def test_what_is_used_many_times_gets_the_sum_computed_once():
    calls = []
    x = Tensor(np.array([2.0]))

    def square(g):
        calls.append(g)
        return 4.0 * g

    y = record(np.array([4.0]), (x, square))
    for _ in range(20):
        y = y + y  # 2 ** 20 paths
    y.backward()
    assert x.grad.tolist() == [4.0 * 2**20]
    assert len(calls) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=8))
def test_graphs_of_any_wiring(steps):
    def function(*inputs):
        found = list(inputs)
        for i, j, product in steps:
            a, b = found[-1 - i % len(found)], found[j % len(found)]
            found.append(ops.tanh(a * b) if product else a - 0.5 * b)
        return found[-1]

    random = np.random.default_rng(len(steps))
    mn.check_grad(
        function, random.normal(size=(2, 3)), random.normal(size=3), random.normal(size=())
    )


def test_gradients_are_let_go_as_they_are_used():
    watches, alive = [], []

    def watched(x):
        def function(g):
            alive.append(sum(watch() is not None for watch in watches))
            new = g * 1.0
            watches.append(weakref.ref(new))
            return new

        return record(x.data + 0.0, (x, function))

    x = Tensor(np.ones(3))
    y = x
    for _ in range(10):
        y = watched(y)
    mn.gradients(y.sum(), [x])
    assert len(alive) == 10
    assert max(alive) <= 1


def test_gradients_follow_the_inputs():
    x, y, unused = Tensor(np.ones(2)), Tensor(np.ones((3, 1))), Tensor(np.ones(4, np.float32))
    found = mn.gradients((x * y).sum(), [y, unused, x, y])
    assert [g.tolist() for g in found] == [[[2.0]] * 3, [0.0] * 4, [3.0, 3.0], [[2.0]] * 3]
    assert found[1].dtype == np.float32


def test_gradients_of_inner_results():
    x = Tensor(np.array([1.0, 2.0]))
    inner = x * 3.0
    by_inner, by_x = mn.gradients((inner * inner).sum(), [inner, x])
    assert by_inner.tolist() == [6.0, 12.0]
    assert by_x.tolist() == [18.0, 36.0]


def test_the_gradient_of_a_constant_is_zero():
    x = Tensor(np.ones(2))
    assert mn.gradients(np.array(3.0), [x])[0].tolist() == [0.0, 0.0]
    assert mn.grad(lambda x: np.float64(3.0))(np.ones(2)).tolist() == [0.0, 0.0]


def test_float64_does_not_leak_into_float32():
    x = Tensor(np.ones((2, 3), np.float32))
    scale = np.float64(1.7)
    y = ((x * scale + np.mean([1.0, 2.0])) / np.sqrt(2.0) - scale) ** np.float64(2)
    loss = (y * y.mean()).sum() / np.int64(3)
    assert y.dtype == loss.dtype == np.float32
    loss.backward()
    assert x.grad.dtype == np.float32
    assert isinstance(value(np.float64(1.5)), float)


def test_a_float32_input_of_a_float64_result_gets_a_float32_gradient():
    x = Tensor(np.ones(2, np.float32))
    y = (x * np.array([1.0, 2.0])).sum()
    assert y.dtype == np.float64
    y.backward()
    assert x.grad.dtype == np.float32


# --- grad and value_and_grad --------------------------------------------------------------


def test_value_and_grad_of_nested_structures():
    weights = {
        "layers": [(np.array([1.0, 2.0]), np.array(3.0)), {"scale": np.array([[4.0]], np.float32)}],
        "unused": np.ones(2),
    }

    def loss(weights, x, power=1):
        (a, b), c = weights["layers"]
        return (a * x).sum() ** power * b + c["scale"].sum()

    result, found = mn.value_and_grad(loss)(weights, np.array([10.0, 100.0]), power=2)
    assert result == 210.0**2 * 3 + 4
    assert not isinstance(result, Tensor)
    assert list(found) == ["layers", "unused"]
    (a, b), c = found["layers"]
    assert isinstance(found["layers"], list)
    assert isinstance(found["layers"][0], tuple)
    assert a.tolist() == [2 * 210 * 3 * 10.0, 2 * 210 * 3 * 100.0]
    assert b == 210.0**2
    assert c["scale"].tolist() == [[1.0]]
    assert c["scale"].dtype == np.float32
    assert found["unused"].tolist() == [0.0, 0.0]


def test_value_and_grad_leaves_its_argument_alone():
    weights = {"a": np.ones(2)}
    mn.value_and_grad(lambda w: (w["a"] * 2.0).sum())(weights)
    assert isinstance(weights["a"], np.ndarray)


def test_grad_is_the_gradient_alone_by_the_first_argument_alone():
    found = mn.grad(lambda x, y: (x * y).sum())(np.ones(2), np.array([3.0, 4.0]))
    assert found.tolist() == [3.0, 4.0]


def test_grad_of_more_than_a_number_is_refused():
    with pytest.raises(ShapeError, match=r"shape \(2,\)"):
        mn.grad(lambda x: x * 2.0)(np.ones(2))
    with pytest.raises(DataError, match="floating-point"):
        mn.grad(lambda x: x.sum())(np.array([1, 2]))


# --- check_grad ---------------------------------------------------------------------------


def wrong_by(factor):
    """A product whose gradient with respect to its second input is wrong by a factor."""

    def product(x, y):
        a, b = value(x), value(y)
        return record(a * b, (x, lambda g: g * b), (y, lambda g: g * a * factor))

    return product


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.001, 2.0, np.nan])
def test_check_grad_finds_a_wrong_gradient_and_says_of_which_input(factor):
    x, y = np.array([1.0, -2.0, 3.0]), np.array([0.5, 2.0, -1.0])
    with pytest.raises(GradientError, match="input 1: the gradient says"):
        mn.check_grad(wrong_by(factor), x, y)
    assert mn.check_grad(wrong_by(1.0), x, y) < 1e-7


def test_check_grad_finds_one_wrong_element_among_many():
    def almost(x):
        wrong = np.ones((5, 5))
        wrong[3, 2] = 1.1
        return record(value(x) * 1.0, (x, lambda g: g * wrong))

    with pytest.raises(GradientError, match="input 0"):
        mn.check_grad(almost, np.ones((5, 5)))


def test_check_grad_refuses_other_dtypes_than_float64():
    for wrong in (np.ones(2, np.float32), np.ones(2, int)):
        with pytest.raises(SpecError, match=f"needs float64 inputs, got {wrong.dtype}"):
            mn.check_grad(ops.exp, wrong)


def test_check_grad_takes_single_numbers_and_empty_arrays():
    mn.check_grad(ops.multiply, np.array(2.0), np.ones(3))
    assert mn.check_grad(ops.exp, np.ones((0, 2))) == 0.0
