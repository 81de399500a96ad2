"""Elementwise arithmetic: what NumPy's functions of the same names do, with gradients.

Inputs broadcast against each other as in NumPy; the gradient comes back in the shape
and dtype of each input. A `ShapeError` names the shapes that don't broadcast. Values
outside a function's domain (the square root of -1, the logarithm of 0) give what
NumPy gives, with its warning. NumPy's functions are used throughout because they
hand over to CuPy's where they are given arrays of CuPy.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..autodiff import Tensor, record
from ..autodiff.core import added
from ..backend import Array, is_array
from ..errors import SpecError
from .inputs import array, elementwise, operand

__all__ = [
    "absolute",
    "add",
    "clip",
    "divide",
    "exp",
    "log",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "sqrt",
    "subtract",
    "where",
]


def _same(gradient: Array) -> Array:
    return gradient


def _opposite(gradient: Array) -> Array:
    return -gradient


# --- two inputs -----------------------------------------------------------------------


def add(x: Any, y: Any) -> Any:
    """Return `x + y`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.add(np.array([1.0, 2.0]), 10)
    array([11., 12.])
    """
    a, b = operand(x), operand(y)
    if type(a) is type(b) is np.ndarray and (a.shape, a.dtype) == (b.shape, b.dtype):
        data: Any = added(a, b)
    else:
        data = elementwise(np.add, a, b)
    return record(data, (x, _same), (y, _same))


def subtract(x: Any, y: Any) -> Any:
    """Return `x - y`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.subtract(np.array([1.0, 2.0]), 10)
    array([-9., -8.])
    """
    a, b = operand(x), operand(y)
    return record(elementwise(np.subtract, a, b), (x, _same), (y, _opposite))


def multiply(x: Any, y: Any) -> Any:
    """Return `x * y`, element by element.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.multiply(np.array([1.0, 2.0]), 10)
    array([10., 20.])
    """
    a, b = operand(x), operand(y)
    return record(elementwise(np.multiply, a, b), (x, lambda g: g * b), (y, lambda g: g * a))


def divide(x: Any, y: Any) -> Any:
    """Return `x / y`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.divide(np.array([1.0, 2.0]), 10)
    array([0.1, 0.2])
    """
    a, b = operand(x), operand(y)
    data = elementwise(np.divide, a, b)
    return record(data, (x, lambda g: g / b), (y, lambda g: g * (-data / b)))


def power(x: Any, y: Any) -> Any:
    """Return `x` to the power `y`.

    A negative base has no gradient with respect to its exponent: it is NaN there, and
    0 at base 0. None of that is computed while the exponent is a constant.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.power(np.array([1.0, 2.0, 3.0]), 2)
    array([1., 4., 9.])
    """
    a, b = operand(x), operand(y)
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    # The operator takes short cuts for squares and roots; for two numbers it is Python's.
    data = elementwise(np.power if numbers else operator.pow, a, b)

    def by_exponent(g: Array) -> Any:
        return g * (data * np.log(np.where(a == 0, 1, a), dtype=g.dtype))

    return record(data, (x, lambda g: g * (b * a ** _one_less(b))), (y, by_exponent))


def _one_less(exponent: Any) -> Any:
    """Return `exponent - 1`, or 1 for 0: then `0 * 0 ** 1` is the right gradient at base 0."""
    if not is_array(exponent):  # np.where would make an array of a number
        return exponent - 1 if exponent else 1
    return np.where(exponent == 0, 1, exponent - 1)


def maximum(x: Any, y: Any) -> Any:
    """Return the larger of `x` and `y`, element by element; equal ones share the gradient equally.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.maximum(np.array([1.0, 2.0, 3.0]), 2)
    array([2., 2., 3.])
    >>> mn.grad(lambda x: mn.ops.maximum(x, 2).sum())(np.array([1.0, 2.0, 3.0]))
    array([0. , 0.5, 1. ])
    """
    a, b = operand(x), operand(y)
    data = elementwise(np.maximum, a, b)
    return record(data, (x, lambda g: _where_above(g, a, b)), (y, lambda g: _where_above(g, b, a)))


def minimum(x: Any, y: Any) -> Any:
    """Return the smaller of `x` and `y`, element by element; equal ones share the gradient equally.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.minimum(np.array([1.0, 2.0, 3.0]), 2)
    array([1., 2., 2.])
    """
    a, b = operand(x), operand(y)
    data = elementwise(np.minimum, a, b)
    return record(data, (x, lambda g: _where_above(g, b, a)), (y, lambda g: _where_above(g, a, b)))


def _where_above(g: Array, a: Any, b: Any) -> Any:
    """Keep the gradient where `a > b`, and half of it where they are equal."""
    return (g * (a > b) + g * (a >= b)) / 2


def where(condition: Any, x: Any, y: Any) -> Any:
    """Return `x` where `condition` holds and `y` elsewhere.

    Parameters
    ----------
    condition
        An array of bool; it has no gradient.
    x, y
        Arrays, Tensors or numbers that broadcast with it and each other.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([-1.0, 2.0])
    >>> mn.ops.where(x > 0, x, 0.0)
    array([0., 2.])
    """
    chosen, a, b = array(condition), operand(x), operand(y)
    data = elementwise(np.where, chosen, a, b)
    return record(
        data, (x, lambda g: np.where(chosen, g, 0)), (y, lambda g: np.where(chosen, 0, g))
    )


# --- one input ------------------------------------------------------------------------


def negative(x: Any) -> Any:
    """Return `-x`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.negative(np.array([1.0, -2.0]))
    array([-1.,  2.])
    """
    return record(np.negative(array(x)), (x, _opposite))


def absolute(x: Any) -> Any:
    """Return `x` without its sign; the gradient at 0 is 0.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.absolute(np.array([1.0, -2.0]))
    array([1., 2.])
    """
    a = array(x)
    return record(np.absolute(a), (x, lambda g: g * np.sign(a)))


def exp(x: Any) -> Any:
    """Return e to the power `x`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.exp(np.array([0.0, 1.0]))
    array([1.        , 2.71828183])
    """
    data = np.exp(array(x))
    return record(data, (x, lambda g: g * data))


def log(x: Any) -> Any:
    """Return the natural logarithm of `x`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.log(np.array([1.0, 2.0]))
    array([0.        , 0.69314718])
    """
    a = array(x)
    return record(np.log(a), (x, lambda g: g / a))


def sqrt(x: Any) -> Any:
    """Return the square root of `x`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.sqrt(np.array([1.0, 2.0]))
    array([1.        , 1.41421356])
    """
    data = np.sqrt(array(x))
    return record(data, (x, lambda g: g / (2 * data)))


def clip(x: Any, low: Any = None, high: Any = None) -> Any:
    """Return `x` with what is below `low` raised to it and what is above `high` lowered to it.

    The gradient passes where nothing was changed, the bounds themselves included.

    Parameters
    ----------
    x
        An array or Tensor.
    low, high
        Constants: numbers or arrays that broadcast with `x`, or None for no bound.
        Where `low` is above `high`, the result is `high`.

    Raises
    ------
    SpecError
        If a bound is a Tensor.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.clip(np.array([-3.0, 0.5, 3.0]), -1, 1)
    array([-1. ,  0.5,  1. ])
    """
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        raise SpecError(
            "the bounds of clip are constants, got a Tensor: use maximum and minimum "
            "to differentiate with respect to bounds, or .data for the plain array"
        )
    a = array(x)
    data = a
    if low is not None:
        data = elementwise(np.maximum, data, operand(low))
    if high is not None:
        data = elementwise(np.minimum, data, operand(high))
    return record(data, (x, lambda g: g * (a == data)))
