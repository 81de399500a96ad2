"""The second law: a round takes time in proportion to its examples, and memory does not grow.

The examples are a memory-mapped file larger than the memory that the process is allowed: run as
a program, this file is that process. The limit is RLIMIT_DATA, which counts what a process may
write to privately and leaves out files that are mapped to be read (RLIMIT_AS counts these, too).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 128  # float32 numbers an example
CLASSES = 10
BATCH = 100
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
EXAMPLES_TIMED = 200_000  # of small data this takes several rounds
MOST_ROUNDS = 100
ROOM = 64e6  # bytes that training may take beyond what the process has when it begins
CHUNK = 100_000
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Round:
    """What training took on data of one size.

    `seconds` are those of a round after the first; `memory` the most bytes that the
    process had in memory of its own while training, beyond those it had before; `limit`
    the bytes it was allowed in all; `is_refused` whether it was refused the memory to
    hold the whole file, as it has to be if the limit counts; None where nothing limits.
    """

    examples: int
    seconds: float
    memory: float | None
    limit: float | None
    is_refused: bool | None

    @property
    def megabytes(self) -> float:
        """The size of the data."""
        return self.examples * WIDTH * 4 / 1e6

    def row(self) -> tuple[str, ...]:
        """Return the line of the table."""
        return (
            f"{self.examples:,}",
            f"{self.megabytes:.1f}",
            f"{self.seconds:.4f}",
            f"{1e6 * self.seconds / self.examples:.3f}",
            "" if self.memory is None else f"{self.memory / 1e6:.1f}",
            "" if self.limit is None else f"{self.limit / 1e6:.0f}",
        )


COLUMNS = (
    "examples", "data, MB", "a round, s", "an example, us", "memory taken, MB", "limit in all, MB",
)  # fmt: skip
RIGHT = (0, 1, 2, 3, 4, 5)


def exponent(rounds: list[Round]) -> float:
    """Return the power of the number of examples that the time of a round grows with."""
    sizes = np.log([one.examples for one in rounds])
    return float(np.polyfit(sizes, np.log([one.seconds for one in rounds]), 1)[0])


def growth(rounds: list[Round]) -> float:
    """Return how many bytes of memory an example more takes, from the least and the most data."""
    first, last = rounds[0], rounds[-1]
    if first.memory is None or last.memory is None:
        return float("nan")
    return (last.memory - first.memory) / (last.examples - first.examples)


def measured(sizes: tuple[int, ...] = SIZES) -> list[Round]:
    """Train on the first so many examples of one file, for each size in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        x, y = Path(folder, "x.npy"), Path(folder, "y.npy")
        _write(x, y, sizes[-1])
        rounds = []
        for size in sizes:
            command = [sys.executable, "-m", __name__, str(x), str(y), str(size)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            rounds.append(Round(**json.loads(done.stdout)))
    return rounds


def _write(x: Path, y: Path, examples: int) -> None:
    """Write made-up examples and labels, a part at a time."""
    random = np.random.default_rng(0)
    np.save(y, random.integers(0, CLASSES, examples).astype(np.uint8))
    file = np.lib.format.open_memmap(x, "w+", np.float32, (examples, WIDTH))
    for start in range(0, examples, CHUNK):
        part = file[start : start + CHUNK]
        part[:] = random.normal(size=part.shape)


# --- in the process that is measured --------------------------------------------------------------


def own_memory() -> dict[str, int]:
    """Return the bytes this process has of memory of its own: in use, and asked for."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("RssAnon", "VmData"):
            found[name] = int(rest.split()[0]) * 1024
    return found


class Watch:
    """Looks again and again, in a thread of its own, how much memory the process has."""

    def __init__(self) -> None:
        self.before = self.most = own_memory()["RssAnon"]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, own_memory()["RssAnon"])

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()
        self.most = max(self.most, own_memory()["RssAnon"])


def limit_memory(room: float) -> float:
    """Allow this process so much more memory of its own than it has; return what it has then."""
    import resource  # not on Windows

    limit = int(own_memory()["VmData"] + room)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return limit


def is_refused(size: int) -> bool:
    """Tell whether so many bytes can't be had."""
    try:
        np.empty(size, np.uint8)
    except MemoryError:
        return True
    return False


def train(x: Any, y: Any, rounds: int) -> float:
    """Train a small net and return the seconds of a round after the first."""
    import minnet as mn

    net = mn.Chain(
        mn.Linear(16), mn.Ramp(), mn.Linear(CLASSES), mn.Softmax(),
        input=WIDTH, output=mn.ClassDecoder(tuple(range(CLASSES))),
    )  # fmt: skip
    history = mn.train(
        net, (x, y), rounds=rounds, batch_size=BATCH, measure=None, progress=False
    ).history
    ends = [row["seconds"] for row in history]
    return float(np.median(np.diff(ends)))


def main(x_file: str, y_file: str, count: str) -> None:
    """Train on the beginning of a file and print what it took."""
    size = int(count)
    x, y = np.load(x_file, mmap_mode="r"), np.load(y_file)[:size]
    train(np.array(x[: 2 * BATCH]), y[: 2 * BATCH], 2)  # what is taken once is taken now
    found: dict[str, Any] = {"examples": size, "memory": None, "limit": None, "is_refused": None}
    rounds = 1 + min(max(1, EXAMPLES_TIMED // size), MOST_ROUNDS)
    if Path("/proc/self/status").exists():
        with Watch() as watch:
            found["limit"] = limit_memory(ROOM)
            found["is_refused"] = is_refused(x.nbytes)
            found["seconds"] = train(x[:size], y, rounds)
        found["memory"] = watch.most - watch.before
    else:
        found["seconds"] = train(x[:size], y, rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
