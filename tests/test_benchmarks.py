"""The benchmarks' own arithmetic: turns, ratios, operations, results, threads; no timing."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_samples import ON_LINUX, result, run

import minnet as mn
from benchmarks import __main__ as command
from benchmarks import machine, nets, process, profile, side_by_side
from benchmarks.cases import CASES
from benchmarks.compare import Spread, Timed, in_turn, ratio, steps_for
from benchmarks.flops import operations, trained_paths
from benchmarks.profile import profiled
from benchmarks.result import COLUMNS, combined, read, write

BUILDERS = (nets.lenet, nets.vgg, nets.mlp, nets.tiny_mlp, nets.resnet8)


# --- taking turns ---------------------------------------------------------------------------------


def test_sides_take_turns_and_each_turn_counts_once() -> None:
    calls: list[tuple[str, int]] = []

    def side(name: str, cost: float) -> Timed:
        def timed(count: int) -> float:
            calls.append((name, count))
            return count * cost

        return timed

    samples = in_turn({"a": side("a", 0.5), "b": side("b", 0.25)}, seconds=0.0, pause=0.0)
    assert samples == {"a": (0.5, 0.5, 0.5), "b": (0.25, 0.25, 0.25)}
    turns = [name for name, _ in calls[-12:]]  # each is warmed up with one step
    assert turns == ["a", "a", "b", "b", "b", "b", "a", "a", "a", "a", "b", "b"]


@pytest.mark.parametrize(("cost", "count"), [(1e-6, 100_000), (1e-2, 10), (5.0, 1)])
def test_a_block_is_as_many_steps_as_fill_it(cost: float, count: int) -> None:
    assert steps_for(lambda steps: steps * cost, 0.1) == count


def test_a_ratio_is_taken_turn_by_turn() -> None:
    # In the third turn the machine was ten times as slow for both.
    assert ratio([2.0, 4.0, 30.0], [1.0, 2.0, 10.0]).median == 2.0
    with pytest.raises(ValueError, match="zip"):
        ratio([1.0], [1.0, 2.0])


def test_a_spread_is_the_middle_and_where_most_values_lie() -> None:
    spread = Spread.of([float(i) for i in range(11)])
    assert spread == Spread(5.0, 1.0, 9.0)
    assert spread.times(1e3) == Spread(5e3, 1e3, 9e3)


# --- operations -----------------------------------------------------------------------------------

CONV1, CONV2 = 24 * 24 * 25 * 20, 8 * 8 * 25 * 20 * 50  # multiply-adds of LeNet for one image
LINEAR1, LINEAR2 = 800 * 500, 500 * 10


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (None, 2 * CONV1 + 3 * (CONV2 + LINEAR1 + LINEAR2)),
        ({"conv*": None}, CONV1 + CONV2 + 2 * LINEAR1 + 3 * LINEAR2),
        ({"linear2": 1, ...: None}, CONV1 + CONV2 + LINEAR1 + 2 * LINEAR2),
        ({"conv1.bias": 1, ...: None}, CONV1 + 2 * (CONV2 + LINEAR1 + LINEAR2)),
    ],
    ids=["all", "frozen half", "head", "lowest bias"],
)
def test_operations_of_lenet(rules: Any, expected: int) -> None:
    net = nets.lenet()
    assert operations(net, 64, trained_paths(net, rules)) == 2 * 64 * expected


def test_operations_without_training_are_of_the_forward_pass() -> None:
    assert operations(nets.lenet(), 1, ()) == 2 * (CONV1 + CONV2 + LINEAR1 + LINEAR2)


def test_operations_of_a_graph_of_graphs() -> None:
    stem, linear = 32 * 32 * 9 * 3 * 16, 64 * 10
    first = 2 * 32 * 32 * 9 * 16 * 16
    second = 16 * 16 * (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32)
    third = 8 * 8 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64)
    net = nets.resnet8()
    assert operations(net, 2, ()) == 4 * (stem + first + second + third + linear)
    assert operations(net, 2) == 4 * (2 * stem + 3 * (first + second + third + linear))


# --- the cases ------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_every_net_learns_its_examples(build: Any) -> None:
    net = build()
    x, y = nets.examples((8, *net.input), net.output.size)
    trainer = mn.Trainer(net, mn.Adam(1e-3))
    losses = [trainer.step(x, y) for _ in range(5)]
    assert losses[-1] < losses[0]


def test_labels_contradict_each_other() -> None:
    x, y = nets.examples((16, 2), 3)
    batches = nets.contradicting(x, y, 3)
    (_, first), (_, second), (_, third) = (next(batches) for _ in range(3))
    assert (first != second).all()
    assert second.max() < 3
    assert first is third


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_pytorch_has_the_same_net(build: Any) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks import pytorch

    net = build()
    random = np.random.default_rng(1)
    # BatchNorm's arrays begin all alike: other numbers show whether each goes where it belongs.
    net = net.with_arrays(
        {p: a + 0.1 * random.random(a.shape).astype("f4") for p, a in net.arrays().items()}
    )
    x, y = nets.examples((4, *net.input), net.output.size)
    twin = pytorch.load(getattr(pytorch, build.__name__)(), net.arrays()).eval()
    with torch.no_grad():
        theirs = torch.softmax(twin(pytorch.tensors(x, y)[0]), 1).numpy()
    np.testing.assert_allclose(net(x, give="array"), theirs, rtol=1e-4, atol=1e-5)


def test_what_training_uses_is_there() -> None:
    exec(process.USED, {})


def test_a_process_that_trains_says_how_much_memory_it_took() -> None:
    found = json.loads(run("-m", "benchmarks.process", "minnet"))
    arrays = 3 * 4 * 431_080  # weights and Adam's two, at the least
    assert found["peak"] > found["numpy"] + arrays


def test_trainings_side_by_side_are_timed_in_every_way() -> None:
    found = side_by_side.measured("lenet", 0.01)
    assert len(found) == len(side_by_side.WAYS)
    assert all(0 < milliseconds < math.inf for milliseconds in found)


def test_a_training_that_fails_is_not_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        side_by_side.finished([side_by_side.begun("no such net", 0.01, 1)])
    assert "no such net" in capfd.readouterr().err


def test_a_peak_is_of_this_process_alone() -> None:
    code = (
        "import subprocess, sys\nfrom benchmarks.process import peak\n"
        "kept = b'x' * 200_000_000\n"
        "if len(sys.argv) > 1: sys.exit()\n"
        "child = 'from benchmarks.process import peak; print(peak())'\n"
        "done = subprocess.run([sys.executable, '-c', child], capture_output=True, check=True)\n"
        "print(peak(), int(done.stdout))"
    )
    mine, childs = map(int, run("-c", code).split())
    assert mine > 200_000_000 > childs > 0


# --- results --------------------------------------------------------------------------------------


def test_minnet_is_compared_with_the_fastest() -> None:
    assert result().best == "fused"


@pytest.mark.parametrize(
    ("speed", "fraction", "is_reached"),
    [(2.0, None, True), (1.99, None, False), (2.0, 0.45, True), (2.0, 0.44, False)],
)
def test_a_case_is_reached_by_its_ratio_and_its_rate(
    speed: float, fraction: float | None, is_reached: bool
) -> None:
    found = result(speed=speed, fraction=fraction)
    assert found.is_reached == is_reached
    assert ("yes" in found.row()) == is_reached


def test_a_row_has_all_columns() -> None:
    row = result(fraction=0.4).row()
    assert len(row) == len(COLUMNS)
    assert row == (
        "a",
        "1.00 ms",
        "2.00 ms",
        "fused",
        "2.00",
        "1.80-2.20",
        "2, 45%",
        "no",
        "40%",
    )


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    results = [result("a"), result("b", 3.0, 0.5)]
    about = machine.description(2)
    write(tmp_path / "run.json", about, results)
    assert read(tmp_path / "run.json") == (about, results)


def test_several_runs_are_shown_with_how_far_they_lie_apart() -> None:
    alone = result("b")
    runs = [[result("a", speed, speed / 10)] for speed in (1.0, 4.0, 2.0)]
    first, second = combined([*runs, [alone]])
    assert first.ratio == Spread(2.0, 1.0, 4.0)
    assert first.rivals["fused"].median == 2.0
    assert first.fraction == 0.2
    assert (second.case, second.fraction) == ("b", None)


def test_a_way_that_failed_in_one_run_is_left_out_of_all() -> None:
    whole, less = result(), result()
    del less.rivals["eager"]
    assert list(combined([[whole], [less]])[0].rivals) == ["fused"]


# --- the command ----------------------------------------------------------------------------------


def say(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    command.main()


def test_the_cases_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(monkeypatch, "--list")
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert listed == list(CASES)


def test_a_case_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"no case lenet-65; there are lenet-16, lenet-64"):
        say(monkeypatch, "lenet-64", "lenet-65")


@pytest.mark.parametrize(
    "arguments",
    [["--seconds", "0"], ["--threads", "0"], ["--combine", "a.json", "--list"]],
    ids=" ".join,
)
def test_wrong_options_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.parsed(arguments)
    assert arguments[0] in capsys.readouterr().err


def test_earlier_runs_are_shown_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files = []
    for i, speed in enumerate((1.0, 4.0, 2.0)):
        files.append(str(tmp_path / f"{i}.json"))
        write(Path(files[-1]), machine.description(1), [result("some-case", speed)])
    say(monkeypatch, "--combine", *files)
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("some-case")]
    assert "1.00-4.00" in line


def test_the_ratios_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.figure import draw

    draw(tmp_path / "ratios.png", [result("a"), result("b", 40.0)], "a machine")
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")


# --- threads --------------------------------------------------------------------------------------


def test_each_core_has_a_thread_before_any_has_two() -> None:
    cores = [[0, 4], [1, 5], [2]]
    assert machine.chosen_cpus(cores, 2) == [0, 1]
    assert machine.chosen_cpus(cores, 4) == [0, 1, 2, 4]
    assert machine.chosen_cpus(cores, 9) == [0, 1, 2, 4, 5]


def test_the_program_starts_again_with_so_many_threads() -> None:
    code = (
        "import os\nfrom benchmarks.machine import use_threads, usable_cpus\n"
        "print(use_threads(1), os.environ['OPENBLAS_NUM_THREADS'], len(usable_cpus()))"
    )
    said = run("-c", code, OPENBLAS_NUM_THREADS="7").split()
    assert said[:2] == ["1", "1"]
    if ON_LINUX:
        assert said[2] == "1"


def test_a_package_that_is_not_there_has_no_version() -> None:
    assert machine.version("no-such-package-at-all") == "none"
    assert machine.version("numpy") == np.__version__


# --- the profile ----------------------------------------------------------------------------------


def test_a_profile_says_what_takes_the_time_of_a_step() -> None:
    numbers = np.arange(200_000.0)

    def slow() -> None:
        for _ in range(5):
            np.sort(np.sin(numbers))

    def steps(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            slow()
        return time.perf_counter() - start

    step, lines = profiled(steps, 0.05)
    assert 0 < sum(line.milliseconds for line in lines) <= step * 1.001
    by_name = {line.where.split()[-1]: line for line in lines}
    assert by_name["slow"].where.startswith("tests/test_benchmarks.py:")
    assert by_name["slow"].calls == 1
    assert next(line.calls for line in lines if "sort" in line.where) == 5


def test_a_profile_is_of_a_case_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["profile", "import"])
    with pytest.raises(SystemExit, match="no case import to profile; there are lenet-16"):
        profile.main()
