"""Convolution by 3 x 3 with a quarter of the multiplications, where compiled kernels are there.

Multiplying polynomials takes fewer multiplications of their values at a few points than of
their coefficients; the same holds for sliding a window (Winograd 1980). Each tile of 4 x 4
positions sees a patch of 6 x 6 elements. Patch and weight become values at 36 points, which take
a product of matrices for each point (36 multiplications for each pair of channels, where the
tile took 9 * 16 = 144), and the results become the tile: Lavin and Gray 2016, "Fast Algorithms
for Convolutional Neural Networks", F(4x4, 3x3). Sums and rounding are those of another order:
a result is off by about twice as much as the plain one.

The input's gradient is such a convolution itself; the weight's is a product of what patches and
gradient come to at the points.

Letters: T tiles, C channels, O outputs.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..backend import Array, Shape
from ..buffers import new_array
from . import compiled
from .sweep import Sweep

__all__ = ["correlate", "fits", "saved", "suits", "weight_gradient"]

# Bytes of values at points to work on at a time: few enough to be near the processor.
ROOM = 1 << 19
# What it takes on a common processor, in nanoseconds: to multiply two numbers in a product of
# small matrices, to bring a number to a point or back; to multiply two without all this, and to
# find one that a window sees.
PRODUCT, POINT, PLAIN, FIND = 0.024, 0.5, 0.0145, 0.05


def suits(a: Array, outputs: int, sweep: Sweep) -> bool:
    """Tell whether these kernels can do a convolution, and promise to be quicker than others."""
    return fits(sweep, outputs) and compiled.takes(a) and saved(sweep, outputs) > 0


def fits(sweep: Sweep, outputs: int) -> bool:
    """Tell whether these kernels are made for a convolution."""
    return (
        sweep.window == (3, 3)
        and sweep.stride == sweep.dilation == (1, 1)
        and sweep.groups == 1
        and min(sweep.shape[-1], outputs) >= 16
    )


def saved(sweep: Sweep, outputs: int) -> float:
    """Estimate by how many nanoseconds an image is quicker than without all this."""
    taps = 9 * sweep.shape[-1]
    return math.prod(sweep.positions) * taps * (outputs * PLAIN + FIND) - _cost(sweep, outputs)


def _cost(sweep: Sweep, outputs: int) -> float:
    """Estimate the nanoseconds that an image takes."""
    channels, (down, across) = sweep.shape[-1], sweep.positions
    tiles = -(-down // 4) * -(-across // 4)
    return 36 * tiles * (PRODUCT * channels * outputs + POINT * (channels + outputs))


def correlate(a: Array, w: Array, sweep: Sweep, bias: Array | None = None) -> Array:
    """Take the product of the weight with what the window sees at every position, plus a bias."""
    a, dtype = np.ascontiguousarray(a), a.dtype
    row = np.zeros(w.shape[-1], dtype) if bias is None else np.ascontiguousarray(bias)
    matrix = _at_points(dtype)
    # The two axes of the window, each from 3 elements to 6 points.
    weight = np.tensordot(matrix, np.tensordot(matrix, w, (1, 0)), (1, 1)).swapaxes(0, 1)
    weight = np.ascontiguousarray(weight.astype(dtype, copy=False)).reshape(36, *w.shape[2:])
    y = new_array((len(a), *sweep.positions, w.shape[-1]), dtype)

    where, some = _tiles(sweep, w.shape[2:], dtype)
    parts = compiled.team.parts(len(a) * _cost(sweep, w.shape[-1]) / 1000)
    compiled.winograd.correlate(a, weight, row, y, where, some, parts)
    return y


def weight_gradient(a: Array, g: Array, sweep: Sweep) -> Array:
    """Return the weight's gradient, from the input and the gradient at the output."""
    a, g, dtype = np.ascontiguousarray(a), np.ascontiguousarray(g), a.dtype
    channels, outputs = a.shape[-1], g.shape[-1]
    where, some = _tiles(sweep, (channels, outputs), dtype)
    parts = compiled.team.parts(len(a) * _cost(sweep, outputs) / 1000)
    totals = np.empty((parts, 36, channels, outputs), dtype)
    compiled.winograd.weight_gradient(a, g, totals, where, some, parts)
    total, *others = totals
    for other in others:
        total += other
    matrix, total = _at_points(dtype), total.reshape(6, 6, channels, outputs)
    return np.tensordot(matrix, np.tensordot(matrix, total, (0, 0)), (0, 1)).swapaxes(0, 1)


def _tiles(sweep: Sweep, channels: Shape, dtype: np.dtype[Any]) -> tuple[Any, int]:
    """Return where the tiles are, and how many to work on at a time."""
    down, across = (-(-n // 4) for n in sweep.positions)
    where = compiled.winograd.Tiles(down, across, sweep.edges[0][0], sweep.edges[1][0])
    return where, max(16, ROOM // (36 * sum(channels) * dtype.itemsize))


@functools.cache
def _at_points(dtype: np.dtype[Any]) -> Array:
    """Return the matrix from 3 elements of a window's axis to 6 points.

    Row by row the powers of a point, by what the others are apart from it; see
    `minnet.ops.compiled.points` for the points.
    """
    points = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))
    rows = [
        [x**power / math.prod(x - other for other in points if other != x) for power in range(3)]
        for x in points
    ]
    return np.array([*rows, [0.0, 0.0, 1.0]]).astype(dtype)
