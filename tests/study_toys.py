"""Small studies of made-up data, for the tests of plan, store, runs and execution."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import minnet as mn
from minnet.study.execute import Outcome

# Three weight layers: n is 1 or 2.
LAYERS = ["Linear(6)", "Ramp", "Linear(5)", "Ramp", "Linear()", "Softmax"]
IMAGE_LAYERS = ["Conv(3, 3)", "Ramp", "MaxPool(2)", "Conv(4, 3)", "BatchNorm", "Ramp", "Flatten"]


def points(path: Path, classes: int = 4, each: int = 15, bad: tuple[int, ...] = ()) -> Path:
    """Write points (5,) around a centre for each class; those of `bad` classes are too large."""
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(classes), each)
    x = 3 * random.normal(size=(classes, 5))[y] + random.normal(size=(len(y), 5))
    x[np.isin(y, bad)] = 3e38
    np.savez(path, x=x.astype(np.float32), y=y)
    return path


def images(path: Path, shape: tuple[int, ...] = (8, 8), classes: int = 4, each: int = 10) -> Path:
    """Write gray or colour images, brighter from class to class."""
    random = np.random.default_rng(1)
    y = np.repeat(np.arange(classes), each)
    x = random.integers(0, 100, (len(y), *shape)) + 30 * y.reshape(-1, *[1] * len(shape))
    np.savez(path, x=x.astype(np.uint8), y=y)
    return path


def toy(folder: Path, results: str = "results", **changes: Any) -> mn.study.Study:
    """Return a study of points that takes a moment; `changes` are keys of its spec."""
    if not (folder / "points.npz").exists():
        points(folder / "points.npz")
    spec = {
        "data": {"file": "points.npz"},
        "net": {"layers": LAYERS},
        "train": {"rounds": 2, "batch_size": 16, "learning_rate": 0.01},
        **changes,
    }
    return mn.study.Study(folder=folder / results, base=folder, **spec)


def here(study: mn.study.Study, **options: Any) -> Outcome:
    """Do a study in this process."""
    with ThreadPoolExecutor(1) as executor:
        return study.run(executor, **options)


def files(study: mn.study.Study) -> dict[str, bytes]:
    """Return the files that a study's results consist of; times and reports differ."""
    kept = [path for part in ("runs", "nets") for path in (study.folder / part).glob("*")]
    return {f"{path.parent.name}/{path.name}": path.read_bytes() for path in kept}


def results(study: mn.study.Study) -> list[dict[str, Any]]:
    """Return what the finished runs found."""
    return [json.loads(content) for name, content in files(study).items() if name[:5] == "runs/"]


def toml(path: Path, text: str = "") -> Path:
    """Write the spec of a study of points."""
    points(path.parent / "points.npz")
    layers = json.dumps(LAYERS)
    path.write_text(
        f'{text}\n[data]\nfile = "points.npz"\n[net]\nlayers = {layers}\n[train]\nrounds = 1\n'
    )
    return path
