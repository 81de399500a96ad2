"""What the measures ask of features and labels before they compute, in minnet's words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..backend import Array, Shape, is_array, move
from ..data.labels import Label, class_list, label_indices, listing
from ..errors import DataError, MinnetWarning, ShapeError

__all__ = ["class_indices", "feature_matrix", "one_hot", "same_count", "warn_if_few"]


def feature_matrix(x: Any, what: str = "features") -> Array:
    """Return features as an array (N, D) of finite float32 or float64, or raise."""
    try:
        array = move(x, "cpu") if is_array(x) else np.asarray(x)
    except ValueError as error:
        raise DataError(f"{what}: expected an array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what}: expected real numbers, got an array of {array.dtype}")
    if array.ndim != 2:
        raise ShapeError(
            f"{what}: expected the shape (examples, features), got {array.shape}: "
            "minnet.measure.features pools or flattens maps"
        )
    if 0 in array.shape:
        raise DataError(f"{what}: expected at least one example and feature, got {array.shape}")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    good = np.isfinite(array).all(axis=1)
    if not good.all():
        raise DataError(
            f"{what}: {np.count_nonzero(~good)} of {len(array)} examples have infinite or missing "
            f"numbers, the first at position {int(np.argmin(good))}"
        )
    return array


def same_count(x: Array, y: Array) -> None:
    """Raise a ShapeError unless both hold as many examples."""
    if len(x) != len(y):
        raise ShapeError(f"{len(x)} examples in the first features and {len(y)} in the second")


def class_indices(labels: Any, count: int, what: str = "labels") -> tuple[Array, tuple[Label, ...]]:
    """Return each example's class by its position among the classes, and these; two at least."""
    classes = class_list(labels)
    indices = label_indices(classes, labels)
    if len(indices) != count:
        raise DataError(f"{count} examples and {len(indices)} {what}: each example needs one")
    if len(classes) < 2:
        raise DataError(f"{what}: expected at least two classes, got only {listing(classes)}")
    return indices, classes


def one_hot(indices: Array, count: int) -> Array:
    """Return class indices as rows with a 1 each, float64."""
    table = np.zeros((len(indices), count))
    table[np.arange(len(indices)), indices] = 1
    return table


def warn_if_few(shape: Shape, consequence: str) -> None:
    """Warn the measure's caller where features are not outnumbered by examples."""
    count, size = shape
    if count <= size:
        warnings.warn(
            f"{count} examples for {size} features: {consequence}", MinnetWarning, stacklevel=3
        )
