"""What the tests of the benchmarks share: results, and Python processes that find them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the package

from benchmarks import machine  # noqa: E402
from benchmarks.compare import Spread  # noqa: E402
from benchmarks.result import Result  # noqa: E402

ON_LINUX = sys.platform == "linux"


def run(*command: str, **environment: str) -> str:
    """What a Python prints that is started in the repository's root."""
    kept = {key: value for key, value in os.environ.items() if key != machine.MARK}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def result(case: str = "a", speed: float = 2.0, fraction: float | None = None) -> Result:
    """A result in which minnet takes 1 ms, and PyTorch as many times as long."""
    spread = Spread(speed, 0.9 * speed, 1.1 * speed)
    rivals = {"eager": Spread(2 * speed, speed, 3 * speed), "fused": spread}
    rate = None if fraction is None else 1e9
    target = None if fraction is None else 0.45
    return Result(case, "ms", Spread(1, 0.9, 1.2), rivals, spread, 2.0, rate, fraction, target)
