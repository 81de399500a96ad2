"""The folder of a study's results: what counts as done, whose it is, and what harms it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from study_toys import files, here, results, toy

import minnet as mn
from minnet.study.store import Store

ENVIRONMENT = {"minnet": "0.1.0"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An open folder of results of a spec that says nothing."""
    found = Store(tmp_path / "results")
    found.open({"seed": 1, "train": {"rounds": 2}}, ENVIRONMENT)
    return found


def names(folder: Path) -> set[str]:
    """Return the paths of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# --- what counts as done ----------------------------------------------------------------------


def test_a_finished_run_is_done(store: Store) -> None:
    store.fail("abc", "base 0A #0", "OSError: full", "")
    assert store.failed()["abc"]["error"] == "OSError: full"
    store.finish("abc", {"accuracy": 0.5}, 1.25)
    assert store.done() == {"abc"}
    assert store.result("abc") == {"id": "abc", "accuracy": 0.5}
    assert store.seconds("abc") == 1.25
    assert store.failed() == {}
    assert names(store.folder) == {"study.json", "runs/abc.json", "times/abc.json"}


@pytest.mark.parametrize(
    "content",
    [b"", b'{"id": "abc", "accuracy"', b"[1]", b'{"id": "other"}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_torn_or_foreign_file_counts_for_nothing(store: Store, content: bytes) -> None:
    (store.folder / "runs" / "abc.json").write_bytes(content)
    (store.folder / "times" / "abc.json").write_bytes(content)
    (store.folder / "failed" / "abc.json").write_bytes(b"{")
    assert store.done() == set()
    assert store.seconds("abc") is None
    assert store.failed() == {}


def test_a_failed_run_that_went_well_elsewhere_has_not_failed(store: Store) -> None:
    store.finish("abc", {}, 1.0)
    store.fail("abc", "base 0A #0", "too late", "")
    assert store.failed() == {}


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(store: Store) -> None:
    store.finish("abc", {"accuracy": 0.5}, 1.0)
    before = names(store.folder)
    with pytest.raises(TypeError):
        store.finish("abc", {"accuracy": object()}, 1.0)
    assert store.result("abc") == {"id": "abc", "accuracy": 0.5}
    assert names(store.folder) == before


def test_what_a_killed_process_leaves_is_tidied_up(store: Store) -> None:
    spec = store.spec()
    assert spec is not None
    (store.folder / "runs" / ".xyz.part").write_text("{")
    (store.folder / "nets" / ".123abc.minnet").write_bytes(b"PK")
    store.open(spec, ENVIRONMENT)
    assert names(store.folder) == {"study.json"}


# --- whose it is ------------------------------------------------------------------------------


def test_a_folder_knows_its_spec_and_environment(store: Store) -> None:
    again = Store(store.folder)
    again.open({"seed": 1, "train": {"rounds": 2}}, {"minnet": "later"})
    assert again.spec() == {"seed": 1, "train": {"rounds": 2}}
    assert again.environment() == ENVIRONMENT
    assert Store(store.folder / "none").spec() is None


@pytest.mark.parametrize(
    ("spec", "difference"),
    [
        ({"seed": 2, "train": {"rounds": 3}}, "there seed is 1, here 2"),
        ({"seed": 1, "train": {"rounds": 3}}, r"there train\.rounds is 2, here 3"),
        ({"seed": 1}, r"there train is \{'rounds': 2\}, here None"),
        ({"seed": 1, "train": {"rounds": 2}, "n": [1]}, r"there n is None, here \[1\]"),
    ],
)
def test_another_spec_is_refused_with_the_first_difference(
    store: Store, spec: dict[str, Any], difference: str
) -> None:
    before = (store.folder / "study.json").read_bytes()
    with pytest.raises(mn.SpecError, match=f"results of another spec: {difference}"):
        store.open(spec, ENVIRONMENT)
    assert (store.folder / "study.json").read_bytes() == before


def test_a_study_refuses_the_folder_of_another(tmp_path: Path) -> None:
    here(toy(tmp_path, treatments=["AnB"], n=[1]))
    with pytest.raises(mn.SpecError, match="there seed is 0, here 3"):
        toy(tmp_path, treatments=["AnB"], n=[1], seed=3).run()


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "thesis.tex").write_text("all of it")
    with pytest.raises(mn.FormatError, match="not empty and not a folder of results"):
        toy(tmp_path).run()
    assert names(folder) == {"thesis.tex"}


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(OSError, match="results"):
        toy(tmp_path).run()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format": "minnet study", "version": 1}', b"[]", b'{"format": 1']
)
def test_a_damaged_study_file_is_refused(store: Store, content: bytes) -> None:
    (store.folder / "study.json").write_bytes(content)
    with pytest.raises(mn.FormatError, match="damaged or not a study's"):
        store.open({}, ENVIRONMENT)


def test_results_of_a_newer_minnet_are_refused(store: Store) -> None:
    path = store.folder / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    with pytest.raises(mn.FormatError, match="newer minnet"):
        store.spec()


def test_a_study_killed_at_its_very_start_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    (folder / "runs").mkdir(parents=True)
    (folder / ".k3x9.part").write_text('{"format"')
    study = toy(tmp_path, treatments=["random"], n=[1])
    assert len(here(study).done) == 4


def test_results_are_opened_without_their_spec_file(tmp_path: Path) -> None:
    study = toy(tmp_path, treatments=["BnB"], n=[1])
    here(study)
    assert mn.study.Study.opened(study.folder).spec == study.spec
    assert len(mn.study.Study.opened(study.folder).records()) == 4
    with pytest.raises(mn.DataError, match="there are no results in"):
        mn.study.Study.opened(tmp_path / "none")


# --- base nets --------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["missing", "cut", "altered"])
def test_a_base_whose_net_is_lost_is_done_again(tmp_path: Path, harm: str) -> None:
    study = toy(tmp_path, treatments=["AnB"], n=[1])
    here(study)
    whole = files(study)
    base, run = study.plan().bases[0], study.plan().treatments[0]
    net = study.store.net_path(base.id)
    content = bytearray(net.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if harm == "missing":
        net.unlink()
    else:
        net.write_bytes(content if harm == "altered" else content[:-50])
    assert not study.store.has_net(base.id)
    assert here(study).done == []  # nothing that is left needs it
    (study.folder / "runs" / f"{run.id}.json").unlink()
    assert here(study).done == [base.label, run.label]
    assert files(study) == whole


FULL = """
import resource, sys
from pathlib import Path
from study_toys import here, toy
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
outcome = here(toy(Path(sys.argv[1]), n=[1]))
print(len(outcome.done), len(outcome.blocked), outcome.left, *outcome.failed.values(), sep="\\n")
"""


# A net takes 2 to 3 kB, a result less than 1 kB, what is said of a failed run 1 to 2 kB.
@pytest.mark.parametrize("limit", [700, 2200])
def test_a_full_disk_fails_runs_and_is_gone_on_from(tmp_path: Path, limit: int) -> None:
    pytest.importorskip("resource")
    study = toy(tmp_path, n=[1])
    study.store.open(study.spec, {})  # longer than the first limit
    command = [sys.executable, "-c", FULL, str(tmp_path), str(limit)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    finished, blocked, left, *errors = done.stdout.splitlines()
    assert (finished, blocked, left) == ("0", "12", "12")
    assert len(errors) == 2
    assert all(error.startswith("OSError: ") for error in errors)
    kept = names(study.folder)
    assert not any(name.startswith(("runs/", "nets/")) or "/." in name for name in kept)
    here(study)
    other = toy(tmp_path, results="other", n=[1])
    here(other)
    assert files(study) == files(other)
    assert len(results(study)) == 14
    assert study.store.failed() == {}
