"""A stand-in for CuPy, for machines without a GPU: NumPy underneath, CuPy's strictness on top.

    with standin.installed() as cupy:
        ...  # `import cupy` gives the stand-in here

It holds only names that CuPy has, refuses NumPy's arrays as CuPy does, never becomes a
NumPy array by itself, keeps track of devices, and counts (see `standin.counts`).
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from typing import Any

from . import blas, functions, graphs, kernels
from . import core as core_names
from . import counts as counted
from . import cuda as cuda_names
from . import random as random_names
from .counts import Counts, Room, counting, counts, launched, refusing

__all__ = [
    "Counts",
    "counting",
    "counts",
    "cupy",
    "install",
    "installed",
    "launched",
    "refusing",
    "reset",
]


BACKENDS = ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs")


def _modules() -> dict[str, Any]:
    """Return CuPy's modules, by name."""
    module = cuda_names.module
    cuda = cuda_names.cuda()
    random = module(
        "cupy.random", **{name: getattr(random_names, name) for name in random_names.NAMES.split()}
    )
    linalg = module("cupy.linalg", **functions.linalg)
    precision = module(
        "cupy._core._routines_linalg",
        **{name: getattr(core_names, name) for name in core_names.NAMES.split()},
    )
    core = module("cupy._core", _routines_linalg=precision)
    tricks = module("cupy.lib.stride_tricks", as_strided=functions.as_strided)
    lib = module("cupy.lib", stride_tricks=tricks)
    top = module(
        "cupy",
        __version__="14.0.0",
        cuda=cuda,
        random=random,
        linalg=linalg,
        _core=core,
        lib=lib,
        get_default_memory_pool=cuda_names.get_default_memory_pool,
        get_default_pinned_memory_pool=cuda_names.get_default_pinned_memory_pool,
        RawKernel=kernels.RawKernel,  # which runs the CUDA source on the host
        **functions.namespace,
    )
    top.__path__ = []
    cuda.__path__ = core.__path__ = []
    cuda.Graph, cuda.using_allocator = graphs.Graph, graphs.using_allocator
    return {
        "cupy": top,
        "cupy.cuda": cuda,
        "cupy.cuda.runtime": cuda.runtime,
        "cupy.cuda.memory": cuda.memory,
        "cupy.random": random,
        "cupy.linalg": linalg,
        "cupy._core": core,
        "cupy._core._routines_linalg": precision,
        "cupy.lib": lib,
        "cupy.lib.stride_tricks": tricks,
        **{name: module(name, __path__=[]) for name in BACKENDS},
        blas.module.__name__: blas.module,
    }


graphs.wrap(functions.namespace, functions.ufunc, kernels.RawKernel, cuda_names.Stream)
MODULES = _modules()
cupy = MODULES["cupy"]


def reset(devices: int = 2, memory: int = 8 << 30) -> None:
    """Forget all that was counted, and have so many devices of so many bytes."""
    gc.collect()
    counted.counts.__init__()  # type: ignore[misc]
    # Arrays that are still there give their memory back to the rooms they had it from.
    counted.rooms[:] = [Room(memory) for _ in range(devices)]
    counted.stack()[:] = [0]


def install(devices: int = 2, memory: int = 8 << 30) -> Any:
    """Put the stand-in in CuPy's place until the process ends."""
    reset(devices, memory)
    sys.modules.update(MODULES)
    return cupy


@contextlib.contextmanager
def installed(devices: int = 2, memory: int = 8 << 30) -> Iterator[Any]:
    """Put the stand-in in CuPy's place for a while."""
    ours = ("cupy", "cupy_backends")
    before = {name: one for name, one in sys.modules.items() if name.split(".")[0] in ours}
    for name in before:
        del sys.modules[name]
    try:
        yield install(devices, memory)
    finally:
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)
