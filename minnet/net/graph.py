"""Graph: layers wired together by name, any acyclic way, with several inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import EllipsisType
from typing import Any, Self

from .. import ops
from ..errors import DataError, MinnetError, PathError, SpecError
from ..layers.base import Context, Layer, Multiplier
from .fit import only_moves, sized
from .graph_surgery import GraphSurgery
from .parts import check_name, parse_path
from .place import told
from .segments import Step
from .shorthand import as_layer
from .structure import Run, Structure
from .wiring import (
    check_count,
    check_ports,
    check_sources,
    head,
    in_order,
    last_uses,
    pick,
    source_names,
    with_output,
)

__all__ = ["Graph"]


class Graph(GraphSurgery):
    """Layers wired together by name.

    Parameters
    ----------
    layers
        By name: layers, or the shorthands of `Chain`.
    wiring
        For each layer, where its input comes from: a name, or a tuple of names for
        a layer of several inputs. A name that is no layer is an input port of the
        graph. A key that is no layer is an output port; with none given, the one
        layer nobody takes from gives the output. A nested graph of several inputs
        takes them in the order of its `input_names`; each output of one of several
        outputs is written `"block.port"`.
    input
        An encoder or the shape of one example; a dict by port for several inputs.
    output
        A decoder, for a graph with one output.
    name, multiplier
        As for every layer.

    Attributes
    ----------
    layers
        The layers by name, each after those it takes from; can't be changed.
    wiring
        For each layer and output port the tuple of names it takes from; can't be changed.

    Raises
    ------
    SpecError
        If the wiring has a cycle, a loose end, a name that leads nowhere, or a
        wrong number of inputs.
    ShapeError
        If the inputs' shapes are known and the layers or the decoder don't fit.

    Examples
    --------
    A residual block:

    >>> import minnet as mn
    >>> block = mn.Graph(
    ...     {"linear": mn.Linear(4), "ramp": mn.Ramp(), "add": mn.Add()},
    ...     {"linear": "input", "ramp": "linear", "add": ("ramp", "input")},
    ...     input=4,
    ... )
    >>> block
    Graph(
        linear: Linear(4) <- input
        ramp: Ramp() <- linear
        add: Add() <- ramp, input
        output <- add
        input=(4,)
    )
    """

    _last_use: dict[str, list[str]]

    def __init__(
        self,
        layers: Mapping[str, Any],
        wiring: Mapping[str, Any],
        *,
        input: Any = None,
        output: Any = None,
        name: str | None = None,
        multiplier: Multiplier | EllipsisType = ...,
    ) -> None:
        super().__init__(name=name, multiplier=multiplier)
        if not isinstance(layers, Mapping) or not isinstance(wiring, Mapping):
            raise SpecError("a Graph takes a dict of layers by name and a dict of sources by layer")
        parts = {key: as_layer(item).renamed(key) for key, item in layers.items()}
        wires = {key: source_names(sources, key) for key, sources in wiring.items()}
        for key, part in parts.items():
            check_name(part)
            check_count(key, part, wires.setdefault(key, ()))
        order = in_order(parts, wires)
        wires = with_output(parts, wires)
        outputs = tuple(key for key in wires if key not in parts)
        wires = {key: wires[key] for key in (*order, *outputs)}
        sources = dict.fromkeys(source for sources in wires.values() for source in sources)
        inputs = tuple(source for source in sources if head(source) not in parts)
        check_ports(inputs, outputs, wires)
        check_sources(parts, wires)
        self._settle(
            _layers={key: parts[key] for key in order},
            _wiring=wires,
            input_names=inputs,
            output_names=outputs,
            _last_use=last_uses(wires),
        )
        self._settle(input=self._checked_input(input), output=self._checked_output(output))
        self._complete()

    # --- what every net defines ---------------------------------------------------------

    @property
    def input_count(self) -> int | None:  # type: ignore[override]
        """How many inputs it takes; none if it computes from Constants alone."""
        return len(self.input_names)

    def children(self) -> tuple[tuple[str | int, Layer], ...]:
        """Return the layers with their names, each after those it takes from."""
        return tuple(self._layers.items())

    def with_children(self, children: Mapping[str | int, Layer]) -> Self:
        """Return the same graph with some of its layers replaced, by name."""
        new = {str(key): part.renamed(str(key)) for key, part in children.items()}
        for key, part in new.items():
            check_count(key, part, self._wiring[key])
        return self._changed(_layers={**self._layers, **new})

    def apply(self, x: Any, context: Context | None = None) -> Any:
        """Compute the outputs for an encoded batch; see `Net.apply`."""
        outputs = super().apply(x, context)
        if not self.input_names:
            return outputs
        count = len(next(iter(self._by_port(x).values())))
        if len(self.output_names) > 1:
            return {port: _whole(out, count) for port, out in outputs.items()}
        return _whole(outputs, count)

    def _flow(self, x: Any, run: Run) -> Any:
        """Send values (arrays or shapes) along the wires, forgetting each after its last use."""
        values = self._by_port(x)
        for key, part in self._layers.items():
            try:
                taken = tuple(pick(values, source) for source in self._wiring[key])
                values[key] = run(key, part, taken[0] if part.input_count == 1 else taken or None)
            except MinnetError as error:
                raise error.inside(key) from None
            except (MemoryError, TypeError) as error:
                raise told(error, key, part, taken) from error.__cause__
            for done in self._last_use.get(key, ()):
                del values[done]
        outputs = {port: pick(values, self._wiring[port][0]) for port in self.output_names}
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def _steps(self) -> tuple[Iterable[Step], Iterable[Any]]:
        steps = [(key, part, self._wiring[key]) for key, part in self._layers.items()]
        return steps, [self._wiring[port][0] for port in self.output_names]

    def _by_port(self, x: Any) -> dict[str, Any]:
        names = self.input_names
        if not names:
            return {}
        if isinstance(x, Mapping) and set(x) == set(names):
            return dict(x)
        if len(names) == 1 and not isinstance(x, Mapping):
            return {names[0]: x}
        if isinstance(x, tuple | list) and len(x) == len(names):
            return dict(zip(names, x, strict=True))
        raise DataError(f"expected the inputs {', '.join(names)}, by name or in this order")

    def _sized(self, size: int) -> Self | None:
        if len(self.output_names) > 1:
            return self
        key = self._wiring[self.output_names[0]][0]
        while key in self.layers:
            part = self.layers[key]
            new = sized(part, size)
            if new is not None:
                return self if new is part else self.with_children({key: new})
            if len(self._wiring[key]) > 1:
                return self  # where branches meet, none of them alone decides
            key = self._wiring[key][0]
        return None if key in self.input_names else self

    def _integer_ports(self) -> frozenset[str]:
        found: set[str] = set()
        unchanged = {port: port for port in self.input_names}  # value: the input it still is
        for key, part in self._layers.items():
            inputs = [unchanged.get(source) for source in self._wiring[key]]
            if only_moves(part) and inputs[0] is not None:
                unchanged[key] = inputs[0]
            for i, port in enumerate(inputs):
                if port is not None and _wants_integers(part, i):
                    found.add(port)
        return frozenset(found)

    # --- looking at it ------------------------------------------------------------------

    def __getitem__(self, where: Any) -> Any:
        """Return the layer or array at a name, a position (in the order of use) or a path.

        Raises
        ------
        PathError
            If there is none, or for a slice.
        """
        if isinstance(where, slice):
            raise PathError("a Graph has no slices: take(...) gives the part up to some layers")
        return self._at(parse_path(where))

    def __repr__(self) -> str:
        lines = [
            f"{key}: {part.renamed(None)!r} <- {', '.join(self._wiring[key]) or 'nothing'}"
            for key, part in self._layers.items()
        ]
        lines += [f"{port} <- {self._wiring[port][0]}" for port in self.output_names]
        lines += self._shown_ends()
        return "Graph(\n" + "".join("    " + s.replace("\n", "\n    ") + "\n" for s in lines) + ")"


def _whole(outputs: Any, count: int) -> Any:
    """Return outputs for every example: what comes from Constants alone is a batch of one."""
    if len(outputs) == count:
        return outputs
    return ops.broadcast_to(outputs, (count, *outputs.shape[1:]))


def _wants_integers(part: Layer, i: int) -> bool:
    """Tell whether a layer's input `i` takes whole numbers."""
    if isinstance(part, Structure):
        return part.input_names[i] in part._integer_ports()
    return part.wants_integers
