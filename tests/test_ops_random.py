"""Dropout and augmentation: what they may do, and that equal seeds do the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import awkward, seeds

import minnet as mn

shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
images = st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 2))
sequences = st.tuples(st.integers(0, 4), st.integers(1, 6), st.integers(1, 2))


def numbered(shape):
    """Return an array whose elements are all different and none is 0."""
    return np.arange(1, np.prod(shape) + 1, dtype=float).reshape(shape)


@given(shapes, st.floats(0, 0.99), seeds)
def test_dropout_zeroes_or_scales_and_its_gradient_does_the_same(shape, rate, seed):
    x = mn.Tensor(np.random.default_rng(seed).uniform(1, 2, shape))
    y = mn.ops.dropout(x, rate, np.random.default_rng(seed))
    kept = y.data != 0
    assert np.allclose(y.data[kept], x.data[kept] / (1 - rate))
    y.backward(np.full(shape, 3.0))
    assert np.allclose(x.grad, np.where(kept, 3 / (1 - rate), 0))
    mn.check_grad(lambda x: mn.ops.dropout(x, rate, np.random.default_rng(seed)), x.data)
    again = mn.ops.dropout(awkward(x.data), rate, np.random.default_rng(seed))
    assert not isinstance(again, mn.Tensor)
    assert np.array_equal(again, y.data)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_the_share_it_was_told(rate, random):
    y = mn.ops.dropout(np.ones((100, 100), "float32"), rate, random)
    assert y.dtype == np.float32
    assert abs((y == 0).mean() - rate) < 6 * np.sqrt(rate * (1 - rate) / y.size)
    assert abs(y.mean() - 1) < 6 * np.sqrt(rate / (1 - rate) / y.size)


def test_a_rate_of_zero_changes_nothing_and_draws_nothing(random):
    x = np.ones((3, 4))
    before = random.bit_generator.state
    assert np.array_equal(mn.ops.dropout(x, 0, random), x)
    assert random.bit_generator.state == before


@pytest.mark.host
def test_the_gradient_of_dropout_keeps_one_byte_for_each_element(random):
    y = mn.ops.dropout(mn.Tensor(np.ones((3, 4), "float32")), 0.5, random)
    ((_, back),) = y.node.parents
    kept = [cell.cell_contents for cell in back.__closure__]
    assert sum(array.nbytes for array in kept if isinstance(array, np.ndarray)) == 12


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, float("nan"), "half", None, True])
def test_dropout_refuses_rates_that_are_none(rate, random):
    with pytest.raises(mn.SpecError, match=r"rate of dropout must be .* at least 0 and below 1"):
        mn.ops.dropout(np.ones(3), rate, random)


# --- augmentation -------------------------------------------------------------------------


@given(images | sequences, st.integers(0, 6), seeds)
def test_shift_moves_each_image_whole_and_fills_with_zeros(shape, most, seed):
    x = numbered(shape)
    y = mn.ops.random_shift(awkward(x), most, np.random.default_rng(seed))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    spatial = range(x.ndim - 2)
    for before, after in zip(x, y, strict=True):
        padded = np.pad(before, (*((most, most) for _ in spatial), (0, 0)))
        possible = np.lib.stride_tricks.sliding_window_view(padded, before.shape)
        equal = (possible == after).all(tuple(range(x.ndim - 1, 2 * (x.ndim - 1))))
        assert equal.any()
    same = mn.ops.random_shift(x, most, np.random.default_rng(seed))
    assert np.array_equal(same, y)


def test_all_shifts_occur_in_all_directions(random):
    x = np.zeros((500, 5, 5, 1))
    x[:, 2, 2] = 1
    y = mn.ops.random_shift(x, (1, 2), random)
    reached = y.any(axis=(0, 3))
    assert np.array_equal(reached, np.outer([0, 1, 1, 1, 0], [1, 1, 1, 1, 1]))


@given(images | sequences, seeds)
def test_flip_mirrors_the_axis_before_the_channels_or_not(shape, seed):
    x = numbered(shape)
    y = mn.ops.random_flip(awkward(x), np.random.default_rng(seed))
    for before, after in zip(x, y, strict=True):
        assert np.array_equal(after, before) or np.array_equal(after, before[..., ::-1, :])
    assert np.array_equal(x, numbered(shape))
    assert np.array_equal(y, mn.ops.random_flip(x, np.random.default_rng(seed)))


def test_about_half_of_the_images_are_flipped(random):
    x = numbered((1000, 2, 1))
    flipped = (mn.ops.random_flip(x, random) != x).any(axis=(1, 2))
    assert 400 < flipped.sum() < 600


@given(images | sequences, st.data(), seeds)
def test_crop_cuts_a_part_out_of_each_image(shape, data, seed):
    x = numbered(shape)
    size = tuple(data.draw(st.integers(1, n)) for n in shape[1:-1])
    y = mn.ops.random_crop(awkward(x), size, np.random.default_rng(seed))
    assert y.shape == (len(x), *size, shape[-1])
    for before, after in zip(x, y, strict=True):
        first = np.argwhere(before == after.flat[0])[0][:-1]
        where = tuple(slice(start, start + k) for start, k in zip(first, size, strict=True))
        assert np.array_equal(after, before[where])


def test_all_places_are_cropped_to(random):
    y = mn.ops.random_crop(np.tile(numbered((1, 3, 4, 1)), (500, 1, 1, 1)), (2, 2), random)
    assert set(y[:, 0, 0, 0].tolist()) == {1, 2, 3, 5, 6, 7}


X = np.ones((2, 4, 5, 1))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda r: mn.ops.random_crop(X, 5, r), mn.ShapeError, r"\(4, 5\) to \(5, 5\): they are"),
        (lambda r: mn.ops.random_crop(X, 0, r), mn.SpecError, "size to crop to must be"),
        (lambda r: mn.ops.random_crop(X[0, 0], 1, r), mn.ShapeError, r"expects shape .* \(5, 1\)"),
        (lambda r: mn.ops.random_shift(X, -1, r), mn.SpecError, "largest shift must be"),
        (lambda r: mn.ops.random_shift(X[0, 0], 1, r), mn.ShapeError, "a batch of images expects"),
        (lambda r: mn.ops.random_flip(X[0, 0], r), mn.ShapeError, "a batch of images expects"),
        (lambda r: mn.ops.random_flip(X.astype(str), r), mn.DataError, "real numbers"),
        (lambda r: mn.ops.random_crop(X, 1, 7), mn.SpecError, "random must be a NumPy generator"),
        (lambda r: mn.ops.random_flip(X, None), mn.SpecError, "random must be a NumPy generator"),
        (lambda r: mn.ops.dropout(X, 0.5, np.random), mn.SpecError, "must be a NumPy generator"),
    ],
)
def test_augmentation_refuses(call, error, said, random):
    with pytest.raises(error, match=said):
        call(random)
