"""Whether the layers of a net fit each other, their arrays and the decoder; sizes left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError, SpecError
from ..layers import Flatten, Linear, Reshape, Transpose
from ..layers.base import Layer
from .parts import is_known, shortened

if TYPE_CHECKING:
    from .structure import Structure

__all__ = ["check_fit", "check_input", "final_shape", "only_moves", "sized"]


def final_shape(net: Structure) -> Any:
    """Return the shape of one output; None where it can't be known yet.

    Raises a ShapeError if layers don't fit each other or their arrays.
    """
    if not is_known(net.input_shape):
        return None
    try:
        return _checked(net, net.input_shape)
    except ShapeError:
        raise
    except SpecError:
        return None  # the size of a Linear() or the array of a Constant is missing


def _checked(net: Structure, shape: Any) -> Any:
    """Check all arrays there are; return the shape that comes out for inputs of `shape`."""

    def run(key: str | int, part: Layer, taken: Any) -> Any:
        if part.children():
            return _checked(part, taken)  # type: ignore[arg-type]  # only nets have children
        part.check_arrays(taken)
        return part.output_shape(taken)

    check_input(net, shape)
    return net._flow(shape, run)


def check_input(net: Structure, shape: Any) -> None:
    """Raise a ShapeError if the net is known to take inputs of another shape."""
    known = net.input_shape
    for port, given in net._by_port(shape).items():
        expected = known[port] if isinstance(known, Mapping) else known
        if expected is not None and given is not None and tuple(expected) != tuple(given):
            where = "" if len(net.input_names) == 1 else f"input {port!r}: "
            raise ShapeError(f"{where}the net takes inputs of shape {expected}, got {given}")


def check_fit(net: Structure) -> None:
    """Raise a ShapeError if layers, arrays or the decoder are known not to fit."""
    final = final_shape(net)
    if final is not None and net.output is not None and not net.output.fits(final):
        raise ShapeError(
            f"the net gives outputs of shape {final}, which don't fit {shortened(net.output)}: "
            "the last Linear() gets its size from the decoder when it is given none"
        )


def sized(part: Layer, size: int) -> Layer | None:
    """Return a layer with its last `Linear()`, if that has no size yet, given one.

    None says that there is nothing in it that could decide the size of what comes
    out, so that the last Linear() must be before it.
    """
    if part.children():
        return part._sized(size)  # type: ignore[attr-defined,no-any-return]
    if isinstance(part, Linear):
        return part if part.size is not None else part.with_options(size=size)
    return part if part.own_names() else None


def only_moves(part: Layer) -> bool:
    """Tell whether a layer moves numbers without changing any, so that whole ones stay whole."""
    return isinstance(part, Flatten | Reshape | Transpose)
