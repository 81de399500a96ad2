"""Readers of data sets: IDX files, npz files, folders of images, and Fashion-MNIST."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..backend import Array
from ..errors import DataError, FormatError
from .dataset import Dataset
from .files import PathLike, read_idx, read_npz_arrays
from .images import CHANNELS, ImageEncoder, load_image, resize_images, with_channels
from .labels import Label, listing

__all__ = [
    "FASHION_CLASSES",
    "fashion_mini",
    "fashion_mnist",
    "read_idx",
    "read_idx_folder",
    "read_image_folder",
    "read_npz",
]

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# How the files of MNIST and those made like it are called.
IDX_KINDS = {"train": ("train",), "test": ("t10k", "test")}
IDX_PARTS = ("images-idx3-ubyte", "labels-idx1-ubyte")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
MINI = Path("examples", "data", "fashion-mini.npz")
IMAGE_ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp"}

PathPair: TypeAlias = tuple[Path, Path]


# --- general formats ----------------------------------------------------------------------


def read_idx_folder(
    path: PathLike, kind: str = "train", classes: Sequence[Label] | None = None
) -> Dataset:
    """Read images and labels from a folder of IDX files called as those of MNIST are.

    Parameters
    ----------
    path
        Where `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, and the same with
        `t10k` (or `test`) for `train` are, as they are or compressed (`.gz`).
    kind
        `"train"` or `"test"`.
    classes
        What the labels 0, 1, ... are called; the numbers stay when left out.

    Returns
    -------
    Dataset
        Images as in the file (uint8 (N, H, W) for MNIST) and their labels.

    Raises
    ------
    DataError
        If the files aren't there.
    FormatError
        If one isn't what it should be, or they don't belong together.
    """
    if kind not in IDX_KINDS:
        raise DataError(f"kind is 'train' or 'test', got {kind!r}")
    files = _idx_pair(Path(path), kind)
    if files is None:
        raise DataError(
            f"{os.fspath(path)!r} is no folder with {IDX_KINDS[kind][0]}-{IDX_PARTS[0]} "
            f"and {IDX_KINDS[kind][0]}-{IDX_PARTS[1]} (or these with .gz)"
        )
    images, labels = (read_idx(file) for file in files)
    return _dataset(images, labels, classes, os.fspath(path))


def _idx_pair(folder: Path, kind: str) -> PathPair | None:
    """Return the files of images and labels in a folder, or None if one is missing."""
    for name in IDX_KINDS[kind]:
        found = [
            next(
                (file for end in ("", ".gz") if (file := folder / f"{name}-{part}{end}").is_file()),
                None,
            )
            for part in IDX_PARTS
        ]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    return None


def _dataset(x: Array, y: Array, classes: Sequence[Label] | None, where: str) -> Dataset:
    """Return what a file holds as a data set, labels 0, 1, ... by their names in `classes`."""
    if y.ndim != 1 or len(x) != len(y):
        raise FormatError(
            f"{where!r}: inputs of shape {x.shape} and labels of shape {y.shape} "
            "don't belong together"
        )
    if classes is None:
        return Dataset(x, y)
    if y.dtype.kind not in "ui" or y.min() < 0 or y.max() >= len(classes):
        raise FormatError(
            f"{where!r}: the labels aren't whole numbers from 0 to {len(classes) - 1}"
        )
    return Dataset(x, np.asarray(classes)[y], classes)


def read_npz(path: PathLike, x: str = "x", y: str = "y", classes: str | None = None) -> Dataset:
    """Read inputs and labels from a file made by `numpy.savez`.

    Parameters
    ----------
    path
        The file.
    x, y
        What the arrays of inputs and of labels are called in it.
    classes
        What the array with the names of the labels 0, 1, ... is called, if there is one.

    Raises
    ------
    DataError
        If there is no such file, or no such array in it.
    FormatError
        If it is truncated, altered, foreign, or holds pickled objects.
    """
    names = [x, y] if classes is None else [x, y, classes]
    arrays = read_npz_arrays(path, names)
    labels = None if classes is None else arrays[classes].tolist()
    return _dataset(arrays[x], arrays[y], labels, os.fspath(path))


def read_image_folder(
    path: PathLike, size: tuple[int, int] | None = None, color: str = "color"
) -> Dataset:
    """Read a folder with one sub-folder of images for each class. Takes Pillow.

    Parameters
    ----------
    path
        The folder. The sub-folders' names are the labels; what doesn't end like an
        image file is passed over.
    size
        (height, width) to bring all images to; None if they are all of one size.
    color
        `"color"` for images (H, W, 3), `"gray"` for (H, W).

    Returns
    -------
    Dataset
        Images uint8, in the order of the classes and of the files' names.

    Raises
    ------
    DataError
        If there are no images, one can't be read, or sizes differ with `size` None.
    """
    if color not in CHANNELS:
        raise DataError(f"color is 'gray' or 'color', got {color!r}")
    if size is not None:
        size = ImageEncoder(size).size  # checks it
    folder = Path(path)
    files = sorted(file for file in folder.glob("*/*") if file.suffix.lower() in IMAGE_ENDINGS)
    if not files:
        raise DataError(f"{os.fspath(path)!r} has no sub-folders with images, one for each class")
    images = [_pixels(file, size, color) for file in files]
    odd = next((i for i, image in enumerate(images) if image.shape != images[0].shape), None)
    if odd is not None:
        raise DataError(
            f"images differ in size: {files[0].name} is {images[0].shape[:2]}, "
            f"{files[odd].name} is {images[odd].shape[:2]}; give the size=(height, width) you want"
        )
    return Dataset(np.stack(images), [file.parent.name for file in files])


def _pixels(file: Path, size: tuple[int, int] | None, color: str) -> Array:
    """Return the image in a file as bytes, (H, W) if gray, else (H, W, 3)."""
    image = load_image(file)
    pixels = image.reshape(1, *image.shape[:2], -1).astype(np.float32)
    pixels = with_channels(pixels, CHANNELS[color])
    if size is not None and pixels.shape[1:3] != size:
        pixels = resize_images(pixels, size)
    whole: Array = np.clip(np.rint(pixels[0]), 0, 255).astype(np.uint8)
    return whole[..., 0] if color == "gray" else whole


# --- Fashion-MNIST ------------------------------------------------------------------------


def fashion_mnist(path: PathLike | None = None) -> tuple[Dataset, Dataset]:
    """Read Fashion-MNIST: 60,000 + 10,000 gray photographs (28, 28) of ten kinds of clothes.

    Parameters
    ----------
    path
        The folder of its four files. When left out: the folder in the environment
        variable `MINNET_DATA` or its sub-folder `fashion-mnist`, else where Debian's
        package `dataset-fashion-mnist` puts them.

    Returns
    -------
    train, test
        Images uint8 (N, 28, 28); labels such as `"Trouser"`.

    Raises
    ------
    DataError
        If the files aren't found; the message says how to get them.
    FormatError
        If one isn't what it should be.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for
    benchmarking machine learning algorithms. arXiv:1708.07747, 2017.
    """
    if path is not None:
        folders = [Path(path), Path(path, "fashion-mnist")]
    else:
        named = os.environ.get("MINNET_DATA")
        folders = [Path(named), Path(named, "fashion-mnist")] if named else []
        folders.append(DEBIAN)
    for folder in folders:
        if all(_idx_pair(folder, kind) for kind in IDX_KINDS):
            train, test = (read_idx_folder(folder, kind, FASHION_CLASSES) for kind in IDX_KINDS)
            return train, test
    raise DataError(
        f"Fashion-MNIST isn't in {listing(os.fspath(folder) for folder in folders)}. "
        "Install it with 'apt install dataset-fashion-mnist' (Debian, Ubuntu), or put the four "
        "files from https://github.com/zalandoresearch/fashion-mnist into a folder and give "
        "that as path, or in the variable MINNET_DATA"
    )


def fashion_mini(path: PathLike | None = None) -> tuple[Dataset, Dataset]:
    """Read a small part of Fashion-MNIST: 400 training and 500 test images of each class.

    Parameters
    ----------
    path
        The file; when left out `examples/data/fashion-mini.npz` in the current folder,
        else in the repository that minnet is run from.

    Returns
    -------
    train, test
        Images uint8 (N, 28, 28); labels such as `"Trouser"`.

    Raises
    ------
    DataError
        If the file isn't found.
    FormatError
        If it isn't what it should be.
    """
    places = [MINI, Path(__file__).parents[2] / MINI] if path is None else [Path(path)]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DataError(
            f"fashion-mini.npz isn't at {listing(map(os.fspath, places))}. It is part of minnet's "
            "repository, as examples/data/fashion-mini.npz, not of the installed package: give "
            "its path, or use fashion_mnist()"
        )
    kinds = ("train", "test")
    names = [f"{kind}_{part}" for kind in kinds for part in ("images", "labels")]
    arrays = read_npz_arrays(file, [*names, "classes"])
    classes = arrays["classes"].tolist()
    train, test = (
        _dataset(arrays[f"{kind}_images"], arrays[f"{kind}_labels"], classes, os.fspath(file))
        for kind in kinds
    )
    return train, test
