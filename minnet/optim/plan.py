"""How to make a step: what one compiled kernel does of it, and what is done array by array."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ops import compiled as kernels
from . import compiled
from .optimizers import Optimizer
from .product import Product
from .stretch import Piece, Stretch

__all__ = ["Plan", "planned"]


@dataclass(slots=True)
class Plan:
    """How to make the step of some gradients, for as long as they are in the same arrays.

    Parameters
    ----------
    flat
        Those gradients.
    made
        The same with those products made that no step makes in passing.
    products
        These products.
    jobs
        What one compiled kernel does, if there is any.
    others
        What is done array by array.
    """

    flat: Sequence[Any]
    made: list[Any]
    products: list[Product]
    jobs: compiled.Jobs | None
    others: list[compiled.Job]

    def is_for(self, flat: Sequence[Any]) -> bool:
        """Tell whether these are the gradients it was made for."""
        return all(map(operator.is_, flat, self.flat))


def planned(
    optimizer: Optimizer, stretches: Sequence[Stretch], flat: Sequence[Any], compiles: bool
) -> Plan:
    """Work out how to make the step of such gradients; `compiles`: of small arrays by kernels."""
    plan, jobs = Plan(flat, [], [], None, []), []
    largest: Any = max((stretch.array for stretch in stretches), key=np.size, default=0)
    has_kernels = kernels.takes(largest, size=kernels.LEAST if compiles else None)
    for stretch, gradient in zip(stretches, flat, strict=True):
        if isinstance(gradient, Product) and not _takes(optimizer, stretch.pieces[0], gradient):
            plan.products.append(gradient)
            gradient = gradient.room.reshape(-1)
        plan.made.append(gradient)
        for piece in stretch.pieces:
            part: Any = gradient if isinstance(gradient, Product) else gradient[piece.span]
            job = compiled.Job(piece, part, stretch)
            is_alike = has_kernels and piece.array.dtype == largest.dtype
            if is_alike and compiled.takes(optimizer, piece, part):
                jobs.append(job)
            else:
                plan.others.append(job)
    if jobs:
        plan.jobs = compiled.Jobs(optimizer, jobs)
    return plan


def _takes(optimizer: Optimizer, piece: Piece, product: Product) -> bool:
    """Tell whether the step makes a product in passing."""
    return optimizer.clip_norm is None and compiled.takes_product(optimizer, piece, product)
