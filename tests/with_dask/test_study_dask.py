"""Studies on a real Dask cluster of several processes; skipped where Dask is not installed."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

distributed = pytest.importorskip("distributed", reason="needs minnet[dask]")
dask = pytest.importorskip("dask", reason="needs minnet[dask]")

# Workers import the modules of the tests, too.
sys.path.insert(0, str(Path(__file__).parent.parent))

from study_toys import files, here, toml, toy  # noqa: E402

from minnet import cli  # noqa: E402

# Dask's own event loops warn of what is not ours.
pytestmark = pytest.mark.filterwarnings("default")

MANY: dict[str, Any] = {"replicates": 3, "measures": {"cka": True}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three worker processes on this machine."""
    # One that was killed comes back, even where a process takes its time to start.
    patience = dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    with (
        patience,
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
        ) as found,
    ):
        yield found


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the study, done in this process."""
    study = toy(tmp_path_factory.mktemp("wanted"), **MANY)
    here(study)
    return files(study)


def pids(client: Any) -> list[int]:
    """Return the processes of the cluster's workers."""
    return sorted(client.run(os.getpid).values())


def test_a_cluster_gives_the_files_of_one_process(
    cluster: Any, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    study = toy(tmp_path, **MANY)
    with distributed.Client(cluster) as client:
        outcome = study.run(client.get_executor(pure=False))
    assert (outcome.failed, outcome.left) == ({}, 0)
    assert files(study) == wanted


def test_dask_futures_serve_as_they_are(
    cluster: Any, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    study = toy(tmp_path, **MANY)
    with distributed.Client(cluster) as client:
        outcome = study.run(client)
    assert outcome.failed == {}
    assert files(study) == wanted


def test_a_worker_killed_in_the_middle_changes_nothing(
    cluster: Any, tmp_path: Path, wanted: dict[str, bytes]
) -> None:
    study = toy(tmp_path, **MANY)
    killed: list[int] = []
    with distributed.Client(cluster) as client:
        before = pids(client)

        def kill_one(outcome: Any, total: int, label: str) -> None:
            if len(outcome.done) >= total // 3 and not killed:
                killed.append(before[0])
                os.kill(before[0], signal.SIGKILL)

        outcome = study.run(client.get_executor(pure=False), tell=kill_one)
        client.wait_for_workers(3)
        assert killed[0] not in pids(client)
    assert (outcome.failed, outcome.left) == ({}, 0)
    assert len(outcome.done) == len(study.plan().by_id)
    assert files(study) == wanted


def test_the_command_takes_the_address_of_a_cluster(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    toml(tmp_path / "small.toml", 'treatments = ["AnB"]\nn = [1]')
    words = ["study", "run", "small.toml", "--dask", cluster.scheduler_address]
    assert cli.main(words) == 0
    assert len(list((tmp_path / "small-results" / "runs").iterdir())) == 4
