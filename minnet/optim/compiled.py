"""The whole step of an optimizer, compiled: once over memory, from the gradient to the new weights.

It does for each element what `Updater` does array by array with NumPy, with L2 and decay.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..ops import compiled
from .fading import least
from .optimizers import SGD, Adam, AdamW, Optimizer
from .stretch import Piece

__all__ = ["takes", "update"]


def takes(optimizer: Optimizer, piece: Piece) -> bool:
    """Tell whether a kernel can make the step: of Adam or SGD, the same multiplier everywhere.

    Arrays that are written to where they are read are left to NumPy: compiled loops can't
    know that no number is overwritten too early, and are slow then.
    """
    return (
        type(optimizer) in (SGD, Adam, AdamW)
        and isinstance(piece.multiplier, float)
        and piece.mask is None
        and piece.into is not piece.array
        and compiled.takes(piece.array, piece.into)
        and piece.array.flags.c_contiguous
    )


def update(
    optimizer: Optimizer,
    piece: Piece,
    gradient: Array,
    count: int,
    rate: float,
    shrink: float,
) -> None:
    """Make the step of a piece.

    Parameters
    ----------
    optimizer, piece, gradient
        What to do, with which arrays, of which gradient.
    count
        Which step it is, from 1.
    rate
        The learning rate.
    shrink
        What to multiply the gradient with.
    """
    from . import steps  # here, since that loads Numba

    assert isinstance(piece.multiplier, float)
    exact = gradient.dtype.type
    factor, decay = rate * piece.multiplier, abs(piece.multiplier) * rate * piece.decay
    common = [exact(x) for x in (shrink, piece.l2, decay, least(gradient.dtype))]
    arrays = [a.reshape(-1) for a in (piece.array, piece.into, gradient, *piece.state.values())]
    if isinstance(optimizer, Adam):
        # See `Adam._divided` for what is divided by what.
        mean, root = optimizer.corrections(count)
        own = [optimizer.beta1, optimizer.beta2, optimizer.epsilon / root, mean / root * factor]
        step: Any = steps.adam
    elif isinstance(optimizer, SGD) and optimizer.momentum:
        way = (optimizer.momentum * factor, factor) if optimizer.nesterov else (factor, 0.0)
        own, step = [optimizer.momentum, *way], steps.momentum
    else:
        own, step = [factor], steps.plain
    step(*arrays, *map(exact, own), *common)
