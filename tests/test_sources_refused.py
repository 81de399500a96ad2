"""Sources: data that training refuses, each with what to do about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnet.data import Dataset, check_finite, make_source
from minnet.errors import DataError

X = np.arange(12.0).reshape(6, 2)
Y = np.array(["a", "b", "a", "b", "a", "b"])


# --- examples ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, Y[:4]), "6 inputs and 4 labels"),
        ({"input": X[:2], "output": Y}, "2 inputs and 6 labels"),
        ((X[:0], Y[:0]), "there are no inputs"),
        (([], []), "there are no inputs"),
        ([], "there are no examples"),
        ({}, "no data for port 'input'"),
        ((X,), "tuple of 1"),
        ((X, Y, Y), "tuple of 3"),
        ((X.astype(object), Y), r"inputs: an array of dtype object .*astype\(float\)"),
        ((X, Y.astype(object)), r"labels: an array of dtype object .*astype\(str\)"),
        ((X, [None] * 6), "labels.*object"),
        ((Y, Y), "inputs.*encoder"),
        ((["a.png"] * 6, Y), "inputs.*encoder"),
        ((Y.astype("S1"), Y), "inputs.*S1"),
        ((X * 1j, Y), "complex128"),
        ((X.astype("M8[s]"), Y), "datetime64"),
        (([[1, 2], [3, 4], [5]], [0, 1, 0]), r"example 0 has \(2,\) and example 2 has \(1,\)"),
        (([[[1], [2, 3]], [[1], [2, 3]]], [0, 1]), "no array"),
        ((X, ["a", 1, "a", 1, "a", 1]), "labels.*mixed"),
        ((3.0, Y), "inputs: expected an array or a list of examples, got float"),
        ((np.float64(3.0), Y), "a single value"),
        ((X, "abcdef"), "labels.*got str"),
        ((X, None), "labels.*got NoneType"),
        (X, "ndarray without labels"),
        ("x.npy", "got str"),
        (None, "got NoneType"),
        (7, "got int"),
        ([X, Y], r"item 0 is a ndarray.*\(x, y\)"),
        ([(X[0], "a"), X[1]], "item 1"),
        ([({"input": X[0]}, "a"), (X[1], "b")], "example 1"),
        ({"input": X, "outputs": Y}, "unknown port 'outputs'.*'input'.*'output'"),
        ({"input": X}, "no data for port 'output'"),
        (({"inptu": X}, Y), "expected data for input 'input', got 'inptu'"),
        (Dataset(list("abcdef"), Y), "encoder"),
        (Dataset([Path("a"), Path("b")], [0, 1]), "object"),
    ],
)
def test_refused(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_source(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, Y), "inputs 'left', 'right'.*got ndarray"),
        (({"left": X}, Y), "'left', 'right', got 'left'"),
        ({"left": X, "right": X, "middle": X, "kind": Y}, "unknown port 'middle'.*'left'.*'kind'"),
        ({"left": X, "input": X, "kind": Y}, "unknown port 'input'"),
        ({"left": X, "kind": Y}, "no data for port 'right'"),
        ({"left": X, "right": X[:3], "kind": Y}, "'left' has 6, 'right' has 3, 'kind' has 6"),
        ({"left": X, "right": Y, "kind": Y}, "input 'right'.*encoder"),
        (Dataset(X, Y), "inputs 'left', 'right'"),
    ],
)
def test_refused_for_several_ports(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_source(data, inputs=("left", "right"), outputs=("kind",))


# --- batches ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: [], "no batches came"),
        (iter([]), "no batches came"),
        (lambda: 3, "return an iterable.*got int"),
        (lambda: None, "NoneType"),
        (iter([X]), r"expected \(x, y\)"),
        (iter([(X, Y, Y)]), "tuple of 3"),
        (iter([(X, Y[:4])]), "6 inputs and 4 labels"),
        (iter([(X[:0], Y[:0])]), "there are no inputs"),
        (iter([(Y, Y)]), "encoder"),
        (iter([{"input": X}]), "no data for port 'output'"),
        (range(3), r"expected \(x, y\)"),
    ],
)
def test_streams_refused(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(make_source(data).batches())


# --- numbers that are none --------------------------------------------------------------


@given(st.integers(0, 5), st.integers(0, 1), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_the_first_example_that_is_not_finite_is_named(i: int, j: int, bad: float) -> None:
    x = X.copy()
    x[i, j] = bad
    x[5, 1] = bad
    kind = "NaN" if np.isnan(bad) else "infinity"
    with pytest.raises(DataError, match=f"the inputs: example {i} has {kind}"):
        check_finite(x, "the inputs")
    with pytest.raises(DataError, match=f"example {10 * i} has"):
        check_finite(x, "the inputs", np.arange(0, 60, 10))


def test_infinities_that_cancel_out_are_found() -> None:
    with pytest.raises(DataError, match="example 1 has infinity"):
        check_finite(np.array([0, np.inf, -np.inf]), "labels")


def test_numbers_whose_sum_overflows_are_finite() -> None:
    check_finite(np.full((9, 9), 6e4, dtype=np.float16), "inputs")
    check_finite(np.full(9, 3e38, dtype=np.float32), "inputs")


def test_what_is_always_finite() -> None:
    for x in (np.arange(3), Y, np.array([True]), ["a"], None, np.zeros((0, 3))):
        check_finite(x, "inputs")
