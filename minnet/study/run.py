"""One run of a study: build the net it starts from, train it, and say what came out."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..errors import DataError
from ..layers.base import walk
from ..net import Net
from ..train import TrainResult, train
from .features import kept_features, measured_features
from .nets import build_net, build_optimizer
from .plan import FROZEN, Plan, Run, canonical, first_layers, make_plan
from .sources import load_half
from .store import Store

__all__ = ["train_run", "work"]

# Points of accuracy: within so much of its base a run counts as having reached it.
NEAR = 0.01


def work(spec: Mapping[str, Any], base: str, folder: str, run_id: str) -> dict[str, Any]:
    """Do one run and keep its result; what a worker anywhere is told to do.

    Parameters
    ----------
    spec
        The checked spec.
    base
        The folder that the spec's paths count from.
    folder
        Where the results are.
    run_id
        Which run.

    Returns
    -------
    dict
        `id`, `label`, `error` (None if all went well) and `seconds`.
    """
    start = time.perf_counter()
    store = Store(folder)
    plan = _plan(canonical(spec), base)
    run = plan.by_id[run_id]
    error = None
    try:
        result = _do(spec, Path(base), plan, run, store)
        store.finish(run.id, result, time.perf_counter() - start)
    except Exception as problem:  # a reader or net of the user's may raise anything
        error = f"{type(problem).__name__}: {problem}"
        with contextlib.suppress(OSError):  # the disk that is full is full for this, too
            store.fail(run.id, run.label, error, traceback.format_exc())
    return {
        "id": run.id,
        "label": run.label,
        "error": error,
        "seconds": time.perf_counter() - start,
    }


@functools.lru_cache(maxsize=1)
def _plan(spec: str, base: str) -> Plan:
    """Return the plan, which a worker needs for every run, from the process's memory."""
    return make_plan(json.loads(spec), Path(base))


def train_run(
    spec: Mapping[str, Any], base: Path, plan: Plan, run: Run, store: Store
) -> TrainResult:
    """Train the net of a run and return the result, of which nothing is kept yet."""
    half = plan.halves[run.target]
    training, test = load_half(spec, half, base)
    net, rules = _start(plan, run, store, build_net(spec, half, base))
    given = spec["train"]
    result = train(
        net,
        training,
        optimizer=build_optimizer(given),
        multipliers=rules,
        rounds=given["rounds"],
        steps=given["steps"],
        batch_size=given["batch_size"],
        validation=test,
        seed=run.seed,
        progress=False,
        reuse_frozen=given["reuse_frozen"],
        threads=spec["threads"],
        device=spec["device"],
    )
    if result.stopped == "interrupted":
        raise KeyboardInterrupt  # what was trained up to now is no result
    return result


def _do(spec: Mapping[str, Any], base: Path, plan: Plan, run: Run, store: Store) -> dict[str, Any]:
    half = plan.halves[run.target]
    training, test = load_half(spec, half, base)
    if run.treatment == "measures":
        return _measured(spec, plan, run, store, (training, test))
    result = train_run(spec, base, plan, run, store)
    if run.treatment == "base":
        result.final.save(store.net_path(run.id))
        base_accuracy = result.history[-1]["validation_accuracy"]
    else:
        base_accuracy = _base_result(plan, run, store)["accuracy"]
    found = _findings(run, plan, result, test, base_accuracy)
    if spec["measures"]["cka"] and run.treatment in ("BnB+", "AnB+") and run.source is not None:
        before = store.net(plan.base_of(run.source, run.replicate).id)
        before, after = (net.to(spec["device"]) for net in (before, result.final))
        found["kept"] = kept_features(spec["measures"], before, after, test, run.n)
    return found


def _base_result(plan: Plan, run: Run, store: Store) -> dict[str, Any]:
    """Return what the base of a run's target found."""
    base = plan.base_of(run.target, run.replicate)
    result = store.result(base.id)
    if result is None:
        raise DataError(f"there is no {base.label} to compare with")
    return result


def _measured(
    spec: Mapping[str, Any], plan: Plan, run: Run, store: Store, data: tuple[Dataset, Dataset]
) -> dict[str, Any]:
    """Return what the features of a base net say of a half."""
    source, target = (
        store.net(plan.base_of(str(half), run.replicate).id).to(spec["device"])
        for half in (run.source, run.target)
    )
    found = measured_features(spec["measures"], source, target, data, plan.layers)
    return {**run.place, **found}


def _start(plan: Plan, run: Run, store: Store, blank: Net) -> tuple[Net, Any]:
    """Return the net a run starts from, and the rules for what learns in it."""
    if run.treatment == "base":
        return blank, None
    keys = first_layers(blank, run.n)
    rules = [((key,), None) for key in keys if _has_arrays(blank, key)] + [(..., 1)]
    if run.source is not None:
        source = store.net(plan.base_of(run.source, run.replicate).id)
        taken = {path: array for path, array in source.arrays().items() if path[0] in keys}
        if run.treatment == "meanvar":
            taken = _noise_like(source, taken, run.seed)
        blank = blank.with_arrays(taken)
    return blank, rules if run.treatment in FROZEN else None


def _has_arrays(net: Net, key: str | int) -> bool:
    part = dict(net.children())[key]
    return bool(part.children() or part.own_names())


def _noise_like(net: Net, arrays: Mapping[Any, Any], seed: int) -> dict[Any, Any]:
    """Return normal noise with the mean and variance of each array (Raghu et al. 2019).

    Running statistics are left to begin anew: noise can't be a variance.
    """
    state = {(*path, name) for path, part in walk(net) for name in part.state_names}
    random = np.random.default_rng([seed, 4])
    return {
        path: random.normal(array.mean(), array.std(), array.shape).astype(array.dtype)
        for path, array in arrays.items()
        if path not in state
    }


def _findings(
    run: Run, plan: Plan, result: TrainResult, test: Dataset, base_accuracy: float
) -> dict[str, Any]:
    """Return the numbers of a run; none of them depends on how fast it went."""
    accuracies = result.curve("validation_accuracy")
    losses = result.curve("loss")
    counts = list(test.counts().values())
    chance = max(counts) / sum(counts)
    near = [
        row["round"] for row in result.history if row["validation_accuracy"] >= base_accuracy - NEAR
    ]
    # Three standard errors above chance: less can be luck.
    lucky = chance + 3 * math.sqrt(chance * (1 - chance) / sum(counts))
    never_fell = min(losses) >= 0.98 * math.log(len(counts)) if len(counts) > 1 else False
    trained = sum(result.table[path].size or 0 for path in result.table.trainable())
    return {
        **run.place,
        "layers": plan.layers,
        "seed": run.seed,
        "accuracy": accuracies[-1],
        "best_accuracy": max(accuracies),
        "rounds": result.rounds,
        "rounds_to_base": near[0] if near else None,
        "trained": trained,
        "chance": chance,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "collapsed": bool(max(accuracies) <= lucky or never_fell),
        "reused": result.reused,
        "accuracies": [round(accuracy, 6) for accuracy in accuracies],
    }
