"""Layers that slide a window of weights over images or sequences: Conv and Deconv."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .. import ops
from ..backend import Shape
from ..checks import boolean, positive
from ..errors import MinnetError, ShapeError, SpecError
from ..ops.conv import conv_and_pool
from .base import ArraySpec, Context, Layer, layer
from .windows import Padding, Sizes, check_image, dimensions_of, each, padding_option, sizes

__all__ = ["Conv", "Deconv"]


@layer
class Conv(Layer):
    """Convolve images `(height, width, in)` or sequences `(length, in)`.

    Each output is the weighted sum of the inputs under a window, which slides on
    by `stride`. (As everywhere in this field the window isn't flipped, so a
    mathematician would say cross-correlation.)

    Parameters
    ----------
    channels
        How many numbers come out at each place.
    window
        Its size: one number for all axes or a tuple of one each.
    stride
        How far it moves at a time.
    padding
        How many zeros to put around the input: a number, a tuple with a number or
        a pair `(before, after)` for each axis, or `"same"`, as many as make the
        output as large as the input (divided by the stride, rounded up).
    dilation
        The distance between neighbours within the window.
    groups
        Cut the channels into that many groups, each of which only sees its own
        (Krizhevsky et al., "ImageNet classification with deep convolutional
        neural networks", 2012, section 3.5); both channel counts must divide by it.
    bias
        Whether to add a bias for each channel.
    dimensions
        2 for images, 1 for sequences; a window given as a tuple says it itself.

    Raises
    ------
    SpecError
        If an option is none of those.
    ShapeError
        If the input has other axes, its channels don't divide by the groups or
        don't fit the weight, of shape `(kh, kw, in / groups, channels)`, or it is
        smaller than the window.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> edges = mn.Conv(1, (2,), bias=False)
    >>> edges = edges.with_arrays_here({"weight": np.array([[[-1.0]], [[1.0]]])})
    >>> edges(np.array([[[0.0], [0.0], [5.0], [5.0]]]))[0, :, 0]
    array([0., 5., 0.])
    """

    channels: int
    window: Sizes
    stride: Sizes = 1
    padding: Padding = 0
    dilation: Sizes = 1
    groups: int = 1
    bias: bool = True
    dimensions: int = 2

    array_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __post_init__(self) -> None:
        dimensions = dimensions_of(self.window, self.dimensions)
        self._settle(
            channels=positive(self.channels, "channels"),
            window=sizes(self.window, "window", dimensions),
            stride=sizes(self.stride, "stride", dimensions),
            padding=padding_option(self.padding, dimensions),
            dilation=sizes(self.dilation, "dilation", dimensions),
            groups=positive(self.groups, "groups"),
            bias=boolean(self.bias, "bias"),
            dimensions=dimensions,
        )
        if self.channels % self.groups:
            raise SpecError(f"{self.channels} channels don't divide into {self.groups} groups")
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        check_image("Conv", shape, self.dimensions)
        if shape[-1] % self.groups:
            raise ShapeError(
                f"Conv with groups={self.groups} expects channels that divide by it, "
                f"got {shape[-1]} channels (an input of shape {shape})"
            )
        window, stride, dilation = self._sizes()
        places = ops.output_sizes(shape[:-1], window, stride, self.padding, dilation)
        return (*places, self.channels)

    def array_specs(self, shape: Shape) -> dict[str, ArraySpec]:
        self.output_shape(shape)
        window, inputs = self._sizes()[0], shape[-1] // self.groups
        fan_in = math.prod(window) * inputs
        fan_out = math.prod(window) * self.channels // self.groups
        weight = ArraySpec((*window, inputs, self.channels), fan_in=fan_in, fan_out=fan_out)
        bias = {"bias": ArraySpec((self.channels,), "zeros")} if self.bias else {}
        return {"weight": weight} | bias

    def apply(self, x: Any, context: Context | None = None) -> Any:
        weight, bias = self._need("weight"), self._need("bias") if self.bias else None
        self.check_arrays(x.shape[1:])
        return ops.conv(x, weight, bias, *self._moves())

    def apply_and_pool(self, x: Any, pool: Any, is_ramp: bool = False) -> Any:
        """Return what a MaxPool makes of what `apply` gives, if that can be done as one op.

        And what a Ramp makes of that, if asked for. None else, as where the two don't fit what
        comes in.
        """
        weight, bias = self._need("weight"), self._need("bias") if self.bias else None
        try:
            self.check_arrays(x.shape[1:])
            how = self._moves(), (*pool._sizes(), pool.padding)
            return conv_and_pool(x, weight, bias, *how, is_ramp)
        except MinnetError:  # each says by itself what is wrong
            return None

    def _moves(self) -> tuple[Any, ...]:
        """Return the options of the op."""
        _, stride, dilation = self._sizes()
        return stride, self.padding, dilation, self.groups

    def _sizes(self) -> tuple[Shape, Shape, Shape]:
        """Return window, stride and dilation, each with a number per axis."""
        dimensions = self.dimensions
        window, stride = each(self.window, dimensions), each(self.stride, dimensions)
        return window, stride, each(self.dilation, dimensions)


@layer
class Deconv(Layer):
    """Spread each input over a window: the transpose of `Conv`, which makes images larger.

    Where `Conv` gathers what is under the window, this adds each input, times the
    weights, to what is under it. An axis of length `n` becomes
    `(n - 1) * stride + window - padding before and after`
    (Zeiler et al., "Deconvolutional networks", 2010).

    Parameters
    ----------
    channels
        How many numbers come out at each place.
    window
        Its size: one number for all axes or a tuple of one each.
    stride
        How far it moves for each step in the input.
    padding
        How much to cut off the borders of the output: a number, a tuple with a
        number or a pair `(before, after)` for each axis, or `"same"`, what makes
        the output `stride` times as large as the input.
    bias
        Whether to add a bias for each channel.
    dimensions
        2 for images, 1 for sequences; a window given as a tuple says it itself.

    Raises
    ------
    SpecError
        If an option is none of those.
    ShapeError
        If the input has other axes, its channels don't fit the weight, of shape
        `(kh, kw, in, channels)`, or nothing is left of the output.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> double = mn.Deconv(1, (2,), stride=2, bias=False)
    >>> double = double.with_arrays_here({"weight": np.ones((2, 1, 1))})
    >>> double(np.array([[[3.0], [4.0]]]))[0, :, 0]
    array([3., 3., 4., 4.])
    """

    channels: int
    window: Sizes
    stride: Sizes = 1
    padding: Padding = 0
    bias: bool = True
    dimensions: int = 2

    array_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __post_init__(self) -> None:
        dimensions = dimensions_of(self.window, self.dimensions)
        self._settle(
            channels=positive(self.channels, "channels"),
            window=sizes(self.window, "window", dimensions),
            stride=sizes(self.stride, "stride", dimensions),
            padding=padding_option(self.padding, dimensions),
            bias=boolean(self.bias, "bias"),
            dimensions=dimensions,
        )
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        check_image("Deconv", shape, self.dimensions)
        places = ops.deconv_output_sizes(shape[:-1], *self._sizes(), self.padding)
        return (*places, self.channels)

    def array_specs(self, shape: Shape) -> dict[str, ArraySpec]:
        self.output_shape(shape)
        window, stride = self._sizes()
        # With a stride an output is reached by only so many of the window's places.
        fan_in = max(1, math.prod(window) // math.prod(stride)) * shape[-1]
        fan_out = math.prod(window) * self.channels
        weight_shape = (*window, shape[-1], self.channels)
        weight = ArraySpec(weight_shape, fan_in=fan_in, fan_out=fan_out)
        bias = {"bias": ArraySpec((self.channels,), "zeros")} if self.bias else {}
        return {"weight": weight} | bias

    def apply(self, x: Any, context: Context | None = None) -> Any:
        weight, bias = self._need("weight"), self._need("bias") if self.bias else None
        self.check_arrays(x.shape[1:])
        return ops.deconv(x, weight, bias, self._sizes()[1], self.padding)

    def _sizes(self) -> tuple[Shape, Shape]:
        """Return window and stride, each with a number per axis."""
        return each(self.window, self.dimensions), each(self.stride, self.dimensions)
