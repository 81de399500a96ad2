"""Tensor, the array being differentiated, and record, which every op ends with."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from ..backend import Array, array_module, is_array
from ..errors import DataError, ShapeError
from .core import GradientFunction, Node, backward

__all__ = ["Tensor", "Value", "gradients", "record", "value"]


class Tensor:
    """An array being differentiated.

    Parameters
    ----------
    data
        A floating-point array, or a number or nested list that becomes one
        (Python floats become float32, minnet's default).

    Attributes
    ----------
    data
        The array itself.
    grad
        After `backward()` on a result: the gradient with respect to this Tensor,
        if it was one of those the result was computed from; else None.

    Raises
    ------
    DataError
        If the array does not hold floating-point numbers.

    Examples
    --------
    >>> import minnet as mn
    >>> x = mn.Tensor([1.0, 2.0, 3.0])
    >>> y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("data", "node")
    # Makes `array + tensor` call Tensor.__radd__ instead of looping over the elements.
    __array_ufunc__ = None

    def __init__(self, data: Any) -> None:
        self.data = _floating(data)
        self.node = Node(self.data, ())

    @classmethod
    def _result(cls, data: Array, parents: tuple[tuple[Node, GradientFunction], ...]) -> Tensor:
        tensor = cls.__new__(cls)
        if not isinstance(data, np.ndarray) and not is_array(data):
            data = np.asarray(data)
        tensor.data = data
        tensor.node = Node(data, parents)
        return tensor

    # --- what it looks like -------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def grad(self) -> Array | None:
        return self.node.grad

    @property
    def T(self) -> Tensor:  # noqa: N802 - what NumPy calls it
        return _op("transpose", self)

    def __repr__(self) -> str:
        return f"Tensor({np.array2string(self.data, separator=', ', prefix='Tensor(')})"

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self.data)))

    def __float__(self) -> float:
        return float(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def item(self) -> float:
        """Return the only element as a Python number."""
        return float(self.data.item())

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "NumPy functions can't follow a Tensor: use the function of the same name "
            "in minnet.ops to differentiate through it, or .data for the plain array"
        )

    def __setitem__(self, index: Any, new: Any) -> NoReturn:
        raise TypeError(
            "a Tensor can't be changed in place, since what was computed from it would no longer "
            "be true: build the array before making it a Tensor, or make a new one with "
            "minnet.ops.where(mask, new, old)"
        )

    __hash__ = None  # type: ignore[assignment]  # == compares elements, as for arrays

    # --- gradients ----------------------------------------------------------------

    def backward(self, gradient: Any = None) -> None:
        """Set `.grad` of every Tensor that this one was computed from.

        Each call sets fresh gradients: nothing accumulates from call to call.

        Parameters
        ----------
        gradient
            The gradient of whatever is differentiated with respect to this Tensor,
            of its shape; 1 when left out, which only a single number allows.
        """
        for node, total in backward(self.node, _seed(self, gradient)).items():
            node.grad = total

    # --- operators: each hands over to the op of its name in minnet.ops ------------

    def __add__(self, other: Any) -> Tensor:
        return _op("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return _op("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return _op("subtract", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return _op("subtract", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return _op("multiply", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return _op("multiply", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return _op("divide", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _op("divide", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return _op("power", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return _op("power", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return _op("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _op("matmul", other, self)

    def __neg__(self) -> Tensor:
        return _op("negative", self)

    def __abs__(self) -> Tensor:
        return _op("absolute", self)

    def __getitem__(self, index: Any) -> Tensor:
        return _op("getitem", self, index)

    # Comparisons have no gradient: their results are plain arrays of bool.
    def __eq__(self, other: object) -> Any:
        return self.data == value(other)

    def __ne__(self, other: object) -> Any:
        return self.data != value(other)

    def __lt__(self, other: Any) -> Any:
        return self.data < value(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= value(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > value(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= value(other)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return _op("sum", self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return _op("mean", self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return _op("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return _op("min", self, axis, keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        return _op("reshape", self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: int) -> Tensor:
        return _op("transpose", self, axes or None)


Value: TypeAlias = Tensor | Array


@functools.cache
def _ops() -> Any:
    from .. import ops  # at call time: the ops are built on this file

    return ops


def _op(name: str, *inputs: Any) -> Tensor:
    """Apply the op of this name; with a Tensor among its inputs, it gives one."""
    result: Tensor = getattr(_ops(), name)(*inputs)
    return result


def _floating(data: Any) -> Array:
    array = data if is_array(data) else np.asarray(data)
    if array.dtype == np.float64 and array is not data and not isinstance(data, np.generic):
        array = array.astype(np.float32)  # Python numbers: minnet's default precision
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(
            f"a Tensor needs floating-point numbers, got {array.dtype}: "
            "convert first, for example with .astype('float32')"
        )
    return array


def value(x: Any) -> Any:
    """Return the plain array of a Tensor, and anything else as it is.

    A NumPy scalar of float64 or a whole number becomes a Python number, so that a
    stray one doesn't turn a float32 computation into float64.
    """
    if isinstance(x, Tensor):
        return x.data
    return x.item() if isinstance(x, (np.float64, np.integer)) else x


def record(data: Array, *inputs: tuple[Any, GradientFunction]) -> Any:
    """Return an op's result: a Tensor if any input is one, else the plain array.

    Parameters
    ----------
    data
        The forward value.
    *inputs
        For each input, the input itself and its gradient function: from the
        gradient with respect to the result to that with respect to the input.
        Where an input was broadcast, the function may return the broadcast shape;
        the sum over what was broadcast is taken in the backward pass.
    """
    parents = []
    for x, function in inputs:
        if isinstance(x, Tensor):
            parents.append((x.node, function))
    return Tensor._result(data, tuple(parents)) if parents else data


def _seed(output: Tensor, gradient: Any) -> Array:
    xp = array_module(output.data)
    if gradient is None:
        if output.size != 1:
            raise ShapeError(
                f"backward() starts from a single number, this Tensor has shape {output.shape}: "
                "reduce it first, for example with .sum(), or give the gradient to start from"
            )
        return xp.ones_like(output.data)  # type: ignore[no-any-return]
    seed = xp.asarray(value(gradient), dtype=output.dtype)
    if seed.shape != output.shape:
        raise ShapeError(f"the gradient to start from has shape {seed.shape}, not {output.shape}")
    return seed  # type: ignore[no-any-return]


def gradients(output: Any, inputs: Sequence[Tensor], gradient: Any = None) -> list[Array]:
    """Return the gradients of `output` with respect to each of `inputs`.

    Parameters
    ----------
    output
        A Tensor, of a single element unless `gradient` is given.
    inputs
        The Tensors to differentiate by; zeros come back for one that `output`
        does not depend on.
    gradient
        What to start from, of the shape of `output`.

    Returns
    -------
    list of array
        One for each input, of its shape and dtype.

    Examples
    --------
    >>> import minnet as mn
    >>> x, y = mn.Tensor([1.0, 2.0]), mn.Tensor([3.0])
    >>> mn.gradients((x * x).sum(), [x, y])
    [array([2., 4.], dtype=float32), array([0.], dtype=float32)]
    """
    found: dict[Node, Array] = {}
    if isinstance(output, Tensor):
        inner = {x.node for x in inputs if x.node.parents}
        found = backward(output.node, _seed(output, gradient), inner)
    return [
        found[x.node] if x.node in found else array_module(x.data).zeros_like(x.data)
        for x in inputs
    ]
