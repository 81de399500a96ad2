"""Devices: where an array is, bringing it elsewhere, and why a GPU can't be used.

A device is named "cpu", or "gpu:0" and so on. Arrays never move by themselves. CuPy is
imported when a GPU is asked for by name, and not before.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import numpy as np

from ..errors import DeviceError, DeviceMemoryError, SpecError
from .arrays import Array, is_array, kept

__all__ = ["cupy", "device_of", "explained", "move", "named", "present", "using"]


def named(device: Any) -> str:
    """Return the full name of a device, or raise a SpecError if it isn't one.

    Examples
    --------
    >>> from minnet.backend import named
    >>> named("cpu"), named("gpu"), named("gpu:1")
    ('cpu', 'gpu:0', 'gpu:1')
    """
    if isinstance(device, str):
        kind, colon, number = device.partition(":")
        if device == "cpu":
            return device
        if kind == "gpu" and (number.isdecimal() if colon else True):
            return f"gpu:{int(number or 0)}"
    raise SpecError(f'a device is "cpu", "gpu" or, of several, "gpu:1", got {device!r}')


def device_of(array: Any) -> str:
    """Return the name of the device that an array is on; numbers and lists are on the CPU.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.backend import device_of
    >>> device_of(np.ones(3))
    'cpu'
    """
    if isinstance(array, np.ndarray) or not is_array(array):
        return "cpu"
    return f"gpu:{array.device.id}"


def cupy(device: str = "gpu:0") -> Any:
    """Return CuPy, if there is that GPU; else raise a DeviceError that says what is missing."""
    try:
        import cupy as module
    except ImportError as error:
        raise DeviceError(
            f"a GPU is used through CuPy, which can't be imported here ({error}): "
            "pip install 'minnet[gpu-cuda12]', or [gpu-cuda13] for CUDA 13"
        ) from None
    try:
        count = module.cuda.runtime.getDeviceCount()
    except Exception as error:  # of CUDA's own; without a driver CuPy has no class for it
        raise DeviceError(
            f"there is no GPU here that CuPy {module.__version__} can use: {error}"
        ) from None
    if int(device.partition(":")[2]) >= count:
        raise DeviceError(f"there is no {device} here: there are {count}, counted from gpu:0")
    return module


def present(device: Any) -> str:
    """Return the full name of a device that is there, or raise a DeviceError if it isn't."""
    device = named(device)
    if device != "cpu":
        cupy(device)
    found: str = device
    return found


def using(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return what makes a device the one that CuPy works on, for a `with` statement."""
    if device == "cpu":
        return contextlib.nullcontext()
    module = sys.modules.get("cupy") or cupy(device)
    there: contextlib.AbstractContextManager[Any] = module.cuda.Device(int(device[4:]))
    return there


def move(array: Any, device: str) -> Array:
    """Return an array on a device: itself if it is there, else a copy.

    Parameters
    ----------
    array
        Of NumPy or CuPy.
    device
        `"cpu"`, `"gpu"` or `"gpu:1"`.

    Raises
    ------
    DeviceError
        If there is no such device.
    DeviceMemoryError
        If it has no room.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.backend import move
    >>> array = np.ones(3)
    >>> move(array, "cpu") is array
    True
    """
    if device == "cpu" and isinstance(array, np.ndarray):
        return array  # at once: every small step comes by here
    device = named(device)
    here = device_of(array)
    if here == device:
        found: Array = array
        return found
    if device == "cpu":
        with using(here):
            found = array.get(order="A")  # as it lies in memory
        found.flags.writeable = False
        return found
    module = cupy(device)
    with using(device):
        try:
            return kept(module.asarray(array))
        except module.cuda.memory.OutOfMemoryError as error:
            raise explained(error) from None


def explained(error: MemoryError) -> MemoryError:
    """Return an error that says in minnet's words that a GPU is full; others as they are."""
    if isinstance(error, DeviceMemoryError) or not is_of_cupy(error):
        return error
    found = DeviceMemoryError(f"the GPU is full: {error}")
    found.__cause__ = error
    return found


def is_of_cupy(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] == "cupy"
