"""Sources: everything that `train` accepts as data, brought into one of two shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, array_module
from ..errors import DataError
from .ports import Ports, check_counts, examples, pick, unzipped
from .rows import Rows, batch_indices, is_discrete, row_count, split_indices, take_rows

__all__ = ["ArraySource", "Source", "StreamSource", "check_finite", "make_source"]


class ArraySource:
    """Examples that can be picked by position; nothing is read before it is asked for.

    Parameters
    ----------
    inputs, outputs
        Rows (arrays, memory maps, array-likes, lists) by the name of their port.
    indices
        Which of the rows belong to this source; all when left out.

    Raises
    ------
    DataError
        If there are no examples, or not equally many everywhere.
    """

    def __init__(
        self, inputs: Mapping[str, Rows], outputs: Mapping[str, Rows], indices: Array | None = None
    ) -> None:
        self.inputs = dict(inputs)
        self.outputs = dict(outputs)
        self.indices = indices
        check_counts(self.inputs, self.outputs)
        if len(self) == 0:
            raise DataError("there are no examples: at least one is needed")

    def __len__(self) -> int:
        if self.indices is not None:
            return len(self.indices)
        return row_count(next(iter(self.inputs.values())))

    def take(self, indices: Any) -> tuple[Any, Any]:
        """Return (x, y) at these positions, in their order; dicts where ports are several."""
        rows = self._absolute(indices)
        return pick(self.inputs, rows), pick(self.outputs, rows)

    def select(self, indices: Any) -> ArraySource:
        """Return a source of the examples at these positions only; reads and copies none."""
        return ArraySource(self.inputs, self.outputs, self._absolute(indices))

    def batches(
        self, batch_size: int, random: np.random.Generator | None = None
    ) -> Iterator[tuple[Array, Any, Any]]:
        """Yield (positions, x, y) for each batch, every example once; shuffled by `random`.

        Raises
        ------
        SpecError
            If `batch_size` isn't a whole number of at least 1.
        """
        positions = batch_indices(len(self), batch_size, random)
        return ((indices, *self.take(indices)) for indices in positions)

    def split(
        self, share: float, random: np.random.Generator, stratified: bool = True
    ) -> tuple[ArraySource, ArraySource]:
        """Split a share off at random, such as for validation; return (the rest, the share).

        Parameters
        ----------
        share
            Between 0 and 1, or a whole number of examples.
        random
            Where to draw from.
        stratified
            Let each class give its share, if the labels are classes: one whole number,
            string or truth value each. (The first such output counts.)

        Raises
        ------
        SpecError
            If `share` leaves one side empty.
        DataError
            If there are less than two examples.
        """
        classes = self.labels() if stratified else None
        picked, rest = split_indices(len(self), share, random, classes)
        return self.select(rest), self.select(picked)

    def sample(self) -> tuple[Any, Any]:
        """Return (x, y) of the first example, to see what the data is like."""
        return self.take([0])

    def labels(self) -> Array | None:
        """Return the classes of all examples, read from the first output that has such."""
        for rows in self.outputs.values():
            if is_discrete(rows):
                return np.asarray(take_rows(rows, self._absolute(np.arange(len(self)))))
        return None

    @property
    def x(self) -> Any:
        """All inputs: the very array given, or, of a selection, a copy of its part."""
        return pick(self.inputs, self.indices)

    @property
    def y(self) -> Any:
        """All labels: the very array given, or, of a selection, a copy of its part."""
        return pick(self.outputs, self.indices)

    def _absolute(self, indices: Any) -> Array:
        """Return positions in this source as positions in the rows below it."""
        picked = np.asarray(indices, dtype=np.int64)
        if picked.size and not (picked.min() >= 0 and picked.max() < len(self)):
            raise DataError(
                f"positions from {picked.min()} to {picked.max()} are asked for, "
                f"but there are {len(self)} examples"
            )
        return picked if self.indices is None else self.indices[picked]


class StreamSource:
    """Batches as they come, from an iterator or from a function asked again each round.

    Attributes
    ----------
    exhausted
        Whether the iterator has ended, and with it the data.
    """

    def __init__(
        self,
        batches: Callable[[], Any] | Iterable[Any],
        inputs: Ports = ("input",),
        outputs: Ports = ("output",),
        encoded: bool | Collection[str] = False,
    ) -> None:
        self._given = batches
        self._inputs, self._outputs, self._encoded = inputs, outputs, encoded
        self.exhausted = False
        self._begun: Iterator[Any] | None = None  # a round whose first batch was looked at

    @property
    def is_once(self) -> bool:
        """Whether the batches come from an iterator, which gives them for one round only."""
        return isinstance(self._given, Iterator)

    def batches(
        self, batch_size: int | None = None, random: np.random.Generator | None = None
    ) -> Iterator[tuple[None, Any, Any]]:
        """Yield (None, x, y) for each batch of a round; their size and order are given.

        Raises
        ------
        DataError
            If the iterator had ended before, if no batch comes, or if one is malformed.
        """
        begun, self._begun = self._begun or self._begin(), None
        for batch in begun:
            yield None, *self._checked(batch)
        self.exhausted = self.is_once

    def sample(self) -> tuple[Any, Any]:
        """Return (x, y) of the first batch, which the next round still begins with."""
        begun = self._begun or self._begin()
        first = next(begun)
        self._begun = chain([first], begun)
        return self._checked(first)

    def _begin(self) -> Iterator[Any]:
        """Return an iterator of at least one batch, for one round."""
        advice = "for more rounds give a function that returns a new iterator each time"
        if self.exhausted:
            raise DataError(f"the iterator of batches has ended; {advice}")
        given = self._given() if callable(self._given) else self._given
        if not isinstance(given, Iterable):
            raise DataError(
                "the function must return an iterable of batches (x, y), "
                f"got {type(given).__name__}"
            )
        batches = iter(given)
        for first in batches:
            return chain([first], batches)
        raise DataError(f"no batches came; {advice}")

    def _checked(self, batch: Any) -> tuple[Any, Any]:
        """Return a batch as (x, y), if it is one."""
        x, y = examples(batch, self._inputs, self._outputs, self._encoded)
        check_counts(x, y)
        everything = np.arange(row_count(next(iter(x.values()))))
        return pick(x, everything), pick(y, everything)


Source: TypeAlias = ArraySource | StreamSource


def make_source(
    data: Any,
    inputs: Sequence[str] = ("input",),
    outputs: Sequence[str] = ("output",),
    encoded: bool | Collection[str] = False,
) -> Source:
    """Bring whatever `train` accepts as data into one shape.

    Parameters
    ----------
    data
        `(x, y)` arrays, where arrays may be `numpy.memmap` or anything with a shape
        and fancy indexing; a list of `(input, label)` pairs; a dict by port; a
        `Dataset`; an iterator of batches `(x, y)`; or a function that returns an
        iterable of batches each round. For several ports x and y are dicts by port.
    inputs, outputs
        The names of the net's ports. With one of each, `"input"` and `"output"` do too.
    encoded
        Inputs go through an encoder, so they needn't be numbers: True for all, or the
        names of the ports.

    Raises
    ------
    DataError
        If it isn't any of these, or the examples can't be used; the message says why.

    Examples
    --------
    >>> from minnet.data import make_source
    >>> source = make_source([([0.0, 1.0], "a"), ([2.0, 3.0], "b")])
    >>> len(source)
    2
    >>> source.take([1])
    (array([[2., 3.]]), array(['b'], dtype='<U1'))
    """
    ports = (tuple(inputs), tuple(outputs))
    if isinstance(data, ArraySource | StreamSource):
        return data
    # A Dataset. Not asked by its class, whose file imports this one.
    if isinstance(source := getattr(data, "source", None), ArraySource):
        rows = pick(source.inputs, None), pick(source.outputs, None)
        return ArraySource(*examples(rows, *ports, encoded), source.indices)
    if isinstance(data, list):
        return ArraySource(*examples(unzipped(data), *ports, encoded))
    if isinstance(data, Mapping | tuple):
        return ArraySource(*examples(data, *ports, encoded))
    is_stream = isinstance(data, Iterable) and not isinstance(data, str | bytes)
    if callable(data) or (is_stream and not hasattr(data, "shape")):
        return StreamSource(data, *ports, encoded)
    raise DataError(
        "expected data as (x, y), a list of (input, label) pairs, a dict by port, a Dataset, "
        f"an iterator of batches or a function that returns one, got {type(data).__name__}"
        + (" without labels" if hasattr(data, "shape") else "")
    )


def check_finite(x: Any, what: str, indices: Array | None = None) -> None:
    """Raise a DataError that names the first example with NaN or infinity in it.

    Cheap: a single sum comes first, and each number is looked at only if that isn't finite.

    Parameters
    ----------
    x
        A batch; anything but floats passes.
    what
        What to call it in the message, such as `"inputs"`.
    indices
        The positions of these examples in the data, to name the right one.
    """
    if getattr(getattr(x, "dtype", None), "kind", "") not in ("f", "c"):
        return
    xp = array_module(x)
    # Either can overflow without any number being infinite.
    if isinstance(x, np.ndarray):
        if math.isfinite(np.vdot(x, x).real):  # quicker than a sum, and without warnings
            return
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            if bool(xp.isfinite(x.sum())):
                return
    is_good = xp.isfinite(x).reshape(len(x), -1).all(axis=1)
    if bool(is_good.all()):
        return
    first = int(is_good.argmin())
    kind = "NaN" if bool(xp.isnan(x[first]).any()) else "infinity"
    raise DataError(f"{what}: example {first if indices is None else indices[first]} has {kind}")
