"""What the features of base nets say about a half without retraining, layer by layer."""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import measure
from ..backend import Array, move
from ..data import Dataset
from ..errors import DataError
from ..net import Net
from ..net.place import brought
from .plan import first_layers

__all__ = ["kept_features", "measured_features"]

# Catching warnings is for the whole process: threads that measure take turns.
WARNINGS = threading.Lock()


def measured_features(
    wanted: Mapping[str, Any], source: Net, target: Net, data: tuple[Dataset, Dataset], layers: int
) -> dict[str, Any]:
    """Return the measures of a source net on a target half.

    Parameters
    ----------
    wanted
        The `measures` of the spec.
    source, target
        The base net whose features are measured, and the target half's own.
    data
        The target half's training and test data; at most so many examples of each are
        used as the spec says.
    layers
        The number of weight layers.

    Returns
    -------
    dict
        `measures`: a list of n, name and value (n is 0 for what the whole net says);
        `warnings`: what there was to warn about.
    """
    train, test = (_some(part, wanted["examples"]) for part in data)
    found: list[dict[str, Any]] = []
    problems: list[str] = []

    def note(n: int, name: str, value: Callable[[], float]) -> None:
        try:
            number = float(value())
        except DataError as error:  # features that never vary, for one, have no CKA
            problems.append(f"{name} at n = {n}: {error}")
            return
        if not math.isfinite(number):
            problems.append(f"{name} at n = {n}: {number}")
        else:
            found.append({"n": n, "name": name, "value": round(number, 6)})

    with WARNINGS, warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        for n in range(1, layers):
            try:
                _note_layer(note, n, wanted, (source, target), (train, test))
            except DataError as error:  # features that are infinite
                problems.append(f"n = {n}: {error}")
        if set(wanted["scores"]) & {"leep", "nce"}:
            said = move(source(brought(train.x, source), give="array"), "cpu")
            if "leep" in wanted["scores"]:
                note(0, "leep", lambda: measure.leep(said, train.y))
            if "nce" in wanted["scores"]:
                note(0, "nce", lambda: measure.nce(said.argmax(axis=1), train.y))
    problems += [str(item.message) for item in raised]
    return {"measures": found, "warnings": sorted(set(problems))}


def _note_layer(
    note: Callable[[int, str, Callable[[], float]], None],
    n: int,
    wanted: Mapping[str, Any],
    nets: tuple[Net, Net],
    data: tuple[Dataset, Dataset],
) -> None:
    """Note what the features after n weight layers say."""
    (source, target), (train, test) = nets, data
    mine = _features(source, train, n, wanted)
    if wanted["probe"]:
        judged = _features(source, test, n, wanted)
        note(n, "probe", lambda: measure.linear_probe(mine, train.y, judged, test.y).accuracy)
    if "h_score" in wanted["scores"]:
        note(n, "h_score", lambda: measure.h_score(mine, train.y))
    if "logme" in wanted["scores"]:
        note(n, "logme", lambda: measure.logme(mine, train.y))
    if wanted["cka"]:
        note(n, "cka", lambda: measure.cka(mine, _features(target, train, n, wanted)))


def kept_features(
    wanted: Mapping[str, Any], before: Net, after: Net, test: Dataset, n: int
) -> list[dict[str, Any]]:
    """Return the CKA of each of the first n layers with itself before fine-tuning."""
    some = _some(test, wanted["examples"])
    found = []
    with WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer examples than features: said once, for the bases
        for layer in range(1, n + 1):
            with contextlib.suppress(DataError):  # features that never vary have no CKA
                old, new = (_features(net, some, layer, wanted) for net in (before, after))
                found.append({"n": layer, "value": round(float(measure.cka(old, new)), 6)})
    return found


def _some(data: Dataset, count: int) -> Dataset:
    """Return at most so many examples, evenly from all over the data."""
    if len(data) <= count:
        return data
    part: Dataset = data[np.linspace(0, len(data) - 1, count).astype(int)]
    return part


def _features(net: Net, data: Dataset, n: int, wanted: Mapping[str, Any]) -> Array:
    """Return what the first n weight layers, with what goes with them, say of the examples."""
    at = first_layers(net, n)[-1]
    found: Array = measure.features(net, data.x, at, wanted["pool"])
    return found
