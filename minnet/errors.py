"""What can go wrong, by name: every error and warning that minnet raises on purpose."""

from __future__ import annotations

from typing import Any, Self

__all__ = [
    "DataError",
    "DeviceError",
    "DeviceMemoryError",
    "FormatError",
    "GradientError",
    "MinnetError",
    "MinnetWarning",
    "NonFiniteError",
    "PathError",
    "ShapeError",
    "SpecError",
]


class MinnetError(Exception):
    """The base of all of minnet's errors.

    Parameters
    ----------
    message
        What was expected, what came, and what to do.
    path
        Where in the net, from the outside in: layer names or positions, then
        the array's name. Containers add their part as the error passes through.

    Examples
    --------
    >>> from minnet.errors import ShapeError
    >>> print(ShapeError("expected 3 channels, got 1").inside("conv1").inside("encoder"))
    encoder.conv1: expected 3 channels, got 1
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = tuple(path)

    def inside(self, key: str | int) -> Self:
        """Say that the error came from inside the part called `key`; returns the error."""
        self.path = (key, *self.path)
        return self

    def __str__(self) -> str:
        where = ".".join(str(part) for part in self.path)
        return f"{where}: {self.message}" if where else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.message, self.path), self.__dict__)


class ShapeError(MinnetError, ValueError):
    """Arrays or layers whose shapes don't fit together."""


class SpecError(MinnetError, ValueError):
    """A description that can't be: a wrong argument, rule, option or wiring."""


class PathError(SpecError, LookupError):
    """A name or position that isn't in the net."""


class DataError(MinnetError, ValueError):
    """Data that can't be used: not numbers, not finite, unknown labels, wrong counts."""


class FormatError(MinnetError, ValueError):
    """A file that isn't what it should be: truncated, altered, foreign or too new."""


class DeviceError(MinnetError, RuntimeError):
    """A device that isn't there, or arrays of several devices in one computation."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A GPU has no room for an array.

    Attributes
    ----------
    position
        On the way back from a Tensor: whose gradients were being computed, counted among the
        steps that the Tensor came from; None elsewhere.
    """

    position: int | None = None


class GradientError(MinnetError, AssertionError):
    """A gradient that disagrees with finite differences (see `minnet.check_grad`)."""


class NonFiniteError(MinnetError, ArithmeticError):
    """A loss or gradient became infinite or NaN during training.

    Attributes
    ----------
    round, step
        When it happened, both counted from 1; `step` counts from the start of training.
    net
        The net as it stood before the step that failed.
    result
        The `TrainResult` up to then, where `train` made one.
    """

    round: int = 0
    step: int = 0
    net: Any = None
    result: Any = None


class MinnetWarning(UserWarning):
    """Something legal that is probably not what was meant."""
