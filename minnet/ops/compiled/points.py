"""Winograd's matrices, compiled: each applied along both axes of a patch, for several channels.

The points are 0, p, -p, q, -q and infinity, p being the root of 1/2 and q that of 2. The matrices
are those of Lavin and Gray (2016), "Fast Algorithms for Convolutional Neural Networks", section
4, for these points; with them rounding comes to about twice that of the plain sum.

A room has two halves, each for a patch of 6 lines of 6 elements of `LANES` channels. What is in
the first one is taken through the matrix line by line to the second, and from there, element by
element of each line, back.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel, unsigned

__all__ = ["LANES", "PATCH", "apply_input", "apply_output", "apply_output_turned", "constants"]

LANES = 16  # channels at a time: a vector instruction or two
LINE, PATCH = 6 * LANES, 36 * LANES  # numbers of a line and of a patch
# What stands 1 to 5 elements, or 1 to 6 lines, after something.
C1, C2, C3, C4, C5 = (unsigned(n * LANES) for n in range(1, 6))
L1, L2, L3, L4, L5, L6 = (unsigned(n * LINE) for n in range(1, 7))


@functools.cache
def constants(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return 1/2, 2, 5/2, p and q in a dtype; with others a kernel would compute in float64."""
    return tuple(map(dtype.type, (0.5, 2, 2.5, math.sqrt(0.5), math.sqrt(2))))


@kernel
def apply_input(room: Array, numbers: Sequence[float]) -> None:  # pragma: no cover (compiled)
    """Apply [1 0 -5/2 0 1 0], [0 -2p -2 p 1 0], [0 2p -2 -p 1 0], [0 -q/2 -1/2 q 1 0], ...

    ... [0 q/2 -1/2 -q 1 0] and [0 1 0 -5/2 0 1].
    """
    half, two, more, p, q = numbers
    for x in range(unsigned(LINE)):
        d0, d1, d2 = room[x], room[x + L1], room[x + L2]
        d3, d4, d5 = room[x + L3], room[x + L4], room[x + L5]
        even, odd = d4 - two * d2, p * (d3 - two * d1)
        even2, odd2 = d4 - half * d2, q * (d3 - half * d1)
        to = x + L6
        room[to] = d0 - more * d2 + d4
        room[to + L1] = even + odd
        room[to + L2] = even - odd
        room[to + L3] = even2 + odd2
        room[to + L4] = even2 - odd2
        room[to + L5] = d1 - more * d3 + d5
    for to in range(unsigned(0), unsigned(PATCH), unsigned(LINE)):
        for c in range(unsigned(LANES)):
            x, z = to + c, to + c + L6
            d0, d1, d2 = room[z], room[z + C1], room[z + C2]
            d3, d4, d5 = room[z + C3], room[z + C4], room[z + C5]
            even, odd = d4 - two * d2, p * (d3 - two * d1)
            even2, odd2 = d4 - half * d2, q * (d3 - half * d1)
            room[x] = d0 - more * d2 + d4
            room[x + C1] = even + odd
            room[x + C2] = even - odd
            room[x + C3] = even2 + odd2
            room[x + C4] = even2 - odd2
            room[x + C5] = d1 - more * d3 + d5


@kernel
def apply_output(room: Array, numbers: Sequence[float]) -> None:  # pragma: no cover (compiled)
    """Apply [1 1 1 1 1 0], [0 p -p q -q 0], [0 1/2 1/2 2 2 0] and [0 p/2 -p/2 2q -2q 1]."""
    half, two, _, p, q = numbers
    for x in range(unsigned(LINE)):
        sums, odd = room[x + L1] + room[x + L2], p * (room[x + L1] - room[x + L2])
        sums2, odd2 = room[x + L3] + room[x + L4], q * (room[x + L3] - room[x + L4])
        d0, d5, to = room[x], room[x + L5], x + L6
        room[to] = d0 + sums + sums2
        room[to + L1] = odd + odd2
        room[to + L2] = half * sums + two * sums2
        room[to + L3] = half * odd + two * odd2 + d5
    for to in range(unsigned(0), unsigned(4 * LINE), unsigned(LINE)):
        for c in range(unsigned(LANES)):
            x, z = to + c, to + c + L6
            sums, odd = room[z + C1] + room[z + C2], p * (room[z + C1] - room[z + C2])
            sums2, odd2 = room[z + C3] + room[z + C4], q * (room[z + C3] - room[z + C4])
            d0, d5 = room[z], room[z + C5]
            room[x] = d0 + sums + sums2
            room[x + C1] = odd + odd2
            room[x + C2] = half * sums + two * sums2
            room[x + C3] = half * odd + two * odd2 + d5


@kernel
def apply_output_turned(
    room: Array, numbers: Sequence[float]
) -> None:  # pragma: no cover (compiled)
    """Apply the transpose of the matrix of `apply_output`."""
    half, two, _, p, q = numbers
    for x in range(unsigned(LINE)):
        d0, d1, d2, d3 = room[x], room[x + L1], room[x + L2], room[x + L3]
        even, odd = d0 + half * d2, p * (d1 + half * d3)
        even2, odd2 = d0 + two * d2, q * (d1 + two * d3)
        to = x + L6
        room[to] = d0
        room[to + L1] = even + odd
        room[to + L2] = even - odd
        room[to + L3] = even2 + odd2
        room[to + L4] = even2 - odd2
        room[to + L5] = d3
    for to in range(unsigned(0), unsigned(PATCH), unsigned(LINE)):
        for c in range(unsigned(LANES)):
            x, z = to + c, to + c + L6
            d0, d1, d2, d3 = room[z], room[z + C1], room[z + C2], room[z + C3]
            even, odd = d0 + half * d2, p * (d1 + half * d3)
            even2, odd2 = d0 + two * d2, q * (d1 + two * d3)
            room[x] = d0
            room[x + C1] = even + odd
            room[x + C2] = even - odd
            room[x + C3] = even2 + odd2
            room[x + C4] = even2 - odd2
            room[x + C5] = d3
