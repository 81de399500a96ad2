"""Layers that summarize what is under a window: MaxPool, MeanPool and GlobalMeanPool."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..backend import Shape
from ..errors import ShapeError, SpecError
from .base import Context, Layer, layer
from .windows import Padding, Sizes, check_image, dimensions_of, each, padding_option, sizes

__all__ = ["GlobalMeanPool", "MaxPool", "MeanPool"]


@layer
class _Pool(Layer):
    """What MaxPool and MeanPool share: everything but the op."""

    window: Sizes
    stride: Sizes | None = None
    padding: Padding = 0
    dimensions: int = 2

    def __post_init__(self) -> None:
        dimensions = dimensions_of(self.window, self.dimensions)
        self._settle(
            window=sizes(self.window, "window", dimensions),
            padding=padding_option(self.padding, dimensions),
            dimensions=dimensions,
        )
        if self.stride is not None:
            self._settle(stride=sizes(self.stride, "stride", dimensions))
        self._check_padding()
        super().__post_init__()

    def _check_padding(self) -> None:
        """Refuse padding so wide that a window could see nothing else."""
        if isinstance(self.padding, str):
            return
        amounts = self.padding if isinstance(self.padding, tuple) else (self.padding,) * 2
        for window, amount in zip(each(self.window, self.dimensions), amounts, strict=False):
            if max(amount if isinstance(amount, tuple) else (amount,)) >= window:
                raise SpecError(
                    f"padding must be smaller than the window, {self.window}, got {self.padding}"
                )

    def output_shape(self, shape: Shape) -> Shape:
        check_image(type(self).__name__, shape, self.dimensions)
        window, stride = self._sizes()
        ones = (1,) * self.dimensions
        return (*ops.output_sizes(shape[:-1], window, stride, self.padding, ones), shape[-1])

    def _sizes(self) -> tuple[Shape, Shape]:
        """Return window and stride, each with a number per axis."""
        window = each(self.window, self.dimensions)
        return window, window if self.stride is None else each(self.stride, self.dimensions)


@layer
class MaxPool(_Pool):
    """Take the largest number under a window, for each channel by itself.

    It takes images `(height, width, channels)` or sequences `(length, channels)`
    to smaller ones.

    Parameters
    ----------
    window
        Its size: one number for all axes or a tuple of one each.
    stride
        How far it moves at a time; as far as it is wide when left out.
    padding
        How much to put around the input, of -infinity, so that it never is the
        largest: a number, a tuple with a number or a pair `(before, after)` for
        each axis, all smaller than the window, or `"same"`.
    dimensions
        2 for images, 1 for sequences; a window given as a tuple says it itself.

    Raises
    ------
    SpecError
        If an option is none of those.
    ShapeError
        If the input has other axes or is smaller than the window.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.MaxPool((2,))(np.array([[[1.0], [7.0], [4.0], [3.0]]]))[0, :, 0]
    array([7., 4.])
    """

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.max_pool(x, *self._sizes(), self.padding)


@layer
class MeanPool(_Pool):
    """Take the mean of the numbers under a window, for each channel by itself.

    It takes images `(height, width, channels)` or sequences `(length, channels)`
    to smaller ones. What was padded doesn't count in the mean.

    Parameters
    ----------
    window
        Its size: one number for all axes or a tuple of one each.
    stride
        How far it moves at a time; as far as it is wide when left out.
    padding
        How much to put around the input: a number, a tuple with a number or a
        pair `(before, after)` for each axis, all smaller than the window, or
        `"same"`.
    dimensions
        2 for images, 1 for sequences; a window given as a tuple says it itself.

    Raises
    ------
    SpecError
        If an option is none of those.
    ShapeError
        If the input has other axes or is smaller than the window.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.MeanPool((2,))(np.array([[[1.0], [7.0], [4.0], [3.0]]]))[0, :, 0]
    array([4. , 3.5])
    """

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.mean_pool(x, *self._sizes(), self.padding)


@layer
class GlobalMeanPool(Layer):
    """Take the mean over everything but the channels: `(..., channels)` to `(channels,)`.

    From Lin et al., "Network in network", 2013, section 3.2.

    Raises
    ------
    ShapeError
        If there is nothing but channels to an example.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.GlobalMeanPool()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]])
    """

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) < 2:
            raise ShapeError(
                "GlobalMeanPool expects examples of at least two axes, (..., channels), "
                f"got {shape}"
            )
        return (shape[-1],)

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.output_shape(x.shape[1:])
        return ops.mean(x, axis=tuple(range(1, x.ndim - 1)))
