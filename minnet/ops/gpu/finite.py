"""Whether a step's numbers are finite, found out on a GPU in a launch for each of its arrays."""

from __future__ import annotations

from collections.abc import Sequence

from ...backend import Array
from .launch import Kernel, length

__all__ = ["look"]

# Of several arrays the last one's number stays. All threads that write, write the same.
MARK = Kernel(
    "mark",
    """
extern "C" __global__ void mark(const T* array, int64* worst, int64 number, int64 count) {
    Index i = AT;
    if (i >= count) return;
    Real mine = (Real)array[i];
    if (!(mine - mine == 0)) *worst = number;
}
""",
)

SETTLE = Kernel(
    "settle",
    """
extern "C" __global__ void settle(
    const T* loss, int64* worst, bool* ok, int64* first, int64 step
) {
    if (AT > 0) return;
    Real mine = (Real)*loss;
    bool is_fine = mine - mine == 0;
    int64 what = is_fine ? *worst : -1;
    is_fine = is_fine && *worst == 0;
    if (!*ok && first[0] == 0) {  // lost since the last look, which was at the step before
        first[0] = step - 1;
        first[1] = 0;
    } else if (*ok && !is_fine) {
        first[0] = step;
        first[1] = what;
    }
    *ok = *ok && is_fine;
    *worst = 0;
}
""",
)


def look(
    loss: Array, gradients: Sequence[Array], worst: Array, ok: Array, first: Array, step: int
) -> None:
    """Look at the loss and the gradients of a step, and note in `ok` and `first` what is wrong.

    `first` gets the number of the step and that of the gradient from 1 on, -1 for the
    loss; `worst` is room for one whole number, which is 0 before and after.
    """
    for number, gradient in enumerate(gradients, 1):
        count = gradient.size
        MARK.over(gradient, count, gradient, worst, length(number), length(count))
    SETTLE.over(loss, 1, loss, worst, ok, first, length(step))
