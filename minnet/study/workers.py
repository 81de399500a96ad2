"""Worker processes of this machine: started afresh, made again when one dies, and ended with us."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, Self

__all__ = ["Processes"]

# What tells the BLAS libraries how many threads to use, read when NumPy is imported.
THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)


class Processes:
    """A pool of worker processes, each with so many BLAS threads; a context manager.

    Workers start anew rather than as copies of this process, so that they read how
    many threads to use. One worker is used as well where there is one job: then a
    study computes the same bits whatever the number of jobs. No worker outlives this
    process, however it ends. Ctrl-C is put off until `heed_ctrl_c` is called, or the end.
    """

    def __init__(self, jobs: int, threads: int) -> None:
        self.jobs, self.threads = jobs, threads
        self._pool: ProcessPoolExecutor | None = None
        self._before: dict[str, str | None] = {}
        self._held: Connection | None = None  # as long as this end is open, workers live
        self._watched: Connection | None = None
        self._ctrl_c = _CtrlC()

    def __enter__(self) -> Self:
        self._ctrl_c.put_off()
        self._before = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(dict.fromkeys(THREADS, str(self.threads)))
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        try:
            if kind is None and self._pool is not None:
                self._pool.shutdown(wait=True)
            self.stop()
        finally:
            for name, value in self._before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            self._ctrl_c.let_through()

    def heed_ctrl_c(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came in the meantime."""
        self._ctrl_c.heed()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a worker call a function."""
        with _hidden_from_children():
            if self._pool is not None:
                try:
                    return self._pool.submit(function, *arguments)
                except BrokenExecutor:
                    self.stop()
            return self._start().submit(function, *arguments)

    def stop(self) -> None:
        """End the workers at once, whatever they are doing."""
        if self._pool is None or self._held is None or self._watched is None:
            return
        for worker in list((self._pool._processes or {}).values()):
            worker.kill()  # even one that is still importing; Python 3.14 has `kill_workers`
        self._held.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._watched.close()
        self._pool = None

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        self._watched, self._held = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            self.jobs, mp_context=context, initializer=_begin, initargs=(self._watched,)
        )
        return self._pool


class _CtrlC:
    """Notes Ctrl-C, to act on it at a safe place.

    Else a KeyboardInterrupt comes between any two steps of the pool, and can leave a lock held
    or a worker half begun. Where Ctrl-C means something else to the program, it is left alone.
    """

    def __init__(self) -> None:
        self.came, self.is_ours = 0, False

    def put_off(self) -> None:
        """Begin to note Ctrl-C; only the main thread, which it interrupts, can."""
        self.is_ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self.is_ours:
            signal.signal(signal.SIGINT, self._note)

    def heed(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came in the meantime."""
        if self.came:
            self.came = 0
            raise KeyboardInterrupt

    def let_through(self) -> None:
        """Note Ctrl-C no more, and heed what came."""
        if self.is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.heed()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came += 1
        if self.came > 2:  # who insists need not wait, should anything hang
            signal.default_int_handler(number, frame)


@contextlib.contextmanager
def _hidden_from_children() -> Iterator[None]:
    """Have processes started meanwhile never see Ctrl-C.

    Without that a worker still importing would end with a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # As multiprocessing's own helper is started, it lets Ctrl-C through again: so do that first.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(watched: Connection) -> None:
    """Prepare a worker: Ctrl-C is for the process that started it, whose end is its own, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    """Wait until the other end is closed, as it also is when its process is killed; then end."""
    with contextlib.suppress(EOFError, OSError):
        watched.recv()
    os._exit(1)
