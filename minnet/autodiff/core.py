"""The backward pass: nodes, and sending gradients from the last one back to the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ..backend import Array

__all__ = ["GradientFunction", "Node", "backward"]

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


def _consumers_first(end: Node) -> Iterator[Node]:
    """Yield every node that `end` came from, each after all the nodes that used it."""
    uses: dict[Node, int] = {}
    stack = [end]
    while stack:
        node = stack.pop()
        uses[node] = uses.get(node, 0) + 1
        if uses[node] == 1:
            stack.extend(parent for parent, _ in node.parents)
    ready = [end]
    while ready:
        node = ready.pop()
        yield node
        for parent, _ in node.parents:
            uses[parent] -= 1
            if uses[parent] == 0:
                ready.append(parent)


def backward(end: Node, gradient: Array) -> Iterator[tuple[Node, Array]]:
    """Yield each node with its complete gradient, from `end` back to the leaves.

    A gradient leaves the table as it is used, so memory falls along the way.
    """
    pending = {end: gradient}
    owned: set[Node] = set()  # sums made here, which may be added to in place
    for node in _consumers_first(end):
        total = pending.pop(node)
        yield node, total
        for parent, function in node.parents:
            part = _fit(function(total), parent)
            if parent not in pending:
                pending[parent] = part
            elif parent in owned:
                pending[parent] += part
            else:
                pending[parent] = pending[parent] + part
                owned.add(parent)


def _fit(gradient: Array, node: Node) -> Array:
    """Bring a gradient to its node's shape and dtype: the gradient of broadcasting is a sum."""
    if gradient.shape != node.shape:
        extra = gradient.ndim - len(node.shape)
        ones = tuple(
            extra + i for i, n in enumerate(node.shape) if n == 1 and gradient.shape[extra + i] != 1
        )
        gradient = gradient.sum(axis=tuple(range(extra)) + ones).reshape(node.shape)
    return gradient if gradient.dtype == node.dtype else gradient.astype(node.dtype)
