"""minnet: a neural-network engine on NumPy, where freezing part of a net is exact and free.

Importing it imports nothing else: what a program uses is imported when it is first asked for.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors see; `_NAMES` says the same to Python
    from . import data, layers, measure, models, ops, optim, study
    from .autodiff import Tensor, check_grad, grad, gradients, value_and_grad
    from .backend import free, memory
    from .data import (
        ClassDecoder,
        ClassEncoder,
        Dataset,
        FunctionEncoder,
        ImageEncoder,
        ScalarDecoder,
    )
    from .draw import summary
    from .errors import (
        DataError,
        DeviceError,
        DeviceMemoryError,
        FormatError,
        GradientError,
        MinnetError,
        MinnetWarning,
        NonFiniteError,
        PathError,
        ShapeError,
        SpecError,
    )
    from .io import load, save
    from .layers import (
        GELU,
        Add,
        Augment,
        BatchNorm,
        Catenate,
        Constant,
        Conv,
        Deconv,
        Dropout,
        Elementwise,
        Embedding,
        Flatten,
        GlobalMeanPool,
        LayerNorm,
        LeakyRamp,
        Linear,
        LocalResponseNorm,
        LogSoftmax,
        MaxPool,
        MeanPool,
        Multiply,
        Ramp,
        ReLU,
        Reshape,
        Sigmoid,
        Softmax,
        Softplus,
        Tanh,
        Transpose,
    )
    from .multipliers import gradual_unfreeze, layerwise, multipliers
    from .net import Chain, Graph
    from .optim import SGD, Adam, AdamW, Progress, RMSProp, SignSGD
    from .train import Measure, Stop, Trainer, TrainResult, accuracy, confusion, top
    from .train.evaluate import evaluate  # mypy would take these two for the files of their names
    from .train.train import train

__all__ = [
    "GELU",
    "SGD",
    "Adam",
    "AdamW",
    "Add",
    "Augment",
    "BatchNorm",
    "Catenate",
    "Chain",
    "ClassDecoder",
    "ClassEncoder",
    "Constant",
    "Conv",
    "DataError",
    "Dataset",
    "Deconv",
    "DeviceError",
    "DeviceMemoryError",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "FormatError",
    "FunctionEncoder",
    "GlobalMeanPool",
    "GradientError",
    "Graph",
    "ImageEncoder",
    "LayerNorm",
    "LeakyRamp",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MaxPool",
    "MeanPool",
    "Measure",
    "MinnetError",
    "MinnetWarning",
    "Multiply",
    "NonFiniteError",
    "PathError",
    "Progress",
    "RMSProp",
    "Ramp",
    "ReLU",
    "Reshape",
    "ScalarDecoder",
    "ShapeError",
    "Sigmoid",
    "SignSGD",
    "Softmax",
    "Softplus",
    "SpecError",
    "Stop",
    "Tanh",
    "Tensor",
    "TrainResult",
    "Trainer",
    "Transpose",
    "accuracy",
    "check_grad",
    "confusion",
    "data",
    "evaluate",
    "free",
    "grad",
    "gradients",
    "gradual_unfreeze",
    "layers",
    "layerwise",
    "load",
    "measure",
    "memory",
    "models",
    "multipliers",
    "ops",
    "optim",
    "save",
    "study",
    "summary",
    "top",
    "train",
    "value_and_grad",
]

__version__ = "0.1.0"

# The names of each submodule that are minnet's own, too.
_NAMES = {
    "autodiff": "Tensor check_grad grad gradients value_and_grad",
    "backend": "free memory",
    "data": "ClassDecoder ClassEncoder Dataset FunctionEncoder ImageEncoder ScalarDecoder",
    "draw": "summary",
    "errors": """
        DataError DeviceError DeviceMemoryError FormatError GradientError MinnetError
        MinnetWarning NonFiniteError PathError ShapeError SpecError
    """,
    "io": "load save",
    "layers": """
        GELU Add Augment BatchNorm Catenate Constant Conv Deconv Dropout Elementwise
        Embedding Flatten GlobalMeanPool LayerNorm LeakyRamp Linear LocalResponseNorm
        LogSoftmax MaxPool MeanPool Multiply Ramp ReLU Reshape Sigmoid Softmax Softplus
        Tanh Transpose
    """,
    "multipliers": "gradual_unfreeze layerwise multipliers",
    "net": "Chain Graph",
    "optim": "SGD Adam AdamW Progress RMSProp SignSGD",
    "train": "Measure Stop Trainer TrainResult accuracy confusion evaluate top train",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}


if not TYPE_CHECKING:  # or type checkers would believe that every name exists

    def __getattr__(name: str) -> object:
        """Import what is asked for the first time, and keep it."""
        if name in _HOMES:
            found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        elif name in __all__ or name in _NAMES:
            found = importlib.import_module(f".{name}", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """minnet itself, in which `train` and `multipliers` are functions and stay so.

    Python would put each submodule into the package under its name as soon as anything
    imports it, in these two places the folders that the functions are in.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
