"""Pooling by the largest with a compiled kernel gives what it gives with NumPy, bit for bit."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import both, differentiated, off, on
from hypothesis import given
from hypothesis import strategies as st
from op_checks import awkward, distinct, seeds
from window_references import windows

import minnet as mn

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

DTYPES = st.sampled_from(["float32", "float64"])
SPECIAL = [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0]


@st.composite
def poolings(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Draw the shape of an input, the window and how it moves."""
    sizes, window, options = draw(windows(dilated=False, partial=True))
    shape = (draw(st.integers(1, 3)), *sizes, draw(st.sampled_from([1, 3, 17])))
    return shape, {"window": window} | options


def pooled(x: np.ndarray, options: dict[str, Any]) -> list[np.ndarray]:
    """Return the result for an array, that for a Tensor, and the gradient."""
    plain = mn.ops.max_pool(x, **options)
    return [plain, *differentiated(lambda x: mn.ops.max_pool(x, **options), x)]


def same_bits(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Check that arrays are alike, whatever sign zeros and what is not a number may have."""
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, type(one)) == (other.dtype, type(other))
        np.testing.assert_array_equal(one, other)


@given(poolings(), DTYPES, seeds, st.booleans())
def test_any_window(drawn: Any, dtype: str, seed: int, is_awkward: bool) -> None:
    shape, options = drawn
    x = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    found, expected = both(pooled, awkward(x) if is_awkward else x, options)
    # Where windows overlap, the order in which gradients are added is another.
    same_bits(found[:2], expected[:2])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-6, atol=1e-6)


@given(poolings(), DTYPES, st.data())
def test_the_winner_is_the_same_whatever_the_numbers(drawn: Any, dtype: str, data: Any) -> None:
    shape, options = drawn
    count = int(np.prod(shape))
    palette = data.draw(st.sampled_from([SPECIAL, [-np.inf], [-np.inf, np.nan], [1.0, 2.0]]))
    random = np.random.default_rng(data.draw(seeds))
    x = random.choice(palette, count).reshape(shape).astype(dtype)

    def winners(x: np.ndarray) -> list[np.ndarray]:
        tensor = mn.Tensor(x)
        y = mn.ops.max_pool(tensor, **options)
        # Powers of 2 tell which windows an element has won, in whatever order they are added.
        powers = 2.0 ** (np.arange(y.size) % 20).reshape(y.shape)
        return [y.data, *mn.gradients(y, [tensor], powers.astype(y.dtype))]

    same_bits(*both(winners, x))


def test_not_a_number_is_passed_on_and_the_first_of_the_largest_wins() -> None:
    nan = np.nan
    x = np.array([[1, nan, 2], [nan, 5, 5], [-np.inf, -np.inf, -np.inf], [-1, 3, 3]], "float32")
    found, expected = both(pooled, x.reshape(1, -1, 1), {"window": 3})
    same_bits(found, expected)
    assert np.isnan(found[0][0, :, 0]).tolist() == [True, True, False, False]
    assert found[0][0, 2:, 0].tolist() == [-np.inf, 3]
    won = found[2].reshape(4, 3) != 0
    assert won[2:].tolist() == [[True, False, False], [False, True, False]]


def test_padding_wins_over_nothing_but_minus_infinity() -> None:
    x = np.full((1, 2, 2, 1), -np.inf, "float32")
    x[0, 1, 1, 0] = -5
    found, expected = both(pooled, x, {"window": 3, "stride": 1, "padding": 1})
    same_bits(found, expected)
    assert (found[0] == -5).all()


@pytest.mark.parametrize("window", [(16, 16), (1, 256), (17, 18)])
def test_windows_of_as_many_elements_as_a_byte_can_count_and_more(
    window: tuple[int, int], random: np.random.Generator
) -> None:
    x = distinct(random, (2, window[0], window[1] * 2, 3), 0)
    with off():
        expected = pooled(x, {"window": window})
    with on():
        same_bits(pooled(x, {"window": window}), expected)


def test_three_axes_are_left_to_numpy(random: np.random.Generator) -> None:
    x = distinct(random, (1, 4, 5, 4, 2), 0)
    with off():
        expected = mn.ops.max_pool(x, 2)
    with on():
        assert np.array_equal(mn.ops.max_pool(x, 2), expected)


@given(poolings(), seeds)
def test_gradients_by_finite_differences(drawn: Any, seed: int) -> None:
    shape, options = drawn
    x = distinct(np.random.default_rng(seed), shape, 0)
    with on() as answers:
        mn.check_grad(lambda x: mn.ops.max_pool(x, **options), x)
    assert True in answers


def test_a_gradient_that_is_the_same_everywhere(random: np.random.Generator) -> None:
    x = random.normal(size=(2, 6, 6, 3))

    def mean_of_largest(x: Any) -> list[np.ndarray]:
        tensor = mn.Tensor(x)
        return mn.gradients(mn.ops.mean(mn.ops.max_pool(tensor, 2)), [tensor])

    same_bits(*both(mean_of_largest, x))
