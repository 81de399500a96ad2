"""Taps: layers that leave their outputs in a list, put into a net for one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import PathError
from ..layers.base import Context, Layer, Path, dotted

if TYPE_CHECKING:
    from .base import Net

__all__ = ["tapped"]

AnyNet = TypeVar("AnyNet", bound="Net")


@dataclass(frozen=True, eq=False, repr=False)
class Tap(Layer):
    """A layer that also leaves its outputs in a list; made for one call, never kept."""

    inner: Layer
    seen: list[Any]

    @property
    def input_count(self) -> int | None:  # type: ignore[override]
        return self.inner.input_count

    def apply(self, x: Any, context: Context | None = None) -> Any:
        self.seen.append(self.inner.apply(x, context))
        return self.seen[-1]


def tapped(net: AnyNet, seen: Mapping[Path, list[Any]]) -> AnyNet:
    """Return the net with the outputs of the layers at these paths also left in these lists."""
    for path in sorted(seen, key=len, reverse=True):  # inner layers before the nets around them
        part = net._at(path)
        if not isinstance(part, Layer):
            raise PathError(f"{dotted(path)} is an array, not a layer")
        net = net.with_layers({path: Tap(part, seen[path], name=part.name)})
    return net
