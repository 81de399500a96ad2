"""The table of multipliers: what is decided for every array of a net, and which rule decided it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, Shape, array_module, is_array, read_only
from ..checks import number
from ..errors import PathError, ShapeError, SpecError
from ..layers.base import Layer, Path, dotted
from ..progress import Progress
from .patterns import Place
from .rules import Rules, resolve, shown_value

__all__ = ["Entry", "MultiplierTable", "multipliers"]

Value: TypeAlias = float | Array | Callable[[Progress], Any]


@dataclass(frozen=True, eq=False)
class Entry:
    """What is decided for one array.

    Parameters
    ----------
    path
        Where the array sits.
    shape
        Its shape; None as long as it is not initialized.
    value
        Its multiplier: a number (0 is frozen), an array, or a function of progress.
    rule
        What decided it.
    layer
        The type of its layer, by name.
    is_state
        Whether it is one that training never differentiates: running statistics
        and constants. Its multiplier is 0.
    """

    path: Path
    shape: Shape | None
    value: Value
    rule: str
    layer: str
    is_state: bool = False

    @property
    def size(self) -> int | None:
        """How many numbers it holds; None as long as it is not initialized."""
        return None if self.shape is None else math.prod(self.shape)

    @property
    def is_scheduled(self) -> bool:
        """Whether its multiplier follows the progress of training."""
        return callable(self.value)

    def at(self, progress: Progress) -> float | Array:
        """Return its multiplier at a moment; the number 0 when it is frozen whole."""
        value = self.value
        if callable(value):
            now = value(progress)
            if isinstance(now, bool | np.bool_):  # as `lambda p: p.round >= 2` says it
                now = float(now)
            value = _checked(now, f"{self.rule}, at {progress},")
        if isinstance(value, float):
            return value
        self._check_shape(value)
        return value if value.any() else 0.0

    def _check_shape(self, value: Any) -> None:
        if self.shape is None:
            return
        try:
            fits = np.broadcast_shapes(value.shape, self.shape) == self.shape
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"{self.rule} gives multipliers of shape {value.shape}, which don't "
                f"broadcast to the array's {self.shape}",
                self.path,
            )


class _UnknownPathError(PathError, KeyError):
    """A path that the table hasn't got; a KeyError too, so that `in` and `get` work."""


class MultiplierTable(Mapping[Path, Entry]):
    """The multipliers of a net, by path.

    What `multipliers(net, rules)` returns. Printing it shows what is decided for
    every array and which rule decided it.

    Parameters
    ----------
    entries
        One for each array, in the order of the net.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.path: entry for entry in entries}

    def __getitem__(self, path: Path) -> Entry:
        try:
            return self._entries[path]
        except KeyError:
            there = ", ".join(map(dotted, self._entries)) or "none"
            raise _UnknownPathError(f"no array has the path {path!r}; there are {there}") from None

    def __iter__(self) -> Iterator[Path]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def at(self, progress: Progress | None = None) -> dict[Path, float | Array]:
        """Return the multipliers of the arrays trained at a moment, by path.

        Parameters
        ----------
        progress
            The moment; the start of training when left out.

        Returns
        -------
        dict
            Only what is trained then: nothing in it is 0 as a whole.
        """
        moment = Progress() if progress is None else progress
        values = ((path, entry.at(moment)) for path, entry in self._entries.items())
        return {path: value for path, value in values if is_array(value) or value != 0}

    def trainable(self, progress: Progress | None = None) -> list[Path]:
        """Return the paths of the arrays trained at a moment (the start when left out)."""
        return list(self.at(progress))

    def frozen(self, progress: Progress | None = None) -> list[Path]:
        """Return the paths of the arrays frozen at a moment (the start when left out).

        State arrays are not among them: they are never trained, but a BatchNorm
        with something to train replaces its running statistics.
        """
        trained = self.at(progress)
        return [p for p, entry in self._entries.items() if not entry.is_state and p not in trained]

    @property
    def scheduled(self) -> bool:
        """Whether any multiplier follows the progress of training."""
        return any(entry.is_scheduled for entry in self._entries.values())

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        rows = [("array", "shape", "parameters", "multiplier", "decided by")]
        rows += [_row(entry) for entry in self._entries.values()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for path, shape, size, value, rule in rows:
            cells = (
                path.ljust(widths[0]),
                shape.ljust(widths[1]),
                size.rjust(widths[2]),
                value.ljust(widths[3]),
                rule,
            )
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, _totals(self._entries.values())])


def multipliers(net: Layer, rules: Rules = None, given: Layer | None = None) -> MultiplierTable:
    """Decide how fast each array of a net learns: the first rule that names it says.

    Parameters
    ----------
    net
        Any net, initialized or not.
    rules
        A number (for every array), None (no rules), a mapping or a sequence of
        (pattern, value) pairs, or a function from the net to any of these, such
        as `layerwise(0.9)`.

        A *pattern* is a position (`3`, `-2`), a name with or without wildcards
        (`"conv1"`, `"*.bias"`, `"encoder.conv1.weight"`), a path
        (`("encoder", 2, "weight")`, or the beginning of one), a `slice` or
        `range` of layers (before Python 3.12 a slice can't be the key of a
        mapping, but can stand in a pair), a layer class, a layer of the net, a
        function of `(path, layer, array)`, or `...` for everything. Positions,
        slices and ranges count the layers of the net itself, not those in nets
        inside it; where a name is expected, a position will do.

        A *value* is None or 0 (frozen), a positive number (so many times the
        global learning rate), a negative one (uphill), an array of these that
        broadcasts to the weight, or a function of the `Progress` of training.
    given
        The net before it was initialized, if it was since: layers that the rules
        name by themselves (`net[0]`) may be those of either.

    Returns
    -------
    MultiplierTable
        A mapping from path to `Entry`; print it to read it. An array that no
        rule names has the `multiplier=` of its layer, or of the nearest net
        around it that was given one, else 1.

    Raises
    ------
    SpecError
        If a rule names nothing in the net, or its value is none.
    ShapeError
        If an array of multipliers doesn't broadcast to what its rule names.

    Warns
    -----
    MinnetWarning
        If a rule can never act, since earlier ones decide all that it names.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.Chain(mn.Linear(8), mn.Ramp(), mn.Linear(3)).initialize(input_shape=(4,))
    >>> print(mn.multipliers(net, {-1: 1, ...: None}))
    array     shape   parameters  multiplier  decided by
    0.weight  (4, 8)          32  frozen      ...: None
    0.bias    (8,)             8  frozen      ...: None
    2.weight  (8, 3)          24  1           -1: 1
    2.bias    (3,)             3  1           -1: 1
    67 parameters: 27 trained, 40 frozen
    """
    decisions = resolve(net, rules, _own_multiplier, _checked_or_schedule, given)
    return MultiplierTable(
        _fitting(
            Entry(
                place.path,
                None if place.array is None else place.array.shape,
                value,
                rule,
                type(place.layer).__name__,
                place.is_state,
            )
        )
        for place, value, rule in decisions
    )


def _own_multiplier(place: Place) -> tuple[Any, str]:
    """Return the `multiplier=` nearest to an array and whose it is; 1 if there is none."""
    keys = tuple(part.key for part in place.parts)
    layers = [place.net, *(part.layer for part in place.parts)]
    for depth in range(len(keys), -1, -1):
        if layers[depth].multiplier is not ...:
            return layers[depth].multiplier, f"multiplier= of {dotted(keys[:depth]) or 'the net'}"
    return 1.0, "no rule"


def _checked_or_schedule(value: Any, rule: str) -> Value:
    """Return a rule's value as a float, a read-only array or a schedule, or raise a SpecError."""
    if callable(value) and not isinstance(value, Layer | type):
        return value  # type: ignore[no-any-return]
    return _checked(value, rule)


def _checked(value: Any, rule: str) -> float | Array:
    """Return a multiplier as a float or a read-only array, or raise a SpecError."""
    if value is None:
        return 0.0
    if is_array(value) and value.ndim:
        xp = array_module(value)
        if value.dtype.kind not in "biuf" or not xp.isfinite(value).all():
            raise SpecError(f"{rule}: a multiplier is finite, its array has something else")
        return read_only(value)
    if is_array(value):
        value = value.item()
    try:
        return number(value, "")
    except (SpecError, OverflowError):
        raise SpecError(
            f"{rule}: a multiplier is None, a finite number, an array of them or a function of "
            f"progress, got {shown_value(value)}"
        ) from None


def _fitting(entry: Entry) -> Entry:
    """Return an entry whose array of multipliers, if it has one, broadcasts to the weight."""
    if is_array(entry.value):
        entry._check_shape(entry.value)
    return entry


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    size = "?" if entry.size is None else f"{entry.size:,}"
    shape = "?" if entry.shape is None else str(entry.shape)
    if entry.is_state:
        value = "-"
    elif callable(entry.value):
        value = shown_value(entry.value)
    elif is_array(entry.value):
        value = "elementwise"
    else:
        value = "frozen" if entry.value == 0 else f"{entry.value:g}"
    return dotted(entry.path), shape, size, value, entry.rule


def _totals(entries: Iterable[Entry]) -> str:
    counts = dict.fromkeys(("trained", "scheduled", "frozen", "state"), 0)
    unknown = 0
    for entry in entries:
        if entry.size is None or entry.shape is None:
            unknown += 1
        elif entry.is_state:
            counts["state"] += entry.size
        elif callable(entry.value):
            counts["scheduled"] += entry.size
        else:
            mask = np.broadcast_to(entry.value != 0, entry.shape)
            trained = int(np.count_nonzero(mask))
            counts["trained"] += trained
            counts["frozen"] += entry.size - trained
    always = ("trained", "frozen")
    parts = [f"{count:,} {what}" for what, count in counts.items() if count or what in always]
    text = f"{sum(counts.values()):,} parameters: {', '.join(parts)}"
    return text + (f"; {unknown} arrays not initialized yet" if unknown else "")
