"""Images as arrays: ImageEncoder, and reading, resizing and colouring images for it.

Pillow is imported here and nowhere else, and only once a file is read or an image resized.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..backend import Array, Shape, array_module, is_array
from ..checks import positive
from ..errors import DataError, ShapeError, SpecError
from .encoders import Encoder
from .labels import plain

__all__ = ["ImageEncoder", "load_image", "resize_images", "with_channels"]

CHANNELS = {"gray": 1, "color": 3}

# How bright red, green and blue look: ITU-R BT.601, as in Pillow's own conversion.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ImageEncoder(Encoder):
    """Makes arrays (H, W, C) of images: arrays, file paths, or lists of these mixed.

    Images of other sizes are resized (bilinear, antialiased), colours are turned
    gray and the other way round as needed. File paths and resizing take Pillow.

    Parameters
    ----------
    size
        Height and width in pixels; one number means both.
    color
        `"gray"` (1 channel) or `"color"` (3).
    mean
        What to subtract, after scaling: a number, or one per channel.
    scale
        What to multiply integer images by; the default brings bytes into 0 to 1.
        Images of floats are not scaled.

    Raises
    ------
    SpecError
        If an option isn't one.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.data import ImageEncoder
    >>> encoder = ImageEncoder((28, 28))
    >>> encoder.shape
    (28, 28, 1)
    >>> images = np.full((5, 28, 28), 255, dtype=np.uint8)
    >>> encoder.encode(images).shape
    (5, 28, 28, 1)
    >>> float(encoder.encode(images).max())
    1.0
    """

    size: tuple[int, int]
    color: str = "gray"
    mean: float | tuple[float, ...] = 0.0
    scale: float = 1 / 255

    def __post_init__(self) -> None:
        size = self.size if isinstance(self.size, list | tuple) else (self.size, self.size)
        if len(size) != 2:
            raise SpecError(f"size is (height, width), got {self.size!r}")
        height, width = (positive(side, "a side of an image") for side in size)
        if not isinstance(self.color, str) or self.color not in CHANNELS:
            raise SpecError(f"color is 'gray' or 'color', got {self.color!r}")
        scale = _number(self.scale, "scale")
        if scale <= 0:
            raise SpecError(f"scale must be above 0, got {scale}")
        for name, option in (("size", (height, width)), ("mean", self._mean()), ("scale", scale)):
            object.__setattr__(self, name, option)

    def _mean(self) -> float | tuple[float, ...]:
        """Return the mean as a number or a tuple of one per channel."""
        if not isinstance(self.mean, list | tuple) and np.ndim(self.mean) == 0:
            return _number(self.mean, "mean")
        mean = tuple(_number(channel, "mean") for channel in self.mean)  # type: ignore[union-attr]
        if len(mean) != CHANNELS[self.color]:
            raise SpecError(
                f"mean is one number or {CHANNELS[self.color]}, one per channel, got {self.mean!r}"
            )
        return mean

    @property
    def shape(self) -> Shape:
        """The shape of one encoded image."""
        return (*self.size, CHANNELS[self.color])

    def is_example(self, x: Any) -> bool:
        """Tell whether `x` is one image: a path, or an array (H, W) or (H, W, 1 or 3).

        Three axes could also be a batch of gray images; they are if the last two have
        the encoder's size, and if the last one is neither 1 nor 3.
        """
        if isinstance(x, str | os.PathLike):
            return True
        shape: Shape = getattr(x, "shape", ())
        if len(shape) == 3:
            return shape[2] in (1, 3) and tuple(shape[1:]) != self.size
        return len(shape) == 2

    def encode(self, batch: Any, dtype: DTypeLike | None = None) -> Array:
        """Return images as an array (N, H, W, C), float32 unless another `dtype` is asked for.

        Parameters
        ----------
        batch
            An array (N, H, W) or (N, H, W, 1 or 3), integers or floats; one image; or
            a list (or array) of images and file paths.

        Raises
        ------
        ShapeError
            If an array doesn't have the shape of images.
        DataError
            If there is no image, one can't be read, or Pillow is needed and missing.
        """
        kind = np.dtype(dtype or np.float32)
        if kind.kind != "f":
            raise SpecError(f"images are encoded as floats, not as {kind}")
        if isinstance(batch, str | os.PathLike):
            batch = [batch]
        if not isinstance(batch, list | tuple):
            batch = _as_array(batch)
            if batch.ndim != 1:
                images = batch[None] if self.is_example(batch) else batch
                return self._encode_array(images, kind)
        if len(batch) == 0:
            raise DataError("expected at least one image, got none")
        encoded = np.empty((len(batch), *self.shape), dtype=kind)
        for i, image in enumerate(batch):
            is_path = isinstance(image, str | os.PathLike)
            array = load_image(image) if is_path else _as_array(image)
            encoded[i] = self._encode_array(array[None], kind)[0]
        return encoded

    def _encode_array(self, images: Array, dtype: np.dtype[Any]) -> Array:
        """Encode images of one size, all at once."""
        if images.ndim == 0:
            raise DataError(f"expected images, got {images!r}")
        if images.dtype.kind not in "buif":
            raise DataError(f"expected images of numbers or file paths, got {images.dtype} arrays")
        if len(images) == 0:
            raise DataError("expected at least one image, got none")
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[-1] not in CHANNELS.values() or images.size == 0:
            raise ShapeError(
                "expected images of shape (H, W), (H, W, 1) or (H, W, 3), one or a batch "
                f"(N, ...) of them, got images of shape {images.shape[1:]}"
            )
        xp = array_module(images)
        scale = self.scale if images.dtype.kind in "ui" else 1.0
        encoded = with_channels(xp.multiply(images, scale, dtype=dtype), self.shape[-1])
        if images.shape[1:3] != self.size:
            encoded = resize_images(encoded, self.size).astype(dtype)
        if self.mean != 0.0:
            encoded -= xp.asarray(self.mean, dtype=dtype)
        return encoded

    def options(self) -> dict[str, Any]:
        """Return what to make an equal encoder from, in terms that JSON has."""
        mean = list(self.mean) if isinstance(self.mean, tuple) else self.mean
        return {"size": list(self.size), "color": self.color, "mean": mean, "scale": self.scale}


def _as_array(image: Any) -> Array:
    """Return an array as it is, anything like one as an array."""
    if is_array(image):
        array: Array = image
        return array
    try:
        return np.asarray(image)
    except ValueError as error:
        raise DataError(f"expected an image as an array or a file path: {error}") from error


def _number(value: Any, what: str) -> float:
    """Return `value` as a float if it is a finite number, else raise a SpecError."""
    number = plain(value)
    if isinstance(number, int | float) and not isinstance(number, bool):
        with contextlib.suppress(OverflowError):  # whole numbers beyond all floats
            if math.isfinite(number):
                return float(number)
    raise SpecError(f"{what} must be a finite number, got {value!r}")


def _pillow(purpose: str) -> Any:
    """Return Pillow, or say how to get it."""
    try:
        import PIL.Image
        import PIL.ImageOps

        return PIL
    except ImportError as error:
        raise DataError(
            f"{purpose} takes Pillow, which isn't installed: pip install 'minnet[image]'"
        ) from error


def load_image(path: str | os.PathLike[str]) -> Array:
    """Return the image in a file, upright: uint8, (H, W) if it is gray, else (H, W, 3).

    Transparency is left out; of 16 bits a pixel the upper 8 are kept.

    Raises
    ------
    DataError
        If the file can't be read as an image, or Pillow isn't installed.
    """
    pillow = _pillow("reading an image file")
    try:
        with pillow.Image.open(path) as file:
            return _bytes(pillow.ImageOps.exif_transpose(file))
    except (OSError, SyntaxError, ValueError, pillow.Image.DecompressionBombError) as error:
        raise DataError(f"can't read {os.fspath(path)!r} as an image: {error}") from error


def _bytes(image: Any) -> Array:
    """Return one of Pillow's images as bytes, gray or coloured as it is."""
    if image.mode.startswith("I"):
        return np.asarray(np.clip(np.asarray(image), 0, 65535) // 256, dtype=np.uint8)
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    # By way of RGBA: Pillow warns of palettes with transparency otherwise.
    return np.asarray(image.convert("RGBA").convert("RGB"))


def resize_images(images: Array, size: tuple[int, int]) -> Array:
    """Return images (N, H, W, C) at another (height, width), float32.

    Bilinear; shrinking averages over all the pixels that fall into one (antialiasing).
    """
    pillow = _pillow("resizing images")
    height, width = size
    resized = np.empty((len(images), height, width, images.shape[-1]), dtype=np.float32)
    for i, image in enumerate(images):
        for channel in range(images.shape[-1]):
            plane = np.ascontiguousarray(image[..., channel], dtype=np.float32)
            picture = pillow.Image.fromarray(plane)
            bilinear = pillow.Image.Resampling.BILINEAR
            resized[i, ..., channel] = np.asarray(picture.resize((width, height), bilinear))
    return resized


def with_channels(images: Array, channels: int) -> Array:
    """Return images (N, H, W, 1 or 3) of floats with 1 channel (gray) or 3 (colour)."""
    if images.shape[-1] == channels:
        return images
    if channels == 3:
        return images.repeat(3, axis=-1)
    red, green, blue = (images[..., i : i + 1] for i in range(3))
    gray: Array = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return gray
