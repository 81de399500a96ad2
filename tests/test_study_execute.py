"""Carrying a study out: any number of hands give the same files, whatever dies on the way."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from study_toys import files, here, points, results, toy

import minnet as mn
from minnet.study.workers import Processes

# Two bases and four treatments, a moment each.
SMALL: dict[str, Any] = {"treatments": ["AnB", "BnB+"], "n": [1]}
NAMED = {"named": {"a": [[0, 1], [2, 4]], "b": [[0, 2], [1, 3]]}}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the small study, done in one go in this process."""
    study = toy(tmp_path_factory.mktemp("wanted"), **SMALL)
    assert len(here(study).done) == 6
    return files(study)


# --- the same files ---------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_give_the_files_of_one(
    tmp_path: Path, wanted: dict[str, bytes], jobs: int
) -> None:
    study = toy(tmp_path, **SMALL)
    before = {name: value for name, value in os.environ.items() if "THREADS" in name}
    outcome = study.run(jobs=jobs)
    assert (len(outcome.done), outcome.failed, outcome.left) == (6, {}, 0)
    assert files(study) == wanted
    assert {name: value for name, value in os.environ.items() if "THREADS" in name} == before


def test_threads_give_the_same_files(tmp_path: Path, wanted: dict[str, bytes]) -> None:
    study = toy(tmp_path, **SMALL)
    with ThreadPoolExecutor(4) as executor:
        study.run(executor)
    assert files(study) == wanted


def test_measures_do_not_depend_on_how_many_work(tmp_path: Path) -> None:
    measures = {"probe": True, "cka": True, "scores": ["h_score", "logme", "leep", "nce"]}
    one, four = (toy(tmp_path, results=name, measures=measures, **SMALL) for name in ("1", "4"))
    here(one)
    with ThreadPoolExecutor(4) as executor:
        four.run(executor)
    assert len(results(one)) == 10
    assert files(one) == files(four)


class Backwards(Executor):
    """Does what it is given last first, when it is asked whether it is done."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, Any]] = []

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future = LazyFuture(self)
        self.waiting.append((future, function, arguments))
        return future


class LazyFuture(Future[Any]):
    """A future that has its executor work when it is polled; nobody may wait for it."""

    def __init__(self, executor: Backwards) -> None:
        super().__init__()
        self.executor = executor

    def done(self) -> bool:
        if self.executor.waiting:
            future, function, arguments = self.executor.waiting.pop()
            future.set_result(function(*arguments))
        return super().done()


def test_results_do_not_depend_on_the_order(tmp_path: Path, wanted: dict[str, bytes]) -> None:
    study = toy(tmp_path, **SMALL)
    outcome = study.run(Backwards())
    assert outcome.done[:2] == [run.label for run in reversed(study.plan().bases)]
    assert files(study) == wanted


def test_a_study_goes_on_where_it_was(tmp_path: Path, wanted: dict[str, bytes]) -> None:
    study = toy(tmp_path, **SMALL)
    here(study)
    lost = [*study.plan().treatments[::2]]
    for run in lost:
        (study.folder / "runs" / f"{run.id}.json").write_text('{"id": "')
    kept = study.folder / "runs" / f"{study.plan().treatments[1].id}.json"
    before = kept.stat().st_mtime_ns
    told: list[tuple[int, str]] = []
    outcome = here(study, tell=lambda outcome, total, label: told.append((total, label)))
    assert outcome.skipped == 4
    assert outcome.done == [run.label for run in lost]
    assert told == [(6, run.label) for run in lost]
    assert kept.stat().st_mtime_ns == before
    assert files(study) == wanted
    assert here(study).done == []


class Slow(ThreadPoolExecutor):
    """Does a task at once, but says that it is done only when it is asked the third time."""

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:  # type: ignore[override]
        inner = super().submit(function, *arguments, **options)
        wait([inner])
        asked = iter([False, False])
        inner.done = lambda: next(asked, True)  # type: ignore[method-assign]
        inner.running = lambda: True  # type: ignore[method-assign]
        return inner


def test_while_runs_are_under_way_they_are_named(tmp_path: Path) -> None:
    study = toy(tmp_path, **SMALL)
    seen: list[list[str]] = []
    with Slow(1) as executor:
        study.run(executor, tick=lambda labels: seen.append(list(labels)))
    bases = [run.label for run in study.plan().bases]
    treatments = [run.label for run in study.plan().treatments]
    assert seen == [bases, bases, treatments, treatments]


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "2"])
def test_jobs_are_a_whole_number(tmp_path: Path, jobs: Any) -> None:
    with pytest.raises(mn.SpecError, match="jobs must be a whole number of at least 1"):
        toy(tmp_path, **SMALL).run(jobs=jobs)


# --- runs that fail ---------------------------------------------------------------------------


def failing(folder: Path, **changes: Any) -> mn.study.Study:
    """Return a study in which whatever is trained on half bB becomes infinite."""
    points(folder / "points.npz", classes=5, bad=(3,))
    return toy(folder, halves=NAMED, **SMALL, **changes)


def test_a_failing_run_is_recorded_and_the_study_goes_on(tmp_path: Path) -> None:
    study = failing(tmp_path)
    outcome = here(study)
    assert list(outcome.failed) == ["base bB #0"]
    assert "NonFiniteError" in outcome.failed["base bB #0"]
    # All that needs the base: AnB in both directions, and what is trained on bB.
    assert outcome.blocked == [
        "AnB n=1 bB -> bA #0",
        "AnB n=1 bA -> bB #0",
        "BnB+ n=1 bB -> bB #0",
    ]
    assert (len(outcome.done), outcome.left) == (8, 3)
    (failed,) = study.store.failed().values()
    assert failed["run"] == "base bB #0"
    assert "Traceback" in failed["trace"]
    again = here(study)
    assert (again.skipped, again.done, list(again.failed)) == (8, [], ["base bB #0"])


def test_fail_fast_stops_at_the_first(tmp_path: Path) -> None:
    study = failing(tmp_path)
    outcome = here(study, fail_fast=True)
    assert list(outcome.failed) == ["base bB #0"]
    assert not any("n=1" in label for label in outcome.done)
    assert outcome.left == 12 - 1 - len(outcome.done)


def test_fail_fast_ends_the_workers(tmp_path: Path) -> None:
    outcome = failing(tmp_path).run(jobs=2, fail_fast=True)
    assert list(outcome.failed) == ["base bB #0"]
    assert outcome.left >= 8


# --- workers that die -------------------------------------------------------------------------


def test_what_a_killed_worker_left_half_written_is_removed(tmp_path: Path) -> None:
    study = toy(tmp_path, **SMALL)

    def leave(outcome: Any, total: int, label: str) -> None:
        for name in ("runs/.torn.part", "nets/.torn.minnet"):
            (study.folder / name).write_bytes(b"begun")

    here(study, tell=leave)
    assert not list(study.folder.glob("*/.*"))


class Forgetful(ThreadPoolExecutor):
    """Does every task, or does none, but can't say what came of it.

    So does Dask's executor for a moment when a worker is lost right after it did a task.
    """

    def __init__(self, works: bool) -> None:
        super().__init__(1)
        self.works = works

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        if self.works:
            super().submit(function, *arguments, **options).result()
        future: Future[Any] = Future()
        future.set_exception(ValueError("too many values to unpack (expected 3)"))
        return future


def test_what_is_in_the_folder_is_done_whatever_an_executor_says(
    tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    study = toy(tmp_path, **SMALL)
    with Forgetful(works=True) as executor:
        outcome = study.run(executor)
    assert (len(outcome.done), outcome.failed, study.store.failed()) == (6, {}, {})
    assert files(study) == wanted


def test_a_base_whose_net_is_not_in_the_folder_is_not_done(tmp_path: Path) -> None:
    study = toy(tmp_path, **SMALL)
    with ThreadPoolExecutor(1) as executor:
        study.run(executor)
    base, treatment = study.plan().bases[0], study.plan().treatments[0]
    study.store.net_path(base.id).unlink()
    (study.folder / "runs" / f"{treatment.id}.json").unlink()
    with Forgetful(works=False) as executor:
        outcome = study.run(executor)
    assert base.label in outcome.failed


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")


def workers(process: int) -> list[int]:
    """Return the worker processes that a process has started."""
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(text) for text in path.read_text().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@needs_proc
def test_killed_workers_are_replaced(tmp_path: Path, wanted: dict[str, bytes]) -> None:
    study = toy(tmp_path, **SMALL)
    killed = []

    def kill_one(outcome: Any, total: int, label: str) -> None:
        if len(outcome.done) in (1, 4):  # once in each wave
            # One killed before may take a moment to be gone.
            killed.append(next(pid for pid in workers(os.getpid()) if pid not in killed))
            os.kill(killed[-1], signal.SIGKILL)

    outcome = study.run(jobs=2, tell=kill_one)
    assert len(set(killed)) == 2
    assert (len(outcome.done), outcome.failed) == (6, {})
    assert files(study) == wanted


# A net that nobody can use, for one half; the plan only looks at it.
DEADLY = """
import os
import minnet as mn
def net(classes, input):
    middle = mn.Elementwise(lambda x: os._exit(1)) if classes == (1, 3) else mn.Ramp()
    return mn.Chain(mn.Linear(3), middle, mn.Linear(), mn.Softmax())
"""


def test_a_run_that_kills_its_worker_fails_and_takes_no_other_with_it(tmp_path: Path) -> None:
    points(tmp_path / "points.npz", classes=5)
    (tmp_path / "deadly.py").write_text(DEADLY)
    study = toy(tmp_path, halves=NAMED, net={"function": "deadly:net"}, **SMALL)
    outcome = study.run(jobs=2)
    assert list(outcome.failed) == ["base bB #0"]
    assert outcome.failed["base bB #0"].startswith("its worker died 3 times")
    assert (len(outcome.done), len(outcome.blocked)) == (8, 3)
    assert [failed["run"] for failed in study.store.failed().values()] == ["base bB #0"]


def test_processes_begin_anew_after_one_has_died() -> None:
    with Processes(1, 1) as processes:
        with pytest.raises(BrokenExecutor):
            processes.submit(os._exit, 3).result()
        assert processes.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"
        assert processes.submit(os.getpid).result() != os.getpid()


def test_stopping_ends_workers_in_the_middle_of_their_work() -> None:
    with Processes(2, 1) as processes:
        futures = [processes.submit(time.sleep, 600) for _ in range(2)]
        while not all(future.running() for future in futures):
            time.sleep(0.01)
        processes.stop()
        assert all(future.done() for future in futures)


# --- the whole study is killed ----------------------------------------------------------------

MANY: dict[str, Any] = {"replicates": 2}  # four bases, 48 treatments
KILLS = 20


def begun(folder: Path, what: str, changes: dict[str, Any]) -> subprocess.Popen[str]:
    """Start a process that is ready to carry a study out once it is told to."""
    body = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from study_toys import here, toy
study = toy(Path({str(folder)!r}), **{changes!r})
print("ready", flush=True)
sys.stdin.readline()
{what}
"""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", body], stdin=pipe, stdout=pipe, text=True)


def go(process: subprocess.Popen[str]) -> None:
    """Tell a process that is ready to carry its study out."""
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process."""
    process.kill()
    process.wait()
    assert process.stdin and process.stdout
    process.stdin.close()
    process.stdout.close()


def test_kill_9_at_random_moments_loses_at_most_what_was_under_way(tmp_path: Path) -> None:
    whole, study = toy(tmp_path, results="whole", **MANY), toy(tmp_path, **MANY)
    here(whole)
    wanted = files(whole)
    moments = random.Random(0)
    kept: set[str] = set()
    progress, span = 0, 0.15
    waiting: list[subprocess.Popen[str]] = []
    for kill in range(KILLS):
        if not waiting:
            waiting = [begun(tmp_path, "here(study)", MANY) for _ in range(min(4, KILLS - kill))]
        process = waiting.pop()
        go(process)
        time.sleep(moments.uniform(0.0, span))
        end(process)
        done = study.store.done()
        assert kept <= done
        progress += len(done - kept)
        span *= 1 if progress else 1.5  # on a busy machine nothing is done in so short a time
        kept = done
        for name, content in files(study).items():
            assert "/." in name or content == wanted[name]
    assert progress > 0
    assert here(study).skipped == len(kept)
    assert files(study) == wanted


@needs_proc
@pytest.mark.parametrize("runs", [1, 4])
def test_workers_end_with_a_study_that_is_killed(
    tmp_path: Path, wanted: dict[str, bytes], runs: int
) -> None:
    study = toy(tmp_path, **SMALL)
    process = begun(tmp_path, "study.run(jobs=2)", SMALL)
    go(process)
    while len(study.store.done()) < runs:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    left = workers(process.pid)
    end(process)
    assert len(left) == 2
    while any(Path(f"/proc/{pid}/cmdline").exists() and _is_alive(pid) for pid in left):
        time.sleep(0.01)
    assert here(study).skipped >= runs
    assert files(study) == wanted


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs, and isn't only waiting for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
