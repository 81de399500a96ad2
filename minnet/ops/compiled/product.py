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
from .jit import Function, array_at, kernel, numba, unsigned
from .team import Turn, end, give_word, parts, share, share_of

__all__ = [
    "PLAIN",
    "TURNED",
    "address",
    "calling_products",
    "finish",
    "multiplied",
    "part_of_product",
    "product",
    "product_at",
    "product_time",
]

ROWS, PLAIN, TURNED = 101, 111, 112  # CBLAS's words for rows first, a matrix, its transpose
# What a product takes on a common processor, in microseconds: to multiply two numbers, to read
# one, to write one.
MULTIPLY, READ, WRITE = 1e-5, 6e-5, 3e-4
# Rows or columns of a product that are not parted: as many as BLAS works on at a time.
TOGETHER = 16


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


def multiplied(
    a: Array, b: Array, out: Array, bias: Array | None = None, is_ramp: bool = False
) -> None:
    """Write the product of two matrices, shared by the threads that there are for it.

    Parameters
    ----------
    a, b, out
        The matrices.
    bias
        What to add to each row of the product.
    is_ramp
        Whether to put 0 in place of what is negative then.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.compiled.product import multiplied
    >>> out = np.empty((1, 1))
    >>> multiplied(np.array([[2.0, 3.0]]), np.array([[1.0], [10.0]]), out)
    >>> out
    array([[32.]])
    """
    where = address(out.dtype)
    (m, k), n = a.shape, b.shape[1]
    count = parts(product_time(m, n, k)) if where else 1
    if count == 1 or not (_is_dense(a) and _is_dense(b) and out.flags.c_contiguous):
        a.dot(b, out)
        if bias is not None:
            out += bias
        if is_ramp:
            np.maximum(out, 0, out=out)
        return
    (turn_a, of_a), (turn_b, of_b) = _turn(a), _turn(b)
    how = (turn_a, turn_b), (m, n, k, of_a, of_b)
    places = a.ctypes.data, b.ctypes.data, out.ctypes.data
    row = np.empty(0, out.dtype) if bias is None else bias
    share(count, _some, where, *how, places, row, is_ramp)


def product_time(m: int, n: int, k: int) -> float:
    """Return how long a product takes one thread, in microseconds, about."""
    return MULTIPLY * m * n * k + READ * k * (m + n) + WRITE * m * n


def _is_dense(a: Array) -> bool:
    return a.flags.c_contiguous or a.flags.f_contiguous


def _turn(a: Array) -> tuple[int, int]:
    """Return how a matrix is turned, and how far its rows are apart, or its columns."""
    if a.flags.c_contiguous:
        return PLAIN, a.shape[1]
    return TURNED, a.shape[0]


def product_at(
    where: int,
    like: Array,
    turns: tuple[int, int],
    sizes: tuple[int, int, int, int, int, int],
    places: tuple[int, int, int],
) -> None:
    """Write the product of matrices at places in memory.

    Parameters
    ----------
    where
        What `address` gave for their dtype.
    like
        An array of that dtype.
    turns
        Whether each of the two is there as it is (`PLAIN`) or its transpose (`TURNED`).
    sizes
        Rows, columns, and what is summed over; how far rows are apart in memory in each of the
        two, and in the product.
    places
        Where the two are, and where the product goes.
    """
    m, n, k, of_a, of_b, of_out = sizes
    rows_a, columns_a = (m, k) if turns[0] == PLAIN else (k, m)
    rows_b, columns_b = (k, n) if turns[1] == PLAIN else (n, k)
    a = _matrix_at(like, places[0], rows_a, columns_a, of_a)
    b = _matrix_at(like, places[1], rows_b, columns_b, of_b)
    out = _matrix_at(like, places[2], m, n, of_out)
    out[...] = (a if turns[0] == PLAIN else a.T) @ (b if turns[1] == PLAIN else b.T)


def _matrix_at(like: Array, place: int, rows: int, columns: int, apart: int) -> Array:
    numbers = array_at(like, place, (rows - 1) * apart + columns)
    return np.lib.stride_tricks.as_strided(
        numbers, (rows, columns), (apart * like.itemsize, like.itemsize)
    )


@kernel
def part_of_product(
    where: int,
    like: Array,
    turns: tuple[int, int],
    sizes: tuple[int, int, int, int, int],
    places: tuple[int, int, int],
    bias: Array,
    is_ramp: bool,
    part: int,
    of: int,
) -> None:  # pragma: no cover (compiled)
    """Write a part of a product, plus a bias, and 0 in place of what is negative.

    It is some of its rows or, where these are longer, of its columns: narrow parts would be
    products that BLAS is slow at. The product's rows lie side by side; see `product_at`.
    """
    m, n, k, of_a, of_b = sizes
    (a, b, out), size, length, start = places, like.itemsize, n, 0
    if m >= n:
        first, last = share_of(part, of, m, TOGETHER)
        m = last - first
        a += first * size * (of_a if turns[0] == PLAIN else 1)
        out += first * size * length
    else:
        first, last = share_of(part, of, n, TOGETHER)
        n, start = last - first, first
        b += first * size * (1 if turns[1] == PLAIN else of_b)
        out += first * size
    if first >= last:
        return
    product_at(where, like, turns, (m, n, k, of_a, of_b, length), (a, b, out))
    if bias.size or is_ramp:
        finish(array_at(like, out, (m - 1) * length + n), m, n, length, bias[start:], is_ramp)


@kernel
def finish(
    written: Array, rows: int, columns: int, length: int, bias: Array, is_ramp: bool
) -> None:  # pragma: no cover (compiled)
    """Add a bias to some rows and columns of a product, and put 0 for what is negative."""
    for i in range(rows):
        at = unsigned(i * length)
        if bias.size:
            for j in range(unsigned(columns)):
                written[at + j] += bias[j]
        if is_ramp:
            for j in range(unsigned(columns)):
                one = written[at + j]
                # What is not a number stays so.
                written[at + j] = one if one > 0 or one != one else one * 0


@kernel
def _some(
    turn: Turn,
    where: int,
    turns: tuple[int, int],
    sizes: tuple[int, int, int, int, int],
    places: tuple[int, int, int],
    bias: Array,
    is_ramp: bool,
) -> None:  # pragma: no cover (compiled)
    give_word(turn)
    part_of_product(where, bias, turns, sizes, places, bias, is_ramp, turn[1], turn[2])
    end(turn)


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

    @overload(product_at, inline="always")
    def _product_at(where, like, turns, sizes, places):  # type: ignore[no-untyped-def]
        def called(where, like, turns, sizes, places):  # type: ignore[no-untyped-def]
            one = like.dtype.type(1)
            _call(where, turns, sizes, one, places[0], places[1], one - one, places[2])

        return called
