"""Products of matrices whose rows lie anywhere in memory: what NumPy gives after copying them."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import same
from hypothesis import given
from hypothesis import strategies as st

import minnet as mn
from minnet.ops.compiled import table
from minnet.ops.sweep import Sweep

tile = pytest.importorskip("minnet.ops.compiled.tile")
pytest.importorskip("numba", reason="the kernels are compiled by Numba")

DTYPES = st.sampled_from(["float32", "float64"])


def place(array: Any) -> int:
    return int(array.ctypes.data)


def multiplied(a: Any, rows: Any, steps: Any, b: Any, out: Any, places: Any, adds: bool) -> None:
    """Call the kernel for arrays and lists of offsets into them."""
    rows, steps, places = (np.array(offsets, np.int64) for offsets in (rows, steps, places))
    given = place(a), place(rows), len(rows), place(steps), len(steps), place(b), b.shape[1]
    to = place(out), place(places), b.shape[1], adds
    tile.multiply(a.dtype.type(0), *given, *to)


@given(st.data(), DTYPES, st.integers(1, 20), st.integers(1, 9), st.integers(1, 60), st.booleans())
def test_rows_and_steps_stand_anywhere(
    data: Any, dtype: str, count: int, length: int, columns: int, adds: bool
) -> None:
    random = np.random.default_rng(count)
    a, b = random.normal(size=50).astype(dtype), random.normal(size=(length, columns)).astype(dtype)
    rows = data.draw(st.lists(st.integers(0, 25), min_size=count, max_size=count))
    steps = data.draw(st.lists(st.integers(0, 24), min_size=length, max_size=length))
    out = random.normal(size=(count, columns + 3)).astype(dtype)
    expected = out.copy()
    product = a[np.add.outer(rows, steps)] @ b
    expected[:, :columns] = expected[:, :columns] + product if adds else product
    multiplied(a, rows, steps, b, out, np.arange(count) * (columns + 3), adds)
    same(out, expected, 1e-4 if dtype == "float32" else 1e-12)  # what lies beside stays


@given(DTYPES, st.integers(1, 20), st.integers(1, 40))
def test_rows_that_share_numbers_are_added_up(dtype: str, count: int, columns: int) -> None:
    random = np.random.default_rng(columns)
    a, b = random.normal(size=(count, 3)).astype(dtype), random.normal(size=(3, columns))
    out, expected = np.zeros(count + columns, dtype), np.zeros(count + columns)
    for i, row in enumerate(a.astype(float) @ b):
        expected[i : i + columns] += row
    multiplied(a, np.arange(count) * 3, range(3), b.astype(dtype), out, range(count), True)
    same(out, expected.astype(dtype), 1e-4 if dtype == "float32" else 1e-12)


def test_nothing_is_read_beyond_the_end(random: np.random.Generator) -> None:
    # NaN stands where a whole vector would reach.
    b = np.full(4 * 18 + 64, np.nan, np.float32)
    b[: 4 * 18] = random.normal(size=4 * 18)
    a, out = np.ones((3, 4), np.float32), np.full(3 * 18 + 64, 7, np.float32)
    multiplied(a, [0, 4, 8], range(4), b[: 4 * 18].reshape(4, 18), out, [0, 18, 36], False)
    assert np.isfinite(out).all() and (out[3 * 18 :] == 7).all()


def test_offsets_are_those_of_a_padded_dilated_convolution(random: np.random.Generator) -> None:
    x, weight = random.normal(size=(1, 6, 7, 2)), random.normal(size=(2, 3, 2, 4))
    moves = {"stride": (1, 2), "padding": ((1, 0), (2, 1)), "dilation": (2, 1)}
    sweep = Sweep.over(x.shape, (2, 3), **moves)
    padded, found = sweep.pad(x).reshape(-1), table.offsets(sweep, 4)
    count, taps = int(np.prod(sweep.positions)), 12
    positions, seen = found[:count], found[count : count + taps]
    y = padded[np.add.outer(positions, seen)] @ weight.reshape(taps, 4)
    same(y.reshape(1, *sweep.positions, 4), mn.ops.conv(x, weight, **moves))
