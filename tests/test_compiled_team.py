"""The team: every part of a kernel is done once, whoever does it, and to the same bits."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from compiled_samples import on, printed
from hypothesis import given

import minnet as mn
from minnet.ops.compiled import product, team
from minnet.ops.compiled.atomic import give_way, look, pause, put, swap, take, way
from minnet.ops.compiled.jit import array_at, kernel
from minnet.ops.compiled.team import NOBODY, begin, claim, does, end, give_word, meet, share_of
from minnet.threads import in_parts, sharing

pytest.importorskip("numba", reason="the kernels are compiled by Numba")
TESTS = Path(__file__).parent
COUNTS = st.integers(0, 100)


@pytest.fixture(autouse=True)
def _little_work_is_shared() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, on():
        patch.setattr(team, "LEAST", 1e-9)
        patch.setattr(team, "cores", lambda: 4)
        yield


@kernel
def mark(turn: Any, out: np.ndarray, who: np.ndarray) -> None:
    """Count a visit of every element, and write down whose it is."""
    first, last = begin(turn, out.size, 1)
    for i in range(first, last):
        out[i] += 1
        who[i] = turn[1]
    end(turn)


@kernel
def turn_round(turn: Any, numbers: np.ndarray, stages: int) -> None:
    """Set every number, again and again, to one more than its left neighbour was."""
    give_word(turn)
    of, count = turn[2], len(numbers[0])
    for stage in range(stages):
        now, after = numbers[stage % 2], numbers[(stage + 1) % 2]
        for part in range(of):
            if does(turn, part):
                first, last = share_of(part, of, count, 1)
                for i in range(first, last):
                    after[i] = now[i - 1] + 1
        meet(turn)
    end(turn)


@kernel
def claim_all(turn: Any, visits: np.ndarray) -> None:
    """Count a visit of every element of every row, a row in each stage, whoever gets to do it."""
    give_word(turn)
    for stage in range(len(visits)):
        at = claim(turn, -1)
        while at < len(visits[stage]):
            visits[stage, at] += 1
            at = claim(turn, at)
        meet(turn)
    end(turn)


@given(COUNTS, st.integers(1, 9), st.integers(1, 20))
def test_parts_make_up_the_whole(count: int, parts: int, together: int) -> None:
    ends = [begin((NOBODY, part, parts), count, together) for part in range(parts)]
    assert [i for first, last in ends for i in range(first, last)] == list(range(count))
    assert all(first % together == 0 for first, last in ends if first < last)


@pytest.mark.parametrize("rest", [0, 0.01])  # seconds, in which helpers fall asleep
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_part_is_done_once(parts: int, rest: float) -> None:
    out, who = np.zeros(30), np.zeros(30, int)
    for _ in range(30):
        team.share(parts, mark, out, who)
        time.sleep(rest)
    assert (out == 30).all()
    assert who.tolist() == sorted(who.tolist()) and set(who) == set(range(parts))


@pytest.mark.parametrize("rest", [0, 0.01])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_stages_wait_for_each_other(parts: int, rest: float) -> None:
    numbers = np.zeros((2, 40), int)
    for _ in range(20):
        numbers[0] = np.arange(40)
        team.share_stages(parts, turn_round, numbers, 50)
        assert np.array_equal(numbers[0], (np.arange(40) - 50) % 40 + 50)
        time.sleep(rest)


@pytest.mark.parametrize("rest", [0, 0.01])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_pieces_that_threads_claim_are_done_once_in_each_stage(parts: int, rest: float) -> None:
    visits = np.zeros((40, 30), int)
    for _ in range(20):
        team.share_stages(parts, claim_all, visits)
        time.sleep(rest)
    assert (visits == 20).all()


def test_who_comes_while_the_team_is_at_work_does_all_parts() -> None:
    out, who, numbers = np.zeros(30), np.zeros(30, int), np.zeros((2, 40), int)
    with team._team()._lock:
        team.share(2, mark, out, who)
        team.share_stages(2, turn_round, numbers, 2)
    assert (out == 1).all() and who.tolist() == [0] * 15 + [1] * 15
    assert (numbers[0] == 2).all()
    time.sleep(team.CROWDED)


def test_where_no_thread_can_be_started_all_parts_are_done_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(self: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    none, out, who = team.Team(), np.zeros(30), np.zeros(30, int)
    monkeypatch.setattr(team, "_team", lambda: none)
    for _ in range(3):
        team.share(2, mark, out, who)
    assert (out == 3).all() and set(who) == {0, 1}


def test_several_threads_may_call_kernels_at_once() -> None:
    outs = [np.zeros(1000) for _ in range(4)]

    def work(out: np.ndarray) -> None:
        for _ in range(200):
            team.share(2, mark, out, np.zeros(1000, int))

    threads = [threading.Thread(target=work, args=[out]) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((out == 200).all() for out in outs)


class Broken:
    """What looks like a kernel, of which one part comes to an error."""

    py_func = None

    def __init__(self, part: int) -> None:
        self.part = part

    def __call__(self, turn: Any) -> None:
        give_word(turn)
        if turn[1] == self.part:
            raise ValueError(f"part {self.part}")
        end(turn)


@pytest.mark.parametrize("part", [0, 1])
def test_an_error_in_a_part_reaches_the_caller_and_the_team_goes_on(part: int) -> None:
    out = np.zeros(30)
    for _ in range(3):
        with pytest.raises(ValueError, match=f"part {part}"):
            team.share(2, Broken(part))
        team.share(2, mark, out, np.zeros(30, int))
    assert (out == 3).all()


def test_how_many_parts() -> None:
    with sharing(3):
        assert team.parts(1.0) == 3
        assert in_parts(lambda _: team.parts(1.0), [1, 2]) == [1, 1]  # what is a part has none
        assert team.parts(0.0) == 1
    with sharing(9):
        assert team.parts(1.0) == 4  # as many as there are cores
    assert team.parts(1.0) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_off_has_a_team_of_its_own(tmp_path: Path) -> None:
    program = """
import os, sys
import numpy as np
import minnet as mn
from minnet.ops.compiled import product
from minnet.threads import sharing
product.share.__globals__["LEAST"] = 1e-9
product.share.__globals__["cores"] = lambda: 2
a = np.ones((40, 40), np.float32)
out = np.zeros_like(a)
with sharing(2):
    product.multiplied(a, a, out)
    child = os.fork()
    out[:] = 0
    product.multiplied(a, a, out)
if child == 0:
    os._exit(0 if (out == 40).all() else 1)
print((out == 40).all(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    # Python 3.12 and later warn of any fork where there are threads.
    quiet = {"PYTHONWARNINGS": "ignore"}
    assert printed(program, Path(mn.__file__).parents[1], **quiet) == ["True 0"]


# --- what they are made of ----------------------------------------------------------------------


@kernel
def told(numbers: np.ndarray, where: int) -> tuple[bool, bool, int]:
    """Do with numbers what threads do."""
    put(numbers, 1, 6)
    take(numbers, 1)
    pause()
    give_way(where)
    return swap(numbers, 0, 5, 6), swap(numbers, 0, 5, 8), look(numbers, 1)


@pytest.mark.parametrize("kind", [told, told.py_func], ids=["compiled", "in Python"])
def test_numbers_that_threads_watch(kind: Any) -> None:
    numbers = np.array([5, 0])
    assert kind(numbers, way()) == (True, False, 7)
    numbers[:] = 5
    assert kind(numbers, 0) == (True, False, 7)
    assert numbers.tolist() == [6, 7]
    assert take(numbers, 0) == 6 and numbers[0] == 7


@kernel
def doubled(like: np.ndarray, place: int, size: int) -> None:
    """Double the numbers at a place."""
    there = array_at(like, place, size)
    for i in range(size):
        there[i] *= 2


@pytest.mark.parametrize("way", [doubled, doubled.py_func], ids=["compiled", "in Python"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_at_places(way: Any, dtype: str) -> None:
    numbers = np.arange(5, dtype=dtype)
    way(numbers, numbers[1:].ctypes.data, 3)
    way(numbers, 0, 0)
    assert numbers.tolist() == [0, 2, 4, 6, 4]


# --- products -----------------------------------------------------------------------------------

SIZES = st.tuples(*[st.integers(1, 70)] * 3)


@given(SIZES, st.sampled_from(["float32", "float64"]), st.tuples(*[st.booleans()] * 4))
def test_products_are_those_of_numpy(
    sizes: tuple[int, int, int], dtype: str, choices: tuple[bool, ...]
) -> None:
    m, n, k = sizes
    turn_a, turn_b, has_bias, is_ramp = choices
    random = np.random.default_rng(m)
    a = random.normal(size=(k, m) if turn_a else (m, k)).astype(dtype)
    b = random.normal(size=(n, k) if turn_b else (k, n)).astype(dtype)
    a, b = a.T if turn_a else a, b.T if turn_b else b
    bias = random.normal(size=n).astype(dtype) if has_bias else None
    found = []
    for threads in (1, 2, 3):
        out = np.full((m, n), np.nan, dtype)
        with sharing(threads):
            product.multiplied(a, b, out, bias, is_ramp)
        found.append(out)
    expected = a @ b + (0 if bias is None else bias)
    expected = np.maximum(expected, 0) if is_ramp else expected
    for out in found:
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


def test_matrices_scattered_in_memory_are_multiplied_too() -> None:
    a, b, out = np.arange(64.0).reshape(8, 8)[::2, ::2], np.eye(4), np.empty((4, 4))
    with sharing(2):
        product.multiplied(a, b, out)
    assert np.array_equal(out, a)


def test_what_is_not_a_number_stays_so() -> None:
    out = np.empty((40, 40))
    with sharing(2):
        product.multiplied(np.full((40, 1), np.nan), np.ones((1, 40)), out, None, True)
    assert np.isnan(out).all()


# --- nets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [mn.SGD(0.1, momentum=0.9), mn.Adam(0.01)], ids=str)
def test_nets_of_kernels_are_not_divided_but_come_to_the_same(
    optimizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minnet.net.threaded.FOR_TEAM", 0)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 9, 9, 3)), random.integers(0, 3, 12)
    net = mn.Chain(
        mn.Conv(16, 3, padding=1), mn.BatchNorm(), mn.Ramp(), mn.MaxPool(2),
        mn.Conv(17, 3, padding=1), mn.Ramp(), mn.Conv(4, 2), mn.Ramp(), mn.Flatten(),
        mn.Linear(3), mn.Softmax(),
        input=(9, 9, 3),
    ).initialize(dtype="float64")  # fmt: skip
    nets = []
    for threads in (1, 2, 2):
        trainer = mn.Trainer(net, optimizer, threads=threads)
        losses = [trainer.step(x, y) for _ in range(4)]
        nets.append((losses, trainer.net(x, give="array"), trainer.net.arrays()))
    np.testing.assert_allclose(nets[0][0], nets[1][0], rtol=1e-9)
    assert nets[1][0] == nets[2][0] and np.array_equal(nets[1][1], nets[2][1])
    for path, array in nets[1][2].items():
        assert np.array_equal(array, nets[2][2][path])
        np.testing.assert_allclose(array, nets[0][2][path], rtol=1e-6, atol=1e-9)
