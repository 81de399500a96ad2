"""Layers that bring numbers to a common scale: BatchNorm, LayerNorm and LocalResponseNorm."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..autodiff import Tensor
from ..backend import Array, Shape
from ..checks import number, positive
from ..errors import ShapeError
from .base import ArraySpec, Context, Layer, layer

__all__ = ["BatchNorm", "LayerNorm", "LocalResponseNorm"]


@layer
class BatchNorm(Layer):
    """Bring each channel to mean 0 and variance 1, then scale and shift it.

    It takes examples `(..., channels)` and keeps their shape. In training it uses
    the mean and variance of the batch (over everything but the channels) and keeps
    running averages of them, which it uses in inference. *A BatchNorm none of
    whose arrays is trained runs as in inference, in training too*: it uses its
    running statistics and leaves them alone. From Ioffe & Szegedy, "Batch
    normalization", 2015.

    Parameters
    ----------
    momentum
        The weight of the new batch in the running statistics, from 0 to 1.
    epsilon
        Added to the variance before its root is taken.

    Raises
    ------
    SpecError
        If an option is none of those.
    ShapeError
        If the channels don't fit its arrays `scale`, `shift`, `running_mean` and
        `running_variance`, each of shape `(channels,)`; or if it is trained on a
        batch with a single value per channel, which has no variance.

    Notes
    -----
    The batch is divided by its biased variance; the running variance averages the
    unbiased one, as in the paper and PyTorch.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> norm = mn.BatchNorm().with_arrays_here({
    ...     "scale": np.ones(1), "shift": np.zeros(1),
    ...     "running_mean": np.array([5.0]), "running_variance": np.array([4.0])})
    >>> norm(np.array([[5.0], [9.0]])).round(3)
    array([[0.],
           [2.]])
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    array_names: ClassVar[tuple[str, ...]] = ("scale", "shift", "running_mean", "running_variance")
    state_names: ClassVar[tuple[str, ...]] = ("running_mean", "running_variance")

    def __post_init__(self) -> None:
        self._settle(
            momentum=number(self.momentum, "momentum", least=0.0, most=1.0),
            epsilon=_epsilon(self.epsilon),
        )
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        return _with_channels("BatchNorm", shape)

    def array_specs(self, shape: Shape) -> dict[str, ArraySpec]:
        channels = self.output_shape(shape)[-1:]
        ones = ("scale", "running_variance")
        return {
            name: ArraySpec(channels, "ones" if name in ones else "zeros")
            for name in self.array_names
        }

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.check_arrays(x.shape[1:])
        scale, shift, mean, variance = (self._need(name) for name in self.array_names)
        if context is None or not (isinstance(scale, Tensor) or isinstance(shift, Tensor)):
            return ops.normalize(x, mean, variance, scale, shift, self.epsilon)
        # Values per channel, of the whole batch, over which `batch_norm` goes as well.
        count = round(math.prod(x.shape[:-1]) / context.share)
        if count < 2:
            raise ShapeError(
                f"BatchNorm needs more than one value per channel to train on, got a batch of "
                f"shape {x.shape}: take larger batches, or freeze this layer"
            )
        y, mean, variance = ops.batch_norm(x, scale, shift, self.epsilon)
        self.remember(context, mean, variance, count)
        return y

    def remember(self, context: Context, mean: Array, variance: Array, count: int) -> None:
        """Leave in the context the running statistics after a batch of so many values a channel."""
        self._update(context, "running_mean", mean)
        self._update(context, "running_variance", variance * (count / (count - 1)))

    def _update(self, context: Context, name: str, new: Array) -> None:
        """Leave the running statistic after this batch in the context, where the last one is."""
        path = (*context.path, name)
        old = context.updates.get(path, self._need(name))
        average = (1 - self.momentum) * old + self.momentum * new
        context.updates[path] = average.astype(old.dtype, copy=False)


@layer
class LayerNorm(Layer):
    """Bring each vector to mean 0 and variance 1, then scale and shift its elements.

    It takes examples `(..., channels)`, norms over the last axis alone, and keeps
    their shape. From Ba et al., "Layer normalization", 2016.

    Parameters
    ----------
    epsilon
        Added to the variance before its root is taken.

    Raises
    ------
    SpecError
        If epsilon is not a positive number.
    ShapeError
        If the channels don't fit its arrays `scale` and `shift`, each of shape
        `(channels,)`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> norm = mn.LayerNorm().with_arrays_here({"scale": np.ones(2), "shift": np.zeros(2)})
    >>> norm(np.array([[3.0, 5.0], [10.0, 90.0]])).round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    epsilon: float = 1e-5

    array_names: ClassVar[tuple[str, ...]] = ("scale", "shift")

    def __post_init__(self) -> None:
        self._settle(epsilon=_epsilon(self.epsilon))
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        return _with_channels("LayerNorm", shape)

    def array_specs(self, shape: Shape) -> dict[str, ArraySpec]:
        channels = self.output_shape(shape)[-1:]
        return {"scale": ArraySpec(channels, "ones"), "shift": ArraySpec(channels, "zeros")}

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.check_arrays(x.shape[1:])
        return ops.layer_norm(x, self._need("scale"), self._need("shift"), self.epsilon)


@layer
class LocalResponseNorm(Layer):
    """Divide each number by what is active in the channels around it.

    It takes examples `(..., channels)` and keeps their shape:
    `b = a / (k + alpha * sum of a**2 over size channels around it) ** beta`.
    From Krizhevsky et al., "ImageNet classification with deep convolutional neural
    networks", 2012, section 3.3, whose constants are the defaults.

    Parameters
    ----------
    size
        How many neighbouring channels count, the number's own in the middle.
    alpha, beta, k
        The constants of the formula; `k` is positive, `alpha` not negative.

    Raises
    ------
    SpecError
        If an option is none of those.
    ShapeError
        If an example is a single number.

    Notes
    -----
    Caffe (and PyTorch) divide `alpha` by `size`, and Caffe's nets have k = 1:
    Caffe's `local_size: 5, alpha: 0.0001, beta: 0.75` is
    `LocalResponseNorm(5, alpha=0.0001 / 5, k=1)` here.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> norm = mn.LocalResponseNorm(3, alpha=1.0, beta=1.0, k=1.0)
    >>> norm(np.array([[1.0, 1.0, 1.0, 0.0]])).round(3)
    array([[0.333, 0.25 , 0.333, 0.   ]])
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def __post_init__(self) -> None:
        self._settle(
            size=positive(self.size, "the size of a LocalResponseNorm"),
            alpha=number(self.alpha, "alpha", least=0.0),
            beta=number(self.beta, "beta"),
            k=number(self.k, "k", above=0.0),
        )
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        return _with_channels("LocalResponseNorm", shape)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


def _epsilon(value: Any) -> float:
    """Return a checked epsilon."""
    return number(value, "epsilon", above=0.0)


def _with_channels(kind: str, shape: Shape) -> Shape:
    """Return the shape if it has channels."""
    if not shape:
        raise ShapeError(f"{kind} expects examples of shape (..., channels), got single numbers")
    return shape
