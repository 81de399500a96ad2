"""Segments: layers of a net that are computed as one, found by sending symbols through it.

A segment takes one thing in and gives one thing out, and in between there is nothing but
convolutions with BatchNorm, sums and ramps: what residual blocks are made of (see `Residual`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import MinnetError
from ..layers import Add, BatchNorm, Ramp
from ..layers.base import Context, Layer, Path
from ..layers.shape import Passed
from .planned import is_plain
from .residual import Residual
from .residual_plan import Branch, Sum
from .structure import Run, Structure

__all__ = ["Segment", "Segments"]

# A layer of a net with its key, and the keys of what it takes.
Step = tuple[Any, Layer, Sequence[Any]]


class Segment(NamedTuple):
    """The keys of layers that are computed as one, in their order, and what computes them."""

    keys: list[Any]
    residual: Residual


class Segments:
    """The segments of a net.

    Parameters
    ----------
    steps
        Its layers in the order of use.
    outputs
        The keys of what comes out.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.net.segments import Segments
    >>> net = mn.Chain(mn.Conv(4, 3), mn.BatchNorm(), mn.Ramp(), mn.Flatten(), input=(8, 8, 1))
    >>> steps = [(key, part, [key - 1]) for key, part in net.initialize().children()]
    >>> [segment.keys for segment in Segments(steps, [3])]
    [[0, 1, 2]]
    """

    def __init__(self, steps: Iterable[Step], outputs: Iterable[Any]) -> None:
        rest, ends = list(steps), list(outputs)
        self._by_first: dict[Any, Segment] = {}
        while rest:
            found = _segment(rest, ends)
            if found is not None:
                self._by_first[found.keys[0]] = found
            rest = rest[1 if found is None else len(found.keys) :]

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._by_first.values())

    def running(self, run: Run, context: Context | None) -> Run:
        """Return what does with each layer what `run` does, but computes segments as one.

        It gives nothing for the layers of a segment but what comes out of the last one.
        """
        if not self._by_first:
            return run
        made: dict[Any, Any] = {}  # by the keys of layers that need not be asked any more

        def go(key: Any, part: Layer, x: Any) -> Any:
            segment = self._by_first.get(key)
            if segment is not None:
                y = segment.residual(x, context)
                if y is not None:
                    made.update(dict.fromkeys(segment.keys))
                    made[segment.keys[-1]] = y
            return made.pop(key) if key in made else run(key, part, x)

        return go


def _segment(steps: Sequence[Step], outputs: Sequence[Any]) -> Segment | None:
    """Return the longest segment that the first steps are, or None."""
    last_uses = {source: at for at, (_, _, taken) in enumerate(steps) for source in taken}
    last_uses |= dict.fromkeys(outputs, len(steps))
    sources = set(steps[0][2])
    if len(sources) != 1:
        return None
    finder, known, best = Finder(), dict[Any, Any](dict.fromkeys(sources, 0)), None
    for at, (key, part, taken) in enumerate(steps):
        try:
            symbols = tuple(known[source] for source in taken)
            one = symbols[0] if part.input_count == 1 else symbols
            known[key] = finder.through(part, (key,), one)
        except (KeyError, MinnetError, UnfitError):
            break
        inner = known.keys() - sources - {key}
        if all(last_uses.get(other, at) <= at for other in inner):
            found = finder.up_to(known[key])
            best = best if found is None else Segment([step[0] for step in steps[: at + 1]], found)
    return best


# --- symbols ----------------------------------------------------------------------------------


class UnfitError(Exception):
    """Something that a segment has no place for."""


class Symbol:
    """What comes out of a convolution, or a sum that may get larger: each is used only once.

    The symbol for a sum that is complete is its number.
    """

    def __init__(self, conv: Any = None, branches: Any = (), sums: Any = ()) -> None:
        self.conv, self.branches, self.sums, self.is_used = conv, branches, sums, False
        self.number: int | None = None  # as a sum that is complete, if something took it so

    def used(self) -> Symbol:
        """Return the symbol, if it was not used."""
        if self.is_used:
            raise UnfitError
        self.is_used = True
        return self


class Finder:
    """Makes branches and sums of the layers that symbols come by."""

    def __init__(self) -> None:
        self._sums, self._branches = [Sum((), (), False)], list[Branch]()

    def through(self, part: Layer, path: Path, x: Any) -> Any:
        """Return the symbol for what comes out of a layer or a net."""
        from .chain import Chain  # here, since they are built on this
        from .graph import Graph

        if isinstance(part, Structure):
            if type(part) not in (Chain, Graph) or len(part.output_names) > 1:
                raise UnfitError
            return part._flow(x, lambda key, inner, y: self.through(inner, (*path, key), y))
        if type(part) is Passed:
            return x
        if not set(part.array_names) <= {*part.arrays_here, "bias"}:
            raise UnfitError
        if is_plain(part):
            return Symbol((part, self._complete(x, False)))
        if type(part) is BatchNorm and isinstance(x, Symbol) and x.conv is not None:
            conv, source = x.used().conv
            self._branches.append(Branch(conv, source, path, part))
            return Symbol(branches=(len(self._branches) - 1,))
        if type(part) is Add:
            return self._added(x)
        if type(part) is Ramp and isinstance(x, Symbol):
            return self._complete(x, True)
        raise UnfitError

    def _added(self, symbols: Sequence[Any]) -> Symbol:
        """Return the symbol for the sum of several."""
        found = Symbol()
        for one in symbols:
            number = one.number if isinstance(one, Symbol) else one
            if number is not None:
                found.sums += (number,)
            elif one.conv is not None:
                raise UnfitError
            else:
                found.branches += one.used().branches
                found.sums += one.sums
        return found

    def _complete(self, x: Any, is_ramp: bool) -> int:
        """Return the number of the sum that a symbol stands for."""
        if not isinstance(x, Symbol):
            return int(x)
        if x.conv is not None:
            raise UnfitError
        if x.number is None or is_ramp:
            self._sums.append(Sum(x.used().branches, x.sums, is_ramp))
            x.number = len(self._sums) - 1
        return x.number

    def up_to(self, x: Any) -> Residual | None:
        """Return what computes all until now, if a symbol can be what comes out of it."""
        sums = list(self._sums)
        if isinstance(x, Symbol) and x.conv is None and not x.is_used:
            sums.append(Sum(x.branches, x.sums, False))
        elif x != len(sums) - 1:
            return None
        return _in_order(sums, self._branches) if self._branches else None


def _in_order(sums: Sequence[Sum], branches: Sequence[Branch]) -> Residual:
    """Return what computes sums and branches, those that take the same sum side by side."""
    order = sorted(range(len(branches)), key=lambda b: branches[b].source)
    new = {b: at for at, b in enumerate(order)}
    renumbered = [one._replace(branches=tuple(new[b] for b in one.branches)) for one in sums]
    return Residual(renumbered, [branches[b] for b in order])
