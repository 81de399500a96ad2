"""The benchmark on a GPU: what minnet does in it, on the stand-in, and what it says without one."""

import dataclasses
import itertools

import benchmark_samples  # noqa: F401 - makes the benchmarks importable
import gpu_samples
import numpy as np
import pytest
import standin

import minnet as mn
from benchmarks import gpu, gpu_cases, nets
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
    found = gpu.Measured(
        gpu.CASES["lenet-64"], spread, rivals, ratios, {"no cuDNN": "?"}, 5_000_000, 4_000_000
    )
    assert found.row() == (
        "lenet-64", "2.000 ms", "11.000 ms 5.50 (5)", "failed", "1.600 ms 0.80 (not 1)", "",
        "5 (not 4)",
    )  # fmt: skip
    assert len(found.row()) == len(gpu.COLUMNS)


def test_every_case_that_is_asked_for_is_there():
    """With what is to be reached over PyTorch eager and compiled, and over the memory alone."""
    found = {name: (case.batch, dict(case.targets)) for name, case in gpu.CASES.items()}
    large = {"eager": 0.5, "no cuDNN": None, "compiled": None}
    assert found == {
        "lenet-64": (64, {"eager": 5.0, "compiled": 1.0}),
        "mlp-32": (32, {"eager": 5.0, "compiled": 1.0}),
        "vgg-256": (256, {"eager": 1.0, "compiled": None}),
        "resnet18-64": (64, large),
        "resnet18-64-tf32": (64, large),
        "caffenet-256": (256, large),
        "caffenet-256-tf32": (256, large),
        "head-only": (256, {"eager": None, "compiled": None, "memory": 0.5}),
    }
    assert {way for case in gpu.CASES.values() for way in case.targets} == set(gpu.WAYS)
    inputs = {name: gpu.CASES[name].net().input for name in ("lenet-64", "mlp-32", "vgg-256")}
    assert inputs == {"lenet-64": (28, 28, 1), "mlp-32": (784,), "vgg-256": (32, 32, 3)}
    sizes = [mn.models.resnet18(1000).input, mn.models.caffenet(1000).input]
    assert sizes == [(224, 224, 3), (227, 227, 3)]


class Rival:
    """In PyTorch's place: the same work on the CPU, which fails in the ways it is told to."""

    def __init__(self, **failing):
        self.failing, self.cleaned = failing, 0

    def clean(self):
        self.cleaned += 1

    def training(self, case, net, batches, way):
        if way in self.failing:
            raise self.failing[way]
        trainer = mn.Trainer(net, mn.Adam(1e-3) if way != "wrong" else mn.SGD(0.1))
        return lambda: trainer.step(*next(batches))

    def wait(self):
        """All is done at once."""

    def peak(self):
        return 10**9


def tiny_case(**targets):
    return gpu.Case("tiny", "a tiny head", tiny_head, 4, targets)


@needs_compiler
def test_a_way_that_fails_is_told_and_the_others_are_measured():
    rival = Rival(compiled=RuntimeError("CUDA out of memory\nand more"))
    case = tiny_case(eager=1e-9, compiled=1.0, wrong=None, memory=1e-9)
    with standin.installed() as cupy:
        found = gpu.measured(case, cupy, rival, 0.1)
    assert set(found.ratios) == {"eager", "memory"} == set(found.rivals)
    assert found.failed["compiled"] == "RuntimeError: CUDA out of memory"
    assert found.failed["wrong"].startswith("ValueError: not the same work: minnet comes to [")
    assert found.minnet.median > 0 and 0 < found.peak < found.theirs == 10**9
    name, mine, eager, _, compiled, memory, peak = found.row()
    # 32 MiB are for cuBLAS to work in while steps are recorded.
    assert (name, compiled, peak) == ("tiny", "failed", "34 (1000)")
    assert mine.endswith(" ms") and eager.endswith("(1e-09)") and memory.endswith("(1e-09)")


@needs_compiler
def test_where_minnet_has_no_room_the_case_is_told_as_failed():
    rival = Rival()
    with standin.installed(memory=1000) as cupy:
        found = gpu.measured(tiny_case(eager=1.0), cupy, rival, 0.1)
        assert mn.memory("gpu").used == 0
    assert found.row() == ("tiny", "failed", "", "", "", "", "")
    assert found.failed["minnet"].startswith("DeviceMemoryError: ")
    assert rival.cleaned == 1


def test_batches_are_the_same_in_turn():
    one, other, again = itertools.islice(gpu.batches(tiny_case(), tiny_head()), 3)
    assert one[0] is other[0] and (one[1] != other[1]).all()
    assert (again[1] == one[1]).all() and one[1].dtype == np.int64
    assert gpu_cases.head().input == (gpu_cases.FEATURES,)


def test_cases_are_listed(capsys):
    gpu.main(["--list"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in gpu.CASES)


def test_without_a_gpu_it_says_so():
    with standin.installed(devices=0), pytest.raises(SystemExit, match="need an NVIDIA GPU: there"):
        gpu.main(["lenet-64"])
    with pytest.raises(SystemExit, match="no case lenet; there are lenet-64"):
        gpu.main(["lenet"])
