"""Running a net as in use: encoding what came, decoding what comes out, looking inside."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .. import ops
from ..autodiff import Tensor
from ..backend import Array, array_module, is_array, is_finite, move
from ..errors import DataError, PathError, ShapeError, SpecError
from ..layers.base import Path
from .inner import tapped
from .parts import parse_path, shape_of
from .place import brought, check_same_device, on
from .threaded import Hands, Work, join, part_of

if TYPE_CHECKING:
    from .base import Net

__all__ = ["Entrance", "call", "encode", "inner_outputs", "tapped"]

# Bytes to keep at most from one call to the next, for each thread that calls nets.
KEPT = 1 << 26


# --- from what came to an array ---------------------------------------------------------


class Entrance(NamedTuple):
    """What an input port takes.

    Parameters
    ----------
    encoder
        What makes arrays of what comes, or None.
    shape
        Of one example; None if unknown.
    dtype
        The net's precision.
    is_whole
        Whether the first layer takes whole numbers.
    """

    encoder: Any
    shape: tuple[int, ...] | None
    dtype: Any
    is_whole: bool

    @classmethod
    def of(cls, end: Any, dtype: Any, is_whole: bool) -> Self:
        """Return what a port takes, given its encoder, its shape or None."""
        shape = shape_of(end)
        encoder = end if hasattr(end, "encode") else None
        return cls(encoder, None if shape is None else tuple(shape), dtype, is_whole)


def encode(net: Net, x: Any, port: str | None = None) -> Array:
    """Return a batch of what the net's encoder takes as the array that its first layer takes.

    Raises a DataError if it holds no example or no numbers, a ShapeError if the
    examples have another shape than the net takes.
    """
    port = net.input_names[0] if port is None else port
    encoder, _, dtype, is_whole = net._entrances[port]
    if encoder is not None:
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinity, and found as such
            x = encoder.encode(x) if dtype == np.float32 else encoder.encode(x, dtype)
    array = _numbers(x)
    _check_batch(net, port, array)
    if is_whole:
        return _whole(array)
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _numbers(x: Any) -> Array:
    """Return an array, or anything that makes one, if it holds numbers."""
    try:
        array: Array = x if is_array(x) else np.asarray(x)
    except ValueError:
        raise DataError("the examples of a batch don't all have the same shape") from None
    if array.dtype.kind not in "buif":
        raise DataError(
            f"the net takes numbers, got an array of {array.dtype}: give it an encoder "
            "(input=...) or convert the data first"
        )
    return array


def _whole(array: Array) -> Array:
    """Return the whole numbers that an Embedding takes as int64."""
    if array.dtype.kind == "f" and not (array % 1 == 0).all():
        raise DataError("the net takes whole numbers (indices), got others")
    return array.astype(np.int64, copy=False)


def _check_batch(net: Net, port: str, batch: Any) -> None:
    """Raise an error if a batch holds no example, or examples of the wrong shape."""
    shape, expected = batch.shape, net._entrances[port].shape
    if shape and shape[0] and (expected is None or shape[1:] == expected):
        return
    where = "" if len(net.input_names) == 1 else f"input {port!r}: "
    if batch.ndim == 0:
        raise ShapeError(f"{where}the net takes a batch of examples, got a single number")
    if len(batch) == 0:
        raise DataError(f"{where}expected at least one example, got none")
    raise ShapeError(
        f"{where}the net takes inputs of shape {expected}, got {shape[1:]} "
        f"(in a batch of shape {shape})"
    )


def by_port(net: Net, x: Any) -> dict[str, Any]:
    """Return what was given for each input."""
    ports = net.input_names
    if not ports:
        raise SpecError("this net takes no input: it is of use inside another net only")
    if isinstance(x, Mapping) and set(x) == set(ports):
        return {port: x[port] for port in ports}
    if len(ports) > 1:
        got = ", ".join(map(str, x)) if isinstance(x, Mapping) else type(x).__name__
        raise DataError(f"this net takes a dict with the inputs {', '.join(ports)}, got {got}")
    return {ports[0]: x}


def prepared(net: Net, given: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return the encoded batch for each input, and whether it is one example made a batch."""
    if any(isinstance(part, Tensor) for part in given.values()):
        check_same_device(net, given)
        for port, part in given.items():
            _check_batch(net, port, part)
        return _unwrapped(given), False
    check_same_device(net, {port: x for port, x in given.items() if is_array(x)})
    batch: dict[str, Array] = {}
    singles: set[bool] = set()
    for port, part in given.items():
        end = net._ends()[port]
        if hasattr(end, "is_example"):
            single = bool(end.is_example(part))
        else:
            part = part if hasattr(end, "encode") else _numbers(part)
            shape = shape_of(end)
            # An empty list is no example of no numbers, but a batch of none.
            single = (
                shape is not None and np.ndim(part) == len(shape) and np.shape(part)[:1] != (0,)
            )
        singles.add(single)
        if single:
            part = part[None] if is_array(part) else [part]
        batch[port] = brought(encode(net, part, port), net)
        _check_finite(batch[port])
    if len(singles) > 1:
        raise DataError("some inputs are single examples and others batches: give all alike")
    return _unwrapped(batch), single


def _unwrapped(parts: Mapping[str, Any]) -> Any:
    """Return the only one of several parts, or all of them."""
    return dict(parts) if len(parts) > 1 else next(iter(parts.values()))


def _check_finite(array: Array) -> None:
    """Raise a DataError if a batch holds NaN or infinity, of which no answer would make sense."""
    if array.dtype.kind != "f" or (isinstance(array, np.ndarray) and is_finite(array)):
        return
    if not (good := array_module(array).isfinite(array)).all():
        example = int(good.reshape(len(array), -1).all(axis=1).argmin())
        raise DataError(f"the input has NaN or infinity in example {example} (counted from 0)")


# --- through the net --------------------------------------------------------------------


def batches(x: Any, size: int) -> Iterator[tuple[Any, int]]:
    """Yield an encoded batch in parts of so many examples at most, with these numbers."""
    counts = {len(part) for part in (x.values() if isinstance(x, Mapping) else (x,))}
    if len(counts) > 1:
        raise DataError(f"every input needs as many examples, got {sorted(counts)}")
    (count,) = counts
    for start in range(0, count, size):
        yield part_of(x, slice(start, start + size)), min(size, count - start)


def call(net: Net, x: Any, give: Any = None) -> Any:
    """Run a net on an example, a batch, a list or what its encoder takes; see `Net.__call__`."""
    given = by_port(net, x)
    with on(net):
        batch, single = prepared(net, given)
        if any(isinstance(part, Tensor) for part in given.values()):
            return net.apply(batch)
        with _hands() as hands:
            if single:  # there is nothing to divide
                return _decoded(net, hands.alone(net.apply, batch), single, give)
            work = Work([net])
            parts = batches(batch, hands.batch_size(work))
            outputs = join([hands.map(net.apply, rows, work) for rows, _ in parts])
        return _decoded(net, outputs, single, give)


@contextlib.contextmanager
def _hands() -> Iterator[Hands]:
    """Lend what this thread calls nets with: its memory serves again in the next call.

    Large calls take longer to get fresh memory than to compute.
    """
    hands = vars(_here).pop("hands", None) or Hands()  # a net may call another inside
    yield hands
    if hands.memory <= KEPT:
        _here.hands = hands


_here = threading.local()


def _decoded(net: Net, outputs: Any, single: bool, give: Any) -> Any:
    if isinstance(outputs, Mapping):
        return {port: _decoded(net, out, single, give) for port, out in outputs.items()}
    if give == "array" or (give is None and net.output is None):
        return outputs[0] if single else outputs
    if net.output is None:
        raise SpecError(f"give={give!r} needs a decoder: make the net with output=...")
    outputs = move(outputs, "cpu")  # answers are for people
    if np.isnan(outputs).any():
        raise DataError("the net's outputs hold NaN, which nothing can be read from")
    decoded = net.output.decode(outputs, give)
    return decoded[0] if single else decoded


# --- looking inside ---------------------------------------------------------------------


def inner_outputs(net: Net, x: Any, at: Any) -> Any:
    """Return the outputs of inner layers; see `Net.outputs`."""
    if not isinstance(at, list):
        return inner_outputs(net, x, [at])[at]
    if any(isinstance(where, list) for where in at):
        raise PathError("a path among several is a tuple, not a list")
    paths = {where: net._canonical(parse_path(where)) for where in at}
    seen: dict[Path, list[Any]] = {path: [] for path in paths.values()}
    watched = tapped(net, seen)
    given = by_port(net, x)
    with on(net):
        batch, single = prepared(net, given)
        if any(isinstance(part, Tensor) for part in given.values()):
            watched.apply(batch)
            return {where: seen[path][0] for where, path in paths.items()}
        parts = batches(batch, Hands().batch_size(Work([net])))
        counts = [count for rows, count in parts if watched.apply(rows) is not None]
        found = {}
        for where, path in paths.items():
            all_ = (_for_all(out, count) for out, count in zip(seen[path], counts, strict=True))
            whole = join(list(all_))
            found[where] = _first(whole) if single else whole
        return found


def _for_all(outputs: Any, count: int) -> Any:
    """Return the outputs of a batch; those of a Constant, which gives one for all, as many."""
    if isinstance(outputs, Mapping):
        return {port: _for_all(out, count) for port, out in outputs.items()}
    return (
        outputs if len(outputs) == count else ops.broadcast_to(outputs, (count, *outputs.shape[1:]))
    )


def _first(outputs: Any) -> Any:
    """Return the first example's outputs."""
    if isinstance(outputs, Mapping):
        return {port: _first(out) for port, out in outputs.items()}
    return outputs[0]
