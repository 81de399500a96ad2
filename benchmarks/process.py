"""The cases that take a process of their own: what importing costs, and memory when training."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .compare import Spread, Timed, in_turn, ratio, repeated

IMPORT_ALLOWANCE = 25.0  # ms over importing NumPy
# What a program asks for that trains a net: importing minnet alone puts that off.
USED = "import minnet as mn; mn.Chain, mn.Conv, mn.Linear, mn.Softmax, mn.Adam, mn.train"
MEMORY_RUNS = 3
STEPS = 20
WAYS = ("minnet", "eager", "fused")
ROOT = Path(__file__).resolve().parent.parent

Measured = tuple[Spread, dict[str, Spread], Spread]  # minnet, rivals, ratio


def importing(program: str, seconds: float) -> Measured:
    """Return the milliseconds that imports take after `import numpy`, and how many are allowed."""

    with tempfile.TemporaryDirectory() as compiled:
        # Python compiles what it imports the first time: there, whatever the environment says.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def runs(program: str) -> Timed:
            command = [sys.executable, "-c", program]
            return repeated(lambda: subprocess.run(command, cwd=ROOT, env=environment, check=True))

        both = runs(f"import numpy; {program}")
        samples = in_turn({"numpy": runs("import numpy"), "both": both}, seconds, pause=0.0)
    turns = zip(samples["both"], samples["numpy"], strict=True)
    over = [max(1e3 * (both - numpy), 0.1) for both, numpy in turns]  # the clock is not so fine
    allowed = [IMPORT_ALLOWANCE] * len(over)
    return Spread.of(over), {"allowed": Spread.of(allowed)}, ratio(allowed, over)


def memory() -> Measured:
    """Return the peak megabytes of training LeNet, above the interpreter with NumPy imported."""
    samples: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(MEMORY_RUNS):
        for way in WAYS:
            command = [sys.executable, "-m", __name__, way]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            samples[way].append((found["peak"] - found["numpy"]) / 1e6)
    rivals = {way: Spread.of(samples[way]) for way in WAYS[1:]}
    best = min(rivals, key=lambda way: rivals[way].median)
    return Spread.of(samples["minnet"]), rivals, ratio(samples[best], samples["minnet"])


# --- in the process that is measured: it imports nothing that it doesn't train with -------------


def peak() -> int:
    """Return the most bytes of memory that this process has had.

    On Linux, getrusage counts what the process was forked from, too, so we ask the kernel.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main(way: str) -> None:
    """Train LeNet for a few steps and print how much memory the process has had by when."""
    found = {"numpy": peak()}
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 28, 28, 1)).astype(np.float32)
    y = random.integers(0, 10, 64)
    step: Any
    if way == "minnet":
        import minnet as mn

        trainer = mn.Trainer(mn.models.lenet(10).initialize(), mn.Adam(1e-3))

        def step() -> None:
            trainer.step(x, y)
    else:
        from . import pytorch

        batches = itertools.repeat(pytorch.tensors(x, y))
        step = pytorch.training_step(pytorch.lenet(), batches, fused=way == "fused")
    for _ in range(STEPS):
        step()
    print(json.dumps({**found, "peak": peak()}))


if __name__ == "__main__":
    main(sys.argv[1])
