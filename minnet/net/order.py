"""The order in which layers one after another are computed, and what is done of it as one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from ..autodiff import value
from ..layers import MaxPool, Ramp
from ..layers.base import Layer
from ..ops import compiled
from .forward import Forward
from .pooled import pooled_at_once

__all__ = ["Order"]

Key = TypeVar("Key")
Steps = list[tuple[Any, Any]]


class Order:
    """Layers that are computed one after another, some of them as one where kernels can do that.

    Parameters
    ----------
    parts
        The layers with their keys.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.net.order import Order
    >>> y, rest = Order([("a", mn.Ramp()), ("b", mn.MaxPool(2))]).begun(1)
    >>> y, [key for key, _ in rest]
    (1, ['b', 'a'])
    """

    def __init__(self, parts: Iterable[tuple[Any, Layer]]) -> None:
        self._parts = list(parts)

    def __reduce__(self) -> Any:
        """Have a copy, in another process too, work out for itself where its arrays are."""
        return Order, (self._parts,)

    def begun(self, x: Any) -> tuple[Any, Steps]:
        """Return what comes out of the first layers where those are done at once, and the rest."""
        forward = self._forward
        if forward is not None and type(x) is np.ndarray:
            y = forward(x)
            if y is not None:
                return y, self._after
        steps, pooled = self._steps
        # Whatever its size: what comes out may be large.
        is_pooled = pooled is not None and compiled.takes(value(x), size=compiled.LEAST)
        return x, pooled if is_pooled and pooled is not None else steps

    @property
    def in_order(self) -> Steps:
        """The layers in the order to compute them in, one by one."""
        return self._steps[0]

    @cached_property
    def _steps(self) -> tuple[Steps, Steps | None]:
        steps = pools_first(self._parts)
        pooled = pooled_at_once(steps)
        return steps, None if pooled == steps else pooled

    @cached_property
    def _forward(self) -> Forward | None:
        return Forward.of(self._parts)

    @cached_property
    def _after(self) -> Steps:
        return pools_first(self._parts[self._forward.count if self._forward else 0 :])


def pools_first(parts: Iterable[tuple[Key, Layer]]) -> list[tuple[Key, Layer]]:
    """Return layers in the order to compute them in: a MaxPool before the Ramp that it follows.

    The largest of ramps is the ramp of the largest, bit for bit and there and back, of a
    fraction of the numbers.
    """
    order = list(parts)
    for i in range(len(order) - 1):
        if type(order[i][1]) is Ramp and type(order[i + 1][1]) is MaxPool:
            order[i], order[i + 1] = order[i + 1], order[i]
    return order
