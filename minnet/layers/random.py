"""Layers that are random in training and do nothing much in inference: Dropout and Augment."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import ops
from ..autodiff import Tensor
from ..backend import Shape
from ..checks import boolean, number, positive
from ..errors import ShapeError, SpecError
from .base import Context, Layer, layer
from .windows import Sizes, check_image, each, sizes

__all__ = ["Augment", "Dropout"]


@layer
class Dropout(Layer):
    """In training set numbers to 0 at random; in inference do nothing.

    Any shape, which it keeps. What remains is multiplied by `1 / (1 - rate)`, so
    the sums stay the same on average. It has no arrays, so freezing doesn't reach
    it. From Srivastava et al., "Dropout: a simple way to prevent neural networks
    from overfitting", 2014.

    Parameters
    ----------
    rate
        The share of the numbers that is set to 0, at least 0 and below 1.

    Raises
    ------
    SpecError
        If the rate is no such number.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Dropout(rate=0.2)(np.ones((1, 4)))
    array([[1., 1., 1., 1.]])
    >>> from minnet.layers import Context
    >>> mn.Dropout(rate=0.2).apply(np.ones((1, 4)), Context(np.random.default_rng(2)))
    array([[1.25, 1.25, 0.  , 1.25]])
    """

    rate: float = 0.5

    is_random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._settle(rate=number(self.rate, "the rate of Dropout", least=0.0, below=1.0))
        super().__post_init__()

    def apply(self, x: Any, context: Context | None = None) -> Any:
        if context is None or self.rate == 0:
            return x
        return ops.dropout(x, self.rate, context.random)


@layer
class Augment(Layer):
    """In training shift, mirror and crop each image at random, so that no two rounds are alike.

    It takes images `(height, width, channels)` and keeps their shape unless they
    are cropped. In inference it only crops, to the middle, so that what follows
    gets the same shape. Its place is first in a net: in training it takes plain
    images, not what trained layers computed.

    Parameters
    ----------
    shift
        By how many pixels at most to shift up, down, left and right; what comes in
        over the edges is 0.
    flip
        Whether to mirror half of the images, left to right.
    crop
        The size `(height, width)` to cut out, or one number for both; None is all.

    Raises
    ------
    SpecError
        If an option is none of those, or a Tensor comes in.
    ShapeError
        If the input is no image or is smaller than the crop.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.Augment(crop=(1, 2))(np.arange(12.0).reshape(1, 3, 4, 1))[0, :, :, 0]
    array([[5., 6.]])
    """

    shift: int = 0
    flip: bool = False
    crop: Sizes | None = None

    is_random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._settle(
            shift=positive(self.shift, "the shift of Augment", 0),
            flip=boolean(self.flip, "flip"),
        )
        if self.crop is not None:
            self._settle(crop=sizes(self.crop, "the crop of Augment", 2))
        super().__post_init__()

    def output_shape(self, shape: Shape) -> Shape:
        check_image("Augment", shape, 2)
        if self.crop is None:
            return shape
        height, width = each(self.crop, 2)
        if height > shape[0] or width > shape[1]:
            raise ShapeError(
                f"Augment can't crop {(height, width)} out of a smaller image, of shape {shape}"
            )
        return (height, width, shape[2])

    def apply(self, x: Any, context: Context | None = None) -> Any:
        height, width, _ = self.output_shape(x.shape[1:])
        if context is None:
            top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
            return x if self.crop is None else x[:, top : top + height, left : left + width]
        if isinstance(x, Tensor):
            raise SpecError(
                "Augment in training takes plain images, got a Tensor, which trained layers "
                "computed: put it before them, first in the net"
            )
        if self.shift:
            x = ops.random_shift(x, self.shift, context.random)
        if self.flip:
            x = ops.random_flip(x, context.random)
        return x if self.crop is None else ops.random_crop(x, (height, width), context.random)
