"""The spec of a study: what a TOML file (or keyword arguments) may say, checked key by key."""

from __future__ import annotations

import copy
import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backend import named
from ..errors import SpecError
from . import values

__all__ = ["TREATMENTS", "absolute", "checked_spec", "read_toml"]

TREATMENTS = ("BnB", "BnB+", "AnB", "AnB+", "random", "meanvar")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "signsgd")
SCHEDULES = ("constant", "cosine", "step")
SCORES = ("h_score", "logme", "leep", "nce")


def read_toml(path: Any) -> dict[str, Any]:
    """Read a spec file as it stands; see `checked_spec` for what it may say."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: this is not TOML: {error}") from None


def _groups(value: Any) -> dict[str, list[list[Any]]]:
    if not isinstance(value, Mapping):
        raise SpecError(
            f"expected a table of NAME = [[classes of A], [classes of B]], got {value!r}"
        )
    return {name: _at(name, functools.partial(_group, name), pair) for name, pair in value.items()}


def _group(name: str, pair: Any) -> list[list[Any]]:
    if not str(name).replace("-", "").replace("_", "").isalnum() or str(name).isdecimal():
        raise SpecError(
            f"the name of a split is letters, digits, - and _, and no number, got {name!r}"
        )
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise SpecError(f"expected two lists of classes, got {pair!r}")
    for side, half in zip("AB", pair, strict=True):
        if not isinstance(half, list | tuple) or not half:
            raise SpecError(f"half {side} has no class: expected a list of classes, got {half!r}")
    both = [label for label in pair[0] if label in pair[1]]
    if both:
        raise SpecError(f"the halves overlap: {both[0]!r} is in both")
    return [values.several(values.label, "classes")(half) for half in pair]


def _at(key: str, check: values.Check, value: Any) -> Any:
    try:
        return check(value)
    except SpecError as error:
        raise error.inside(key) from None


def _table(value: Any, keys: Mapping[str, tuple[Any, values.Check]]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"expected a table with the keys {', '.join(keys)}, got {value!r}")
    for key in value:
        if key not in keys:
            raise SpecError(
                f"unknown key; allowed are {', '.join(keys)}{values.meant(key, keys)}"
            ).inside(key)
    found = {}
    for key, (default, check) in keys.items():
        found[key] = _at(key, check, value[key] if key in value else copy.copy(default))
    return found


def absolute(path: str, base: Path) -> Path:
    """Return a path of a spec file, which counts from the file's own folder."""
    return Path(path) if Path(path).is_absolute() else base / path


# --- the keys ------------------------------------------------------------------------------

# For each table: key -> (default, check).
Keys = Mapping[str, tuple[Any, values.Check]]

DATA: Keys = {
    "file": (None, values.optional(values.path)),
    "folder": (None, values.optional(values.path)),
    "reader": (None, values.optional(values.text)),
    "path": (None, values.optional(values.path)),
    "size": (None, values.optional(values.size)),
    "color": (None, values.optional(values.one_of("gray", "color"))),
    "scale": (1 / 255, values.number(0.0, above=True)),
    "test": (0.2, values.share),
}
HALVES: Keys = {
    "random": (None, values.optional(values.whole(0))),
    "seed": (0, values.whole(0)),
    "named": ({}, _groups),
}
NET: Keys = {
    "model": (None, values.optional(values.text)),
    "layers": (None, values.optional(values.layers)),
    "function": (None, values.optional(values.function)),
}
TRAIN: Keys = {
    "optimizer": ("adam", values.one_of(*OPTIMIZERS)),
    "learning_rate": (1e-3, values.number(0.0, above=True)),
    "momentum": (0.9, values.number(0.0)),
    "weight_decay": (0.0, values.number(0.0)),
    "l2": (0.0, values.number(0.0)),
    "schedule": ("constant", values.one_of(*SCHEDULES)),
    "step_every": (None, values.optional(values.whole(1))),
    "step_factor": (0.1, values.number(0.0, above=True)),
    "batch_size": (64, values.whole(1)),
    "rounds": (None, values.optional(values.whole(1))),
    "steps": (None, values.optional(values.whole(1))),
    "reuse_frozen": (True, values.truth),
}
MEASURES: Keys = {
    "probe": (False, values.truth),
    "cka": (False, values.truth),
    "scores": (
        [],
        lambda value: (
            [] if value == [] else values.several(values.one_of(*SCORES), "scores")(value)
        ),
    ),
    "examples": (2000, values.whole(2)),
    "pool": ("mean", values.one_of("mean", "max", "flatten")),
}
TABLES = {"halves": HALVES, "net": NET, "train": TRAIN, "measures": MEASURES}
TOP: Keys = {
    "name": ("study", values.text),
    "seed": (0, values.whole(0)),
    "replicates": (1, values.whole(1)),
    "treatments": (list(TREATMENTS), values.several(values.one_of(*TREATMENTS), "treatments")),
    "n": (None, values.optional(values.several(values.whole(1), "numbers of layers"))),
    "leave_out_collapsed": (False, values.truth),
    "threads": (1, values.whole(1)),
    "device": ("cpu", named),
    "data": (None, lambda value: value),
    **{name: ({}, functools.partial(_table, keys=keys)) for name, keys in TABLES.items()},
}


def checked_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec with every default filled in.

    Raises
    ------
    SpecError
        For an unknown key or a wrong value, with the path of the key and what is allowed.
    """
    found = _table(spec, TOP)
    found["data"] = _at("data", _data, found["data"])
    for name, check in {"halves": _halves, "net": _net, "train": _train}.items():
        _at(name, functools.partial(check, is_two="A" in found["data"]), found[name])
    return found


def _halves(halves: dict[str, Any], is_two: bool) -> None:
    """Check that there is a split, and one only where the data are two sets."""
    if is_two and (halves["random"] or halves["named"]):
        raise SpecError("the halves are the two data sets: neither random nor named can be given")
    if halves["random"] is None:
        halves["random"] = 0 if halves["named"] or is_two else 1
    if not (halves["random"] or halves["named"] or is_two):
        raise SpecError("no split at all: set random or named")


def _net(net: dict[str, Any], is_two: bool) -> None:
    """Check that the net is described in one way; LeNet if in none."""
    _just_one(net, tuple(NET))
    if all(value is None for value in net.values()):
        net["model"] = "lenet"


def _train(train: dict[str, Any], is_two: bool) -> None:
    """Check what keys of training ask for together."""
    if train["rounds"] is None and train["steps"] is None:
        train["rounds"] = 10
    if (train["schedule"] == "step") != (train["step_every"] is not None):
        raise SpecError('schedule = "step" and step_every (steps) go together')


def _data(value: Any) -> dict[str, Any]:
    """Check one data set, or the two of `[data.A]` and `[data.B]`."""
    if isinstance(value, Mapping) and {"A", "B"} & set(value):
        if set(value) != {"A", "B"}:
            raise SpecError("two data sets are data.A and data.B, and nothing beside them")
        return {side: _at(side, _data, value[side]) for side in "AB"}
    if value is None:
        raise SpecError("say what the data is: file, folder or reader")
    found = _table(value, DATA)
    _just_one(found, ("file", "folder", "reader"))
    if all(found[key] is None for key in ("file", "folder", "reader")):
        raise SpecError("say where the data is: file, folder or reader")
    if found["path"] is not None and found["reader"] is None:
        raise SpecError("path is what a reader is given; without one, set file or folder")
    if found["folder"] is not None and found["size"] is None:
        raise SpecError("a folder of images needs size = [height, width]")
    return found


def _just_one(value: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    given = [key for key in keys if value[key] is not None]
    if len(given) > 1:
        raise SpecError(f"{' and '.join(given)} can't both be given")
