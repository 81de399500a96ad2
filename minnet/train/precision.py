"""Training in lower precision on a GPU: TF32 in products of matrices, or float16 with a loss scale.

With `"tf32"` the factors of products of float32 are rounded to 11 significant bits, as
many as float16 has, and summed up in float32; nothing else changes.

With `"float16"` the part of a net above its frozen bottom computes in float16, on copies
of its weights; the weights themselves, their updates, the loss, and the arrays and
statistics of BatchNorm stay float32 (Micikevicius et al. 2018, "Mixed precision
training"). Small gradients would vanish in float16, so the loss is multiplied by a scale
before the backward pass and the gradients are divided by it after: as large a scale as
goes well. A step whose gradients overflow is left out, and the scale halved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff import Tensor, record, value
from ..backend import Array, array_module
from ..errors import SpecError
from ..layers import BatchNorm
from ..layers.base import Path, walk
from ..net import Net
from ..optim import Updater
from ..optim.flat import joined
from ..progress import Progress

__all__ = ["PRECISIONS", "Half", "checked_precision", "products"]

PRECISIONS = ("float32", "tf32", "float16")

FIRST_SCALE, LARGEST_SCALE = 2.0**16, 2.0**24
PATIENCE = 2000  # good steps until a larger scale is tried


def checked_precision(precision: Any, net: Net) -> str:
    """Return the precision if the net can be trained in it, else raise a SpecError."""
    if precision not in PRECISIONS:
        raise SpecError(f"precision is one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision != "float32" and net.device == "cpu":
        raise SpecError(
            f'precision={precision!r} is for training on a GPU: say device="gpu" as well, '
            "or leave precision out"
        )
    if precision != "float32" and net.dtype != np.float32:
        raise SpecError(f"precision={precision!r} is for nets of float32, this one has {net.dtype}")
    return str(precision)


def products(precision: str) -> contextlib.AbstractContextManager[None]:
    """Have products of float32 matrices computed in this precision for a while."""
    return _in_tf32() if precision == "tf32" else _NOTHING


_NOTHING = contextlib.nullcontext()


@contextlib.contextmanager
def _in_tf32() -> Iterator[None]:
    """CuPy keeps that setting for the whole process, so it is put back in the end."""
    from cupy._core import _routines_linalg as setting

    before = setting.get_compute_type(np.float32)
    setting.set_compute_type(np.float32, setting.COMPUTE_TYPE_TF32)
    try:
        yield
    finally:
        setting.set_compute_type(np.float32, before)


class Half:
    """The part of a net that is trained, computed in float16, and the scale of its loss.

    Attributes
    ----------
    scale
        What the loss is multiplied by, a number on the GPU.
    """

    def __init__(self, like: Array) -> None:
        xp = array_module(like)
        self.scale: Array = xp.full((), FIRST_SCALE, np.float32)
        self._good: Array = xp.zeros((), np.int64)  # steps since the scale was changed
        self._net: Any = None
        self._trained: dict[Path, Tensor] = {}

    def use(self, net: Net) -> None:
        """Say what net is trained from here on, with a Tensor for each array that is."""
        frozen: dict[Path, Array] = {}
        self._trained = {}
        for path, part in walk(net):
            if isinstance(part, BatchNorm):
                continue
            for name, array in part.arrays_here.items():
                if isinstance(array, Tensor):
                    self._trained[(*path, name)] = array
                elif array.dtype == np.float32:
                    frozen[(*path, name)] = array.astype(np.float16)
        self._net = net.with_arrays(frozen) if frozen else net

    def apply(self, features: Any, context: Any) -> Any:
        """Return the net's outputs for a batch, as float32, computed in float16."""
        net = self._net.with_arrays(self._halves()) if self._trained else self._net
        return _as("float32", net.apply(_as("float16", features), context))

    def _halves(self) -> dict[Path, Tensor]:
        """Return copies in float16 of what is trained, whose gradients go to the originals."""
        tensors = list(self._trained.values())
        halves = _cast([tensor.data for tensor in tensors])
        return {
            path: record(half, (tensor, _same))
            for path, tensor, half in zip(self._trained, tensors, halves, strict=True)
        }

    def update(
        self,
        updater: Updater,
        flat: Sequence[Array],
        progress: Progress,
        ok: Any,
        new: Mapping[Path, Array],
        old: Mapping[Path, Array],
    ) -> None:
        """Make the step of scaled gradients, from the `old` weights to the `new` ones.

        If they overflowed the new ones are the old ones; for the optimizer it was a step
        with a gradient of 0.
        """
        xp = array_module(self.scale)
        usable = xp.stack([xp.isfinite(gradient).all() for gradient in flat]).all()
        share = 1 / self.scale
        found = [xp.where(usable, gradient * share, np.float32(0)) for gradient in flat]
        self._adapt(usable, ok)
        updater.update(found, progress, ok)
        for one, other in _pairs(list(new.values()), list(old.values())):
            xp.copyto(one, other, where=~usable)

    def _adapt(self, usable: Array, ok: Any) -> None:
        """Change the scale; where gradients overflow without any, make `ok` False."""
        xp = array_module(self.scale)
        xp.logical_and(ok, usable | (self.scale > 1), out=ok)
        self._good = xp.where(usable, self._good + 1, 0)
        is_time = self._good >= PATIENCE
        factor = xp.where(usable, xp.where(is_time, np.float32(2), np.float32(1)), np.float32(0.5))
        # In its place, where a recorded pass finds it.
        self.scale[...] = xp.clip(self.scale * factor, 1, LARGEST_SCALE)
        self._good = xp.where(is_time, 0, self._good)


def _same(g: Array) -> Array:
    return g


def _cast(arrays: Sequence[Array]) -> list[Array]:
    """Return arrays as float16, at once if they stand one after another."""
    whole = joined(arrays)
    if whole is None:
        return [array.astype(np.float16) for array in arrays]
    flat, halves, start = whole.astype(np.float16), [], 0
    for array in arrays:
        halves.append(flat[start : start + array.size].reshape(array.shape))
        start += array.size
    return halves


def _pairs(new: list[Array], old: list[Array]) -> list[tuple[Array, Array]]:
    """Return pairs of arrays, as one pair if both stand one after another."""
    one, other = joined(new), joined(old)
    if one is None or other is None:
        return list(zip(new, old, strict=True))
    return [(one, other)]


def _as(dtype: str, given: Any) -> Any:
    """Return floating-point arrays or Tensors in another precision, whole numbers as they are."""
    if isinstance(given, Mapping):
        return {name: _as(dtype, part) for name, part in given.items()}
    array = value(given)
    if array.dtype.kind != "f" or array.dtype == dtype:
        return given
    return record(array.astype(dtype), (given, _same))
