"""The sources of all kernels: compiled by NVRTC, which needs CuPy but no GPU, for each dtype."""

import importlib
from pathlib import Path

import pytest

from minnet.ops import gpu
from minnet.ops.gpu.launch import Kernel

MODULES = [f"minnet.ops.gpu.{family}" for family in gpu.FAMILIES] + ["minnet.optim.gpu"]
TYPES = {"Label": "unsigned long long", "Winner": "byte", "Sum": "float"}


def kernels():
    for name in MODULES:
        parts = vars(importlib.import_module(name)).values()
        for part in parts:
            yield from [part] if isinstance(part, Kernel) else []
            yield from part.values() if is_table(part) else []


def is_table(part):
    return isinstance(part, dict) and all(isinstance(one, Kernel) for one in part.values()) and part


def headers():
    """Return the folder with CUDA's header for half precision; None if it isn't here."""
    try:
        import nvidia.cuda_runtime as runtime
    except ImportError:
        return None
    folder = Path(next(iter(runtime.__path__)), "include")
    return folder if (folder / "cuda_fp16.h").exists() else None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("kernel", {kernel.name: kernel for kernel in kernels()}.values())
def test_compiles(kernel, is_large, dtype):
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy isn't installed")
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"CuPy is here, but not the compiler: {error}")
    include = headers()
    if dtype == "float16" and include is None:
        pytest.skip("CUDA's header for half precision isn't installed")
    text = kernel.text(dtype, is_large, {name: TYPES[name] for name in kernel.types})
    options = ["-arch=compute_80", *(f"-D{name}=3" for name in kernel.constants)]
    options += [] if include is None else [f"-I{include}"]
    program = nvrtc.createProgram(text, f"{kernel.name}.cu", (), ())
    try:
        nvrtc.compileProgram(program, tuple(options))
    except nvrtc.NVRTCError:
        pytest.fail(nvrtc.getProgramLog(program))
    assert f".entry {kernel.name}(" in nvrtc.getPTX(program).decode()
    nvrtc.destroyProgram(program)
