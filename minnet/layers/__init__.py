"""Layers: descriptions with arrays, one family a file."""

from .activation import (
    GELU,
    Elementwise,
    LeakyRamp,
    LogSoftmax,
    Ramp,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from .base import ArraySpec, Context, Layer, Path, dotted, layer, walk
from .combine import Add, Catenate, Constant, Multiply
from .conv import Conv, Deconv
from .linear import Embedding, Linear
from .norm import BatchNorm, LayerNorm, LocalResponseNorm
from .pool import GlobalMeanPool, MaxPool, MeanPool
from .random import Augment, Dropout
from .shape import Flatten, Reshape, Transpose

__all__ = [
    "GELU",
    "Add",
    "ArraySpec",
    "Augment",
    "BatchNorm",
    "Catenate",
    "Constant",
    "Context",
    "Conv",
    "Deconv",
    "Dropout",
    "Elementwise",
    "Embedding",
    "Flatten",
    "GlobalMeanPool",
    "Layer",
    "LayerNorm",
    "LeakyRamp",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MaxPool",
    "MeanPool",
    "Multiply",
    "Path",
    "Ramp",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Transpose",
    "dotted",
    "layer",
    "walk",
]
