"""The backward pass: nodes, and sending gradients from the last one back to the first."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

import numpy as np

from ..backend import Array
from ..backend.devices import explained
from ..buffers import new_array
from ..errors import DeviceMemoryError
from ..threads import sharers

__all__ = ["GradientFunction", "Node", "added", "backward", "nodes"]

GradientFunction: TypeAlias = Callable[[Array], Array]


class Node:
    """One step of the computation: whence it came, and how to send its gradient there.

    A node holds no array of its own; what the backward pass needs is captured by
    the gradient functions, and nothing else is kept.
    """

    __slots__ = ("dtype", "grad", "parents", "shape")

    def __init__(self, array: Array, parents: tuple[tuple[Node, GradientFunction], ...]) -> None:
        self.shape = array.shape
        self.dtype = array.dtype
        self.parents = parents
        self.grad: Array | None = None


def backward(
    end: Node, gradient: Array, wanted: Collection[Node] = frozenset()
) -> dict[Node, Array]:
    """Return the gradients of all leaves that `end` came from, and of the nodes in `wanted`.

    A node sends gradients on when all the nodes that used it have sent theirs. Its own
    leaves the table then, so memory falls along the way.
    """
    awaited = _uses(end)
    table = {end: gradient}
    found: dict[Node, Array] = {}
    owned: set[Node] = set()  # sums made here, which may be added to in place
    ready = [end]
    try:
        while ready:
            node = ready.pop()
            total = table.pop(node) if node.parents else table[node]
            if node in wanted:
                found[node] = total
            for parent, function in node.parents:
                part = function(total)
                if part.shape != parent.shape or part.dtype != parent.dtype:
                    part = _fit(part, parent)
                if parent not in table:
                    table[parent] = part
                elif parent in owned:
                    table[parent] += part
                else:
                    table[parent] = added(table[parent], part)
                    owned.add(parent)
                if parent.parents:
                    awaited[parent] -= 1
                    if not awaited[parent]:
                        ready.append(parent)
    except MemoryError as error:
        raise _told(error, [end, *awaited].index(node)) from error.__cause__
    table.update(found)
    return table


def added(a: Array, b: Array) -> Array:
    """Return the sum of two arrays that are alike, in memory that may have served before."""
    if not isinstance(a, np.ndarray):
        return a + b
    if sharers() > 1:
        from ..ops import compiled  # here, since ops are made of what this file has

        if compiled.takes(a, b):
            return compiled.activation.add(a, b)  # type: ignore[no-any-return]
    return np.add(a, b, out=new_array(a.shape, a.dtype))


def nodes(end: Node) -> list[Node]:
    """Return `end` and the nodes that it came from, without the leaves.

    The order tells only of how they hang together: it is the same for arrays of other shapes.
    """
    return [end, *_uses(end)]


def _uses(end: Node) -> dict[Node, int]:
    """Return the nodes that `end` came from, without the leaves, and how often each was used."""
    uses: dict[Node, int] = {}
    stack = [end]
    while stack:
        for parent, _ in stack.pop().parents:
            if parent in uses:
                uses[parent] += 1
            elif parent.parents:
                uses[parent] = 1
                stack.append(parent)
    return uses


def _told(error: MemoryError, position: int) -> MemoryError:
    """Return what to raise where memory runs out: of a GPU, an error that says at which node."""
    full = explained(error)
    if isinstance(full, DeviceMemoryError):
        full.position = position
    return full


def _fit(gradient: Array, node: Node) -> Array:
    """Bring a gradient to its node's shape and dtype: the gradient of broadcasting is a sum."""
    if gradient.shape != node.shape:
        extra = gradient.ndim - len(node.shape)
        ones = tuple(
            extra + i for i, n in enumerate(node.shape) if n == 1 and gradient.shape[extra + i] != 1
        )
        gradient = gradient.sum(axis=tuple(range(extra)) + ones).reshape(node.shape)
    return gradient if gradient.dtype == node.dtype else gradient.astype(node.dtype)
