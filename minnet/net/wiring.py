"""The wiring of a Graph: reading it, finding mistakes in it, putting the layers in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import SpecError
from ..layers.base import Layer
from .structure import Structure

__all__ = [
    "Wires",
    "check_count",
    "check_ports",
    "check_sources",
    "head",
    "in_order",
    "last_uses",
    "needed_by",
    "pick",
    "source_names",
    "with_output",
]

# For each layer and output port the values it takes: "layer", "input" or "block.port".
Wires = dict[str, tuple[str, ...]]


def head(source: str) -> str:
    """Return the layer that a source is of: that of `"block.port"` is `"block"`."""
    return source.partition(".")[0]


# --- reading ----------------------------------------------------------------------------


def source_names(sources: Any, key: str) -> tuple[str, ...]:
    """Return where a layer takes its inputs from as a tuple of names."""
    names: Iterable[Any] = sources if isinstance(sources, tuple | list) else (sources,)
    checked = tuple(names)
    if not all(isinstance(name, str) and all(name.split(".")) for name in checked):
        raise SpecError(f"the wiring of {key!r} is a name or a tuple of names, got {sources!r}")
    return checked


def with_output(parts: Mapping[str, Layer], wires: Wires) -> Wires:
    """Return the wiring with an output port: where none is given, the one loose end gets one."""
    if set(wires) - set(parts):
        return wires
    taken = {head(source) for sources in wires.values() for source in sources}
    ends = [key for key in parts if key not in taken]
    if len(ends) != 1:
        raise SpecError(
            f"which layer gives the output? Nobody takes from {', '.join(ends) or 'none'}: "
            'add an entry such as "output": "name" to the wiring'
        )
    if "output" in parts:
        raise SpecError(
            "a layer called 'output' takes the name of the output port: call it something else, "
            "or add an output port of another name to the wiring"
        )
    return {**wires, "output": (ends[0],)}


# --- mistakes ---------------------------------------------------------------------------


def check_count(key: str, part: Layer, sources: Sequence[str]) -> None:
    """Raise a SpecError unless a layer gets as many inputs as it takes."""
    expected = part.input_count
    if len(sources) < 1 if expected is None else len(sources) != expected:
        wanted = "at least one input" if expected is None else f"inputs: {expected}"
        raise SpecError(
            f"{type(part).__name__} takes {wanted}, the wiring gives it "
            f"{', '.join(sources) or 'none: add an entry for it'}",
            (key,),
        )


def check_sources(parts: Mapping[str, Layer], wires: Wires) -> None:
    """Raise a SpecError for a wire that can't be, and for a layer nobody takes from."""
    for key, sources in wires.items():
        for source in sources:
            _check_source(parts, source, key)
    taken = {head(source) for sources in wires.values() for source in sources}
    unused = [key for key in parts if key not in taken]
    if unused:
        raise SpecError(
            f"nobody takes from {', '.join(unused)}: wire it to something or leave it out"
        )


def _check_source(parts: Mapping[str, Layer], source: str, key: str) -> None:
    start, dot, port = source.partition(".")
    part = parts.get(start)
    ports = part.output_names if isinstance(part, Structure) else ("output",)
    if dot and part is None:
        raise SpecError(f"{key!r} takes from {source!r}, but there is no layer {start!r}")
    if dot and (len(ports) == 1 or port not in ports):
        there = f"the outputs {', '.join(ports)}" if len(ports) > 1 else "one output"
        raise SpecError(f"{key!r} takes from {source!r}, but {start!r} has {there}")
    if not dot and len(ports) > 1:
        choices = " or ".join(f"'{start}.{port}'" for port in ports)
        raise SpecError(f"{key!r} takes from {source!r}, which has several outputs: say {choices}")


def check_ports(inputs: Sequence[str], outputs: Sequence[str], wires: Wires) -> None:
    """Raise a SpecError unless each output port is fed by one layer and is nothing else."""
    for port in outputs:
        if "." in port:
            raise SpecError(f"an output port can't be called {port!r}: dots are for paths")
        if port in inputs:
            raise SpecError(f"{port!r} can't be both an input and an output port")
        if len(wires[port]) != 1:
            raise SpecError(
                f"{port!r} is no layer but an output port, which takes from one layer, not from "
                f"{', '.join(wires[port]) or 'none'}"
            )


# --- following it -----------------------------------------------------------------------


def in_order(parts: Mapping[str, Layer], wires: Wires) -> list[str]:
    """Return the layers in an order in which each comes after those it takes from."""
    order: dict[str, None] = {}
    for start in parts:
        path = {} if start in order else {start: _sources(start, parts, wires)}
        while path:
            key = next(reversed(path))
            source = next((s for s in path[key] if s not in order), None)
            if source is None:
                order[key] = None
                del path[key]
            elif source in path:
                circle = [*list(path)[list(path).index(source) :], source]
                raise SpecError(f"the wiring runs in a circle: {' <- '.join(circle)}")
            else:
                path[source] = _sources(source, parts, wires)
    return list(order)


def _sources(key: str, parts: Mapping[str, Layer], wires: Wires) -> list[str]:
    """Return the layers that a layer takes from."""
    return [head(source) for source in wires[key] if head(source) in parts]


def needed_by(names: Iterable[str], wires: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Return what the layers named take from, directly or not, and themselves."""
    needed: set[str] = set()
    stack = list(names)
    while stack:
        key = stack.pop()
        if key not in needed:
            needed.add(key)
            stack.extend(map(head, wires.get(key, ())))
    return needed


def last_uses(wires: Wires) -> dict[str, list[str]]:
    """Return, for each layer, the values nobody needs once it has run."""
    last = {head(source): key for key, sources in wires.items() for source in sources}
    uses: dict[str, list[str]] = {}
    for value, key in last.items():
        uses.setdefault(key, []).append(value)
    return uses


def pick(values: Mapping[str, Any], source: str) -> Any:
    """Return the value a wire leads to: a layer's or a port's, or one port of a nested graph's."""
    start, dot, port = source.partition(".")
    return values[start][port] if dot else values[source]
