"""What a study's spec may say: every default, and every wrong key or value by its path."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from study_toys import toml

import minnet as mn
from minnet.study.spec import TREATMENTS, checked_spec, read_toml
from minnet.study.study import spec_text

DATA = {"file": "points.npz"}


def refused(spec: dict[str, Any]) -> str:
    """Return why a spec is refused."""
    with pytest.raises(mn.SpecError) as error:
        checked_spec(spec)
    return str(error.value)


def test_everything_has_a_default_but_the_data() -> None:
    spec = checked_spec({"data": DATA})
    assert spec["treatments"] == list(TREATMENTS)
    assert spec["halves"]["random"] == 1
    assert spec["net"]["model"] == "lenet"
    assert spec["train"]["rounds"] == 10
    assert spec["measures"]["scores"] == []
    assert refused({}).startswith("data: say what the data is")


def test_a_checked_spec_is_checked_again_without_change() -> None:
    once = checked_spec({"data": DATA, "train": {"steps": 5}, "n": [2]})
    assert checked_spec(once) == once
    assert once["train"]["rounds"] is None


def test_defaults_are_not_shared() -> None:
    checked_spec({"data": DATA})["treatments"].clear()
    assert checked_spec({"data": DATA})["treatments"] == list(TREATMENTS)


@pytest.mark.parametrize("table", ["halves", "net", "train", "measures", "data"])
def test_an_unknown_key_is_refused_with_its_path_and_what_is_allowed(table: str) -> None:
    spec: dict[str, Any] = {"data": DATA}
    spec[table] = {**spec.get(table, {}), "colour_of_hat": 1}
    message = refused(spec)
    assert message.startswith(f"{table}.colour_of_hat: unknown key; allowed are ")
    assert all(key in message for key in checked_spec({"data": DATA})[table])


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ({"treatment": ["BnB"]}, "treatment: unknown key; * (did you mean treatments?)"),
        ({"train": {"learning_rte": 1}}, "train.learning_rte: * (did you mean learning_rate?)"),
        ({"halves": {"randm": 1}}, "halves.randm: * (did you mean random?)"),
        ({"net": {"layer": []}}, "net.layer: * (did you mean layers?)"),
        ({"measures": {"probes": True}}, "measures.probes: * (did you mean probe?)"),
        ({"data": {"fil": "x"}}, "data.fil: * (did you mean file?)"),
        ({"train": {"optimizer": "adamm"}}, "train.optimizer: * (did you mean adam?)"),
    ],
)
def test_a_slip_gets_a_hint(spec: dict[str, Any], hint: str) -> None:
    beginning, end = hint.split("*")
    message = refused({"data": DATA, **spec})
    assert message.startswith(beginning)
    assert message.endswith(end)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("name", "", "expected a text"),
        ("seed", -1, "whole number of at least 0"),
        ("seed", True, "whole number of at least 0"),
        ("seed", 1.5, "whole number of at least 0"),
        ("replicates", 0, "whole number of at least 1"),
        ("treatments", [], "expected a list of treatments"),
        ("treatments", "AnB", "expected a list of treatments"),
        ("treatments", ["AnC"], "one of BnB, BnB+, AnB, AnB+, random, meanvar"),
        ("treatments", ["AnB", "AnB"], "stands twice"),
        ("n", [0], "whole number of at least 1"),
        ("n", 3, "expected a list of numbers of layers"),
        ("leave_out_collapsed", 1, "true or false"),
        ("threads", 0, "whole number of at least 1"),
        ("data", "points.npz", "expected a table with the keys file, folder"),
        ("net", "lenet", "expected a table with the keys model, layers, function"),
        ("data.test", 1.0, "share between 0 and 1"),
        ("data.test", 1, "share between 0 and 1"),
        ("data.size", [28], r"[height, width]"),
        ("data.size", [28, 0], "at least 1"),
        ("data.color", "blue", "one of gray, color"),
        ("data.scale", 0, "number above 0"),
        ("data.file", 3, "expected a text"),
        ("halves.random", -1, "at least 0"),
        ("halves.seed", "1", "at least 0"),
        ("halves.named", [1], "expected a table of NAME"),
        ("net.layers", "Linear", "expected a list of layers"),
        ("net.layers", [1], "expected a text"),
        ("net.function", "module", "module:function"),
        ("net.function", "module:", "module:function"),
        ("train.learning_rate", 0, "number above 0"),
        ("train.learning_rate", float("nan"), "number above 0"),
        ("train.learning_rate", float("inf"), "number above 0"),
        ("train.l2", -0.1, "number of at least 0"),
        ("train.momentum", "0.9", "number of at least 0"),
        ("train.schedule", "linear", "one of constant, cosine, step"),
        ("train.rounds", 0, "at least 1"),
        ("train.batch_size", 2.0, "at least 1"),
        ("train.reuse_frozen", "yes", "true or false"),
        ("measures.scores", ["leap"], "did you mean leep"),
        ("measures.scores", "leep", "expected a list of scores"),
        ("measures.examples", 1, "at least 2"),
        ("measures.pool", "sum", "one of mean, max, flatten"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(key: str, value: Any, reason: str) -> None:
    table, _, inner = key.rpartition(".")
    spec = {"data": dict(DATA)}
    spec.update({table: {**spec.get(table, {}), inner: value}} if table else {key: value})
    message = refused(spec)
    assert message.startswith(f"{key}: ")
    assert reason in message


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"s": [["a"], []]}, "halves.named.s: half B has no class"),
        ({"s": [[], ["a"]]}, "halves.named.s: half A has no class"),
        ({"s": [["a"]]}, "halves.named.s: expected two lists of classes"),
        ({"s": [["a", "b"], ["c", "b"]]}, "halves.named.s: the halves overlap: 'b' is in both"),
        ({"s": [["a", "a"], ["c"]]}, "halves.named.s: something stands twice"),
        ({"s": [[1.5], ["c"]]}, "halves.named.s: expected a class"),
        ({"0": [["a"], ["b"]]}, "halves.named.0: the name of a split is letters"),
        ({"a/b": [["a"], ["b"]]}, "halves.named.a/b: the name of a split is letters"),
    ],
)
def test_wrong_groups_are_refused(named: dict[str, Any], reason: str) -> None:
    assert refused({"data": DATA, "halves": {"named": named}}).startswith(reason)


def test_named_groups_are_the_only_split_unless_random_ones_are_asked_for() -> None:
    named = {"semantic": [["a", "b"], ["c", "d"]]}
    assert checked_spec({"data": DATA, "halves": {"named": named}})["halves"]["random"] == 0
    both = checked_spec({"data": DATA, "halves": {"named": named, "random": 3}})
    assert both["halves"]["random"] == 3
    assert refused({"data": DATA, "halves": {"random": 0}}) == (
        "halves: no split at all: set random or named"
    )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"data": {"file": "a", "folder": "b"}}, "data: file and folder can't both be given"),
        ({"data": {"test": 0.5}}, "data: say where the data is"),
        ({"data": {"folder": "a"}}, "data: a folder of images needs size"),
        ({"data": {"file": "a", "path": "b"}}, "data: path is what a reader is given"),
        ({"net": {"model": "lenet", "layers": ["Ramp"]}}, "net: model and layers can't both"),
        ({"train": {"schedule": "step"}}, 'train: schedule = "step" and step_every'),
        ({"train": {"step_every": 5}}, 'train: schedule = "step" and step_every'),
    ],
)
def test_keys_that_contradict_each_other_are_refused(spec: dict[str, Any], reason: str) -> None:
    assert refused({"data": DATA, **spec}).startswith(reason)


def test_two_data_sets() -> None:
    two = {"A": DATA, "B": {"reader": "fashion_mini"}}
    spec = checked_spec({"data": two})
    assert spec["data"]["B"]["reader"] == "fashion_mini"
    assert spec["halves"]["random"] == 0
    assert checked_spec(spec) == spec
    assert refused({"data": {"A": DATA}}).startswith("data: two data sets are data.A and data.B")
    assert refused({"data": {**two, "test": 0.5}}).startswith("data: two data sets are")
    assert refused({"data": {**two, "B": {"fil": "x"}}}).startswith("data.B.fil: unknown key")
    assert refused({"data": two, "halves": {"random": 2}}).startswith(
        "halves: the halves are the two data sets"
    )


def test_a_path_may_be_a_path(tmp_path: Path) -> None:
    assert checked_spec({"data": {"file": tmp_path}})["data"]["file"] == str(tmp_path)


# --- files ----------------------------------------------------------------------------------


def test_a_file_gives_the_study_its_name_and_folder(tmp_path: Path) -> None:
    study = mn.study.Study.read(toml(tmp_path / "blobs.toml", "seed = 7"))
    assert study.spec["name"] == "blobs"
    assert study.spec["seed"] == 7
    assert study.base == tmp_path
    assert study.folder == Path("blobs-results")
    assert mn.study.Study.read(toml(tmp_path / "blobs.toml", 'name = "x"')).spec["name"] == "x"


@pytest.mark.parametrize("text", ["= 1", "seed = ", "seed = 1\nseed = 2", "[data", "seed = 01"])
def test_what_is_not_toml_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(mn.SpecError, match=r"bad\.toml: this is not TOML: .*at "):
        mn.study.Study.read(tmp_path / "bad.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(mn.SpecError, match="this is not TOML"):
        mn.study.Study.read(tmp_path / "bad.toml")


@pytest.mark.parametrize("key", ["sed", "folder", "base"])
def test_a_wrong_key_in_a_file_is_refused_with_the_file(tmp_path: Path, key: str) -> None:
    with pytest.raises(mn.SpecError, match=rf"s\.toml: {key}: unknown key"):
        mn.study.Study.read(toml(tmp_path / "s.toml", f"{key} = 1"))


@pytest.mark.parametrize("name", ["fashion-mini", "fashion-full", "yosinski-caffenet"])
def test_the_specs_that_ship_are_right(name: str) -> None:
    path = Path(__file__).parent.parent / "examples" / f"{name}.toml"
    assert mn.study.Study.read(path).spec["name"] == name


EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("name", ["fashion-mini", "fashion-full", "yosinski-caffenet"])
def test_a_spec_can_be_written_as_toml_again(name: str) -> None:
    spec = checked_spec(read_toml(EXAMPLES / f"{name}.toml"))
    assert checked_spec(tomllib.loads(spec_text(spec))) == spec


def test_odd_names_survive_as_toml() -> None:
    halves = {"named": {"föhn-2": [["a", "b"], ["c", 'd "e"']]}}
    spec = checked_spec({"data": DATA, "halves": halves})
    assert checked_spec(tomllib.loads(spec_text(spec))) == spec
