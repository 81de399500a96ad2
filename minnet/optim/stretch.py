"""Stretches: the trained arrays that a step updates in the same calls, and the pieces of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Array, array_module, is_array
from ..checks import number
from ..errors import PathError, ShapeError, SpecError
from ..layers.base import Path, dotted
from .flat import joined

__all__ = ["Piece", "Stretch", "Trained", "stretches", "trained"]


@dataclass(slots=True, eq=False)
class Trained:
    """An array being trained, with all that its steps need; the arrays are flat views."""

    path: Path
    array: Array
    into: Array
    state: dict[str, Array]
    multiplier: float | Array
    mask: Array | None  # False where an elementwise multiplier is 0
    decay: float
    l2: float
    shape: tuple[int, ...]
    count: int = 0

    def gradient(self, gradients: Mapping[Path, Array]) -> Array:
        """Return its gradient in its dtype and layout, if it is there and of its shape."""
        gradient = gradients.get(self.path)
        if gradient is None:
            raise PathError("there is no gradient for this array", self.path)
        if gradient.shape != self.shape:
            raise ShapeError(
                f"its gradient has shape {gradient.shape}, itself it has {self.shape}", self.path
            )
        if gradient.dtype != self.array.dtype:
            gradient = gradient.astype(self.array.dtype)
        return gradient.reshape(self.array.shape)

    def steps_like(self, other: Trained) -> bool:
        """Tell whether the next step of both is the same sum with the same numbers."""
        if not (isinstance(self.multiplier, float) and isinstance(other.multiplier, float)):
            return False
        one, two = ((t.multiplier, t.decay, t.l2, t.count) for t in (self, other))
        return one == two


@dataclass(slots=True, eq=False)
class Piece:
    """A part of a stretch that stays in the processor's cache while it is worked on."""

    span: slice
    array: Array
    into: Array  # where the next values go: `array` itself, or what it changes places with
    state: dict[str, Array]
    multiplier: float | Array
    mask: Array | None
    decay: float
    l2: float
    places: list[int] | None = None  # where array, into and state are in memory, once asked for


class Stretch:
    """One trained array, or several small ones that stand one after another, as if they were one.

    What is done to an element doesn't depend on its neighbours, so this changes no result.
    """

    def __init__(self, members: tuple[Trained, ...], array: Array, into: Array) -> None:
        self.members, self.array, self.into = members, array, into
        self.pieces: list[Piece] = []

    @property
    def count(self) -> int:
        """How many steps it has made."""
        return self.members[0].count

    def divide(self, size: int) -> None:
        """Work out the pieces, of so many elements at most."""
        first = self.members[0]
        state = {name: self._state(name) for name in first.state}
        if self.array.flags.c_contiguous and isinstance(self.array, np.ndarray):
            spans = [slice(i, i + size) for i in range(0, self.array.size, size)]
        else:
            spans = [slice(None)]  # no flat view of it exists, or a GPU does it in one launch
        for span in spans:
            array, whole = self.array[span], first.multiplier
            self.pieces.append(
                Piece(
                    span,
                    array,
                    array if self.into is self.array else self.into[span],
                    {name: kept[span] for name, kept in state.items()},
                    whole if isinstance(whole, float) else whole[span],
                    None if first.mask is None else first.mask[span],
                    first.decay,
                    first.l2,
                )
            )

    def _state(self, name: str) -> Array:
        """Return the state of this name of all members; theirs become views into it."""
        parts = [one.state[name] for one in self.members]
        if len(parts) == 1:
            return parts[0]
        whole = joined(parts)
        if whole is None:
            whole = np.concatenate(parts)
            for one, span in zip(self.members, self._spans(), strict=True):
                one.state[name] = whole[span]
        return whole

    def _spans(self) -> Iterator[slice]:
        """Yield where each member is in a stretch of several."""
        start = 0
        for one in self.members:
            yield slice(start, start + one.array.size)
            start += one.array.size

    def gradient(self, gradients: Mapping[Path, Array]) -> Array:
        """Return the flat gradient of the loss by all of it."""
        parts = [one.gradient(gradients) for one in self.members]
        if len(parts) == 1:
            return parts[0]
        whole = joined(parts)
        return np.concatenate(parts) if whole is None else whole

    def parts(self) -> Iterator[tuple[Path, slice, Array | None]]:
        """Yield where the pieces and members are, with the path and the mask of each."""
        if len(self.members) == 1:
            yield from ((self.members[0].path, piece.span, piece.mask) for piece in self.pieces)
        else:
            for one, span in zip(self.members, self._spans(), strict=True):
                yield one.path, span, None

    def stepped(self) -> None:
        """Count a step, after which what was written and what it was read from change places."""
        for one in self.members:
            one.count += 1
        for piece in self.pieces:
            piece.array, piece.into = piece.into, piece.array
            if piece.places is not None:
                piece.places[:2] = piece.places[1], piece.places[0]


def stretches(trained: Iterable[Trained], together: int, piece: int) -> list[Stretch]:
    """Return the stretches that trained arrays make up.

    Parameters
    ----------
    trained
        The arrays.
    together
        How many elements arrays may have that are joined: their gradients have to be
        copied for it, which takes longer than it saves for large ones.
    piece
        How many elements to work on at a time.
    """
    found: list[Stretch] = []
    for one in trained:
        longer = _longer(found[-1], one, together) if found else None
        if longer is None:
            found.append(Stretch((one,), one.array, one.into))
        else:
            found[-1] = longer
    for stretch in found:
        stretch.divide(piece)
    return found


def _longer(stretch: Stretch, one: Trained, size: int) -> Stretch | None:
    """Return the stretch with one more array, if that follows and its step is the same sum."""
    if stretch.array.size + one.array.size > size or not one.steps_like(stretch.members[0]):
        return None
    members = (*stretch.members, one)
    array = joined([member.array for member in members])
    into = array if one.into is one.array else joined([member.into for member in members])
    return None if array is None or into is None else Stretch(members, array, into)


def trained(
    path: Path,
    array: Array,
    into: Array,
    multiplier: Any,
    decay: float,
    l2: float,
    earlier: Trained | None,
    new_state: Callable[[Array], dict[str, Array]],
) -> Trained:
    """Return an array ready to be trained, with the state that it had earlier or a new one."""
    if not getattr(array.flags, "writeable", True):
        raise SpecError("arrays are updated in place, but this one is read-only", path)
    if (into.shape, into.dtype, into.strides) != (array.shape, array.dtype, array.strides):
        raise ShapeError("what the new values go into must be laid out as the array is", path)
    if earlier is not None and earlier.shape != array.shape:
        raise ShapeError(f"it had shape {earlier.shape} and now has {array.shape}", path)
    mask = None
    if is_array(multiplier):
        multiplier, mask = _elementwise(path, array, multiplier)
    else:
        multiplier = number(multiplier, f"the multiplier of {dotted(path)}")
    state, count = (new_state(array), 0) if earlier is None else (earlier.state, earlier.count)
    flat, states = _like(array, array), {name: _like(array, kept) for name, kept in state.items()}
    target = flat if into is array else _like(array, into)
    return Trained(path, flat, target, states, multiplier, mask, decay, l2, array.shape, count)


def _like(array: Array, companion: Array) -> Array:
    """Return a companion of an array, or itself, flat: where an array has a flat view."""
    return companion.reshape(-1 if array.flags.c_contiguous else array.shape)


def _elementwise(path: Path, array: Array, multiplier: Array) -> tuple[Array, Array | None]:
    """Return multipliers ready for a flat array, and where they are not 0 (None: everywhere)."""
    xp = array_module(array)
    try:
        full = xp.broadcast_to(xp.asarray(multiplier), array.shape)
    except ValueError:
        raise ShapeError(
            f"multipliers of shape {multiplier.shape} don't broadcast to the array's {array.shape}",
            path,
        ) from None
    full = _like(array, full)
    mask = full != 0
    return full.astype(array.dtype), None if mask.all() else mask
