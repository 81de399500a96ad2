"""When compiled kernels are used, that all works without Numba, and training with kernels."""

import sys
from pathlib import Path

import numpy as np
import pytest
from compiled_samples import off, on, printed

import minnet as mn
from minnet.ops import compiled

TESTS = Path(__file__).parent
needs_numba = pytest.mark.skipif(compiled.reason_not() is not None, reason="needs Numba")

# --- what kernels take ------------------------------------------------------------------------


class Special(np.ndarray):
    """An array of a kind of its own."""


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels as they are where Numba is installed."""
    monkeypatch.setattr(compiled, "reason_not", lambda: None)
    monkeypatch.setattr(compiled, "LEAST", 100)


@pytest.mark.usefixtures("usual")
def test_large_arrays_of_floats_are_taken() -> None:
    for dtype in ("float32", "float64"):
        large = np.ones((10, 10), dtype)
        assert compiled.takes(large)
        assert compiled.takes(large, np.ones(3, dtype), large[::2, ::3])


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize(
    "other",
    [
        np.ones(99, "float32"),
        np.ones(100, "float16"),
        np.ones(100, "longdouble"),
        np.ones(100, "complex64"),
        np.ones(100, "int32"),
        np.ones(100, bool),
        np.ones(100, ">f4" if sys.byteorder == "little" else "<f4"),
        np.ones(100, "float32").view(Special),
        mn.Tensor(np.ones(100, "float32")),
        [1.0] * 100,
    ],
    ids=lambda other: f"{type(other).__name__} {getattr(other, 'dtype', '')}",
)
def test_others_are_not(other: object) -> None:
    assert not compiled.takes(other)


@pytest.mark.usefixtures("usual")
def test_all_arrays_must_be_of_one_kind() -> None:
    large = np.ones(100, "float32")
    assert compiled.takes(large, large)
    assert not compiled.takes(large, large.astype("float64"))
    assert not compiled.takes(large, large.astype("int32"))
    assert not compiled.takes(large, large.view(Special))
    assert not compiled.takes(large, None)


def test_nothing_is_taken_for_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.ones(10**6, "float32")
    monkeypatch.setattr(compiled, "reason_not", lambda: "Numba is not installed")
    assert not compiled.takes(large)


def test_there_are_no_other_families() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_kernels'"):
        _ = compiled.no_such_kernels


# --- processes of their own -------------------------------------------------------------------

SMALL = """
import sys
import numpy as np, minnet as mn
x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
net = mn.Chain(mn.Linear(16), mn.Ramp(), mn.Linear(16), mn.Ramp(), mn.Linear(2), mn.Softmax())
mn.train(net, (x, x[:, 0] > 0), rounds=2, progress=False)
print("numba" in sys.modules, "llvmlite" in sys.modules)
"""
LARGE = """
import sys
import numpy as np, minnet as mn
from minnet.ops import compiled
x = np.random.default_rng(0).normal(size=(32, 12, 12, 16)).astype("float32")
conv = mn.Conv(16, 3, padding=1)
net = mn.Chain(conv, mn.BatchNorm(), mn.Ramp(), mn.MaxPool(2), mn.Flatten(), mn.Linear(2))
result = mn.train(net, (x, x[:, 0, 0, :2]), rounds=2, progress=False)
assert np.isfinite(result.net(x)).all()
print("numba" in sys.modules, compiled.reason_not())
"""
# What may go wrong when Numba is imported, and what is said of it.
BROKEN = {
    "raise ModuleNotFoundError('none', name='numba')": "Numba is not installed",
    "raise ImportError('needs NumPy 1.0')": "Numba can't be imported: needs NumPy 1.0",
    "import no_such_module": "Numba: No module named 'no_such_module'",
    "raise SystemError('for another machine')": "Numba can't be imported: for another machine",
}


def without_numba(folder: Path, code: str = next(iter(BROKEN))) -> Path:
    """Return a folder whose Numba can't be imported."""
    (folder / "numba.py").write_text(f"{code}\n", encoding="utf-8")
    return folder


@needs_numba
def test_training_a_small_net_for_a_moment_does_not_import_numba() -> None:
    assert printed(SMALL) == ["False False"]


@needs_numba
def test_training_a_larger_one_uses_it() -> None:
    assert printed(LARGE) == ["True None"]


@needs_numba
def test_numba_can_be_turned_off() -> None:
    lines = printed(LARGE, MINNET_COMPILED="0")
    assert lines == ["False turned off by MINNET_COMPILED=0"]


@pytest.mark.parametrize("code", BROKEN)
def test_all_works_without_numba(code: str, tmp_path: Path) -> None:
    lines = printed(LARGE, without_numba(tmp_path, code))
    assert lines == [f"False {BROKEN[code]}"]


def test_kernels_are_functions_of_python_without_numba(tmp_path: Path) -> None:
    code = "import compiled_in_python; compiled_in_python.main(True)"
    count, left = printed(code, without_numba(tmp_path), TESTS)
    assert int(count) > 10
    assert left == ""


@needs_numba
def test_kernels_without_a_blas_that_they_can_call() -> None:
    code = "import compiled_in_python; compiled_in_python.main(False)"
    count, left = printed(code, TESTS)
    assert int(count) > 0
    assert left == ""


# --- training ---------------------------------------------------------------------------------


def trained(threads: int = 1, multipliers: object = None) -> tuple[mn.Chain, mn.Chain]:
    """Return a net of convolutions, and the same after a few steps of training."""
    random = np.random.default_rng(0)
    x = random.normal(size=(24, 9, 10, 3)).astype("float32")
    y = x.mean((1, 2))[:, :2]
    net = mn.Chain(
        mn.Conv(16, 3, padding=1, bias=False), mn.BatchNorm(), mn.Ramp(), mn.MaxPool(2),
        mn.Conv(17, 3, padding=1), mn.Ramp(), mn.Conv(4, (1, 2), stride=(1, 2)), mn.Flatten(),
        mn.Linear(2), input=(9, 10, 3),
    ).initialize()  # fmt: skip
    optimizer = mn.SGD(0.01, momentum=0.9, weight_decay=0.01, clip_norm=1.0)
    options = {"multipliers": multipliers, "optimizer": optimizer, "threads": threads}
    result = mn.train(net, (x, y), batch_size=8, rounds=2, progress=False, **options)
    return net, result.final


@needs_numba
@pytest.mark.parametrize("threads", [1, 2])
def test_training_comes_to_the_same_but_for_rounding(threads: int) -> None:
    with on() as answers:
        before, found = trained(threads)
    assert True in answers
    with off():
        _, expected = trained(threads)
    assert list(found.arrays()) == list(expected.arrays())
    for path, array in expected.arrays().items():
        np.testing.assert_allclose(found.arrays()[path], array, rtol=1e-4, atol=1e-5)
        assert not np.array_equal(array, before.arrays()[path])


@needs_numba
@pytest.mark.parametrize("threads", [1, 2])
def test_training_twice_comes_to_the_same_bits(threads: int) -> None:
    with on() as answers:
        (_, first), (_, second) = trained(threads), trained(threads)
    assert True in answers
    for path, array in first.arrays().items():
        assert array.tobytes() == second.arrays()[path].tobytes()


@needs_numba
@pytest.mark.parametrize("frozen", [{0, 1}, {4}, {8}])
def test_what_is_frozen_stays_the_same_object(frozen: set[int]) -> None:
    with on() as answers:
        net, after = trained(multipliers=dict.fromkeys(frozen))
    assert True in answers
    for path, array in net.arrays().items():
        assert (after.arrays()[path] is array) == (path[0] in frozen)
