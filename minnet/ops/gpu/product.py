"""Products of matrices on a GPU: CuPy's, but where launches are recorded cuBLAS called directly.

CuPy calls cuBLAS for every product, and refuses to while a stream is captured. cuBLAS itself
has no objection, if it needn't look for memory meanwhile, so there it is called by its C
interface: the very library, and the very handle, that CuPy uses.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ...backend import Array, array_module

__all__ = ["Blas", "dot", "matmul"]

_here = threading.local()  # whether this thread records


def dot(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the product of two matrices, in `out` if it is given."""
    blas = getattr(_here, "blas", None)
    if blas is None or not (a.size and b.size) or a.dtype != b.dtype:
        return a.dot(b) if out is None else a.dot(b, out=out)
    if out is None:
        out = array_module(a).empty((a.shape[0], b.shape[1]), a.dtype)
    blas.multiply(a, b, out)
    return out


def matmul(a: Array, b: Array) -> Array:
    """Return the product of two matrices, or of each of several with each of as many."""
    if a.ndim == 2:
        return dot(a, b)
    if getattr(_here, "blas", None) is None:
        return a @ b
    out: Array = array_module(a).empty((len(a), a.shape[1], b.shape[2]), a.dtype)
    for i in range(len(a)):
        dot(a[i], b[i], out[i])
    return out


class Kind(NamedTuple):
    """What cuBLAS calls a dtype, what it is to add up in, and the type of a factor."""

    dtype: int
    computing: int
    factor: Any


KINDS = {
    "float16": Kind(2, 68, ctypes.c_float),
    "float32": Kind(0, 68, ctypes.c_float),
    "float64": Kind(1, 70, ctypes.c_double),
}
TF32 = 77  # what float32 is added up in, if its factors may be rounded
DEFAULT = -1  # the algorithm that cuBLAS chooses
POINTER, INT = ctypes.c_void_p, ctypes.c_int
# Of cublasGemmEx: each matrix as its address, its dtype and how far apart its rows are.
MATRIX = (POINTER, INT, INT)
ARGUMENTS = (POINTER, *(INT,) * 5, POINTER, *MATRIX, *MATRIX, POINTER, *MATRIX, INT, INT)
# What NVIDIA recommends, from compute capability 9 on and before.
ROOM, LESS_ROOM = 32 << 20, 8 << 20


class Blas:
    """cuBLAS for the products of what is recorded on a stream, with memory to work in.

    It is found through CuPy's own module, which is linked with it.
    """

    def __init__(self, module: Any, stream: Any) -> None:
        from cupy_backends.cuda.libs import cublas

        self._library = ctypes.CDLL(cublas.__file__)
        self._library.cublasSetStream_v2.argtypes = (POINTER, POINTER)
        self._library.cublasSetWorkspace_v2.argtypes = (POINTER, POINTER, ctypes.c_size_t)
        self._library.cublasGemmEx.argtypes = ARGUMENTS
        device = module.cuda.Device()
        size = ROOM if int(device.compute_capability) >= 90 else LESS_ROOM
        self._room = module.empty(size, np.uint8)
        self._device, self._stream = device, stream

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Have the products of this thread computed, or recorded, on the stream for a while."""
        self._handle = self._device.cublas_handle
        # CuPy sets the stream anew at each of its own calls, which takes the memory away again.
        _check(self._library.cublasSetStream_v2(self._handle, self._stream.ptr))
        room = self._room.data.ptr, self._room.nbytes
        _check(self._library.cublasSetWorkspace_v2(self._handle, *room))
        _here.blas = self
        try:
            yield
        finally:
            _here.blas = None

    def multiply(self, a: Any, b: Any, out: Any) -> None:
        """Write the product of two matrices to `out`, whose rows lie one after another.

        cuBLAS has its matrices column by column: what is row by row is to it the transposed
        matrix. So it is asked for the transposed product, which is b's times a's.
        """
        kind = KINDS[a.dtype.name]
        computing = TF32 if a.dtype == np.float32 and _is_tf32() else kind.computing
        one, zero = kind.factor(1), kind.factor(0)
        (a, a_turned, a_apart), (b, b_turned, b_apart) = _laid(a), _laid(b)
        _check(
            self._library.cublasGemmEx(
                self._handle, b_turned, a_turned, out.shape[1], *a.shape, ctypes.addressof(one),
                b.data.ptr, kind.dtype, b_apart, a.data.ptr, kind.dtype, a_apart,
                ctypes.addressof(zero), out.data.ptr, kind.dtype, out.shape[1],
                computing, DEFAULT,
            )
        )  # fmt: skip


def _laid(a: Any) -> tuple[Any, int, int]:
    """Return a matrix as it can be taken, if its columns lie there one by one, how far apart."""
    rows, columns = a.shape
    down, across = (step // a.itemsize for step in a.strides)
    if across == 1 and down >= columns:
        return a, 0, down
    if down == 1 and across >= rows:
        return a, 1, across
    return array_module(a).ascontiguousarray(a), 0, columns


def _is_tf32() -> bool:
    from cupy._core import _routines_linalg as setting

    return bool(setting.get_compute_type(np.float32) == setting.COMPUTE_TYPE_TF32)


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"cuBLAS returned the status {status}")
