"""What to say when a GPU has no room for a step: for which layer, and what batch would fit."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..autodiff import Tensor
from ..autodiff.core import nodes
from ..backend.devices import explained
from ..errors import DeviceMemoryError, MinnetError
from ..layers.base import Context, Layer, Path

__all__ = ["Trail", "advised", "tried", "updating"]

Result = TypeVar("Result")


@dataclass(slots=True)
class Trail(Context):
    """A context that also keeps what came out of each layer, in the order they were computed in."""

    seen: list[tuple[Path, Any]] = field(default_factory=list)

    def inside(self, key: str | int) -> Trail:
        return Trail(self.random, (*self.path, key), self.updates, self.share, self.seen)

    def run(self, key: str | int, part: Layer, x: Any) -> Any:
        output = part.apply(x, self.inside(key))
        if not part.children():
            self.seen.append(((*self.path, key), output))
        return output


Attempt = Callable[[int], Any]
Follow = Callable[[int], tuple[Any, Trail]]


def tried(step: Callable[[], Result], count: int, attempt: Attempt, follow: Follow) -> Result:
    """Return what a step on so many examples gives, or raise what `advised` makes of an error."""
    try:
        return step()
    except MemoryError as error:
        found = error  # raised below, where the arrays of the step are gone
    raise advised(found, count, attempt, follow)


def advised(error: MemoryError, count: int, attempt: Attempt, follow: Follow) -> MemoryError:
    """Return an error that says for which layer, and which batch size would fit.

    One of the host's is returned as it is.

    Parameters
    ----------
    error
        Of a step on a batch.
    count
        The number of examples in it.
    attempt
        Goes forward and back over so many of them, changing nothing.
    follow
        Goes forward over so many of them, and returns the loss and the trail to it.
    """
    found = explained(error)
    if not isinstance(found, DeviceMemoryError):
        return found
    _let_go(error)
    size = count // 2
    while size and not _fits(attempt, size):
        size //= 2
    if found.position is not None:
        found.message = f"on the way back, {found.message}"
        try:
            found.path = layer_at(found.position, *follow(size or min(count, 2)))
        except (MemoryError, MinnetError) as again:  # not even forward
            _let_go(again)
    advice = (
        f"of the {count} examples of a batch {size} fit: batch_size={size}"
        if size
        else "not even a single example fits: take smaller examples or a smaller net"
    )
    found.message = f"{found.message}; {advice}"
    return found


def layer_at(position: int, loss: Tensor, trail: Trail) -> Path:
    """Return the path of the layer that a node on the way to a loss is of; () if it is of none.

    A batch of any size goes the same way, so it needn't be the batch that had no room.
    """
    node, known = nodes(loss.node)[position], set()
    for path, output in trail.seen:
        stack = [output.node] if isinstance(output, Tensor) else []
        while stack:
            one = stack.pop()
            if one is node:
                return path
            if one not in known:
                known.add(one)
                stack += [parent for parent, _ in one.parents]
    return ()


def updating(error: MemoryError) -> MemoryError:
    """Return an error that says that a GPU was full while weights were updated, or about to be."""
    found = explained(error)
    if isinstance(found, DeviceMemoryError):
        found.message = (
            f"updating the weights, {found.message}; a smaller batch_size helps little here: "
            "train fewer weights, or with an optimizer that remembers less, such as SGD"
        )
    return found


def _fits(attempt: Attempt, size: int) -> bool:
    try:
        attempt(size)
    except (MemoryError, MinnetError) as error:  # to BatchNorm one example may be too few
        _let_go(error)
        return False
    return True


def _let_go(error: BaseException | None) -> None:
    """Let go of the arrays of the calls that ended in an error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
