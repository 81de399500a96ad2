"""The benchmark on a GPU: what minnet does in it, on the stand-in, and what it says without one."""

import dataclasses

import benchmark_samples  # noqa: F401 - makes the benchmarks importable
import gpu_samples
import numpy as np
import pytest
import standin

import minnet as mn
from benchmarks import gpu, nets
from benchmarks.compare import Spread

needs_compiler = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)


def tiny_head():
    return mn.Chain(mn.Linear(10), mn.Softmax(), input=6, output=nets.DIGITS).initialize()


@needs_compiler
@pytest.mark.parametrize(
    ("name", "net"),
    [("lenet-64", nets.lenet), ("resnet18-64", nets.resnet8), ("head-only", tiny_head)],
)
def test_steps_are_those_of_the_cpu_and_wait_for_nothing(name, net):
    case = dataclasses.replace(gpu.CASES[name], net=net, batch=2)
    built = net()
    pairs = gpu.batches(case, built)
    optimizer = mn.Adam(1e-3) if case.optimizer == "adam" else mn.SGD(0.01, momentum=0.9)
    trainer = mn.Trainer(built, optimizer)
    expected = [trainer.step(*next(pairs)) for _ in range(gpu.CHECKED_STEPS)]
    with standin.installed():
        step, losses = gpu.trained(case, built)
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
        with standin.counting() as counts:
            step()
        assert (counts.waits, counts.to_device, counts.to_host) == (0, 0, 0)


@needs_compiler
def test_what_the_memory_alone_takes_is_copied():
    net = tiny_head()
    with standin.installed() as cupy, standin.launched() as names:
        timed = gpu.copying(cupy, net, 4)
        assert timed(3) > 0
    assert names.count("setitem") == 3


def test_a_row_says_what_is_reached():
    spread = Spread(2.0, 1.0, 3.0)
    ratios = {"eager": Spread(5.5, 5, 6), "compiled": Spread(0.8, 0.7, 0.9)}
    rivals = {"eager": spread.times(5.5), "compiled": spread.times(0.8)}
    found = gpu.Measured(gpu.CASES["lenet-64"], spread, rivals, ratios, 5_000_000, None)
    assert found.row() == (
        "lenet-64", "2.000 ms", "11.000 ms", "1.600 ms", "5.50 (5)", "0.80 (not 1)", "5", "",
    )  # fmt: skip
    assert len(found.row()) == len(gpu.COLUMNS)


def test_cases_are_listed(capsys):
    gpu.main(["--list"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in gpu.CASES)


def test_without_a_gpu_it_says_so():
    with standin.installed(devices=0), pytest.raises(SystemExit, match="need an NVIDIA GPU: there"):
        gpu.main(["lenet-64"])
    with pytest.raises(SystemExit, match="no case lenet; there are lenet-64"):
        gpu.main(["lenet"])
