"""Tensor: what it takes, shows and refuses, its operators and methods."""

import operator

import numpy as np
import pytest

import minnet as mn
from minnet import DataError, MinnetError, Tensor
from minnet.autodiff import value

# --- what a Tensor is ---------------------------------------------------------------------


def test_python_numbers_become_float32_and_arrays_keep_their_dtype():
    assert Tensor(1.5).dtype == Tensor([1.5, 2.5]).dtype == np.float32
    assert Tensor(np.float64(1.5)).dtype == np.float64
    for dtype in (np.float16, np.float32, np.float64):
        assert Tensor(np.ones(2, dtype)).dtype == dtype


def test_a_tensor_holds_the_very_array_it_was_given():
    array = np.ones(3)
    assert Tensor(array).data is array
    assert value(Tensor(array)) is array


@pytest.mark.parametrize(
    ("data", "dtype"),
    [(3, "int64"), ([1, 2], "int64"), (np.array([True]), "bool"), (np.array(["a"]), "<U1"),
     (np.array([1 + 2j]), "complex128"), (np.array([None]), "object")],
)  # fmt: skip
def test_what_is_not_floating_point_is_refused(data, dtype):
    with pytest.raises(DataError, match=rf"needs floating-point numbers, got {dtype}") as caught:
        Tensor(data)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MinnetError)


def test_what_a_tensor_shows():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert x.T.shape == (3, 2)
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    assert [row.data.tolist() for row in x] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    one = Tensor([[2.5]])
    assert one.item() == 2.5
    assert isinstance(one.item(), float)
    assert float(Tensor(2.5)) == 2.5
    assert bool(Tensor(2.5))
    assert not bool(Tensor(0.0))


def test_a_tensor_is_not_changed_in_place():
    array = np.ones(3)
    x = Tensor(array)
    with pytest.raises(TypeError, match=r"can't be changed in place.*minnet\.ops\.where"):
        x[0] = 2.0
    before = x
    x += 1.0  # makes a new Tensor
    assert x is not before
    assert array.tolist() == [1.0, 1.0, 1.0]


def test_numpy_functions_are_refused_rather_than_cutting_the_gradient():
    for function in (np.asarray, np.linalg.norm, lambda x: np.array([x, x])):
        with pytest.raises(TypeError, match=r"minnet\.ops"):
            function(Tensor(np.ones(2)))
    for function in (np.exp, np.sum):
        with pytest.raises(TypeError):
            function(Tensor(np.ones(2)))


def test_a_tensor_is_no_key():
    with pytest.raises(TypeError, match="unhashable"):
        {Tensor(1.0): 1}


# --- operators ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
)
@pytest.mark.parametrize("other", [2, 2.0, np.float64(2), np.array([2.0, 3.0])], ids=repr)
def test_operators_from_either_side(op, other):
    array = np.array([[1.5, 2.0], [3.0, 0.5]])
    for function in (lambda x: op(x, other), lambda x: op(other, x)):
        assert isinstance(function(Tensor(array)), Tensor)
        assert function(Tensor(array)).data.tolist() == function(array).tolist()
        mn.check_grad(function, array)


def test_matrix_product_and_signs_as_operators():
    array, matrix = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([[2.0, 1.0], [1.0, -1.0]])
    for function in (lambda x: x @ matrix, lambda x: matrix @ x, lambda x: x @ x,
                     operator.neg, abs):  # fmt: skip
        assert function(Tensor(array)).data.tolist() == function(array).tolist()
        mn.check_grad(function, array)


def test_methods():
    array = np.array([[1.0, -2.0, 4.0], [0.5, 3.0, 7.0]])
    for function in (
        lambda x: x.sum(),
        lambda x: x.sum(axis=0, keepdims=True),
        lambda x: x.mean(axis=1),
        lambda x: x.max(axis=0),
        lambda x: x.min(),
        lambda x: x.reshape(3, 2),
        lambda x: x.reshape((-1, 2)),
        lambda x: x.reshape(-1),
        lambda x: x.transpose(),
        lambda x: x.transpose(1, 0),
        lambda x: x.T,
        lambda x: x[1, ::2],
    ):
        np.testing.assert_array_equal(function(Tensor(array)).data, function(array))
        mn.check_grad(function, array)


@pytest.mark.parametrize("op", [operator.eq, operator.ne, operator.lt, operator.le,
                                operator.gt, operator.ge])  # fmt: skip
def test_comparisons_give_plain_arrays_of_bool(op):
    array, other = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    expected = op(array, other).tolist()
    for x, y in [(Tensor(array), Tensor(other)), (Tensor(array), other), (array, Tensor(other))]:
        result = op(x, y)
        assert isinstance(result, np.ndarray)
        assert result.dtype == bool
        assert result.tolist() == expected
    assert op(Tensor(array), 2).tolist() == op(array, 2).tolist()
