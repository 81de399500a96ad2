"""What all tests share: options, how Hypothesis behaves, a fixed random generator, Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from typing import Any

# Tests run side by side, each with one thread for its matrix products: more would only wait for
# each other. NumPy reads this when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import on_device
import pytest
import standin

from minnet.ops import compiled

hypothesis.settings.register_profile(
    "minnet",
    database=None,
    deadline=None,  # no test depends on how fast the machine is
    derandomize=True,  # the same examples in every run
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("minnet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default="cpu",
        help="where the tests of ops, layers, optimizers and training run: "
        "cpu, gpu, gpu:1, or standin (a stand-in for CuPy that needs no GPU)",
    )
    parser.addoption(
        "--kernels",
        default="usual",
        choices=["usual", "numpy", "compiled"],
        help="what ops on the CPU use: NumPy and, for large arrays, compiled kernels (usual), "
        "NumPy alone, or compiled kernels for arrays of any size",
    )


def pytest_configure(config: pytest.Config) -> None:
    kernels = config.getoption("--kernels")
    if kernels == "compiled":
        compiled.LEAST = 1  # what holds nothing is left to NumPy
        if reason := compiled.reason_not():
            raise pytest.UsageError(f"--kernels compiled: {reason}")
    elif kernels == "numpy":
        compiled.reason_not = lambda: "turned off by --kernels numpy"
    device = on_device.chosen(config.getoption("--device"))
    if device != "cpu":
        on_device.move_everything(device)


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    for item in items:
        if reason := on_device.reason_to_skip(item, config.getoption("--device")):
            item.add_marker(pytest.mark.skip(reason=reason))
        is_plain = item.get_closest_marker("numpy_kernels")
        if is_plain and config.getoption("--kernels") == "compiled":
            item.add_marker(pytest.mark.skip(reason="about the ops as NumPy does them"))


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """The GPU that the tests run on."""
    return on_device.chosen(request.config.getoption("--device"))


@pytest.fixture
def random() -> np.random.Generator:
    """A generator that gives every test the same numbers."""
    return np.random.default_rng(0)


@pytest.fixture
def standin_cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """CuPy for one test: the stand-in, on which ops use the array module and no kernels."""
    monkeypatch.setattr("minnet.ops.gpu.takes", lambda *arrays: False)
    with standin.installed() as module:
        yield module


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Heed Ctrl-C, which tests run in the background, and all that they start, would ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
