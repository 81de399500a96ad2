"""The kernels of the ops, run on the stand-in: the CPU's results, and the same bits every time."""

from functools import partial

import gpu_samples
import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from window_references import windows

import minnet as mn
from minnet import ops
from minnet.autodiff import Tensor
from minnet.ops import gpu

pytestmark = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)

dtypes = st.sampled_from(gpu_samples.DTYPES)
seeds = st.integers(0, 2**16)


def drawn(seed, dtype, *shapes):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(dtype) for shape in shapes]


# --- windows ------------------------------------------------------------------------------


@settings(max_examples=40)
@given(windows(), st.integers(0, 3), st.integers(1, 2), st.integers(1, 2), dtypes, seeds)
def test_conv(window, images, groups, per_group, dtype, seed):
    sizes, reach, options = window
    shapes = (
        (images, *sizes, groups * per_group),
        (*reach, per_group, groups * 2),
        (groups * 2,),
    )
    op = partial(ops.conv, groups=groups, **options)
    gpu_samples.check_like_host(op, drawn(seed, dtype, *shapes))


@settings(max_examples=15)
@given(windows(dilated=False), dtypes, seeds)
def test_deconv(window, dtype, seed):
    sizes, reach, options = window
    try:
        ops.deconv_output_sizes(sizes, reach, **options)
    except mn.errors.ShapeError:
        return  # padding that leaves nothing
    shapes = (2, *sizes, 3), (*reach, 3, 2), (2,)
    gpu_samples.check_like_host(partial(ops.deconv, **options), drawn(seed, dtype, *shapes))


def test_conv_by_tiles(monkeypatch):
    arrays = drawn(0, "float32", (5, 6, 6, 3), (3, 3, 3, 4), (4,))
    op = partial(ops.conv, padding=1)
    whole = gpu_samples.on_both(op, arrays)[1]
    monkeypatch.setattr(gpu.windows, "TILE", 2 * 36 * 27 * 4)  # two images
    tiled = gpu_samples.on_both(op, arrays)[1]
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_conv_gathers_nothing_where_the_matrix_is_the_input():
    arrays = drawn(0, "float32", (5, 4, 4, 3), (1, 1, 3, 4))
    with standin.installed() as cupy:
        x, w = (cupy.asarray(array) for array in arrays)
        with standin.launched() as names:
            ops.conv(x, w)
        assert names == ["dot"]


@settings(max_examples=30)
@given(windows(dilated=False, partial=True), st.integers(0, 3), dtypes, seeds)
@pytest.mark.parametrize("op", [ops.max_pool, ops.mean_pool])
def test_pool(op, window, images, dtype, seed):
    sizes, reach, options = window
    random = np.random.default_rng(seed)
    # Few different numbers, so that many windows have several largest ones.
    x = random.integers(-2, 3, (images, *sizes, 2)).astype(dtype)
    gpu_samples.check_like_host(partial(op, window=reach, **options), [x])


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_max_pool_of_what_is_not_finite(strange):
    x = np.zeros((1, 4, 4, 1), "float32")
    x[0, :3, :2] = strange
    gpu_samples.check_like_host(partial(ops.max_pool, window=2), [x])


def test_max_pool_with_many_elements_in_a_window():
    gpu_samples.check_like_host(
        partial(ops.max_pool, window=17), drawn(0, "float32", (1, 34, 17, 1))
    )


def test_large_positions(monkeypatch):
    """Positions beyond what an int can hold: the same kernels compiled for longer ones."""
    monkeypatch.setattr("minnet.ops.gpu.launch.LARGEST", 10)
    conv = partial(ops.conv, padding=1)
    gpu_samples.check_like_host(conv, drawn(0, "float32", (2, 5, 5, 2), (3, 3, 2, 4), (4,)))
    gpu_samples.check_like_host(partial(ops.max_pool, window=2), drawn(1, "float32", (2, 5, 5, 2)))


# --- elementwise, losses, norms -----------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=3), dtypes, seeds)
def test_ramp(shape, dtype, seed):
    gpu_samples.check_like_host(ops.ramp, drawn(seed, dtype, tuple(shape)))


def test_ramp_keeps_what_is_not_a_number():
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 1.0], "float32")
    gpu_samples.check_like_host(ops.ramp, [x])


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=2),
    st.sampled_from([1, 2, 10, 33, 300]),
    st.sampled_from(["uint8", "int32", "int64", "shares"]),
    dtypes,
    seeds,
)
def test_cross_entropy(rows, classes, kind, dtype, seed):
    random = np.random.default_rng(seed)
    logits = 30 * random.normal(size=(*rows, classes)).astype(dtype)
    if kind == "shares":
        targets = random.random(logits.shape).astype(dtype)
    else:
        targets = random.integers(0, min(classes, 256), rows).astype(kind)
    op = lambda z: ops.cross_entropy(z, gpu_samples.beside(z, targets))  # noqa: E731
    gpu_samples.check_like_host(op, [logits])


def test_cross_entropy_of_many_rows():
    random = np.random.default_rng(0)
    logits = random.normal(size=(1000, 7))
    targets = random.integers(0, 7, 1000)
    gpu_samples.check_like_host(ops.cross_entropy, [logits, targets])


def test_cross_entropy_does_not_make_the_host_wait():
    with standin.installed() as cupy:
        logits = Tensor(cupy.asarray(np.eye(4, 3, dtype="float32")))
        targets = cupy.asarray(np.array([0, 1, 2, 0]))
        with standin.counting() as counts:
            ops.cross_entropy(logits, targets)
        assert (counts.waits, counts.launches) == (0, 2)
        wrong = ops.cross_entropy(logits, cupy.asarray(np.array([0, 1, 3, 0])))
        assert np.isnan(float(wrong))


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=2),
    st.sampled_from([1, 3, 32, 40]),
    dtypes,
    seeds,
)
def test_normalize(rows, channels, dtype, seed):
    x, mean, variance, scale, shift = drawn(seed, dtype, (*rows, channels), *[(channels,)] * 4)
    variance = variance**2 + np.asarray(0.1, dtype)

    def op(x, scale, shift):
        known = (gpu_samples.beside(x, array) for array in (mean, variance))
        return ops.normalize(x, *known, scale, shift)

    gpu_samples.check_like_host(op, [x, scale, shift])


@pytest.mark.parametrize("offset", [0, 100])  # a mean far from 0 costs the variance no digits
@pytest.mark.parametrize(("rows", "channels"), [(2, 1), (3, 40), (70, 3), (5000, 2)])
def test_batch_norm(rows, channels, offset):
    arrays = drawn(0, "float64", (rows, 2, channels), (channels,), (channels,))
    arrays[0] += offset
    gpu_samples.check_like_host(lambda *a: ops.batch_norm(*a)[0], arrays, tolerance=1e-9)
    host = ops.batch_norm(*arrays)
    with standin.installed() as cupy:
        device = [one.get() for one in ops.batch_norm(*map(cupy.asarray, arrays))]
    for mine, theirs in zip(device[1:], host[1:], strict=True):  # mean and variance
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_batch_norm_in_single_precision():
    x, scale, shift = drawn(0, "float32", (64, 9, 9, 5), (5,), (5,))
    op = lambda *arrays: ops.batch_norm(*arrays)[0]  # noqa: E731
    gpu_samples.check_like_host(op, [3 + x, scale, shift], tolerance=1e-4)


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (partial(ops.conv, padding=1), [(2, 5, 5, 4), (3, 3, 4, 3), (3,)]),
        (partial(ops.max_pool, window=2), [(2, 4, 4, 3)]),
        (partial(ops.mean_pool, window=2), [(2, 4, 4, 3)]),
        (ops.ramp, [(7, 3)]),
        (lambda *arrays: ops.batch_norm(*arrays)[0], [(64, 3), (3,), (3,)]),
        (lambda z: ops.cross_entropy(z, gpu_samples.beside(z, np.arange(6) % 3)), [(6, 3)]),
    ],
    ids=["conv", "max_pool", "mean_pool", "ramp", "batch_norm", "cross_entropy"],
)
def test_half_precision(op, shapes):
    """float16 comes within its rounding of what float32 gives; a norm's own arrays are float32."""
    arrays = drawn(0, "float16", *shapes)
    is_norm = len(shapes) == 3 and len(shapes[1]) == 1
    kinds = ["float16", *["float32" if is_norm else "float16"] * (len(shapes) - 1)]
    with standin.installed() as cupy:
        halves = [cupy.asarray(a.astype(kind)) for a, kind in zip(arrays, kinds, strict=True)]
        gradient = np.random.default_rng(1).normal(size=op(*halves).shape)
        found = gpu_samples.results(op, halves, gradient, cupy.asarray)
        found = [one.get() for one in found]
    host = gpu_samples.results(op, [a.astype("float32") for a in arrays], gradient)
    assert [one.dtype.name for one in found] == ["float16", *kinds]
    for mine, theirs in zip(found, host, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=4e-3 * abs(theirs).max())


def test_a_batch_norm_sums_its_gradient_once():
    with standin.installed() as cupy:
        arrays = drawn(0, "float32", (8, 5), (5,), (5,))
        x, scale, shift = (Tensor(cupy.asarray(array)) for array in arrays)
        y, _, _ = ops.batch_norm(x, scale, shift)
        with standin.launched() as names:
            ops.sum(y).backward()
        assert names.count("gradient_sums") == names.count("normalize_gradient") == 1


@given(st.lists(st.integers(0, 70), min_size=1, max_size=3), dtypes, seeds)
def test_sum_of_rows(shape, dtype, seed):
    from minnet.ops.kernels import sum_of_rows

    (g,) = drawn(seed, dtype, tuple(shape))
    with standin.installed() as cupy:
        found = sum_of_rows(cupy.asarray(g)).get()
    axes = tuple(range(g.ndim - 1))
    expected = g.astype("float64").sum(axes).astype(dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-12)


# --- dropout ------------------------------------------------------------------------------


def philox(counter, key):
    """Return four random words: Salmon et al. 2011, in Python's whole numbers."""
    word, (low, high) = list(counter), key
    for _ in range(10):
        one, two = 0xD2511F53 * word[0], 0xCD9E8D57 * word[2]
        word = [two >> 32 ^ word[1] ^ low, two, one >> 32 ^ word[3] ^ high, one]
        word = [w & 0xFFFFFFFF for w in word]
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return word


def test_philox_is_that_of_its_authors():
    """The first known answer of their Random123."""
    assert philox([0] * 4, [0, 0]) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 2**63 - 1), st.floats(0, 0.99), dtypes)
def test_dropout_keeps_what_philox_says(count, seed, rate, dtype):
    (x,) = drawn(0, dtype, (count,))
    words = [philox([i, 0, 0, 0], [seed & 0xFFFFFFFF, seed >> 32]) for i in range(count // 4 + 1)]
    kept = np.array(words).reshape(-1)[:count] >= rate * 2**32
    with standin.installed() as cupy:
        y = gpu.random.drop(cupy.asarray(x), seed, rate).get()
    np.testing.assert_allclose(y, x * kept / (1 - rate), rtol=1e-6)


def test_dropout():
    with standin.installed() as cupy:
        x = Tensor(cupy.ones((100, 100), "float32"))
        with standin.counting() as counts:
            y = ops.dropout(x, 0.25, np.random.default_rng(0))
            ops.sum(y).backward()
        same = ops.dropout(x, 0.25, np.random.default_rng(0))
        other = ops.dropout(x, 0.25, np.random.default_rng(1))
        assert (counts.waits, counts.to_device) == (0, 0)
        y, back, same, other = (one.get() for one in (y.data, x.grad, same.data, other.data))
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert (back == y).all() and (same == y).all() and not (other == y).all()


# --- gradients by finite differences ------------------------------------------------------


CASES = {
    "conv": (partial(ops.conv, stride=2, padding=1, groups=2), (2, 5, 4, 4), (3, 3, 2, 2), (2,)),
    "deconv": (partial(ops.deconv, stride=2, padding=1), (2, 3, 3, 2), (3, 3, 2, 2), (2,)),
    "max_pool": (partial(ops.max_pool, window=3, stride=2, padding=1), (2, 5, 4, 3)),
    "mean_pool": (partial(ops.mean_pool, window=3, stride=2, padding=1), (2, 5, 4, 3)),
    "ramp": (ops.ramp, (3, 7)),
    "cross_entropy": (
        lambda z: ops.cross_entropy(z, gpu_samples.beside(z, np.arange(4) % 3)),
        (4, 3),
    ),
    "batch_norm": (lambda *arrays: ops.batch_norm(*arrays)[0], (9, 3), (3,), (3,)),
    "dropout": (lambda x: ops.dropout(x, 0.5, np.random.default_rng(0)), (5, 5)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    op, *shapes = CASES[name]
    random = np.random.default_rng(0)
    arrays = drawn(0, "float64", *shapes)
    with standin.installed() as cupy:
        move = cupy.asarray
        weights = random.normal(size=op(*map(move, arrays)).shape)
        exact = gpu_samples.results(op, arrays, weights, move)[1:]
        for i, array in enumerate(arrays):
            direction = random.normal(size=array.shape)
            ends = []
            for step in (1e-6, -1e-6):
                moved = [*arrays[:i], array + step * direction, *arrays[i + 1 :]]
                ends.append((weights * op(*map(move, moved)).get()).sum())
            numeric = (ends[0] - ends[1]) / 2e-6
            assert (exact[i].get() * direction).sum() == pytest.approx(numeric, rel=1e-5, abs=1e-6)


# --- picking elements and rows ------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(0, 30), st.integers(0, 3), dtypes, seeds)
def test_embedding(count, picks, width, dtype, seed):
    random = np.random.default_rng(seed)
    table = random.normal(size=(count, *[3] * (width > 0), width or 2)).astype(dtype)
    gpu_samples.check_like_host(ops.embedding, [table, random.integers(0, count, (picks, 2))])


def test_embedding_of_what_has_no_row():
    """To raise an error would mean waiting; such a row is NaN, and so is the loss."""
    table = np.arange(6.0, dtype="float32").reshape(3, 2)
    with standin.installed() as cupy:
        there, rows = cupy.asarray(table), cupy.asarray(np.array([[2, 3], [-1, 0]]))
        with standin.counting() as counted:
            found = ops.embedding(there, rows)
        assert counted.waits == 0
        np.testing.assert_array_equal(
            found.get(), [[table[2], [np.nan] * 2], [[np.nan] * 2, table[0]]]
        )


@pytest.mark.parametrize(
    "index",
    [
        [0, 0, 2, 0],
        ([[0], [2], [0]], slice(None), [1, -1]),
        (Ellipsis, [-1, 1, -1]),
        (None, [True, False, True]),
    ],
)
def test_indices_that_pick_elements_several_times(index):
    a = np.random.default_rng(0).normal(size=(3, 2, 2)).astype("float32")
    gpu_samples.check_like_host(partial(ops.getitem, index=index), [a])


def test_what_was_picked_is_added_up_in_order():
    """In another order such numbers have another sum; NumPy adds them up in the same one."""
    g = np.random.default_rng(0).normal(size=(5000, 3)).astype("float32") * 1e3
    rows = np.random.default_rng(1).integers(-7, 7, 5000).astype("int32")
    expected = np.zeros((7, 3), "float32")
    np.add.at(expected, rows, g)
    assert not np.array_equal(expected, added_up(g[::-1], rows[::-1]))
    for backwards in (False, True):
        with standin.installed() as cupy, gpu_samples.any_order(backwards):
            with standin.launched() as names:
                found = gpu.index.scatter(cupy.asarray(g), cupy.asarray(rows), (7, 3))
            np.testing.assert_array_equal(found.get(), expected)
        assert "atomic" not in names and "add_up" in names


def added_up(g, rows):
    total = np.zeros((7, 3), "float32")
    np.add.at(total, rows, g)
    return total
