"""Reverse-mode automatic differentiation: Tensor, record, gradients and check_grad.

A `Tensor` is an array being differentiated; a plain array is a constant. Every op
(see `minnet.ops`) is its forward value plus one gradient function per input:

    def multiply(x, y):
        a, b = value(x), value(y)
        return record(a * b, (x, lambda g: g * b), (y, lambda g: g * a))

`record` drops the gradient function of each input that is not a Tensor, and with
it every array that function alone had captured. If none is left the result is a
plain array. So what is constant costs nothing: there is no flag to set, and the
backward pass stops by itself where the Tensors end.

Gradients of gradients are not supported: gradient functions work on plain arrays.
"""

from .core import GradientFunction
from .functions import check_grad, grad, value_and_grad
from .tensor import Tensor, Value, gradients, record, value

__all__ = [
    "GradientFunction",
    "Tensor",
    "Value",
    "check_grad",
    "grad",
    "gradients",
    "record",
    "value",
    "value_and_grad",
]
