"""Data sets: parts of them, their classes, and that nothing is read before it is needed."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from data_samples import Counted
from hypothesis import given
from hypothesis import strategies as st

from minnet.data import Dataset
from minnet.errors import DataError, SpecError

labels = st.lists(st.sampled_from(["cat", "dog", "cow", "owl"]), min_size=2, max_size=40)


def numbered(y: list | np.ndarray, **options: object) -> Dataset:
    """A data set whose inputs are their own positions, twice each."""
    return Dataset(np.repeat(np.arange(len(y))[:, None], 2, axis=1), y, **options)


def positions(dataset: Dataset) -> list[int]:
    """Where the examples stood in the data set that `numbered` made."""
    return dataset.x[:, 0].tolist()


# --- what it holds ----------------------------------------------------------------------


@given(labels)
def test_holds_what_it_was_given(y: list[str]) -> None:
    dataset = numbered(y)
    assert len(dataset) == len(y)
    assert positions(dataset) == list(range(len(y)))
    assert dataset.y.tolist() == y
    assert dataset.classes == tuple(sorted(set(y)))
    assert dataset.counts() == {label: y.count(label) for label in dataset.classes}


def test_arrays_are_not_copied() -> None:
    x, y = np.zeros((3, 2)), np.array(["a", "b", "a"])
    dataset = Dataset(x, y)
    assert dataset.x is x
    assert dataset.y is y


def test_classes_given() -> None:
    dataset = numbered(["b", "a"], classes=["c", "b", "a"])
    assert dataset.classes == ("c", "b", "a")
    assert dataset.counts() == {"c": 0, "b": 1, "a": 1}
    assert numbered([1, 0], classes=(1, 0)).classes == (1, 0)
    with pytest.raises(DataError, match=r"unknown labels: 'b'; the known ones: 'a'"):
        numbered(["b", "a"], classes=["a"])
    with pytest.raises(SpecError, match="again"):
        numbered(["b", "a"], classes=["a", "b", "a"])
    with pytest.raises(DataError, match="no classes"):
        numbered([0.5, 1.5], classes=[0, 1])


def test_targets_that_are_no_classes() -> None:
    dataset = numbered([0.5, 1.5, 2.5])
    assert dataset.classes == ()
    assert repr(dataset) == "Dataset(3 examples, int64 (2,))"
    first, second = dataset.split(1)
    assert sorted(positions(first) + positions(second)) == [0, 1, 2]
    for use in (dataset.counts, lambda: dataset.subset([0.5]), lambda: dataset.subset([1])):
        with pytest.raises((DataError, SpecError)):
            use()
    assert Dataset(np.zeros((2, 3)), np.zeros((2, 4))).classes == ()


def test_inputs_for_an_encoder() -> None:
    paths = [Path("a.png"), Path("b.png"), Path("c.png")]
    dataset = Dataset(paths, [1, 2, 1])
    assert dataset.subset(classes=[1]).x == [paths[0], paths[2]]
    assert dataset[1] == (paths[1], 2)
    assert repr(dataset) == "Dataset(3 examples; 2 classes: 1, 2)"


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 2)), ["a", "b"], "3 inputs and 2 labels"),
        (np.zeros((0, 2)), [], "there are no inputs"),
        (np.zeros((1, 2)), [], "there are no labels"),
        (np.zeros((2, 2)), [None, None], "dtype object"),
        (np.zeros((2, 2)), ["a", 1], "mixed"),
        (np.zeros((2, 2)), [[1], [1, 2]], r"example 0 has \(1,\) and example 1 has \(2,\)"),
        (np.zeros((2, 2)), np.array([b"a", b"b"]), "astype"),
        (3, ["a"], "expected an array or a list"),
        (np.float64(3), ["a"], "a single value"),
    ],
)
def test_refused(x: object, y: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset(x, y)


def test_immutable() -> None:
    dataset = numbered(["a", "b"])
    for name in ("x", "y", "classes", "_classes", "other"):
        with pytest.raises(AttributeError):
            setattr(dataset, name, ())


def test_copies_and_pickles() -> None:
    part = numbered(["a", "b", "a"])[[2, 1]]
    for again in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert positions(again) == [2, 1]
        assert again.y.tolist() == ["a", "b"]
        assert again.classes == ("a", "b")


# --- parts ------------------------------------------------------------------------------


@given(labels, st.data())
def test_subset_of_classes(y: list[str], draw: st.DataObject) -> None:
    dataset = numbered(y)
    wanted = draw.draw(st.lists(st.sampled_from(dataset.classes), min_size=1, unique=True))
    part = dataset.subset(classes=wanted)
    assert part.classes == tuple(wanted)
    assert positions(part) == [i for i, label in enumerate(y) if label in wanted]
    assert part.counts() == {label: y.count(label) for label in wanted}


def test_subset_refused() -> None:
    dataset = numbered(["a", "b"], classes=["a", "b", "c"])
    with pytest.raises(DataError, match=r"unknown labels: 'd'; the known ones: 'a', 'b', 'c'"):
        dataset.subset(classes=["a", "d"])
    with pytest.raises(DataError, match="no examples"):
        dataset.subset(classes=["c"])
    for wrong in ([], "a", ["a", "a"]):
        with pytest.raises(SpecError):
            dataset.subset(classes=wrong)


@given(labels, st.floats(0.01, 0.99), st.integers(0, 9), st.booleans())
def test_split(y: list[str], share: float, seed: int, stratified: bool) -> None:
    dataset = numbered(y)
    first, second = dataset.split(share, seed=seed, stratified=stratified)
    assert sorted(positions(first) + positions(second)) == list(range(len(y)))
    assert len(first) == min(max(int(share * len(y) + 0.5), 1), len(y) - 1)
    assert first.classes == second.classes == dataset.classes
    if stratified:
        for label, n in dataset.counts().items():
            exact = n * len(first) / len(y)
            assert int(exact) <= first.counts()[label] <= -int(-exact // 1)
    again, _ = dataset.split(share, seed=seed, stratified=stratified)
    assert positions(again) == positions(first)


@given(labels, st.data())
def test_split_by_number(y: list[str], draw: st.DataObject) -> None:
    count = draw.draw(st.integers(1, len(y) - 1))
    first, second = numbered(y).split(count)
    assert (len(first), len(second)) == (count, len(y) - count)


def test_other_seeds_split_otherwise() -> None:
    dataset = numbered(["a", "b"] * 50)
    assert positions(dataset.split(0.5, seed=1)[0]) != positions(dataset.split(0.5, seed=2)[0])


@pytest.mark.parametrize("share", [0, 4, -1, 0.0, 1.0, -0.5, 1.5, True, "half", None, float("nan")])
def test_splits_refused(share: object) -> None:
    with pytest.raises(SpecError):
        numbered(["a", "b", "a", "b"]).split(share)


def test_one_example_can_not_be_split() -> None:
    with pytest.raises(DataError, match="at least two"):
        numbered(["a"]).split(0.5)


@given(labels, st.integers(1, 50), st.none() | st.integers(0, 9))
def test_batches_cover_each_example_once(y: list[str], size: int, seed: int | None) -> None:
    batches = list(numbered(y).batches(size, seed))
    seen = np.concatenate([x[:, 0] for x, _ in batches]).tolist()
    assert sorted(seen) == list(range(len(y)))
    assert [y[i] for i in seen] == np.concatenate([labels for _, labels in batches]).tolist()
    assert all(len(x) == size for x, _ in batches[:-1])
    if seed is None:
        assert seen == list(range(len(y)))
    else:
        again = np.concatenate([x[:, 0] for x, _ in numbered(y).batches(size, seed)])
        assert again.tolist() == seen


def test_batches_are_shuffled_by_seed() -> None:
    dataset = numbered(["a"] * 100)
    orders = [np.concatenate([x[:, 0] for x, _ in dataset.batches(7, s)]) for s in (None, 1, 2)]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("size", [0, -3, 1.5, True, None])
def test_batch_sizes_refused(size: object) -> None:
    with pytest.raises(SpecError, match="batch_size"):
        numbered(["a", "b"]).batches(size)


# --- picking ----------------------------------------------------------------------------


@given(labels, st.data())
def test_picking(y: list[str], draw: st.DataObject) -> None:
    dataset = numbered(y)
    i = draw.draw(st.integers(-len(y), len(y) - 1))
    x, label = dataset[i]
    assert (x.tolist(), label) == ([i % len(y)] * 2, y[i])
    assert type(label) is str
    picked = draw.draw(st.lists(st.integers(-len(y), len(y) - 1), min_size=1))
    for key in (picked, np.array(picked)):
        assert positions(dataset[key]) == [j % len(y) for j in picked]
    mask = np.isin(np.arange(len(y)), picked)
    mask[0] = True
    assert positions(dataset[mask]) == np.flatnonzero(mask).tolist()
    assert positions(dataset[::-2]) == list(range(len(y)))[::-2]
    assert positions(dataset[picked][[0, -1]]) == [picked[0] % len(y), picked[-1] % len(y)]


def test_picking_refused() -> None:
    dataset = numbered(["a", "b"])
    for key in (2, -3, [0, 2], "a", 0.5, np.array([True])):
        with pytest.raises(DataError):
            dataset[key]
    for nothing in ([], slice(2, 2), np.array([False, False])):
        with pytest.raises(DataError, match="no examples"):
            dataset[nothing]


def test_iterating() -> None:
    assert [(x[0], y) for x, y in numbered(["b", "a"])] == [(0, "b"), (1, "a")]


# --- reading on demand ------------------------------------------------------------------


def test_nothing_is_read_before_it_is_needed() -> None:
    x = Counted(np.arange(200).reshape(100, 2))
    dataset = Dataset(x, np.arange(100) % 4)
    part, rest = dataset.subset(classes=[1, 3]).split(0.5)
    assert repr(part) == "Dataset(25 examples, int64 (2,); 2 classes: 1, 3)"
    assert rest.counts() == {1: 12, 3: 13} or rest.counts() == {1: 13, 3: 12}
    assert x.reads == []
    seen = [rows for rows, _ in part.batches(10, seed=0)]
    assert x.reads == [10, 10, 5]
    assert sorted(np.concatenate(seen)[:, 0].tolist()) == part.x[:, 0].tolist()


def test_a_memory_map_is_never_copied_whole(tmp_path: Path) -> None:
    size = 8000 * 32 * 32 * 4
    np.save(tmp_path / "x.npy", np.zeros((8000, 32, 32), dtype=np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    dataset = Dataset(x, np.arange(8000) % 10)
    tracemalloc.start()
    try:
        train, test = dataset.subset(classes=[1, 2, 3, 4, 5, 6, 7, 8]).split(0.8)
        for part in (train, test):
            assert sum(len(y) for _, y in part.batches(50, seed=0)) == len(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 8
