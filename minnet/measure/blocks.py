"""Going through features a block of rows at a time, so that float64 copies stay small."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..backend import Array

__all__ = ["moments", "row_blocks", "spectrum"]

# Numbers in a block: 16 MiB as float64.
BLOCK = 2**21

EPSILON = float(np.finfo(np.float64).eps)


def row_blocks(count: int, size: int) -> Iterator[slice]:
    """Yield slices through `count` rows of `size` numbers, each a block."""
    step = max(1, BLOCK // size)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def moments(x: Array) -> tuple[Array, Array]:
    """Return the mean and standard deviation of each feature, float64; of a constant one 0."""
    count, size = x.shape
    mean = x.mean(axis=0, dtype=np.float64)
    squares = np.zeros(size)
    for rows in row_blocks(count, size):
        squares += ((x[rows] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / count)
    # A constant's mean is rounded, so that the constant differs from it by a little.
    return mean, np.where(deviation <= 16 * EPSILON * np.abs(mean), 0.0, deviation)


def spectrum(x: Array, targets: Array, shift: Array, scale: Array) -> tuple[Array, Array]:
    """Return squared singular values of (x - shift) / scale, and targets along its left vectors.

    With the singular value decomposition U S V^T, whose zeros are left out: S^2 of
    shape (R,), the largest last, and U^T targets of shape (R, K). It comes from the
    smaller one of the two Gram matrices, so memory is min(N, D)^2.
    """
    count, size = x.shape
    if count <= size:
        z = (x - shift) / scale
        squares, left = np.linalg.eigh(z @ z.T)
        along = left.T @ targets
    else:
        gram, cross = np.zeros((size, size)), np.zeros((size, targets.shape[1]))
        for rows in row_blocks(count, size):
            z = (x[rows] - shift) / scale
            gram += z.T @ z
            cross += z.T @ targets[rows]
        squares, right = np.linalg.eigh(gram)
        along = right.T @ cross
    kept = squares > max(squares[-1], 0.0) * max(count, size) * EPSILON
    squares, along = squares[kept], along[kept]
    return squares, along if count <= size else along / np.sqrt(squares)[:, None]
