"""Make .venv beside this file and install minnet there with the extras named, as `test`.

It does what `python3 -m venv .venv && .venv/bin/pip install --editable ".[test]"` does, and also
works where Debian's Python has a pip but lacks the package python3-venv. Running it again, for
other extras, adds them.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(extras: list[str]) -> None:
    """Make the environment, install into it, and exit with pip's status."""
    if sys.version_info < (3, 11):  # noqa: UP036 (pip would say it at greater length)
        sys.exit(f"minnet needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    can_give_pip = importlib.util.find_spec("ensurepip") is not None
    if not can_give_pip and importlib.util.find_spec("pip") is None:
        sys.exit("this Python has neither ensurepip nor pip: on Debian, apt install python3-venv")
    folder = HERE / ".venv"
    venv.EnvBuilder(symlinks=os.name != "nt", with_pip=can_give_pip).create(folder)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Without ensurepip the pip of this Python installs into the new environment from outside.
    pip = (
        [python, "-m", "pip"] if can_give_pip else [sys.executable, "-m", "pip", "--python", python]
    )
    project = f"{HERE}[{','.join(extras)}]" if extras else f"{HERE}"
    options = ["--quiet", "--disable-pip-version-check", "--editable"]
    done = subprocess.run([*pip, "install", *options, project])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
