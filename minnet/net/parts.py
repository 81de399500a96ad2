"""Small things that nets are described with: paths, what stands at their ends, steps of a trace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import positive
from ..errors import PathError, SpecError
from ..layers.base import Layer, Path

__all__ = [
    "Step",
    "check_name",
    "checked_input",
    "checked_output",
    "checked_shape",
    "is_known",
    "parse_path",
    "parse_shape",
    "shape_of",
]

POSITION = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class Step:
    """One layer of a net as inputs pass through it, with the shapes of its examples."""

    key: str | int
    layer: Layer
    input_shape: Any
    output_shape: Any


# --- places -----------------------------------------------------------------------------


def parse_path(where: Any) -> Path:
    """Return the path meant by a position, a dotted name, or a sequence of these.

    Raises
    ------
    PathError
        If it is none of them, or empty.

    Examples
    --------
    >>> parse_path("encoder.0.weight")
    ('encoder', 0, 'weight')
    >>> parse_path(("encoder.0", -1))
    ('encoder', 0, -1)
    """
    if isinstance(where, str):
        return tuple(int(p) if POSITION.fullmatch(p) else p for p in where.split("."))
    if isinstance(where, int | np.integer) and not isinstance(where, bool):
        return (int(where),)
    if isinstance(where, tuple | list) and where:
        return tuple(part for item in where for part in parse_path(item))
    raise PathError(f"a place in a net is a name, a position or a path, got {where!r}")


def check_name(part: Layer) -> None:
    """Raise a SpecError if a layer's name could be taken for a position in a path."""
    if part.name is not None and POSITION.fullmatch(part.name):
        raise SpecError(f"a layer in a net can't be called {part.name!r}: that is a position")


# --- ends -------------------------------------------------------------------------------


def checked_input(end: Any) -> Any:
    """Return what `input=` may be: an encoder, None, or the shape of one example as a tuple."""
    if end is None or (_has(end, "encode") and not _has(end, "decode")):
        return end
    return checked_shape(end)


def _has(end: Any, method: str) -> bool:
    """Tell whether an object (not a class or a string) has a method."""
    return hasattr(end, method) and not isinstance(end, type | str)


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Return the shape of one example as a tuple of whole numbers; one number is a vector's."""
    is_number = isinstance(shape, int | np.integer)
    try:
        if not is_number and not isinstance(shape, tuple | list):
            raise SpecError("not a shape")
        return tuple(positive(n, "a side") for n in ((shape,) if is_number else shape))
    except SpecError:
        raise SpecError(
            "the input is described by an encoder or the shape of one example, a tuple of "
            f"positive whole numbers, got {shape!r}"
        ) from None


def parse_shape(shape: Any) -> Any:
    """Return a shape, or shapes by port, as tuples of whole numbers."""
    if isinstance(shape, Mapping):
        return {port: checked_shape(part) for port, part in shape.items()}
    return checked_shape(shape)


def checked_output(end: Any) -> Any:
    """Return what `output=` may be: a decoder or None."""
    if end is None or (_has(end, "decode") and _has(end, "fits")):
        return end
    raise SpecError(
        f"output= takes a decoder, such as minnet.ClassDecoder(labels), got {shortened(end)}"
    )


def shape_of(end: Any) -> Any:
    """Return the shape of one example that an encoder gives or a shape says; None if unknown."""
    return getattr(end, "shape", None) if hasattr(end, "encode") else end


def is_known(shape: Any) -> bool:
    """Tell whether a shape, or each of several by port, is known."""
    return None not in (shape.values() if isinstance(shape, Mapping) else (shape,))


def shortened(thing: Any) -> str:
    """Return the repr of something, without the middle if it is long."""
    text = repr(thing)
    return text if len(text) <= 60 else f"{text[:40]} ... {text[-16:]}"
