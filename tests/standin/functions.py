"""The stand-in's functions: NumPy's of the same names, as far as CuPy has and allows them.

Each is listed with the arguments that CuPy takes, so that what CuPy would refuse is
refused here; `tests/test_standin.py` compares the lists with an installed CuPy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from . import counts as counted
from .array import made, ndarray, plain, result
from .counts import here, launch

UFUNCS = """
    absolute add arccos arcsin arctan arctan2 bitwise_and bitwise_or bitwise_xor ceil copysign
    cos cosh deg2rad divide equal exp exp2 expm1 floor floor_divide fmax fmin fmod greater
    greater_equal hypot invert isfinite isinf isnan left_shift less less_equal log log10 log1p
    log2 logaddexp logical_and logical_not logical_or logical_xor maximum minimum multiply
    negative nextafter not_equal power reciprocal remainder right_shift rint sign signbit sin
    sinh sqrt square subtract tan tanh true_divide trunc
"""

# What CuPy's functions take, beyond which nothing is passed on to NumPy's.
FUNCTIONS = """
    all(a, axis=None, out=None, keepdims=False)
    allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)
    any(a, axis=None, out=None, keepdims=False)
    argmax(a, axis=None, dtype=None, out=None, keepdims=False)
    argmin(a, axis=None, dtype=None, out=None, keepdims=False)
    argsort(a, axis=-1, kind=None)
    argwhere(a)
    array_equal(a1, a2, equal_nan=False)
    bincount(x, weights=None, minlength=None)
    broadcast_to(array, shape)
    clip(a, a_min, a_max, out=None)
    concatenate(tup, axis=0, out=None)
    copyto(dst, src, casting='same_kind', where=None)
    count_nonzero(a, axis=None)
    cumprod(a, axis=None, dtype=None, out=None)
    cumsum(a, axis=None, dtype=None, out=None)
    diag(v, k=0)
    diagonal(a, offset=0, axis1=0, axis2=1)
    dot(a, b, out=None)
    einsum(*operands, **kwargs)
    expand_dims(a, axis)
    fill_diagonal(a, val, wrap=False)
    flatnonzero(a)
    flip(a, axis=None)
    inner(a, b)
    isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False)
    isin(element, test_elements, assume_unique=False, invert=False)
    lexsort(keys)
    matmul(a, b, out=None)
    max(a, axis=None, out=None, keepdims=False)
    mean(a, axis=None, dtype=None, out=None, keepdims=False)
    median(a, axis=None, out=None, overwrite_input=False, keepdims=False)
    min(a, axis=None, out=None, keepdims=False)
    moveaxis(a, source, destination)
    nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None)
    ndim(a)
    nonzero(a)
    outer(a, b, out=None)
    pad(array, pad_width, mode='constant', **kwargs)
    prod(a, axis=None, dtype=None, out=None, keepdims=False)
    quantile(a, q, axis=None, out=None, overwrite_input=False, method='linear', keepdims=False)
    ravel(a, order='C')
    repeat(a, repeats, axis=None)
    reshape(a, newshape, order='C')
    roll(a, shift, axis=None)
    searchsorted(a, v, side='left', sorter=None)
    shape(a)
    size(a, axis=None)
    sort(a, axis=-1, kind=None)
    squeeze(a, axis=None)
    stack(tup, axis=0, out=None)
    std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
    sum(a, axis=None, dtype=None, out=None, keepdims=False)
    swapaxes(a, axis1, axis2)
    take(a, indices, axis=None, out=None)
    take_along_axis(a, indices, axis)
    tensordot(a, b, axes=2)
    tile(A, reps)
    trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None)
    transpose(a, axes=None)
    tri(N, M=None, k=0, dtype=float)
    tril(m, k=0)
    triu(m, k=0)
    unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None)
    var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
    vdot(a, b)
    where(condition, x=None, y=None)
"""
LINALG = """
    cholesky(a)
    eigh(a, UPLO='L')
    inv(a)
    lstsq(a, b, rcond='warn')
    norm(x, ord=None, axis=None, keepdims=False)
    qr(a, mode='reduced')
    solve(a, b)
    svd(a, full_matrices=True, compute_uv=True)
"""
# Made without an array to work on.
MAKERS = """
    arange(start, stop=None, step=1, dtype=None)
    empty(shape, dtype=float, order='C')
    eye(N, M=None, k=0, dtype=float, order='C')
    full(shape, fill_value, dtype=None, order='C')
    linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0)
    ones(shape, dtype=float, order='C')
    zeros(shape, dtype=float, order='C')
    empty_like(prototype, dtype=None, order='K', subok=None, shape=None)
    full_like(a, fill_value, dtype=None, order='K', subok=None, shape=None)
    ones_like(a, dtype=None, order='K', subok=None, shape=None)
    zeros_like(a, dtype=None, order='K', subok=None, shape=None)
"""
# About dtypes and shapes alone, which live on the host in CuPy too.
SAME = """
    bool_ broadcast_shapes can_cast complex64 complex128 dtype e euler_gamma finfo float16
    float32 float64 floating generic iinfo inexact inf int8 int16 int32 int64 integer intp
    issubdtype min_scalar_type nan newaxis number pi promote_types signedinteger uint8 uint16
    uint32 uint64 unsignedinteger
"""
# For these the host has to know how many there are.
WAIT = {"argwhere", "flatnonzero", "nonzero", "unique", "bincount"}
# The answer is a Python number or truth value.
ON_HOST = {"ndim", "shape", "size"}
# They write to their first argument and give nothing back.
IN_PLACE = {"copyto", "fill_diagonal"}


def signature(line: str) -> tuple[str, inspect.Signature]:
    """Return the name and the arguments of a line of the lists above."""
    name, _, arguments = line.strip().partition("(")
    return name, inspect.signature(eval(f"lambda {arguments[:-1]}: None"))


def unwrapped(value: Any) -> Any:
    """Return an argument as NumPy takes it; arrays of NumPy are refused."""
    if isinstance(value, ndarray):
        return plain(value)
    if isinstance(value, list | tuple):
        return type(value)(unwrapped(part) for part in value)
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def arrays_in(arguments: Any) -> list[ndarray]:
    found = []
    for value in arguments:
        if isinstance(value, ndarray):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += arrays_in(value)
    return found


def _function(name: str, expected: inspect.Signature, numpys: Callable[..., Any]) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        expected.bind(*args, **kwargs)
        given = arrays_in([*args, *kwargs.values()])
        if not given and name not in ON_HOST and name not in ("einsum", "pad", "tri"):
            raise TypeError(f"{name}: expected an array of the device, got {args[0]!r:.40}")
        if name in WAIT:
            counted.counts.waits += 1
        out = kwargs.pop("out", None)
        plain_args = [unwrapped(arg) for arg in args]
        plain_kwargs = {key: unwrapped(arg) for key, arg in kwargs.items()}
        if name == "copyto" and plain_kwargs.get("where", True) is None:
            del plain_kwargs["where"]
        if name in ("bincount",) and plain_kwargs.get("minlength", 0) is None:
            del plain_kwargs["minlength"]
        if out is not None:
            plain_kwargs["out"] = plain(out)
        with np.errstate(all="ignore"):
            found = numpys(*plain_args, **plain_kwargs)
        if name in ON_HOST:
            return found
        if name in IN_PLACE or out is not None:
            launch(name)
            return out
        return result(found, name, given)

    function.__name__ = name
    return function


def _maker(name: str, expected: inspect.Signature, numpys: Callable[..., Any]) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        expected.bind(*args, **kwargs)
        host = numpys(*map(unwrapped, args), **{k: unwrapped(v) for k, v in kwargs.items()})
        if not name.startswith("empty"):
            launch(name)
        return made(host)

    function.__name__ = name
    return function


class ufunc:  # noqa: N801 - what CuPy calls it
    """An elementwise function. It takes `out` and `dtype`, and no `where`."""

    __module__ = "cupy"

    def __init__(self, name: str) -> None:
        self.name, self.__name__ = f"cupy_{name}", name
        self._numpys: np.ufunc = getattr(np, name)
        self.nin, self.nout = self._numpys.nin, self._numpys.nout

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: Any = None) -> Any:
        if not self.nin <= len(args) <= self.nin + self.nout:
            raise TypeError(f"Wrong number of arguments for {self.name}")
        if len(args) > self.nin:
            args, out = args[: self.nin], args[self.nin]
        inputs = [plain(arg) for arg in args]
        options: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
        if casting is not None:
            options["casting"] = casting
        with np.errstate(all="ignore"):
            if out is not None:
                if not isinstance(out, ndarray):
                    raise TypeError(f"Unsupported type {type(out)}")
                self._numpys(*inputs, out=plain(out), **options)
                launch(self.__name__)
                return out
            found = self._numpys(*inputs, **options)
        return result(found, self.__name__, [])

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> Any:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        method = array.sum if self.__name__ == "add" else array.prod
        return method(axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
        if self.__name__ not in ("add", "multiply"):
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        method = array.cumsum if self.__name__ == "add" else array.cumprod
        return method(axis=axis, dtype=dtype, out=out)

    def reduceat(
        self, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None
    ) -> Any:
        if self.__name__ != "add" or out is not None:
            raise NotImplementedError(f"`{self.name}.reduceat` is not supported yet")
        found = np.add.reduceat(plain(array), unwrapped(indices), axis, dtype)
        return result(found, "reduceat", [])

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        if self.__name__ not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        launch("atomic")
        self._numpys.at(plain(a), unwrapped(indices), plain(b))


# --- arrays made of what the host has --------------------------------------------------------


def _from_host(obj: Any, dtype: Any, order: str) -> Any:
    if isinstance(obj, list | tuple) and (parts := arrays_in(obj)):
        return made(np.array(unwrapped(obj), dtype, order=order)) if parts else None  # type: ignore[call-overload]
    host = np.array(obj, dtype, order=order)  # type: ignore[call-overload]
    if host.dtype.kind not in "?biufc" and host.dtype.kind != "b":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    counted.to_device(host.nbytes)
    return made(host)


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> Any:
    if isinstance(obj, ndarray):
        if not copy and (dtype is None or np.dtype(dtype) == obj.dtype) and order in ("K", "A"):
            return obj
        if not copy:
            return asarray(obj, dtype, order)
        launch("copy")
        return made(np.array(plain(obj), dtype, order=order, ndmin=ndmin))  # type: ignore[call-overload]
    return _from_host(obj, dtype, order)


def asarray(
    a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False
) -> Any:
    if isinstance(a, ndarray):
        if a._block.device != here():  # the one thing that may be done with another device's
            launch("copy")
            return made(np.array(a._host, dtype, order=order or "K"))
        same = dtype is None or np.dtype(dtype) == a.dtype
        laid = order in (None, "K", "A") or a._host.flags[order.upper() + "_CONTIGUOUS"]
        if same and laid and not copy:
            return a
        launch("copy")
        return made(np.array(plain(a), dtype, order=order or "K"))
    return _from_host(a, dtype, order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    return asarray(a, dtype, "C")


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True
) -> Any:
    if isinstance(a, ndarray):
        return a.get(order=order, out=out)
    return np.asarray(a, order=order)  # type: ignore[call-overload]


def broadcast_arrays(*args: Any) -> Any:
    found = np.broadcast_arrays(*(plain(arg) for arg in args))
    return [result(part, "broadcast", list(args)) for part in found]


def result_type(*args: Any) -> Any:
    return np.result_type(*(a._host if isinstance(a, ndarray) else a for a in args))


def get_array_module(*args: Any) -> Any:
    import sys

    ours = any(isinstance(arg, ndarray) for arg in args)
    return sys.modules["cupy"] if ours else np


def array2string(a: Any, *args: Any, **kwargs: Any) -> str:
    return np.array2string(a.get(), *args, **kwargs)


def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    return np.may_share_memory(plain(a), plain(b))


def isscalar(element: Any) -> bool:
    return np.isscalar(element)


def fuse(*args: Any, **kwargs: Any) -> Any:
    """Give the function as it is: fused, it would be one kernel."""
    return args[0] if args and callable(args[0]) else lambda function: function


def as_strided(x: Any, shape: Any = None, strides: Any = None) -> Any:
    found = np.lib.stride_tricks.as_strided(plain(x), shape, strides)
    return made(found, x._block, x)  # a view, of which NumPy has lost whose


namespace: dict[str, Any] = {name: ufunc(name) for name in UFUNCS.split()}
namespace["abs"] = namespace["absolute"]
namespace |= {name: getattr(np, name) for name in SAME.split()}
for _line in FUNCTIONS.strip().splitlines():
    _name, _expected = signature(_line)
    namespace[_name] = _function(_name, _expected, getattr(np, _name))
for _line in MAKERS.strip().splitlines():
    _name, _expected = signature(_line)
    namespace[_name] = _maker(_name, _expected, getattr(np, _name))
namespace |= {
    function.__name__: function
    for function in (
        array, asarray, ascontiguousarray, asnumpy, broadcast_arrays, result_type,
        get_array_module, array2string, may_share_memory, isscalar, fuse,
    )
}  # fmt: skip
namespace["amax"], namespace["amin"] = namespace["max"], namespace["min"]
namespace["ndarray"], namespace["ufunc"] = ndarray, ufunc
linalg: dict[str, Any] = {}
for _line in LINALG.strip().splitlines():
    _name, _expected = signature(_line)
    linalg[_name] = _function(_name, _expected, getattr(np.linalg, _name))
