"""Summaries of nets as text, and learning curves as figures (matplotlib, when asked for)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .backend import is_array
from .errors import ShapeError, SpecError
from .layers.base import Layer, Path
from .multipliers import MultiplierTable
from .multipliers import multipliers as resolved
from .multipliers.table import Entry
from .net import Net

__all__ = ["learning_curves", "summary", "table"]


# --- tables -----------------------------------------------------------------------------


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return rows of text in aligned columns.

    Parameters
    ----------
    rows
        The first is the head.
    right
        The positions of the columns that are aligned to the right, as numbers are.

    Examples
    --------
    >>> from minnet.draw import table
    >>> print(table([("layer", "size"), ("conv1", "520"), ("pool", "0")], right=[1]))
    layer  size
    -----  ----
    conv1   520
    pool      0
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def summary(net: Net, multipliers: Any = None, input_shape: Any = None) -> str:
    """Return a table of a net's layers: output shapes, parameters, multipliers, what is frozen.

    Parameters count what training can change; running statistics and constants are
    state, which is only mentioned below. Nothing needs to be initialized: sizes
    that can't be known yet are shown as `?`.

    Parameters
    ----------
    net
        A Chain or Graph.
    multipliers
        Rules as for `train`, or a table that `multipliers(net, rules)` made.
    input_shape
        Of one example, where the net doesn't know it.

    Raises
    ------
    SpecError
        If it is no net, or a rule is wrong.
    ShapeError
        If the layers don't fit the input.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.Chain(mn.Linear(4), mn.Ramp(), mn.Linear(2), input=3)
    >>> print(mn.summary(net, {-1: 1, ...: None}))
    layer  type    output  parameters  multiplier
    -----  ------  ------  ----------  ---------------------
    0      Linear  4               16  frozen
    1      Ramp    4                0
    2      Linear  2               10  1
    total                          26  10 trained, 16 frozen
    """
    if not isinstance(net, Net):
        raise SpecError(f"expected a Chain or Graph, got {type(net).__name__}")
    given = isinstance(multipliers, MultiplierTable)
    decided: MultiplierTable = multipliers if given else resolved(net, multipliers)
    shape = net.input_shape if input_shape is None else net._checked_input(input_shape)
    rows = [("layer", "type", "output", "parameters", "multiplier")]
    counts: dict[str, int | None] = dict.fromkeys(("trained", "frozen", "state"), 0)
    for line in _lines(net, shape):
        own = [(decided[(*line.path, name)], size) for name, size in line.sizes.items()]
        for entry, size in own:
            for kind, share in _shares(entry):
                part = None if size is None else round(share * size)
                counts[kind] = _sum([counts[kind], part])
        count = _sum([size for entry, size in own if not entry.is_state])
        label = "  " * (len(line.path) - 1) + str(line.path[-1])
        kind = type(line.layer).__name__
        parameters = "" if isinstance(line.layer, Net) else _number(count)
        rows.append((label, kind, _shape(line.output), parameters, _decided(own)))
    both = _number(_sum([counts["trained"], counts["frozen"]]))
    kinds = [f"{_number(n)} {what}" for what, n in counts.items() if n != 0 or what != "state"]
    return table([*rows, ("total", "", "", both, ", ".join(kinds))], right=(3,))


@dataclass(frozen=True)
class _Line:
    """A layer at any depth, with what is known of the shape of its output and its arrays."""

    path: Path
    layer: Layer
    output: Any
    sizes: dict[str, int | None]


def _lines(net: Net, shape: Any, path: Path = ()) -> Iterator[_Line]:
    """Yield each layer at each depth in order, nets before what is in them."""
    shapes: dict[Any, tuple[Any, Any]] = {}

    def run(key: Any, part: Layer, taken: Any) -> Any:
        shapes[key] = (taken, _output_shape(part, taken))
        return shapes[key][1]

    net._flow(shape if shape is not None else dict.fromkeys(net.input_names), run)
    for key, part in net.children():
        taken, output = shapes[key]
        sizes = {} if isinstance(part, Net) else _sizes(part, taken)
        yield _Line((*path, key), part, output, sizes)
        if isinstance(part, Net):
            yield from _lines(part, taken, (*path, key))


def _is_unknown(shape: Any) -> bool:
    """Tell whether a shape, or one of several, is unknown."""
    several = shape.values() if isinstance(shape, dict) else shape
    return shape is None or any(one is None for one in several)


def _output_shape(part: Layer, taken: Any) -> Any:
    """Return the shape of what a layer gives; None if that can't be known yet."""
    if part.input_count != 0 and _is_unknown(taken):
        return None
    try:
        return part.output_shape(taken)
    except ShapeError:
        raise
    except SpecError:
        return None  # the size of a Linear() is missing, or the array of a Constant


def _sizes(part: Layer, taken: Any) -> dict[str, int | None]:
    """Return how many numbers each array of a layer has; None where that is not known."""
    known: dict[str, int | None] = dict.fromkeys(part.own_names())
    if _output_shape(part, taken) is not None:
        known |= {name: math.prod(s.shape) for name, s in part.array_specs(taken).items()}
    return known | {name: array.size for name, array in part.arrays_here.items()}


# --- cells ------------------------------------------------------------------------------


def _shares(entry: Entry) -> list[tuple[str, float]]:
    """Return in which totals an array is counted, with which share of its numbers."""
    if entry.is_state:
        return [("state", 1.0)]
    # Elementwise multipliers are spread evenly over the array they broadcast to.
    trained = 1.0 if callable(entry.value) else float(np.mean(np.not_equal(entry.value, 0)))
    return [("trained", trained), ("frozen", 1.0 - trained)]


def _sum(sizes: Sequence[int | None]) -> int | None:
    """Return the sum; None if one of them is not known."""
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _number(size: int | None) -> str:
    return "?" if size is None else f"{size:,}"


def _shape(shape: Any) -> str:
    if shape is None:
        return "?"
    if isinstance(shape, dict):
        return ", ".join(f"{port}: {_shape(one)}" for port, one in shape.items())
    return " x ".join(str(n) for n in shape) or "number"


def _multiplier(entry: Entry) -> str:
    if is_array(entry.value):
        return "elementwise"
    if callable(entry.value):
        return "schedule"
    return "frozen" if entry.value == 0 else f"{entry.value:g}"


def _decided(own: Sequence[tuple[Entry, int | None]]) -> str:
    """Return a layer's multipliers: one where all its arrays agree, else each by name."""
    values = {entry.path[-1]: _multiplier(entry) for entry, _ in own if not entry.is_state}
    if len(set(values.values())) <= 1:
        return next(iter(values.values()), "")
    return ", ".join(f"{name} {text}" for name, text in values.items())


# --- figures ----------------------------------------------------------------------------


def learning_curves(result: Any, path: Any = None) -> Any:
    """Draw the loss and the measures of a `TrainResult` by round.

    Parameters
    ----------
    result
        What `train` returned.
    path
        Where to write the figure, in the format its ending says.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    SpecError
        If matplotlib isn't installed or no round was complete.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.eye(2, dtype="float32")
    >>> result = mn.train(mn.Chain(1), (x, [1.0, 2.0]), rounds=3, progress=False)
    >>> from minnet.draw import learning_curves
    >>> figure = learning_curves(result)  # doctest: +SKIP
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SpecError("drawing needs matplotlib: pip install 'minnet[plot]'") from None
    if not result.history:
        raise SpecError("no round was recorded: there is nothing to draw")
    names = [
        name
        for name, number in result.history[0].items()
        if isinstance(number, float) and name != "seconds" and not name.startswith("validation_")
    ]
    rounds = result.curve("round")
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for column, label, style in (
            (name, "training", "o-"),
            (f"validation_{name}", "validation", "s--"),
        ):
            if column in result.history[0]:
                axes.plot(rounds, result.curve(column), style, label=label, markersize=3)
        axes.set(xlabel="round", ylabel=name.replace("_", " "))
        axes.legend(frameon=False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
