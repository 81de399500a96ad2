"""Elementwise activation functions, each computed so that no input overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array
from ..buffers import new_array
from ..threads import sharers
from . import compiled, gpu
from .inputs import array

__all__ = ["gelu", "leaky_ramp", "ramp", "sigmoid", "softplus", "tanh"]


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of `x`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.tanh(np.array([0.0, 1.0]))
    array([0.        , 0.76159416])
    """
    data = np.tanh(array(x))
    return record(data, (x, lambda g: g * (1 - data * data)))


def sigmoid(x: Any) -> Any:
    """Return the logistic function `1 / (1 + exp(-x))`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    data = _logistic(array(x))
    return record(data, (x, lambda g: g * (data * (1 - data))))


def _logistic(a: Array) -> Array:
    with np.errstate(over="ignore"):  # far below 0, 1 / (1 + infinity) is the 0 it should be
        return 1 / (1 + np.exp(-a))


def softplus(x: Any) -> Any:
    """Return `log(1 + exp(x))`, a smooth ramp.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.softplus(np.array([-1000.0, 0.0, 1000.0]))
    array([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    a = array(x)
    data = np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))
    return record(data, (x, lambda g: g * _logistic(a)))


def ramp(x: Any) -> Any:
    """Return `x` where it is positive and 0 elsewhere (the rectified linear unit, ReLU).

    The gradient at 0 is 0. Of its arrays only the output is kept for the backward
    pass: the next layer mostly keeps that anyway.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.ramp(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    a = array(x)
    if gpu.takes(a):
        y = gpu.activation.ramp(a)
        return record(y, (x, lambda g: gpu.activation.ramp_gradient(g, y)))
    if sharers() > 1 and compiled.takes(a):
        data = compiled.activation.ramp(a)
    else:
        data = np.maximum(a, 0, out=new_array(a.shape, a.dtype, a))

    def backward(g: Array) -> Any:
        if compiled.takes(g, data):
            return compiled.activation.ramp_gradient(g, data)
        positive = np.greater(data, 0, out=new_array(data.shape, bool, data))
        return np.multiply(g, positive, out=new_array(g.shape, g.dtype, g))

    return record(data, (x, backward))


def leaky_ramp(x: Any, slope: float = 0.01) -> Any:
    """Return `x` where it is positive and `slope * x` elsewhere.

    Parameters
    ----------
    x
        An array or Tensor.
    slope
        A number; also the gradient at 0.

    References
    ----------
    Maas, Hannun and Ng (2013), "Rectifier nonlinearities improve neural network
    acoustic models".

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.leaky_ramp(np.array([-1.0, 0.0, 2.0]))
    array([-0.01,  0.  ,  2.  ])
    """
    a = array(x)
    positive = a > 0

    def backward(g: Array) -> Any:
        kept = g * positive  # with random signs much faster than a choice by np.where
        return kept + slope * (g - kept)

    return record(np.maximum(a, 0) + slope * np.minimum(a, 0), (x, backward))


def gelu(x: Any, approximate: bool = False) -> Any:
    """Return `x` times the probability that a standard normal number is below `x`.

    Parameters
    ----------
    x
        An array or Tensor.
    approximate
        Whether to use the paper's formula with a hyperbolic tangent, which is faster
        and off by less than 0.0005.

    References
    ----------
    Hendrycks and Gimpel (2016), "Gaussian error linear units (GELUs)", arXiv:1606.08415.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.gelu(np.array([-1.0, 0.0, 1.0]))
    array([-0.15865525,  0.        ,  0.84134475])
    >>> mn.ops.gelu(np.array([-1.0, 0.0, 1.0]), approximate=True)
    array([-0.15880801,  0.        ,  0.84119199])
    """
    a = array(x)
    if approximate:
        curve = np.tanh(_SQRT_2_OVER_PI * (a + 0.044715 * a * a * a))
        return record(a * (0.5 + 0.5 * curve), (x, lambda g: g * _gelu_slope(a, curve)))
    below = 0.5 + 0.5 * erf(a * math.sqrt(0.5))

    def backward(g: Array) -> Array:
        density = np.exp(-0.5 * a * a) * (0.5 * math.sqrt(2 / math.pi))
        return g * (below + a * density)

    return record(a * below, (x, backward))


_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def _gelu_slope(a: Array, curve: Array) -> Any:
    """Return the derivative of the approximate GELU, given its hyperbolic tangent."""
    inner = _SQRT_2_OVER_PI * (1 + 3 * 0.044715 * a * a)
    return 0.5 + 0.5 * curve + 0.5 * a * (1 - curve * curve) * inner


# exp(z * z) * (1 - erf(z)) for 0 <= z <= 28, as a polynomial in v = (z - 3) / (z + 3), constant
# term first: Chebyshev interpolation in 50 digits, cut where the precision of the result ends.
# The substitution is that of Schonfelder (1978), "Chebyshev expansions for the error and
# related functions", Mathematics of Computation 32.
_SCALED_DOUBLE = (
    0.17900115118138996, -0.32623356004303755, 0.2456038017123316, -0.1501159365007451,
    0.07166583719795623, -0.024392499319662763, 0.0042691363328920375, 0.0007077464529831972,
    -0.0005970619438641189, 4.5255188838517224e-05, 6.405648742077454e-05, -1.2859985085281393e-05,
    -7.977689146941356e-06, 2.118522900164965e-06, 1.2508663764770057e-06, -2.9125297431981874e-07,
    -2.3102407225162597e-07, 2.5612590083107413e-08, 4.2008150093591333e-08, 2.5910713888063643e-09,
    -5.137123208974683e-09, -1.2745677291629942e-09,
)  # fmt: skip
_SCALED_SINGLE = (
    0.17900116897127738, -0.3262339449260643, 0.24560267585843285, -0.15010807008793273,
    0.07167819962149694, -0.024435942437823027, 0.0042181360185586285, 0.0007989476319140953,
    -0.0005054858273783393, -2.6258094851259566e-05,
)  # fmt: skip


def erf(a: Array) -> Array:
    """Return the error function of a plain array, to the last digits of its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.activation import erf
    >>> erf(np.array([-1.0, 0.0, 1.0]))
    array([-0.84270079,  0.        ,  0.84270079])
    """
    coefficients = _SCALED_SINGLE if a.dtype in (np.float32, np.float16) else _SCALED_DOUBLE
    z = np.minimum(np.abs(a), 28)  # beyond, exp(-z * z) is 0 in any case
    v = (z - 3) / (z + 3)
    scaled = v * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        scaled += coefficient
        scaled *= v
    scaled += coefficients[0]
    result: Array = np.copysign(1 - scaled * np.exp(-z * z), a)
    return result
