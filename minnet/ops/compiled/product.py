"""Products of matrices inside of kernels: by the very BLAS that NumPy uses, called in its place.

A convolution gathers and multiplies, a piece at a time. When each piece comes back to Python for
its product, threads wait for each other there. So where NumPy brings OpenBLAS (as its wheels
do), the kernel calls that itself, and the op is one call that holds no lock. Elsewhere the same
function runs in Python, piece by piece, with its parts compiled and NumPy's own product.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np

from ...backend import Array
from .jit import Function, kernel, numba

__all__ = ["address", "calling_products", "product"]

ROWS, PLAIN, TURNED = 101, 111, 112  # CBLAS's words for rows first, a matrix, its transpose


@functools.cache
def address(dtype: np.dtype[Any]) -> int:
    """Return where the function for products of a dtype is in memory; 0 where none is known.

    That of OpenBLAS with sizes of 64 bits, as it comes with NumPy's wheels.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.product import address
    >>> address(np.dtype(np.float16))
    0
    """
    letter = {"float32": "s", "float64": "d"}.get(dtype.name)
    try:
        # The libraries it is linked with are searched as well.
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
        function = getattr(library, f"scipy_cblas_{letter}gemm64_")
    except (AttributeError, OSError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def calling_products(function: Function) -> Function:
    """Have a function compiled as a kernel if `product` can be called from there."""
    return kernel(function) if address(np.dtype(np.float32)) else function


def product(where: int, a: Array, b: Array, out: Array, adds: bool) -> None:
    """Write the product of two matrices, or add it to what is there.

    Parameters
    ----------
    where
        What `address` gave for their dtype.
    a, b
        Matrices whose rows, or columns, lie side by side.
    out
        What to write to; its rows lie side by side.
    adds
        Whether to add.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.product import product
    >>> out = np.ones((1, 1))
    >>> product(0, np.array([[2.0]]), np.array([[3.0]]), out, True)
    >>> out
    array([[7.]])
    """
    if adds:
        out += a @ b
    else:
        np.matmul(a, b, out=out)


if numba is not None:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic, overload

    @intrinsic
    def _call(typing, where, turns, sizes, one, a, b, keep, out):  # type: ignore[no-untyped-def]
        """Call BLAS's function, given 2, 6 and 1 whole numbers and places in memory."""

        def generate(context, builder, signature, given):  # type: ignore[no-untyped-def]
            word, long, place = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
            real = context.get_value_type(signature.args[3])
            where, turns, sizes, one, a, b, keep, out = given
            first, second = (builder.trunc(builder.extract_value(turns, i), word) for i in (0, 1))
            m, n, k, of_a, of_b, of_out = (builder.extract_value(sizes, i) for i in range(6))
            a, b, out = (builder.inttoptr(number, place) for number in (a, b, out))
            kinds = [word] * 3 + [long] * 3
            kinds += [real, place, long, place, long, real, place, long]
            function = ir.FunctionType(ir.VoidType(), kinds).as_pointer()
            numbers = [word(ROWS), first, second, m, n, k, one, a, of_a, b, of_b, keep, out, of_out]
            builder.call(builder.inttoptr(where, function), numbers)
            return context.get_dummy_value()

        kinds = where, turns, sizes, one, a, b, keep, out
        return types.void(*kinds), generate

    @overload(product)
    def _product(where, a, b, out, adds):  # type: ignore[no-untyped-def]
        def called(where, a, b, out, adds):  # type: ignore[no-untyped-def]
            size = a.itemsize
            # How far apart rows are, or columns, of which BLAS asks even where there is one.
            turn_a, of_a = PLAIN, max(a.strides[0] // size, a.shape[1])
            if a.strides[1] != size:
                turn_a, of_a = TURNED, max(a.strides[1] // size, a.shape[0])
            turn_b, of_b = PLAIN, max(b.strides[0] // size, b.shape[1])
            if b.strides[1] != size:
                turn_b, of_b = TURNED, max(b.strides[1] // size, b.shape[0])
            turns = turn_a, turn_b
            sizes = (a.shape[0], b.shape[1], a.shape[1], of_a, of_b, out.strides[0] // size)
            one, kept = a.dtype.type(1), a.dtype.type(adds)
            _call(where, turns, sizes, one, a.ctypes.data, b.ctypes.data, kept, out.ctypes.data)

        return called
