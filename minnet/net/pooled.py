"""A Conv and the MaxPool after it in a Chain, done as one where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..layers import Conv, MaxPool
from ..layers.base import Context

__all__ = ["pooled_at_once"]


class _Pooled(NamedTuple):
    """What has been pooled already."""

    value: Any


class _ConvAndPool(NamedTuple):
    """In the place of a Conv: it pools as well, if it can."""

    layer: Conv
    pool: MaxPool

    def apply(self, x: Any, context: Context | None = None) -> Any:
        y = self.layer.apply_and_pool(x, self.pool)
        return self.layer.apply(x, context) if y is None else _Pooled(y)


class _PoolIfNeeded(NamedTuple):
    """In the place of the MaxPool after it."""

    layer: MaxPool

    def apply(self, x: Any, context: Context | None = None) -> Any:
        return x.value if isinstance(x, _Pooled) else self.layer.apply(x, context)


def pooled_at_once(parts: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return layers one after another, each MaxPool done by the Conv before it where possible.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.net.pooled import pooled_at_once
    >>> parts = pooled_at_once([("conv", mn.Conv(2, 3)), ("pool", mn.MaxPool(2))])
    >>> [type(part).__name__ for _, part in parts]
    ['_ConvAndPool', '_PoolIfNeeded']
    """
    order = list(parts)
    for i in range(len(order) - 1):
        (key, part), (next_key, following) = order[i : i + 2]
        if type(part) is Conv and type(following) is MaxPool:
            order[i] = key, _ConvAndPool(part, following)
            order[i + 1] = next_key, _PoolIfNeeded(following)
    return order
