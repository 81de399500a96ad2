"""How many floating-point operations the matrix products of a step take, from a net's shapes."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

import numpy as np

import minnet as mn


def operations(net: Any, batch: int, trained: Container[Any] | None = None) -> int:
    """Return the operations of the convolutions and linear layers: two for a multiply-add.

    Parameters
    ----------
    net
        An initialized net that knows the shape of its input.
    batch
        How many examples go through it.
    trained
        The paths of the arrays that are trained; None for all of them. An empty one
        leaves the forward pass alone. A layer with a trained weight takes as much again
        for the weight's gradient; one with anything trained below it takes as much again
        for its input's.
    """
    arrays = net.arrays()
    trained = arrays if trained is None else trained
    weights = [path[:-1] for path in arrays if path[-1] == "weight"]
    example = np.zeros((1, *net.input), np.float32)
    outputs = net.outputs(example, at=weights)
    total, is_trained_below = 0, False
    for path, array in arrays.items():
        if path[-1] == "weight":
            products = 1 + (path in trained) + is_trained_below
            total += products * array.size * math.prod(outputs[path[:-1]].shape[1:-1])
        is_trained_below |= path in trained
    return 2 * batch * total


def trained_paths(net: Any, multipliers: Any = None) -> tuple[Any, ...]:
    """Return the paths of the arrays that these rules train."""
    return mn.Trainer(net, multipliers=multipliers).trainable
