"""RawKernel of the stand-in: CUDA C compiled by the host's compiler, and run thread by thread."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .array import check, ndarray
from .counts import launch

COMPILER = shutil.which("g++") or shutil.which("c++")
MOST_THREADS = 1024

_backwards = [False]


@contextlib.contextmanager
def backwards() -> Iterator[None]:
    """Run the threads of every kernel in the opposite order: a right kernel can't tell."""
    _backwards.append(True)
    try:
        yield
    finally:
        _backwards.pop()


class RawKernel:
    """A kernel of CUDA C, as CuPy's; it is compiled when it is first launched.

    Options such as `-DCHANNELS=3` that define a whole number become variables, so that one
    compilation serves all numbers. What is passed is checked against the parameters, which
    CuPy doesn't do: there, a number of the wrong type is read as another number.
    """

    def __init__(
        self,
        code: str,
        name: str,
        options: Sequence[str] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        **others: Any,
    ) -> None:
        if not isinstance(options, tuple) or not all(o.startswith("-D") for o in options):
            raise TypeError(f"options are a tuple of definitions here, got {options!r}")
        self.code, self.name = code, name
        self.macros: list[str] = []
        self.numbers: dict[str, int] = {}
        for option in options:
            key, _, what = option[2:].partition("=")
            if re.fullmatch(r"-?\d+", what):
                self.numbers[key] = int(what)
            else:
                self.macros.append(option)

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0
    ) -> None:
        library = compiled(self.code, self.name, tuple(self.macros), tuple(self.numbers))
        sizes = [*grid, *[1] * (3 - len(grid)), *block, *[1] * (3 - len(block))]
        if min(sizes) < 1 or np.prod(sizes[3:]) > MOST_THREADS or max(sizes[1:3]) > 65535:
            raise ValueError(f"CUDA_ERROR_INVALID_VALUE: grid {grid}, block {block}")
        for key, number in self.numbers.items():
            ctypes.c_longlong.in_dll(library, key).value = number
        passed = self._arguments(library, args)
        pointers = (ctypes.c_void_p * max(len(passed), 1))(*(ctypes.addressof(p) for p in passed))
        launch(self.name)
        waits = int("__syncthreads" in self.code)
        library.launch((ctypes.c_uint * 6)(*sizes), pointers, waits, int(_backwards[-1]))

    def _arguments(self, library: Any, args: Sequence[Any]) -> list[Any]:
        """Return what is passed as C has it, if it is what the kernel takes."""
        wanted = (Parameter * 64)()
        count = library.parameters(wanted)
        if count != len(args):
            raise TypeError(f"{self.name} takes {count} arguments, got {len(args)}")
        return [
            argument(one, wanted[i], f"{self.name}, argument {i}") for i, one in enumerate(args)
        ]


class Parameter(ctypes.Structure):
    """The type of a parameter: its kind as in NumPy's dtypes, its bytes, and if a pointer to it."""

    _fields_ = (("code", ctypes.c_char), ("size", ctypes.c_int), ("pointer", ctypes.c_int))


def argument(given: Any, wanted: Any, where: str) -> Any:
    """Return an argument as C has it; TypeError if the kernel takes another type there."""
    kind = f"{wanted.code.decode()}{wanted.size}"
    if wanted.pointer:
        if isinstance(given, np.integer) and given.itemsize == 8 and given == 0:
            return ctypes.c_void_p(0)  # None would be anything in CuPy 13
        if not isinstance(given, ndarray):
            raise TypeError(f"{where}: expected an array of the device, got {type(given)}")
        check(given)
        if not given.flags.c_contiguous:
            raise TypeError(f"{where}: the array's elements don't lie side by side")
        if dtype_code(given.dtype) != kind:
            raise TypeError(f"{where}: expected an array of {kind}, got {given.dtype}")
        return ctypes.c_void_p(given._host.ctypes.data)
    if not isinstance(given, np.generic):  # what CuPy makes of Python's numbers nobody remembers
        raise TypeError(f"{where}: expected a number of NumPy, got {given!r}")
    if dtype_code(given.dtype) != kind:
        raise TypeError(f"{where}: expected a number of {kind}, got {given.dtype}")
    return (ctypes.c_char * given.itemsize).from_buffer_copy(given.tobytes())


def dtype_code(dtype: Any) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


@functools.cache
def compiled(code: str, name: str, macros: tuple[str, ...], numbers: tuple[str, ...]) -> Any:
    """Return the library of a kernel, compiled for the host."""
    source = "\n".join(
        [
            (Path(__file__).parent / "shim.h").read_text(),
            *(f'extern "C" {{ long long {key}; }}' for key in numbers),
            re.sub(r"#include <cuda\w*\.h>", "", code),
            f"LAUNCHER({name})",
        ]
    )
    return ctypes.CDLL(built(source, name, macros))


def built(source: str, name: str, macros: tuple[str, ...] = ()) -> str:
    """Return the file of a library, compiled by the host's compiler."""
    if COMPILER is None:
        raise RuntimeError("there is no C++ compiler to run kernels with")
    stem = hashlib.sha256("\n".join((source, *macros)).encode()).hexdigest()[:16]
    file, into = _folder() / f"{stem}.cpp", _folder() / f"{stem}.so"
    file.write_text(source)
    command = [COMPILER, "-std=c++14", "-O1", "-fPIC", "-shared", *macros, str(file), "-o"]
    done = subprocess.run([*command, str(into)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} doesn't compile:\n{done.stderr}")
    return str(into)


@functools.lru_cache(maxsize=1)
def _folder() -> Path:
    """Return a folder that goes when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="minnet-kernels-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[Any] = []
