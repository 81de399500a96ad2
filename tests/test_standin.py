"""The stand-in for CuPy: as strict as CuPy, with names and arguments that CuPy has."""

from __future__ import annotations

import importlib.util
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
import standin
from standin import counting
from standin import functions as listed

LIST_NAMES = """
import inspect, json, cupy, cupy.cuda, cupy.random, cupy.linalg
from cupy.cuda import memory, runtime

def arguments(function):
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return None

found = {}
tricks = cupy.lib.stride_tricks
core = cupy._core
for module in (
    cupy, cupy.cuda, cupy.random, cupy.linalg, cupy.lib, tricks, memory, runtime, core,
    core._routines_linalg,
):
    found[module.__name__.replace("cupy_backends.cuda.api", "cupy.cuda")] = {
        name: arguments(getattr(module, name)) if not name.startswith("_") else None
        for name in {*dir(module), "Generator"}
        if hasattr(module, name)
    }
for kind in (
    cupy.ndarray, cupy.ufunc, cupy.random.Generator, cupy.cuda.Device, cupy.cuda.Stream,
    cupy.cuda.Event, cupy.cuda.MemoryPool, cupy.cuda.MemoryPointer,
):
    found["class " + kind.__name__] = {name: None for name in dir(kind)}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def real() -> dict[str, dict[str, list[str] | None]]:
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIST_NAMES], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, list[str] | None]] = json.loads(done.stdout)
    return found


def test_it_has_only_names_that_cupy_has(real: dict[str, dict[str, list[str] | None]]) -> None:
    own = {"__path__"}
    for name, module in standin.MODULES.items():
        if name.startswith("cupy_backends"):
            continue  # there to be imported from; test_gpu_product.py looks at the real ones
        extra = vars(module).keys() - real[name].keys() - own
        assert not extra, name


@pytest.mark.parametrize(
    "name", ["ndarray", "ufunc", "Generator", "Device", "Stream", "Event", "MemoryPool"]
)
def test_its_types_have_only_names_that_cupys_have(
    real: dict[str, dict[str, list[str] | None]], name: str
) -> None:
    modules = (standin.cupy, standin.cupy.cuda, standin.cupy.random)
    kind = next(getattr(m, name) for m in modules if hasattr(m, name))
    public = {each for each in dir(kind) if not each.startswith("_")}
    assert public <= real[f"class {name}"].keys() | {"device_id"}


def test_its_functions_take_only_what_cupys_take(
    real: dict[str, dict[str, list[str] | None]],
) -> None:
    compared = 0
    for lines, module in (
        (listed.FUNCTIONS, "cupy"),
        (listed.MAKERS, "cupy"),
        (listed.LINALG, "cupy.linalg"),
    ):
        for line in lines.strip().splitlines():
            name, expected = listed.signature(line)
            theirs = real[module][name]
            if theirs is not None and name not in ("einsum", "matmul"):
                assert set(expected.parameters) <= set(theirs), name
                compared += 1
    assert compared > 50


# --- as strict as CuPy ----------------------------------------------------------------------


@pytest.fixture
def cupy():
    with standin.installed() as module:
        yield module


HOST = np.ones(3)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a: a + HOST,
        lambda a: HOST + a,
        lambda a: np.add(a, HOST),
        lambda a: np.dot(a, HOST),
        lambda a: np.concatenate([a, HOST]),
        lambda a: np.where(a > 0, a, HOST),
        lambda a: np.asarray(a),
        lambda a: np.linalg.norm(HOST) + np.array(a),
        lambda a: a.__setitem__(slice(None), HOST),
        lambda a: a.__iadd__(HOST),
        lambda a: np.matmul(a, a),
        lambda a: np.vecdot(a, a) if hasattr(np, "vecdot") else np.asarray(a),
    ],
)
def test_arrays_of_host_and_device_do_not_mix(cupy, mix) -> None:
    a = cupy.ones(3)
    with pytest.raises(TypeError):
        mix(a)


def test_reductions_stay_on_the_device(cupy) -> None:
    a = cupy.asarray(HOST)
    with counting() as counted:
        total = a.sum()
        also = np.sum(a * 2)
    assert type(total) is cupy.ndarray
    assert total.shape == also.shape == ()
    assert (counted.waits, counted.to_host, counted.to_device) == (0, 0, 0)


@pytest.mark.parametrize(
    "read", [float, bool, int, lambda a: a.item(), lambda a: a.get(), str, lambda a: f"{a:g}"]
)
def test_what_makes_the_host_wait_is_counted(cupy, read) -> None:
    a = cupy.ones(())
    with counting() as counted:
        read(a)
    assert (counted.waits, counted.to_host, counted.to_host_bytes) == (1, 1, 8)


def test_memory_is_counted_and_given_back(cupy) -> None:
    pool = cupy.get_default_memory_pool()
    before = pool.used_bytes()
    a = cupy.zeros(1000, "f")
    view = a[10:]
    assert pool.used_bytes() - before == 4096
    del a
    assert pool.used_bytes() - before == 4096
    del view
    assert pool.used_bytes() == before
    assert pool.total_bytes() >= 4096
    pool.free_all_blocks()
    assert pool.total_bytes() == before


def test_there_is_only_so_much_memory() -> None:
    with standin.installed(memory=10_000) as cupy:
        cupy.zeros(1000, "f")
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match="allocating 12,288 bytes"):
            cupy.zeros(3000, "f")


def test_devices_do_not_mix(cupy) -> None:
    a = cupy.ones(2)
    with cupy.cuda.Device(1):
        b = cupy.ones(2)
        with pytest.raises(ValueError, match="array device = 0 while current = 1"):
            a + b
    assert (int(a.device), int(b.device)) == (0, 1)


def test_launches_are_counted_and_views_are_none(cupy) -> None:
    a = cupy.ones((2, 3))
    with counting() as counted, standin.launched() as names:
        a.T[1:].reshape(-1)
        a[0].sum()
        a += 1
    assert counted.launches == 3
    assert names == ["reshape", "sum", "add"]


def test_functions_are_inspected_by_the_arguments_they_take(cupy) -> None:
    with pytest.raises(TypeError):
        cupy.sum(cupy.ones(3), where=True)
    with pytest.raises(TypeError):
        np.add(cupy.ones(3), 1, where=cupy.ones(3, bool))
    with pytest.raises(NotImplementedError):
        cupy.maximum.reduce(cupy.ones(3))
    assert isinstance(listed.signature("sum(a, axis=None)")[1], inspect.Signature)


def test_it_goes_as_it_came() -> None:
    before = sys.modules.get("cupy")
    with standin.installed() as cupy:
        assert sys.modules["cupy"] is cupy
    assert sys.modules.get("cupy") is before
