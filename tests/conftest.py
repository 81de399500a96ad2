"""What all tests share: how Hypothesis behaves, a random generator of a fixed seed, Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from typing import Any

# Tests run side by side, each with one thread for its matrix products: more would only wait for
# each other. NumPy reads this when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
import standin

hypothesis.settings.register_profile(
    "minnet",
    database=None,
    deadline=None,  # no test depends on how fast the machine is
    derandomize=True,  # the same examples in every run
    max_examples=25,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("minnet")


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
