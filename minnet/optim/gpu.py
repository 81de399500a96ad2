"""The whole step of an optimizer on a GPU in one launch: from the gradient to the new weights.

It does for each element what `Updater` does array by array: mask, clip, L2, the
optimizer's direction, multiplier and decay. Each thread reads and writes its element of
every array once, which is all that memory has to carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backend import Array, array_module
from ..ops import gpu
from ..ops.gpu.launch import Kernel, length, number
from .optimizers import SGD, Adam, AdamW, Optimizer, RMSProp, SignSGD
from .stretch import Piece

__all__ = ["KERNELS", "shrink", "takes", "update"]

SOURCE = """
extern "C" __global__ void NAME(
    const T* array, T* into, const T* gradient, T* first, T* second,
    const T* multipliers, const bool* mask, const bool* ok, const double* shrink,
    double rate, double multiplier, double clip, double l2, double decay,
    double a, double b, double c, double d, int64 count
) {
    Index i = AT;
    if (i >= count) return;
    bool is_trained = !mask || mask[i];
    if (ok && !*ok) return;  // a loss or gradient was not finite: all stays as it is
    // Frozen elements may hold anything, infinities too, and must not come into it.
    Real weight = is_trained ? (Real)array[i] : (Real)0;
    Real g = is_trained ? (Real)gradient[i] : (Real)0;
    if (clip > 0) g = g < -(Real)clip ? -(Real)clip : g > (Real)clip ? (Real)clip : g;
    if (shrink) g *= (Real)*shrink;
    g += (Real)l2 * weight;
    Real direction;
    DIRECTION
    Real factor = multipliers ? (Real)multipliers[i] : (Real)multiplier;
    Real change = direction * (multipliers ? (Real)rate * factor : (Real)(rate * multiplier));
    change += fabs(factor) * (Real)(rate * decay) * weight;
    into[i] = is_trained ? (T)((Real)array[i] - change) : array[i];
}
"""

# What an optimizer makes of the gradient, with its state and the numbers a to d.
DIRECTIONS = {
    "step_plain": "direction = g;",
    "step_momentum": """
    Real velocity = (Real)first[i] * (Real)a + g;
    first[i] = (T)velocity;
    direction = b != 0 ? (Real)a * velocity + g : velocity;
    """,
    "step_adam": """
    Real total = (Real)first[i] * (Real)a + g, squares = (Real)second[i] * (Real)b + g * g;
    first[i] = (T)total;
    second[i] = (T)squares;
    direction = total / (sqrt(squares) + (Real)c) * (Real)d;
    """,
    "step_rmsprop": """
    Real square = (Real)first[i] * (Real)a + (Real)b * g * g;
    first[i] = (T)square;
    direction = g / (sqrt(square) + (Real)c);
    """,
    "step_sign": "direction = (Real)((g > 0) - (g < 0));",
    "step_sign_of_mean": """
    Real mean = (Real)first[i] * (Real)a + (Real)b * g;
    first[i] = (T)mean;
    direction = (Real)((mean > 0) - (mean < 0));
    """,
}
KERNELS = {
    name: Kernel(name, SOURCE.replace("NAME", name).replace("DIRECTION", direction))
    for name, direction in DIRECTIONS.items()
}


def takes(optimizer: Optimizer, array: Array) -> bool:
    """Tell whether a kernel can make the step of an array; not for optimizers of a user's own."""
    known = type(optimizer) in (SGD, Adam, AdamW, RMSProp, SignSGD)
    return known and gpu.takes(array) and array.flags.c_contiguous


def update(
    optimizer: Optimizer,
    piece: Piece,
    gradient: Array,
    count: int,
    rate: float,
    shrink: Any = None,
    ok: Any = None,
) -> None:
    """Make the step of a piece.

    Parameters
    ----------
    optimizer, piece, gradient
        What to do, with which arrays, of which gradient.
    count
        Which step it is, from 1.
    rate
        The learning rate.
    shrink
        A float64 number on the GPU to multiply gradients with; None for 1.
    ok
        A bool on the GPU: where it is False, arrays and state stay as they are.
    """
    array, elementwise = piece.array, not isinstance(piece.multiplier, float)
    kernel, numbers = _method(optimizer, count)
    states = [*piece.state.values(), None, None]
    given = rate, 0.0 if elementwise else piece.multiplier, optimizer.clip_value or 0.0
    kernel.over(
        array, array.size, array, piece.into, array_module(array).ascontiguousarray(gradient),
        *states[:2], piece.multiplier if elementwise else None, piece.mask, ok, shrink,
        *map(number, (*given, piece.l2, piece.decay, *numbers)), length(array.size),
    )  # fmt: skip


def _method(optimizer: Optimizer, count: int) -> tuple[Kernel, tuple[float, float, float, float]]:
    """Return the kernel of an optimizer, and its numbers a to d in its step of this number."""
    if isinstance(optimizer, SGD):
        name = "step_momentum" if optimizer.momentum else "step_plain"
        return KERNELS[name], (optimizer.momentum, float(optimizer.nesterov), 0.0, 0.0)
    if isinstance(optimizer, Adam):
        mean, root = optimizer.corrections(count)
        numbers = optimizer.beta1, optimizer.beta2, optimizer.epsilon / root, mean / root
        return KERNELS["step_adam"], numbers
    if isinstance(optimizer, RMSProp):
        beta = optimizer.beta
        return KERNELS["step_rmsprop"], (beta, 1 - beta, optimizer.epsilon, 0.0)
    assert isinstance(optimizer, SignSGD)
    name = "step_sign_of_mean" if optimizer.momentum else "step_sign"
    return KERNELS[name], (optimizer.momentum, 1 - optimizer.momentum, 0.0, 0.0)


def shrink(parts: Sequence[Array], clip: float, ok: Any = None) -> Any:
    """Return the factor that brings gradients to a common length of `clip`, as a number on the GPU.

    A length that is not finite makes `ok` False.
    """
    xp = array_module(parts[0])
    total = xp.zeros((), "float64")
    for part in parts:
        part = part.astype("float64")
        total += (part * part).sum()
    if ok is not None:
        xp.logical_and(ok, xp.isfinite(total), out=ok)
    return xp.minimum(clip / xp.sqrt(total), 1.0)
