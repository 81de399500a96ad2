"""Run the benchmarks and print the table of ratios: python -m benchmarks [--seconds 20]."""

from __future__ import annotations

import argparse
import os
import platform

import numpy as np

import minnet as mn
from minnet.draw import table

from . import lenet
from .compare import in_turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each case (default 20)")
    parser.add_argument(
        "--batch", type=int, nargs="*", default=[64], help="batch sizes (default 64)"
    )
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        raise SystemExit("the comparison needs PyTorch: pip install '.[torch]'") from None
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {threads} cores, Python {platform.python_version()}")
    print(f"minnet {mn.__version__} on NumPy {np.__version__}, PyTorch {torch.__version__}\n")
    rows = [("case", "who", "ms a step", "least", "most", "minnet's speed over it")]
    for size in options.batch:
        steps = {"minnet": lenet.minnet_step(size), **lenet.torch_steps(size)}
        times = in_turn(steps, options.seconds)
        for name, timing in times.items():
            least, most = timing.spread
            ratio = timing.median / times["minnet"].median
            rows.append(
                (
                    f"LeNet step, batch {size}",
                    name,
                    f"{timing.median * 1e3:.2f}",
                    f"{least * 1e3:.2f}",
                    f"{most * 1e3:.2f}",
                    f"{ratio:.2f}",
                )
            )
    print(table(rows, right=(2, 3, 4, 5)))


if __name__ == "__main__":
    main()
