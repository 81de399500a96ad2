"""The kernels for a GPU, one family of ops a file; each op asks here whether they can serve it.

What these files compute, an op can also compute with the array module alone, only more
slowly: it does so for the dtypes and numbers of axes that no kernel is made for.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ...backend import is_array

__all__ = ["FAMILIES", "takes", "takes_channels", "takes_windows"]

FAMILIES = ("activation", "finite", "index", "loss", "norm", "pool", "product", "random", "windows")
DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.float16))


def takes(*arrays: Any) -> bool:
    """Tell whether kernels can work on these arrays: all on a GPU, of one dtype they know.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops import gpu
    >>> gpu.takes(np.ones(3, np.float32))
    False
    """
    first = arrays[0]
    if isinstance(first, np.ndarray) or not is_array(first):
        return False
    return first.dtype in DTYPES and all(
        type(array) is type(first) and array.dtype == first.dtype for array in arrays[1:]
    )


def takes_windows(sweep: Any, *arrays: Any) -> bool:
    """Tell the same where a window slides over the arrays, which it can along one axis or two."""
    return takes(*arrays) and len(sweep.window) <= 2


def takes_channels(a: Any, *channels: Any) -> bool:
    """Tell whether kernels can normalize `a` by numbers for its channels.

    Those of a batch in float16 are in float32.
    """
    if not takes(a) or not takes(*channels):
        return False
    half: bool = a.dtype == np.float16
    return bool(channels[0].dtype == (np.float32 if half else a.dtype))


def __getattr__(name: str) -> Any:
    if name in FAMILIES:  # loaded when the first array on a GPU comes by
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
