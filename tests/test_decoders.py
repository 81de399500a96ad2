"""Decoders: targets from labels, labels from outputs, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minnet import data
from minnet.data import ClassDecoder, Decoder, ScalarDecoder
from minnet.errors import DataError, FormatError, ShapeError, SpecError

label_lists = st.lists(
    st.text(max_size=4) | st.integers(-9, 9), min_size=1, max_size=8, unique=True
)


@given(label_lists, st.data())
def test_classes_round_trip(labels: list, draw: st.DataObject) -> None:
    decoder = ClassDecoder(labels)
    picked = draw.draw(st.lists(st.sampled_from(labels), min_size=1, max_size=20))
    targets = decoder.encode(picked)
    assert decoder.size == len(labels)
    assert targets.dtype == np.int64
    outputs = np.eye(decoder.size)[targets]
    assert decoder.fits(outputs.shape[1:])
    assert decoder.decode(outputs) == picked
    assert decoder.decode(outputs, give="label") == picked
    assert [type(label) for label in decoder.decode(outputs)] == [type(label) for label in picked]


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(2, 6)),
        elements=st.floats(0, 1, width=32),
    )
)
def test_probabilities_and_the_top(outputs: np.ndarray) -> None:
    labels = [f"class {i}" for i in range(outputs.shape[1])]
    decoder = ClassDecoder(labels)
    for row, probabilities in zip(outputs, decoder.decode(outputs, "probabilities"), strict=True):
        assert list(probabilities) == labels
        assert list(probabilities.values()) == row.tolist()
    best = decoder.decode(outputs, ("top", 1))
    assert [top[0][0] for top in best] == decoder.decode(outputs)
    for row, top in zip(outputs, decoder.decode(outputs, ("top", decoder.size)), strict=True):
        assert sorted(label for label, _ in top) == labels
        assert [p for _, p in top] == sorted(row.tolist(), reverse=True)
        assert all(type(p) is float for _, p in top)


def test_equals_come_in_the_order_of_the_labels() -> None:
    top = ClassDecoder(["c", "b", "a"]).decode([[0.25, 0.375, 0.375]], ("top", 2))
    assert top == [[("b", 0.375), ("a", 0.375)]]


@pytest.mark.parametrize(
    "y",
    [
        [2, 0, 2],
        [np.int64(2), np.uint8(0), 2],
        np.array([2, 0, 2], dtype=np.uint8),
        np.array([2.0, 0.0, 2.0]),
        np.array([2, 0, 2], dtype=object),
    ],
)
def test_numbers_of_numpy_are_those_of_python(y: object) -> None:
    assert ClassDecoder([0, 1, 2]).encode(y).tolist() == [2, 0, 2]
    assert ClassDecoder(np.array([0, 1, 2])).labels == (0, 1, 2)


@given(
    st.permutations(range(4)) | st.permutations([0, 1, 2, "a", 7]),
    st.sampled_from(["int8", "int64", "uint8", "uint64"]),
    st.data(),
)
def test_arrays_of_whole_numbers_are_labels_like_those_in_a_list(
    labels: list, dtype: str, draw: st.DataObject
) -> None:
    numbers = st.sampled_from([label for label in labels if label != "a"])
    picked = draw.draw(st.lists(numbers, min_size=1))
    targets = ClassDecoder(labels).encode(np.array(picked, dtype))
    assert targets.dtype == np.int64
    np.testing.assert_array_equal(targets, [labels.index(label) for label in picked])


@pytest.mark.parametrize("unknown", [-1, 3, 127])
def test_numbers_that_are_no_label_are_unknown(unknown: int) -> None:
    with pytest.raises(DataError, match=f"unknown labels: {unknown}; the known ones: 0, 1, 2"):
        ClassDecoder(range(3)).encode(np.array([0, unknown, 2], np.int8))


def test_labels_may_be_given_as_an_array_that_stays_ones_own() -> None:
    labels = np.array([0, 2, 1])
    targets = ClassDecoder(range(3)).encode(labels)
    targets[:] = 9
    assert labels.tolist() == [0, 2, 1]


def test_strings_of_numpy_are_those_of_python() -> None:
    decoder = ClassDecoder(np.array(["a", "b"]))
    assert [type(label) for label in decoder.labels] == [str, str]
    assert decoder.encode(np.array(["b", "a"])).tolist() == [1, 0]
    assert decoder.encode(np.array(["b", "a"], dtype=np.dtypes.StringDType())).tolist() == [1, 0]
    assert decoder.encode([np.str_("b"), "a"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (["b", "a", "b"], ("a", "b")),
        (np.array([3, 1, 3], dtype=np.int32), (1, 3)),
        ([True, False], (False, True)),
        (["b", 10, "a", 9], (9, 10, "a", "b")),
        (np.array(["b", 10], dtype=object), (10, "b")),
    ],
)
def test_decoder_of_labels(y: object, labels: tuple) -> None:
    decoder = ClassDecoder.of(y)
    assert decoder.labels == labels
    assert [type(label) for label in decoder.labels] == [type(label) for label in labels]
    assert decoder.decode(np.eye(len(labels))[decoder.encode(y)]) == list(y)


@pytest.mark.parametrize("y", [[], [1.5, 2.0], [None], [["a"]], np.zeros((2, 2), int), np.array(1)])
def test_decoder_of_no_labels(y: object) -> None:
    with pytest.raises(DataError):
        ClassDecoder.of(y)


@pytest.mark.parametrize(
    "labels", [[], ["a", "b", "a"], [1, True], [1.5], [None], "ab", 3, [("a",)]]
)
def test_labels_refused(labels: object) -> None:
    with pytest.raises(SpecError):
        ClassDecoder(labels)


@pytest.mark.parametrize(
    ("y", "unknown"),
    [
        (["cat", "cow", "cow", "owl"], "'cow', 'owl'"),
        (np.array(["cat", "cow"]), "'cow'"),
        ([0, 1], "0, 1"),
        ([None, "cat"], "None"),
        ([["cat"], "cat"], r"\['cat'\]"),
        ([float("nan")], "nan"),
    ],
)
def test_unknown_labels(y: object, unknown: str) -> None:
    with pytest.raises(
        DataError, match=rf"unknown labels: {unknown}; the known ones: 'cat', 'dog'"
    ):
        ClassDecoder(["cat", "dog"]).encode(y)


def test_a_thousand_unknown_labels_make_no_novel() -> None:
    with pytest.raises(DataError, match="and 980 more; the known ones: 0, 1, 2") as caught:
        ClassDecoder(range(1000)).encode(range(1000, 2000))
    assert len(str(caught.value)) < 500


def test_labels_with_axes_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(2, 1\)"):
        ClassDecoder([0, 1]).encode(np.zeros((2, 1), int))


@pytest.mark.parametrize(
    "outputs", [np.zeros((2, 4)), np.zeros(3), np.zeros((2, 3, 3)), np.zeros(()), [["a", "b", "c"]]]
)
def test_outputs_that_do_not_fit(outputs: object) -> None:
    with pytest.raises(ShapeError):
        ClassDecoder(["a", "b", "c"]).decode(outputs)


@pytest.mark.parametrize(
    "give", ["best", ("top",), ("top", 0), ("top", 3), ("top", 1.5), ("low", 1), 1]
)
def test_gifts_refused(give: object) -> None:
    with pytest.raises(SpecError):
        ClassDecoder(["a", "b"]).decode([[0.5, 0.5]], give)


@pytest.mark.parametrize("outputs", [[[-1.0, 2.0]], [[0.0, 1.5]], [[float("nan"), 0.0]]])
def test_outputs_that_are_no_probabilities(outputs: list) -> None:
    for give in ("probabilities", ("top", 1)):
        with pytest.raises(DataError, match="Softmax"):
            ClassDecoder(["a", "b"]).decode(outputs, give)


def test_labels_need_no_probabilities() -> None:
    assert ClassDecoder(["a", "b"]).decode([[-1.0, 2.0], [3.0, 2.0]]) == ["b", "a"]


def test_what_fits() -> None:
    decoder = ClassDecoder(["a", "b"])
    assert decoder.fits((2,))
    assert decoder.fits([2])
    for shape in ((), (1,), (3,), (2, 1)):
        assert not decoder.fits(shape)
    assert ScalarDecoder().fits(())
    assert ScalarDecoder().fits((1,))
    assert not ScalarDecoder().fits((2,))


# --- numbers ----------------------------------------------------------------------------


@given(hnp.arrays(np.float32, st.integers(1, 9), elements=st.floats(-1e6, 1e6, width=32)))
def test_numbers_round_trip(y: np.ndarray) -> None:
    decoder = ScalarDecoder()
    for given_y in (y, y[:, None], y.tolist()):
        targets = decoder.encode(given_y)
        assert targets.shape == (len(y), 1)
        assert targets.dtype == np.float32
        assert decoder.decode(targets) == y.tolist()
    assert decoder.decode(y) == y.tolist()
    assert decoder.size == 1


@pytest.mark.parametrize("y", [["a"], [1, [2]], np.zeros((2, 2)), 3.0, [None], [1j]])
def test_numbers_refused(y: object) -> None:
    with pytest.raises(DataError):
        ScalarDecoder().encode(y)


def test_outputs_of_numbers_refused() -> None:
    with pytest.raises(ShapeError):
        ScalarDecoder().decode(np.zeros((2, 2)))
    with pytest.raises(SpecError):
        ScalarDecoder().decode(np.zeros((2, 1)), "probabilities")


# --- all --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decoder", [ClassDecoder(["a", 2]), ClassDecoder(range(3)), ScalarDecoder()]
)
def test_survive_a_file(decoder: Decoder) -> None:
    options = json.loads(json.dumps(decoder.options()))
    again = getattr(data, type(decoder).__name__)(**options)
    assert again == decoder
    assert hash(again) == hash(decoder)
    with pytest.raises(AttributeError):
        decoder.labels = ("b",)  # type: ignore[attr-defined]


def test_decoders_of_ones_own() -> None:
    class Mine(Decoder):
        pass

    with pytest.raises(FormatError, match="Mine"):
        Mine().options()
    for use in (lambda: Mine().size, lambda: Mine().encode([1]), lambda: Mine().decode([1])):
        with pytest.raises(NotImplementedError):
            use()
