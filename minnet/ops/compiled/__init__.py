"""Kernels compiled by Numba, where that is installed; each op asks here whether they can serve it.

NumPy goes over memory once for every call, and threads wait for each other between calls.
A compiled loop goes over it once for all, with no lock held. What these files compute, NumPy
computes as well, only more slowly: the ops do so for small arrays, for dtypes that no kernel
is made for, without Numba, and where the environment variable MINNET_COMPILED is 0.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
from typing import Any

import numpy as np

__all__ = ["FAMILIES", "LEAST", "reason_not", "takes", "takes_pool"]

FAMILIES = (
    "activation", "block", "blocks", "conv", "dense", "loss", "moments", "norm",
    "panels", "pool", "product", "residual", "team", "tile", "winograd",
)  # fmt: skip
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
# Arrays of fewer elements are left to NumPy: programs with small nets never load Numba, unless they
# train a dense one for long.
LEAST = 1 << 11


@functools.cache
def reason_not() -> str | None:
    """Return why kernels are not used here; None if they are.

    Examples
    --------
    >>> from minnet.ops import compiled
    >>> reason = compiled.reason_not()
    >>> reason is None or isinstance(reason, str)
    True
    """
    if os.environ.get("MINNET_COMPILED", "") == "0":
        return "turned off by MINNET_COMPILED=0"
    try:
        importlib.import_module("numba")
    except ModuleNotFoundError as error:
        return "Numba is not installed" if error.name == "numba" else f"Numba: {error}"
    except Exception as error:  # as when it doesn't go with this NumPy
        return f"Numba can't be imported: {error}"
    return None


def takes(*arrays: Any, size: int | None = None) -> bool:
    """Tell whether kernels can work on these arrays: large, in NumPy's memory, of one dtype.

    The first one is looked at for its size, if none is given, such as that of what comes out.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops import compiled
    >>> compiled.takes(np.ones(3, np.float32)), compiled.takes(np.ones(10**5, np.float16))
    (False, False)
    """
    first = arrays[0]
    if type(first) is not np.ndarray or (first.size if size is None else size) < LEAST:
        return False
    dtype = first.dtype
    if dtype not in DTYPES or reason_not() is not None:
        return False
    for array in arrays:  # every op comes by here, several times
        if type(array) is not np.ndarray or (array.dtype is not dtype and array.dtype != dtype):
            return False
    return True


def takes_pool(sweep: Any, *arrays: Any, size: int | None = None) -> bool:
    """Tell the same where a pool's window slides: along one axis or two, its elements in a byte."""
    return takes(*arrays, size=size) and len(sweep.window) <= 2 and math.prod(sweep.window) <= 256


def __getattr__(name: str) -> Any:
    if name in FAMILIES:  # loaded when the first large array comes by
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
