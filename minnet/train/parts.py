"""Parts of a step: several threads go forward and back, each over some examples of the batch.

The loss of a batch is the mean over its examples. So the gradient is, up to each part's
share of the examples, the sum of what the parts find. Where BatchNorm looks at the whole
batch, the threads meet and add up what each has (`threads.together`); a loss of the user's
may look at it in ways nobody knows, so it isn't divided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..autodiff import value
from ..backend import Array, array_module, device_of
from ..buffers import new_array
from ..layers.base import Layer, Path
from ..net.threaded import Work
from .objective import Objective

__all__ = ["Pass", "number_of", "plain", "step_work", "summed"]


@dataclass(slots=True)
class Pass:
    """What came out of going forward and back over a share of a batch."""

    loss: Any  # its part of the loss of the whole batch
    outputs: Any
    targets: Any
    gradients: dict[Path, Array]
    state: dict[Path, Array]  # running statistics after it


def step_work(net: Layer, objective: Objective) -> Work:
    """Return how much work a step of training a net is."""
    is_independent = all(goal.loss != "custom" for goal in objective.goals.values())
    # The backward pass is twice the work of the forward pass.
    return Work([net], passes=3, is_independent=is_independent)


def plain(outputs: Any) -> Any:
    """Return the arrays of outputs, port by port where there are several."""
    if isinstance(outputs, Mapping):
        return {port: value(part) for port, part in outputs.items()}
    return value(outputs)


def number_of(loss: Any) -> Any:
    """Return a loss as a Python number; on a GPU, where reading it takes a wait, as it is."""
    loss = value(loss)
    return float(loss) if device_of(loss) == "cpu" else loss


def summed(gradients: Sequence[dict[Path, Array]]) -> dict[Path, Array]:
    """Return the sum of the gradients of all parts, added in the same order every time."""
    first, *others = gradients
    if not others or not all(gradients):  # of a loss that isn't finite there are none
        return first
    sums = {}
    for path, gradient in first.items():
        total = new_array(gradient.shape, gradient.dtype, gradient)
        array_module(gradient).add(gradient, others[0][path], out=total)
        for other in others[1:]:
            total += other[path]
        sums[path] = total
    return sums
