"""Convolution and its transpose, over sequences or images, each as one matrix product.

Three kernels do all the work: `_correlate` is the forward pass, `_spread` sends
back the input's gradient and `_weight_gradient` the weight's. `deconv` is `conv`
turned around, so it is made of the same three in other roles.

Letters: M is the number of positions in the whole batch (N * OH * OW), K that of
numbers in a window (KH * KW * channels of a group), G that of groups.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array, Shape, array_module
from ..errors import ShapeError
from . import compiled, gpu, wide, winograd
from .channels import Rows
from .checks import Amount, array_of, per_axis
from .kernels import sum_of_rows
from .sweep import Sweep
from .windows import Padding, deconv_output_sizes, patches, spatial_sizes

__all__ = ["conv", "conv_and_pool", "deconv"]

# Below this many numbers in one run, NumPy's copying spends its time on going from run to run.
SHORT_RUN = 12


def conv(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Amount = 1,
    padding: Padding = 0,
    dilation: Amount = 1,
    groups: int = 1,
) -> Any:
    """Slide a window over sequences or images and take its product with the weight everywhere.

    As everywhere in this field the window is not mirrored, so strictly this is a
    cross-correlation.

    Parameters
    ----------
    x
        Array or Tensor of shape (N, H, W, C) or (N, L, C).
    weight
        Of shape (KH, KW, C / groups, out) or (K, C / groups, out).
    bias
        Of shape (out,), added everywhere; or None.
    stride
        How far the window moves: a number or one for each axis.
    padding
        Zeros around the input: a number, one for each axis, (before, after) for
        each axis, or "same".
    dilation
        The steps between the elements of the window.
    groups
        The channels and the outputs are divided into so many groups, in order;
        each group of outputs sees only its group of channels.

    Returns
    -------
    array or Tensor
        Of shape (N, OH, OW, out) or (N, OL, out); see `output_sizes`.

    Raises
    ------
    ShapeError
        If the shapes don't go together, or the window is larger than the padded input.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1)
    >>> weight = np.array([-1.0, 1.0]).reshape(2, 1, 1)
    >>> mn.ops.conv(x, weight)[0, :, 0]
    array([1., 2., 4.])
    """
    a, w = array_of(x), array_of(weight)
    sweep = _conv_sweep(a, w, stride, padding, dilation, groups)
    b = _checked_bias(bias, w.shape[-1])
    adds = b is not None and _is_compiled(sweep, a, w, b)
    y = _correlate(a, w, sweep, b if adds else None)
    return _with_bias(
        y,
        None if adds else b,
        bias,
        (x, lambda g: _spread(g, w, sweep)),
        # The patches are gathered anew from x rather than kept from the forward pass: that
        # would take up to KH * KW times the memory of x from there to here, while gathering
        # takes a fifth of the time of the matrix product that follows.
        (weight, lambda g: _weight_gradient(a, g, sweep)),
    )


def conv_and_pool(
    x: Any, weight: Any, bias: Any, moves: Any, pool: Any, is_ramp: bool = False
) -> Any:
    """Do `conv` and then `max_pool`, as one op; None where no compiled kernel can.

    What a convolution gives is mostly the largest thing around, and of a pool of 2 x 2 windows
    a quarter of it is needed. A kernel pools it piece by piece, while it is near.

    Parameters
    ----------
    x, weight, bias
        As in `conv`.
    moves, pool
        The other arguments of `conv`, in their order, and those of `max_pool`.
    is_ramp
        Whether to do `ramp` after that, too.

    Examples
    --------
    >>> import numpy as np
    >>> from minnet.ops.conv import conv_and_pool
    >>> x, weight = np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1))
    >>> conv_and_pool(x, weight, None, (1, 0, 1, 1), (2, 2, 0)) is None  # too small for kernels
    True
    """
    a, w = array_of(x), array_of(weight)
    b = _checked_bias(bias, w.shape[-1])
    if a.ndim != 4:
        return None
    sweep = _conv_sweep(a, w, *moves)
    over = Sweep.over((len(a), *sweep.positions, w.shape[-1]), *pool)
    arrays, size = (a, w) if b is None else (a, w, b), math.prod(over.shape)
    if not compiled.takes_pool(over, *arrays, size=size) or sweep.groups > 1:
        return None
    if winograd.suits(a, w.shape[-1], sweep):
        return None
    y, winner = compiled.conv.correlate_and_pool(a, w, sweep, b, over, is_ramp)
    sent: list[Array] = []  # a gradient, and what it is for the pool and for the convolution

    def sent_back(g: Array) -> list[Array]:
        if not sent or sent[0] is not g:
            of_pool = compiled.activation.ramp_gradient(g, y) if is_ramp else g
            sent[:] = g, of_pool, compiled.pool.send_to_winner(of_pool, winner, over)
        return sent

    routes = (
        (x, lambda g: _spread(sent_back(g)[2], w, sweep)),
        (weight, lambda g: _weight_gradient(a, sent_back(g)[2], sweep)),
        (bias, lambda g: sum_of_rows(sent_back(g)[1])),
    )
    return record(y, *(routes[:2] if bias is None else routes))


def deconv(x: Any, weight: Any, bias: Any = None, stride: Amount = 1, padding: Padding = 0) -> Any:
    """Turn `conv` around: each element of the input adds a multiple of the weight to the output.

    Also called transposed convolution: it is the gradient of a convolution with
    the same stride and padding (Zeiler et al. 2010, "Deconvolutional Networks").

    Parameters
    ----------
    x
        Array or Tensor of shape (N, H, W, C) or (N, L, C).
    weight
        Of shape (KH, KW, C, out) or (K, C, out).
    bias
        Of shape (out,), added everywhere; or None.
    stride
        How far apart neighbours in the input come to be in the output.
    padding
        What is cut off the output's edges, as in `conv`; "same" gives an output
        `stride` times the size of the input.

    Returns
    -------
    array or Tensor
        Of shape (N, OH, OW, out) or (N, OL, out); see `deconv_output_sizes`.

    Raises
    ------
    ShapeError
        If the shapes don't go together, or the padding leaves nothing.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> x = np.array([1.0, 2.0]).reshape(1, 2, 1)
    >>> weight = np.array([1.0, 1.0, 1.0]).reshape(3, 1, 1)
    >>> mn.ops.deconv(x, weight, stride=2)[0, :, 0]
    array([1., 1., 3., 2., 2.])
    """
    a, w = array_of(x), array_of(weight)
    sweep = _deconv_sweep(a, w, stride, padding)
    turned = w.swapaxes(-1, -2)  # the weight of the convolution this turns around
    b = _checked_bias(bias, w.shape[-1])
    y = _spread(a, turned, sweep)
    return _with_bias(
        y,
        b,
        bias,
        (x, lambda g: _correlate(g, turned, sweep)),
        (weight, lambda g: _weight_gradient(g, a, sweep).swapaxes(-1, -2)),
    )


# --- what fits together -------------------------------------------------------------------


def _conv_sweep(
    a: Array, w: Array, stride: Amount, padding: Padding, dilation: Amount, groups: int
) -> Sweep:
    """Check what `conv` was given."""
    _check_axes("conv", "in / groups, out", a, w)
    if type(groups) is not int or groups != 1:
        (groups,) = per_axis(groups, 1, "groups")
    *window, per_group, outputs = w.shape
    if per_group * groups != a.shape[-1]:
        raise ShapeError(
            f"conv expects {per_group * groups} channels (its weight of shape {w.shape} in "
            f"{groups} groups), got an input of shape {a.shape} with {a.shape[-1]}"
        )
    if outputs % groups:
        raise ShapeError(f"conv can't divide {outputs} outputs into {groups} equal groups")
    return Sweep.over(a.shape, tuple(window), stride, padding, dilation, groups)


def _deconv_sweep(a: Array, w: Array, stride: Amount, padding: Padding) -> Sweep:
    """Check what `deconv` was given, and describe the convolution it turns around."""
    sizes = _check_axes("deconv", "in, out", a, w)
    *window, channels, outputs = w.shape
    if channels != a.shape[-1]:
        raise ShapeError(
            f"deconv expects {channels} channels (its weight has shape {w.shape}), "
            f"got an input of shape {a.shape} with {a.shape[-1]}"
        )
    made = deconv_output_sizes(sizes, window, stride, padding)
    return Sweep.over((len(a), *made, outputs), tuple(window), stride, padding)


def _check_axes(name: str, last: str, a: Array, w: Array) -> Shape:
    """Return the sizes a window slides over, if input and weight have as many such axes."""
    sizes = spatial_sizes(a, f"the input of {name}")
    if w.ndim != a.ndim:
        window = {1: "K", 2: "KH, KW"}.get(len(sizes), "...")
        raise ShapeError(
            f"{name} of an input of shape {a.shape} expects a weight of shape "
            f"({window}, {last}), got {w.shape}"
        )
    return sizes


def _checked_bias(bias: Any, outputs: int) -> Any:
    """Return the array of a bias, if there is one, of the right shape."""
    if bias is None:
        return None
    b = array_of(bias)
    if b.shape != (outputs,):
        raise ShapeError(f"expected a bias of shape {(outputs,)}, got {b.shape}")
    return b


def _with_bias(y: Array, b: Array | None, bias: Any, *inputs: Any) -> Any:
    """Add a bias to the result of a convolution, in place, if it isn't in there; record all."""
    if b is not None and gpu.takes(y, b):
        y += b
    elif b is not None:
        xp = array_module(y)
        y = xp.ascontiguousarray(y, dtype=xp.result_type(y, b))
        if compiled.takes(y, b):
            compiled.activation.add_to_rows(y, b)
        elif y.size:  # rows of many positions: adding is several times as fast in long runs
            rows = Rows(y)
            flat = y.reshape(rows.shape)
            flat += rows.repeated(b)
    return record(y, *inputs) if bias is None else record(y, *inputs, (bias, sum_of_rows))


# --- kernels ------------------------------------------------------------------------------


def _columns(a: Array, sweep: Sweep) -> Array:
    """Gather what the window sees at every position into a matrix (G, M, K)."""
    view = patches(sweep.pad(a), sweep.window, sweep.stride, sweep.dilation)
    groups, channels = sweep.groups, a.shape[-1] // sweep.groups
    axes = len(sweep.window)
    view = view.reshape(*view.shape[:-1], groups, channels)
    positions, window = tuple(range(axes + 1)), tuple(range(axes + 1, 2 * axes + 1))
    group, channel = 2 * axes + 1, 2 * axes + 2
    m, k = sweep.count, math.prod(sweep.window) * channels
    # Within a row of the window the numbers lie side by side, if all channels are wanted.
    merged = groups == 1 and sweep.dilation[-1] == 1
    run = channels * (sweep.window[-1] if merged else 1)
    if run < SHORT_RUN and math.prod(sweep.window) > 1:
        # Let the runs go along the positions instead, and use the matrix transposed.
        gathered = view.transpose(group, *window, channel, *positions)
        return gathered.reshape(groups, k, m).swapaxes(1, 2)
    return view.transpose(group, *positions, *window, channel).reshape(groups, m, k)


def _by_group(g: Array, sweep: Sweep) -> Array:
    """Return what stands at the output's positions as (G, M, out of a group)."""
    return g.reshape(sweep.count, sweep.groups, g.shape[-1] // sweep.groups).swapaxes(0, 1)


def _is_compiled(sweep: Sweep, *arrays: Array) -> bool:
    """Tell whether compiled kernels do a convolution of such arrays."""
    return sweep.groups == 1 and arrays[0].ndim in (3, 4) and compiled.takes(*arrays)


def _correlate(a: Array, w: Array, sweep: Sweep, bias: Array | None = None) -> Array:
    """Take the product of the weight with what the window sees at every position.

    Compiled kernels add a bias as well.
    """
    if a.dtype == w.dtype and winograd.suits(a, w.shape[-1], sweep):
        return winograd.correlate(a, w, sweep, bias)
    if _is_compiled(sweep, a, w):
        return compiled.conv.correlate(a, w, sweep, bias)  # type: ignore[no-any-return]
    if wide.is_wide(a, sweep):
        return wide.correlate(a, w, sweep)
    if gpu.takes_windows(sweep, a, w):
        return gpu.windows.correlate(a, w, sweep)  # type: ignore[no-any-return]
    outputs = w.shape[-1]
    k = math.prod(w.shape[:-1])
    by_group = w.reshape(k, sweep.groups, outputs // sweep.groups).swapaxes(0, 1)
    y = _columns(a, sweep) @ by_group
    return y.swapaxes(0, 1).reshape(len(a), *sweep.positions, outputs)


def _weight_gradient(a: Array, g: Array, sweep: Sweep) -> Array:
    """Return the weight's gradient, from the input and the gradient at the output."""
    if a.dtype == g.dtype and winograd.suits(a, g.shape[-1], sweep):
        return winograd.weight_gradient(a, g, sweep)
    if _is_compiled(sweep, a, g):
        return compiled.conv.weight_gradient(a, g, sweep)  # type: ignore[no-any-return]
    if wide.is_wide(a, sweep):
        return wide.weight_gradient(a, g, sweep)
    if gpu.takes_windows(sweep, a, g):
        return gpu.windows.weight_gradient(a, g, sweep)  # type: ignore[no-any-return]
    gradient = _columns(a, sweep).swapaxes(1, 2) @ _by_group(g, sweep)
    channels = a.shape[-1] // sweep.groups
    return gradient.swapaxes(0, 1).reshape(*sweep.window, channels, g.shape[-1])


def _spread(g: Array, w: Array, sweep: Sweep) -> Array:
    """Return the input's gradient: each position adds its multiple of the weight around it.

    One element of the window at a time: what it adds then lies side by side in
    longer runs, and stays in the processor's cache from the product to the sum.
    """
    if _is_compiled(sweep, g, w):
        around = wide.turned_around(sweep, w.shape[-1])
        if around is not None and winograd.suits(g, w.shape[-2], around):
            return winograd.correlate(g, np.flip(w, (0, 1)).swapaxes(-1, -2), around)
        return compiled.conv.spread(g, w, sweep)  # type: ignore[no-any-return]
    if wide.is_wide(g, sweep):
        return wide.spread(g, w, sweep)
    if gpu.takes_windows(sweep, g, w):
        return gpu.windows.spread(g, w, sweep)  # type: ignore[no-any-return]
    by_group = _by_group(g, sweep)
    split = (*w.shape[:-1], sweep.groups, w.shape[-1] // sweep.groups)
    turned = w.reshape(split).swapaxes(-1, -3).swapaxes(-3, -2)  # (KH, KW, G, out, channels)
    xp = array_module(g)
    total = xp.zeros(sweep.padded_shape, dtype=xp.result_type(g, w))
    shape = (len(g), *sweep.positions, sweep.shape[-1])
    for tap, met in sweep.taps():
        part = (by_group @ turned[tap]).swapaxes(0, 1).reshape(shape)
        if shape == sweep.padded_shape:  # a window of one element, which meets all
            total = part
        else:
            total[met] += part
    return sweep.crop(total)
