"""Data by port: which rows go into which input of a net and which come with which output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

from ..backend import Array, is_array, move
from ..errors import DataError
from .rows import LABELS, NUMBERS, Rows, as_rows, row_count, take_rows

__all__ = ["Ports", "check_counts", "examples", "pick", "unzipped"]

Ports: TypeAlias = tuple[str, ...]


def examples(
    data: Any, inputs: Ports, outputs: Ports, encoded: bool | Collection[str]
) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Return the rows for each input and each output, given as (x, y) or as a dict by port."""
    if isinstance(data, Mapping):
        named = _named(data, inputs, outputs)
        x, y = ({port: named[port] for port in ports} for ports in (inputs, outputs))
    elif isinstance(data, tuple | list) and len(data) == 2:
        x = _side(data[0], inputs, "input")
        y = _side(data[1], outputs, "output")
    else:
        count = f" of {len(data)}" if isinstance(data, tuple | list) else ""
        raise DataError(f"expected (x, y) or a dict by port, got a {type(data).__name__}{count}")
    for port, rows in x.items():
        is_encoded = encoded if isinstance(encoded, bool) else port in encoded
        what = "inputs" if len(x) == 1 else f"input {port!r}"
        x[port] = as_rows(rows, what, None if is_encoded else NUMBERS)
    for port, rows in y.items():
        here = move(rows, "cpu") if is_array(rows) else rows  # labels are read, not computed with
        y[port] = as_rows(here, "labels" if len(y) == 1 else f"output {port!r}", LABELS)
    return x, y


def _named(data: Mapping[str, Any], inputs: Ports, outputs: Ports) -> dict[str, Any]:
    """Return what a dict gives for each port, under the ports' own names."""
    aliases = {port: port for port in (*inputs, *outputs)}
    if len(inputs) == len(outputs) == 1:
        aliases = {"input": inputs[0], "output": outputs[0]} | aliases
    there_are = f"the net has input {_names(inputs)} and output {_names(outputs)}"
    unknown = [key for key in data if key not in aliases]
    if unknown:
        raise DataError(f"unknown port {unknown[0]!r}: {there_are}")
    named = {aliases[key]: rows for key, rows in data.items()}
    missing = [port for port in (*inputs, *outputs) if port not in named]
    if missing:
        raise DataError(f"no data for port {missing[0]!r}: {there_are}")
    return named


def _side(values: Any, ports: Ports, side: str) -> dict[str, Any]:
    """Return x or y by port: the one of several ports must be a dict."""
    if isinstance(values, Mapping):
        unknown = [key for key in values if key not in ports]
        if unknown or len(values) < len(ports):
            raise DataError(f"expected data for {side} {_names(ports)}, got {_names(list(values))}")
        return {port: values[port] for port in ports}
    if len(ports) > 1:
        raise DataError(
            f"the net has {side}s {_names(ports)}: expected a dict with these keys, "
            f"got {type(values).__name__}"
        )
    return {ports[0]: values}


def unzipped(pairs: list[Any]) -> tuple[Any, Any]:
    """Return a list of (input, label) pairs as (inputs, labels), dicts by port as dicts."""
    if not pairs:
        raise DataError("there are no examples: the list of (input, label) pairs is empty")
    for i, pair in enumerate(pairs):
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise DataError(
                f"expected a list of (input, label) pairs, but item {i} is a "
                f"{type(pair).__name__}; two arrays go into a tuple: (x, y)"
            )
    return _merged([pair[0] for pair in pairs]), _merged([pair[1] for pair in pairs])


def _merged(values: list[Any]) -> Any:
    """Return a list of dicts with equal keys as a dict of lists, other lists as they are."""
    if not isinstance(values[0], Mapping):
        return values
    for i, value in enumerate(values):
        if not isinstance(value, Mapping) or value.keys() != values[0].keys():
            raise DataError(f"example {i} doesn't name the same ports as example 0")
    return {port: [value[port] for value in values] for port in values[0]}


def pick(rows: Mapping[str, Rows], indices: Array | None) -> Any:
    """Return the rows at `indices` (all if None): plain if there is one port, else a dict."""
    picked = {
        port: array if indices is None else take_rows(array, indices)
        for port, array in rows.items()
    }
    return picked if len(picked) != 1 else next(iter(picked.values()))


def check_counts(inputs: Mapping[str, Rows], outputs: Mapping[str, Rows]) -> None:
    """Raise a DataError unless there are equally many examples everywhere."""
    counts = [(port, row_count(rows)) for port, rows in (*inputs.items(), *outputs.items())]
    if len({count for _, count in counts}) <= 1:
        return
    if len(counts) == 2:
        raise DataError(
            f"{counts[0][1]} inputs and {counts[1][1]} labels: every example needs one of each"
        )
    each = ", ".join(f"{port!r} has {count}" for port, count in counts)
    raise DataError(f"every port needs equally many examples, but {each}")


def _names(ports: Iterable[Any]) -> str:
    """Return the names of ports for a message."""
    return ", ".join(repr(port) for port in ports)
