"""Check a wheel, in the environment where only it was installed: what it holds, what it needs."""

import importlib.metadata
import sys
import zipfile
from pathlib import Path

import minnet

DATA = ("minnet/py.typed", "minnet/study/data/yosinski2014.csv")


def main(wheel: str) -> None:
    """Exit with a message unless `wheel` is the package alone and works with NumPy alone."""
    names = zipfile.ZipFile(wheel).namelist()
    foreign = [
        name
        for name in names
        if not name.startswith(("minnet/", f"minnet-{minnet.__version__}.dist-info/"))
        or (name.startswith("minnet/") and not name.endswith(".py") and name not in DATA)
    ]
    if foreign:
        sys.exit(f"the wheel holds more than the package: {', '.join(foreign)}")
    if missing := set(DATA) - set(names):
        sys.exit(f"the wheel lacks {', '.join(sorted(missing))}")
    if not Path(minnet.__file__).is_relative_to(sys.prefix):
        sys.exit(f"imported {minnet.__file__}, not what the wheel installed")
    installed = {found.name for found in importlib.metadata.distributions()}
    if extra := installed - {"minnet", "numpy", "pip", "setuptools"}:
        sys.exit(f"installing the wheel also installed {', '.join(sorted(extra))}")
    size = Path(wheel).stat().st_size / 1000
    print(f"{Path(wheel).name}: {len(names)} files, {size:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
