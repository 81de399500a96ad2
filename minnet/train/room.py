"""What to say when a GPU has no room for a step: for which layer, and what batch would fit."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from ..backend.devices import explained
from ..errors import DeviceMemoryError

__all__ = ["advised", "tried"]

Result = TypeVar("Result")


def tried(step: Callable[[], Result], count: int, attempt: Callable[[int], Any]) -> Result:
    """Return what a step on so many examples gives, or raise what `advised` makes of an error."""
    try:
        return step()
    except MemoryError as error:
        found = error  # raised below, where the arrays of the step are gone
    raise advised(found, count, attempt)


def advised(error: MemoryError, count: int, attempt: Callable[[int], Any]) -> MemoryError:
    """Return an error that says which batch size would fit; one of the host's as it is.

    Parameters
    ----------
    error
        Of a step on a batch.
    count
        The number of examples in it.
    attempt
        Goes forward and back over so many of them, changing nothing.
    """
    found = explained(error)
    if not isinstance(found, DeviceMemoryError):
        return found
    _let_go(error)
    size = count // 2
    while size and not _fits(attempt, size):
        size //= 2
    advice = (
        f"of the {count} examples of a batch {size} fit: batch_size={size}"
        if size
        else "not even a single example fits: take smaller examples or a smaller net"
    )
    where = "" if found.path else "going back through the net or updating it, "
    found.message = f"{where}{found.message}; {advice}"
    return found


def _fits(attempt: Callable[[int], Any], size: int) -> bool:
    try:
        attempt(size)
    except MemoryError as error:
        _let_go(error)
        return False
    return True


def _let_go(error: BaseException | None) -> None:
    """Let go of the arrays of the calls that ended in an error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
