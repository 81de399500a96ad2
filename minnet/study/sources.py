"""What a study's spec names: data sets and the halves of their classes."""

from __future__ import annotations

import functools
import importlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import data as readers
from ..data import Dataset, ImageEncoder
from ..data.readers import IMAGE_ENDINGS
from ..errors import DataError, SpecError
from .spec import absolute
from .values import meant

__all__ = ["Half", "encoder_for", "halves", "imported", "load_half"]

# The readers of minnet.data that give a data set.
READERS = ("fashion_mini", "fashion_mnist", "read_idx_folder", "read_image_folder", "read_npz")


@dataclass(frozen=True)
class Half:
    """One side of a split: classes of a data set.

    Parameters
    ----------
    name
        The split's name and A or B, such as `"0A"`.
    part
        Which data set: None, or `"A"` or `"B"` where a study has two.
    classes
        The classes in it, in the order of the outputs.
    """

    name: str
    part: str | None
    classes: tuple[Any, ...]


# --- data ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def _load(spec: str, base: str) -> tuple[Dataset, Dataset]:
    """Return the training and test data of a spec; the last two stay in the process's memory."""
    given: dict[str, Any] = json.loads(spec)
    folder = Path(base)
    if given["file"] is not None:
        return _from_file(absolute(given["file"], folder), given)
    if given["folder"] is not None:
        return _split(_image_files(absolute(given["folder"], folder)), given)
    arguments = [absolute(given["path"], folder)] if given["path"] is not None else []
    loaded = _reader(given["reader"], folder)(*arguments)
    if isinstance(loaded, Dataset):
        return _split(loaded, given)
    if isinstance(loaded, tuple) and [type(part) for part in loaded] == [Dataset, Dataset]:
        return loaded
    raise SpecError(
        f"expected a Dataset, or one for training and one for testing, of the reader "
        f"{given['reader']!r}, got {type(loaded).__name__}",
        ("data", "reader"),
    )


def _from_file(path: Path, given: Mapping[str, Any]) -> tuple[Dataset, Dataset]:
    """Read an npz file with the arrays x and y, or one laid out as fashion-mini.npz is."""
    try:
        whole = readers.read_npz(path)
    except DataError as error:
        if "train_images" not in str(error):
            raise
        return readers.fashion_mini(path)
    return _split(whole, given)


def _image_files(folder: Path) -> Dataset:
    """Return the paths of images with the sub-folders they are in; the encoder will read them."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    files = [file for file in folder.glob("*/*") if file.suffix.lower() in IMAGE_ENDINGS]
    if not files:
        raise DataError(f"{folder} has no images in sub-folders, one for each class")
    files.sort()
    return Dataset([str(file) for file in files], [file.parent.name for file in files])


def _split(whole: Dataset, given: Mapping[str, Any]) -> tuple[Dataset, Dataset]:
    test, train = whole.split(given["test"], seed=0)
    return train, test


def _reader(name: str, base: Path) -> Callable[..., Any]:
    if ":" in name:
        return imported(name, base)
    if name not in READERS:
        raise SpecError(
            f"expected one of {', '.join(READERS)}, or module:function, got {name!r}"
            f"{meant(name, READERS)}",
            ("data", "reader"),
        )
    return getattr(readers, name)  # type: ignore[no-any-return]


def imported(name: str, base: Path) -> Callable[..., Any]:
    """Import `module:function`; the module may lie in the folder of the spec."""
    module, _, function = name.partition(":")
    sys.path.insert(0, str(base))
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever the module does when it is imported
        raise SpecError(f"{name!r} can't be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(base))
    if not callable(found):
        raise SpecError(f"{name!r} is no function, but {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def dataset(spec: Mapping[str, Any], part: str | None, base: Path) -> tuple[Dataset, Dataset]:
    """Return the training and test data of a study, or of one of its two data sets."""
    given = spec["data"][part] if part else spec["data"]
    return _load(json.dumps(given, sort_keys=True), str(base))


def load_half(spec: Mapping[str, Any], half: Half, base: Path) -> tuple[Dataset, Dataset]:
    """Return the training and test data of one half."""
    found = []
    for part, what in zip(dataset(spec, half.part, base), ("training", "test"), strict=True):
        try:
            found.append(part.subset(half.classes))
        except DataError as error:
            raise DataError(f"the {what} data of half {half.name}: {error}") from None
    train, test = found
    return train, test


# --- halves --------------------------------------------------------------------------------


def halves(spec: Mapping[str, Any], base: Path) -> dict[str, tuple[Half, Half]]:
    """Return the splits of a study by name, each as its halves A and B.

    Raises
    ------
    SpecError
        If there are too few classes, or a named class is not in the data.
    """
    if "A" in spec["data"]:
        return {"data": _two_sets(spec, base)}
    classes = dataset(spec, None, base)[0].classes
    splits = {str(i): pair for i, pair in enumerate(_random(classes, spec["halves"]))}
    for name, pair in spec["halves"]["named"].items():
        for label in (*pair[0], *pair[1]):
            if label not in classes:
                known = ", ".join(map(str, classes))
                raise SpecError(
                    f"the data has no class {label!r}; it has {known}{meant(label, classes)}",
                    ("halves", "named", name),
                )
        splits[name] = (tuple(pair[0]), tuple(pair[1]))
    return {
        name: (_half(f"{name}A", None, pair[0]), _half(f"{name}B", None, pair[1]))
        for name, pair in splits.items()
    }


def _half(name: str, part: str | None, classes: tuple[Any, ...]) -> Half:
    if len(classes) < 2:
        raise SpecError(
            f"half {name} has {len(classes) or 'no'} class: there must be at least two to tell "
            "apart",
            ("data", part) if part else ("halves",),
        )
    return Half(name, part, classes)


def _two_sets(spec: Mapping[str, Any], base: Path) -> tuple[Half, Half]:
    a, b = (_half(f"data{side}", side, dataset(spec, side, base)[0].classes) for side in "AB")
    encoders = [encoder_for(spec, half, base) for half in (a, b)]
    shapes = [end if isinstance(end, tuple) else end.shape for end in encoders]
    if shapes[0] != shapes[1]:
        raise SpecError(
            f"the two data sets must have one shape, got {shapes[0]} and {shapes[1]}", ("data",)
        )
    return a, b


def _random(classes: Sequence[Any], given: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return so many random splits into halves, all different."""
    wanted, size = given["random"], len(classes) // 2
    possible = math.comb(len(classes), size) // (1 if len(classes) % 2 else 2)
    if wanted and size < 2:
        raise SpecError(
            f"two halves of at least two classes need four, the data has {len(classes)}",
            ("halves",),
        )
    if wanted > possible:
        raise SpecError(
            f"{len(classes)} classes can be split into halves in {possible} ways, got {wanted}",
            ("halves", "random"),
        )
    found: dict[frozenset[int], tuple[Any, Any]] = {}
    random = np.random.default_rng([given["seed"], len(classes)])
    while len(found) < wanted:
        order = random.permutation(len(classes)).tolist()
        first, second = sorted(order[:size]), sorted(order[size:])
        if frozenset(second) not in found:
            pair = tuple(tuple(classes[i] for i in half) for half in (first, second))
            found.setdefault(frozenset(first), pair)  # type: ignore[arg-type]
    return list(found.values())


def encoder_for(spec: Mapping[str, Any], half: Half, base: Path) -> Any:
    """Return an encoder for images: paths, or arrays (H, W) or (H, W, 1 or 3); else the shape."""
    given = spec["data"][half.part] if half.part else spec["data"]
    if given["folder"] is not None:
        color = given["color"] or "gray"
        return ImageEncoder(tuple(given["size"]), color=color, scale=given["scale"])
    shape = np.shape(dataset(spec, half.part, base)[0][0][0])
    if len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3)):
        color = given["color"] or ("color" if shape[2:] == (3,) else "gray")
        return ImageEncoder(tuple(given["size"] or shape[:2]), color=color, scale=given["scale"])
    return shape
