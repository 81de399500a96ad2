"""The `minnet` command: studies, what is installed or there, and what is in a saved net."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import minnet

__all__ = ["main"]

# What each extra brings, by the names it may be installed under.
EXTRAS = {
    "fast": ("numba",),
    "progress": ("tqdm",),
    "plot": ("matplotlib",),
    "image": ("pillow",),
    "dask": ("distributed",),
    "onnx": ("onnx",),
    "safetensors": ("safetensors",),
    "gpu": ("cupy-cuda12x", "cupy-cuda13x", "cupy"),
    "torch": ("torch",),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `minnet` command.

    Parameters
    ----------
    arguments
        The words after `minnet`; those this process was started with when left out.

    Returns
    -------
    int
        The exit status: 0 if all went well; 1 if runs of a study failed; 2 if the
        command can't be carried out, with the reason in one line on standard error; 130
        if Ctrl-C ended it.

    Examples
    --------
    >>> from minnet.cli import main
    >>> main(["summary", "no-such-file.npz"])
    2
    """
    options = parser().parse_args(arguments)
    try:
        status = COMMANDS[options.command](options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (minnet.MinnetError, OSError) as error:
        print("minnet:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # as shells do
    return status


def parser() -> argparse.ArgumentParser:
    """Describe what the command understands."""
    whole = argparse.ArgumentParser(
        prog="minnet", description="A neural-network engine handwritten on NumPy."
    )
    whole.add_argument("--version", action="version", version=f"minnet {minnet.__version__}")
    commands = whole.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="show the versions of minnet and what it works with")
    commands.add_parser("devices", help="show what there is to compute on: the CPU and each GPU")
    one = commands.add_parser("summary", help="show the layers and arrays of a saved net")
    one.add_argument("file", metavar="FILE.npz", help="a file written by net.save")
    _add_study(commands.add_parser("study", help="study how transferable features are"))
    return whole


def _add_study(study: argparse.ArgumentParser) -> None:
    """Describe what `minnet study` understands; what does it is imported only when it is asked."""
    actions = study.add_subparsers(dest="action", required=True)
    run = actions.add_parser("run", help="do the runs that are not done yet, then report")
    plan = actions.add_parser("plan", help="list the runs, estimate time and memory; train nothing")
    report = actions.add_parser("report", help="write the report from the stored results alone")
    for action in (run, plan):
        action.add_argument("spec", metavar="SPEC.toml", help="what to study")
        action.add_argument("--results", metavar="FOLDER", help="where the results are kept")
        action.add_argument(
            "--jobs", type=int, default=1, metavar="N", help="how many runs at once (default 1)"
        )
    run.add_argument("--dask", metavar="ADDRESS", help="let a Dask cluster do the runs")
    run.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
    report.add_argument("results", metavar="RESULTS", help="the folder of results")
    for action in (run, report):
        action.add_argument("--paper", action="store_true", help="draw the paper's numbers, too")


def _study(options: argparse.Namespace) -> int:
    from .study.command import run_command

    return run_command(options)


def _info(options: argparse.Namespace) -> int:
    print(info(EXTRAS))
    print(f"compiled kernels: {kernels()}")
    return 0


def _devices(options: argparse.Namespace) -> int:
    from .backend.usage import devices

    print("\n".join(devices()))
    return 0


def _summary(options: argparse.Namespace) -> int:
    print(summary(options.file))
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "devices": _devices,
    "info": _info,
    "summary": _summary,
    "study": _study,
}


def info(extras: Mapping[str, Sequence[str]]) -> str:
    """Return the versions of minnet, of what it stands on and of those extras that are there."""
    lines = {
        "minnet": minnet.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(np.show_config(mode="dicts")),
    }
    for extra, packages in extras.items():
        found = [f"{name} {version}" for name in packages if (version := installed(name))]
        lines[extra] = ", ".join(found) or "not installed"
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def kernels() -> str:
    """Return whether kernels compiled by Numba are used here, and why not if they aren't."""
    from .ops import compiled

    reason = compiled.reason_not()
    return f"yes, by Numba {installed('numba')}" if reason is None else f"no, {reason}"


def summary(file: str) -> str:
    """Return the table of the net saved in `file`."""
    return str(minnet.load(file).summary())


def blas(config: Mapping[str, Any] | None) -> str:
    """Return the library NumPy multiplies matrices with, as far as its configuration says."""
    library = (config or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()


def installed(package: str) -> str | None:
    """Return the version of an installed package without importing it; None without it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
