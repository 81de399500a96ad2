"""Batch normalization with compiled kernels gives what it gives with NumPy alone."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import TOLERANCE, both, differentiated, off, on, same
from hypothesis import given
from hypothesis import strategies as st
from op_checks import awkward, seeds

import minnet as mn
from minnet import threads
from minnet.ops import compiled
from minnet.threads import in_parts

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

DTYPES = st.sampled_from(["float32", "float64"])


@st.composite
def batches(draw: st.DrawFn) -> list[np.ndarray]:
    """Draw an input (..., C), also one of more positions than a block has, a scale and a shift."""
    lead = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3) | st.just([300]))
    channels = draw(st.sampled_from([1, 3, 8, 17]))
    dtype, random = draw(DTYPES), np.random.default_rng(draw(seeds))
    x = random.normal(3, 2, (*lead, channels))
    vectors = (random.normal(size=channels) for _ in range(2))
    return [array.astype(dtype) for array in (x, *vectors)]


def normalized_by_the_batch(*given: Any) -> Any:
    return mn.ops.batch_norm(*given, epsilon=0.1)[0]


def normalized_by_known(x: Any, scale: Any, shift: Any) -> Any:
    channels = x.shape[-1]
    known = np.linspace(-1, 1, channels), np.linspace(0.5, 2, channels)
    return mn.ops.normalize(x, *(each.astype(x.dtype) for each in known), scale, shift, 0.1)


OPS = st.sampled_from([normalized_by_the_batch, normalized_by_known])


@given(OPS, batches(), st.booleans())
def test_value_and_gradients(op: Any, arrays: list[np.ndarray], is_awkward: bool) -> None:
    # A sum of 300 rounds more than the 1e-5 or so that is left of each number.
    tolerance = 10 * TOLERANCE[arrays[0].dtype.name]
    given = map(awkward, arrays) if is_awkward else arrays
    same(*both(differentiated, op, *given), tolerance)


@given(batches())
def test_statistics(arrays: list[np.ndarray]) -> None:
    found, expected = both(lambda *given: list(mn.ops.batch_norm(*given))[1:], *arrays)
    same(found, expected)
    x = arrays[0].astype("float64")
    axes = tuple(range(x.ndim - 1))
    np.testing.assert_allclose(found[0], x.mean(axes), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], x.var(axes), rtol=1e-4, atol=1e-5)


@given(OPS, batches())
def test_gradients_by_finite_differences(op: Any, arrays: list[np.ndarray]) -> None:
    with on() as answers:
        mn.check_grad(op, *(array.astype("float64") for array in arrays))
    assert True in answers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("least", [1, 100])
def test_a_batch_that_threads_share(dtype: str, least: int, random: np.random.Generator) -> None:
    # With a least size of 100 the first part, of 90 elements, is left to NumPy; the means of the
    # parts are far apart.
    x = (random.normal(size=(100, 3)) + np.arange(100)[:, None]).astype(dtype)
    scale, shift = (random.normal(size=3).astype(dtype) for _ in range(2))
    g = random.normal(size=x.shape).astype(dtype)
    inputs = tuple(map(mn.Tensor, (scale, shift)))

    def work(part: slice) -> list[np.ndarray]:
        tensor = mn.Tensor(x[part])
        y, mean, variance = mn.ops.batch_norm(tensor, *inputs)
        return [y.data, mean, variance, *mn.gradients(y, [tensor, *inputs], g[part])]

    with off():
        y, mean, variance, by_x, *others = work(slice(None))
    with on() as answers, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "LEAST", least)
        patch.setattr(threads, "LEAST", 1e-9)
        first, second = in_parts(work, [slice(0, 30), slice(30, 100)])
    assert set(answers) == ({True, False} if least == 100 else {True})
    tolerance = 20 * TOLERANCE[dtype]
    same(np.concatenate([first[0], second[0]]), y, tolerance)
    same(np.concatenate([first[3], second[3]]), by_x, tolerance)
    for one in (first, second):
        same(one[1:3], [mean, variance], tolerance)
    same([a + b for a, b in zip(first[4:], second[4:], strict=True)], others, tolerance)


def test_a_large_mean_costs_little_precision_in_float32(random: np.random.Generator) -> None:
    x = random.normal(1000, 1, (2000, 8)).astype("float32")
    one, zero = np.ones(8, "float32"), np.zeros(8, "float32")
    with on() as answers:
        y, mean, variance = mn.ops.batch_norm(x, one, zero)
    assert True in answers
    wide = x.astype("float64")
    np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, wide.var(0), rtol=1e-4)
    np.testing.assert_allclose(y, (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5), atol=1e-3)


def test_a_constant_channel_becomes_the_shift() -> None:
    with on() as answers:
        y, _, variance = mn.ops.batch_norm(np.full((500, 1), 3.0), np.ones(1), np.full(1, 7.0))
    assert True in answers
    assert variance == 0
    assert (y == 7).all()


def test_not_a_number_spoils_its_channel_alone(random: np.random.Generator) -> None:
    x = random.normal(size=(20, 3))
    x[4, 1] = np.nan
    found, expected = both(differentiated, normalized_by_the_batch, x, np.ones(3), np.ones(3))
    same(found, expected)
    assert np.isnan(found[0][:, 1]).all()
    assert np.isfinite(found[0][:, [0, 2]]).all()


@pytest.mark.parametrize("wrong", ["float16", "int64"])
def test_other_dtypes_come_out_as_by_numpy(wrong: str) -> None:
    x = np.arange(12).reshape(4, 3).astype(wrong)
    vectors = (np.ones(3, "float16" if wrong == "float16" else "float32"),) * 2
    with off():
        expected = list(mn.ops.batch_norm(x, *vectors))
    with on():
        found = list(mn.ops.batch_norm(x, *vectors))
    same(found, expected, 1e-2)
