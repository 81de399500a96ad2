"""The stand-in's CUDA graphs: calls written down while they are made, to be made once more."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import array as arrays
from . import counts as counted
from .counts import launch

_here = threading.local()


# CuPy has cuBLAS do these, and doesn't let it while a stream is captured.
BY_CUBLAS = {"dot", "einsum", "inner", "matmul", "outer", "tensordot", "vdot"}


def tape() -> list[Any] | None:
    """Return where calls are written down; None if nobody captures them."""
    return getattr(_here, "tape", None)


def recorded(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is written down when it is called, if calls are captured."""
    name = getattr(call, "__name__", "")

    @functools.wraps(call)
    def function(*args: Any, **kwargs: Any) -> Any:
        calls = tape()
        if calls is None:
            return call(*args, **kwargs)
        if name in BY_CUBLAS:
            raise NotImplementedError(
                "calling cuBLAS API during stream capture is currently unsupported"
            )
        _here.tape = None  # what it calls itself is part of it
        before = counted.counts.copy()
        try:
            found = call(*args, **kwargs)
        finally:
            _here.tape = calls
        happened = counted.counts - before
        if happened.waits or happened.to_host or happened.to_device:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: the host waits, or sends data")
        if happened.launches:
            calls.append((call, args, kwargs, found))
        return found

    return function


class Graph:
    """Calls that were captured."""

    __module__ = "cupy.cuda"

    def __init__(self, calls: list[Any]) -> None:
        self._calls = calls

    def launch(self, stream: Any = None) -> None:
        """Make the calls again, in one launch; each writes where it wrote the first time."""
        before, watching = counted.counts.copy(), counted.watching
        counted.watching = False
        for call, args, kwargs, found in self._calls:
            overwrite(found, call(*args, **kwargs))
        counted.counts.__init__(**vars(before))  # type: ignore[misc]
        counted.watching = watching
        launch("graph")


def overwrite(old: Any, new: Any) -> None:
    if isinstance(old, list | tuple):
        for one, other in zip(old, new, strict=True):
            overwrite(one, other)
    elif isinstance(old, arrays.ndarray) and not np.shares_memory(old._host, new._host):
        old._host[...] = new._host


def begin_capture(self: Any, mode: Any = None) -> None:
    """Write down what is called from here on."""
    if self.ptr == 0:
        raise RuntimeError("cudaErrorStreamCaptureUnsupported: not on the default stream")
    _here.tape = []


def end_capture(self: Any) -> Graph:
    """Return what was called since `begin_capture`."""
    calls, _here.tape = tape(), None
    assert calls is not None
    return Graph(calls)


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    """Have arrays take their memory from there, which here makes no difference."""
    yield


METHODS = """
    copy astype fill get set item tolist tobytes __getitem__ __setitem__ __float__ __int__ __bool__
"""


def wrap(namespace: dict[str, Any], ufunc: Any, kernel: Any, stream: Any) -> None:
    """Have all that works on arrays written down while a stream is captured."""
    stream.begin_capture, stream.end_capture = begin_capture, end_capture
    for name, one in namespace.items():
        if callable(one) and not isinstance(one, type) and not isinstance(one, ufunc):
            namespace[name] = recorded(one)
    ufunc.__call__ = recorded(ufunc.__call__)
    ufunc.at = recorded(ufunc.at)
    kernel.__call__ = recorded(kernel.__call__)
    for name in (*METHODS.split(), *arrays.METHODS.split()):
        setattr(arrays.ndarray, name, recorded(getattr(arrays.ndarray, name)))
