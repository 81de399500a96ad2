"""Products of matrices: matmul, linear (what a layer of neurons computes) and einsum."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff import record
from ..backend import Array, Shape, array_module
from ..errors import ShapeError, SpecError
from .inputs import array, misfit
from .kernels import product, sum_of_rows

__all__ = ["einsum", "linear", "matmul"]


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Return `x @ weight + bias`, one row of `x` for each example.

    Parameters
    ----------
    x
        Of shape (..., inputs).
    weight
        Of shape (inputs, outputs).
    bias
        Of shape (outputs,), or None for none.

    Returns
    -------
    array or Tensor
        Of shape (..., outputs).

    Raises
    ------
    ShapeError
        If the shapes are not these.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.linear(np.array([[1.0, 2.0]]), np.array([[1.0], [10.0]]), np.array([0.5]))
    array([[21.5]])
    """
    a, w = array(x), array(weight)
    if w.ndim != 2 or a.shape[-1:] != w.shape[:1]:
        raise ShapeError(
            f"linear needs x of shape (..., inputs) and weight of shape (inputs, outputs), "
            f"got {a.shape} and {w.shape}"
        )
    # One product of two matrices is faster than many small ones, there and back.
    rows = a if a.ndim == 2 else a.reshape(math.prod(a.shape[:-1]), w.shape[0])
    data = product(rows, w)
    if bias is not None:
        data = _plus(data, array(bias))
    if a.ndim == 2:
        return record(
            data,
            (x, lambda g: product(g, w.T)),
            (weight, lambda g: product(rows.T, g)),
            (bias, sum_of_rows),
        )
    shape, matrix = a.shape, data.shape
    return record(
        data.reshape(a.shape[:-1] + w.shape[1:]),
        (x, lambda g: product(g.reshape(matrix), w.T).reshape(shape)),
        (weight, lambda g: product(rows.T, g.reshape(matrix))),
        (bias, sum_of_rows),
    )


def _plus(data: Array, bias: Array) -> Array:
    """Add a bias to every row, in place where the dtypes let it."""
    if bias.shape != data.shape[1:]:
        raise ShapeError(f"the bias for {data.shape[1]} outputs has shape {bias.shape}")
    if bias.dtype != data.dtype:
        return data + bias
    data += bias
    return data


def matmul(x: Any, y: Any) -> Any:
    """Return the matrix product `x @ y`.

    As in NumPy, leading axes broadcast, and a vector counts as a row on the left and
    as a column on the right.

    Raises
    ------
    ShapeError
        If the last axis of `x` is not as long as the last but one of `y`.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0]))
    array([21., 43.])
    """
    a, b = array(x), array(y)
    try:
        data = a @ b
    except ValueError:
        raise ShapeError(
            f"matmul of shapes {a.shape} and {b.shape}: the last axis of the first must be as "
            "long as the last but one of the second, and all axes before them must broadcast"
        ) from None
    a_shape, b_shape = a.shape, b.shape
    return record(
        data,
        (x, lambda g: _by_left(_as_matrices(g, a_shape, b_shape), a_shape, b)),
        (y, lambda g: _by_right(_as_matrices(g, a_shape, b_shape), a, b_shape)),
    )


def _as_matrices(g: Array, a_shape: Shape, b_shape: Shape) -> Array:
    """Give a product's gradient the axes that it lacks where a factor was a vector."""
    if len(b_shape) == 1:
        g = g[..., None]
    return g[..., None, :] if len(a_shape) == 1 else g


def _by_left(g: Array, a_shape: Shape, b: Array) -> Array:
    columns = b[:, None] if b.ndim == 1 else b
    found = g @ columns.swapaxes(-1, -2)
    return found[..., 0, :] if len(a_shape) == 1 else found


def _by_right(g: Array, a: Array, b_shape: Shape) -> Array:
    rows = a[None, :] if a.ndim == 1 else a
    if len(b_shape) <= 2 < rows.ndim:  # one matrix for all: one product instead of a sum of many
        count = math.prod(rows.shape[:-1])
        rows, g = rows.reshape(count, rows.shape[-1]), g.reshape(count, g.shape[-1])
    found = rows.swapaxes(-1, -2) @ g
    return found[..., 0] if len(b_shape) == 1 else found


# --- einsum ---------------------------------------------------------------------------


def einsum(subscripts: str, *operands: Any) -> Any:
    """Return a sum of products of arrays whose axes are named by letters.

    Parameters
    ----------
    subscripts
        The letters of each operand's axes, separated by commas, then `->` and those of
        the result: letters missing there are summed over. `...` stands for any number
        of axes that broadcast. Without `->` the result has the letters that occur
        once, in alphabetical order.
    *operands
        Arrays or Tensors.

    Raises
    ------
    SpecError
        If the subscripts make no sense.
    ShapeError
        If the operands don't have the shapes that the subscripts say.

    Examples
    --------
    >>> import numpy as np, minnet as mn
    >>> mn.ops.einsum("ij,kj->ik", np.eye(2), np.array([[1.0, 2.0]]))
    array([[1.],
           [2.]])
    """
    arrays = [array(x) for x in operands]
    try:
        # optimize=True sends products of two to the fast matrix product.
        data = np.einsum(subscripts, *arrays, optimize=len(arrays) > 1)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        _check_subscripts(subscripts, len(arrays))
        raise misfit(f"einsum({subscripts!r})", error, *arrays) from None
    shapes = [a.shape for a in arrays]

    def gradient(i: int) -> Any:
        others = arrays[:i] + arrays[i + 1 :]  # not the operand itself, which it doesn't need
        return lambda g: _by_operand(g, i, subscripts, shapes, others)

    return record(data, *((x, gradient(i)) for i, x in enumerate(operands)))


def _check_subscripts(subscripts: Any, count: int) -> None:
    """Raise a SpecError if the subscripts make no sense whatever the shapes."""
    if not isinstance(subscripts, str):
        raise SpecError(f"einsum takes its subscripts as one string first, got {subscripts!r}")
    left, _, right = subscripts.replace(" ", "").partition("->")
    for term in [*left.split(","), right]:
        if strange := set(term.replace("...", "", 1)) - set(string.ascii_letters):
            raise SpecError(
                f"einsum({subscripts!r}): axes are named by letters, or '...' for several, "
                f"got {sorted(strange)}"
            )
    letters = right.replace("...", "")
    if len(set(letters)) < len(letters) or set(letters) - set(left):
        raise SpecError(
            f"einsum({subscripts!r}): each letter after '->' must occur before it, "
            "and only once after it"
        )
    if left.count(",") + 1 != count:
        raise SpecError(
            f"einsum({subscripts!r}) names {left.count(',') + 1} operands, {count} were given"
        )


def _by_operand(
    g: Array, i: int, subscripts: str, shapes: Sequence[Shape], others: Sequence[Array]
) -> Any:
    """Return the gradient with respect to operand `i`: an einsum of `g` and the others."""
    *terms, result = _spelled_out(subscripts, [len(shape) for shape in shapes])
    own = terms.pop(i)
    letters = "".join(dict.fromkeys(own))
    sizes = dict(zip(own, shapes[i], strict=True))
    shared = "".join(c for c in letters if c in result or any(c in term for term in terms))
    found = np.einsum(f"{','.join([result, *terms])}->{shared}", g, *others, optimize=bool(others))
    # A letter that only this operand has was summed over: each element gets the same.
    found_sizes = dict(zip(shared, found.shape, strict=True))
    found = found.reshape([found_sizes.get(c, 1) for c in letters])
    full = np.broadcast_shapes(found.shape, tuple(sizes[c] for c in letters))
    if letters == own:
        return found if found.shape == full else np.broadcast_to(found, full).copy()
    # A letter that this operand has twice picks a diagonal: zeros beside it.
    sizes = dict(zip(letters, full, strict=True))
    spread = array_module(g).zeros([sizes[c] for c in own], found.dtype)
    np.einsum(f"{own}->{letters}", spread)[...] = found
    return spread


def _spelled_out(subscripts: str, dimensions: Sequence[int]) -> list[str]:
    """Return one letter for each axis of each operand and, last, of the result."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    dotted = [
        n + 3 - len(term) if "..." in term else 0 for term, n in zip(terms, dimensions, strict=True)
    ]
    spare = [c for c in string.ascii_letters if c not in subscripts]
    dots = "".join(spare[: max(dotted, default=0)])
    if not arrow:
        right = "..." + "".join(sorted(c for c in set(left) - set(",.") if left.count(c) == 1))
    own = [dots[len(dots) - n :] for n in dotted]
    spelled = [term.replace("...", part) for term, part in zip(terms, own, strict=True)]
    return [*spelled, right.replace("...", dots)]
