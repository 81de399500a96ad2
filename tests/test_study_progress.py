"""The line that says how far a study is."""

import io
from pathlib import Path

import pytest
from study_toys import toy

from minnet.study.execute import Outcome
from minnet.study.progress import Progress, duration, work_left

# The runs to do, and how much work each is.
LEFT = {"a": 1.0, "b": 1.5, "c": 0.5}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Says the time that it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("COLUMNS", "100")
    return Clock()


def shown(stream: io.StringIO) -> list[str]:
    """Return what stood in the line, one after another."""
    return [text.rstrip() for text in stream.getvalue().split("\r")[1:]]


def test_at_a_terminal_the_line_moves_though_no_run_ends(clock: Clock) -> None:
    stream = Terminal()
    with Progress("small", 4, LEFT, stream, clock) as progress:
        for now in (0.0, 0.4, 1.0, 2.5):
            clock.now = now
            progress.tick(["base 0A #0", "base 0B #0"])
    bar, labels = "small [#####...............] 1/4", "base 0A #0  base 0B #0"
    assert shown(stream) == [f"{bar}  0:0{now} gone  {labels}" for now in (0, 1, 2)]
    assert stream.getvalue().endswith("\n")


def test_the_time_left_falls_between_runs_and_with_them(clock: Clock) -> None:
    stream = Terminal()
    progress = Progress("small", 4, LEFT, stream, clock)
    clock.now = 20.0
    progress.tell(Outcome(done=["a"], skipped=1), 4, "a")
    for now in (25.0, 90.0):
        clock.now = now
        progress.tick(["b"])
    clock.now = 100.0
    progress.tell(Outcome(done=["a"], failed={"b": "why"}, skipped=1), 4, "b")
    lines = [line.partition("]")[2].strip() for line in shown(stream)]
    assert lines == [
        "2/4  0:20 gone, about 40 s left",
        "2/4  0:25 gone, about 35 s left  b",
        "2/4  1:30 gone, about 0 s left  b",
        "3/4  1:40 gone, about 20 s left",
    ]


@pytest.mark.parametrize("columns", [50, 70])
def test_the_line_stays_within_the_terminal(
    clock: Clock, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    progress = Progress("small", 4, LEFT, stream, clock)
    progress.tick(["x" * 90])
    progress.tick([])
    first, second = stream.getvalue().split("\r")[1:]
    assert len(first) == columns - 1
    assert len(second) == len(first), "the rest of the longer line would stay"


def test_without_a_terminal_there_is_a_line_for_every_run_that_ends(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("small", 3, LEFT, stream, clock) as progress:
        progress.tick(["a"])
        clock.now = 3700.0
        progress.tell(Outcome(done=["a"]), 3, "a")
        progress.tick(["b"])
    assert stream.getvalue().splitlines() == [
        "small: 3 runs, 0 done before, 3 to do",
        "1/3  a  1:01:40 gone, about 2.1 h left",
    ]


def test_a_frozen_run_is_less_work(tmp_path: Path) -> None:
    study = toy(tmp_path, treatments=["AnB", "AnB+"])
    plan = study.plan()
    base, *rest = plan.by_id.values()
    left = work_left(plan, {base.id})
    assert left == pytest.approx(
        {run.label: 1 - run.n / 3 if run.treatment == "AnB" else 1 for run in rest}
    )


def test_a_study_without_runs_to_do_ends_no_line(clock: Clock) -> None:
    stream = Terminal()
    with Progress("small", 2, {}, stream, clock):
        pass
    assert stream.getvalue() == "small: 2 runs, 2 done before, 0 to do\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (101, "2 min"),
        (5900, "98 min"),
        (9000, "2.5 h"),
        (float("inf"), "an unknown time"),
    ],
)
def test_times_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
