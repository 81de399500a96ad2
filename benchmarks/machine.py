"""The machine that is measured: what it is, and how many of its cores both sides may use."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What NumPy's and PyTorch's matrix products and OpenMP read when they are first loaded.
VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
MARK = "MINNET_BENCHMARK_THREADS"


def usable_cpus() -> list[int]:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def by_core(cpus: Iterable[int]) -> list[list[int]]:
    """Return processors, those of each core together."""
    cores: dict[str, list[int]] = {}
    for cpu in cpus:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        key = siblings.read_text() if siblings.exists() else str(cpu)
        cores.setdefault(key, []).append(cpu)
    return list(cores.values())


def chosen_cpus(cores: list[list[int]], threads: int) -> list[int]:
    """Return as many processors as threads, on as many cores as there are."""
    longest = max(map(len, cores))
    in_order = [core[i] for i in range(longest) for core in cores if i < len(core)]
    return in_order[:threads]


def use_threads(threads: int | None) -> int:
    """Have everything in this process use this many threads, starting the program again for it.

    By default there is one for each core. What libraries read when they are loaded is
    set in the environment; where the system can, the process is also kept to as many
    processors, which whatever counts them sees.
    """
    cores = by_core(usable_cpus())
    threads = threads or int(os.environ.get(MARK, 0)) or len(cores)
    if os.environ.get(MARK) == str(threads):
        return threads
    if hasattr(os, "sched_setaffinity") and threads < sum(map(len, cores)):
        os.sched_setaffinity(0, chosen_cpus(cores, threads))
    environment = {**os.environ, **dict.fromkeys((*VARIABLES, MARK), str(threads))}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def description(threads: int) -> dict[str, Any]:
    """Return what the numbers depend on: the machine, the versions, the day."""
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload,index,unused-ignore]
    return {
        "cpu": cpu_model(),
        "cores": len(by_core(range(os.cpu_count() or 1))),
        "processors": os.cpu_count(),
        "threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "minnet": version("minnet"),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "kernels": kernels(),
        "pytorch": version("torch"),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def kernels() -> str:
    """Return what minnet's kernels on the CPU are made by."""
    from minnet.ops import compiled

    return "NumPy alone" if compiled.reason_not() else f"Numba {version('numba')}"


def version(package: str) -> str:
    """Return the version of a package, or that there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def cpu_model() -> str:
    """Return the processor's name as its maker writes it."""
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        for line in lines.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def described(machine: dict[str, Any]) -> str:
    """Return the description in three lines."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, threads used: {machine['threads']}, "
        f"{machine['date'][:10]}\nminnet {machine['minnet']} on Python {machine['python']} and "
        f"NumPy {machine['numpy']} with {machine['blas']}; PyTorch {machine['pytorch']}\n"
        f"minnet's kernels: {machine.get('kernels', 'NumPy alone')}"
    )
