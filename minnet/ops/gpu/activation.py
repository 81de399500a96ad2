"""The ramp on a GPU: one kernel forward, one back."""

from __future__ import annotations

from ...backend import Array, array_module
from .launch import Kernel, length

__all__ = ["ramp", "ramp_gradient"]

# What is not a number stays so.
RAMP = Kernel(
    "ramp",
    """
extern "C" __global__ void ramp(const T* x, T* y, int64 count) {
    Index i = AT;
    if (i >= count) return;
    Real mine = (Real)x[i];
    y[i] = (T)(mine < 0 ? (Real)0 : mine);
}
""",
)

RAMP_GRADIENT = Kernel(
    "ramp_gradient",
    """
extern "C" __global__ void ramp_gradient(const T* g, const T* y, T* x, int64 count) {
    Index i = AT;
    if (i >= count) return;
    x[i] = (T)((Real)g[i] * (Real)((Real)y[i] > 0));
}
""",
)


def ramp(a: Array) -> Array:
    """Return `a` where it is positive and 0 elsewhere."""
    xp = array_module(a)
    a = xp.ascontiguousarray(a)
    y: Array = xp.empty(a.shape, a.dtype)
    RAMP.over(a, a.size, a, y, length(a.size))
    return y


def ramp_gradient(g: Array, y: Array) -> Array:
    """Return the gradient of the ramp's input, from that of its output and the output itself."""
    xp = array_module(g)
    x: Array = xp.empty(y.shape, y.dtype)
    RAMP_GRADIENT.over(g, y.size, xp.ascontiguousarray(g), y, x, length(y.size))
    return x
