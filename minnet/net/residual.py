"""Convolutions with BatchNorm and the sums of residual blocks, computed as one op.

What such layers do to each image is little and done many times over, so a kernel does all of it
while an image is near (`minnet.ops.compiled.residual`). BatchNorm needs the mean of a whole batch,
so it goes sum by sum: on the way up it adds up a sum and convolves it, on the way down it collects
the gradient by a sum and sends it on through that one's BatchNorms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..autodiff import Tensor, value
from ..backend import Array, Shape
from ..errors import MinnetError
from ..layers.base import Context
from ..ops import compiled
from .planned import plan_for
from .residual_plan import Branch, Plan, Sum

__all__ = ["Residual"]

# Images to take through at a time where each is by itself: few enough to be near.
AT_A_TIME = 32


class Residual:
    """Branches and sums, as one op.

    Parameters
    ----------
    sums
        The sums in their order. The first one is what comes in, the last one what comes out.
    branches
        The branches, in the order of the sums that they take.
    """

    def __init__(self, sums: list[Sum], branches: list[Branch]) -> None:
        self.sums, self.branches = sums, branches
        self._plans: dict[tuple[Shape, Any], Plan | None] = {}

    def __reduce__(self) -> Any:
        """Have a copy, in another process too, work out for itself where its arrays are."""
        return Residual, (self.sums, self.branches)

    def __call__(self, x: Any, context: Context | None) -> Any:
        """Return what comes out for a batch, or None where the layers had better do it."""
        given, arrays = value(x), list(self._arrays())
        plain = [value(array) for array in arrays]
        if not compiled.takes(given, *plain) or (context is not None and context.share != 1):
            return None
        if not all(array.flags.c_contiguous for array in plain):
            return None
        is_fixed = context is None and not any(isinstance(a, Tensor) for a in (x, *arrays))
        if is_fixed and len(given) > AT_A_TIME:
            starts = range(0, len(given), AT_A_TIME)
            found = [self(given[start : start + AT_A_TIME], None) for start in starts]
            return None if any(y is None for y in found) else np.concatenate(found)
        plan = plan_for(self._plans, given, self._plan)
        if plan is None or (context is not None and plan.lacks_values):
            return None
        from .residual_passes import computed  # here, since it loads Numba

        return computed(plan, x, context)

    def _arrays(self) -> Iterator[Any]:
        """Yield the arrays of all layers."""
        for branch in self.branches:
            yield from branch.conv.arrays_here.values()
            yield from branch.norm.arrays_here.values()

    def _plan(self, x: Array) -> Plan | None:
        """Return the plan for batches like this one; None where it is of no use."""
        try:
            plan = Plan(self.sums, self.branches, x)
        except MinnetError:  # whatever is wrong, the layers say so themselves
            return None
        return plan if plan.saved > 0 else None
