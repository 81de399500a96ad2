"""The plan of a study: every run, described so fully that its description decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import SpecError
from ..layers.base import dotted, walk
from ..net import Net
from .nets import build_net, build_optimizer
from .sources import Half, halves, load_half

__all__ = ["FROZEN", "Plan", "Run", "canonical", "first_layers", "make_plan", "weight_layers"]

# From which half each treatment takes its first layers, and whether they stay frozen.
SOURCES = {
    "BnB": "own",
    "BnB+": "own",
    "AnB": "other",
    "AnB+": "other",
    "random": None,
    "meanvar": "other",
}
FROZEN = {"BnB", "AnB", "random"}


@dataclass(frozen=True)
class Run:
    """One training.

    Parameters
    ----------
    treatment
        `"base"` or one of the treatments.
    split, source, target
        Names: of the split, of the half the first layers come from, of the half it learns.
    n
        How many weight layers are taken; 0 for a base.
    replicate
        Counted from 0.
    settings
        Everything else that decides the result, as the spec says it.
    """

    treatment: str
    split: str
    source: str | None
    target: str
    n: int
    replicate: int
    settings: str

    @property
    def place(self) -> dict[str, Any]:
        """Where the run stands in the study."""
        return {
            "treatment": self.treatment,
            "split": self.split,
            "source": self.source,
            "target": self.target,
            "n": self.n,
            "replicate": self.replicate,
        }

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that decides the result, as JSON can hold it."""
        return {**self.place, "settings": json.loads(self.settings)}

    @cached_property
    def id(self) -> str:
        """The hash of the description: the run's name in the folder of results."""
        return hashlib.sha256(canonical(self.description).encode()).hexdigest()[:20]

    @property
    def seed(self) -> int:
        """What is random in the run follows from the study's seed and the description."""
        return int(hashlib.sha256(f"seed of {self.id}".encode()).hexdigest()[:8], 16)

    @property
    def label(self) -> str:
        """What to call it on a screen."""
        if self.treatment == "base":
            return f"base {self.target} #{self.replicate}"
        layers = f"{self.source or 'nothing'} -> {self.target}"
        if self.treatment == "measures":
            return f"measures {layers} #{self.replicate}"
        return f"{self.treatment} n={self.n} {layers} #{self.replicate}"


@dataclass(frozen=True)
class Plan:
    """The runs of a study in their two waves.

    Attributes
    ----------
    bases
        The base nets, each trained once and shared.
    treatments
        The runs that start from them, independent of each other; among them, where the
        spec asks for measures, those of what each base net's features say of a half
        (`"measures"`, which train nothing).
    layers
        The number of weight layers of the net, L.
    halves
        By name.
    """

    bases: tuple[Run, ...]
    treatments: tuple[Run, ...]
    layers: int
    halves: Mapping[str, Half]

    @cached_property
    def by_id(self) -> dict[str, Run]:
        """Every run by its id."""
        return {run.id: run for run in (*self.bases, *self.treatments)}

    def base_of(self, half: str, replicate: int) -> Run:
        """Return the base net of a half."""
        for run in self.bases:
            if run.target == half and run.replicate == replicate:
                return run
        raise SpecError(f"there is no base of {half}, replicate {replicate}")


def canonical(value: Any) -> str:
    """Return JSON that is the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def weight_layers(net: Net) -> list[str | int]:
    """Return the keys of the net's own layers that have weights, from the bottom up.

    A nested net counts as one layer. What has arrays but no weight (normalisation)
    goes with the layer before it, as activations and pooling do.
    """
    return [
        key
        for key, part in net.children()
        if any("weight" in leaf.own_names() for _, leaf in walk(part))
    ]


def first_layers(net: Net, n: int) -> list[str | int]:
    """Return the keys of the first n weight layers and of what goes with them."""
    keys = weight_layers(net)
    if n == 0:
        return []
    every = list(net.keys())
    end = every.index(keys[n]) if n < len(keys) else len(every)
    return every[:end]


def make_plan(spec: Mapping[str, Any], base: Path) -> Plan:
    """Return all runs that a checked spec asks for.

    Raises
    ------
    SpecError, ShapeError, DataError
        If the data, the halves or the net can't be; said before anything is trained.
    """
    splits = halves(spec, base)
    by_name = {half.name: half for pair in splits.values() for half in pair}
    layers = _layer_count(spec, list(by_name.values()), base)
    build_optimizer(spec["train"])
    numbers = spec["n"] or list(range(1, layers))
    for n in numbers:
        if not 1 <= n < layers:
            raise SpecError(
                f"n is from 1 to {layers - 1} for a net of {layers} weight layers, got {n}", ("n",)
            )
    bases, treatments = [], []
    for split, (a, b) in splits.items():
        for replicate in range(spec["replicates"]):
            for target, other in ((a, b), (b, a)):
                settings = _settings(spec, target, None)
                bases.append(Run("base", split, None, target.name, 0, replicate, settings))
                for treatment in spec["treatments"]:
                    source = {"own": target, "other": other, None: None}[SOURCES[treatment]]
                    settings = _settings(spec, target, source)
                    taken = None if source is None else source.name
                    treatments += [
                        Run(treatment, split, taken, target.name, n, replicate, settings)
                        for n in numbers
                    ]
                if _wants_measures(spec):
                    treatments += [
                        Run("measures", split, half.name, target.name, 0, replicate,
                            _settings(spec, target, half, measures=True))
                        for half in (target, other)
                    ]  # fmt: skip
    return Plan(tuple(bases), tuple(treatments), layers, by_name)


def _wants_measures(spec: Mapping[str, Any]) -> bool:
    wanted = spec["measures"]
    return bool(wanted["probe"] or wanted["cka"] or wanted["scores"])


def _settings(
    spec: Mapping[str, Any], target: Half, source: Half | None, measures: bool = False
) -> str:
    """Return what decides a run's result besides its place in the study."""
    settings = {
        "seed": spec["seed"],
        "data": spec["data"],
        "net": spec["net"],
        # Whether frozen outputs are reused changes no more than rounding: the seed stays.
        "train": {key: value for key, value in spec["train"].items() if key != "reuse_frozen"},
        "target": list(target.classes),
        "source": None if source is None else list(source.classes),
    }
    if measures or (spec["measures"]["cka"] and source is not None):
        settings["measures"] = spec["measures"]
    return canonical(settings)


def _layer_count(spec: Mapping[str, Any], halves: list[Half], base: Path) -> int:
    """Return the number of weight layers, having checked that nets and data fit together."""
    found: dict[str, tuple[int, Any]] = {}
    for half in halves:
        load_half(spec, half, base)  # or says what is missing
        net = build_net(spec, half, base)
        layers = len(weight_layers(net))
        is_free = spec["net"]["function"] is not None  # may return any net for any classes
        found[half.name] = layers, _shapes(net, layers - 1) if is_free and layers > 1 else None
    (one, first), *others = found.items()
    for other, second in others:
        if first != second:
            raise SpecError(
                f"the nets of the halves {one} and {other} share no shape: below the last weight "
                f"layer all arrays must be alike, but there are {first} and {second}",
                ("net", "function"),
            )
    if first[0] < 2:
        raise SpecError(
            f"a study needs a net of at least two weight layers, got {first[0]}", ("net",)
        )
    return first[0]


def _shapes(net: Net, n: int) -> dict[str, Any]:
    """Return the shapes of the arrays in the first n weight layers and what goes with them."""
    keys = first_layers(net, n)
    arrays = net.initialize(method=0.0).arrays()
    return {dotted(path): array.shape for path, array in arrays.items() if path[0] in keys}
