"""Reading examples out of anything shaped like an array: checks, picking, splitting, batching."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, array_module, is_array
from ..checks import positive
from ..errors import DataError, SpecError

__all__ = [
    "LABELS",
    "NUMBERS",
    "Rows",
    "as_rows",
    "batch_indices",
    "is_discrete",
    "row_count",
    "split_indices",
    "take_rows",
]

# One example a row: an array, something with a shape and fancy indexing, or a list.
Rows: TypeAlias = Any

# Kinds of dtype (see numpy.dtype.kind) that inputs and labels may have.
NUMBERS = "buif"
LABELS = "buifUT"
DISCRETE = "buiUT"


# --- checking ---------------------------------------------------------------------------


def as_rows(values: Any, what: str, kinds: str | None = NUMBERS) -> Rows:
    """Return `values` as rows, a list as an array; refuse what can't be examples.

    Arrays, memory maps and array-likes come back as they are, unread. With `kinds`
    None (an encoder will make numbers of them) anything indexable will do.
    """
    if hasattr(values, "to_numpy"):  # pandas: indexing a DataFrame picks columns, not rows
        values = values.to_numpy()
    if isinstance(values, list | tuple):
        if not values:
            raise DataError(f"there are no {what}: at least one example is needed")
        values = list(values) if kinds is None else _stacked(values, what)
    shape = getattr(values, "shape", None)
    if kinds is None and shape is None and _is_sequence(values):
        shape = (len(values),)
    if shape is None or not hasattr(values, "__getitem__"):
        raise DataError(
            f"{what}: expected an array or a list of examples, got {type(values).__name__}"
        )
    if len(shape) == 0:
        raise DataError(f"{what}: expected one row an example, got a single value")
    if shape[0] == 0:
        raise DataError(f"there are no {what}: at least one example is needed, got shape {shape}")
    if kinds is not None:
        _check_kind(values, what, kinds)
    return values


def _is_sequence(values: Any) -> bool:
    """Tell whether examples can be picked from `values` by position, one at a time."""
    return (
        hasattr(values, "__len__")
        and hasattr(values, "__getitem__")
        and not isinstance(values, str | bytes | dict)
    )


def _stacked(values: list[Any] | tuple[Any, ...], what: str) -> Array:
    """Return a list of examples as one array, if they are all alike."""
    strings = sum(isinstance(value, str) for value in values)
    if strings not in (0, len(values)):  # NumPy would turn the numbers into strings
        raise DataError(f"{what}: strings and other values are mixed in one list")
    try:
        return np.asarray(values)
    except ValueError as error:
        shapes = [_shape(value) for value in values]
        odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), None)
        if odd is None:
            raise DataError(f"{what}: the list is no array: {error}") from error
        raise DataError(
            f"{what}: all examples must have the same shape, "
            f"but example 0 has {shapes[0]} and example {odd} has {shapes[odd]}"
        ) from error


def _shape(value: Any) -> Any:
    """Return the shape of one example, or a word for it if it has none."""
    try:
        return np.shape(value)
    except ValueError:
        return "a ragged one"


def _check_kind(rows: Rows, what: str, kinds: str) -> None:
    """Raise a DataError unless the rows hold values of one of these kinds."""
    dtype: Any = getattr(rows, "dtype", None)
    if not hasattr(dtype, "kind"):  # not NumPy's own: see what a row of it turns into
        dtype = np.asarray(rows[:1]).dtype
    if dtype.kind in kinds:
        return
    if dtype.kind == "O":
        advice = "convert them with .astype(float), or labels with .astype(str)"
    elif dtype.kind in "UT":
        advice = "a net computes with numbers: give it an encoder, such as input=ImageEncoder(...)"
    elif dtype.kind == "S":
        advice = "convert labels with .astype(str)"
    else:
        advice = "a net computes with real numbers"
    raise DataError(f"{what}: an array of dtype {dtype} can't be used; {advice}")


def row_count(rows: Rows) -> int:
    """Return how many examples there are."""
    return int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)


def is_discrete(rows: Rows) -> bool:
    """Tell whether the rows are classes: one whole number, string or truth value each."""
    kind = getattr(getattr(rows, "dtype", None), "kind", "")
    return kind != "" and kind in DISCRETE and len(rows.shape) == 1


# --- picking ----------------------------------------------------------------------------


def take_rows(rows: Rows, indices: Array) -> Any:
    """Return the rows at `indices`, in that order; a list gives a list.

    Neighbours come as a slice, which copies nothing. What isn't an array in memory
    is read in increasing order, each row once: h5py insists on it, disks like it.
    """
    if not hasattr(rows, "shape"):
        return [rows[int(i)] for i in indices]
    if is_array(rows) and not isinstance(rows, np.memmap):
        span = _as_slice(indices)
        return rows[span if isinstance(span, slice) else array_module(rows).asarray(span)]
    if isinstance(span := _as_slice(indices), slice):
        return _checked(rows[span], len(indices))
    unique, places = np.unique(indices, return_inverse=True)
    taken = _checked(rows[unique], len(unique))
    return taken if np.array_equal(unique, indices) else taken[places]


def _as_slice(indices: Array) -> Any:
    """Return `indices` as a slice where they are neighbours in order, else as they are."""
    if len(indices) and indices[-1] - indices[0] + 1 == len(indices):
        start, stop = int(indices[0]), int(indices[-1]) + 1
        if np.array_equal(indices, np.arange(start, stop)):
            return slice(start, stop)
    return indices


def _checked(taken: Any, count: int) -> Array:
    """Return what an array-like gave as an array, if it gave as many rows as asked."""
    array = np.asarray(taken)
    if array.shape[:1] != (count,):
        raise DataError(
            f"asked for {count} examples by their positions, the data gave an array of shape "
            f"{array.shape}: it needs fancy indexing along its first axis"
        )
    return array


# --- splitting and batching ---------------------------------------------------------------


def split_indices(
    count: int, share: float, random: np.random.Generator, classes: Array | None = None
) -> tuple[Array, Array]:
    """Pick a share of `range(count)` at random; return (the picked, the rest), both sorted.

    With `classes` each class gives its share: rounded down, and the examples still
    missing come one each from the classes that lost most by that.
    """
    wanted = _wanted(count, share)
    order = random.permutation(count)
    if classes is None:
        chosen = order[:wanted]
    else:
        _, groups = np.unique(classes, return_inverse=True)
        sizes = np.bincount(groups)
        quota, lost = np.divmod(sizes * wanted, count)
        missing = wanted - int(quota.sum())
        first = np.lexsort((random.random(len(sizes)), -lost))[:missing]  # ties at random
        quota[first] += 1
        order = order[np.argsort(groups[order], kind="stable")]
        rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = order[rank < np.repeat(quota, sizes)]
    picked = np.zeros(count, dtype=bool)
    picked[chosen] = True
    return np.flatnonzero(picked), np.flatnonzero(~picked)


def _wanted(count: int, share: Any) -> int:
    """Return how many of `count` examples a share (or a number of examples) is."""
    if count < 2:
        raise DataError(f"splitting takes at least two examples, got {count}")
    is_number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
    if is_number and isinstance(share, int | np.integer):
        if 1 <= share < count:
            return int(share)
        raise SpecError(f"can't split {share} of {count} examples off: 1 to {count - 1} can be")
    if is_number and 0 < share < 1:
        return min(max(int(share * count + 0.5), 1), count - 1)
    raise SpecError(
        f"expected a share between 0 and 1 (such as 0.1) or a number of examples, got {share!r}"
    )


def batch_indices(
    count: int, batch_size: int, random: np.random.Generator | None
) -> Iterator[Array]:
    """Yield the positions of each batch; each example once, shuffled if `random` is given."""
    size = positive(batch_size, "batch_size")
    order = np.arange(count) if random is None else random.permutation(count)
    return (order[start : start + size] for start in range(0, count, size))
