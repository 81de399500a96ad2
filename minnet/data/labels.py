"""Labels of classes: which values may be labels, and finding their positions."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array
from ..errors import DataError, SpecError

__all__ = ["Label", "check_labels", "class_list", "is_below", "label_indices", "listing"]

Label: TypeAlias = "str | int"


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python value it stands for; anything else as it is."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def check_labels(labels: Any) -> tuple[Label, ...]:
    """Return labels as a tuple of Python values, or raise a SpecError: each once, str or int."""
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise SpecError(f"expected a list of labels, got {labels!r}")
    found = tuple(plain(label) for label in labels)
    if not found:
        raise SpecError("expected at least one label, got none")
    wrong = [label for label in found if not isinstance(label, str | int)]
    if wrong:
        raise SpecError(f"labels are strings or whole numbers, got {wrong[0]!r}")
    if len(set(found)) < len(found):
        twice = [label for label, times in Counter(found).items() if times > 1]
        raise SpecError(f"each label may come once, but these come again: {listing(twice)}")
    return found


def class_list(y: Any) -> tuple[Label, ...]:
    """Return the distinct labels in `y`, sorted: numbers first, then strings."""
    found = _values(y)[0]
    wrong = [label for label in found if not isinstance(label, str | int)]
    if wrong:
        raise DataError(
            f"classes are strings or whole numbers, got {wrong[0]!r}; "
            "numbers to be predicted as such need a ScalarDecoder"
        )
    if not found:
        raise DataError("expected at least one label, got none")
    return tuple(sorted(set(found), key=lambda label: (isinstance(label, str), label)))


def label_indices(labels: Sequence[Label], y: Any) -> Array:
    """Return the position in `labels` of each label in `y`, int64."""
    if isinstance(y, np.ndarray) and _are_positions(labels, y):
        return y.astype(np.int64)
    values, inverse = _values(y)
    positions: dict[Any, int] = {label: i for i, label in enumerate(labels)}
    found = [
        positions.get(value, -1) if isinstance(value, str | int | float) else -1 for value in values
    ]
    if -1 in found:
        unknown = {repr(value): value for value, i in zip(values, found, strict=True) if i < 0}
        raise DataError(
            f"unknown labels: {listing(unknown.values())}; the known ones: {listing(labels)}"
        )
    indices = np.array(found, dtype=np.int64)
    return indices if inverse is None else indices[inverse]


def _are_positions(labels: Sequence[Label], y: Array) -> bool:
    """Tell whether an array holds labels that are their own positions: whole numbers from 0."""
    if y.ndim != 1 or y.dtype.kind not in "iu" or y.size == 0 or labels[0] != 0:
        return False
    return is_below(y.astype(np.int64, copy=False), _own_positions(tuple(labels)))


@functools.lru_cache(maxsize=16)
def _own_positions(labels: tuple[Label, ...]) -> int:
    """Return how many of the labels, from the first on, are their own positions."""
    return next((i for i, label in enumerate(labels) if label != i), len(labels))


def is_below(whole: Array, bound: int) -> bool:
    """Tell whether all of some int64 are at least 0 and below a bound; small steps ask it often.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.data.labels import is_below
    >>> is_below(np.array([0, 2]), 3), is_below(np.array([0, 3]), 3), is_below(np.array([-1]), 3)
    (True, False, False)
    """
    natural = whole.view(np.uint64)  # where negative numbers are huge
    return int(natural[natural.argmax()]) < bound


def _values(y: Any) -> tuple[list[Any], Array | None]:
    """Return the values in `y`; for an array the distinct ones and where each goes."""
    if not isinstance(y, list | tuple):
        y = np.asarray(y)
        if y.ndim != 1:
            raise DataError(f"expected a list of labels, got an array of shape {y.shape}")
        if y.dtype.kind != "O":
            distinct, inverse = np.unique(y, return_inverse=True)
            return distinct.tolist(), inverse
    return [plain(value) for value in y], None


def listing(values: Iterable[Any], limit: int = 20) -> str:
    """Return values for a message, the first few of many."""
    shown = [repr(value) for value in values]
    more = f" and {len(shown) - limit} more" if len(shown) > limit else ""
    return ", ".join(shown[:limit]) + more
