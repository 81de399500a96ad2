"""The stand-in's array: NumPy underneath, as strict as CuPy's on top."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import counts as counted
from .counts import Block, here, launch

COMPARISONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal")
SCALARS = (int, float, complex, bool, np.generic)


class ndarray:  # noqa: N801 - what CuPy calls it
    """An array of a device. `np.asarray` refuses it, and it refuses NumPy's arrays."""

    __slots__ = ("__weakref__", "_block", "_host", "base")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __new__(
        cls,
        shape: Any,
        dtype: Any = float,
        memptr: Any = None,
        strides: Any = None,
        order: str = "C",
    ) -> ndarray:
        if memptr is None:
            return made(np.empty(shape, dtype, order))  # type: ignore[call-overload]
        raw = memptr.mem.root.reshape(-1).view(np.uint8)[memptr.offset :]
        return made(np.ndarray(shape, dtype, raw, strides=strides), memptr.mem)

    # --- what it is ---------------------------------------------------------------------

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    T = property(lambda self: made(self._host.T, self._block, self))
    real = property(lambda self: made(self._host.real, self._block, self))
    flags = property(lambda self: Flags(self))
    data = property(lambda self: Pointer(self))

    @property
    def device(self) -> Any:
        from .cuda import Device

        return Device(self._block.device)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return repr(self._read())

    def __str__(self) -> str:
        return str(self._read())

    # --- to the host ----------------------------------------------------------------------

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def _read(self) -> np.ndarray[Any, Any]:
        counted.to_host(self.nbytes)
        return self._host

    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> Any:
        host = self._read()
        if out is not None:
            out[...] = host
            return out
        return np.array(host, order=order)  # type: ignore[call-overload]

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        counted.to_device(arr.nbytes)
        self._host[...] = arr

    def item(self, *args: Any) -> Any:
        return self._read().item(*args)

    def tolist(self) -> Any:
        return self._read().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        return self._read().tobytes(order)  # type: ignore[arg-type]

    def __float__(self) -> float:
        return float(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __bool__(self) -> bool:
        return bool(self._read())

    def __format__(self, spec: str) -> str:
        return format(self._read(), spec)

    def __reduce__(self) -> Any:
        return (restored, (self._read(),))

    # --- copies and views -------------------------------------------------------------------

    def copy(self, order: str = "C") -> ndarray:
        launch("copy")
        return made(self._host.copy(order))  # type: ignore[arg-type]

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    def astype(
        self,
        dtype: Any,
        order: str = "K",
        casting: Any = None,
        subok: Any = None,
        copy: bool = True,
    ) -> ndarray:
        check(self)
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        launch("astype")
        with np.errstate(all="ignore"):
            return made(self._host.astype(dtype, order))  # type: ignore[arg-type]

    def __getitem__(self, index: Any) -> ndarray:
        parts = index if isinstance(index, tuple) else (index,)
        if any(is_mask(part) for part in parts):
            counted.counts.waits += 1  # for how many there are
        return result(self._host[indices(index)], "getitem", [self])

    def __setitem__(self, index: Any, new: Any) -> None:
        launch("setitem")
        with np.errstate(all="ignore"):
            self._host[indices(index)] = plain(new)

    def fill(self, value: Any) -> None:
        launch("fill")
        self._host.fill(plain(value))

    # --- operators --------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from .functions import namespace

        if method != "__call__" or ufunc.signature is not None:
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        ours = namespace.get(ufunc.__name__)
        if (
            ufunc.__name__ in COMPARISONS
        ):  # a number of NumPy's comes as an array from its operators
            inputs = tuple(
                x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs
            )
        return NotImplemented if ours is None else ours(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from .functions import linalg, namespace

        inside = function.__module__.split(".")[1:]
        ours = (linalg if inside == ["linalg"] else namespace).get(function.__name__)
        if ours is None or not all(issubclass(kind, ndarray | np.ndarray) for kind in types):
            return NotImplemented
        return ours(*args, **kwargs)


def made(host: Any, block: Block | None = None, base: ndarray | None = None) -> ndarray:
    """Return an array of the device in use around one of NumPy; in `block`, if it is a view."""
    array: ndarray = object.__new__(ndarray)
    array._host = host
    array._block = Block(root(host), here()) if block is None else block
    array.base = base if base is None or base.base is None else base.base
    return array


def restored(host: Any) -> ndarray:
    counted.to_device(host.nbytes)
    return made(np.array(host))


def root(host: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    while isinstance(host.base, np.ndarray):
        host = host.base
    return host


def check(array: ndarray) -> None:
    """Refuse an array of another device than that in use."""
    if array._block.device != here():
        raise ValueError(
            "Array device must be same as the current device: "
            f"array device = {array._block.device} while current = {here()}"
        )


def plain(value: Any) -> Any:
    """Return what to compute with: of arrays the ones underneath, and numbers as they are."""
    if isinstance(value, ndarray):
        check(value)
        return value._host
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def is_mask(part: Any) -> bool:
    return isinstance(part, ndarray) and part.dtype == bool


def indices(index: Any) -> Any:
    """Return an index as NumPy takes it."""
    if isinstance(index, tuple):
        return tuple(indices(part) for part in index)
    if isinstance(index, np.ndarray) and index.ndim:
        raise IndexError("Unsupported type <class 'numpy.ndarray'>: indices are of the device, too")
    if isinstance(index, list):
        counted.to_device(8 * len(index))
    if isinstance(index, ndarray):
        check(index)
        return index._host
    return index


def result(found: Any, name: str, inputs: list[Any]) -> Any:
    """Return what a function of NumPy gave as it comes out here: numbers are arrays, too."""
    if isinstance(found, tuple):
        return tuple(result(part, name, inputs) for part in found)
    if isinstance(found, list):
        return [result(part, name, inputs) for part in found]
    if not isinstance(found, np.ndarray | np.generic):
        return found
    host: Any = np.asarray(found)
    for one in inputs:
        if isinstance(one, ndarray) and root(host) is one._block.root:
            return made(host, one._block, one)
    launch(name)
    return made(host)


# --- methods made of functions --------------------------------------------------------------


class Flags:
    """What CuPy tells of how an array lies in memory."""

    def __init__(self, array: ndarray) -> None:
        self.c_contiguous = array._host.flags.c_contiguous
        self.f_contiguous = array._host.flags.f_contiguous
        self.owndata = array.base is None


class Pointer:
    """Where an array is."""

    def __init__(self, array: ndarray) -> None:
        self.mem = array._block
        self.ptr = array._host.ctypes.data
        self.device_id = array._block.device
        self.device = array.device
        self.offset = self.ptr - array._block.root.ctypes.data


def _binary(name: str, turned: bool) -> Any:
    def method(self: ndarray, other: Any) -> Any:
        from .functions import namespace

        if getattr(other, "__array_ufunc__", self) is None:
            return NotImplemented
        return namespace[name](other, self) if turned else namespace[name](self, other)

    return method


def _in_place(name: str) -> Any:
    def method(self: ndarray, other: Any) -> Any:
        from .functions import namespace

        return namespace[name](self, other, out=self)

    return method


def _unary(name: str) -> Any:
    def method(self: ndarray) -> Any:
        from .functions import namespace

        return namespace[name](self)

    return method


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
for _short, _name in _OPERATORS.items():
    setattr(ndarray, f"__{_short}__", _binary(_name, False))
    setattr(ndarray, f"__r{_short}__", _binary(_name, True))
    if _short != "matmul":
        setattr(ndarray, f"__i{_short}__", _in_place(_name))
for _short, _name in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(ndarray, f"__{_short}__", _binary(_name, False))
for _short, _name in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
    setattr(ndarray, f"__{_short}__", _unary(_name))


def _method(name: str) -> Any:
    """Return a method that does what NumPy's of this name does, without its odder arguments."""
    ours = getattr(np.ndarray, name)

    @functools.wraps(ours)
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        check(self)
        if unknown := kwargs.keys() - {"axis", "dtype", "out", "keepdims", "ddof", "order", "kind"}:
            raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")
        into = kwargs.get("out")
        if into is not None:
            kwargs["out"] = plain(into)
        with np.errstate(all="ignore"):
            found = ours(self._host, *(plain_or_option(arg) for arg in args), **kwargs)
        if into is not None:
            launch(name)
            return into
        if name in ("nonzero",):
            counted.counts.waits += 1
        return None if found is None else result(found, name, [self])

    return method


def plain_or_option(value: Any) -> Any:
    if isinstance(value, ndarray):
        return plain(value)
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    return value


METHODS = """
    all any argmax argmin argsort clip cumprod cumsum diagonal dot flatten max mean min nonzero
    prod ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace
    transpose var view
"""
for _name in METHODS.split():
    setattr(ndarray, _name, _method(_name))

ndarray.__module__ = "cupy"
