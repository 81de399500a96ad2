"""Readers of data sets: folders of IDX files and of images, and Fashion-MNIST."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import idx

from minnet.data import (
    FASHION_CLASSES,
    fashion_mini,
    fashion_mnist,
    read_idx_folder,
    read_image_folder,
    readers,
)
from minnet.errors import DataError, FormatError, SpecError

EXAMPLES = Path(__file__).parents[1] / "examples" / "data"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


IMAGES = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.array([1, 0, 2, 1, 0], dtype=np.uint8)


def idx_folder(folder: Path, end: str = "", test: str = "t10k") -> Path:
    """A folder of four IDX files."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, sign in (("train", 1), (test, -1)):
        for part, array in (("images-idx3", IMAGES[::sign]), ("labels-idx1", LABELS[::sign])):
            content = gzip.compress(idx(array)) if end else idx(array)
            (folder / f"{kind}-{part}-ubyte{end}").write_bytes(content)
    return folder


# --- folders of IDX files ---------------------------------------------------------------


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_idx_folder(tmp_path: Path, end: str, test: str) -> None:
    folder = idx_folder(tmp_path / "set", end, test)
    train = read_idx_folder(folder)
    np.testing.assert_array_equal(train.x, IMAGES)
    assert train.y.tolist() == LABELS.tolist()
    assert train.classes == (0, 1, 2)
    named = read_idx_folder(str(folder), "test", classes=["cat", "ant", "dog"])
    np.testing.assert_array_equal(named.x, IMAGES[::-1])
    assert named.y.tolist() == ["cat", "ant", "dog", "cat", "ant"]
    assert named.classes == ("cat", "ant", "dog")


def test_idx_folder_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images"):
        read_idx_folder(tmp_path)
    folder = idx_folder(tmp_path)
    with pytest.raises(DataError, match="'train' or 'test'"):
        read_idx_folder(folder, "validation")
    with pytest.raises(FormatError, match="from 0 to 1"):
        read_idx_folder(folder, classes=["cat", "ant"])
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:3]))
    with pytest.raises(FormatError, match="belong together"):
        read_idx_folder(folder)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(FormatError, match="belong together"):
        read_idx_folder(folder)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS.astype(np.float32)))
    with pytest.raises(FormatError, match="whole numbers"):
        read_idx_folder(folder, classes=["cat", "ant", "dog"])
    (folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="train-labels"):
        read_idx_folder(folder)


# --- folders of images ------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two classes of images, and things to pass over."""
    pillow = pytest.importorskip("PIL.Image")
    for name, values in (("dark", (0, 51)), ("light", (204,))):
        (tmp_path / name).mkdir()
        for value in values:
            picture = pillow.fromarray(np.full((4, 6, 3), value, dtype=np.uint8))
            picture.save(tmp_path / name / f"{value}.PNG")
        (tmp_path / name / "notes.txt").write_text("nothing")
    pillow.new("L", (3, 3)).save(tmp_path / "outside.png")
    return tmp_path


def test_image_folder(pictures: Path) -> None:
    dataset = read_image_folder(pictures)
    assert dataset.x.shape == (3, 4, 6, 3)
    assert dataset.x.dtype == np.uint8
    assert dataset.x[:, 0, 0, 0].tolist() == [0, 51, 204]
    assert dataset.y.tolist() == ["dark", "dark", "light"]
    gray = read_image_folder(str(pictures), size=(2, 5), color="gray")
    assert gray.x.shape == (3, 2, 5)
    assert gray.x[:, 1, 1].tolist() == [0, 51, 204]


def test_image_folder_refused(pictures: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    with pytest.raises(DataError, match="no sub-folders"):
        read_image_folder(pictures / "dark")
    with pytest.raises(DataError, match="'gray' or 'color'"):
        read_image_folder(pictures, color="blue")
    with pytest.raises(SpecError):
        read_image_folder(pictures, size=(0, 3))
    pillow.new("L", (3, 3)).save(pictures / "light" / "small.png")
    with pytest.raises(DataError, match=r"small\.png is \(3, 3\)"):
        read_image_folder(pictures)
    assert len(read_image_folder(pictures, size=(3, 3))) == 4
    (pictures / "dark" / "broken.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        read_image_folder(pictures)


# --- Fashion-MNIST ----------------------------------------------------------------------


def test_fashion_mnist_looks_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_folder = idx_folder(tmp_path / "given")
    idx_folder(tmp_path / "named" / "fashion-mnist", ".gz")
    monkeypatch.setattr(readers, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.delenv("MINNET_DATA", raising=False)
    with pytest.raises(DataError, match="apt install dataset-fashion-mnist"):
        fashion_mnist()
    monkeypatch.setenv("MINNET_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"empty.*nowhere.*MINNET_DATA"):
        fashion_mnist()
    for path in (given_folder, str(tmp_path / "named")):
        train, test = fashion_mnist(path)
        np.testing.assert_array_equal(train.x, IMAGES)
        np.testing.assert_array_equal(test.x, IMAGES[::-1])
        assert train.y[:3].tolist() == ["Trouser", "T-shirt/top", "Pullover"]
        assert train.classes == test.classes == FASHION_CLASSES
    monkeypatch.setenv("MINNET_DATA", str(tmp_path / "named"))
    assert len(fashion_mnist()[0]) == 5
    with pytest.raises(DataError, match="empty"):  # a path given is the only place looked at
        fashion_mnist(tmp_path / "empty")
    monkeypatch.setattr(readers, "DEBIAN", given_folder)
    monkeypatch.setenv("MINNET_DATA", "")
    assert len(fashion_mnist()[1]) == 5


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="takes Debian's dataset-fashion-mnist")
def test_fashion_mnist_of_debian() -> None:
    train, test = fashion_mnist(DEBIAN)
    assert (train.x.shape, test.x.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert train.counts() == dict.fromkeys(FASHION_CLASSES, 6000)
    assert test.counts() == dict.fromkeys(FASHION_CLASSES, 1000)
    assert train.y[:4].tolist() == ["Ankle boot", "T-shirt/top", "T-shirt/top", "Dress"]


def test_fashion_mini() -> None:
    train, test = fashion_mini()
    assert train.x.shape == (4000, 28, 28)
    assert train.x.dtype == np.uint8
    assert train.classes == test.classes == FASHION_CLASSES
    assert train.counts() == dict.fromkeys(FASHION_CLASSES, 400)
    assert test.counts() == dict.fromkeys(FASHION_CLASSES, 500)
    assert (EXAMPLES / "fashion-mini.npz").stat().st_size <= 4_500_000
    assert "Zalando" in (EXAMPLES / "LICENSE-fashion-mnist.txt").read_text()


def test_fashion_mini_is_what_it_always_was() -> None:
    with np.load(EXAMPLES / "fashion-mini.npz") as file:
        digests = {name: hashlib.sha256(file[name].tobytes()).hexdigest()[:16] for name in file}
    assert digests == {
        "train_images": "85652285005860ad",
        "train_labels": "090dfea4d7c72ab5",
        "test_images": "2f1d49ff21f840ad",
        "test_labels": "b80a1500425179a4",
        "classes": "ffeee533820871a4",
    }


def test_fashion_mini_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"fashion_mnist\(\)"):
        fashion_mini(tmp_path / "nowhere.npz")
    monkeypatch.chdir(tmp_path)
    assert len(fashion_mini()[0]) == 4000  # the repository's
    folder = tmp_path / "examples" / "data"
    folder.mkdir(parents=True)
    np.savez(folder / "fashion-mini.npz", train_images=IMAGES)
    with pytest.raises(DataError, match="train_labels"):
        fashion_mini()


@pytest.fixture
def script() -> Any:
    """The script that makes fashion-mini.npz."""
    spec = importlib.util.spec_from_file_location("make", EXAMPLES / "make_fashion_mini.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_choosing_is_by_class_and_seed(script: Any) -> None:
    labels = np.arange(100) % 10
    picked = script.chosen(labels, 3, seed=5)
    assert np.bincount(labels[picked]).tolist() == [3] * 10
    assert (np.diff(picked) > 0).all()
    assert script.chosen(labels, 3, seed=5).tolist() == picked.tolist()
    assert script.chosen(labels, 3, seed=6).tolist() != picked.tolist()


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="takes Debian's dataset-fashion-mnist")
def test_the_script_makes_the_file(script: Any, tmp_path: Path) -> None:
    script.make(DEBIAN, tmp_path / "first.npz")
    script.make(DEBIAN, tmp_path / "second.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    for made, there in zip(fashion_mini(tmp_path / "first.npz"), fashion_mini(), strict=True):
        np.testing.assert_array_equal(made.x, there.x)
        np.testing.assert_array_equal(made.y, there.y)
