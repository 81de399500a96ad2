"""Batch normalization on a GPU, and sums over the rows of a matrix.

Sums go over two numbers of each element at once, in two steps: blocks of 32 channels sum
parts of the rows, then a thread for each channel adds up the parts, always in the same
order. They are kept in float64, which the memory's speed leaves time for. A batch in
float16 has scale, shift and statistics in float32.
"""

from __future__ import annotations

from typing import Any

from ...backend import Array, array_module
from .launch import TYPES, Kernel, length, number

__all__ = ["Normalized", "sum_of_rows"]

LANES = 32  # channels of a block
MOST_PARTS = 64
ROWS = 64  # of a part, at least


def _sums(name: str, terms: str) -> Kernel:
    """Return the kernel that sums `one` and `two` of each element, over a part of the rows."""
    return Kernel(
        name,
        f"""
extern "C" __global__ void {name}(
    const T* a, const T* x, const Real* mean, const Real* variance, double epsilon,
    double* parts, int64 rows, int64 channels, int64 rows_of_part
) {{
    __shared__ double ones[256], twos[256];
    int lane = threadIdx.x % 32;
    int64 c = (int64)blockIdx.x * 32 + lane;
    double one = 0, two = 0;
    if (c < channels) {{
        int64 from = blockIdx.y * rows_of_part, to = min(from + rows_of_part, rows);
        for (int64 row = from + threadIdx.x / 32; row < to; row += blockDim.x / 32) {{
            Real mine = (Real)a[row * channels + c];
            {terms}
        }}
    }}
    ones[threadIdx.x] = one;
    twos[threadIdx.x] = two;
    __syncthreads();
    if (threadIdx.x >= 32 || c >= channels) return;
    for (int other = lane + 32; other < blockDim.x; other += 32) {{
        one += ones[other];
        two += twos[other];
    }}
    parts[blockIdx.y * 2 * channels + c] = one;
    parts[(blockIdx.y * 2 + 1) * channels + c] = two;
}}
""",
    )


# Of what is left beside the first row, or squares of means far from 0 would drown the variance.
MOMENTS = _sums(
    "moments",
    "double beside = (double)mine - (double)(Real)a[c]; one += beside; two += beside * beside;",
)
GRADIENT_SUMS = _sums(
    "gradient_sums",
    """Real normal = ((Real)x[row * channels + c] - mean[c])
                / sqrt(variance[c] + (Real)epsilon);
            one += mine; two += mine * normal;""",
)
ROW_SUMS = _sums("row_sums", "one += mine;")

# What becomes of the two sums of a channel: first and second moment, or they themselves.
FINISH = Kernel(
    "finish",
    """
extern "C" __global__ void finish(
    const double* parts, const T* a, Sum* first, Sum* second,
    int64 count, int64 rows, int64 channels
) {
    Index c = AT;
    if (c >= channels) return;
    double one = 0, two = 0;
    for (int64 part = 0; part < count; part++) {
        one += parts[part * 2 * channels + c];
        two += parts[(part * 2 + 1) * channels + c];
    }
    if (a) {
        one /= rows;
        two = max(two / rows - one * one, 0.0);
        one += (double)(Real)a[c];
    }
    first[c] = (Sum)(Real)one;
    if (second) second[c] = (Sum)(Real)two;
}
""",
    types=("Sum",),
)

NORMALIZE = Kernel(
    "normalize",
    """
extern "C" __global__ void normalize(
    const T* x, const Real* mean, const Real* variance, const Real* scale, const Real* shift, T* y,
    double epsilon, int64 channels, int64 count
) {
    Index i = AT;
    if (i >= count) return;
    Index c = i % (Index)channels;
    Real factor = scale[c] / sqrt(variance[c] + (Real)epsilon);
    y[i] = (T)(((Real)x[i] - mean[c]) * factor + shift[c]);
}
""",
)

# What moves the mean or the spread of the batch changes nothing, so those parts are taken out;
# with known statistics (no sums) there are no such parts.
NORMALIZE_GRADIENT = Kernel(
    "normalize_gradient",
    """
extern "C" __global__ void normalize_gradient(
    const T* g, const T* x, const Real* mean, const Real* variance, const Real* scale,
    const Real* sum, const Real* along, T* gradient, double epsilon, int64 channels, int64 count
) {
    Index i = AT;
    if (i >= count) return;
    Index c = i % (Index)channels;
    Real inverse = 1 / sqrt(variance[c] + (Real)epsilon), mine = (Real)g[i];
    if (sum) {
        Real rows = (Real)(count / channels), normal = ((Real)x[i] - mean[c]) * inverse;
        mine -= sum[c] / rows + normal * (along[c] / rows);
    }
    gradient[i] = (T)(mine * scale[c] * inverse);
}
""",
)


class Normalized:
    """A batch that is normalized, with statistics of its own or known ones, and its gradients.

    Parameters
    ----------
    x, scale, shift
        As in `ops.batch_norm`.
    epsilon
        As there.
    mean, variance
        The known statistics; None for the batch's own.
    """

    def __init__(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        epsilon: float,
        mean: Any = None,
        variance: Any = None,
    ) -> None:
        xp = array_module(x)
        self.x, self.scale, self.epsilon = xp.ascontiguousarray(x), scale, number(epsilon)
        self.is_own = mean is None
        if self.is_own:
            mean, variance = _column_sums(MOMENTS, self.x, both=True, moments=True)
        self.mean, self.variance = mean, variance
        self.y: Array = xp.empty(x.shape, x.dtype)
        numbers = self.epsilon, length(x.shape[-1]), length(x.size)
        NORMALIZE.over(x, x.size, self.x, mean, variance, scale, shift, self.y, *numbers)
        self._sums: tuple[Any, tuple[Array, Array]] | None = None

    def by_x(self, g: Array) -> Array:
        """Return the gradient of the batch."""
        xp = array_module(g)
        g = xp.ascontiguousarray(g)
        sums = self._sums_of(g) if self.is_own else (None, None)
        found: Array = xp.empty(g.shape, g.dtype)
        NORMALIZE_GRADIENT.over(
            g, g.size, g, self.x, self.mean, self.variance, self.scale, *sums, found,
            self.epsilon, length(g.shape[-1]), length(g.size),
        )  # fmt: skip
        return found

    def by_scale(self, g: Array) -> Array:
        """Return the gradient of the scale."""
        return self._sums_of(g)[1]

    def by_shift(self, g: Array) -> Array:
        """Return the gradient of the shift."""
        return self._sums_of(g)[0]

    def _sums_of(self, g: Array) -> tuple[Array, Array]:
        """Return the sums of a gradient and of its products with the normalized batch.

        All three gradients are asked for with the same one, so it is done once.
        """
        if self._sums is None or self._sums[0] is not g:
            statistics = self.x, self.mean, self.variance, self.epsilon
            contiguous = array_module(g).ascontiguousarray(g)
            found = _column_sums(GRADIENT_SUMS, contiguous, statistics, both=True)
            self._sums = g, found
        return self._sums[1]


def sum_of_rows(a: Array) -> Array:
    """Sum over all axes but the last."""
    first: Array = _column_sums(ROW_SUMS, array_module(a).ascontiguousarray(a))[0]
    return first


NOTHING = (None, None, None, number(0))


def _column_sums(
    kernel: Kernel,
    a: Array,
    statistics: tuple[Any, ...] = NOTHING,
    both: bool = False,
    moments: bool = False,
) -> tuple[Any, Any]:
    """Return one or both of a kernel's sums over all axes but the last.

    `statistics` are x, mean, variance and epsilon, for the sums that need them.
    """
    xp, channels = array_module(a), a.shape[-1]
    rows = a.size // channels if channels else 0
    per_part = max(ROWS, -(-rows // MOST_PARTS))
    count = -(-rows // per_part)
    parts = xp.empty((count, 2, channels), "float64")
    # Of a channel's two sums there are gradients and statistics, as precise as `Real`.
    dtype = "float32" if both and a.dtype == "float16" else a.dtype.name
    first = xp.empty(channels, dtype)
    second = xp.empty(channels, dtype) if both else None
    if channels and count:
        sizes = length(rows), length(channels)
        kernel.blocks(
            a, (-(-channels // LANES), count), 256,
            a, *statistics, parts, *sizes, length(per_part),
        )  # fmt: skip
    start = a if moments else None
    numbers = length(count), length(rows), length(channels)
    FINISH.over(a, channels, parts, start, first, second, *numbers, Sum=TYPES[dtype][0])
    return first, second
