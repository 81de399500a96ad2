"""Windows that slide over images or sequences: where they fit, and a view of what each one sees."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..backend import Array, Shape, array_module
from ..errors import ShapeError, SpecError
from .checks import Amount, per_axis

__all__ = ["deconv_output_sizes", "output_sizes", "patches", "resolve_padding"]

# The same amount on all sides, one for each axis, (before, after) for each axis, or "same".
Padding: TypeAlias = int | str | Sequence[int] | Sequence[tuple[int, int]]
Edges: TypeAlias = tuple[tuple[int, int], ...]


def resolve_padding(
    padding: Padding,
    sizes: Sequence[int],
    window: Amount,
    stride: Amount = 1,
    dilation: Amount = 1,
) -> Edges:
    """Return how much to add before and after each axis.

    Parameters
    ----------
    padding
        A number for all sides; a tuple with a number for each axis; a tuple with
        `(before, after)` for each axis; or `"same"`, with which the output has
        `ceil(size / stride)` positions (of an odd amount the extra one goes after).
    sizes
        The sizes of the axes the window slides over, without batch and channels.
    window, stride, dilation
        The window's sizes, its steps, and the steps between its elements: a number
        or one for each axis.

    Raises
    ------
    SpecError
        If `padding` is none of these, or negative.

    Examples
    --------
    >>> import minnet as mn
    >>> mn.ops.resolve_padding("same", (28, 28), window=(5, 2))
    ((2, 2), (0, 1))
    """
    axes = len(sizes)
    if isinstance(padding, str):
        if padding != "same":
            raise SpecError(f'padding as a word can only be "same", got {padding!r}')
        strides = per_axis(stride, axes, "stride")
        reach = _reach(window, dilation, axes)
        totals = (
            max((-(-n // s) - 1) * s + r - n, 0)
            for n, s, r in zip(sizes, strides, reach, strict=True)
        )
        return tuple((total // 2, total - total // 2) for total in totals)
    given: Any = padding
    pairs = isinstance(given, Sequence) and all(isinstance(edge, Sequence) for edge in given)
    if pairs and len(given) == axes:
        edges = [per_axis(edge, 2, "padding before and after an axis", 0) for edge in given]
        return tuple((before, after) for before, after in edges)
    try:
        amounts = per_axis(given, axes, "padding", 0)
    except SpecError as error:
        raise SpecError(f'{error}; (before, after) for each axis and "same" do too') from None
    return tuple((amount, amount) for amount in amounts)


def output_sizes(
    sizes: Sequence[int],
    window: Amount,
    stride: Amount = 1,
    padding: Padding = 0,
    dilation: Amount = 1,
) -> Shape:
    """Return how many positions a sliding window has along each axis.

    That is `(size + padding - dilation * (window - 1) - 1) // stride + 1`.

    Parameters
    ----------
    sizes
        The sizes of the axes the window slides over, without batch and channels.
    window, stride, padding, dilation
        As in `resolve_padding`.

    Raises
    ------
    ShapeError
        If the window is larger than the padded input.
    SpecError
        If one of the others is not a whole number of a size that makes sense.

    Examples
    --------
    >>> import minnet as mn
    >>> mn.ops.output_sizes((28, 28), window=5)
    (24, 24)
    >>> mn.ops.output_sizes((227, 227), window=11, stride=4)
    (55, 55)
    """
    given: Any = window, stride, padding, dilation
    try:
        return _known_sizes(tuple(sizes), *given)
    except TypeError:  # a list is no key for what is known already
        return _worked_out(tuple(sizes), *given)


def _worked_out(
    sizes: Shape, window: Amount, stride: Amount, padding: Padding, dilation: Amount
) -> Shape:
    axes = len(sizes)
    reach = _reach(window, dilation, axes)
    strides = per_axis(stride, axes, "stride")
    edges = resolve_padding(padding, sizes, window, stride, dilation)
    padded = tuple(n + sum(edge) for n, edge in zip(sizes, edges, strict=True))
    if any(r > n for r, n in zip(reach, padded, strict=True)):
        with_padding = f" ({padded} with its padding)" if any(map(any, edges)) else ""
        raise ShapeError(
            f"a window reaching over {reach} does not fit into an input of "
            f"{sizes}{with_padding}: use a smaller window or more padding"
        )
    return tuple((n - r) // s + 1 for n, r, s in zip(padded, reach, strides, strict=True))


# The same few sizes come again with every batch.
_known_sizes = functools.lru_cache(maxsize=256, typed=True)(_worked_out)


def deconv_output_sizes(
    sizes: Sequence[int], window: Amount, stride: Amount = 1, padding: Padding = 0
) -> Shape:
    """Return the sizes of what `deconv` makes: those that `conv` would turn into `sizes`.

    That is `(size - 1) * stride + window - padding`, or `size * stride` for `"same"`.

    Parameters
    ----------
    sizes
        The sizes of the axes the window slides over, without batch and channels.
    window, stride, padding
        As in `resolve_padding`, all belonging to the `conv` that is turned around.

    Raises
    ------
    ShapeError
        If the padding leaves nothing.

    Examples
    --------
    >>> import minnet as mn
    >>> mn.ops.deconv_output_sizes((7, 7), window=4, stride=2, padding=1)
    (14, 14)
    """
    axes = len(sizes)
    windows = per_axis(window, axes, "window")
    strides = per_axis(stride, axes, "stride")
    if padding == "same":
        return tuple(n * s for n, s in zip(sizes, strides, strict=True))
    edges = resolve_padding(padding, sizes, window, stride)
    made = tuple(
        (n - 1) * s + k - sum(edge)
        for n, s, k, edge in zip(sizes, strides, windows, edges, strict=True)
    )
    if min(made, default=1) < 1:
        raise ShapeError(
            f"padding {padding!r} leaves nothing of what a window of {windows} with stride "
            f"{strides} makes of an input of {tuple(sizes)}: use less padding"
        )
    return made


def patches(x: Array, window: Amount, stride: Amount = 1, dilation: Amount = 1) -> Array:
    """Return a view of all that a window sees as it slides over an array; copies nothing.

    Parameters
    ----------
    x
        Of shape (N, H, W, C), or (N, L, C), or with more axes to slide over; padded already.
    window, stride, dilation
        As in `resolve_padding`.

    Returns
    -------
    array
        Of shape (N, OH, OW, KH, KW, C), or the like: the window at each position.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.arange(4).reshape(1, 4, 1)
    >>> mn.ops.patches(x, window=2)[0, :, :, 0]
    array([[0, 1],
           [1, 2],
           [2, 3]])
    """
    axes = x.ndim - 2
    sizes = x.shape[1:-1]
    found = output_sizes(sizes, window, stride, 0, dilation)  # it must fit
    if not isinstance(x, np.ndarray):
        return _patches_there(x, found, window, stride, dilation)
    positions = tuple(slice(None, None, s) for s in per_axis(stride, axes, "stride"))
    elements = tuple(slice(None, None, d) for d in per_axis(dilation, axes, "dilation"))
    view = np.lib.stride_tricks.sliding_window_view(
        x, _reach(window, dilation, axes), tuple(range(1, axes + 1))
    )  # (N, positions..., C, elements...)
    view = view[(slice(None), *positions, slice(None), *elements)]
    order = (*range(axes + 1), *range(axes + 2, 2 * axes + 2), axes + 1)
    result: Array = view.transpose(order)
    return result


def _patches_there(
    x: Array, positions: Shape, window: Amount, stride: Amount, dilation: Amount
) -> Array:
    """Do the same on a GPU, where CuPy's `sliding_window_view` waits for the GPU."""
    axes = x.ndim - 2
    windows, *steps = (
        per_axis(amount, axes, name)
        for amount, name in ((window, "window"), (stride, "stride"), (dilation, "dilation"))
    )
    inner = x.strides[1:-1]
    moved, apart = ([k * s for k, s in zip(step, inner, strict=True)] for step in steps)
    result: Array = array_module(x).lib.stride_tricks.as_strided(
        x,
        (len(x), *positions, *windows, x.shape[-1]),
        (x.strides[0], *moved, *apart, x.strides[-1]),
    )
    return result


def _reach(window: Amount, dilation: Amount, axes: int) -> Shape:
    """Return over how many elements of each axis the window reaches, first to last."""
    windows = per_axis(window, axes, "window")
    dilations = per_axis(dilation, axes, "dilation")
    return tuple((k - 1) * d + 1 for k, d in zip(windows, dilations, strict=True))


def spatial_sizes(x: Array, what: str) -> Shape:
    """Return the sizes of the axes between batch and channels, of which there must be some."""
    if x.ndim < 3:
        raise ShapeError(f"{what} expects shape (N, H, W, C) or (N, L, C), got {x.shape}")
    return x.shape[1:-1]
