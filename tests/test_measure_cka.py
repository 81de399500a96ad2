"""Linear CKA against its definition, closed forms, and what must not change it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minnet as mn
from minnet.measure import CKA, cka

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(5, 40)
sizes = st.integers(1, 12)
either = pytest.mark.parametrize("unbiased", [False, True])


def drawn(seed, count, *sizes):
    """Features with something in common, not centred, on different scales."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(count, 2))
    return [
        common @ random.normal(size=(2, size)) + random.normal(size=(count, size)) + 3
        for size in sizes
    ]


def reference_hsic(x, y):
    n = len(x)
    h = np.eye(n) - np.ones((n, n)) / n
    return np.trace(x @ x.T @ h @ y @ y.T @ h) / (n - 1) ** 2


def reference_unbiased_hsic(x, y):
    """The U-statistic: the mean of K_ij (L_ij + L_qr - 2 L_iq) over four distinct examples."""
    k, l = x @ x.T, y @ y.T  # noqa: E741
    terms = [
        k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
        for i, j, q, r in itertools.permutations(range(len(x)), 4)
    ]
    return math.fsum(terms) / len(terms)


def reference_cka(x, y, hsic):
    return hsic(x, y) / math.sqrt(hsic(x, x) * hsic(y, y))


def quiet(x, y, unbiased=False):
    """CKA without the warning about few examples."""
    if not unbiased and len(x) <= max(x.shape[1], y.shape[1]):
        with pytest.warns(mn.MinnetWarning, match="examples for"):
            return cka(x, y)
    return cka(x, y, unbiased)


def rotation(random, size):
    return np.linalg.qr(random.normal(size=(size, size)))[0]


@given(seeds, st.integers(2, 30), sizes, sizes)
def test_cka_is_what_the_definition_says(seed, count, size_x, size_y):
    x, y = drawn(seed, count, size_x, size_y)
    assert quiet(x, y) == pytest.approx(reference_cka(x, y, reference_hsic), rel=1e-9)


@pytest.mark.parametrize("size", [1, 3, 9])  # 9 goes by way of the Gram matrices
def test_unbiased_cka_is_the_ratio_of_u_statistics(size):
    x, y = drawn(size, 7, size, size + 1)
    expected = reference_cka(x, y, reference_unbiased_hsic)
    assert cka(x, y, unbiased=True) == pytest.approx(expected, rel=1e-9)


@given(seeds, counts)
def test_of_single_features_it_is_the_squared_correlation(seed, count):
    x, y = drawn(seed, count, 1, 1)
    assert cka(x, y) == pytest.approx(np.corrcoef(x.T, y.T)[0, 1] ** 2, rel=1e-9)


@pytest.mark.parametrize(("size_x", "size_y", "shared"), [(3, 3, 2), (5, 2, 1), (4, 4, 0)])
def test_of_subspaces_it_is_how_much_they_share(random, size_x, size_y, shared):
    total = size_x + size_y - shared
    values = random.normal(size=(40, total))
    basis = np.linalg.qr(values - values.mean(0))[0]
    x, y = basis[:, :size_x], basis[:, size_x - shared :]
    expected = shared / math.sqrt(size_x * size_y)
    assert cka(x, y) == pytest.approx(expected, abs=1e-12)


@either
@given(seed=seeds, count=counts, size=sizes, log_scale=st.floats(-6, 6))
def test_rotated_scaled_and_shifted_features_are_the_same(unbiased, seed, count, size, log_scale):
    random = np.random.default_rng(seed)
    x, y = drawn(seed, count, size, 4)
    moved = 10**log_scale * x @ rotation(random, size) + random.normal(size=size)
    assert quiet(x, moved, unbiased) == pytest.approx(1, abs=1e-6)
    assert quiet(moved, y, unbiased) == pytest.approx(quiet(x, y, unbiased), abs=1e-6)


@either
@given(seed=seeds, count=counts, size_x=sizes, size_y=sizes)
def test_the_order_of_sides_and_of_examples_does_not_matter(unbiased, seed, count, size_x, size_y):
    x, y = drawn(seed, count, size_x, size_y)
    order = np.random.default_rng(seed).permutation(count)
    value = quiet(x, y, unbiased)
    assert (-1 if unbiased else 0) <= value <= 1
    assert quiet(y, x, unbiased) == pytest.approx(value, abs=1e-9)
    assert quiet(x[order], y[order], unbiased) == pytest.approx(value, abs=1e-9)


def test_stretching_one_direction_changes_it(random):
    x = random.normal(size=(50, 2))
    assert cka(x, x * [1, 10]) < 0.9


def test_unbiased_it_is_zero_on_average_for_independent_features(random):
    unbiased, biased = [], []
    for _ in range(300):
        x, y = random.normal(size=(2, 20, 8))
        unbiased.append(cka(x, y, unbiased=True))
        biased.append(cka(x, y))
    error = np.std(unbiased) / math.sqrt(len(unbiased))
    assert abs(np.mean(unbiased)) < 4 * error < 0.05
    assert np.mean(biased) > 0.2


@either
@given(seeds, st.integers(6, 40), sizes, sizes, st.data())
def test_chunks_give_what_the_whole_gives(unbiased, seed, count, size_x, size_y, data):
    x, y = drawn(seed, count, size_x, size_y)
    cuts = data.draw(st.lists(st.integers(1, count - 1), max_size=6, unique=True).map(sorted))
    together = CKA()
    for start, stop in itertools.pairwise([0, *cuts, count]):
        together.add(x[start:stop], y[start:stop])
    assert together.count == count
    if not unbiased and count <= max(size_x, size_y):
        with pytest.warns(mn.MinnetWarning, match=f"{count} examples for"):
            value = together.value()
    else:
        value = together.value(unbiased)
    assert value == pytest.approx(quiet(x, y, unbiased), rel=1e-10, abs=1e-12)


@either
def test_whole_features_are_read_in_blocks(random, monkeypatch, unbiased):
    x, y = drawn(0, 100, 3, 5)
    value = cka(x, y, unbiased)
    monkeypatch.setattr("minnet.measure.blocks.BLOCK", 8 * 7)
    assert cka(x, y, unbiased) == pytest.approx(value, rel=1e-12)


@either
@pytest.mark.parametrize("count", [10, 60])
def test_far_from_zero_large_small_or_in_float32_it_stays_accurate(unbiased, count):
    x, y = drawn(3, count, 12, 12)
    value = quiet(x, y, unbiased)
    assert quiet(x + 1e6, y - 1e6, unbiased) == pytest.approx(value, abs=1e-6)
    assert quiet(x * 1e-120, y * 1e120, unbiased) == pytest.approx(value, abs=1e-12)
    single = quiet(x.astype(np.float32), y.astype(np.float32), unbiased)
    assert single == pytest.approx(value, abs=1e-6)


def test_sorted_examples_do_not_spoil_the_sums(random):
    x = np.sort(random.normal(size=(1000, 1)), axis=0) + np.array([0, 100])
    y = x[:, :1] + random.normal(size=(1000, 3))
    together = CKA()
    for row in range(0, 1000, 10):
        together.add(x[row : row + 10], y[row : row + 10])
    assert together.value(unbiased=True) == pytest.approx(cka(x, y, unbiased=True), rel=1e-9)


def test_few_examples_are_warned_of_unless_unbiased(random):
    x, y = random.normal(size=(2, 10, 10))
    with pytest.warns(mn.MinnetWarning, match=r"10 examples for 10 features.*unbiased=True"):
        assert cka(x, y[:, :2]) > 0
    assert cka(x, y[:, :2], unbiased=True) < 1


GOOD = np.random.default_rng(0).normal(size=(8, 2))
MISSING = np.where(np.arange(16).reshape(8, 2) == 5, np.nan, GOOD)
REFUSED = [
    (GOOD[:, 0], GOOD, mn.ShapeError, r"first features: expected .* got \(8,\)"),
    (GOOD, GOOD.reshape(8, 2, 1), mn.ShapeError, "second features.*pools or flattens"),
    (GOOD, GOOD[:7], mn.ShapeError, "8 examples in the first features and 7 in the second"),
    (GOOD, MISSING, mn.DataError, "second features: 1 of 8 .* position 2"),
    (GOOD, GOOD.astype(str), mn.DataError, "second features: expected real numbers, got .*<U"),
    (GOOD, [[1.0, 2.0], [3.0]], mn.DataError, "second features: expected an array of numbers"),
    (GOOD[:0], GOOD[:0], mn.DataError, r"at least one example and feature, got \(0, 2\)"),
    (GOOD[:, :0], GOOD, mn.DataError, r"at least one example and feature, got \(8, 0\)"),
    (GOOD * 0 + 0.1, GOOD, mn.DataError, "first features: they are the same for every example"),
    (GOOD, GOOD * 0, mn.DataError, "second features: they are the same for every example"),
    (GOOD + 1j, GOOD, mn.DataError, "first features: expected real numbers"),
]


@pytest.mark.parametrize("way", ["whole", "chunks"])
@pytest.mark.parametrize(("x", "y", "error", "message"), REFUSED)
def test_unusable_features_are_refused(way, x, y, error, message):
    with pytest.raises(error, match=message):
        if way == "whole":
            cka(x, y)
        else:
            together = CKA()
            together.add(x, y)
            together.value()


@pytest.mark.parametrize("size", [2, 20])
def test_a_constant_is_told_from_features_that_vary_a_little(size, random):
    x = random.normal(size=(12, size))
    with pytest.raises(mn.DataError, match="the same for every example"):
        cka(x, np.full((12, size), 0.1), unbiased=True)
    assert cka(x, 1 + 1e-9 * x, unbiased=True) == pytest.approx(1, abs=1e-5)


def test_too_few_examples_or_a_wrong_option_is_refused(random):
    x = random.normal(size=(3, 2))
    with pytest.raises(mn.DataError, match="CKA takes at least 2 examples, got 1"):
        cka(x[:1], x[:1])
    with pytest.raises(mn.DataError, match="unbiased CKA takes at least 4 examples, got 3"):
        cka(x, x, unbiased=True)
    with pytest.raises(mn.DataError, match="got 0"):
        CKA().value()
    with pytest.raises(mn.SpecError, match="unbiased must be True or False, got 'yes'"):
        cka(x, x, unbiased="yes")
    with pytest.raises(mn.DataError, match=r"first features: all pairs .* equally alike"):
        cka(np.eye(5), np.arange(10.0).reshape(5, 2) ** 2, unbiased=True)


def test_a_chunk_that_does_not_fit_changes_nothing(random):
    x, y = random.normal(size=(2, 20, 3))
    together = CKA()
    together.add(x, y)
    before = together.value()
    with pytest.raises(mn.ShapeError, match=r"expected 3 and 3 features .* got 3 and 2"):
        together.add(x, y[:, :2])
    with pytest.raises(mn.DataError, match="second features"):
        together.add(x, np.full((20, 3), np.inf))
    assert (together.count, together.value()) == (20, before)
