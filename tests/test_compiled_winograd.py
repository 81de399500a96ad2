"""Winograd's convolution by 3 x 3 gives what the plain one gives, and is off by little more."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import off, on, same
from hypothesis import given
from hypothesis import strategies as st
from op_checks import awkward, seeds

import minnet as mn
from minnet import threads
from minnet.ops import winograd
from minnet.ops.conv import _correlate, _spread, _weight_gradient
from minnet.ops.sweep import Sweep
from minnet.threads import sharing

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

# Kernels take 16 channels at a time: of other numbers the last two blocks overlap.
CHANNELS = st.sampled_from([16, 17, 20, 33, 64])
EDGES = st.tuples(st.integers(0, 2), st.integers(0, 2))
# Sums of the products of 36 values round more than the 9 plain ones.
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}


def convolution(
    shape: tuple[int, ...], outputs: int, padding: Any, dtype: str, seed: int = 0
) -> tuple[Any, Any, Any, Sweep]:
    """Return an input, a weight, a gradient at the output, and how the window moves."""
    random = np.random.default_rng(seed)
    sweep = Sweep.over(shape, 3, 1, padding)
    shapes = shape, (3, 3, shape[-1], outputs), (shape[0], *sweep.positions, outputs)
    a, w, g = (random.normal(size=shape).astype(dtype) for shape in shapes)
    return a, w, g, sweep


@st.composite
def convolutions(draw: st.DrawFn, dtypes: Any = ("float32", "float64")) -> Any:
    """Draw one, of a size that tiles of 4 x 4 may or may not fit."""
    edges = draw(st.tuples(EDGES, EDGES))
    # As large as the window at least.
    sizes = [max(1, 3 - sum(edge)) + draw(st.integers(0, 9)) for edge in edges]
    shape = (draw(st.integers(1, 3)), *sizes, draw(CHANNELS))
    return convolution(shape, draw(CHANNELS), edges, draw(st.sampled_from(dtypes)), draw(seeds))


def all_three(a: Any, w: Any, g: Any, sweep: Sweep) -> list[Any]:
    """Return the output, the weight's gradient and the input's."""
    return [_correlate(a, w, sweep), _weight_gradient(a, g, sweep), _spread(g, w, sweep)]


def by_winograd(a: Any, w: Any, g: Any, sweep: Sweep, room: int, number: int) -> list[Any]:
    """Return the same, whether or not it promises to be quicker, in some room by some threads."""
    with on(), pytest.MonkeyPatch.context() as patch, sharing(number):
        patch.setattr(winograd, "_cost", lambda *_: 0.5)
        patch.setattr(winograd, "ROOM", room)
        patch.setattr(threads, "LEAST", 1e-9)
        assert winograd.suits(a, w.shape[-1], sweep)
        return all_three(a, w, g, sweep)


@given(convolutions(), st.sampled_from([1, 1 << 18, winograd.ROOM]), st.integers(1, 3))
def test_a_convolution_and_its_gradients(drawn: Any, room: int, number: int) -> None:
    with off():
        expected = all_three(*drawn)
    same(by_winograd(*drawn, room, number), expected, TOLERANCE[drawn[0].dtype.name])


@given(convolutions(["float64"]))
def test_arrays_that_are_read_only_and_scattered_in_memory(drawn: Any) -> None:
    *arrays, sweep = drawn
    with off():
        expected = all_three(*drawn)
    found = by_winograd(*map(awkward, arrays), sweep, winograd.ROOM, 1)
    same(found, expected, TOLERANCE["float64"])


@pytest.mark.parametrize("padding", [0, 1])
def test_float32_is_off_by_at_most_four_times_what_the_plain_way_is_off(padding: int) -> None:
    shape = (4, 18, 17, 32)
    single, double = (convolution(shape, 48, padding, dtype) for dtype in ("float32", "float64"))
    with off():
        exact, plain = all_three(*double), all_three(*single)
    found = by_winograd(*single, winograd.ROOM, 1)

    def error(result: Any, true: Any) -> float:
        return float(np.sqrt(((result - true) ** 2).mean() / (true**2).mean()))

    for one, other, true in zip(found, plain, exact, strict=True):
        assert one.dtype == np.float32
        assert 0 < error(one, true) < 4 * error(other, true)


def test_a_whole_op_with_bias_and_its_gradients_by_finite_differences() -> None:
    a, w, _, sweep = convolution((1, 5, 6, 17), 20, 1, "float64")
    bias = np.arange(20.0)

    def conv(*arrays: Any) -> Any:
        return mn.ops.conv(*arrays, padding=1)

    with off():
        expected = conv(a, w, bias)
    with on(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_cost", lambda *_: 0.5)
        assert winograd.suits(a, 20, sweep)
        same(conv(a, w, bias), expected, TOLERANCE["float64"])
        same(conv(a, w, np.repeat(bias, 2)[::2]), expected, TOLERANCE["float64"])
        mn.check_grad(conv, a, w, bias)


# --- when it is used --------------------------------------------------------------------------


def suits(shape: tuple[int, ...] = (8, 16, 16, 32), outputs: int = 32, **how: Any) -> bool:
    """Tell whether it is used for a convolution: with a window of 3 x 3 unless told otherwise."""
    a = np.zeros(shape, how.pop("dtype", "float32"))
    how = {"window": 3, "stride": 1, "padding": 1} | how
    return winograd.suits(a, outputs, Sweep.over(shape, **how))


@pytest.mark.parametrize(
    "otherwise",
    [
        {"stride": 2},
        {"stride": (1, 2)},
        {"dilation": 2},
        {"groups": 2},
        {"window": 5},
        {"window": (3, 1)},
        {"shape": (8, 64, 32), "padding": 1},
        {"shape": (8, 16, 16, 15)},
        {"outputs": 15},
        {"dtype": "float16"},
        {"dtype": "int32"},
        {"shape": (1, 2, 2, 32)},  # less than `LEAST` numbers
        {"shape": (64, 1, 1, 32)},  # a tile of 16 positions for each one
    ],
    ids=str,
)
def test_what_it_is_not_for(otherwise: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mn.ops.compiled, "reason_not", lambda: None)
    monkeypatch.setattr(mn.ops.compiled, "LEAST", 1000)
    assert suits()
    assert not suits(**otherwise)


def test_it_is_not_used_without_kernels() -> None:
    with off():
        assert not suits()


@pytest.mark.parametrize("channels", [32, 64])
@pytest.mark.parametrize("size", [8, 32])
def test_common_convolutions_are_done_so(channels: int, size: int) -> None:
    with on():
        assert suits((64, size, size, channels), channels)


def test_mixed_dtypes_come_out_as_by_numpy() -> None:
    a, w, g, sweep = convolution((2, 8, 8, 32), 32, 1, "float32")
    a, wide = a.astype("float64"), w.astype("float64")
    with off():
        expected = all_three(a, w, g, sweep)
    with on():
        assert winograd.suits(a, 32, sweep)
        found = all_three(a, w, g, sweep)
        same(_correlate(a, wide, sweep), expected[0], 1e-6)
    same(found, expected, 1e-5)
