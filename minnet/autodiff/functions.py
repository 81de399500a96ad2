"""Differentiating functions: grad, value_and_grad, and check_grad against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..backend import Array, is_array
from ..errors import GradientError, SpecError
from .tensor import Tensor, gradients, value

__all__ = ["check_grad", "grad", "value_and_grad"]


def _tensors(structure: Any, into: list[Tensor]) -> Any:
    """Copy nested dicts, lists and tuples with every array made a Tensor, noted in `into`."""
    if isinstance(structure, dict):
        return {key: _tensors(item, into) for key, item in structure.items()}
    if isinstance(structure, list | tuple) and any(
        is_array(item) or isinstance(item, dict | list | tuple) for item in structure
    ):
        return type(structure)(_tensors(item, into) for item in structure)
    into.append(Tensor(structure))
    return into[-1]


def _arrays(structure: Any, found: Iterator[Array]) -> Any:
    """Put the arrays of `found` where `_tensors` had put the Tensors."""
    if isinstance(structure, Tensor):
        return next(found)
    if isinstance(structure, dict):
        return {key: _arrays(item, found) for key, item in structure.items()}
    return type(structure)(_arrays(item, found) for item in structure)


def value_and_grad(function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Return a function that gives the value of `function` and its gradient by the first argument.

    Parameters
    ----------
    function
        Takes an array, or a dict, list or tuple of arrays (nested as you like),
        and whatever else it wants; returns a single number computed with ops.

    Returns
    -------
    callable
        Takes the same arguments; returns the value as a plain array and the
        gradients in the structure of the first argument.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> loss = lambda w, x: ((x @ w["a"]) ** 2).sum()
    >>> mn.value_and_grad(loss)({"a": np.array([1.0, 2.0])}, np.array([[3.0, 4.0]]))
    (array(121.), {'a': array([66., 88.])})
    """

    def both(argument: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        leaves: list[Tensor] = []
        wrapped = _tensors(argument, leaves)
        output = function(wrapped, *args, **kwargs)
        found = gradients(output, leaves)
        return value(output), _arrays(wrapped, iter(found))

    return both


def grad(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives the gradient of `function` by its first argument.

    See `value_and_grad`, which gives the value as well.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.grad(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    both = value_and_grad(function)

    def only(argument: Any, *args: Any, **kwargs: Any) -> Any:
        return both(argument, *args, **kwargs)[1]

    return only


def check_grad(
    function: Callable[..., Any],
    *inputs: Any,
    directions: int = 3,
    step: float = 1e-6,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> float:
    """Compare the gradients of `function` with central finite differences.

    For each input, along random directions of unit length, two evaluations each
    are held against the gradient's component in that direction; an output of
    several elements is first reduced with random weights.

    Parameters
    ----------
    function
        Takes `inputs`; returns an array or Tensor computed with ops.
    *inputs
        float64 arrays, each differentiated in turn. Finite differences in
        float32 say nothing, so other dtypes are refused.
    directions
        How many directions to try for each input.
    step
        The length of the step to either side.
    tolerance
        The largest difference allowed, relative to the size of the derivative or 1.
    seed
        Of the random directions.

    Returns
    -------
    float
        The largest relative difference seen.

    Raises
    ------
    GradientError
        If a difference exceeds `tolerance`; the message names the input.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.check_grad(mn.ops.tanh, np.array([0.5, -1.0])) < 1e-6
    True
    """
    arrays = [np.asarray(x) for x in inputs]
    for array in arrays:
        if array.dtype != np.float64:
            raise SpecError(f"check_grad needs float64 inputs, got {array.dtype}")
    random = np.random.default_rng(seed)
    weights = random.normal(size=np.shape(value(function(*arrays))))
    worst = 0.0
    for i, array in enumerate(arrays):
        leaf = Tensor(array)
        output = function(*arrays[:i], leaf, *arrays[i + 1 :])
        (exact,) = gradients(output, [leaf], weights)
        for _ in range(directions if array.size else 0):
            direction = random.normal(size=array.shape)
            direction /= np.linalg.norm(direction)
            ends = [
                np.sum(
                    weights * value(function(*arrays[:i], array + s * direction, *arrays[i + 1 :]))
                )
                for s in (step, -step)
            ]
            numeric = float(ends[0] - ends[1]) / (2 * step)
            analytic = float(np.sum(exact * direction))
            difference = abs(numeric - analytic) / max(1.0, abs(numeric), abs(analytic))
            if not difference <= tolerance:
                raise GradientError(
                    f"input {i}: the gradient says {analytic:.9g} along a random direction, "
                    f"finite differences say {numeric:.9g} (relative difference {difference:.2g})"
                )
            worst = max(worst, difference)
    return worst
