"""A study on a GPU: one key of its spec, the same runs, and results near the CPU's."""

import json
from pathlib import Path

import pytest
import standin
from standin import counting
from study_toys import here, results, toy

import minnet as mn

SMALL = {
    "treatments": ["AnB", "BnB+"],
    "n": [1],
    "measures": {"probe": True, "cka": True, "scores": ["leep", "nce"]},
}


def test_a_study_on_a_gpu(standin_cupy, tmp_path: Path) -> None:
    cpu, gpu = (toy(tmp_path, device, device=device, **SMALL) for device in ("cpu", "gpu"))
    here(cpu)
    with counting() as counted:
        outcome = here(gpu)
    assert (outcome.failed, outcome.left) == ({}, 0)
    assert counted.launches > 1000
    assert mn.memory("gpu").used == 0
    keys = ("treatment", "source", "target", "n", "replicate")
    mine, theirs = (
        {tuple(run[key] for key in keys if key in run): run for run in results(study)}
        for study in (cpu, gpu)
    )
    assert mine.keys() == theirs.keys()
    # Where it is done is no part of what a run is.
    assert {path.name for path in (cpu.folder / "runs").glob("*")} == {
        path.name for path in (gpu.folder / "runs").glob("*")
    }
    for label, run in mine.items():
        if "last_loss" in run:
            assert theirs[label]["last_loss"] == pytest.approx(run["last_loss"], rel=1e-3)


def test_a_study_of_one_device_is_not_gone_on_with_on_another(standin_cupy, tmp_path: Path) -> None:
    here(toy(tmp_path, **SMALL))
    with pytest.raises(mn.SpecError, match="there device is 'cpu', here 'gpu:0'"):
        here(toy(tmp_path, device="gpu", **SMALL))


def test_a_study_of_before_there_were_devices_goes_on(tmp_path: Path) -> None:
    study = toy(tmp_path, **SMALL)
    here(study)
    file = study.folder / "study.json"
    content = json.loads(file.read_text())
    del content["spec"]["device"]
    file.write_text(json.dumps(content))
    assert here(toy(tmp_path, **SMALL)).done == []


def test_a_gpu_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    study = toy(tmp_path, device="gpu", **SMALL)
    with standin.installed(devices=0), pytest.raises(mn.DeviceError, match="no GPU here"):
        study.run()
    assert results(study) == []


def test_another_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mn.SpecError, match="device: a device is"):
        toy(tmp_path, device="cuda")
