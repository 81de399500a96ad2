"""Windows: where they fit, how much padding they get, and the view of what they see."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minnet as mn

axis = st.tuples(  # size, window, stride, dilation
    st.integers(0, 12), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)
)
axes = st.lists(axis, min_size=1, max_size=3).map(lambda drawn: tuple(zip(*drawn, strict=True)))


@given(axes, st.integers(0, 3), st.integers(0, 3))
def test_output_sizes_count_the_positions(drawn, before, after):
    sizes, window, stride, dilation = drawn
    padding = tuple((before, after) for _ in sizes)
    counts = []
    for n, k, s, d in zip(*drawn, strict=True):
        last = n + before + after - (k - 1) * d - 1
        counts.append(sum(1 for start in range(last + 1) if start % s == 0))
    if 0 in counts:
        with pytest.raises(mn.ShapeError, match="does not fit"):
            mn.ops.output_sizes(sizes, window, stride, padding, dilation)
    else:
        assert mn.ops.output_sizes(sizes, window, stride, padding, dilation) == tuple(counts)


@given(axes)
def test_same_padding_is_the_least_that_gives_a_position_for_each_stride(drawn):
    sizes, window, stride, dilation = drawn
    edges = mn.ops.resolve_padding("same", sizes, window, stride, dilation)
    for (before, after), n, k, s, d in zip(edges, *drawn, strict=True):
        assert after - before in (0, 1)
        reach, wanted = (k - 1) * d + 1, math.ceil(n / s)
        enough = [p for p in range(20) if (n + p - reach) // s + 1 >= wanted]
        assert before + after == enough[0]
    if min(sizes) > 0:
        wanted = tuple(math.ceil(n / s) for n, s in zip(sizes, stride, strict=True))
        assert mn.ops.output_sizes(sizes, window, stride, "same", dilation) == wanted


def test_the_forms_of_padding_mean_what_they_say():
    resolve = mn.ops.resolve_padding
    assert resolve(1, (8, 8), 3) == ((1, 1), (1, 1))
    assert resolve((1, 2), (8, 8), 3) == ((1, 1), (2, 2))
    assert resolve([1, 2], (8, 8), 3) == ((1, 1), (2, 2))  # as it comes from JSON
    assert resolve(((0, 1), (2, 3)), (8, 8), 3) == ((0, 1), (2, 3))
    assert resolve(((0, 1),), (8,), 3) == ((0, 1),)
    assert resolve(np.int64(2), (8,), 3) == ((2, 2),)


@pytest.mark.parametrize(
    "padding",
    [
        *(-1, 1.5, True, None, "valid"),
        *((1, -1), (1, 2, 3), (1, (1, 2)), ((1, 2), 1)),
        *(((1, 2),), ((1, -2), (0, 0)), ((1, 2, 3), (1, 2))),
    ],
)
def test_padding_of_no_known_form_is_refused(padding):
    with pytest.raises(mn.SpecError, match="padding"):
        mn.ops.resolve_padding(padding, (8, 8), 3)


@pytest.mark.parametrize("amount", [0, -1, 1.0, True, "2", (2,), (2, 2, 2), (2, 0), None])
@pytest.mark.parametrize("what", ["window", "stride", "dilation"])
def test_amounts_that_are_no_positive_whole_numbers_are_refused(what, amount):
    amounts = {"window": 2, what: amount}
    with pytest.raises(mn.SpecError, match=rf"{what} must be a whole number of at least 1"):
        mn.ops.output_sizes((8, 8), **amounts)


def test_a_window_that_does_not_fit_says_what_was_to_fit_where():
    with pytest.raises(mn.ShapeError) as caught:
        mn.ops.output_sizes((3, 9), (3, 3), padding=1, dilation=4)
    assert "(9, 9)" in str(caught.value)  # what the window reaches over
    assert "(3, 9)" in str(caught.value)  # the input
    assert "(5, 11)" in str(caught.value)  # the input with its padding


@given(axes.filter(lambda drawn: min(drawn[0]) > 0), st.integers(0, 2))
def test_deconv_makes_the_size_that_conv_turns_back(drawn, padding):
    sizes, window, stride, _ = drawn
    smallest = [
        (n - 1) * s + k - 2 * padding for n, s, k in zip(sizes, stride, window, strict=True)
    ]
    if min(smallest) < 1:
        with pytest.raises(mn.ShapeError, match="leaves nothing"):
            mn.ops.deconv_output_sizes(sizes, window, stride, padding)
    else:
        made = mn.ops.deconv_output_sizes(sizes, window, stride, padding)
        assert mn.ops.output_sizes(made, window, stride, padding) == sizes
    made = mn.ops.deconv_output_sizes(sizes, window, stride, "same")
    assert made == tuple(n * s for n, s in zip(sizes, stride, strict=True))
    assert mn.ops.output_sizes(made, window, stride, "same") == sizes


@given(axes, st.integers(0, 2), st.integers(1, 2))
def test_patches_are_what_indexing_gives(drawn, examples, channels):
    sizes, window, stride, dilation = drawn
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    shape = (examples, *np.maximum(sizes, reach), channels)
    x = np.arange(math.prod(shape)).reshape(shape)
    seen = mn.ops.patches(x, window, stride, dilation)
    positions = mn.ops.output_sizes(shape[1:-1], window, stride, 0, dilation)
    assert seen.shape == (examples, *positions, *window, channels)
    for position in [(0,) * len(positions), tuple(n - 1 for n in positions)]:
        for tap in [(0,) * len(window), tuple(k - 1 for k in window)]:
            moved = zip(position, stride, tap, dilation, strict=True)
            where = tuple(p * s + t * d for p, s, t, d in moved)
            got = seen[(slice(None), *position, *tap)]
            assert np.array_equal(got, x[(slice(None), *where)])


@pytest.mark.host
@given(axes, st.integers(1, 2))
def test_patches_are_no_copies(drawn, channels):
    sizes, window, stride, dilation = drawn
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    x = np.zeros((2, *np.maximum(sizes, reach), channels))
    assert np.shares_memory(mn.ops.patches(x, window, stride, dilation), x)


@pytest.mark.host
def test_patches_overlap_so_nobody_may_write_to_them():
    with pytest.raises(ValueError, match="read-only"):
        mn.ops.patches(np.zeros((1, 4, 1)), 2)[...] = 1
