"""What a table says of the blocks of a net, for kernels to find their way; without Numba."""

from __future__ import annotations

import numpy as np

__all__ = ["BLOCK", "COLUMN", "MOVES", "POOL"]

# Where a block's arrays are in memory (0 for none): what goes in, the weight, room for it as the
# matrix of wide windows, the bias, what comes out, which of each pool's window was the largest;
# the gradients by what comes out, by what goes in, by the weight and by the bias, and each part's
# share of the last two.
PLACES = (
    "x", "weight", "matrix", "bias", "y", "winner",
    "by_y", "by_x", "by_weight", "by_bias", "totals",
)  # fmt: skip
# N; H and W * C of an image; the wide windows along H and W, rows of each, numbers of a row; O; P;
# by how many numbers each of P is further along; how many images to work on at a time; of how
# many numbers what comes out of one is.
SIZES = (
    "count", "height", "length", "down", "along", "rows", "run", "outputs", "together",
    "step", "some", "made",
)  # fmt: skip
# How the wide windows move (see `windows.moves_of_wide`), then the pool's (see `pool.moves`; all 0
# for none); the pool's positions along H and W.
MOVES = ("by", "across", "above", "before")
POOL = (
    "pool_height", "pool_width", "pool_down", "pool_across", "pool_above", "pool_left",
    "pooled_down", "pooled_along",
)  # fmt: skip
# What a row of a table says of a block.
BLOCK = np.dtype([(name, np.int64) for name in (*PLACES, *SIZES, *MOVES, *POOL, "is_ramp")])
COLUMN = {name: i for i, name in enumerate(BLOCK.names or ())}
