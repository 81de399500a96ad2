"""Softmax and cross-entropy on a GPU: a block for each row, forward and gradient at once."""

from __future__ import annotations

from ...backend import Array, array_module
from .launch import THREADS, TREE, Kernel, length

__all__ = ["LABELS", "cross_entropy", "cross_entropy_gradient"]

# The dtypes of class indices, as C calls them.
LABELS = {
    "int8": "signed char", "int16": "short", "int32": "int", "int64": "int64",
    "uint8": "byte", "uint16": "unsigned short", "uint32": "unsigned",
    "uint64": "unsigned long long",
}  # fmt: skip

ROW = """
    __shared__ Real shared[256];
    int64 row = blockIdx.x;
    const T* mine = logits + row * classes;
    Real most = log((Real)0);
    for (int64 c = threadIdx.x; c < classes; c += blockDim.x) most = max(most, (Real)mine[c]);
    most = tree(shared, most, true);
    Real total = 0;
    for (int64 c = threadIdx.x; c < classes; c += blockDim.x) total += exp((Real)mine[c] - most);
    total = tree(shared, total, false);
"""

# The gradient is that of the row's own loss. An index that is no class makes a loss that is not
# a number: to raise an error, the host would have to wait.
BY_CLASS = Kernel(
    "by_class",
    TREE
    + f"""
extern "C" __global__ void by_class(
    const T* logits, const Label* label, T* losses, T* gradient, int64 classes
) {{
    {ROW}
    int64 wanted = (int64)label[row];
    bool is_class = wanted >= 0 && wanted < classes;
    if (threadIdx.x == 0)
        losses[row] = (T)(is_class ? log(total) - ((Real)mine[wanted] - most) : log((Real)-1));
    if (!gradient) return;
    for (int64 c = threadIdx.x; c < classes; c += blockDim.x)
        gradient[row * classes + c] = (T)(exp((Real)mine[c] - most) / total - (Real)(c == wanted));
}}
""",
    types=("Label",),
)

BY_SHARE = Kernel(
    "by_share",
    TREE
    + f"""
extern "C" __global__ void by_share(
    const T* logits, const T* shares, T* losses, T* gradient, int64 classes
) {{
    {ROW}
    const T* wanted = shares + row * classes;
    Real all = 0, loss = 0;
    for (int64 c = threadIdx.x; c < classes; c += blockDim.x) {{
        all += (Real)wanted[c];
        loss -= (Real)wanted[c] * ((Real)mine[c] - most - log(total));
    }}
    all = tree(shared, all, false);
    loss = tree(shared, loss, false);
    if (threadIdx.x == 0) losses[row] = (T)loss;
    if (!gradient) return;
    for (int64 c = threadIdx.x; c < classes; c += blockDim.x)
        gradient[row * classes + c] =
            (T)(exp((Real)mine[c] - most) / total * all - (Real)wanted[c]);
}}
""",
)

MEAN_LOSS = Kernel(
    "mean_loss",
    TREE
    + """
extern "C" __global__ void mean_loss(const T* losses, T* mean, int64 rows) {
    __shared__ Real shared[256];
    Real total = 0;
    for (int64 row = threadIdx.x; row < rows; row += blockDim.x) total += (Real)losses[row];
    total = tree(shared, total, false);
    if (threadIdx.x == 0) *mean = (T)(total / (Real)rows);
}
""",
)

SHARE_OF = Kernel(
    "share_of",
    """
extern "C" __global__ void share_of(
    const T* each, const T* g, T* gradient, int64 rows, int64 count
) {
    Index i = AT;
    if (i < count) gradient[i] = (T)((Real)each[i] * ((Real)*g / (Real)rows));
}
""",
)


def cross_entropy(z: Array, t: Array, with_gradient: bool) -> tuple[Array, Array | None]:
    """Return the mean loss of a batch and, if wanted, the gradient of each row's own loss.

    `t` holds class indices or, in the shape of the logits `z`, probabilities.
    """
    xp = array_module(z)
    z, t = xp.ascontiguousarray(z), xp.ascontiguousarray(t)
    rows, classes = z.size // z.shape[-1], z.shape[-1]
    losses, gradient = xp.empty(rows, z.dtype), xp.empty_like(z) if with_gradient else None
    threads = min(THREADS, max(32, 1 << (classes - 1).bit_length()))
    args = z, t, losses, gradient, length(classes)
    if t.ndim < z.ndim:
        BY_CLASS.blocks(z, (rows,), threads, *args, Label=LABELS[t.dtype.name])
    else:
        BY_SHARE.blocks(z, (rows,), threads, *args)
    mean: Array = xp.empty((), z.dtype)
    MEAN_LOSS.blocks(z, (1,), THREADS, losses, mean, length(rows))
    return mean, gradient


def cross_entropy_gradient(g: Array, each: Array) -> Array:
    """Return the gradient of the logits from that of the mean loss and of each row's."""
    gradient: Array = array_module(each).empty_like(each)
    rows = each.size // each.shape[-1]
    SHARE_OF.over(each, each.size, each, g, gradient, length(rows), length(each.size))
    return gradient
