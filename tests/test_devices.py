"""Devices by name, arrays that are moved to them, and what is said where there is no GPU."""

import sys

import numpy as np
import pytest
import standin

import minnet as mn
from minnet.backend import device_of, move, named
from minnet.backend.arrays import read_only
from minnet.backend.usage import devices
from minnet.cli import main


@pytest.mark.parametrize(
    ("given", "name"),
    [("cpu", "cpu"), ("gpu", "gpu:0"), ("gpu:0", "gpu:0"), ("gpu:12", "gpu:12")],
)
def test_devices_have_names(given: str, name: str) -> None:
    assert named(given) == name


@pytest.mark.parametrize("given", ["cuda", "gpu:", "gpu:-1", "gpu:x", "CPU", 0, None, "cpu:0"])
def test_other_names_are_refused(given: object) -> None:
    with pytest.raises(mn.SpecError, match='"cpu", "gpu" or, of several, "gpu:1"'):
        named(given)


# --- without a GPU --------------------------------------------------------------------------


def test_without_cupy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it fails
    with pytest.raises(mn.DeviceError, match=r"minnet\[gpu-cuda12\]") as caught:
        move(np.ones(2), "gpu")
    assert isinstance(caught.value, RuntimeError)
    (line,) = [line for line in devices() if line.startswith("gpu")]
    assert "none" in line and "minnet[gpu-cuda12]" in line


def test_cupy_without_a_gpu_is_imported_and_found_out_in_use() -> None:
    with standin.installed(devices=0):
        net = mn.Chain(mn.Linear(2), input=3).initialize()
        for use in (
            lambda: net.to("gpu"),
            lambda: mn.memory("gpu"),
            lambda: mn.free("gpu"),
            lambda: mn.train(net, (np.ones((4, 3)), np.ones((4, 2))), device="gpu"),
        ):
            with pytest.raises(mn.DeviceError, match="there is no GPU here that CuPy 14"):
                use()
        assert "no CUDA-capable device" in devices()[1]


def test_a_gpu_that_is_not_there() -> None:
    with standin.installed(devices=2), pytest.raises(mn.DeviceError, match="no gpu:2 here"):
        move(np.ones(2), "gpu:2")


# --- with one -------------------------------------------------------------------------------


def test_moving_an_array(standin_cupy) -> None:
    array = np.asfortranarray(np.arange(6.0, dtype="float32").reshape(2, 3))
    there = move(array, "gpu")
    assert (device_of(there), there.dtype) == ("gpu:0", array.dtype)
    other = move(there, "gpu:1")
    assert device_of(other) == "gpu:1"
    assert move(there, "gpu") is there
    back = move(other, "cpu")
    assert (back == array).all() and not back.flags.writeable


def test_arrays_of_a_gpu_that_a_layer_keeps_are_nobody_elses(standin_cupy) -> None:
    mine = standin_cupy.ones((2, 3), "float32")
    net = mn.Chain(mn.Linear(3, bias=False)).with_arrays({"0.weight": mine})
    kept = net["0.weight"]
    assert kept is not mine
    assert net.with_arrays({"0.weight": kept})["0.weight"] is kept
    assert read_only(kept) is kept
    assert read_only(kept[:1]) is not kept  # of a view nobody knows


def test_memory_is_told_and_given_back(standin_cupy) -> None:
    before = mn.memory("gpu")
    array = standin_cupy.zeros(1 << 20, "float32")
    used = mn.memory("gpu")
    assert used.used - before.used == 4 << 20
    assert used.peak >= used.reserved >= used.used
    assert used.total == 8 << 30
    del array
    assert mn.memory("gpu").reserved == used.reserved
    mn.free("gpu")
    after = mn.memory("gpu")
    assert after.used == before.used == after.reserved == after.peak


def test_memory_is_that_of_one_device(standin_cupy) -> None:
    here = move(np.zeros(1000), "gpu:1")
    assert (mn.memory("gpu:0").used, mn.memory("gpu:1").used) == (0, 8192)
    assert device_of(here) == "gpu:1"
    with pytest.raises(mn.SpecError, match="memory of a GPU"):
        mn.memory("cpu")


def test_a_full_gpu_is_told_in_words() -> None:
    with standin.installed(memory=100_000):
        net = mn.Chain(mn.Linear(300), name="big").initialize(input_shape=(300,))
        with pytest.raises(mn.DeviceMemoryError, match=r"the GPU is full: .* 360,448") as caught:
            net.to("gpu")
        assert isinstance(caught.value, MemoryError)
        assert caught.value.path == (0, "weight")


def test_each_device_has_a_line(standin_cupy) -> None:
    cpu, first, second = devices()
    assert cpu.startswith("cpu ") and "core" in cpu
    assert first == (
        "gpu:0  Stand-in, 8.6 GB free of 8.6 GB of memory, compute capability 9.0, "
        "CUDA 12.9 (driver 13.0), CuPy 14.0.0"
    )
    assert second.startswith("gpu:1  Stand-in")


def test_the_command_prints_them(standin_cupy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    assert capsys.readouterr().out.splitlines() == devices()


def test_the_command_says_why_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["devices"]) == 0
    cpu, gpu = capsys.readouterr().out.splitlines()
    assert cpu.startswith("cpu ")
    assert gpu.startswith("gpu    none: a GPU is used through CuPy")
