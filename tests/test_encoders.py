"""Encoders: what they make of images, labels and anything else, and what they refuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minnet import data
from minnet.data import ClassEncoder, Encoder, FunctionEncoder, ImageEncoder
from minnet.errors import DataError, FormatError, MinnetError, ShapeError, SpecError

sides = st.integers(1, 9)
labels = st.lists(st.text(max_size=4) | st.integers(-9, 9), min_size=1, max_size=8, unique=True)


def image(*shape: int, dtype: str = "uint8") -> np.ndarray:
    """An image (or a batch of them) with another value at every place, as far as they go."""
    values = np.arange(np.prod(shape)).reshape(shape) * 7 % 251
    return (values / 250 if dtype.startswith("f") else values).astype(dtype)


# --- images -----------------------------------------------------------------------------


@given(st.integers(1, 4), sides, sides, st.sampled_from(["uint8", "int32", "float32", "float64"]))
def test_batch_of_gray_images(n: int, height: int, width: int, dtype: str) -> None:
    images = image(n, height, width, dtype=dtype)
    encoded = ImageEncoder((height, width)).encode(images[..., None])
    scale = 1 / 255 if dtype in ("uint8", "int32") else 1
    assert encoded.dtype == np.float32
    assert encoded.shape == (n, height, width, 1)
    np.testing.assert_allclose(encoded[..., 0], images * scale, rtol=1e-6)


@given(st.integers(1, 4), st.integers(4, 9), st.integers(4, 9), st.sampled_from([(), (1,), (3,)]))
def test_one_image_a_list_and_a_batch_agree(n: int, height: int, width: int, c: tuple) -> None:
    encoder = ImageEncoder((height, width), color="color", mean=(0.1, 0.2, 0.3))
    images = image(n, height, width, *c)
    batch = encoder.encode(images)
    assert batch.shape == (n, *encoder.shape)
    np.testing.assert_array_equal(encoder.encode(list(images)), batch)
    np.testing.assert_array_equal(np.concatenate([encoder.encode(i) for i in images]), batch)
    assert encoder.is_example(images[0])
    assert not encoder.is_example(images)
    assert not encoder.is_example(list(images))


def test_images_of_different_kinds_in_one_list() -> None:
    encoder = ImageEncoder(5, color="color")
    kinds = [image(5, 5), image(5, 5, 1, dtype="float32"), image(5, 5, 3), image(5, 5).tolist()]
    encoded = encoder.encode(kinds)
    assert encoded.shape == (4, 5, 5, 3)
    np.testing.assert_allclose(encoded[1], image(5, 5, 1, dtype="float32").repeat(3, axis=-1))
    np.testing.assert_allclose(encoded[3], encoded[0])


def test_scale_and_mean() -> None:
    encoder = ImageEncoder((2, 2), color="color", mean=(10, 20, 30), scale=2)
    encoded = encoder.encode(np.full((1, 2, 2, 3), 50, dtype=np.uint8))
    np.testing.assert_array_equal(encoded[0, 0, 0], [90, 80, 70])
    floats = encoder.encode(np.full((1, 2, 2, 3), 50.0))
    np.testing.assert_array_equal(floats[0, 0, 0], [40, 30, 20])
    one = ImageEncoder((2, 2), mean=0.25).encode(np.full((2, 2), 0.75))
    np.testing.assert_array_equal(one, np.full((1, 2, 2, 1), 0.5))


def test_colours_and_gray() -> None:
    red = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    red[..., 0] = 255
    np.testing.assert_allclose(ImageEncoder(2).encode(red), 0.299, rtol=1e-6)
    gray = image(3, 4, 4)
    there = ImageEncoder(4, color="color").encode(gray)
    np.testing.assert_allclose(ImageEncoder(4).encode(there), ImageEncoder(4).encode(gray), 1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_asked_for(dtype: type) -> None:
    for images in (image(2, 4, 4), image(2, 4, 4, dtype="float64"), [image(4, 4)]):
        assert ImageEncoder(4, mean=0.5).encode(images, dtype).dtype == dtype


def test_input_is_left_alone_and_may_be_read_only() -> None:
    images = image(2, 4, 4, dtype="float32")
    images.flags.writeable = False
    encoded = ImageEncoder(4, mean=1).encode(images)
    assert encoded.flags.writeable
    np.testing.assert_array_equal(images, image(2, 4, 4, dtype="float32"))


def test_three_axes_are_a_batch_where_the_size_says_so() -> None:
    assert not ImageEncoder((4, 3)).is_example(image(5, 4, 3))
    assert ImageEncoder((5, 4)).is_example(image(5, 4, 3))
    assert ImageEncoder((3, 3)).encode(image(3, 3, 3)).shape == (3, 3, 3, 1)
    assert ImageEncoder(28).is_example(image(28, 28, 1))
    assert ImageEncoder(28).is_example("shoe.png")
    assert ImageEncoder(28).is_example(Path("shoe.png"))
    assert not ImageEncoder(28).is_example(["shoe.png"])


@given(sides, sides, st.sampled_from(["gray", "color"]), st.sampled_from(["uint8", "float64"]))
def test_resizing(height: int, width: int, color: str, dtype: str) -> None:
    pytest.importorskip("PIL")
    encoder = ImageEncoder((height, width), color=color)
    plain = np.full((2, 11, 7), 51 if dtype == "uint8" else 0.2, dtype=dtype)
    encoded = encoder.encode(plain)
    assert encoded.shape == (2, height, width, encoder.shape[-1])
    np.testing.assert_allclose(encoded, 0.2, rtol=1e-5)


def test_resizing_keeps_sides_apart() -> None:
    pytest.importorskip("PIL")
    halves = np.zeros((8, 8))
    halves[:, 4:] = 1
    small = ImageEncoder((4, 2)).encode(halves)[0, ..., 0]
    assert small.shape == (4, 2)
    assert (small[:, 0] < 0.2).all()
    assert (small[:, 1] > 0.8).all()


@pytest.mark.parametrize("color", ["gray", "color"])
@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 3), (9, 4, 3)])
def test_a_file_is_what_its_pixels_are(tmp_path: Path, color: str, shape: tuple) -> None:
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "image.png"
    pillow.fromarray(image(*shape)).save(path)
    encoder = ImageEncoder((6, 6), color=color)
    expected = encoder.encode(image(*shape))
    np.testing.assert_array_equal(encoder.encode(path), expected)
    np.testing.assert_array_equal(encoder.encode([str(path)]), expected)
    np.testing.assert_array_equal(encoder.encode(np.array([str(path)])), expected)
    mixed = encoder.encode([image(*shape), path])
    np.testing.assert_array_equal(mixed[0], mixed[1])


def test_modes_of_files(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    encoder = ImageEncoder(4, color="color")
    deep = np.full((4, 4), 128 * 256 + 7, dtype=np.uint16)
    pillow.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_allclose(encoder.encode(tmp_path / "deep.png"), 128 / 255, rtol=1e-6)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        path = tmp_path / f"{mode}.tif"
        picture = pillow.new("RGB", (4, 4), (255, 255, 255))
        (picture.quantize() if mode == "P" else picture.convert(mode)).save(path)
        np.testing.assert_allclose(encoder.encode(path), 1, rtol=1e-6)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    halves = np.zeros((4, 4), dtype=np.uint8)
    halves[:2] = 255
    exif = pillow.Exif()
    exif[0x0112] = 3  # taken upside down
    pillow.fromarray(halves).save(tmp_path / "photo.png", exif=exif)
    encoded = ImageEncoder(4).encode(tmp_path / "photo.png")[0, ..., 0]
    np.testing.assert_array_equal(encoded, halves[::-1] / np.float32(255))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\nbroken"])
def test_files_that_are_no_images(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("PIL")
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png"):
        ImageEncoder(4).encode(path)


def test_truncated_and_missing_files(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "whole.png"
    pillow.fromarray(image(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="as an image"):
        ImageEncoder(4).encode([path])
    with pytest.raises(DataError, match=r"nowhere\.png"):
        ImageEncoder(4).encode(tmp_path / "nowhere.png")


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("PIL", "PIL.Image", "PIL.ImageOps"):
        monkeypatch.setitem(sys.modules, module, None)
    encoder = ImageEncoder(4)
    assert encoder.encode(image(2, 4, 4)).shape == (2, 4, 4, 1)
    with pytest.raises(DataError, match=r"minnet\[image\]"):
        encoder.encode("image.png")
    with pytest.raises(DataError, match=r"resizing.*minnet\[image\]"):
        encoder.encode(image(5, 5))


@pytest.mark.parametrize(
    ("images", "error"),
    [
        (image(4), ShapeError),
        (image(2, 4, 4, 2), ShapeError),
        (image(2, 4, 4, 4), ShapeError),
        (image(2, 2, 4, 4, 3), ShapeError),
        (np.zeros((0, 4, 4)), DataError),
        (np.zeros((2, 0, 4)), ShapeError),
        ([], DataError),
        (np.array([]), DataError),
        (5, DataError),
        (None, DataError),
        ([None], DataError),
        ([image(4, 4), image(4)], MinnetError),
        ([[[1, 2], [3]]], DataError),
        (np.zeros((2, 4, 4), dtype=complex), DataError),
        (np.full((2, 4, 4), "a"), DataError),
    ],
)
def test_images_refused(images: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        ImageEncoder(4).encode(images)


def test_dtypes_refused() -> None:
    with pytest.raises(SpecError, match="int64"):
        ImageEncoder(4).encode(image(4, 4), np.int64)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": (4, -1)},
        {"size": (4, 4, 1)},
        {"size": (4.5, 4)},
        {"size": None},
        {"size": 4, "color": "RGB"},
        {"size": 4, "mean": (0.1, 0.2, 0.3)},
        {"size": 4, "color": "color", "mean": (0.1, 0.2)},
        {"size": 4, "mean": float("nan")},
        {"size": 4, "mean": "0"},
        {"size": 4, "mean": [[1], [1, 2]]},
        {"size": 4, "mean": {"red": 1}},
        {"size": 4, "color": ["gray"]},
        {"size": 4, "scale": 10**400},
        {"size": "44"},
        {"size": 4, "scale": 0},
        {"size": 4, "scale": float("inf")},
        {"size": 4, "scale": None},
    ],
)
def test_options_refused(options: dict) -> None:
    with pytest.raises(SpecError):
        ImageEncoder(**options)


# --- labels -----------------------------------------------------------------------------


@given(labels, st.data())
def test_classes(labels: list, draw: st.DataObject) -> None:
    picked = draw.draw(st.lists(st.sampled_from(labels), min_size=1))
    indices = ClassEncoder(labels).encode(picked)
    assert indices.dtype == np.int64
    assert [labels[i] for i in indices] == picked
    vectors = ClassEncoder(labels, one_hot=True).encode(picked, np.float64)
    assert vectors.dtype == np.float64
    np.testing.assert_array_equal(vectors, np.eye(len(labels))[indices])


def test_shapes_and_examples_of_classes() -> None:
    assert ClassEncoder(("a", "b")).shape == ()
    assert ClassEncoder(("a", "b"), one_hot=True).shape == (2,)
    encoder = ClassEncoder(("a", 1))
    assert encoder.is_example("a")
    assert encoder.is_example(np.int64(1))
    assert not encoder.is_example(["a"])
    assert not encoder.is_example(np.array(["a"]))
    assert encoder.encode("a").tolist() == [0]


def test_classes_refused() -> None:
    with pytest.raises(DataError, match=r"unknown labels: 'c'; the known ones: 'a', 'b'"):
        ClassEncoder(("a", "b")).encode(["a", "c", "c"])
    with pytest.raises(SpecError, match="again: 'a'"):
        ClassEncoder(("a", "a"))
    with pytest.raises(SpecError, match="one_hot"):
        ClassEncoder(("a", "b"), one_hot="yes")


# --- functions --------------------------------------------------------------------------


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 5), sides), elements=st.floats(-9, 9, width=32))
)
def test_functions(batch: np.ndarray) -> None:
    encoder = FunctionEncoder(lambda row: row * 2, shape=batch.shape[1:])
    encoded = encoder.encode(batch)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, batch * 2)
    np.testing.assert_array_equal(encoder.encode(list(batch)), encoded)
    assert encoder.shape == batch.shape[1:]


def test_function_of_one_example() -> None:
    encoder = FunctionEncoder(len)
    assert encoder.shape is None
    assert encoder.is_example("word")
    assert encoder.encode("word").tolist() == [4]
    assert encoder.encode(["a", "bc"], np.float64).dtype == np.float64


@pytest.mark.parametrize(
    ("encoder", "batch", "message"),
    [
        (FunctionEncoder(list), ["ab"], "<U1"),
        (FunctionEncoder(lambda n: np.zeros(n)), [1, 2], r"\(1,\).*\(2,\) for example 1"),
        (FunctionEncoder(lambda n: np.zeros(3), shape=(2,)), [1], r"\(2,\).*\(3,\) for example 0"),
        (FunctionEncoder(len), [], "at least one"),
    ],
)
def test_functions_refused(encoder: FunctionEncoder, batch: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encoder.encode(batch)


def test_functions_have_options() -> None:
    with pytest.raises(SpecError, match="function"):
        FunctionEncoder("len")
    with pytest.raises(SpecError):
        FunctionEncoder(len, shape=(0,))
    with pytest.raises(FormatError, match="FunctionEncoder can't be saved"):
        FunctionEncoder(len).options()


# --- all --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoder",
    [
        ImageEncoder((28, 20)),
        ImageEncoder([8, 8], color="color", mean=np.array([0.1, 0.2, 0.3]), scale=np.float32(0.5)),
        ImageEncoder(8, mean=np.float64(0.5)),
        ClassEncoder(["a", 2, True]),
        ClassEncoder(np.array([3, 1]), one_hot=True),
    ],
)
def test_survive_a_file(encoder: Encoder) -> None:
    options = json.loads(json.dumps(encoder.options()))
    again = getattr(data, type(encoder).__name__)(**options)
    assert again == encoder
    assert hash(again) == hash(encoder)
    assert again.shape == encoder.shape


def test_immutable() -> None:
    for encoder in (ImageEncoder(4), ClassEncoder(["a"]), FunctionEncoder(len)):
        with pytest.raises(AttributeError):
            encoder.size = 5  # type: ignore[attr-defined]


def test_encoders_of_ones_own() -> None:
    class Mine(Encoder):
        pass

    assert Mine().shape is None
    assert Mine().is_example(object())
    with pytest.raises(FormatError, match="Mine"):
        Mine().options()
    with pytest.raises(NotImplementedError):
        Mine().encode([1])
