"""The kernels of optimizers: the step of each element, from its gradient to the new weight.

The gradient is multiplied by `shrink` first, and gets `l2` times the weight; the change gets
`decay` times the weight. Where these are 0 an infinite weight doesn't come into it. What is
remembered and smaller than `least` becomes 0, see `minnet.optim.fading`.
"""

from __future__ import annotations

import math

from ..backend import Array
from ..ops.compiled.jit import kernel, unsigned

__all__ = ["adam", "momentum", "plain"]


@kernel
def adam(
    array: Array,
    into: Array,
    gradient: Array,
    total: Array,
    squares: Array,
    beta1: float,
    beta2: float,
    epsilon: float,
    factor: float,
    shrink: float,
    l2: float,
    decay: float,
    least: float,
) -> None:  # pragma: no cover (compiled)
    """Make Adam's step: see `Adam._divided` for what is divided by what."""
    for i in range(unsigned(array.size)):
        g, weight = gradient[i] * shrink, array[i]
        if l2 != 0:
            g += l2 * weight
        faded = total[i] * beta1 + g
        square = squares[i] * beta2 + g * g
        # Choices rather than branches, so that they become vector instructions.
        faded = faded - faded if abs(faded) < least else faded
        square = square - square if square < least else square
        total[i], squares[i] = faded, square
        change = faded / (math.sqrt(square) + epsilon) * factor
        if decay != 0:
            change += decay * weight
        into[i] = weight - change


@kernel
def momentum(
    array: Array,
    into: Array,
    gradient: Array,
    velocity: Array,
    fading: float,
    factor: float,
    ahead: float,
    shrink: float,
    l2: float,
    decay: float,
    least: float,
) -> None:  # pragma: no cover (compiled)
    """Make the step of SGD with momentum, of the velocity and, for Nesterov's, the gradient."""
    for i in range(unsigned(array.size)):
        g, weight = gradient[i] * shrink, array[i]
        if l2 != 0:
            g += l2 * weight
        new = velocity[i] * fading + g
        new = new - new if abs(new) < least else new
        velocity[i] = new
        change = new * factor
        if ahead != 0:
            change += g * ahead
        if decay != 0:
            change += decay * weight
        into[i] = weight - change


@kernel
def plain(
    array: Array,
    into: Array,
    gradient: Array,
    factor: float,
    shrink: float,
    l2: float,
    decay: float,
    least: float,
) -> None:  # pragma: no cover (compiled)
    """Make the step of SGD."""
    for i in range(unsigned(array.size)):
        g, weight = gradient[i] * shrink, array[i]
        if l2 != 0:
            g += l2 * weight
        change = g * factor
        if decay != 0:
            change += decay * weight
        into[i] = weight - change
