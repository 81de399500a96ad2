"""The shorthands that nets take for layers: numbers, classes, lists and functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..errors import SpecError
from ..layers import Elementwise, Linear
from ..layers.activation import FUNCTIONS
from ..layers.base import Layer

__all__ = ["as_layer"]


def as_layer(item: Any) -> Layer:
    """Return the layer meant by a shorthand.

    Parameters
    ----------
    item
        A layer; an integer, which is a Linear of that size; a layer class, its
        default instance; a list, a nested Chain; an op of `minnet.ops` or another
        function of one array, an Elementwise.

    Raises
    ------
    SpecError
        If it is none of those.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.net import as_layer
    >>> as_layer(3), as_layer(mn.Ramp), as_layer([3, mn.Tanh]), as_layer(mn.ops.exp)
    (Linear(3), Ramp(), Chain(Linear(3), Tanh()), Elementwise(function='exp'))
    """
    if isinstance(item, Layer):
        return item
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        return Linear(int(item))
    if isinstance(item, type) and issubclass(item, Layer):
        return _default(item)
    if isinstance(item, list):
        from .chain import Chain  # at call time: chains are built on this file

        return Chain(*item)
    if callable(item) and not isinstance(item, type):
        name = getattr(item, "__name__", "")
        is_op = name in FUNCTIONS and getattr(ops, name) is item
        return Elementwise(name if is_op else item)  # a name can be saved, a function can't
    raise SpecError(
        "expected a layer, an integer (a Linear of that size), a layer class, a list (a Chain) "
        f"or a function, got {item.__name__ if isinstance(item, type) else repr(item)}"
    )


def _default(kind: type[Layer]) -> Layer:
    """Return the default instance of a class of layers."""
    try:
        return kind()
    except TypeError:
        raise SpecError(
            f"{kind.__name__} can't stand for its default instance, since it has options that "
            f"must be given: write {kind.__name__}(...)"
        ) from None
