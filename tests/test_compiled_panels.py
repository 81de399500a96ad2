"""Products by panels: what NumPy gives, to the same bits whichever thread does a panel."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import same
from hypothesis import given
from hypothesis import strategies as st

from minnet.ops.compiled.jit import kernel
from minnet.ops.compiled.panels import numbers_in, product_by_panels
from minnet.ops.compiled.team import end, give_word, share_stages

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}


@kernel
def whole(
    turn: Any,
    rooms: np.ndarray,
    is_turned: bool,
    sizes: tuple[int, int, int],
    places: tuple[int, int, int],
    bias: int,
    is_ramp: bool,
) -> None:
    """Write a product."""
    give_word(turn)
    product_by_panels(turn, rooms[turn[1]], is_turned, sizes, places, bias, is_ramp)
    end(turn)


def by_panels(parts: int, a: Any, b: Any, is_turned: bool, bias: Any, is_ramp: bool) -> Any:
    """Return a product; what stands beside it stays."""
    (m, k), n = a.shape, b.shape[0 if is_turned else 1]
    around = np.full(m * n + 40, 7, a.dtype)
    out = around[20 : 20 + m * n].reshape(m, n)
    rooms = np.full((parts, numbers_in(a.itemsize, m, k)), np.nan, a.dtype)
    places = tuple(int(array.ctypes.data) for array in (a, b, out))
    beside = 0 if bias is None else int(bias.ctypes.data)
    share_stages(parts, whole, rooms, is_turned, (m, n, k), places, beside, is_ramp)
    assert (around[:20] == 7).all() and (around[20 + m * n :] == 7).all()
    return out


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 120), st.integers(1, 40)),
    st.sampled_from(["float32", "float64"]),
    st.tuples(*[st.booleans()] * 3),
)
def test_products_are_those_of_numpy(
    sizes: tuple[int, int, int], dtype: str, choices: tuple[bool, bool, bool]
) -> None:
    (m, n, k), (is_turned, has_bias, is_ramp), random = sizes, choices, np.random.default_rng(7)
    a = random.normal(size=(m, k)).astype(dtype)
    b = random.normal(size=(n, k) if is_turned else (k, n)).astype(dtype)
    bias = random.normal(size=n).astype(dtype) if has_bias else None
    expected = a @ (b.T if is_turned else b) + (0 if bias is None else bias)
    expected = np.maximum(expected, 0) if is_ramp else expected
    for parts in (1, 2, 3):
        found = by_panels(parts, a, b, is_turned, bias, is_ramp)
        same(found, expected.astype(dtype), TOLERANCE[dtype])
        again = by_panels(parts, a, b, is_turned, bias, is_ramp)
        assert found.tobytes() == again.tobytes()


@pytest.mark.parametrize("is_turned", [False, True])
def test_what_is_not_a_number_stays_so_and_only_where_it_belongs(is_turned: bool) -> None:
    a, b = np.ones((9, 30)), np.ones((30, 70))
    a[4, 7], b[0, 33] = np.nan, np.inf
    found = by_panels(2, a, b.T.copy() if is_turned else b, is_turned, None, True)
    same(found, np.maximum(a @ b, 0))
