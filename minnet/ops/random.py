"""What is random in training: dropout, and shifting, flipping and cropping images."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array, Shape, array_module
from ..checks import number
from ..errors import ShapeError, SpecError
from . import gpu
from .checks import Amount, array_of, per_axis
from .windows import patches, spatial_sizes

__all__ = ["dropout", "random_crop", "random_flip", "random_shift"]


def dropout(x: Any, rate: float, random: np.random.Generator) -> Any:
    """Set each element to 0 with probability `rate`, and scale the others by 1 / (1 - rate).

    The scaling keeps the mean what it was, so nothing needs doing in inference
    (Srivastava et al. 2014, "Dropout"; scaled in training rather than after it).

    Parameters
    ----------
    x
        Array or Tensor of any shape.
    rate
        The share to drop, at least 0 and below 1.
    random
        Where the mask is drawn from; the same state gives the same mask (on a GPU another
        one than here, of a seed drawn from it).

    Raises
    ------
    SpecError
        If `rate` or `random` is not such a thing.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.dropout(np.ones(6), 0.5, np.random.default_rng(0))
    array([2., 2., 2., 0., 0., 0.])
    """
    a = array_of(x)
    rate = number(rate, "the rate of dropout", least=0.0, below=1.0)
    _check_generator(random)
    if rate == 0:
        return record(a, (x, lambda g: g))
    if gpu.takes(a):
        seed = int(random.integers(1 << 63))
        return record(gpu.random.drop(a, seed, rate), (x, lambda g: gpu.random.drop(g, seed, rate)))
    # The mask is kept as bools: a quarter of what the scaled one would take.
    kept = _generator(random, a).random(a.shape, dtype=np.float32) >= rate
    scale = 1 / (1 - rate)

    def drop(array: Array) -> Any:
        return array * kept * scale

    return record(drop(a), (x, drop))


def random_shift(images: Array, most: Amount, random: np.random.Generator) -> Array:
    """Move each image by up to `most` pixels either way along each axis, at random.

    Parameters
    ----------
    images
        Plain array of shape (N, H, W, C), or (N, L, C).
    most
        The largest shift, in pixels: one number or one for each axis. What comes
        in from outside is 0.
    random
        Where the shifts are drawn from.

    Returns
    -------
    array
        Of the shape and dtype of `images`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> image = np.arange(1, 5).reshape(1, 4, 1)
    >>> mn.ops.random_shift(image, 1, np.random.default_rng(1))[0, :, 0]
    array([1, 2, 3, 4])
    """
    images = array_of(images)
    sizes = spatial_sizes(images, "a batch of images")
    amounts = per_axis(most, len(sizes), "the largest shift", 0)
    edges = ((0, 0), *((m, m) for m in amounts), (0, 0))
    return random_crop(array_module(images).pad(images, edges), sizes, random)


def random_flip(images: Array, random: np.random.Generator) -> Array:
    """Mirror each image left to right with probability 1/2.

    Parameters
    ----------
    images
        Plain array of shape (N, H, W, C); the axis before the channels is mirrored.
    random
        Where it is drawn from which ones.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> images = np.arange(6).reshape(2, 3, 1)
    >>> mn.ops.random_flip(images, np.random.default_rng(0))[:, :, 0]
    array([[0, 1, 2],
           [5, 4, 3]])
    """
    images = array_of(images)
    spatial_sizes(images, "a batch of images")
    _check_generator(random)
    if not isinstance(images, np.ndarray):  # a GPU would have to count the chosen ones first
        drawn: Any = _generator(random, images).random(len(images), dtype=np.float32)
        chosen = (drawn < 0.5).reshape(-1, *(1,) * (images.ndim - 1))
        return np.where(chosen, images[..., ::-1, :], images)
    chosen = random.random(len(images)) < 0.5
    flipped = images.copy()
    flipped[chosen] = images[chosen][..., ::-1, :]
    return flipped


def random_crop(images: Array, size: Amount, random: np.random.Generator) -> Array:
    """Cut a part of the given size out of each image, at a place drawn for each.

    Parameters
    ----------
    images
        Plain array of shape (N, H, W, C), or (N, L, C).
    size
        The size of the part: one number or one for each axis.
    random
        Where the places are drawn from.

    Returns
    -------
    array
        Of shape (N, *size, C).

    Raises
    ------
    ShapeError
        If the images are smaller than that.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> images = np.zeros((8, 32, 32, 3))
    >>> mn.ops.random_crop(images, 28, np.random.default_rng(0)).shape
    (8, 28, 28, 3)
    """
    images = array_of(images)
    _check_generator(random)
    places = patches(images, _crop_size(images, size))
    count = len(spatial_sizes(images, "a batch of images"))
    draw = _generator(random, images)
    drawn = [draw.integers(n, size=len(images)) for n in places.shape[1 : count + 1]]
    crops: Array = places[(array_module(images).arange(len(images)), *drawn)]
    return crops


def _crop_size(images: Array, size: Amount) -> Shape:
    """Return the size to crop to as one number for each axis, none larger than the images."""
    sizes = spatial_sizes(images, "a batch of images")
    wanted = per_axis(size, len(sizes), "the size to crop to")
    if any(k > n for k, n in zip(wanted, sizes, strict=True)):
        raise ShapeError(f"can't crop images of {sizes} to {wanted}: they are smaller")
    return wanted


def _generator(random: np.random.Generator, like: Array) -> Any:
    """Return what draws numbers where an array is: on a GPU one with a seed from it."""
    if isinstance(like, np.ndarray):
        return random
    theirs = array_module(like).random
    return theirs.Generator(theirs.Philox4x3210(int(random.integers(1 << 63)), size=1 << 10))


def _check_generator(random: Any) -> None:
    """Raise a SpecError unless `random` is a generator."""
    if not isinstance(random, np.random.Generator):
        raise SpecError(
            f"random must be a NumPy generator such as numpy.random.default_rng(0), got {random!r}"
        )
