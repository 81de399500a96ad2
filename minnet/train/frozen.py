"""The frozen bottom of a net: found, cut off, and computed on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..autodiff import Tensor
from ..backend.devices import explained
from ..errors import MinnetError
from ..layers import Dropout
from ..layers.base import Layer, Path, walk
from ..layers.shape import Passed
from ..net import Chain, Graph, Net
from ..net.order import Order
from ..net.threaded import Hands, Work, multiplications
from ..net.wiring import head, needed_by

__all__ = ["Bottom", "without_frozen_dropout"]


def is_trained(part: Layer) -> bool:
    """Tell whether any array in a layer is a Tensor, which training differentiates by."""
    return any(
        isinstance(array, Tensor) for _, leaf in walk(part) for array in leaf.arrays_here.values()
    )


def is_fixed(part: Layer) -> bool:
    """Tell whether a layer gives the same outputs for the same inputs all through training."""
    return not is_trained(part) and not any(leaf.is_random for _, leaf in walk(part))


def sources(net: Net) -> dict[str | int, list[Any]]:
    """Return, for each layer of a net, the keys of those (or the ports) that it takes from."""
    if isinstance(net, Graph):
        return {key: [head(source) for source in net.wiring[key]] for key in net.layers}
    keys = net.keys()
    return dict(zip(keys, [[], *([key] for key in keys)], strict=False))


def without_frozen_dropout(net: Net) -> Net:
    """Return the net with dropout off wherever nothing trained comes before it."""
    return net.with_layers({path: Passed(name=name) for path, name in _quiet(net)})


def _quiet(net: Net, path: Path = ()) -> Iterator[tuple[Path, str | None]]:
    """Yield the path and name of each Dropout that nothing trained comes before."""
    taken_from = sources(net)
    above: set[str | int] = set()  # what comes out of these depends on something trained
    for key, part in net.children():
        if not above.isdisjoint(taken_from[key]):
            above.add(key)
            continue
        if isinstance(part, Net):
            yield from _quiet(part, (*path, key))
        elif isinstance(part, Dropout):
            yield (*path, key), part.name
        if is_trained(part):
            above.add(key)


# --- dividing a net -------------------------------------------------------------------------


class Rest(Chain):
    """What is left of a Chain above its bottom: fewer layers, under the keys they had there."""

    @classmethod
    def of(cls, chain: Chain, children: Mapping[str | int, Layer]) -> Rest:
        """Return these layers of a chain."""
        rest = cls(name=chain.name)
        return rest._changed(layers=tuple(children.values()), _children=tuple(children.items()))

    def position(self, where: Any) -> int:
        return self.keys().index(where)

    def with_children(self, children: Mapping[str | int, Layer]) -> Rest:
        return Rest.of(self, dict(self._children) | dict(children))


def _divided_chain(chain: Chain, path: Path) -> tuple[list[tuple[Path, Layer]], Rest]:
    """Return the fixed layers at the beginning of a chain with their paths, and the rest."""
    steps: list[tuple[Path, Layer]] = []
    kept: dict[str | int, Layer] = {}
    for key, part in chain.children():
        if isinstance(part, Passed):
            continue
        if not kept and is_fixed(part):
            steps.append(((*path, key), part))
            continue
        if not kept and isinstance(part, Chain):  # it may begin with fixed layers, too
            more, part = _divided_chain(part, (*path, key))
            steps += more
        kept[key] = part
    return steps, Rest.of(chain, kept)


def _divided_graph(graph: Graph) -> tuple[Graph | None, list[str], Graph]:
    """Return the graph of the fixed layers, what it gives in what order, and the graph above."""
    taken_from = sources(graph)
    below: set[Any] = set(graph.input_names)
    for key, part in graph.children():
        one_output = not isinstance(part, Net) or len(part.output_names) == 1
        if one_output and is_fixed(part) and below.issuperset(taken_from[key]):
            below.add(key)
    wires = {key: wire for key, wire in graph.wiring.items() if key not in below}
    taken = dict.fromkeys(source for wire in wires.values() for source in wire)
    # A Constant takes no input and gives a single example: it is wanted on both sides.
    wires.update({key: () for key in taken if key in below and graph.wiring.get(key) == ()})
    # What crosses from below becomes, under its own name, an input of the graph above.
    crossing = [source for source in taken if source in below and source not in wires]
    needed = needed_by(crossing, graph.wiring)
    fixed = {key: part for key, part in graph.layers.items() if key in needed}
    if not fixed:
        return None, [], graph
    above = Graph({key: part for key, part in graph.layers.items() if key in wires}, wires)
    inner = {key: graph.wiring[key] for key in fixed}
    return Graph(fixed, {**inner, **{f"-> {key}": key for key in crossing}}), crossing, above


class Bottom:
    """The fixed layers below the first that is trained or random, and the net above them.

    A Chain is divided between two layers, in a Chain that begins it between two of that
    one's; a Graph wherever the fixed layers end. (A Graph inside another net counts as
    one layer.)

    Parameters
    ----------
    live
        The net with a Tensor for every trainable array.
    hands
        The threads that do it; one when left out.

    Attributes
    ----------
    above
        The net that is left, with all paths as they were. It takes what calling the
        bottom gives: an array, or a dict of arrays where a Graph is cut through several
        wires.
    """

    def __init__(self, live: Net, hands: Hands | None = None) -> None:
        self.above: Net = live
        self._hands = Hands(1) if hands is None else hands
        self._steps: list[tuple[Path, Layer]] = []
        self._crossing: list[str] = []
        if isinstance(live, Graph):
            below, self._crossing, self.above = _divided_graph(live)
            self._steps = [] if below is None else [((), below)]
        elif isinstance(live, Chain):
            steps, self.above = _divided_chain(live, ())
            self._steps = steps
        self._work = Work(part for _, part in self._steps)
        self._order = Order(self._steps)
        # Flattening an image is not worth remembering; multiplying it by weights is.
        self.is_costly = any(leaf.arrays_here for _, part in self._steps for _, leaf in walk(part))

    def __call__(self, x: Any) -> Any:
        """Return the outputs of the bottom for a batch of encoded inputs."""
        if not self._steps:
            return x
        return self._hands.map(self._apply, x, self._work)

    def _apply(self, x: Any) -> Any:
        x, steps = self._order.begun(x)
        with np.errstate(all="ignore"):  # the loss tells if something is not finite
            for path, part in steps:
                try:
                    x = part.apply(x)
                except (MinnetError, MemoryError) as error:
                    found = explained(error) if isinstance(error, MemoryError) else error
                    if isinstance(found, MinnetError):
                        found.path = (*path, *found.path)
                    raise found from found.__cause__
        if len(self._crossing) > 1:
            return {source: x[f"-> {source}"] for source in self._crossing}
        return x

    def multiplications(self, shape: Any) -> int:
        """Return how many multiplications by weights an example of this shape takes, about."""
        return multiplications([part for _, part in self._steps], shape)

    def is_like(self, other: Bottom) -> bool:
        """Tell whether another bottom is made of the very same layers."""
        mine, others = (
            [leaf for path, part in bottom._steps for leaf in walk(part, path)]
            for bottom in (self, other)
        )
        return len(mine) == len(others) and all(
            path == other_path and (leaf is other or isinstance(leaf, Passed))
            for (path, leaf), (other_path, other) in zip(mine, others, strict=True)
        )
