"""Worker processes and Ctrl-C: it comes at a safe place, and no worker ever sees it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from study_toys import toy

from minnet.study.workers import Processes

pytestmark = pytest.mark.usefixtures("ctrl_c")


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def program(folder: Path, body: str, **options: Any) -> subprocess.Popen[str]:
    """Start a program of its own, in which nothing of multiprocessing has begun."""
    path = folder / "program.py"
    path.write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n{body}")
    pipe = subprocess.PIPE
    command = [sys.executable, str(path)]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)


# --- workers ----------------------------------------------------------------------------------

MASK = """
import signal
from minnet.study.workers import Processes
if __name__ == "__main__":
    with Processes(1, 1) as processes:
        mask = processes.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
        print(signal.SIGINT in mask)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals can't be blocked there")
def test_the_first_worker_begins_with_ctrl_c_blocked(tmp_path: Path) -> None:
    assert program(tmp_path, MASK).communicate() == ("True\n", "")


# As a worker starts, it imports the program's file under another name.
STARTING = """
import sys, time
from pathlib import Path
from study_toys import toy
if __name__ == "__mp_main__":
    print("starting", flush=True)
    time.sleep(600)
if __name__ == "__main__":
    study = toy(Path(sys.path[1]))
    try:
        study.run(jobs=2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_ctrl_c_ends_workers_that_are_still_starting(tmp_path: Path) -> None:
    toy(tmp_path)
    process = program(tmp_path, STARTING, start_new_session=True)
    assert process.stdout
    assert [process.stdout.readline() for _ in range(2)] == ["starting\n"] * 2
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes at once
    assert process.communicate() == ("", "")
    assert process.returncode == 130


# --- a safe place -----------------------------------------------------------------------------


def test_ctrl_c_waits_until_it_is_heeded() -> None:
    with Processes(1, 1) as processes:
        press_ctrl_c()
        future = processes.submit(os.getpid)
        with pytest.raises(KeyboardInterrupt):
            processes.heed_ctrl_c()
        processes.heed_ctrl_c()  # once is enough
        assert future.result() != os.getpid()


def test_ctrl_c_that_nobody_heeded_comes_at_the_end() -> None:
    processes = Processes(1, 1)
    future = None
    with pytest.raises(KeyboardInterrupt), processes:
        future = processes.submit(time.sleep, 0)
        press_ctrl_c()
    assert future and future.done()
    with pytest.raises(KeyboardInterrupt):  # now as always
        press_ctrl_c()


def test_who_insists_need_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), Processes(1, 1):
        press_ctrl_c()
        press_ctrl_c()
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()


def test_what_the_program_does_at_ctrl_c_is_left_to_it() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    with Processes(1, 1) as processes:
        press_ctrl_c()
        processes.heed_ctrl_c()
    press_ctrl_c()
    assert heard == [signal.SIGINT] * 2


def test_another_thread_can_have_workers(tmp_path: Path) -> None:
    study = toy(tmp_path, treatments=["AnB"], n=[1])
    thread = threading.Thread(target=study.run)
    thread.start()
    thread.join()
    assert len(study.store.done()) == len(study.plan().by_id)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
