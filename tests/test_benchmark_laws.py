"""The benchmarks of the two laws of cost: their arithmetic, their processes, their limit."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_samples import ON_LINUX, run

from benchmarks import frozen_law, laws, size_law
from benchmarks.compare import Spread


def test_the_first_law_compares_a_step_with_the_sum_of_its_parts() -> None:
    samples = {
        "step 0": (0.010, 0.010),
        "step 1": (0.006, 0.0066),
        "forward 1": (0.002, 0.002),
        "rest 1": (0.003, 0.004),
    }
    names = ("conv1", "conv2")
    whole, half = (frozen_law.law(names, count, samples) for count in (0, 1))
    assert (whole.step, whole.forward, whole.rest) == (10.0, 0.0, 10.0)
    assert half.names == ("conv1",)
    np.testing.assert_allclose(half.deviation.median, 0.15, atol=1e-9)  # of 20% and 10%
    assert "conv1" in half.row()


def frozen(deviation: float) -> frozen_law.Frozen:
    return frozen_law.Frozen(1, ("a",), 1.0, 0.5, 0.5, Spread(deviation, deviation, deviation))


@pytest.mark.parametrize(("deviation", "verdict"), [(-0.16, "does not hold"), (0.14, "holds")])
def test_the_first_verdict_is_of_the_worst(deviation: float, verdict: str) -> None:
    said = laws.first_verdict([frozen(0.0), frozen(0.05), frozen(deviation)])
    assert verdict in said
    assert f"{deviation:+.1%}" in said


def rounds(power: float, extra: float) -> list[size_law.Round]:
    """Rounds whose time grows with a power of the examples, and memory by so much for each."""
    sizes = (1_000, 10_000, 100_000)
    return [
        size_law.Round(n, 1e-6 * n**power, 5e6 + extra * n, limit=5e7, is_refused=n > 50_000)
        for n in sizes
    ]


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_the_second_law_is_a_power_and_a_slope(power: float) -> None:
    found = rounds(power, 24.0)
    np.testing.assert_allclose(size_law.exponent(found), power)
    np.testing.assert_allclose(size_law.growth(found), 24.0)
    said = laws.second_verdict(found)
    assert f"power {power:.3f}" in said
    assert "24.0 bytes" in said
    assert "was refused the 51 MB" in said


def test_the_second_law_is_measured_in_processes_of_their_own() -> None:
    found = size_law.measured((200, 400))
    assert [one.examples for one in found] == [200, 400]
    assert all(one.seconds > 0 for one in found)
    if ON_LINUX:
        assert all(one.is_refused is False for one in found)  # so little data would fit


@pytest.mark.skipif(not ON_LINUX, reason="the limit is measured on Linux")
def test_the_limit_counts_arrays_but_not_files_that_are_mapped(tmp_path: Path) -> None:
    file = tmp_path / "x.npy"
    np.lib.format.open_memmap(file, "w+", np.float32, (25_000_000,)).flush()
    code = (
        "import sys, numpy as np\nfrom benchmarks import size_law\n"
        "size_law.limit_memory(20e6)\n"
        "x = np.load(sys.argv[1], mmap_mode='r')\n"
        "print(x.sum(), size_law.is_refused(x.nbytes), size_law.is_refused(10_000_000))"
    )
    assert run("-c", code, str(file)).split() == ["0.0", "True", "False"]


def test_the_laws_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.laws_figure import draw

    draw(tmp_path / "laws.png", [frozen(0.0), frozen(0.1)], rounds(1.0, 0.0))
    assert (tmp_path / "laws.png").read_bytes().startswith(b"\x89PNG")
