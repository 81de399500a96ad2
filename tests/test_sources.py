"""Sources: every form in which training takes data, and every form in which it doesn't."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from data_samples import Counted
from hypothesis import given
from hypothesis import strategies as st

from minnet.data import ArraySource, Dataset, StreamSource, make_source
from minnet.data.rows import take_rows
from minnet.errors import DataError, SpecError

X = np.arange(12.0).reshape(6, 2)
Y = np.array(["a", "b", "a", "b", "a", "b"])


def batches(count: int = 3) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of two, one after the other."""
    return ((X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2]) for i in range(count))


# --- forms of data ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        (X.tolist(), Y.tolist()),
        list(zip(X, Y, strict=True)),
        [[x.tolist(), str(y)] for x, y in zip(X, Y, strict=True)],
        {"input": X, "output": Y},
        {"image": X, "label": Y},
        {"label": Y, "input": X},
        ({"image": X}, {"label": Y}),
        Dataset(X, Y),
        Dataset(np.repeat(X, 2, axis=0), np.repeat(Y, 2))[::2],
        (Counted(X), Y),
        make_source((X, Y)),
    ],
)
def test_examples(data: object) -> None:
    source = make_source(data, inputs=("image",), outputs=("label",))
    assert isinstance(source, ArraySource)
    assert len(source) == 6
    np.testing.assert_array_equal(source.take(np.arange(6))[0], X)
    x, y = source.take([4, 1, 4])
    np.testing.assert_array_equal(x, X[[4, 1, 4]])
    assert y.tolist() == ["a", "b", "a"]
    x, y = source.sample()
    np.testing.assert_array_equal(x, X[:1])
    assert y.tolist() == ["a"]


@pytest.mark.parametrize(
    "data",
    [
        batches,
        lambda: list(batches()),
        lambda: ({"image": x, "label": y} for x, y in batches()),
        batches(),
        iter(list(batches())),
        map(tuple, batches()),
    ],
)
def test_streams(data: object) -> None:
    source = make_source(data, inputs=("image",), outputs=("label",))
    assert isinstance(source, StreamSource)
    given_batches = list(source.batches(99))
    assert [indices for indices, _, _ in given_batches] == [None] * 3
    np.testing.assert_array_equal(np.concatenate([x for _, x, _ in given_batches]), X)
    assert np.concatenate([y for _, _, y in given_batches]).tolist() == Y.tolist()


def test_several_ports() -> None:
    ports = {"inputs": ("left", "right"), "outputs": ("kind", "size")}
    size = np.arange(6.0)
    both = ({"left": X, "right": -X}, {"kind": Y, "size": size})
    pairs = [
        ({"right": -x, "left": x}, {"kind": k, "size": s})
        for x, k, s in zip(X, Y, size, strict=True)
    ]
    for data in (both, {**both[0], **both[1]}, pairs):
        source = make_source(data, **ports)
        x, y = source.take([5, 0])
        assert list(x) == ["left", "right"]
        np.testing.assert_array_equal(x["left"], X[[5, 0]])
        np.testing.assert_array_equal(x["right"], -X[[5, 0]])
        assert y["kind"].tolist() == ["b", "a"]
        assert y["size"].tolist() == [5, 0]
        assert source.labels().tolist() == Y.tolist()
    stream = make_source(lambda: [both], **ports)
    ((_, x, y),) = stream.batches()
    np.testing.assert_array_equal(x["right"], -X)
    assert y["size"].tolist() == size.tolist()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.data())
def test_selecting(indices: list[int], draw: st.DataObject) -> None:
    inner = draw.draw(st.lists(st.integers(0, len(indices) - 1), min_size=1))
    for x in (X, Counted(X)):
        source = make_source((x, Y)).select(indices)
        assert len(source) == len(indices)
        np.testing.assert_array_equal(source.x, X[indices])
        np.testing.assert_array_equal(source.take(inner)[0], X[indices][inner])
        again = source.select(inner)
        np.testing.assert_array_equal(again.x, X[indices][inner])
        assert again.y.tolist() == Y[indices][inner].tolist()


def test_everything_is_the_very_array() -> None:
    source = make_source((X, Y))
    assert source.x is X
    assert source.y is Y
    assert np.shares_memory(source.take(np.arange(2, 5))[0], X)  # neighbours: a view


def test_positions_refused() -> None:
    source = make_source((X, Y)).select([0, 1, 2])
    for wrong in ([3], [-1], np.array([0, 7])):
        with pytest.raises(DataError, match="3 examples"):
            source.take(wrong)
    with pytest.raises(DataError, match="no examples"):
        source.select([])


def test_array_likes_are_read_as_h5py_asks() -> None:
    x = Counted(X)
    for indices in ([3, 1, 2], [5, 5, 0], [2, 3, 4], [4]):
        np.testing.assert_array_equal(take_rows(x, np.array(indices)), X[indices])
    assert x.reads == [3, 2, 3, 1]


def test_array_likes_without_fancy_indexing() -> None:
    class Stubborn(Counted):
        def __getitem__(self, key: object) -> object:
            return self._array[key if isinstance(key, slice) else key[0]]

    with pytest.raises(DataError, match="fancy indexing"):
        make_source((Stubborn(X), Y)).take([0, 3, 4])


def test_array_likes_of_other_libraries() -> None:
    class Foreign:
        """Like a PyTorch tensor: a shape, but a dtype that NumPy doesn't know."""

        shape, dtype = X.shape, "foreign.float64"

        def __getitem__(self, key: object) -> np.ndarray:
            return X[key]

    class Frame:
        """Like a pandas DataFrame: its index picks columns."""

        shape, dtype = X.shape, X.dtype

        def to_numpy(self) -> np.ndarray:
            return X

        def __getitem__(self, key: object) -> np.ndarray:
            return X[:, key]

    for x in (Foreign(), Frame()):
        np.testing.assert_array_equal(make_source((x, Y)).take([0, 3])[0], X[[0, 3]])


# --- batches and splits -----------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 50), st.booleans())
def test_batches_cover_each_example_once(n: int, size: int, shuffled: bool) -> None:
    x = np.arange(n) * 10.0
    source = make_source((x, np.arange(n)))
    random = np.random.default_rng(n) if shuffled else None
    seen = []
    for indices, x_batch, y_batch in source.batches(size, random):
        assert 1 <= len(indices) <= size
        np.testing.assert_array_equal(x_batch, x[indices])
        np.testing.assert_array_equal(y_batch, indices)
        seen += indices.tolist()
    assert sorted(seen) == list(range(n))
    assert shuffled or seen == list(range(n))
    for wrong in (0, -1, 2.5, None):
        with pytest.raises(SpecError, match="batch_size"):
            source.batches(wrong)


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=60),
    st.floats(0.01, 0.99),
    st.sampled_from([np.int64, np.uint8, str, bool]),
)
def test_splits_partition_and_stratify(y: list[int], share: float, dtype: type) -> None:
    classes = np.array(y).astype(dtype)
    source = make_source((np.arange(len(y)), classes))
    train, validation = source.split(share, np.random.default_rng(0))
    assert sorted([*train.x, *validation.x]) == list(range(len(y)))
    assert len(train) >= 1
    assert len(validation) >= 1
    assert abs(len(validation) - share * len(y)) <= 1
    for label in set(classes.tolist()):
        exact = np.sum(classes == label) * len(validation) / len(y)
        there = np.sum(validation.y == label)
        assert np.floor(exact) <= there <= np.ceil(exact)


def test_splits_of_selections_and_streams_of_random_numbers() -> None:
    source = make_source((np.arange(100), np.arange(100) % 2)).select(np.arange(0, 100, 5))
    train, validation = source.split(0.25, np.random.default_rng(0))
    assert sorted([*train.x, *validation.x]) == list(range(0, 100, 5))
    assert len(validation) == 5
    same = source.split(0.25, np.random.default_rng(0))[1]
    other = source.split(0.25, np.random.default_rng(1))[1]
    assert same.x.tolist() == validation.x.tolist()
    assert other.x.tolist() != validation.x.tolist()


@pytest.mark.parametrize("y", [np.linspace(0, 1, 20), np.zeros((20, 3), int), np.arange(20)])
def test_splits_without_classes(y: np.ndarray) -> None:
    train, validation = make_source((np.arange(20), y)).split(0.3, np.random.default_rng(0))
    assert len(validation) == 6
    assert sorted([*train.x, *validation.x]) == list(range(20))


def test_splitting_reads_no_inputs() -> None:
    x, y = Counted(np.zeros((100, 3))), Counted(np.arange(100) % 5)
    train, validation = make_source((x, y)).split(0.2, np.random.default_rng(0))
    assert x.reads == []
    assert np.bincount(validation.y).tolist() == [4] * 5
    list(train.batches(16, np.random.default_rng(0)))
    assert max(x.reads) <= 16
    assert sum(x.reads) == len(train)


def test_a_memory_map_is_never_copied_whole(tmp_path: Path) -> None:
    shape = (8000, 32, 32)
    x = np.memmap(tmp_path / "x.raw", dtype=np.float32, mode="w+", shape=shape)
    x[:, 0, 0] = np.arange(8000)
    tracemalloc.start()
    try:
        source = make_source((x, np.arange(8000) % 10))
        for part in source.split(0.1, np.random.default_rng(0)):
            for _, rows, _ in part.batches(50, np.random.default_rng(0)):
                assert len(np.unique(rows[:, 0, 0])) == len(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 8


# --- encoders ---------------------------------------------------------------------------


def test_inputs_for_an_encoder() -> None:
    paths = [Path(f"{i}.png") for i in range(6)]
    ragged = [np.zeros(i + 1) for i in range(6)]
    objects = np.array([None] * 6, dtype=object)
    for x in (paths, ragged, objects, list("abcdef"), np.array(list("abcdef")), range(6)):
        source = make_source((x, Y), encoded=True)
        taken = source.select([5, 3]).take([1])[0]
        assert len(taken) == 1
        assert taken[0] is x[3] or taken[0] == x[3]
        if not isinstance(x, range):
            ((_, there, _),) = make_source(lambda x=x: [(x, Y)], encoded=True).batches()
            assert len(there) == 6
    pairs = list(zip(paths, Y, strict=True))
    assert make_source(pairs, encoded=True).take([2, 0])[0] == [paths[2], paths[0]]


def test_an_encoder_for_one_of_the_ports() -> None:
    ports = {"inputs": ("word", "number"), "outputs": ("output",)}
    data = {"word": list("abcdef"), "number": X, "output": Y}
    x, _ = make_source(data, **ports, encoded=["word"]).take([0, 5])
    assert x["word"] == ["a", "f"]
    with pytest.raises(DataError, match=r"input 'word'.*encoder"):
        make_source(data, **ports, encoded=["number"])


# --- streams ----------------------------------------------------------------------------


def test_a_function_is_asked_again_each_round() -> None:
    asked = []

    def give() -> Iterator[object]:
        asked.append(len(asked))
        return batches()

    source = make_source(give)
    assert [len(list(source.batches())) for _ in range(3)] == [3, 3, 3]
    assert asked == [0, 1, 2]
    assert not source.exhausted


def test_an_iterable_begins_anew_each_round() -> None:
    class Loader:
        def __iter__(self) -> Iterator[object]:
            return batches()

    source = make_source(Loader())
    assert [len(list(source.batches())) for _ in range(2)] == [3, 3]
    assert not source.exhausted


def test_an_iterator_lasts_once() -> None:
    source = make_source(batches())
    first = next(iter(source.batches()))
    np.testing.assert_array_equal(first[1], X[:2])
    assert not source.exhausted
    assert len(list(source.batches())) == 2  # goes on where it was left
    assert source.exhausted
    with pytest.raises(DataError, match=r"has ended.*function"):
        list(source.batches())


@pytest.mark.parametrize("data", [batches, batches()])
def test_a_sample_is_not_lost(data: object) -> None:
    source = make_source(data)
    for _ in range(2):
        np.testing.assert_array_equal(source.sample()[0], X[:2])
    seen = np.concatenate([x for _, x, _ in source.batches()])
    np.testing.assert_array_equal(seen, X)


def test_one_iterator_for_all_rounds_is_found_out() -> None:
    iterator = batches()
    source = make_source(lambda: iterator)
    list(source.batches())
    with pytest.raises(DataError, match="new iterator each time"):
        list(source.batches())
