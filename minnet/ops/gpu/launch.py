"""Kernels of CUDA C: compiled for a dtype and some constants when first needed, then launched.

Every kernel is written for these names:

    T        the dtype of the arrays
    Real     what to compute with: T, or float where T is a half
    Index    for positions in arrays: int, or int64 where they are too large for that
    AT       the number of the thread among all, along the first axis of blocks

Kernels are deterministic: one thread computes an element from beginning to end, or the
threads of a block add up what each has in the order of a fixed tree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, array_module

__all__ = ["THREADS", "TREE", "Kernel", "length", "number"]

THREADS = 256  # in a block
LARGEST = 2**31 - 2 * THREADS  # position that an int can hold, the last block filled up

TYPES = {"float16": ("half", "float"), "float32": ("float", "float"), "float64": ("double",) * 2}

PRELUDE = """
typedef long long int64;
typedef unsigned char byte;
#define AT ((Index)blockIdx.x * blockDim.x + threadIdx.x)
"""

# What all threads of a block get: the sum, or the largest, of what each of them gives.
TREE = """
__device__ Real tree(Real* shared, Real mine, bool largest) {
    shared[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned reach = blockDim.x / 2; reach > 0; reach /= 2) {
        if (threadIdx.x < reach) {
            Real other = shared[threadIdx.x + reach];
            mine = largest ? max(mine, other) : mine + other;
            shared[threadIdx.x] = mine;
        }
        __syncthreads();
    }
    Real all = shared[0];
    __syncthreads();
    return all;
}
"""


class Kernel:
    """A kernel's source, and what it was compiled to.

    Parameters
    ----------
    name
        The function of that name in the source.
    source
        CUDA C.
    constants
        Names in the source that stand for whole numbers known when it is compiled, so
        that the compiler can make divisions into multiplications.
    types
        Names in the source that stand for types, beside those above.
    """

    def __init__(
        self, name: str, source: str, constants: tuple[str, ...] = (), types: tuple[str, ...] = ()
    ) -> None:
        self.name, self.source, self.constants, self.types = name, source, constants, types
        self._compiled: dict[Any, Any] = {}

    def over(self, like: Array, count: int, *args: Any, groups: int = 1, **known: Any) -> None:
        """Launch a thread for each of so many elements, in each of so many groups.

        `like` is an array that tells module and dtype; `known` gives the constants and types.
        """
        if count:  # no blocks at all are an error
            blocks = -(-count // THREADS), groups
            self.blocks(like, blocks, THREADS, *args, **known)

    def blocks(
        self, like: Array, blocks: tuple[int, ...], threads: int, *args: Any, **known: Any
    ) -> None:
        """Launch blocks of so many threads; an argument None is a null pointer."""
        args = tuple(NULL if arg is None else arg for arg in args)
        is_large = any(arg.size > LARGEST for arg in args)
        key = array_module(like), like.dtype, is_large, *known.values()
        kernel = self._compiled.get(key)
        if kernel is None:
            options = tuple(f"-D{name}={known[name]}" for name in self.constants)
            text = self.text(like.dtype.name, is_large, {name: known[name] for name in self.types})
            kernel = self._compiled[key] = key[0].RawKernel(text, self.name, options)
        kernel(blocks, (threads,), args)

    def text(self, dtype: str, is_large: bool, types: dict[str, str]) -> str:
        """Return the source with all its types."""
        stored, real = TYPES[dtype]
        names = {"T": stored, "Real": real, "Index": "int64" if is_large else "int", **types}
        lines = ["#include <cuda_fp16.h>"] if stored == "half" else []
        lines += [PRELUDE, *(f"typedef {what} {name};" for name, what in names.items())]
        return "\n".join([*lines, self.source])


# Numbers are passed as NumPy's, whose size is plain.
number = np.float64
length = np.int64
NULL = length(0)  # CuPy 13 makes some other pointer of None
