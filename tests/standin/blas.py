"""The stand-in's cuBLAS: a real library with its C interface, which has NumPy do the products."""

from __future__ import annotations

import ctypes
import functools
import types
from typing import Any

import numpy as np

from . import graphs
from .counts import launch
from .kernels import COMPILER, built

INT, POINTER, SIZE = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t
SOURCE = """
#include <stddef.h>
struct Call {
    void *handle, *stream, *room;
    size_t bytes;
    int turn_a, turn_b, m, n, k;
    const void *alpha, *a; int kind_a, apart_a;
    const void *b; int kind_b, apart_b;
    const void *beta; void *c; int kind_c, apart_c, computing, algorithm;
};
static Call now;
static int (*multiply)(Call*);
extern "C" {
void have(int (*f)(Call*)) { multiply = f; }
int cublasSetStream_v2(void* handle, void* stream) {
    now.handle = handle, now.stream = stream, now.room = 0, now.bytes = 0;
    return 0;
}
int cublasSetWorkspace_v2(void* handle, void* room, size_t bytes) {
    now.room = room, now.bytes = bytes;
    return handle == now.handle && (size_t)room % 16 == 0 ? 0 : 7;
}
int cublasGemmEx(
    void* handle, int turn_a, int turn_b, int m, int n, int k,
    const void* alpha, const void* a, int kind_a, int apart_a,
    const void* b, int kind_b, int apart_b,
    const void* beta, void* c, int kind_c, int apart_c, int computing, int algorithm
) {
    Call call = {
        handle, now.stream, now.room, now.bytes, turn_a, turn_b, m, n, k, alpha, a, kind_a, apart_a,
        b, kind_b, apart_b, beta, c, kind_c, apart_c, computing, algorithm
    };
    return multiply(&call);
}
}
"""


class Call(ctypes.Structure):
    """What cublasGemmEx was given, and what was set before."""

    _fields_ = (
        *((name, POINTER) for name in ("handle", "stream", "room")),
        ("bytes", SIZE),
        *((name, INT) for name in ("turn_a", "turn_b", "m", "n", "k")),
        ("alpha", POINTER), ("a", POINTER), ("kind_a", INT), ("apart_a", INT),
        ("b", POINTER), ("kind_b", INT), ("apart_b", INT),
        ("beta", POINTER), ("c", POINTER), ("kind_c", INT), ("apart_c", INT),
        ("computing", INT), ("algorithm", INT),
    )  # fmt: skip


KINDS = {0: np.dtype("float32"), 1: np.dtype("float64"), 2: np.dtype("float16")}
# What a dtype may be added up in, and the type of the factors then.
COMPUTING = {0: (68, 77), 1: (70,), 2: (68,)}
WRONG = 7  # CUBLAS_STATUS_INVALID_VALUE


def multiply(pointer: Any) -> int:
    """Do a product, and write down how if a stream is captured; what it is given is checked."""
    call = pointer.contents
    kind = call.kind_a
    factor = ctypes.c_double if kind == 1 else ctypes.c_float
    one, zero = (factor.from_address(address).value for address in (call.alpha, call.beta))
    sizes = call.m, call.n, call.k, call.bytes, call.stream or 0
    least = call.k if call.turn_a else call.m, call.n if call.turn_b else call.k, call.m
    apart = call.apart_a, call.apart_b, call.apart_c
    if not (
        kind == call.kind_b == call.kind_c
        and call.computing in COMPUTING[kind]
        and (one, zero) == (1, 0)
        and min(sizes) > 0
        and all(given >= needed for given, needed in zip(apart, least, strict=True))
    ):
        return WRONG
    # Column by column is row by row of the transposed matrix.
    left = _matrix(call.b, call.turn_b, (call.n, call.k), call.apart_b, kind)
    right = _matrix(call.a, call.turn_a, (call.k, call.m), call.apart_a, kind)
    into = _matrix(call.c, 0, (call.n, call.m), call.apart_c, kind)

    def work() -> None:
        with np.errstate(all="ignore"):
            into[...] = left.dot(right)
        launch("dot")

    work()
    calls = graphs.tape()
    if calls is not None:
        calls.append((work, (), {}, None))
    return 0


def _matrix(address: int, turned: int, shape: tuple[int, int], apart: int, kind: int) -> Any:
    """Return the memory of a matrix as an array; `turned` has its columns one after another."""
    dtype = KINDS[kind]
    runs = shape[1] if turned else shape[0]
    count = (runs - 1) * apart + (shape[0] if turned else shape[1])
    memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(address)
    steps = (1, apart) if turned else (apart, 1)
    return np.ndarray(shape, dtype, memory, strides=[step * dtype.itemsize for step in steps])


FUNCTION = ctypes.CFUNCTYPE(INT, ctypes.POINTER(Call))
_multiply = FUNCTION(multiply)


@functools.cache
def _file() -> str:
    """Return the file of the library, which has been built and told who multiplies."""
    if COMPILER is None:
        return "no compiler to build it with"
    file = built(SOURCE, "cublas")
    ctypes.CDLL(file).have(_multiply)
    return file


class Module(types.ModuleType):
    """CuPy's module of cuBLAS, of which nothing is used but its file."""

    @property
    def __file__(self) -> str:  # type: ignore[override]
        return _file()


module = Module("cupy_backends.cuda.libs.cublas")
