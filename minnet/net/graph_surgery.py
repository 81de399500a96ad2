"""Surgery on graphs: parts of them, inserting, deleting, replacing, renaming, appending."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..errors import PathError, SpecError
from ..layers.base import Layer
from .base import Net
from .fit import final_shape, sized
from .parts import is_known, parse_path
from .shorthand import as_layer
from .wiring import Wires, head, needed_by

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["GraphSurgery"]


class GraphSurgery(Net):
    """What makes a Graph out of another (see `Graph`). Every method returns a new one.

    Layers and arrays are shared, never copied. Encoders stay with the input ports
    that stay; the decoder stays where its layer does and the outputs still fit.
    """

    _layers: dict[str, Layer]
    _wiring: Wires

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The layers by name, each after those it takes from."""
        return MappingProxyType(self._layers)

    @property
    def wiring(self) -> Mapping[str, tuple[str, ...]]:
        """For each layer and output port the names of what it takes from."""
        return MappingProxyType(self._wiring)

    def _remade(
        self, layers: Mapping[str, Any], wiring: Mapping[str, Any], output: Any = None
    ) -> Graph:
        """Return a Graph of other parts, without the decoder if that no longer fits."""
        from .graph import Graph  # at call time: graphs are built on this file

        new = Graph(layers, wiring, name=self.name, multiplier=self.multiplier)
        ends = {port: self._ends().get(port) for port in new.input_names}
        new = new.with_ends(input=ends)
        if output is None:
            return new
        resized = sized(new, output.size)
        if isinstance(resized, Graph):
            new = resized
        final = final_shape(new)
        return new._changed(output=output) if final is None or output.fits(final) else new

    def _key(self, where: Any) -> str:
        """Return the name of the layer at a name or position."""
        return str(self.keys()[self.position(where)])

    def _check_new(self, name: str) -> None:
        """Raise a SpecError if there is something of that name already."""
        if name in self.wiring or name in self.input_names:
            raise SpecError(f"there is already something called {name!r} in this graph")

    # --- parts of it --------------------------------------------------------------------

    def take(self, *names: Any) -> Graph:
        """Return the part that computes the outputs of the layers named, with what they need.

        With one name its output is the graph's, as the port `output`; with several
        there is a port each, called `"<name>_output"`. The decoder stays if the one
        layer named is the graph's last.

        Raises
        ------
        PathError
            If there is no such layer.

        Examples
        --------
        >>> import minnet as mn
        >>> graph = mn.Graph({"a": 3, "b": 2}, {"a": "input", "b": "a"})
        >>> graph.take("a")
        Graph(
            a: Linear(3) <- input
            output <- a
        )
        """
        if not names:
            raise PathError("take(...) needs the name of at least one layer")
        wanted = list(dict.fromkeys(self._key(name) for name in names))
        needed = needed_by(wanted, self.wiring)
        layers = {key: part for key, part in self.layers.items() if key in needed}
        single = len(wanted) == 1
        ports = {"output": wanted[0]} if single else {f"{key}_output": key for key in wanted}
        is_end = single and [(wanted[0],)] == [self.wiring[port] for port in self.output_names]
        wires = {key: self.wiring[key] for key in layers}
        return self._remade(layers, {**wires, **ports}, self.output if is_end else None)

    def drop(self, *names: Any) -> Graph:
        """Return what follows the layers named, which become input ports of their names.

        Where the graph knows what shapes come there, so does the part. The decoder stays.

        Raises
        ------
        PathError
            If there is no such layer.
        SpecError
            If what follows also takes from other layers before them, or nothing follows.

        Examples
        --------
        >>> import minnet as mn
        >>> graph = mn.Graph({"a": 3, "b": 2}, {"a": "input", "b": "a"}, input=4)
        >>> graph.drop("a")
        Graph(
            b: Linear(2) <- a
            output <- b
            input=(3,)
        )
        """
        if not names:
            raise PathError("drop(...) needs the name of at least one layer")
        wanted = [self._key(name) for name in names]
        gone = needed_by(wanted, self.wiring) & set(self.layers)
        layers = {key: part for key, part in self.layers.items() if key not in gone}
        wires = {key: sources for key, sources in self.wiring.items() if key not in gone}
        for key, sources in wires.items():
            for source in sources:
                if source not in wanted and head(source) in gone:
                    raise SpecError(f"{key!r} also takes from {source!r}: name it, too")
        new = self._remade(layers, wires)
        shapes = self._shapes()
        ends = {port: shapes.get(port, self._ends().get(port)) for port in new.input_names}
        return new.with_ends(input=ends, output=self.output)

    def _shapes(self) -> dict[Any, Any]:
        """Return the output shape of each layer where they are known."""
        if not is_known(self.input_shape) or final_shape(self) is None:
            return {}
        return {step.key: step.output_shape for step in self.trace(self.input_shape)[0]}

    # --- changing it --------------------------------------------------------------------

    def insert(self, name: str, layer: Any, *, after: Any) -> Graph:
        """Return the graph with a layer between `after` and all that took from it.

        Parameters
        ----------
        name
            What to call the new layer.
        layer
            The layer, or a shorthand for one.
        after
            A layer or an input port.

        Raises
        ------
        PathError
            If there is no layer or port called `after`.
        SpecError
            If the name is there already.
        ShapeError
            If the layer doesn't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> graph = mn.Graph({"a": 3, "b": 2}, {"a": "input", "b": "a"})
        >>> graph.insert("ramp", mn.Ramp, after="a").wiring["b"]
        ('ramp',)
        """
        source = after if after in self.input_names else self._key(after)
        self._check_new(name)
        wires = _redirected(self.wiring, source, name)
        layers = {**self.layers, name: layer}
        return self._remade(layers, {**wires, name: (source,)}, self.output)

    def delete(self, *where: Any) -> Graph:
        """Return the graph without layers of one input each; who took from them takes from theirs.

        The decoder goes with the last layer, or where it no longer fits.

        Raises
        ------
        PathError
            If there is no such layer.
        SpecError
            If one hasn't exactly one input.
        ShapeError
            If the layers that are left don't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> graph = mn.Graph({"a": 3, "b": mn.Ramp, "c": 2}, {"a": "input", "b": "a", "c": "b"})
        >>> dict(graph.delete("b").wiring)
        {'a': ('input',), 'c': ('a',), 'output': ('c',)}
        """
        layers, wires, output = dict(self.layers), dict(self.wiring), self.output
        for key in dict.fromkeys(self._key(item) for item in where):
            if len(wires[key]) != 1:
                raise SpecError(
                    "it doesn't have exactly one input, so nothing can take its place", (key,)
                )
            if wires[self.output_names[0]] == (key,):
                output = None
            (source,) = wires.pop(key)
            del layers[key]
            wires = _redirected(wires, key, source)
        return self._remade(layers, wires, output)

    def replace(self, where: Any, layer: Any) -> Graph:
        """Return the graph with another layer at a place; a path reaches into nested nets.

        The place keeps its name. The decoder goes where it no longer fits.

        Raises
        ------
        PathError
            If there is no layer at that place.
        SpecError
            If what is given is no layer or takes another number of inputs.
        ShapeError
            If it doesn't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Graph({"a": 3}, {"a": "input"}).replace("a", mn.Tanh)["a"]
        Tanh(name='a')
        """
        path = self._canonical(parse_path(where))
        old, new = self._at(path), as_layer(layer)
        if not isinstance(old, Layer):
            raise PathError("that is an array: use with_arrays", path)
        new = new.renamed(old.name) if new.name is None else new
        return self._remade(self.with_layers({path: new}).layers, self.wiring, self.output)

    def rename(self, old: Any, new: str) -> Graph:
        """Return the graph with the layer called `old` under another name.

        Raises
        ------
        PathError
            If there is no layer called `old`.
        SpecError
            If the new name is there already, or can't be one.

        Examples
        --------
        >>> import minnet as mn
        >>> graph = mn.Graph({"a": 3, "b": 2}, {"a": "input", "b": "a"})
        >>> dict(graph.rename("a", "first").wiring)
        {'first': ('input',), 'b': ('first',), 'output': ('b',)}
        """
        was = self._key(old)
        self._check_new(new)
        layers = {new if key == was else key: part for key, part in self.layers.items()}
        wires = {new if key == was else key: sources for key, sources in self.wiring.items()}
        return self._remade(layers, _redirected(wires, was, new), self.output)

    def append(self, *layers: Any, **named: Any) -> Graph:
        """Return the graph with more layers after its one output.

        A layer without a name is called by its type (`"linear"`, `"linear_2"`). The
        decoder stays if it still fits; a last `Linear()` gets its size from it.

        Raises
        ------
        SpecError
            If a name is there already, or the graph has several outputs.
        ShapeError
            If the layers don't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> dict(mn.Graph({"a": 3}, {"a": "input"}).append(mn.Ramp, head=2).wiring)
        {'a': ('input',), 'ramp': ('a',), 'head': ('ramp',), 'output': ('head',)}
        """
        if len(self.output_names) > 1:
            raise SpecError("this graph has several outputs: append to which? Make a new Graph")
        port = self.output_names[0]
        parts: dict[str, Any] = dict(self.layers)
        wires = dict(self.wiring)
        (source,) = wires.pop(port)
        items = [(None, as_layer(item)) for item in layers]
        for name, item in [*items, *((key, as_layer(item)) for key, item in named.items())]:
            key = name or item.name or self._free_name(type(item).__name__.lower(), parts)
            self._check_new(key)
            if key in parts:
                raise SpecError(f"two layers are called {key!r}: rename one")
            parts[key], wires[key] = item, (source,)
            source = key
        return self._remade(parts, {**wires, port: (source,)}, self.output)

    def _free_name(self, name: str, parts: Mapping[str, Any]) -> str:
        """Return a name nothing has yet: this one, or with the next number."""
        taken = {*parts, *self.wiring, *self.input_names}
        number = 2
        free = name
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        return free


def _redirected(wires: Mapping[str, tuple[str, ...]], old: str, new: str) -> Wires:
    """Return the wiring with `new` wherever `old` was the source, or a port of it."""

    def other(source: str) -> str:
        start, dot, port = source.partition(".")
        return f"{new}{dot}{port}" if start == old else source

    return {key: tuple(map(other, sources)) for key, sources in wires.items()}
