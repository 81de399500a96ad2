"""A gradient that is a product of two matrices, not made yet: the step may make it in passing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array
from ..ops.kernels import product_into

__all__ = ["Product"]


@dataclass(slots=True, eq=False)
class Product:
    """The gradient of a loss by the weight of a Linear layer: `x.T @ d`.

    Parameters
    ----------
    x
        What went into the layer, of shape (N, inputs); None as long as there is nothing.
    d
        The gradient by what came out, of shape (N, outputs).
    room
        Where to write the product, of shape (inputs, outputs).

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.optim.product import Product
    >>> Product(np.array([[1.0, 2.0]]), np.array([[3.0]]), np.empty((2, 1))).made()
    array([3., 6.])
    """

    x: Any
    d: Array
    room: Array

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return self.room.dtype

    def made(self) -> Array:
        """Return the product, flat."""
        product_into(self.x.T, self.d, self.room)
        return self.room.reshape(-1)
