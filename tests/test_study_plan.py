"""The plan of a study: which runs there are, what each starts from, and what can't be planned."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_toys import IMAGE_LAYERS, LAYERS, images, points, toml, toy

import minnet as mn
from minnet.study.estimate import estimate
from minnet.study.plan import first_layers, weight_layers
from minnet.study.spec import TREATMENTS

# --- the runs ---------------------------------------------------------------------------------


def test_every_treatment_has_its_runs(tmp_path: Path) -> None:
    plan = toy(tmp_path, halves={"random": 3}, replicates=2).plan()
    assert plan.layers == 3
    assert len(plan.bases) == 3 * 2 * 2
    counts = Counter(run.treatment for run in plan.treatments)
    assert counts == dict.fromkeys(TREATMENTS, 3 * 2 * 2 * 2)
    assert len(plan.by_id) == len(plan.bases) + len(plan.treatments)
    assert len({run.seed for run in plan.by_id.values()}) == len(plan.by_id)
    assert len({run.label for run in plan.by_id.values()}) == len(plan.by_id)


def test_each_treatment_takes_its_layers_from_the_right_half(tmp_path: Path) -> None:
    found = {
        (run.treatment, run.source, run.target)
        for run in toy(tmp_path, n=[2]).plan().treatments
        if run.target == "0A"
    }
    own, other = "0A", "0B"
    sources = {"BnB": own, "BnB+": own, "AnB": other, "AnB+": other, "meanvar": other}
    expected = {(treatment, source, own) for treatment, source in sources.items()}
    assert found == {*expected, ("random", None, own)}


def test_measures_are_runs_of_the_second_wave(tmp_path: Path) -> None:
    runs = toy(tmp_path, treatments=["AnB"], measures={"probe": True}).plan().treatments
    pairs = {(run.source, run.target) for run in runs if run.treatment == "measures"}
    assert pairs == {("0A", "0A"), ("0B", "0A"), ("0A", "0B"), ("0B", "0B")}


def test_ids_follow_from_the_spec_alone(tmp_path: Path) -> None:
    first = toy(tmp_path, results="one").plan()
    assert list(toy(tmp_path, results="two", n=[2, 1]).plan().by_id) != list(first.by_id)
    assert set(toy(tmp_path, results="two", n=[2, 1]).plan().by_id) == set(first.by_id)
    assert set(toy(tmp_path, treatments=["AnB"]).plan().by_id) < set(first.by_id)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"train": {"rounds": 3}},
        {"net": {"layers": ["Linear(7)", *LAYERS[1:]]}},
        {"halves": {"named": {"other": [[0, 1], [2, 3]]}}},
        {"data": {"file": "points.npz", "test": 0.3}},
    ],
)
def test_what_decides_a_result_changes_every_id(tmp_path: Path, change: dict[str, Any]) -> None:
    assert not set(toy(tmp_path).plan().by_id) & set(toy(tmp_path, **change).plan().by_id)


def test_planning_writes_nothing(tmp_path: Path) -> None:
    study = toy(tmp_path)
    study.plan()
    estimate(study)
    assert [path.name for path in tmp_path.iterdir()] == ["points.npz"]


# --- halves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [4, 5, 7])
def test_random_halves_share_the_classes_and_are_all_different(
    tmp_path: Path, classes: int
) -> None:
    points(tmp_path / "points.npz", classes, each=4)
    most = {4: 3, 5: 10, 7: 35}[classes]
    halves = toy(tmp_path, halves={"random": most}).plan().halves
    splits = set()
    for i in range(most):
        a, b = set(halves[f"{i}A"].classes), set(halves[f"{i}B"].classes)
        assert a | b == set(range(classes))
        assert not a & b
        assert len(a) == classes // 2
        splits.add(frozenset({frozenset(a), frozenset(b)}))
    assert len(splits) == most
    with pytest.raises(mn.SpecError, match=rf"halves\.random: .* in {most} ways, got {most + 1}"):
        toy(tmp_path, halves={"random": most + 1}).plan()


def test_random_halves_follow_from_their_seed(tmp_path: Path) -> None:
    def halves(**given: int) -> list[tuple[Any, ...]]:
        return [h.classes for h in toy(tmp_path, halves=given).plan().halves.values()]

    points(tmp_path / "points.npz", 9, each=4)
    assert halves(random=2) == halves(random=4)[:4]
    assert halves(random=2) != halves(random=2, seed=1)


def test_named_halves_keep_their_order(tmp_path: Path) -> None:
    halves = toy(tmp_path, halves={"named": {"odd": [[3, 1], [0, 2]]}}).plan().halves
    assert {name: half.classes for name, half in halves.items()} == {
        "oddA": (3, 1),
        "oddB": (0, 2),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"halves": {"named": {"s": [[0, 1], [2, 9]]}}}, r"halves\.named\.s: .* no class 9; it ha"),
        ({"halves": {"named": {"s": [[0], [2, 3]]}}}, r"halves: half sA has 1 class"),
        ({"n": [3]}, r"n: n is from 1 to 2 for a net of 3 weight layers, got 3"),
        ({"net": {"layers": ["Linear()", "Softmax"]}}, "net: .* at least two weight layers, got 1"),
        ({"net": {"layers": ["Liner(3)"]}}, r"net\.layers: there is no layer called 'Liner' .*Lin"),
        ({"net": {"layers": ["Linear(3"]}}, r"net\.layers: 'Linear\(3' is no layer"),
        ({"net": {"layers": ["__import__('os')"]}}, r"net\.layers: there is no layer called"),
        ({"net": {"layers": ["Linear(open('x'))"]}}, r"net\.layers: .* is no layer"),
        ({"net": {"layers": ["Linear(sise=3)"]}}, r"net\.layers: .*sise"),
        ({"net": {"layers": ["Linear(-3)"]}}, r"net\.layers: .*-3"),
        ({"net": {"layers": ["Layer()"]}}, r"net\.layers: there is no layer called 'Layer'"),
        ({"net": {"layers": ["Conv(3, 3)", "Linear()"]}}, r"net\.layers\.0: "),
        ({"net": {"model": "lenett"}}, r"net\.model: expected one of caffenet.*mean lenet\?"),
        ({"net": {"function": "no_such_module:net"}}, r"net\.function: 'no_such_module:net' can't"),
        ({"train": {"optimizer": "sgd", "momentum": 1.5}}, r"train: .*momentum of SGD"),
        ({"data": {"reader": "fashion_min"}}, r"data\.reader: expected one of .*fashion_mini\?"),
        ({"data": {"reader": "math:pi"}}, "'math:pi' is no function, but float"),
        ({"data": {"reader": "builtins:list"}}, r"data\.reader: expected a Dataset"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises((mn.SpecError, mn.ShapeError), match=reason):
        toy(tmp_path, **change).plan()


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"not an archive"])
def test_a_foreign_data_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign.npz").write_bytes(content)
    with pytest.raises((mn.DataError, mn.FormatError), match=r"foreign\.npz"):
        toy(tmp_path, data={"file": "foreign.npz"}).plan()


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(mn.DataError, match=r"missing\.npz"):
        toy(tmp_path, data={"file": "missing.npz"}).plan()
    with pytest.raises(mn.DataError, match=r"there is no folder .*missing"):
        toy(tmp_path, data={"folder": "missing", "size": [8, 8]}).plan()
    (tmp_path / "empty").mkdir()
    with pytest.raises(mn.DataError, match="no images in sub-folders"):
        toy(tmp_path, data={"folder": "empty", "size": [8, 8]}).plan()


def test_too_few_classes_are_refused(tmp_path: Path) -> None:
    points(tmp_path / "points.npz", classes=3)
    with pytest.raises(mn.SpecError, match="halves: two halves of at least two classes need four"):
        toy(tmp_path).plan()


def test_two_data_sets_have_one_shape(tmp_path: Path) -> None:
    images(tmp_path / "gray.npz")
    images(tmp_path / "large.npz", (9, 9), classes=3)
    layers = {"layers": [*IMAGE_LAYERS, "Linear()", "Softmax"]}
    two = {"A": {"file": "gray.npz"}, "B": {"file": "large.npz"}}
    with pytest.raises(mn.SpecError, match=r"data: .* one shape, got \(8, 8, 1\) and \(9, 9, 1\)"):
        toy(tmp_path, data=two, net=layers).plan()
    two["B"]["size"] = [8, 8]  # type: ignore[assignment]
    halves = toy(tmp_path, data=two, net=layers).plan().halves
    assert {name: half.classes for name, half in halves.items()} == {
        "dataA": (0, 1, 2, 3),
        "dataB": (0, 1, 2),
    }


NETS = """
import minnet as mn
def fixed(classes, input):
    return mn.Chain(mn.Linear(4), mn.Ramp(), mn.Linear(len(classes)), mn.Softmax(), input=input)
def wide(classes, input):
    return mn.Chain(mn.Linear(4 + classes[0]), mn.Ramp(), mn.Linear(), mn.Softmax(), input=input)
def deep(classes, input):
    return mn.Chain(*[mn.Linear(4)] * (1 + classes[0]), mn.Linear(), mn.Softmax(), input=input)
def nothing(classes, input):
    pass
"""


def test_nets_from_a_function_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "toy_nets.py").write_text(NETS)
    assert toy(tmp_path, net={"function": "toy_nets:fixed"}).plan().layers == 2
    for name in ("wide", "deep"):
        with pytest.raises(mn.SpecError, match=r"net\.function: .* share no shape"):
            toy(tmp_path, net={"function": f"toy_nets:{name}"}).plan()
    with pytest.raises(mn.SpecError, match=r"net\.function: .* must return a Chain or Graph"):
        toy(tmp_path, net={"function": "toy_nets:nothing"}).plan()


# --- where nets are cut -----------------------------------------------------------------------


def test_what_has_no_weights_goes_with_the_layer_before() -> None:
    net = mn.models.caffenet(10)
    assert weight_layers(net) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    assert first_layers(net, 0) == []
    assert first_layers(net, 1) == ["conv1", "ramp1", "pool1", "norm1"]
    assert first_layers(net, 5)[-1] == "flatten"
    assert first_layers(net, 7)[-1] == "drop7"
    assert first_layers(net, 8) == list(net.keys())


def test_normalisation_goes_with_the_layer_before() -> None:
    net = mn.Chain(
        mn.BatchNorm(), mn.Conv(4, 3), mn.BatchNorm(), mn.Ramp(), mn.LayerNorm(), mn.Linear(3)
    )
    assert weight_layers(net) == [1, 5]
    assert first_layers(net, 1) == [0, 1, 2, 3, 4]


def test_a_nested_net_is_one_layer() -> None:
    inner = mn.Chain(mn.Linear(4), mn.Ramp(), mn.Linear(4), name="inner")
    net = mn.Chain(mn.Linear(5), inner, mn.Ramp(), mn.Linear(2))
    assert weight_layers(net) == [0, "inner", 3]
    assert first_layers(net, 2) == [0, "inner", 2]


def test_a_graph_is_cut_in_the_order_of_its_wiring() -> None:
    net = mn.models.resnet18(10)
    assert weight_layers(net) == ["conv", *(f"block{i}" for i in range(1, 9)), "linear"]
    assert first_layers(net, 1) == ["conv", "norm", "ramp", "pool"]
    layers = {"last": mn.Linear(2), "first": mn.Linear(3)}  # written the wrong way round
    assert weight_layers(mn.Graph(layers, {"last": "first", "first": "input"})) == ["first", "last"]


# --- the estimate -----------------------------------------------------------------------------


def test_the_estimate_grows_with_the_work(tmp_path: Path) -> None:
    few = estimate(toy(tmp_path, train={"rounds": 10, "batch_size": 16}))
    many = estimate(toy(tmp_path, train={"rounds": 10_000, "batch_size": 16}))
    assert 0 < few.seconds < many.seconds
    assert estimate(toy(tmp_path, train={"steps": 1_000_000}), jobs=2).seconds > few.seconds
    assert few.bytes > toy(tmp_path).plan().layers
    assert few.how == "guessed from a forward pass"


@pytest.mark.parametrize("model", ["lenet", "resnet18"])
def test_the_estimate_knows_chains_and_graphs(tmp_path: Path, model: str) -> None:
    images(tmp_path / "images.npz", (28, 28), each=3)
    study = toy(tmp_path, data={"file": "images.npz"}, net={"model": model}, measures={"cka": True})
    found = estimate(study)
    assert np.isfinite(found.seconds)
    weights = sum(
        a.nbytes for a in getattr(mn.models, model)(2, (28, 28, 1)).initialize().arrays().values()
    )
    assert found.bytes > weights


def test_a_spec_file_is_planned(tmp_path: Path) -> None:
    assert len(mn.study.Study.read(toml(tmp_path / "s.toml")).plan().by_id) == 2 + 2 * 6 * 2
