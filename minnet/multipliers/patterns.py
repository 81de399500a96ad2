"""What a pattern names: the arrays of a net that a rule is about."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..backend import Array
from ..errors import SpecError
from ..layers.base import Layer, Path, dotted

__all__ = ["Place", "is_whole", "matcher", "places", "shown_pattern"]


class Part(NamedTuple):
    """One layer on the way from the net down to an array."""

    key: str | int  # its name, or its position if it has none
    position: int
    siblings: int  # how many layers its net has, itself among them
    layer: Layer
    given: Layer  # what stands there in the net that the rules were written for


@dataclass(frozen=True, eq=False)
class Place:
    """Where an array stands in a net; a layer without arrays has one nameless place.

    Parameters
    ----------
    net
        The net.
    parts
        The layers from the net (left out) down to the one that has the array.
    name
        The array's name in that layer, None for a layer that has no arrays.
    """

    net: Layer
    parts: tuple[Part, ...]
    name: str | None

    @property
    def layer(self) -> Layer:
        """The layer that has the array."""
        return self.parts[-1].layer if self.parts else self.net

    @cached_property
    def path(self) -> Path:
        """The path of the array, or of the layer if it has none."""
        keys = tuple(part.key for part in self.parts)
        return keys if self.name is None else (*keys, self.name)

    @property
    def array(self) -> Array | None:
        """The array itself, None where there is none or it is not initialized yet."""
        return None if self.name is None else self.layer.arrays_here.get(self.name)

    @property
    def is_state(self) -> bool:
        """Whether it is one that training never differentiates."""
        return self.name in self.layer.state_names

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The dotted path of the array and of each layer above it, in all their spellings.

        A layer's position will do for its name, at every level.
        """
        ways = [dict.fromkeys((str(part.key), str(part.position))) for part in self.parts]
        if self.name is not None:
            ways.append({self.name: None})
        spelled: list[str] = []
        heads = [""]
        for way in ways:
            heads = [f"{head}.{word}" if head else word for head in heads for word in way]
            spelled += heads
        return tuple(spelled)


def places(net: Layer, given: Layer, parts: tuple[Part, ...] = ()) -> Iterator[Place]:
    """Yield the places of a net in its order; `given` is as for `resolve`."""
    inner, known = (parts[-1].layer, parts[-1].given) if parts else (net, given)
    children = inner.children()
    if len(children) != len(known.children()):
        raise SpecError("`given` must have the same structure as the net itself")
    pairs = zip(children, known.children(), strict=True)
    for position, ((key, child), (_, before)) in enumerate(pairs):
        part = Part(key, position, len(children), child, before)
        yield from places(net, given, (*parts, part))
    if not children:
        for name in inner.own_names() or (None,):
            yield Place(net, parts, name)


Matcher: TypeAlias = Callable[[Place], bool]


def matcher(pattern: Any) -> Matcher:
    """Return the function that tells whether `pattern` names what stands at a place.

    Raises
    ------
    SpecError
        If it is no pattern.
    """
    if pattern is ...:
        return lambda place: True
    if is_whole(pattern):
        return lambda place: bool(place.parts) and _at(pattern, place.parts[0])
    if isinstance(pattern, str):
        fits = re.compile(fnmatch.translate(pattern)).match
        return lambda place: any(map(fits, place.spellings))
    if isinstance(pattern, tuple):
        return _path_matcher(pattern)
    if isinstance(pattern, slice | range):
        return _span_matcher(pattern)
    if isinstance(pattern, type):
        return _type_matcher(pattern)
    if isinstance(pattern, Layer):
        return lambda place: any(
            part.layer is pattern or part.given is pattern for part in place.parts
        )
    if callable(pattern):
        return lambda place: (
            place.name is not None and bool(pattern(place.path, place.layer, place.array))
        )
    raise SpecError(
        f"{pattern!r} is no pattern: a rule names arrays by a position, a name with or without "
        "wildcards, a path, a slice or range, a layer class, a layer, a function of "
        "(path, layer, array), or ... for everything"
    )


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number (True and False are not)."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _at(position: int, part: Part) -> bool:
    """Tell whether a position, from the start or the end, is that of `part`."""
    return position in (part.position, part.position - part.siblings)


def _layers(place: Place) -> list[Layer]:
    """Return the layers around an array; the net itself only where it is a lone layer."""
    return [part.layer for part in place.parts] or [place.net]


def _path_matcher(pattern: tuple[Any, ...]) -> Matcher:
    if not all(isinstance(part, str) or is_whole(part) for part in pattern):
        raise SpecError(
            f"a path is made of names and positions, got {pattern!r}; for example "
            '("encoder", 2, "weight")'
        )

    def fits(wanted: str | int, part: Part) -> bool:
        if not isinstance(wanted, str):
            return _at(wanted, part)
        return any(fnmatch.fnmatchcase(str(word), wanted) for word in (part.key, part.position))

    def matches(place: Place) -> bool:
        beyond = pattern[len(place.parts) :]
        if beyond and not (
            len(beyond) == 1
            and isinstance(beyond[0], str)
            and place.name is not None
            and fnmatch.fnmatchcase(place.name, beyond[0])
        ):
            return False
        return all(map(fits, pattern, place.parts))

    return matches


def _span_matcher(pattern: slice | range) -> Matcher:
    if isinstance(pattern, slice):
        ends = (pattern.start, pattern.stop, pattern.step)
        if pattern.step == 0 or not all(end is None or is_whole(end) for end in ends):
            raise SpecError(f"a slice of layers has whole numbers for ends, got {pattern!r}")

    def matches(place: Place) -> bool:
        if not place.parts:
            return False
        part = place.parts[0]
        if isinstance(pattern, slice):
            return part.position in range(*pattern.indices(part.siblings))
        return part.position in pattern or part.position - part.siblings in pattern

    return matches


def _type_matcher(pattern: type) -> Matcher:
    if not issubclass(pattern, Layer):
        raise SpecError(f"{pattern.__name__} is no class of layers, so it can't name any")
    return lambda place: any(isinstance(layer, pattern) for layer in _layers(place))


def shown_pattern(pattern: Any) -> str:
    """Return a pattern as its user would write it, shortened."""
    if pattern is ...:
        return "..."
    if isinstance(pattern, str):
        return f'"{pattern}"'
    if isinstance(pattern, tuple):
        return f'"{dotted(pattern)}"' if pattern else "()"
    if isinstance(pattern, slice) and pattern.step is None:
        return f"slice({pattern.start}, {pattern.stop})"
    if isinstance(pattern, type) or (callable(pattern) and not isinstance(pattern, Layer)):
        return str(getattr(pattern, "__name__", pattern))
    text = repr(pattern)
    return text if len(text) <= 60 else text[:57] + "..."
