"""What fades: running sums of optimizers, kept from the numbers that processors are slow with.

The momentum of a weight whose gradient has become 0, as below a Ramp that is never above 0 any
more, fades by a factor at each step. After some 800 steps at 0.9 it is below what float32 holds
in full. Such denormal numbers make many processors several times as slow, and rounding keeps
them from ever becoming 0. Long before they could change a weight they are set to 0 here.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..backend import Array

__all__ = ["least", "without_traces"]

# How far above the denormal numbers what is set to 0 begins, and how much of that may fade
# before it is looked for again.
MARGIN, FADED = 1e8, 1e-7


@functools.cache
def least(dtype: np.dtype[np.floating]) -> float:
    """Return below what size numbers of a dtype count as nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.optim.fading import least
    >>> 1e-31 < least(np.dtype("float32")) < 1e-29
    True
    """
    return float(np.finfo(dtype).tiny) * MARGIN


def without_traces(fading: Array, factor: float, count: int) -> None:
    """Now and then set what has faded to 0; on a GPU such numbers cost nothing.

    Parameters
    ----------
    fading
        What fades, written to in place.
    factor
        How much of it stays at each step.
    count
        Which step it is: this is done in few of them.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.optim.fading import without_traces
    >>> velocity = np.array([1.0, -1e-35, 0.0], np.float32)
    >>> for count in range(200):
    ...     without_traces(velocity, 0.9, count)
    >>> velocity
    array([1., 0., 0.], dtype=float32)
    """
    if not isinstance(fading, np.ndarray) or factor == 0:
        return
    if count % _steps_between(factor) == 0:
        fading[np.abs(fading) < least(fading.dtype)] = 0


@functools.cache
def _steps_between(factor: float) -> int:
    """Return after how many steps to look again for what has faded."""
    return max(1, int(math.log(FADED) / math.log(factor)))
