"""What a value in a study's spec may be: checks that give the value back or refuse it."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ..errors import SpecError

__all__ = [
    "Check",
    "function",
    "label",
    "layers",
    "meant",
    "number",
    "one_of",
    "optional",
    "path",
    "several",
    "share",
    "size",
    "text",
    "truth",
    "whole",
]

# Takes a value as it was given; gives it as it will be used, or raises a SpecError.
Check: TypeAlias = Callable[[Any], Any]


def whole(least: int) -> Check:
    """Return the check for whole numbers."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SpecError(f"expected a whole number of at least {least}, got {value!r}")
        return value

    return check


def number(least: float, above: bool = False) -> Check:
    """Return the check for finite numbers from `least` on, or only above it."""

    def check(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value) and value >= least and (value > least or not above):
            return float(value)
        limit = f"above {least:g}" if above else f"of at least {least:g}"
        raise SpecError(f"expected a number {limit}, got {value!r}")

    return check


def share(value: Any) -> float:
    """Check a share of the whole."""
    if not isinstance(value, float) or not 0 < value < 1:
        raise SpecError(f"expected a share between 0 and 1, got {value!r}")
    return value


def text(value: Any) -> str:
    """Check a text."""
    if not isinstance(value, str) or not value:
        raise SpecError(f"expected a text, got {value!r}")
    return value


def path(value: Any) -> str:
    """Check a path; it becomes a text."""
    return text(os.fspath(value) if isinstance(value, os.PathLike) else value)


def function(value: Any) -> str:
    """Check the name of a function in a module."""
    module, _, function = text(value).partition(":")
    if not (module and function):
        raise SpecError(f"expected module:function, got {value!r}")
    return str(value)


def truth(value: Any) -> bool:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise SpecError(f"expected true or false, got {value!r}")
    return value


def one_of(*allowed: str) -> Check:
    """Return the check for one of several texts."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise SpecError(
                f"expected one of {', '.join(allowed)}, got {value!r}{meant(value, allowed)}"
            )
        return str(value)

    return check


def several(check: Check, what: str) -> Check:
    """Return the check for lists without repetitions."""

    def check_all(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple) or not value:
            raise SpecError(f"expected a list of {what}, got {value!r}")
        found = [check(item) for item in value]
        if len({repr(item) for item in found}) < len(found):
            raise SpecError(f"something stands twice in {value!r}")
        return found

    return check_all


def optional(check: Check) -> Check:
    """Return the check that lets None pass, too."""
    return lambda value: None if value is None else check(value)


def size(value: Any) -> list[int]:
    """Check the size of images."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise SpecError(f"expected [height, width], got {value!r}")
    return [whole(1)(n) for n in value]


def label(value: Any) -> Any:
    """Check a label of a class."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SpecError(f"expected a class (a text or a whole number), got {value!r}")
    return value


def layers(value: Any) -> list[str]:
    """Check a list of layers as texts."""
    if not isinstance(value, list | tuple) or not value:
        raise SpecError(f'expected a list of layers such as ["Conv(8, 3)", "Ramp"], got {value!r}')
    return [text(item) for item in value]


def meant(given: Any, allowed: Iterable[Any]) -> str:
    """Return the hint "did you mean ...?", if something allowed is close."""
    close = difflib.get_close_matches(str(given), [str(item) for item in allowed], 1)
    return f" (did you mean {close[0]}?)" if close else ""
