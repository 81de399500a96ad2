"""What a table says of the blocks of a net, for kernels to find their way; without Numba."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ...backend import Array, Shape
from ..sweep import Sweep

__all__ = [
    "BLOCK",
    "BRANCH",
    "BRANCH_NAMES",
    "COLUMN",
    "INSIDE",
    "SUM",
    "SUM_NAMES",
    "as_table",
    "block",
    "moves",
    "numbers_between",
    "numbers_of_totals",
    "offsets",
]

# Where a block's arrays are in memory (0 for none). First those in the room for all: what goes in
# and what comes out, which of each pool's window was the largest, the gradients by what comes out
# and by what goes in, the transpose of the weight. Then the weight and the bias, the gradients by
# them, each part's share of these, and what `offsets` gives.
INSIDE = "x", "y", "winner", "by_y", "by_x", "turned"
PLACES = (*INSIDE, "weight", "bias", "by_weight", "by_bias", "totals", "offsets")
# N; H and W * C of an image; of its padding, rows above and numbers before; H and W * C with
# padding; C; positions down and along; K, the numbers that a window sees, which lie in memory in so
# many runs of so many numbers; O; of how many numbers what comes out for an image is.
SIZES = (
    "count", "height", "length", "above", "before", "padded_height", "padded_length",
    "channels", "down", "along", "taps", "runs", "run", "outputs", "made",
)  # fmt: skip
# How the pool's window moves (see `moves`; all 0 for none), and its positions.
POOL = (
    "pool_height", "pool_width", "pool_down", "pool_across", "pool_above", "pool_left",
    "pooled_down", "pooled_along",
)  # fmt: skip
# What a row says of a sum: where it is, the gradient by it and one that is given; its sizes, where
# a row is W * C numbers; whether there is a Ramp; from which to which branch takes it.
SUM_NAMES = (
    "x", "gradient", "given", "count", "height", "length", "channels", "is_ramp",
    "first_reader", "last_reader",
)  # fmt: skip
SUM = np.dtype([(name, np.int64) for name in SUM_NAMES])
# What a row says of a branch: where the output of the convolution is, and five rows of numbers
# (mean, factor, shift; slope and constant on the way back); BatchNorm's arrays and the gradients
# by them; the sum it is in; whether the mean and the variance are fixed.
BRANCH_NAMES = "z", "numbers", "scale", "shift", "by_scale", "by_shift", "sum", "is_fixed"
BRANCH = np.dtype([(name, np.int64) for name in BRANCH_NAMES])
# What a row of a table says of a block.
BLOCK = np.dtype([(name, np.int64) for name in (*PLACES, *SIZES, *POOL, "is_ramp")])
COLUMN = {name: i for i, name in enumerate(BLOCK.names or ())}


def block(
    sweep: Sweep, outputs: int, pool: Sweep | None, is_ramp: bool, shape: Shape
) -> dict[str, int]:
    """Return what is known of a block before its arrays are.

    Parameters
    ----------
    sweep
        How the convolution's window moves over the images.
    outputs
        The channels it gives.
    pool
        How the pool's window moves over them, or None.
    is_ramp
        Whether there is a Ramp.
    shape
        Of what comes out.
    """
    count, height, width, channels = sweep.shape
    (above, below), (left, right) = sweep.edges
    taps = math.prod(sweep.window) * channels
    run = channels * (sweep.window[1] if sweep.dilation[1] == 1 else 1)
    found = dict.fromkeys(BLOCK.names or (), 0) | {
        "count": count, "height": height, "length": width * channels,
        "above": above, "before": left * channels,
        "padded_height": above + height + below,
        "padded_length": (left + width + right) * channels,
        "channels": channels, "down": sweep.positions[0], "along": sweep.positions[1],
        "taps": taps, "runs": taps // run, "run": run,
        "outputs": outputs, "made": math.prod(shape[1:]), "is_ramp": int(is_ramp),
    }  # fmt: skip
    if pool is not None:
        found |= zip(POOL, (*moves(pool), *pool.positions), strict=True)
    return found


@functools.lru_cache(maxsize=256)
def moves(pool: Sweep) -> tuple[int, ...]:
    """Return the window's sizes, how far it moves, and what is padded above and before."""
    images = pool.of_images()
    (above, _), (before, _) = images.edges
    return *images.window, *images.stride, above, before


def offsets(sweep: Sweep, outputs: int) -> Array:
    """Return how many numbers from the beginning things are that a convolution works with.

    One after another: positions in a padded image, and what a window sees from its position on;
    the rows of what comes out, and of the weight; the outputs.
    """
    channels = sweep.shape[-1]
    length = (sweep.shape[2] + sum(sweep.edges[1])) * channels
    down, along = (s * np.arange(n) for n, s in zip(sweep.positions, sweep.stride, strict=True))
    rows, columns = (d * np.arange(k) for k, d in zip(sweep.window, sweep.dilation, strict=True))
    positions = (down[:, None] * length + along * channels).reshape(-1)
    taps = (rows[:, None] * length + columns * channels)[..., None] + np.arange(channels)
    rows_of = (np.arange(n) * outputs for n in (positions.size, taps.size))
    parts = positions, taps.reshape(-1), *rows_of, np.arange(outputs)
    return np.concatenate(parts).astype(np.int64)


def numbers_of_totals(one: Any) -> int:
    """Return of how many numbers a part's share of the gradients by a block's arrays is."""
    return int((one["taps"] + 1) * one["outputs"])


def numbers_between(one: Any) -> int:
    """Return of how many numbers the room is that a thread works in: for an image and its maps."""
    padded = one["padded_height"] * one["padded_length"]
    return int(padded + one["down"] * one["along"] * one["outputs"])


def as_table(rows: Array) -> Array:
    """Return rows of whole numbers, of shape (blocks, columns), as a kernel takes them."""
    return rows.view(BLOCK).reshape(-1)
