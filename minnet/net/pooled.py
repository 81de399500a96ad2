"""A Conv with the MaxPool and the Ramp after it in a Chain, done as one where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..layers import Conv, MaxPool, Ramp
from ..layers.base import Context, Layer

__all__ = ["pooled_at_once"]


class _Done(NamedTuple):
    """What the layers that follow have made already."""

    value: Any


class _ConvAndMore(NamedTuple):
    """In the place of a Conv: it pools as well, and more, if it can."""

    layer: Conv
    pool: MaxPool
    is_ramp: bool

    def apply(self, x: Any, context: Context | None = None) -> Any:
        y = self.layer.apply_and_pool(x, self.pool, self.is_ramp)
        return self.layer.apply(x, context) if y is None else _Done(y)


class _IfNotDone(NamedTuple):
    """In the place of a layer after it, of which the last one hands over what was done."""

    layer: Layer
    is_last: bool

    def apply(self, x: Any, context: Context | None = None) -> Any:
        if isinstance(x, _Done):
            return x.value if self.is_last else x
        return self.layer.apply(x, context)


def pooled_at_once(parts: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return layers one after another, with what a Conv may do of those that follow it.

    That is a MaxPool and a Ramp after that.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.net.pooled import pooled_at_once
    >>> parts = pooled_at_once([("conv", mn.Conv(2, 3)), ("pool", mn.MaxPool(2))])
    >>> [type(part).__name__ for _, part in parts]
    ['_ConvAndMore', '_IfNotDone']
    """
    order = list(parts)
    for i in range(len(order) - 1):
        (key, part), (next_key, following) = order[i : i + 2]
        if type(part) is Conv and type(following) is MaxPool:
            is_ramp = i + 2 < len(order) and type(order[i + 2][1]) is Ramp
            order[i] = key, _ConvAndMore(part, following, is_ramp)
            order[i + 1] = next_key, _IfNotDone(following, not is_ramp)
            if is_ramp:
                order[i + 2] = order[i + 2][0], _IfNotDone(order[i + 2][1], True)
    return order
