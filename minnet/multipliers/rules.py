"""Rules, in order, first match wins: the one resolver behind multipliers and weight decay."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..backend import is_array
from ..errors import MinnetWarning, SpecError
from ..layers.base import Layer, Path, dotted
from ..progress import Schedule
from .patterns import Place, matcher, places, shown_pattern

__all__ = ["Decision", "Rule", "Rules", "matching", "resolve", "shown_value"]

Rules: TypeAlias = (
    float | Mapping[Any, Any] | Sequence[tuple[Any, Any]] | Callable[[Any], Any] | None
)


@dataclass(frozen=True)
class Rule:
    """A pattern and the value of what it names."""

    pattern: Any
    value: Any

    def __str__(self) -> str:
        return f"{shown_pattern(self.pattern)}: {shown_value(self.value)}"


class Decision(NamedTuple):
    """The value decided for an array, and what decided it."""

    place: Place
    value: Any
    rule: str


def resolve(
    net: Layer,
    rules: Rules,
    default: Callable[[Place], tuple[Any, str]],
    check: Callable[[Any, str], Any] = lambda value, rule: value,
    given: Layer | None = None,
) -> list[Decision]:
    """Decide the value of every array of a net: the first rule that names it does.

    Parameters
    ----------
    net
        Any net or layer, initialized or not.
    rules
        A number (for everything), None (no rules), a mapping or a sequence of
        (pattern, value) pairs, or a function from the net to any of these.
    default
        Gives the value of an array that no rule names, and what to call it.
    check
        Called with each rule's value and its text; returns the value to use, or
        raises a SpecError.
    given
        The net before it was initialized, if it was since: layer objects in the
        rules may be those of either.

    Returns
    -------
    list of Decision
        One for each array, in the order of the net. State arrays (running
        statistics, constants) have the value 0 and the rule `"state"`.

    Raises
    ------
    SpecError
        If a rule names nothing in the net, or is no rule.
    """
    everywhere = list(places(net, net if given is None else given))
    deciding: dict[Place, Rule] = {}
    for rule in _listed(net, rules):
        check(rule.value, f"the rule `{rule}`")
        matches = matcher(rule.pattern)
        named = [place for place in everywhere if matches(place)]
        if not named and rule.pattern is not ...:
            raise SpecError(_names_nothing(f"the rule `{rule}`", rule.pattern, everywhere))
        _claim(rule, named, deciding)
    decisions = []
    for place in everywhere:
        if place.is_state:
            decisions.append(Decision(place, 0.0, "state"))
        elif place in deciding:
            rule = deciding[place]
            decisions.append(Decision(place, check(rule.value, f"the rule `{rule}`"), str(rule)))
        elif place.name is not None:
            value, text = default(place)
            decisions.append(Decision(place, check(value, text), text))
    return decisions


def matching(net: Layer, pattern: Any) -> set[Path]:
    """Return the paths of the arrays that a pattern names, state arrays included.

    Raises
    ------
    SpecError
        If it names nothing in the net, not even a layer without arrays.
    """
    everywhere = list(places(net, net))
    matches = matcher(pattern)
    named = [place for place in everywhere if matches(place)]
    if not named and pattern is not ...:
        raise SpecError(_names_nothing(shown_pattern(pattern), pattern, everywhere))
    return {place.path for place in named if place.name is not None}


def _claim(rule: Rule, named: list[Place], deciding: dict[Place, Rule]) -> None:
    """Let a rule decide what it names and no earlier rule has; warn if there is nothing."""
    arrays = [place for place in named if place.name is not None]
    if not arrays and rule.pattern is not ...:
        layers = ", ".join(f"{dotted(p.path)} ({type(p.layer).__name__})" for p in named[:5])
        _warn(f"the rule `{rule}` changes nothing: it names only layers without arrays, {layers}")
    trainable = [place for place in arrays if not place.is_state]
    free = [place for place in trainable if place not in deciding]
    if trainable and not free:
        takers = dict.fromkeys(f"`{deciding[place]}`" for place in trainable)
        _warn(
            f"the rule `{rule}` can never act: everything it names is already decided by "
            f"{' and '.join(takers)}, since the first rule that matches wins. "
            "Put the narrower rule first, or leave this one out"
        )
    deciding.update(dict.fromkeys(free, rule))


def _warn(message: str) -> None:
    warnings.warn(message, MinnetWarning, stacklevel=5)


def _listed(net: Layer, rules: Any) -> Iterable[Rule]:
    """Bring all the forms that rules come in to one: a list."""
    if rules is None:
        return []
    if isinstance(rules, int | float | np.number | Schedule):
        return [Rule(..., rules)]
    if isinstance(rules, Mapping):
        return [Rule(pattern, value) for pattern, value in rules.items()]
    if callable(rules) and not isinstance(rules, Layer | type):
        return _listed(net, rules(net))
    if isinstance(rules, Sequence) and not isinstance(rules, str | bytes):
        for pair in rules:
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise SpecError(f"a sequence of rules has (pattern, value) pairs, got {pair!r}")
        return [Rule(pattern, value) for pattern, value in rules]
    raise SpecError(
        "rules are a number, None, a mapping or a sequence of (pattern, value) pairs, or a "
        f"function from the net to any of these, got {shown_value(rules)}"
    )


def _names_nothing(what: str, pattern: Any, everywhere: list[Place]) -> str:
    """Say that a pattern names nothing, what may have been meant, and what there is."""
    message = f"{what} names nothing in this net."
    if isinstance(pattern, Layer):
        message += (
            " A layer object names itself only: a net that was cut, initialized or trained"
            " since may have another in its place; take it from the net itself, like net[0]."
        )
    close = _close(pattern, everywhere)
    if close:
        message += " Did you mean " + " or ".join(f'"{name}"' for name in close) + "?"
    lines = list(dict.fromkeys(_line(place) for place in everywhere))
    if len(lines) > 60:
        lines[50:] = [f"and {len(lines) - 50} more layers"]
    return message + " There is:\n  " + ("\n  ".join(lines) or "no layer at all")


def _close(pattern: Any, everywhere: list[Place]) -> list[str]:
    """Return dotted paths like a misspelt name."""
    if not isinstance(pattern, str | tuple):
        return []
    import difflib  # here, so that importing minnet stays quick

    wanted = pattern if isinstance(pattern, str) else dotted(pattern)
    paths = [place.path[:n] for place in everywhere for n in range(1, len(place.path) + 1)]
    full = {dotted(path): None for path in paths}
    ends = {str(path[-1]): dotted(path) for path in reversed(paths)}
    found = difflib.get_close_matches(wanted, full, 3, 0.6)
    found += [ends[end] for end in difflib.get_close_matches(wanted, ends, 1, 0.7)]
    return list(dict.fromkeys(found))


def _line(place: Place) -> str:
    """Describe a place's layer for a list of what there is."""
    position = dotted(tuple(part.position for part in place.parts)) or "the net"
    name = dotted(tuple(part.key for part in place.parts)) or position
    names = ", ".join(place.layer.own_names()) or "no arrays"
    both = position if name == position else f"{position} = {name}"
    return f"{both}: {type(place.layer).__name__} ({names})"


def shown_value(value: Any) -> str:
    """Return a rule's value as its user would write it, shortened."""
    if is_array(value) and value.ndim:
        return f"array of shape {value.shape}"
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    text = repr(value.item() if is_array(value) or isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."
