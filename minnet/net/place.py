"""Where a net is: on the CPU or a GPU, moved from one to the other, and never on both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..autodiff import value
from ..backend import device_of, is_array, move, named, using
from ..backend.devices import explained
from ..errors import DeviceError, MinnetError
from ..layers.base import Layer, Path, dotted, walk

if TYPE_CHECKING:
    from .arrays import Arrays

__all__ = ["brought", "check_same_device", "moved", "on", "place_of", "returned", "told"]

AnyNet = TypeVar("AnyNet", bound="Arrays")


def place_of(net: Layer) -> str | None:
    """Return the device that a net's arrays are on; None if it has no arrays.

    Raises
    ------
    DeviceError
        If they are on several.
    """
    first, place = "", None
    for path, part in walk(net):
        for name, array in part.arrays_here.items():
            here = device_of(value(array))
            if place is None:
                first, place = dotted((*path, name)), here
            elif here != place:
                raise DeviceError(
                    f"a net is on one device, but {first} is on the {place} and "
                    f"{dotted((*path, name))} on the {here}: net.to({place!r}) brings all there"
                )
    return place


def moved(net: AnyNet, device: Any) -> AnyNet:
    """Return the net on a device; the same object if it is there."""
    device = named(device)
    away = {path: a for path, a in net.arrays().items() if device_of(value(a)) != device}
    there = {}
    for path, array in away.items():
        try:
            there[path] = move(value(array), device)
        except MinnetError as error:
            error.path = path
            raise
    return net.with_arrays(there) if there else net


def returned(
    net: AnyNet, begun: Arrays, given: AnyNet, known: dict[Path, tuple[Any, Any]]
) -> AnyNet:
    """Return a net that came of `begun` on the device of `given`, of which `begun` is a copy.

    Its arrays that are still those of `begun` are the very ones of `given`, and those that
    are as they were the last time, which `known` tells, the ones of then.
    """
    if begun is given:
        return net
    before = begun.arrays()
    changed = {path: a for path, a in net.arrays().items() if a is not before.get(path)}
    place = place_of(given) or "cpu"
    for path, array in changed.items():
        if path not in known or known[path][0] is not array:
            known[path] = array, move(array, place)
    return given.with_arrays({path: known[path][1] for path in changed})


def check_same_device(net: Any, given: Any) -> None:
    """Raise a DeviceError if an array to be sent through a net is on another device than it."""
    place = net._place
    for array in map(value, given.values() if isinstance(given, Mapping) else (given,)):
        if place is not None and is_array(array) and device_of(array) != place:
            raise DeviceError(_mixed("the net's arrays are", place, device_of(array)))


def brought(array: Any, net: Any) -> Any:
    """Return an array that an encoder or list gave where the net is."""
    return array if net._place is None else move(array, net._place)


def _mixed(whose: str, place: str, here: str) -> str:
    return (
        f"{whose} on the {place}, the input is on the {here}, and neither moves by itself: "
        f"net.to({here!r}), or minnet.backend.move(x, {place!r}), brings both to one device"
    )


def told(error: Exception, key: str | int, part: Layer, given: Any) -> Exception:
    """Return what to raise for an error of NumPy's or CuPy's in a layer called `key`.

    That is one in minnet's words, with the layer's path, if it is about devices: a GPU is
    full, or the layer's arrays are not where its input is.
    """
    if isinstance(error, MemoryError):
        found = explained(error)
        return found.inside(key) if isinstance(found, MinnetError) else found
    try:
        place = place_of(part)
    except DeviceError as mixed:
        return mixed.inside(key)
    for array in map(value, given if isinstance(given, tuple) else (given,)):
        if place is not None and is_array(array) and device_of(array) != place:
            return DeviceError(_mixed("its arrays are", place, device_of(array)), (key,))
    return error


def on(net: Any) -> Any:
    """Return what makes a net's device the one that CuPy works on, for a `with` statement."""
    return using(net._place or "cpu")
