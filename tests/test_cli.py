"""The `minnet` command, called as a function and as a program."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minnet as mn
from minnet import cli
from minnet.ops import compiled


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with these environment variables."""
    command = [sys.executable, "-m", "minnet.cli", *arguments]
    env = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small net in a file."""
    net = mn.Chain(mn.Linear(3, name="hidden"), mn.Tanh(), mn.Linear(2)).initialize(
        input_shape=(4,)
    )
    net.save(tmp_path / "small.npz")
    return tmp_path / "small.npz"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"minnet {mn.__version__}\n"


def test_info_names_every_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    out, err = capsys.readouterr()
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert err == ""
    assert lines["minnet"] == mn.__version__
    assert lines["numpy"] == np.__version__
    assert lines["python"] == sys.version.split()[0]
    assert set(cli.EXTRAS) < set(lines)


@pytest.mark.parametrize(
    ("reason", "said"),
    [(None, "yes, by Numba 1.2.3"), ("Numba is not installed", "no, Numba is not installed")],
)
def test_info_says_whether_kernels_are_compiled(
    reason: str | None,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "reason_not", lambda: reason)
    monkeypatch.setattr(cli, "installed", lambda package: "1.2.3")
    assert cli.main(["info"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"compiled kernels: {said}"


def test_info_says_who_turned_kernels_off() -> None:
    done = run("info", MINNET_COMPILED="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\ncompiled kernels: no, turned off by MINNET_COMPILED=0\n")


def test_info_tells_extras_from_their_absence() -> None:
    text = cli.info({"there": ("no-such-package", "numpy"), "missing": ("no-such-package",)})
    assert text.endswith(f"there    numpy {np.__version__}\nmissing  not installed")


@pytest.mark.parametrize("config", [None, {}, {"Build Dependencies": {}}])
def test_info_does_without_knowing_the_blas(config: dict[str, object] | None) -> None:
    assert cli.blas(config) == "unknown"


def test_info_names_the_blas() -> None:
    config = {"Build Dependencies": {"blas": {"name": "openblas", "version": "0.3.30"}}}
    assert cli.blas(config) == "openblas 0.3.30"


def test_summary_is_that_of_the_loaded_net(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["summary", str(saved)]) == 0
    out = capsys.readouterr().out
    assert out == f"{mn.load(saved).summary()}\n"
    assert "hidden" in out


def bad_files() -> dict[str, bytes]:
    """What a file may hold that is no net."""
    return {"empty": b"", "text": b"not a net", "zip": b"PK\x05\x06" + bytes(18)}


@pytest.mark.parametrize("kind", bad_files())
def test_summary_of_a_foreign_file_says_why_in_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "foreign.npz"
    file.write_bytes(bad_files()[kind])
    assert cli.main(["summary", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("minnet: ")
    assert err.count("\n") == 1


def test_summary_of_a_missing_file_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["summary", str(tmp_path / "missing.npz")]) == 2
    assert "missing.npz" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["summary"], ["study"], ["info", "more"]])
def test_wrong_words_show_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: minnet")


def test_the_program_prints_its_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"minnet {mn.__version__}\n", "")


def test_the_program_shows_no_traceback(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:100])
    done = run("summary", str(saved))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("minnet: ")
    assert "Traceback" not in done.stderr


def test_the_program_shows_a_saved_net(saved: Path) -> None:
    done = run("summary", str(saved))
    assert (done.returncode, done.stderr) == (0, "")
    assert "hidden" in done.stdout


def test_the_program_ends_quietly_when_nobody_reads_on() -> None:
    command = [sys.executable, "-m", "minnet.cli", "info"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
