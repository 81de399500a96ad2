"""Chain: layers one after another, and taking them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import EllipsisType
from typing import Any, Self

import numpy as np

from ..errors import MinnetError, PathError, SpecError
from ..layers.base import Context, Layer, Multiplier
from .chain_surgery import ChainSurgery
from .fit import final_shape, only_moves, sized
from .order import Order
from .parts import check_name, parse_path
from .place import told
from .segments import Step
from .shorthand import as_layer
from .structure import Run, Structure, alone

__all__ = ["Chain"]


class Chain(ChainSurgery):
    """Layers applied one after another.

    Parameters
    ----------
    *layers
        Layers, or shorthands: an integer is a `Linear` of that size, a layer class
        stands for its default instance, a list is a nested Chain, an op or another
        function of one array an `Elementwise`. One layer in two places is two
        layers, which begin with the same arrays if it has any. The encoder and
        decoder of a net inside another are not used.
    input
        An encoder, or the shape of one example (an integer for a vector); inferred
        from the data where it is left out.
    output
        A decoder, which turns outputs into labels or numbers and gives the last
        `Linear()` its size.
    name, multiplier
        As for every layer.
    **named
        Further layers with their names.

    Raises
    ------
    ShapeError
        If the input's shape is known and the layers or the decoder don't fit.
    SpecError
        If something is not a layer or takes several inputs, or two layers have the
        same name.

    Examples
    --------
    >>> import minnet as mn
    >>> net = mn.Chain(8, mn.Ramp, last=mn.Linear(2), input=4)
    >>> net
    Chain(Linear(8), Ramp(), last=Linear(2), input=(4,))
    >>> net[:-1]
    Chain(Linear(8), Ramp(), input=(4,))
    """

    layers: tuple[Layer, ...]
    _children: tuple[tuple[str | int, Layer], ...]

    def __init__(
        self,
        *layers: Any,
        input: Any = None,
        output: Any = None,
        name: str | None = None,
        multiplier: Multiplier | EllipsisType = ...,
        **named: Any,
    ) -> None:
        super().__init__(name=name, multiplier=multiplier)
        parts = [as_layer(item) for item in layers]
        parts += [as_layer(item).renamed(key) for key, item in named.items()]
        self._settle(
            layers=_checked(parts),
            input=self._checked_input(input),
            output=self._checked_output(output),
        )
        self._complete()

    # --- what every net defines ---------------------------------------------------------

    def _settle(self, **options: Any) -> None:
        if "layers" in options:
            keys = (
                i if part.name is None else part.name for i, part in enumerate(options["layers"])
            )
            options = {"_children": tuple(zip(keys, options["layers"], strict=True)), **options}
        super()._settle(**options)

    def _flow(self, x: Any, run: Run) -> Any:
        return _through(self.children(), x, run)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        x, parts = self._order.begun(x)
        run = alone if context is None else context.run
        return _through(parts, x, self._segments.running(run, context))

    def _steps(self) -> tuple[Iterable[Step], Iterable[Any]]:
        steps: list[Step] = []
        before = None
        for key, part in self._order.in_order:
            steps.append((key, part, (before,)))
            before = key
        return steps, (before,)

    @cached_property
    def _order(self) -> Order:
        """The layers in the order to compute them in."""
        return Order(self.children())

    def _sized(self, size: int) -> Self | None:
        for key, part in reversed(self.children()):
            new = sized(part, size)
            if new is not None:
                return self if new is part else self.with_children({key: new})
        return None

    def _integer_ports(self) -> frozenset[str]:
        first = next((part for part in self.layers if not only_moves(part)), None)
        return frozenset(self.input_names if first is not None and first.wants_integers else ())

    def children(self) -> tuple[tuple[str | int, Layer], ...]:
        """Return the layers with their keys: the name, or the position of one that has none."""
        return self._children

    def with_children(self, children: Mapping[str | int, Layer]) -> Self:
        """Return the same chain with some of its layers replaced, by key."""
        parts = [children.get(key, part) for key, part in self.children()]
        return self._changed(layers=_checked(parts))

    def _remade(self, parts: Sequence[Layer], input: Any, output: Any) -> Chain:
        """Return a chain of other layers; without the decoder if that no longer fits."""
        new = Chain(*parts, input=input, name=self.name, multiplier=self.multiplier)
        if output is None:
            return new
        resized = sized(new, output.size)
        if isinstance(resized, Chain):
            new = resized
        final = final_shape(new)
        return new._changed(output=output) if final is None or output.fits(final) else new

    # --- taking apart -------------------------------------------------------------------

    def __getitem__(self, where: Any) -> Any:
        """Return a layer, an array, or a part of the chain.

        A position or name gives that layer, a path (`net["conv1", "weight"]` or
        `net["conv1.weight"]`) what stands there, a slice (`net[1:3]`,
        `net["conv1":"conv2"]`, whose second end is left out as always) the Chain of
        those layers. Nothing is copied. The part keeps the encoder if it begins
        where the net begins, else it knows the shape that comes there, and the
        decoder if it ends where the net ends.

        Raises
        ------
        PathError
            If there is no such place.
        """
        if isinstance(where, slice):
            return self._slice(where)
        return self._at(parse_path(where))

    def _slice(self, where: slice) -> Chain:
        ends = [None if end is None else self._edge(end) for end in (where.start, where.stop)]
        if where.step not in (None, 1):
            raise PathError(f"a part of a chain has its layers in order: no step of {where.step}")
        start, stop, _ = slice(*ends).indices(len(self))
        parts = self.layers[start:stop]
        return self._remade(
            parts, self._input_at(start), self.output if parts and stop == len(self) else None
        )

    def _edge(self, where: Any) -> int:
        """Return where to cut: positions may lie beyond the ends, as in all of Python's slices."""
        is_number = isinstance(where, int | np.integer) and not isinstance(where, bool)
        return int(where) if is_number else self.position(where)

    def _input_at(self, position: int) -> Any:
        """Return the encoder for the start, else the shape that comes there, None if unknown."""
        if position == 0:
            return self.input
        return final_shape(self._changed(layers=self.layers[:position], output=None))

    def take(self, where: Any) -> Chain:
        """Return the first layers: so many (from the end if negative), or through a name.

        Encoder and decoder stay as for slices, `net[:n]`.

        Raises
        ------
        PathError
            If there are fewer layers, or none of that name.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(a=mn.Linear(3), b=mn.Ramp(), c=mn.Linear(2))
        >>> net.take(1), net.take("b"), net.take(-1)
        (Chain(a=Linear(3)), Chain(a=Linear(3), b=Ramp()), Chain(c=Linear(2)))
        """
        count = self._count(where)
        return self._slice(slice(len(self) + count, None) if count < 0 else slice(0, count))

    def drop(self, where: Any) -> Chain:
        """Return the rest: without so many first layers (last if negative), or from after a name.

        Encoder and decoder stay as for slices, `net[n:]`.

        Raises
        ------
        PathError
            If there are fewer layers, or none of that name.

        Examples
        --------
        >>> import minnet as mn
        >>> net = mn.Chain(a=mn.Linear(3), b=mn.Ramp(), c=mn.Linear(2))
        >>> net.drop(-2), net.drop("b")
        (Chain(a=Linear(3)), Chain(c=Linear(2)))
        """
        count = self._count(where)
        return self._slice(slice(0, len(self) + count) if count < 0 else slice(count, None))

    def _count(self, where: Any) -> int:
        """Return the number of layers meant by a number or a name."""
        if isinstance(where, str):
            return self.position(where) + 1
        if isinstance(where, bool) or not isinstance(where, int | np.integer):
            raise PathError(f"expected a number of layers or a layer's name, got {where!r}")
        count = int(where)
        if abs(count) > len(self):
            raise PathError(f"can't take or drop {count} layers: this net has {len(self)}")
        return count

    def __repr__(self) -> str:
        shown = [
            f"{part.name}={part.renamed(None)!r}" if part.name is not None else repr(part)
            for part in self.layers
        ]
        shown += self._shown_ends()
        one_line = f"Chain({', '.join(shown)})"
        if len(one_line) <= 88 and "\n" not in one_line:
            return one_line
        body = ",\n".join("    " + item.replace("\n", "\n    ") for item in shown)
        return f"Chain(\n{body}\n)"


def _through(parts: Iterable[tuple[str | int, Layer]], x: Any, run: Run) -> Any:
    """Return what comes out of layers one after another."""
    for key, part in parts:
        try:
            x = run(key, part, x)
        except MinnetError as error:
            raise error.inside(key) from None
        except (MemoryError, TypeError) as error:
            raise told(error, key, getattr(part, "layer", part), x) from error.__cause__
    return x


def _checked(parts: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return layers as a tuple if they can stand in a Chain: of one input each, no name twice."""
    names: set[str] = set()
    for i, part in enumerate(parts):
        key = i if part.name is None else part.name
        check_name(part)
        if part.input_count != 1 or (isinstance(part, Structure) and len(part.output_names) > 1):
            raise SpecError(
                f"a Chain takes layers of one input and one output, which {type(part).__name__} "
                "is not: use a Graph",
                (key,),
            )
        if key in names:
            raise SpecError(
                f"two layers are called {key!r}: rename one, "
                f"for example with layer.renamed('{key}_2')"
            )
        if part.name is not None:
            names.add(part.name)
    return tuple(parts)
