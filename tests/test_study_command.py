"""The `minnet study` command, and the studies that ship."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from study_toys import files, here, points, toml

import minnet as mn
from minnet import cli
from minnet.study.run import work

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = 'treatments = ["AnB", "BnB+"]\nn = [1]\n'


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a small study, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return toml(tmp_path / "small.toml", SMALL)


def program(*words: str, **options: object) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "minnet.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **options)  # type: ignore[call-overload, no-any-return]


def test_plan_lists_the_runs_and_trains_nothing(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["study", "plan", "small.toml"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    study = mn.study.Study.read(spec)
    for run in study.plan().by_id.values():
        assert f"to do  {run.id}  {run.label}\n" in out
    assert "small: 2 bases, then 4 treatments" in out
    assert "6 of 6 runs to do" in out
    assert re.search(r"about \d+ s with 1 at once \(guessed from a forward pass\)", out)
    assert re.search(r"about [\d,]+ MB of memory for each", out)
    assert not study.folder.exists()


def test_run_then_plan_then_report(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["study", "run", "small.toml", "--results", "found"]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "small: 6 runs, 0 done before, 6 to do"
    assert [line.partition(" ")[0] for line in lines[1:]] == [f"{i}/6" for i in range(1, 7)]
    said = out
    whole = files(mn.study.Study.read(spec, "found"))
    assert cli.main(["study", "plan", "small.toml", "--results", "found"]) == 0
    out, err = capsys.readouterr()
    assert "0 of 6 runs to do" in out
    assert "about 0 s with 1 at once (from 6 runs already done)" in out
    spec.unlink()
    assert cli.main(["study", "report", "found"]) == 0
    assert capsys.readouterr().out == said
    assert files(mn.study.Study.opened("found")) == whole


def test_run_ends_with_the_table_and_where_figure_and_report_are(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert cli.main(["study", "run", "small.toml"]) == 0
    *before, blank, note, empty, figure, report = capsys.readouterr().out.splitlines()
    head, _, row = before[-3:]
    assert head.replace(" ", "") == "|n|BnB+|AnB|"
    assert re.fullmatch(r"\| 1 +\| [^|]* ±\d+\.\d † \| [^|]* ±\d+\.\d † \|", row)
    assert (blank, empty) == ("", "")
    assert "means over 2 pairs" in note
    assert figure == f"figure: {Path('small-results', 'figure.png')}"
    assert report == f"report: {Path('small-results', 'report.html')}"
    assert Path("small-results", "figure.png").exists()
    page = Path("small-results", "report.html").read_text(encoding="utf-8")
    assert re.search(r"<td[^>]*>0A</td><td[^>]*>\d, \d</td>", page), "which classes are in a half"


def test_failed_runs_are_listed_and_give_status_1(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points(spec.parent / "points.npz", classes=5, bad=(3,))
    named = "[halves.named]\na = [[0, 1], [2, 4]]\nb = [[0, 2], [1, 3]]\n"
    spec.write_text(spec.read_text() + named)
    assert cli.main(["study", "run", "small.toml"]) == 1
    out, err = capsys.readouterr()
    assert "failed: base bB #0: NonFiniteError: " in err
    assert "not begun, since its base failed: AnB n=1 bB -> bA #0" in err
    assert "1 runs failed and 3 more are not done" in err
    assert "report: " in out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "missing.toml"], "missing.toml"),
        (["plan", "wrong.toml"], "wrong.toml: sed: unknown key"),
        (["plan", "small.toml", "--jobs", "0"], "--jobs must be a whole number of at least 1"),
        (["run", "small.toml", "--jobs", "0"], "--jobs must be a whole number of at least 1"),
        (["report", "nowhere"], "there are no results in nowhere"),
        (["report", "."], "not empty and not a folder of results"),
        (["run", "small.toml", "--results", "."], "not empty and not a folder of results"),
    ],
)
def test_what_cannot_be_done_gives_status_2_and_one_line(
    spec: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    toml(spec.parent / "wrong.toml", "sed = 1")
    assert cli.main(["study", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("minnet: ")
    assert err.count("\n") == 1
    assert reason in err


def test_the_results_of_another_spec_are_refused(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here(mn.study.Study.read(spec))
    toml(spec, SMALL + "seed = 4")
    assert cli.main(["study", "run", "small.toml"]) == 2
    assert "there seed is 0, here 4" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_study_that_goes_on_later(tmp_path: Path) -> None:
    path = toml(tmp_path / "small.toml", "replicates = 40")
    study = mn.study.Study.read(path, tmp_path / "found")
    words = ("study", "run", str(path), "--results", str(study.folder), "--jobs", "2")
    process = program(*words, cwd=tmp_path, start_new_session=True)
    while len(study.store.done()) < 3:
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes at once
    _, err = process.communicate()
    assert process.returncode == 130
    assert "what is done is kept: run again to go on" in err
    assert "Traceback" not in err, err
    done = study.store.done()
    assert 3 <= len(done) < len(study.plan().by_id)
    for run in sorted(done)[:5]:
        found = study.store.result(run)
        assert found and found["rounds"] == 1


def test_importing_minnet_imports_no_study() -> None:
    code = "import sys, minnet; print(*sys.modules); minnet.study.Study; minnet.measure.cka"
    code += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert not before & {"minnet.study", "minnet.measure", "multiprocessing", "concurrent.futures"}
    assert {"minnet.study", "minnet.measure"} <= after
    assert not after & {"matplotlib", "tqdm", "distributed", "dask"}
    with pytest.raises(AttributeError, match="no attribute 'no_such_thing'"):
        _ = mn.no_such_thing


# --- the paper's own study --------------------------------------------------------------------


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """The paper's spec beside a folder of eight classes of tiny images."""
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(0)
    for i in range(8):
        folder = tmp_path / "imagenet" / "train" / f"n{i}"
        folder.mkdir(parents=True)
        for j in range(2):
            pixels = random.integers(0, 256, (20 + i, 30, 3)).astype(np.uint8)
            image.fromarray(pixels).save(folder / f"{j}.png")
    path = tmp_path / "yosinski-caffenet.toml"
    # Of two images a class, 4% are none.
    path.write_text((EXAMPLES / path.name).read_text().replace("test = 0.04", "test = 0.5"))
    return path


def test_the_runs_of_the_paper_are_planned(
    imagenet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["study", "plan", str(imagenet)]) == 0
    out = capsys.readouterr().out
    assert "8 bases, then 336 treatments" in out  # 4 splits, both ways, 6 treatments, n of 1 to 7
    assert "AnB+ n=7 3A -> 3B #0" in out
    assert "344 of 344 runs to do" in out


# The paper's net but for the two large layers, which take half a minute to begin with.
NARROW = """
import minnet as mn
def net(classes, input):
    small = {("fc6",): mn.Linear(64), ("fc7",): mn.Linear(64)}
    return mn.models.caffenet(classes, input).with_layers(small)
"""


def test_every_treatment_takes_a_step_on_images_of_the_full_size(imagenet: Path) -> None:
    (imagenet.parent / "narrow.py").write_text(NARROW)
    text = imagenet.read_text()
    for old, new in (
        ("steps = 450000", "steps = 1"),
        ("batch_size = 256", "batch_size = 2"),
        ("random = 4", "random = 1"),
        ('model = "caffenet"', 'function = "narrow:net"'),
        ("seed = 1\n", "seed = 1\nn = [1, 7]\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    imagenet.write_text(text)
    study = mn.study.Study.read(imagenet, imagenet.parent / "found")
    study.open()
    plan = study.plan()
    of_a = [run for run in plan.treatments if run.target == "0A"]
    assert [run.treatment for run in of_a[::2]] == study.spec["treatments"]
    for run in (*plan.bases, *of_a):
        done = work(study.spec, str(study.base), str(study.folder), run.id)
        assert done["error"] is None
        result = study.store.result(run.id)
        assert result and np.isfinite(result["last_loss"])
        assert result["layers"] == 8
        assert result["trained"] > 0
