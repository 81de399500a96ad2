"""Convolution with compiled kernels gives what it gives with NumPy alone."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import both, differentiated, off, on, same, same_both_ways
from hypothesis import assume, given
from hypothesis import strategies as st
from op_checks import awkward
from window_references import convolutions

import minnet as mn
from minnet.ops.compiled import team
from minnet.ops.conv import _correlate, _spread, _weight_gradient
from minnet.ops.sweep import Sweep
from minnet.threads import sharing

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

DTYPES = st.sampled_from(["float32", "float64"])
drawn_with_dtype = DTYPES.flatmap(convolutions)


def all_three(a: Any, w: Any, g: Any, sweep: Sweep) -> list[Any]:
    """Return the output, the weight's gradient and the input's."""
    return [_correlate(a, w, sweep), _weight_gradient(a, g, sweep), _spread(g, w, sweep)]


@given(drawn_with_dtype)
def test_a_convolution_and_its_gradients(drawn: tuple[Any, Any, Any, Sweep]) -> None:
    same(*both(all_three, *drawn))


@given(drawn_with_dtype, st.integers(2, 4))
def test_threads_share_the_images(drawn: tuple[Any, Any, Any, Sweep], count: int) -> None:
    with off():
        expected = all_three(*drawn)
    with pytest.MonkeyPatch.context() as patch, sharing(count), on() as answers:
        patch.setattr(team, "LEAST", 1e-9)
        patch.setattr(team, "cores", lambda: count)
        found = all_three(*drawn)
    assert True in answers
    same(found, expected)


@given(drawn_with_dtype)
def test_arrays_that_are_read_only_and_scattered_in_memory(
    drawn: tuple[Any, Any, Any, Sweep],
) -> None:
    *arrays, sweep = drawn
    with off():
        expected = all_three(*arrays, sweep)
    with on() as answers:
        found = all_three(*map(awkward, arrays), sweep)
    assert True in answers
    same(found, expected)


@given(drawn_with_dtype, st.booleans())
def test_whole_ops_with_bias(drawn: tuple[Any, Any, Any, Sweep], is_turned: bool) -> None:
    a, w, g, sweep = drawn
    options = {"stride": sweep.stride, "padding": sweep.edges}
    if not is_turned:
        bias = np.arange(w.shape[-1]).astype(w.dtype)
        same_both_ways(lambda *arrays: mn.ops.conv(*arrays, **options), a, w, bias)
        return
    # The gradient at the output of a convolution is an input that its transpose can take.
    moved = zip(sweep.positions, sweep.stride, sweep.window, sweep.edges, strict=True)
    assume(all((n - 1) * s + k > sum(edges) for n, s, k, edges in moved))
    w = w.swapaxes(-1, -2)
    bias = np.arange(w.shape[-1]).astype(w.dtype)
    same_both_ways(lambda *arrays: mn.ops.deconv(*arrays, **options), g, w, bias)


@pytest.mark.parametrize("dilation, groups", [(2, 1), (1, 2), (2, 2)])
def test_groups_and_dilation(dilation: int, groups: int, random: np.random.Generator) -> None:
    x, w = random.normal(size=(2, 9, 8, 4)), random.normal(size=(3, 2, 4 // groups, 6))
    bias = random.normal(size=6)
    options = {"stride": (1, 2), "padding": 1, "dilation": dilation, "groups": groups}
    same_both_ways(lambda *arrays: mn.ops.conv(*arrays, **options), x, w, bias)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("int64", "float32", "float32"),
        ("float32", "float64", "float32"),
        ("float32", "float32", "float64"),
        ("float64", "float32", "int32"),
        ("uint8", "uint8", "uint8"),
    ],
)
def test_mixed_dtypes_come_out_as_by_numpy(
    dtypes: tuple[str, ...], random: np.random.Generator
) -> None:
    shapes = (2, 9, 9, 3), (3, 3, 3, 4), (4,)
    arrays = [random.integers(0, 9, s).astype(d) for s, d in zip(shapes, dtypes, strict=True)]
    with off():
        expected = mn.ops.conv(*arrays, padding=1)
    with on():
        found = mn.ops.conv(*arrays, padding=1)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)  # sums of small whole numbers are exact


@given(convolutions())
def test_gradients_by_finite_differences(drawn: tuple[Any, Any, Any, Sweep]) -> None:
    a, w, _, sweep = drawn
    options = {"stride": sweep.stride, "padding": sweep.edges}
    bias = np.arange(w.shape[-1], dtype="float64")
    with on() as answers:
        mn.check_grad(lambda *arrays: mn.ops.conv(*arrays, **options), a, w, bias)
    assert True in answers


# --- activations -----------------------------------------------------------------------------

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40]


@given(DTYPES, st.lists(st.sampled_from(SPECIAL), min_size=1, max_size=20), st.booleans())
def test_ramp(dtype: str, numbers: list[float], is_awkward: bool) -> None:
    x = np.array(numbers, dtype).reshape(1, -1)
    x = awkward(x) if is_awkward else x
    found, expected = both(differentiated, mn.ops.ramp, x)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_the_gradient_of_ramp_by_finite_differences(random: np.random.Generator) -> None:
    x = random.uniform(0.1, 2, (3, 4)) * random.choice([-1.0, 1.0], (3, 4))
    with on() as answers:
        mn.check_grad(mn.ops.ramp, x)
    assert True in answers


@pytest.mark.parametrize("dilation", [1, 2])
def test_many_channels_and_positions(dilation: int, random: np.random.Generator) -> None:
    # Vectors of outputs, and more positions than are near at once; Winograd's way suits it, too.
    x, w = random.normal(size=(2, 19, 18, 16)), random.normal(size=(3, 3, 16, 70))
    bias = random.normal(size=70)
    options = {"padding": dilation, "dilation": dilation}
    same_both_ways(lambda *a: mn.ops.conv(*a, **options), x, w, bias, tolerance=1e-11)
