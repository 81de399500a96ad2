"""minnet: a neural-network engine on NumPy, where freezing part of a net is exact and free."""

from . import ops
from .autodiff import Tensor, check_grad, grad, gradients, value_and_grad
from .errors import (
    DataError,
    FormatError,
    GradientError,
    MinnetError,
    MinnetWarning,
    NonFiniteError,
    PathError,
    ShapeError,
    SpecError,
)

__all__ = [
    "DataError",
    "FormatError",
    "GradientError",
    "MinnetError",
    "MinnetWarning",
    "NonFiniteError",
    "PathError",
    "ShapeError",
    "SpecError",
    "Tensor",
    "check_grad",
    "grad",
    "gradients",
    "ops",
    "value_and_grad",
]

__version__ = "0.1.0"
