"""Dropout on a GPU: which elements are dropped is computed from a seed, going back once more.

The random numbers are those of Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3" (Philox with four words and ten rounds): a function of the seed and of where the
element is, so that no mask is ever kept.
"""

from __future__ import annotations

from ...backend import Array, array_module
from .launch import Kernel, length, number

__all__ = ["drop"]

PHILOX = """
__device__ void philox(unsigned* word, unsigned low, unsigned high) {
    for (int round = 0; round < 10; round++) {
        unsigned top0 = __umulhi(0xD2511F53u, word[0]), bottom0 = 0xD2511F53u * word[0];
        unsigned top1 = __umulhi(0xCD9E8D57u, word[2]), bottom1 = 0xCD9E8D57u * word[2];
        word[0] = top1 ^ word[1] ^ low;
        word[1] = bottom1;
        word[2] = top0 ^ word[3] ^ high;
        word[3] = bottom0;
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
}
"""

# A thread has four random words, so it does four elements.
DROP = Kernel(
    "drop",
    PHILOX
    + """
extern "C" __global__ void drop(
    const T* x, T* y, int64 seed, double rate, double scale, int64 count
) {
    int64 four = AT;
    if (4 * four >= count) return;
    unsigned word[4] = {(unsigned)four, (unsigned)(four >> 32), 0, 0};
    philox(word, (unsigned)seed, (unsigned)(seed >> 32));
    for (int j = 0; j < 4; j++) {
        int64 i = 4 * four + j;
        if (i >= count) return;
        bool kept = word[j] >= rate * 4294967296.0;
        y[i] = (T)((Real)x[i] * (Real)kept * (Real)scale);
    }
}
""",
)


def drop(a: Array, seed: int, rate: float) -> Array:
    """Set each element to 0 with probability `rate`, and scale the others by 1 / (1 - rate)."""
    xp = array_module(a)
    y: Array = xp.empty(a.shape, a.dtype)
    numbers = length(seed), number(rate), number(1 / (1 - rate)), length(a.size)
    DROP.over(a, -(-a.size // 4), xp.ascontiguousarray(a), y, *numbers)
    return y
