"""Dataset: examples with their labels, to be split, cut down to classes and counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import Array
from ..errors import DataError
from .labels import Label, check_labels, class_list, label_indices, listing, plain
from .rows import LABELS, as_rows
from .sources import ArraySource

__all__ = ["Dataset"]

NO_CLASSES = (
    "the labels are no classes, which are one whole number, string or truth value an example"
)


class Dataset:
    """Examples with their labels. Immutable; parts of it copy nothing.

    Parameters
    ----------
    x
        The inputs, examples along the first axis: an array, a memory map, anything with
        a shape and fancy indexing, or a list.
    y
        Their labels (or targets), as many.
    classes
        The labels there may be, in the order that matters to you; when left out, those
        in `y`, sorted, if these are whole numbers, strings or truth values.

    Raises
    ------
    DataError
        If there are no examples, not as many labels as inputs, or labels not among `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.data import Dataset
    >>> data = Dataset(np.zeros((6, 4)), ["cat", "dog", "cat", "dog", "cow", "cow"])
    >>> data
    Dataset(6 examples, float64 (4,); 3 classes: 'cat', 'cow', 'dog')
    >>> data.subset(classes=["dog", "cow"]).counts()
    {'dog': 2, 'cow': 2}
    >>> first, second = data.split(0.5)
    >>> first.counts()
    {'cat': 1, 'cow': 1, 'dog': 1}
    """

    __slots__ = ("_classes", "_source")

    _classes: tuple[Label, ...]
    _source: ArraySource

    def __init__(self, x: Any, y: Any, classes: Sequence[Label] | None = None) -> None:
        source = ArraySource(
            {"input": as_rows(x, "inputs", None)}, {"output": as_rows(y, "labels", LABELS)}
        )
        labels = source.labels()
        if classes is None:
            found = () if labels is None else class_list(labels)
        elif labels is None:
            raise DataError(NO_CLASSES)
        else:
            found = check_labels(classes)
            label_indices(found, labels)
        self._fill(source, found)

    def _fill(self, source: ArraySource, classes: tuple[Label, ...]) -> None:
        """Fill the slots, which nobody else can."""
        object.__setattr__(self, "_source", source)
        object.__setattr__(self, "_classes", classes)

    def _part(self, source: ArraySource, classes: tuple[Label, ...] | None = None) -> Dataset:
        """Return the data set of the same rows with another selection of them."""
        new = object.__new__(Dataset)
        new._fill(source, self._classes if classes is None else classes)
        return new

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Dataset can't be changed: make another")

    def __reduce__(self) -> tuple[Any, ...]:
        return (Dataset, (self.x, self.y, self._classes or None))

    @property
    def x(self) -> Any:
        """All inputs: the very array given, or, of a part of a data set, a copy of its part."""
        return self._source.x

    @property
    def y(self) -> Any:
        """All labels: the very array given, or, of a part of a data set, a copy of its part."""
        return self._source.y

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels there may be; none if the labels aren't classes."""
        return self._classes

    @property
    def source(self) -> ArraySource:
        """The examples as `train` reads them."""
        return self._source

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        """Return one example `(x, y)` for a whole number, else the data set of those picked.

        Several are picked by a slice, a list or array of positions, or a mask.
        """
        try:
            picked = np.arange(len(self))[key]
        except IndexError as error:
            raise DataError(f"{len(self)} examples don't have {key!r}: {error}") from error
        if np.ndim(picked) == 0:
            x, y = self._source.take([picked])
            return x[0], plain(y[0])
        return self._part(self._source.select(picked))

    def subset(self, classes: Sequence[Label]) -> Dataset:
        """Return the data set of these classes' examples only, in their old order.

        Raises
        ------
        DataError
            If there is no such class, or no example of any of them.
        """
        positions = self._positions()
        wanted = label_indices(self._classes, list(check_labels(classes)))
        picked = np.flatnonzero(np.isin(positions, wanted))
        return self._part(self._source.select(picked), tuple(self._classes[i] for i in wanted))

    def split(
        self, share: float, seed: int = 0, stratified: bool = True
    ) -> tuple[Dataset, Dataset]:
        """Split into two at random; the first gets `share`, the second the rest.

        Parameters
        ----------
        share
            Between 0 and 1, or a whole number of examples.
        seed
            Equal seeds give equal splits.
        stratified
            Let each class give its share (where the labels are classes).

        Raises
        ------
        SpecError
            If `share` leaves one side empty.
        """
        random = np.random.default_rng(seed)
        rest, first = self._source.split(share, random, stratified)
        return self._part(first), self._part(rest)

    def batches(self, batch_size: int, seed: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield `(x, y)` for each batch: each example once, shuffled if a seed is given."""
        random = None if seed is None else np.random.default_rng(seed)
        return ((x, y) for _, x, y in self._source.batches(batch_size, random))

    def counts(self) -> dict[Label, int]:
        """Return how many examples each class has.

        Raises
        ------
        DataError
            If the labels aren't classes.
        """
        counts = np.bincount(self._positions(), minlength=len(self._classes))
        return dict(zip(self._classes, counts.tolist(), strict=True))

    def _positions(self) -> Array:
        """Return where among the classes each example's label stands."""
        labels = self._source.labels()
        if labels is None:
            raise DataError(NO_CLASSES)
        return label_indices(self._classes, labels)

    def __repr__(self) -> str:
        (x,) = self._source.inputs.values()
        shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", "")
        what = f", {dtype} {tuple(shape[1:])}" if shape is not None else ""
        classes = f"; {len(self._classes)} classes: {listing(self._classes, 10)}"
        return f"Dataset({len(self)} examples{what}{classes if self._classes else ''})"
