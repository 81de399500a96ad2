"""Importing minnet is quick: what it offers is all there, and imported when it is asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import minnet as mn

SOURCE = ast.parse(Path(mn.__file__).read_text(encoding="utf-8"))
OPTIONAL = {"IPython", "PIL", "cupy", "dask", "distributed", "matplotlib", "onnx", "safetensors"}
OPTIONAL |= {"llvmlite", "numba", "torch", "tqdm"}
# Parts of Python and NumPy that take long to import, and that few programs need.
HEAVY = {"argparse", "concurrent.futures", "csv", "difflib", "gzip", "hashlib", "json"}
HEAVY |= {"mmap", "multiprocessing", "numpy.random", "random", "secrets", "shutil", "subprocess"}
HEAVY |= {"tempfile", "tomllib", "zipfile"}


def printed(code: str) -> str:
    """Return what a fresh Python prints that runs this."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def imported_by(code: str, before: str = "") -> set[str]:
    """Return the modules that a statement imports in a fresh Python."""
    seen = f"import sys; {before}\nbefore = set(sys.modules)\n{code}\n"
    return set(printed(f"{seen}print(*set(sys.modules) - before)").split())


# --- how much is imported -----------------------------------------------------------------------


def test_importing_minnet_imports_only_itself() -> None:
    imported = imported_by("import minnet", before="import importlib, typing")
    assert imported == {"minnet"}


def test_training_imports_nothing_that_only_other_things_need() -> None:
    used = "import minnet as mn; mn.Chain, mn.Conv, mn.Adam, mn.train, mn.Trainer, mn.ImageEncoder"
    imported = imported_by(used, before="import numpy")
    assert {"minnet.net", "minnet.layers", "minnet.train.train"} <= imported
    assert not imported & (HEAVY | OPTIONAL)
    assert not imported & {"minnet.draw", "minnet.io", "minnet.measure", "minnet.models"}
    assert not any(name.startswith("minnet.study") for name in imported)


def test_nothing_optional_is_imported_before_it_is_used() -> None:
    imported = {name.partition(".")[0] for name in imported_by("from minnet import *")}
    assert "numpy" in imported
    assert not imported & OPTIONAL


# --- what is there ------------------------------------------------------------------------------


def test_every_name_is_there_and_listed() -> None:
    code = "import minnet; names = dir(minnet); print(*names); "
    code += "print(*(type(getattr(minnet, name)).__name__ for name in minnet.__all__))"
    names, kinds = (line.split() for line in printed(code).splitlines())
    assert set(mn.__all__) <= set(names)
    assert names == sorted(set(names))
    assert len(kinds) == len(mn.__all__) == len(set(mn.__all__))
    star: dict[str, object] = {}
    exec("from minnet import *", star)
    assert {name: star[name] for name in mn.__all__} == {n: getattr(mn, n) for n in mn.__all__}


def test_type_checkers_see_the_same_names() -> None:
    seen = {}
    for statement in ast.walk(SOURCE):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            home = (statement.module or "").partition(".")[0]
            seen |= {alias.name: home for alias in statement.names}
    assert set(seen) == set(mn.__all__)
    assert {name: home for name, home in seen.items() if home} == mn._HOMES


@pytest.mark.parametrize("first", ["train.trainer", "multipliers.table", "study", "cli"])
def test_functions_are_not_hidden_by_the_folders_of_their_names(first: str) -> None:
    code = f"import minnet.{first}; import minnet as mn; "
    code += "print(callable(mn.train), callable(mn.multipliers))"
    assert printed(code).split() == ["True", "True"]


def test_parts_are_reached_by_name() -> None:
    code = "import minnet as mn; print(mn.study.Study.__name__, mn.measure.cka.__name__, "
    code += "mn.data.Dataset is mn.Dataset, mn.errors.SpecError is mn.SpecError, mn.io.__name__)"
    assert printed(code).split() == ["Study", "cka", "True", "True", "minnet.io"]


def test_a_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'minnet' has no attribute 'no_such_thing'"):
        _ = mn.no_such_thing
    with pytest.raises(ImportError, match="cannot import name 'no_such_thing'"):
        exec("from minnet import no_such_thing")
    assert not hasattr(mn, "Trian")


def test_a_name_can_be_replaced() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mn, "train", len)
        assert mn.train is len
    assert mn.train.__module__ == "minnet.train.train"
