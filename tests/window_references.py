"""Plain loops that convolution and pooling are held against, and windows to try them with."""

import numpy as np
from hypothesis import strategies as st

import minnet as mn
from minnet.ops.sweep import Sweep


def reference_conv(x, weight, bias=0, stride=1, padding=0, dilation=1, groups=1):
    """Convolve position by position, element by element of the window."""
    *window, per_group, outputs = weight.shape
    stride, dilation = all_axes(stride, x), all_axes(dilation, x)
    edges = mn.ops.resolve_padding(padding, x.shape[1:-1], window, stride, dilation)
    padded = np.pad(x, ((0, 0), *edges, (0, 0)))
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    positions = [
        (n - r) // s + 1 for n, r, s in zip(padded.shape[1:-1], reach, stride, strict=True)
    ]
    y = np.zeros((len(x), *positions, outputs))
    for example, *position, output in np.ndindex(y.shape):
        group = output // (outputs // groups)
        channels = slice(group * per_group, (group + 1) * per_group)
        for tap in np.ndindex(*window):
            seen = [
                p * s + t * d for p, s, t, d in zip(position, stride, tap, dilation, strict=True)
            ]
            values = padded[(example, *seen, channels)]
            y[(example, *position, output)] += values @ weight[(*tap, slice(None), output)]
    return y + bias


def reference_deconv(x, weight, bias=0, stride=1, padding=0):
    """Add a multiple of the weight around every element of the input, then cut the edges off."""
    *window, _, outputs = weight.shape
    stride = all_axes(stride, x)
    wanted = [n * s for n, s in zip(x.shape[1:-1], stride, strict=True)]  # by "same"
    edges = mn.ops.resolve_padding(padding, wanted, window, stride)
    sizes = [(n - 1) * s + k for n, s, k in zip(x.shape[1:-1], stride, window, strict=True)]
    if padding == "same":
        sizes = [max(pair) for pair in zip(sizes, wanted, strict=True)]
    y = np.zeros((len(x), *sizes, outputs))
    for example, *position in np.ndindex(x.shape[:-1]):
        for tap in np.ndindex(*window):
            met = [p * s + t for p, s, t in zip(position, stride, tap, strict=True)]
            y[(example, *met)] += x[(example, *position)] @ weight[tap]
    inside = tuple(slice(lo, n - hi) for (lo, hi), n in zip(edges, sizes, strict=True))
    return y[(slice(None), *inside)] + bias


def reference_pool(function, x, window, stride=None, padding=0):
    """Apply `function` to the elements each window sees, padding left out."""
    window = all_axes(window, x)
    stride = window if stride is None else all_axes(stride, x)
    edges = mn.ops.resolve_padding(padding, x.shape[1:-1], window, stride)
    padded = np.pad(x, ((0, 0), *edges, (0, 0)), constant_values=np.nan)
    positions = [
        (n - k) // s + 1 for n, k, s in zip(padded.shape[1:-1], window, stride, strict=True)
    ]
    y = np.zeros((len(x), *positions, x.shape[-1]))
    for example, *position, channel in np.ndindex(y.shape):
        starts = [p * s for p, s in zip(position, stride, strict=True)]
        seen = (slice(start, start + k) for start, k in zip(starts, window, strict=True))
        values = padded[(example, *seen, channel)]
        y[(example, *position, channel)] = function(values[~np.isnan(values)])
    return y


def all_axes(amount, x):
    """Return an amount given for all axes as one for each."""
    return amount if isinstance(amount, tuple) else (amount,) * (x.ndim - 2)


@st.composite
def windows(draw, dilated=True, partial=False):
    """Draw a window over 1 or 2 axes and an input it fits into.

    With `partial` the padding is smaller than the window, as pooling wants it.
    Returns the input's sizes, the window, and the options of how it moves.
    """
    axes = draw(st.integers(1, 2))
    window, stride, dilation, sizes, edges = [], [], [], [], []
    for _ in range(axes):
        k, d = draw(st.integers(1, 3)), draw(st.integers(1, 2 if dilated else 1))
        most = k - 1 if partial else 2
        before, after = draw(st.integers(0, most)), draw(st.integers(0, most))
        reach = (k - 1) * d + 1
        window.append(k)
        dilation.append(d)
        stride.append(draw(st.integers(1, 3)))
        sizes.append(max(1, reach - before - after) + draw(st.integers(0, 3)))
        edges.append((before, after))
    padding = draw(st.sampled_from([tuple(edges), "same", 0]))
    if padding == 0:
        sizes = [n + sum(edge) for n, edge in zip(sizes, edges, strict=True)]
    options = {"stride": tuple(stride), "padding": padding}
    if dilated:
        options["dilation"] = tuple(dilation)
    return tuple(sizes), tuple(window), options


@st.composite
def convolutions(draw, dtype="float64", most=4):
    """Draw an input, a weight, a gradient at the output, and how the window moves.

    There are up to `most` channels and outputs.
    """
    axes = draw(st.integers(1, 2))
    window = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    stride = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))
    sizes = tuple(k + draw(st.integers(0, 7)) for k in window)
    count, channels, outputs = draw(st.integers(1, 4)), *(draw(st.integers(1, most)) for _ in "io")
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    a = random.normal(size=(count, *sizes, channels)).astype(dtype)
    w = random.normal(size=(*window, channels, outputs)).astype(dtype)
    sweep = Sweep.over(a.shape, window, stride, padding)
    return a, w, random.normal(size=(count, *sweep.positions, outputs)).astype(dtype), sweep
