"""What the frozen bottom gives goes into a temporary file when it is large; the file goes, too."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from test_frozen_reuse import HEAD, Counter, close
from train_samples import points, quiet, same_nets

import minnet as mn
from minnet.errors import MinnetWarning, NonFiniteError
from minnet.train import features, scratch
from minnet.train.frozen import Bottom

pytestmark = pytest.mark.host  # on a GPU outputs are kept in its memory, or not at all

MAPS = Path("/proc/self/maps")
with_maps = pytest.mark.skipif(not MAPS.exists(), reason="only Linux says what is mapped")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder for temporary files, in which none may be left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def costly_net(counter, *above):
    """A net whose first layers multiply 2,100 times for the 20 bytes that they give."""
    layers = [mn.Linear(300), mn.Linear(5), mn.Elementwise(counter), *above]
    return mn.Chain(*layers, mn.Linear(3), mn.Softmax()).initialize(input_shape=(2,))


def trained(net, **options):
    """Train the head alone, with hardly any memory for what comes from below."""
    return quiet(net, points(60), **{"multipliers": HEAD, "reuse_frozen": 1, **options})


def is_mapped(folder):
    """Tell whether a file of this folder is mapped into this process."""
    return str(folder) in MAPS.read_text(encoding="utf-8")


# --- the same -----------------------------------------------------------------------------------


def test_each_example_passes_once_with_a_file_too():
    counter = Counter()
    result = trained(costly_net(counter), rounds=4, validation=points(20, 1))
    assert counter.examples == 60 + 20
    assert (result.kept, result.reused) == ("file", 0.75)


def test_a_file_changes_nothing():
    net = costly_net(Counter())
    options = {"rounds": 5, "validation": 0.25, "stop": 2, "measure": ["accuracy", "confusion"]}
    from_file, from_memory, computed = (
        trained(net, reuse_frozen=reuse, **options) for reuse in (1, True, False)
    )
    assert [result.kept for result in (from_file, from_memory, computed)] == ["file", "memory", ""]
    assert same_nets(from_file.net, from_memory.net)
    close(from_file.net, computed.net)
    assert from_file.best_round == from_memory.best_round
    for name in ("validation_accuracy", "validation_confusion", "validation_loss"):
        np.testing.assert_array_equal(from_file.curve(name), from_memory.curve(name))
        np.testing.assert_allclose(from_file.curve(name), computed.curve(name), rtol=1e-4)


def test_training_data_may_be_in_a_file_and_validation_data_in_memory():
    result = trained(costly_net(Counter()), reuse_frozen=60 * 20 - 1, validation=points(20, 1))
    assert result.kept == "file and memory"


def test_several_wires_each_have_a_file():
    counter = Counter()
    net = mn.Graph(
        {
            "wide": mn.Linear(300),
            "left": mn.Linear(4),
            "right": mn.Elementwise(counter),
            "scale": mn.Linear(4),
            "both": mn.Add(),
            "end": mn.Softmax(),
        },
        {
            "wide": "input",
            "left": "wide",
            "right": "left",
            "scale": "right",
            "both": ("left", "scale"),
            "end": "both",
        },
    ).initialize(input_shape=(2,))
    options = {"multipliers": {"scale": 1, ...: None}, "rounds": 3}
    from_file = trained(net, **options)
    assert (counter.examples, from_file.kept) == (60, "file")
    assert same_nets(from_file.net, trained(net, reuse_frozen=True, **options).net)


def test_a_bottom_that_thaws_and_freezes_again_has_a_new_file():
    counter = Counter()
    net = costly_net(counter)
    rules = [(1, lambda progress: float(progress.round in (1, 2))), (0, None), (..., 1)]
    result = trained(net, multipliers=rules, rounds=6)
    assert counter.examples == 60 + 2 * 60 + 60
    close(result.net, trained(net, multipliers=rules, rounds=6, reuse_frozen=False).net)


def test_what_is_random_is_never_in_a_file():
    counter = Counter()
    net = mn.Chain(mn.Dropout(0.5), *costly_net(counter)).initialize(input_shape=(2,))
    assert trained(net, rounds=3).kept == ""
    assert counter.examples == 180
    assert trained(net, rounds=3, frozen_dropout=False).kept == "file"
    assert counter.examples == 240


# --- when it pays -------------------------------------------------------------------------------


@pytest.mark.parametrize("more, kept", [(0, "file"), (1, "")])
def test_a_file_pays_from_so_many_multiplications_a_byte(more, kept, monkeypatch):
    monkeypatch.setattr(features, "FILE_PAYS", 2100 / 20 + more)
    assert trained(costly_net(Counter())).kept == kept


def test_multiplications_are_those_by_weights():
    net = mn.Chain(
        mn.Conv(8, 3, groups=2), mn.Ramp(), mn.Chain(mn.MaxPool(2), mn.Flatten()), mn.Linear(5)
    ).initialize(input_shape=(6, 6, 4))
    assert Bottom(net).multiplications((6, 6, 4)) == 4 * 4 * 8 * 9 * 2 + 32 * 5
    looked_up = mn.Chain(mn.Embedding(50, count=1000)).initialize(input_shape=())
    assert Bottom(looked_up).multiplications(()) == 0


# --- what is said -------------------------------------------------------------------------------


def test_training_says_where_it_keeps_them(capsys):
    options = {"multipliers": HEAD, "rounds": 2, "progress": "lines", "validation": points(20, 1)}
    net = costly_net(Counter())
    for reuse, where in ((True, "memory"), (1, "a temporary file")):
        result = mn.train(net, points(60), reuse_frozen=reuse, **options)
        said = f"run once per example: their outputs (1.2 kB) are kept in {where}"
        err = capsys.readouterr().err
        assert err.count(said) == 1
        assert "50% of the frozen layers' work saved" in repr(result)
    result = mn.train(net, points(60), reuse_frozen=False, **options)
    assert "frozen" not in capsys.readouterr().err + repr(result)


# --- the file goes ------------------------------------------------------------------------------


@with_maps
def test_the_file_has_no_name_and_goes_with_the_training(folder):
    seen = []

    def look(trainer, row):
        seen.append((is_mapped(folder), list(folder.iterdir())))

    trained(costly_net(Counter()), callbacks=look)
    assert seen == [(True, [])] * 2
    assert not is_mapped(folder)


@with_maps
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_file_goes_after_an_interrupt_and_an_error(folder, error):
    def fail(trainer, row):
        assert is_mapped(folder)
        raise error

    try:
        assert trained(costly_net(Counter()), callbacks=fail).stopped == "interrupted"
    except RuntimeError:
        assert not is_mapped(folder)  # though the traceback still holds the training
    assert not is_mapped(folder)


@with_maps
def test_the_file_goes_when_the_loss_is_not_finite(folder):
    with pytest.raises(NonFiniteError):
        trained(costly_net(Counter()), loss=lambda outputs, _: mn.ops.log(-1e30 * outputs.sum()))
    assert not is_mapped(folder)


PROGRAM = """
import sys, time
import numpy as np, minnet as mn
net = mn.Chain(mn.Linear(300), mn.Linear(5), mn.Linear(3), mn.Softmax())
data = np.ones((60, 2)), np.arange(60) % 3
def wait(trainer, row):
    print("waiting", flush=True)
    time.sleep(60)
mn.train(net, data, multipliers={-2: 1, ...: None}, reuse_frozen=1, progress=False, callbacks=wait)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that can't be caught")
def test_nothing_is_left_by_a_process_that_is_killed(folder):
    command = [sys.executable, "-c", PROGRAM]
    environment = {**os.environ, "TMPDIR": str(folder)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, env=environment, text=True) as process:
        try:
            assert process.stdout.readline() == "waiting\n"
            maps = Path(f"/proc/{process.pid}/maps")
            assert not maps.exists() or str(folder) in maps.read_text(encoding="utf-8")
        finally:
            process.kill()
    assert list(folder.iterdir()) == []


# --- no room ------------------------------------------------------------------------------------


def computed_again():
    """Train where a file can't be had: with a warning, everything is computed in each round."""
    counter = Counter()
    with pytest.warns(MinnetWarning, match=r"\(1.2 kB\), which are now computed in every round"):
        result = trained(costly_net(counter), rounds=4)
    assert (counter.examples, result.kept, result.reused) == (240, "", 0.0)


def test_a_disk_that_is_nearly_full_is_left_alone(monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=60 * 20))
    computed_again()


def test_a_folder_that_is_not_there_is_no_end(monkeypatch, folder):
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "nowhere"))
    computed_again()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_disk_that_fills_up_is_no_end(is_told, monkeypatch):
    resource = pytest.importorskip("resource")  # a limit that the system reports as a full disk is
    if not is_told:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        computed_again()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("can_reserve", [True, False])
def test_room_is_taken_before_anything_is_written(can_reserve, monkeypatch):
    def refuse(*given):
        raise OSError(22, "this file system can't")

    if not can_reserve:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    monkeypatch.setattr(scratch, "PIECE", 1000)
    with tempfile.TemporaryFile() as file:
        scratch._take_room(file, 123_456)
        found = os.fstat(file.fileno())
    assert found.st_size == 123_456
    assert getattr(found, "st_blocks", 1000) * 512 >= 123_456


def test_an_array_of_a_file_is_like_any_other():
    array = scratch.scratch_array((5, 2, 3), np.dtype(np.float64))
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype, array.sum()) == ((5, 2, 3), np.float64, 0.0)
    array[[3, 1]] = np.ones((2, 2, 3))
    assert array.sum(axis=(1, 2)).tolist() == [0, 6, 0, 6, 0]
