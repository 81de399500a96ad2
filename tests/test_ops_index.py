"""Ops that pick elements: indices of every kind, and embedding."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_checks import Case, anything, op_tests, same, seeds, shapes

import minnet as mn
from minnet import DataError, ShapeError, Tensor, ops

a23 = np.arange(6.0).reshape(2, 3)


@given(shape=shapes(min_dims=1), data=st.data(), seed=seeds)
def test_basic_indices(shape, data, seed):
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    check_index(shape, index, seed)


@given(shape=shapes(min_dims=1, min_side=1), data=st.data(), seed=seeds)
def test_arrays_of_numbers_as_indices(shape, data, seed):
    check_index(shape, data.draw(hnp.integer_array_indices(shape)), seed)


@given(shape=shapes(), data=st.data(), seed=seeds)
def test_masks_as_indices(shape, data, seed):
    check_index(shape, data.draw(hnp.arrays(bool, shape)), seed)


mixed = [
    (slice(None), [0, 0, 2]),
    ([1, 0], ..., None),
    (None, [[0], [1]], [[0, 2]]),
    (np.array([True, False]), slice(1, None)),
    (0, np.array([True, False, True])),
    ([], slice(None)),
    np.int64(-1),
    (np.uint8(1), -1),
    True,
    False,
    np.newaxis,
    ...,
    (),
]


@pytest.mark.parametrize("index", mixed, ids=str)
def test_indices_of_all_kinds_together(index):
    check_index((2, 3), index, seed=0)


def check_index(shape, index, seed):
    x = np.asarray(anything(np.random.default_rng(seed), shape, 0))
    same(ops.getitem(x, index), x[index])
    mn.check_grad(lambda x: ops.getitem(x, index), x)
    single = Tensor(x.astype(np.float32))
    picked = single[index]
    (gradient,) = mn.gradients(picked, [single], np.ones(picked.shape))
    counts = np.zeros(shape)
    np.add.at(counts, index, 1)
    assert gradient.dtype == np.float32
    same(gradient, counts)


def test_a_repeated_index_adds_up():
    x = Tensor(np.array([1.0, 2.0, 3.0]))
    (gradient,) = mn.gradients(x[[0, 2, 0, 0]], [x], [1.0, 10.0, 100.0, 1000.0])
    assert gradient.tolist() == [1101.0, 0.0, 10.0]


@pytest.mark.parametrize(
    "index",
    [2, (0, 3), (0, 0, 0), [0, 5], 0.5, "a", np.array([0.5]), np.array([True, False, True]),
     ([0, 1], [0, 1, 2]), (..., ...)],
    ids=str,
)  # fmt: skip
def test_indices_that_do_not_fit_are_refused(index):
    for x in (a23, Tensor(a23)):
        with pytest.raises(ShapeError, match=r"the index doesn't fit shape \(2, 3\)"):
            ops.getitem(x, index)


def test_a_slice_keeps_only_the_shape_of_its_input_for_its_gradient():
    array = np.ones((2, 3))
    watch = weakref.ref(array)
    taken = Tensor(array)[np.array([0, 1, 1])]  # a copy, not a view of the array
    del array
    gc.collect()
    assert watch() is None
    assert taken.shape == (3, 3)


# --- embedding ----------------------------------------------------------------------------

rows = np.array([[2, 0], [2, 2]])
TestEmbedding = op_tests(
    lambda table: ops.embedding(table, rows),
    lambda table: table[rows],
    cases=st.sampled_from([Case(((3, 2),)), Case(((4,),)), Case(((3, 2, 2),)), Case(((3, 0),))]),
)


@pytest.mark.host
@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 3], "index 3 is outside the embedding's 3 rows"),
        ([-1, 0], "index -1 is outside"),
        ([0.0, 1.0], "whole numbers, got float64"),
        ([True], "whole numbers, got bool"),
        (["a"], "whole numbers, got <U1"),
    ],
)
def test_an_embedding_refuses_indices_that_name_no_row(indices, message):
    with pytest.raises(DataError, match=message):
        ops.embedding(np.zeros((3, 2)), indices)
    with pytest.raises(DataError, match=message):
        ops.embedding(Tensor(np.zeros((3, 2))), np.array(indices))


def test_an_embedding_of_no_indices_and_of_one():
    table = np.arange(6.0).reshape(3, 2)
    assert ops.embedding(table, np.zeros((2, 0), int)).shape == (2, 0, 2)
    assert ops.embedding(table, 2).tolist() == [4.0, 5.0]
    assert ops.embedding(table, np.uint8(1)).tolist() == [2.0, 3.0]


def test_an_embedding_needs_a_table():
    with pytest.raises(ShapeError, match="at least one axis"):
        ops.embedding(np.array(1.0), [0])
