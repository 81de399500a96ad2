"""What a study's spec says of the net and of how to train it, built."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import layers, models, optim
from ..data import ClassDecoder
from ..errors import MinnetError, SpecError
from ..layers.base import Layer
from ..net import Chain, Net
from .sources import Half, encoder_for, imported
from .values import meant

__all__ = ["build_net", "build_optimizer"]

LAYERS: dict[str, type[Layer]] = {
    name: kind
    for name in layers.__all__
    if isinstance(kind := getattr(layers, name), type) and issubclass(kind, Layer)
    if kind is not Layer
}


def build_net(spec: Mapping[str, Any], half: Half, base: Path) -> Net:
    """Return the net of a study, not initialized, for the classes of a half.

    Raises
    ------
    SpecError, ShapeError
        If there is no such net, or it doesn't fit the data.
    """
    encoder, decoder = encoder_for(spec, half, base), ClassDecoder(half.classes)
    kind, given = next(item for item in spec["net"].items() if item[1] is not None)
    try:
        if kind == "layers":
            return Chain(*map(_layer, given), input=encoder, output=decoder)
        if kind == "function":
            return _from_function(imported(given, base), half, encoder, decoder)
        if given not in models.__all__:
            known = ", ".join(models.__all__)
            raise SpecError(f"expected one of {known}, got {given!r}{meant(given, models.__all__)}")
        return getattr(models, given)(half.classes, input=encoder)  # type: ignore[no-any-return]
    except MinnetError as error:
        raise error.inside(kind).inside("net") from None


def _from_function(make: Callable[..., Any], half: Half, encoder: Any, decoder: Any) -> Net:
    """Return what a function of the classes and the encoder makes, with ends if it lacks them."""
    net = make(half.classes, encoder)
    if not isinstance(net, Net):
        raise SpecError(f"the function must return a Chain or Graph, got {type(net).__name__}")
    return net.with_ends(
        input=encoder if net.input is None else ..., output=decoder if net.output is None else ...
    )


def _layer(text: str) -> Layer:
    """Return the layer that a text such as `Conv(8, 3, padding="same")` describes."""
    try:
        tree = ast.parse(text, mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        if not isinstance(call.func, ast.Name):
            raise ValueError
        arguments = [ast.literal_eval(item) for item in call.args]
        options = {str(item.arg): ast.literal_eval(item.value) for item in call.keywords}
    except (SyntaxError, ValueError):
        raise SpecError(
            f'{text!r} is no layer, such as Linear(100) or Conv(8, 3, padding="same")'
        ) from None
    name = call.func.id
    if name not in LAYERS:
        raise SpecError(f"there is no layer called {name!r}{meant(name, LAYERS)}")
    try:
        return LAYERS[name](*arguments, **options)
    except TypeError as error:
        raise SpecError(f"{text!r}: {error}") from None


def build_optimizer(given: Mapping[str, Any]) -> optim.Optimizer:
    """Return the optimizer that the `train` of a spec describes."""
    rate: Any = given["learning_rate"]
    if given["schedule"] == "cosine":
        rate = optim.Cosine(rate)
    elif given["schedule"] == "step":
        rate = optim.StepDecay(rate, given["step_factor"], steps=given["step_every"])
    kinds: dict[str, Any] = {
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "rmsprop": optim.RMSProp,
        "sgd": functools.partial(optim.SGD, momentum=given["momentum"]),
        "signsgd": functools.partial(optim.SignSGD, momentum=given["momentum"]),
    }
    try:
        return kinds[given["optimizer"]](  # type: ignore[no-any-return]
            rate, weight_decay=given["weight_decay"], l2=given["l2"]
        )
    except SpecError as error:
        raise error.inside("train") from None
