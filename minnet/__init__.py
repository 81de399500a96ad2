"""minnet: a neural-network engine on NumPy, where freezing part of a net is exact and free."""

import importlib
from typing import TYPE_CHECKING, Any

from . import data, layers, models, ops, optim
from .autodiff import Tensor, check_grad, grad, gradients, value_and_grad
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
from .train import Measure, Stop, Trainer, TrainResult, accuracy, confusion, evaluate, top, train

if TYPE_CHECKING:
    from . import measure, study

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
    "grad",
    "gradients",
    "gradual_unfreeze",
    "layers",
    "layerwise",
    "load",
    "measure",
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


def __getattr__(name: str) -> Any:
    """Import what most programs don't need when it is first asked for."""
    if name in ("measure", "study"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
