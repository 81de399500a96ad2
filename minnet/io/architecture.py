"""A net's architecture as JSON, and back; nothing in it can name code outside minnet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import data, layers
from ..data import Decoder, Encoder
from ..errors import FormatError, MinnetError
from ..layers.base import Layer
from ..net import Chain, Graph, Net

__all__ = ["describe", "rebuild"]


Made = TypeVar("Made")


def _classes(module: Any, *bases: type[Any]) -> dict[str, type[Any]]:
    """Return the public classes of a module that are made from one of `bases`, by name."""
    public = {name: getattr(module, name) for name in module.__all__}
    return {
        item.__name__: item
        for item in public.values()
        if inspect.isclass(item) and issubclass(item, bases) and item not in bases
    }


LAYERS: dict[str, type[Layer]] = _classes(layers, Layer)
ENDS = _classes(data, Encoder, Decoder)


# --- to JSON ----------------------------------------------------------------------------


def describe(part: Layer) -> dict[str, Any]:
    """Return a layer or net as JSON can hold it, without its arrays.

    Raises
    ------
    FormatError
        If it can't be: the message begins with the layer's path.

    Examples
    --------
    >>> import minnet as mn
    >>> from minnet.io.architecture import describe
    >>> describe(mn.Chain(mn.Linear(2), input=3))["layers"]
    [{'type': 'Linear', 'options': {'size': 2}}]
    """
    options = {name: _plain(name, option) for name, option in part.options().items()}
    description: dict[str, Any] = {"type": type(part).__name__, "options": options}
    if isinstance(part, Chain):
        description["layers"] = [_inside(key, child) for key, child in part.children()]
    elif isinstance(part, Graph):
        description["layers"] = {key: _inside(key, child) for key, child in part.layers.items()}
        description["wiring"] = {key: list(sources) for key, sources in part.wiring.items()}
    elif LAYERS.get(type(part).__name__) is not type(part):
        raise FormatError(f"layers of a type of one's own can't be saved: {type(part).__name__}")
    if isinstance(part, Net):
        description |= {"input": _end(part.input), "output": _end(part.output)}
    return description


def _inside(key: str | int, child: Layer) -> dict[str, Any]:
    try:
        return describe(child)
    except MinnetError as error:
        raise error.inside(key) from None


def _plain(name: str, option: Any) -> Any:
    """Return an option as JSON can hold it."""
    if isinstance(option, tuple | list):
        return [_plain(name, item) for item in option]
    if isinstance(option, np.generic):
        return option.item()
    if option is None or isinstance(option, bool | int | float | str):
        return option
    raise FormatError(
        f"its option {name} is a {type(option).__name__}, which no file can hold: "
        "change the layer to one with plain options before saving"
    )


def _end(end: Any) -> Any:
    """Return an encoder, a decoder, a shape or a dict of these by port as JSON can hold it."""
    if end is None:
        return None
    if isinstance(end, dict):
        return {"ports": {port: _end(part) for port, part in end.items()}}
    if isinstance(end, tuple):
        return {"shape": list(end)}
    if ENDS.get(type(end).__name__) is not type(end):
        raise FormatError(
            f"{type(end).__name__} can't be saved: save the net without it "
            "(net.with_ends(input=None) or output=None) and give it again after loading"
        )
    return {"type": type(end).__name__, "options": end.options()}


# --- from JSON --------------------------------------------------------------------------


def rebuild(description: Any) -> Layer:
    """Return the layer or net that a description is of, without its arrays.

    Raises
    ------
    FormatError
        If it isn't a description of one.

    Examples
    --------
    >>> from minnet.io.architecture import rebuild
    >>> rebuild({"type": "Linear", "options": {"size": 2}})
    Linear(2)
    """
    kind, options = _typed(description)
    if kind == "Chain":
        parts = [rebuild(item) for item in _entry(description, "layers", list)]
        return _made(Chain, parts, {**options, **_ends(description)})
    if kind == "Graph":
        named = {key: rebuild(x) for key, x in _entry(description, "layers", dict).items()}
        wiring = _entry(description, "wiring", dict)
        return _made(Graph, [named, wiring], {**options, **_ends(description)})
    if kind not in LAYERS:
        raise FormatError(f"there is no layer of the type {kind[:80]!r}")
    return _made(LAYERS[kind], [], options)


def _made(kind: Callable[..., Made], parts: list[Any], options: dict[str, Any]) -> Made:
    """Call a class with what the file says, which may be nonsense."""
    try:
        return kind(*parts, **options)
    except FormatError:
        raise
    except Exception as error:
        name = getattr(kind, "__name__", "layer")
        raise FormatError(f"the description of a {name} makes no sense: {error}") from error


def _typed(description: Any) -> tuple[str, dict[str, Any]]:
    """Return the type and the options that a description names."""
    if not isinstance(description, dict) or not isinstance(description.get("type"), str):
        raise FormatError(f"expected a description with a type, got {str(description)[:80]}")
    options = _entry(description, "options", dict)
    return description["type"], {name: _tupled(option) for name, option in options.items()}


def _entry(description: dict[str, Any], key: str, kind: type[Any]) -> Any:
    if not isinstance(description.get(key), kind):
        raise FormatError(f"the description of a {description['type'][:80]} lacks its {key}")
    return description[key]


def _tupled(option: Any) -> Any:
    return tuple(_tupled(item) for item in option) if isinstance(option, list) else option


def _ends(description: dict[str, Any]) -> dict[str, Any]:
    return {side: _rebuilt_end(description.get(side)) for side in ("input", "output")}


def _rebuilt_end(description: Any) -> Any:
    if description is None:
        return None
    if isinstance(description, dict) and isinstance(description.get("ports"), dict):
        return {port: _rebuilt_end(part) for port, part in description["ports"].items()}
    if isinstance(description, dict) and isinstance(description.get("shape"), list):
        return tuple(description["shape"])
    kind, options = _typed(description)
    if kind not in ENDS:
        raise FormatError(f"there is no encoder or decoder of the type {kind[:80]!r}")
    return _made(ENDS[kind], [], options)
