"""The memory of a GPU: how much is used, giving back what is not, and what devices there are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ..errors import DeviceError, SpecError
from .devices import cupy, named, using
from .pool import own_bytes

__all__ = ["Memory", "devices", "free", "memory"]


@dataclass(frozen=True)
class Memory:
    """The memory of a GPU, in bytes.

    Parameters
    ----------
    used
        By the arrays of this process.
    reserved
        Held by this process, for arrays to come as well.
    peak
        The most that was found reserved since `free` was last called: until then a process
        keeps what its arrays have given back.
    total
        Of the device, for all processes together.
    """

    used: int
    reserved: int
    peak: int
    total: int


_peaks: dict[str, int] = {}  # what CuPy gives back itself, when it runs short, is still counted


def memory(device: str = "gpu") -> Memory:
    """Return how much memory of a GPU is in use.

    Parameters
    ----------
    device
        `"gpu"` or, of several, `"gpu:1"`.

    Raises
    ------
    DeviceError
        If there is no such GPU.

    Examples
    --------
    >>> import minnet as mn
    >>> try:
    ...     used = mn.memory("gpu").used
    ... except mn.DeviceError:  # there is no GPU here
    ...     used = 0
    """
    device = _gpu(device)
    module = cupy(device)
    with using(device):
        pool = module.get_default_memory_pool()
        own_used, own_reserved = own_bytes()
        used, reserved = pool.used_bytes() + own_used, pool.total_bytes() + own_reserved
        _peaks[device] = max(reserved, _peaks.get(device, 0))
        return Memory(used, reserved, _peaks[device], module.cuda.Device().mem_info[1])


def free(device: str = "gpu") -> None:
    """Give back to the GPU what no array uses, for other programs.

    Parameters
    ----------
    device
        `"gpu"` or, of several, `"gpu:1"`.

    Raises
    ------
    DeviceError
        If there is no such GPU.

    Examples
    --------
    >>> import minnet as mn
    >>> try:
    ...     mn.free("gpu")
    ... except mn.DeviceError:  # there is no GPU here
    ...     pass
    """
    device = _gpu(device)
    module = cupy(device)
    with using(device):
        module.get_default_memory_pool().free_all_blocks()
        module.get_default_pinned_memory_pool().free_all_blocks()
    _peaks.pop(device, None)


def _gpu(device: str) -> str:
    device = named(device)
    if device == "cpu":
        raise SpecError('this is about the memory of a GPU: expected "gpu" or "gpu:1", got "cpu"')
    return device


# --- what there is ------------------------------------------------------------------------------


def devices() -> list[str]:
    """Return a line for each device that there is, and why there is no GPU if there is none."""
    return [_processor(), *_gpus()]


def _processor() -> str:
    import platform  # here, so that importing minnet stays quick

    cores = os.cpu_count() or 1
    try:
        size = f", {_shown(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))} of memory"
    except (AttributeError, OSError, ValueError):  # not on every system
        size = ""
    return f"cpu    {platform.machine()}, {cores} {'core' if cores == 1 else 'cores'}{size}"


def _gpus() -> list[str]:
    try:
        module = cupy()
    except DeviceError as error:
        return [f"gpu    none: {error}"]
    runtime = module.cuda.runtime
    return [_gpu_line(module, number) for number in range(runtime.getDeviceCount())]


def _gpu_line(module: Any, number: int) -> str:
    runtime, device = module.cuda.runtime, module.cuda.Device(number)
    with device:
        left, total = device.mem_info
    name = runtime.getDeviceProperties(number)["name"].decode()
    capability = ".".join((device.compute_capability[:-1], device.compute_capability[-1]))
    return (
        f"gpu:{number}  {name}, {_shown(left)} free of {_shown(total)} of memory, "
        f"compute capability {capability}, CUDA {_version(runtime.runtimeGetVersion())} "
        f"(driver {_version(runtime.driverGetVersion())}), CuPy {module.__version__}"
    )


def _version(number: int) -> str:
    """Return a version as CUDA counts it: 12090 is 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _shown(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
