"""Layers that put each number through a function, and those that turn scores into probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..backend import Shape
from ..checks import boolean, number
from ..errors import ShapeError, SpecError
from .base import Context, Layer, layer

__all__ = [
    "GELU",
    "Elementwise",
    "LeakyRamp",
    "LogSoftmax",
    "Ramp",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
]

# The ops that take one array and give another of its shape.
FUNCTIONS = (
    "absolute",
    "exp",
    "gelu",
    "leaky_ramp",
    "log",
    "negative",
    "ramp",
    "sigmoid",
    "softplus",
    "sqrt",
    "tanh",
)


@layer
class Ramp(Layer):
    """Replace negative numbers by 0; `ReLU` is this very class. Any shape, which it keeps.

    From Nair & Hinton, "Rectified linear units improve restricted Boltzmann
    machines", 2010. The gradient at 0 is 0.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Ramp()(np.array([[-2.0, 0.0, 3.0]]))
    array([[0., 0., 3.]])
    """

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.ramp(x)


ReLU = Ramp


@layer
class LeakyRamp(Layer):
    """Multiply negative numbers by a small slope. Any shape, which it keeps.

    From Maas et al., "Rectifier nonlinearities improve neural network acoustic
    models", 2013.

    Parameters
    ----------
    slope
        What negative numbers are multiplied by.

    Raises
    ------
    SpecError
        If the slope is not a finite number.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.LeakyRamp(slope=0.5)(np.array([[-2.0, 0.0, 3.0]]))
    array([[-1.,  0.,  3.]])
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        self._settle(slope=number(self.slope, "the slope"))
        super().__post_init__()

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.leaky_ramp(x, self.slope)


@layer
class Tanh(Layer):
    """Take the hyperbolic tangent, between -1 and 1. Any shape, which it keeps.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Tanh()(np.array([[-100.0, 0.0, 100.0]]))
    array([[-1.,  0.,  1.]])
    """

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.tanh(x)


@layer
class Sigmoid(Layer):
    """Take the logistic function `1 / (1 + exp(-x))`, between 0 and 1. Any shape, which it keeps.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Sigmoid()(np.array([[-1000.0, 0.0, 1000.0]]))
    array([[0. , 0.5, 1. ]])
    """

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.sigmoid(x)


@layer
class Softplus(Layer):
    """Take `log(1 + exp(x))`, a ramp without the corner. Any shape, which it keeps.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Softplus()(np.array([[-1000.0, 0.0, 1000.0]]))
    array([[0.00000000e+00, 6.93147181e-01, 1.00000000e+03]])
    """

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.softplus(x)


@layer
class GELU(Layer):
    """Multiply each number by the normal distribution's chance of a smaller one.

    Any shape, which it keeps. From Hendrycks & Gimpel, "Gaussian error linear
    units", 2016.

    Parameters
    ----------
    approximate
        Whether to use the paper's approximation by a hyperbolic tangent, for
        weights that were trained with it.

    Raises
    ------
    SpecError
        If `approximate` is not True or False.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.GELU()(np.array([[-1.0, 0.0, 1.0]])).round(4)
    array([[-0.1587,  0.    ,  0.8413]])
    """

    approximate: bool = False

    def __post_init__(self) -> None:
        self._settle(approximate=boolean(self.approximate, "approximate"))
        super().__post_init__()

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return ops.gelu(x, self.approximate)


@layer
class Elementwise(Layer):
    """Put each number through a function. Any shape, which it keeps.

    Parameters
    ----------
    function
        The name of an op that takes one array (`"tanh"`, `"exp"`, `"sqrt"`, ...),
        or a function of yours, built from ops, that takes an array or Tensor and
        returns another of the same shape. Only a name can be saved to a file.

    Raises
    ------
    SpecError
        If it is neither.
    ShapeError
        If your function changes the shape.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Elementwise("absolute")(np.array([[-2.0, 3.0]]))
    array([[2., 3.]])
    >>> mn.Elementwise(lambda x: x * x + 1)(np.array([[-2.0, 3.0]]))
    array([[ 5., 10.]])
    """

    function: str | Callable[[Any], Any]

    def __post_init__(self) -> None:
        if isinstance(self.function, str):
            if self.function not in FUNCTIONS:
                from difflib import get_close_matches  # here, so that importing stays quick

                near = get_close_matches(self.function, FUNCTIONS) or FUNCTIONS
                raise SpecError(
                    f"there is no elementwise function {self.function!r}: "
                    f"did you mean {' or '.join(near)}?"
                )
        elif not callable(self.function):
            raise SpecError(
                f"function must be the name of an op or a function, got {self.function!r}"
            )
        super().__post_init__()

    def apply(self, x: Any, context: Context | None = None) -> Any:
        function: Any = self.function
        y = getattr(ops, function)(x) if isinstance(function, str) else function(x)
        if getattr(y, "shape", None) != x.shape:
            raise ShapeError(
                f"an elementwise function must keep the shape {x.shape}, "
                f"but this one made it {getattr(y, 'shape', type(y).__name__)}"
            )
        return y


@layer
class Softmax(Layer):
    """Turn scores into probabilities: `exp(x)` divided by their sum over the last axis.

    It takes examples `(..., classes)` and keeps their shape.

    Raises
    ------
    ShapeError
        If an example is a single number.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Softmax()(np.array([[1000.0, 1000.0, 0.0]]))
    array([[0.5, 0.5, 0. ]])
    """

    def output_shape(self, shape: Shape) -> Shape:
        return _with_classes("Softmax", shape)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.softmax(x)


@layer
class LogSoftmax(Layer):
    """Turn scores into logarithms of probabilities, accurately, over the last axis.

    It takes examples `(..., classes)` and keeps their shape.

    Raises
    ------
    ShapeError
        If an example is a single number.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.LogSoftmax()(np.array([[1000.0, 0.0]]))
    array([[    0., -1000.]])
    """

    def output_shape(self, shape: Shape) -> Shape:
        return _with_classes("LogSoftmax", shape)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.log_softmax(x)


def _with_classes(kind: str, shape: Shape) -> Shape:
    """Return the shape if it has a last axis to take probabilities over."""
    if not shape or not shape[-1]:
        raise ShapeError(f"{kind} expects examples of shape (..., classes), got {shape}")
    return shape
