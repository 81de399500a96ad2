"""Surgery on chains: joining, inserting, deleting, replacing, renaming, flattening."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PathError, ShapeError
from ..layers.base import Layer
from .base import Net
from .parts import parse_path
from .shorthand import as_layer

if TYPE_CHECKING:
    from .chain import Chain

__all__ = ["ChainSurgery"]


class ChainSurgery(Net):
    """What makes a Chain out of others (see `Chain`). Every method returns a new one.

    Layers and arrays are shared, never copied. The encoder stays where its examples
    still fit the first layer and is taken off where they don't; so is the decoder
    with the outputs.
    """

    layers: tuple[Layer, ...]

    def _remade(self, parts: Sequence[Layer], input: Any, output: Any) -> Chain:
        """Return a chain of other layers; without the decoder if that no longer fits."""
        raise NotImplementedError

    def _input_at(self, position: int) -> Any:
        """Return the encoder for the start, else the shape that comes there, None if unknown."""
        raise NotImplementedError

    def _with_other_start(self, parts: Sequence[Layer], output: Any, input: Any) -> Chain:
        """Return a chain that begins differently: with its encoder if that fits, else `input`."""
        try:
            return self._remade(parts, self.input, output)
        except ShapeError:
            if self.input is None:
                raise
            return self._remade(parts, input, output)

    # --- putting together ---------------------------------------------------------------

    def join(self, *others: Any) -> Chain:
        """Return this chain followed by the layers of others; `a + b` is `a.join(b)`.

        It has the encoder of the first and the decoder of the last.

        Parameters
        ----------
        *others
            Chains, or layers and shorthands for them.

        Raises
        ------
        SpecError
            If two layers have the same name.
        ShapeError
            If the parts don't fit each other, or the decoder doesn't fit the end.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3, mn.Ramp) + mn.Chain(2, mn.Softmax)
        Chain(Linear(3), Ramp(), Linear(2), Softmax())
        """
        nets: list[Layer] = [self, *map(as_layer, others)]
        parts = [p for net in nets for p in (net if isinstance(net, ChainSurgery) else [net])]
        is_empty = not self.layers and self.input is None
        begin = nets[1] if is_empty and others else self
        new = self._remade(parts, getattr(begin, "input", None), None)
        output = getattr(nets[-1], "output", None)
        return new if output is None else new.with_ends(output=output)

    def __add__(self, other: Any) -> Chain:
        return self.join(other)

    def append(self, *layers: Any, **named: Any) -> Chain:
        """Return the chain with more layers after its last.

        The decoder stays if it still fits, and is taken off otherwise; a last
        `Linear()` without size gets its size from it.

        Raises
        ------
        SpecError
            If a name is there already.
        ShapeError
            If the layers don't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3).append(mn.Ramp, head=2)
        Chain(Linear(3), Ramp(), head=Linear(2))
        """
        return self.insert(len(self), *layers, **named)

    def prepend(self, *layers: Any, **named: Any) -> Chain:
        """Return the chain with more layers before its first.

        The encoder (or input shape) stays if all still fits, and is taken off otherwise.

        Raises
        ------
        SpecError
            If a name is there already.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3, input=(2, 2)).prepend(mn.Flatten)
        Chain(Flatten(), Linear(3), input=(2, 2))
        """
        return self.insert(0, *layers, **named)

    def insert(self, where: Any, *layers: Any, **named: Any) -> Chain:
        """Return the chain with more layers before the one called `where`.

        The decoder stays if it still fits; at the start, the encoder too.

        Raises
        ------
        PathError
            If there is no layer called `where`.
        SpecError
            If a name is there already.
        ShapeError
            If the layers don't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(a=3, b=2).insert("b", mn.Ramp)
        Chain(a=Linear(3), Ramp(), b=Linear(2))
        """
        is_end = isinstance(where, int) and where == len(self)
        at = len(self) if is_end else self.position(where)
        new = [as_layer(item) for item in layers]
        new += [as_layer(item).renamed(key) for key, item in named.items()]
        parts = [*self.layers[:at], *new, *self.layers[at:]]
        if at == 0 and self.layers:
            return self._with_other_start(parts, self.output, None)
        return self._remade(parts, self.input, self.output)

    # --- changing what is there ---------------------------------------------------------

    def delete(self, *where: Any) -> Chain:
        """Return the chain without the layers called so.

        The decoder stays unless the last layer went or it no longer fits. Where the
        first layers went and what follows can't take the encoder's examples, it goes
        too, and the shape that came after them stays known.

        Raises
        ------
        PathError
            If there is no such layer.
        ShapeError
            If the layers that are left don't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(a=3, b=mn.Ramp, c=2).delete("b", -1)
        Chain(a=Linear(3))
        """
        gone = {self.position(item) for item in where}
        kept = [part for i, part in enumerate(self.layers) if i not in gone]
        output = None if len(self) - 1 in gone else self.output
        first = min(set(range(len(self) + 1)) - gone)  # the first that is still there
        if first == 0:
            return self._remade(kept, self.input, output)
        return self._with_other_start(kept, output, self._input_at(first))

    def replace(self, where: Any, layer: Any) -> Chain:
        """Return the chain with another layer at a place; a path reaches into nested nets.

        The new layer takes over the name of the old one unless it has its own (a
        Graph's layers keep theirs). The decoder goes where it no longer fits.

        Raises
        ------
        PathError
            If there is no layer at that place.
        SpecError
            If what is given is no layer, or its name is there already.
        ShapeError
            If it doesn't fit.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(a=mn.Linear(3), b=mn.Ramp()).replace("b", mn.Tanh)
        Chain(a=Linear(3), b=Tanh())
        """
        path = self._canonical(parse_path(where))
        old, new = self._at(path), as_layer(layer)
        if not isinstance(old, Layer):
            raise PathError("that is an array: use with_arrays", path)
        new = new.renamed(old.name) if new.name is None else new
        return self._remade(self.with_layers({path: new}).layers, self.input, self.output)

    def rename(self, old: Any, new: str | None) -> Chain:
        """Return the chain with the layer called `old` under another name (None: no name).

        Raises
        ------
        PathError
            If there is no layer called `old`.
        SpecError
            If the new name is there already, or can't be one.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain(3, mn.Ramp).rename(0, "first")
        Chain(first=Linear(3), Ramp())
        """
        at = self.position(old)
        parts = [part.renamed(new) if i == at else part for i, part in enumerate(self.layers)]
        return self._remade(parts, self.input, self.output)

    def flatten(self) -> Chain:
        """Return the chain with nested chains dissolved into one; it computes the same.

        A layer keeps its name where that stays unique, else gets that of the chain
        it was in as a prefix (`encoder_conv1`). Encoders and decoders of inner
        chains, which were not used, are left behind; their `multiplier` goes to
        their layers.

        Examples
        --------
        >>> import minnet as mn
        >>> mn.Chain([3, mn.Ramp], 2).flatten()
        Chain(Linear(3), Ramp(), Linear(2))
        """
        found = list(_leaves(self))
        names = [part.name for part, _ in found]
        parts = [
            part.renamed(long) if part.name is not None and names.count(part.name) > 1 else part
            for part, long in found
        ]
        return self._remade(parts, self.input, self.output)


def _leaves(chain: Layer, prefix: str = "") -> Iterator[tuple[Layer, str]]:
    """Yield the layers of nested chains with their long names, in order."""
    for key, part in chain.children():
        if not isinstance(part, ChainSurgery):
            yield part, f"{prefix}{key}"
            continue
        for leaf, long in _leaves(part, f"{prefix}{key}_"):
            inherits = leaf.multiplier is ... and part.multiplier is not ...
            yield leaf.with_options(multiplier=part.multiplier) if inherits else leaf, long
