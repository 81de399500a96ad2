"""L-BFGS: the minimum of a smooth convex function of many numbers, from its gradients alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backend import Array

__all__ = ["Minimum", "minimize"]

Function = Callable[[Array], tuple[float, Array]]

# How far back steps are remembered, and the constants of the two Wolfe conditions.
MEMORY = 30
DECREASE, CURVATURE = 1e-4, 0.9

# By how much, relative to 1 and the value, rounding may move the value.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Minimum:
    """Where the search ended: the point, the value there, and whether it is the minimum."""

    point: Array
    value: float
    iterations: int
    converged: bool


@dataclass(frozen=True)
class _Place:
    point: Array
    value: float
    gradient: Array


def minimize(function: Function, start: Array, tolerance: float, max_iterations: int) -> Minimum:
    """Minimize a function that returns its value and gradient.

    Parameters
    ----------
    function
        Of a vector, float64.
    start
        Where to begin.
    tolerance
        It has converged when no element of the gradient is larger.
    max_iterations
        After how many steps to give up.

    Notes
    -----
    Nocedal and Wright (2006), algorithms 7.4 and 7.5: the step is the gradient times an
    approximate inverse Hessian made of the last few steps and changes of gradient.

    Examples
    --------
    >>> import numpy as np
    >>> bowl = lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3))
    >>> minimize(bowl, np.zeros(2), tolerance=1e-9, max_iterations=10).point
    array([3., 3.])
    """
    here = _Place(start, *function(start))
    history: deque[tuple[Array, Array, float]] = deque(maxlen=MEMORY)
    iterations = 0
    while not (converged := bool(np.abs(here.gradient).max() <= tolerance)):
        direction = -_inverse_hessian_times(here.gradient, history)
        first = 1.0 if history else min(1.0, 1 / float(np.linalg.norm(here.gradient)))
        there = (
            _line_search(function, here, direction, first) if iterations < max_iterations else None
        )
        if there is None:
            break
        step, change = there.point - here.point, there.gradient - here.gradient
        if (curvature := float(step @ change)) > 0:
            history.append((step, change, 1 / curvature))
        here, iterations = there, iterations + 1
    return Minimum(here.point, here.value, iterations, converged)


def _inverse_hessian_times(gradient: Array, history: deque[tuple[Array, Array, float]]) -> Array:
    """Return the gradient times the inverse Hessian as the history has it (two loops)."""
    result = gradient.copy()
    shares = []
    for step, change, inverse in reversed(history):
        shares.append(inverse * float(step @ result))
        result -= shares[-1] * change
    if history:
        _, change, inverse = history[-1]
        result /= inverse * float(change @ change)
    for (step, change, inverse), share in zip(history, reversed(shares), strict=True):
        result += (share - inverse * float(change @ result)) * step
    return result


def _line_search(function: Function, here: _Place, direction: Array, step: float) -> _Place | None:
    """Return a place along the direction that meets the Wolfe conditions, or None.

    By bisection (Lewis and Overton 2013): halve the bracket where the
    value has not decreased enough, go further where it still falls too steeply. Near
    the minimum, where rounding hides what the value does, the slope says it (Hager
    and Zhang 2005).
    """
    slope = float(here.gradient @ direction)
    low, high = 0.0, np.inf
    for _ in range(60):
        point = here.point + step * direction
        there = _Place(point, *function(point))
        new_slope = float(there.gradient @ direction)
        is_lower = there.value <= here.value + DECREASE * step * slope  # False for NaN
        is_level = there.value <= here.value + ROUNDING * (1 + abs(here.value))
        if not (is_lower or (is_level and new_slope <= (2 * DECREASE - 1) * slope)):
            high = step
        elif new_slope < CURVATURE * slope:
            low = step
        else:
            return there
        step = 2 * step if high == np.inf else (low + high) / 2
    return None
