"""How long a study will take and how much memory, guessed without training anything."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from ..layers.base import Layer
from ..net import Chain, Net
from ..net.call import encode
from .nets import build_net
from .plan import FROZEN, Run, first_layers
from .sources import load_half
from .study import Study

__all__ = ["Estimate", "estimate"]

# A training step takes about three forward passes: one forward, two for the gradients.
STEP_FORWARDS = 3.0
# Examples in the forward pass that is timed.
SAMPLE = 32
# Weights, gradients, what the optimizer remembers, and the net of the step and round before.
COPIES = 6
# As many bytes of frozen layers' outputs are kept at most (see `minnet.train`).
KEPT = 1e9


@dataclass(frozen=True)
class Estimate:
    """What the runs that are left will take: seconds in all, bytes each, and how it was guessed."""

    seconds: float
    bytes: int
    jobs: int
    how: str


def estimate(study: Study, jobs: int = 1) -> Estimate:
    """Guess from one forward pass of each layer, and from the runs already done."""
    plan, spec, store = study.plan(), study.spec, study.store
    half = next(iter(plan.halves.values()))
    train, test = load_half(spec, half, study.base)
    size = min(spec["train"]["batch_size"], len(train))
    net = build_net(spec, half, study.base).initialize()
    sample = encode(net, train[: min(size, SAMPLE)].x)
    layers = {
        key: (seconds / len(sample), bytes / len(sample))
        for key, (seconds, bytes) in _measured(net, sample).items()
    }
    per_round = math.ceil(len(train) / size)
    limits = [spec["train"]["steps"], (spec["train"]["rounds"] or 0) * per_round]
    steps = min(limit for limit in limits if limit)
    seen = (steps * size, steps / per_round * len(test))

    def guess(run: Run) -> float:
        """Return the seconds of a run: those of each layer, by how often it is passed."""
        whole = sum(seconds for seconds, _ in layers.values())
        if run.treatment == "measures":
            return float(2 * plan.layers * spec["measures"]["examples"] * whole)
        frozen = set(first_layers(net, run.n)) if run.treatment in FROZEN else set()
        above = sum(seconds for key, (seconds, _) in layers.items() if key not in frozen)
        once = min(len(train), seen[0]) + len(test)
        return float(once * (whole - above) + (STEP_FORWARDS * seen[0] + seen[1]) * above)

    known = {run: seconds for run in store.done() if (seconds := store.seconds(run)) is not None}
    left = [run for run in plan.by_id.values() if run.id not in known]
    done = [run for run in plan.by_id.values() if run.id in known]
    factor, how = 1.0, "guessed from a forward pass"
    if done:
        factor = sum(known[run.id] for run in done) / sum(map(guess, done))
        how = f"from {len(done)} runs already done"
    weights = sum(array.nbytes for array in net.arrays().values())
    activations = sum(bytes for _, bytes in layers.values()) * size
    kept = [
        size
        for run in plan.treatments
        if run.treatment in FROZEN
        if (size := layers[first_layers(net, run.n)[-1]][1] * len(train)) <= KEPT
    ]
    data = _nbytes(train.x) + _nbytes(test.x)
    memory = data + COPIES * weights + 2 * activations + max(kept, default=0)
    workers = min(jobs, max(1, len(left)))
    return Estimate(factor * sum(map(guess, left)) / workers, int(memory), jobs, how)


def _nbytes(x: Any) -> int:
    return int(getattr(x, "nbytes", 0))


def _measured(net: Net, batch: Any) -> dict[str | int, tuple[float, int]]:
    """Return how long each of the net's layers takes for a batch, and the bytes of its output."""
    if not isinstance(net, Chain):
        seconds, outputs = _timed(net, batch)
        share = seconds / len(net)
        return dict.fromkeys(net.keys(), (share, max(_nbytes(outputs), _nbytes(batch))))
    found: dict[str | int, tuple[float, int]] = {}
    for key, part in net.children():
        seconds, batch = _timed(part, batch)
        found[key] = seconds, _nbytes(batch)
    return found


def _timed(part: Layer, batch: Any) -> tuple[float, Any]:
    """Return how long a layer takes at best, and its outputs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        outputs = part.apply(batch)
        times.append(time.perf_counter() - start)
    return min(times), outputs
