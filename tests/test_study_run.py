"""Single runs of a study: what each starts from, what stays frozen, and what is noted of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_toys import IMAGE_LAYERS, here, images, points, results, toy

import minnet as mn
from minnet.study.features import measured_features
from minnet.study.plan import Run, first_layers
from minnet.study.run import train_run
from minnet.study.sources import load_half
from minnet.train import TrainResult

# Four weight layers with normalisation, and what else goes with the layer before.
NET = {
    "layers": [*IMAGE_LAYERS, "Linear(6)", "LayerNorm", "Ramp", "Dropout", "Linear()", "Softmax"]
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> mn.study.Study:
    """A study of images whose runs are done."""
    folder = tmp_path_factory.mktemp("study")
    images(folder / "images.npz", (10, 10))
    found = toy(
        folder,
        data={"file": "images.npz"},
        net=NET,
        train={"rounds": 2, "batch_size": 8, "optimizer": "sgd", "learning_rate": 0.01},
    )
    outcome = here(found)
    assert not outcome.failed
    return found


def picked(study: mn.study.Study, treatment: str, n: int) -> Run:
    """Return the run of a treatment for half A."""
    return next(
        run
        for run in (*study.plan().bases, *study.plan().treatments)
        if (run.treatment, run.n, run.target) == (treatment, n if treatment != "base" else 0, "0A")
    )


def trained(study: mn.study.Study, run: Run) -> TrainResult:
    """Do a run again and return all that came of it."""
    return train_run(study.spec, study.base, study.plan(), run, study.store)


def below(net: mn.Chain, n: int) -> dict[Any, Any]:
    """Return the arrays in the first n weight layers and what goes with them."""
    keys = first_layers(net, n)
    return {path: array for path, array in net.arrays().items() if path[0] in keys}


def base_net(study: mn.study.Study, half: str) -> Any:
    """Return a base net."""
    return study.store.net(study.plan().base_of(half, 0).id)


# --- where they start and what stays ----------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(("treatment", "source"), [("BnB", "0A"), ("AnB", "0B")])
def test_frozen_layers_stay_those_of_the_base_bit_for_bit(
    study: mn.study.Study, treatment: str, source: str, n: int
) -> None:
    final = trained(study, picked(study, treatment, n)).final
    base = base_net(study, source)
    frozen = below(final, n)
    assert len(frozen) >= 2 * n
    for path, array in frozen.items():
        assert array.tobytes() == base[path].tobytes(), path
    for path, array in final.arrays().items():
        if path not in frozen and path[-1] == "weight":
            assert not np.array_equal(array, base[path]), path


@pytest.mark.parametrize("n", [1, 3])
def test_random_layers_are_new_and_stay_as_they_began(study: mn.study.Study, n: int) -> None:
    run = picked(study, "random", n)
    final = trained(study, run).final
    begun = final.deinitialize().initialize(seed=run.seed)
    for path, array in below(final, n).items():
        assert array.tobytes() == begun[path].tobytes(), path
        if path[-1] == "weight":
            assert not np.array_equal(array, base_net(study, "0A")[path])
            assert not np.array_equal(array, base_net(study, "0B")[path])


@pytest.mark.parametrize(("treatment", "source"), [("BnB+", "0A"), ("AnB+", "0B")])
def test_fine_tuned_layers_begin_with_the_base_and_learn(
    study: mn.study.Study, treatment: str, source: str
) -> None:
    base = base_net(study, source)
    result = trained(study, picked(study, treatment, 2))
    assert set(result.table.trainable()) == {
        path for path in result.final.arrays() if "running" not in path[-1]
    }
    for path, array in below(result.final, 2).items():
        moved = float(np.abs(array - base[path]).max())
        assert moved > 0, path
        if path[-1] == "weight":
            assert moved < 0.5 * float(base[path].std())


def test_what_is_above_begins_anew_in_every_run(study: mn.study.Study) -> None:
    finals = [trained(study, picked(study, name, 1)).final for name in ("base", "BnB", "AnB")]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        last = [list(finals[k].arrays().items())[-2][1] for k in (i, j)]
        assert not np.allclose(*last, atol=0.05)


def test_the_noise_of_meanvar_has_mean_and_variance_of_each_array(tmp_path: Path) -> None:
    layers = ["Linear(3000)", "BatchNorm", "Ramp", "Linear(40)", "Ramp", "Linear()", "Softmax"]
    # With so small a rate, what is found after the run is what it began with.
    study = toy(
        tmp_path,
        net={"layers": layers},
        treatments=["meanvar"],
        train={"steps": 1, "learning_rate": 1e-12},
    )
    here(study)
    base = base_net(study, "0B")
    final = trained(study, picked(study, "meanvar", 2)).final
    for path, array in below(final, 2).items():
        if path[-1] != "weight":
            continue
        assert abs(np.corrcoef(array.ravel(), base[path].ravel())[0, 1]) < 0.05
        assert array.mean() == pytest.approx(base[path].mean(), abs=0.1 * float(base[path].std()))
        assert array.std() == pytest.approx(base[path].std(), rel=0.05)
    assert final[1, "running_variance"].min() > 0


# --- what is noted ----------------------------------------------------------------------------


def test_the_notes_of_each_run(study: mn.study.Study) -> None:
    found = {(r["treatment"], r["n"], r["target"]): r for r in results(study)}
    assert len(found) == 2 + 6 * 3 * 2
    for (treatment, n, _), result in found.items():
        assert result["layers"] == 4
        assert result["chance"] == 0.5
        assert result["rounds"] == len(result["accuracies"]) == 2
        assert result["accuracy"] <= result["best_accuracy"] == max(result["accuracies"])
        assert (result["source"] is None) == (treatment in ("base", "random"))
        frozen = below(base_net(study, "0A"), n) if treatment in ("BnB", "AnB", "random") else {}
        size = sum(
            a.size for p, a in base_net(study, "0A").arrays().items() if "running" not in p[-1]
        )
        assert result["trained"] == size - sum(
            a.size for p, a in frozen.items() if "running" not in p[-1]
        )
        assert (result["reused"] > 0) == bool(frozen)
    assert len(study.records()) == len(found)


def test_a_base_reaches_itself(study: mn.study.Study) -> None:
    for result in results(study):
        if result["treatment"] == "base":
            reached = result["rounds_to_base"]
            assert result["accuracies"][reached - 1] >= result["accuracy"] - 0.01
            assert all(a < result["accuracy"] - 0.01 for a in result["accuracies"][: reached - 1])


@pytest.mark.parametrize(("learning_rate", "collapsed"), [(1e-9, True), (0.3, False)])
def test_a_run_that_learns_nothing_has_collapsed(
    tmp_path: Path, learning_rate: float, collapsed: bool
) -> None:
    points(tmp_path / "points.npz", each=40)
    train = {"rounds": 20, "learning_rate": learning_rate, "optimizer": "sgd"}
    # A net that begins with nearly equal probabilities is at chance as long as it learns nothing.
    net = {"layers": ["Linear(6)", "Ramp", "Elementwise('sigmoid')", "Linear()", "Softmax"]}
    study = toy(tmp_path, treatments=["random"], n=[1], net=net, train=train)
    here(study)
    bases = [result for result in results(study) if result["treatment"] == "base"]
    assert [base["collapsed"] for base in bases] == [collapsed] * 2


def test_reusing_frozen_outputs_changes_no_more_than_rounding(tmp_path: Path) -> None:
    images(tmp_path / "images.npz", (10, 10))
    found = []
    for reuse in (True, False):
        study = toy(
            tmp_path,
            results=f"reuse-{reuse}",
            data={"file": "images.npz"},
            net=NET,
            treatments=["BnB", "AnB", "random"],
            # Adam would turn what rounding leaves of a gradient of zero into steps of full size.
            train={"rounds": 3, "batch_size": 8, "optimizer": "sgd", "reuse_frozen": reuse},
        )
        here(study)
        found.append(study)
    reusing, plain = found
    assert set(reusing.plan().by_id) == set(plain.plan().by_id)
    for run in reusing.plan().treatments:
        one, other = (trained(study, run) for study in found)
        assert one.reused > 0
        assert other.reused == 0
        np.testing.assert_allclose(one.curve("loss"), other.curve("loss"), rtol=1e-4)
        for path, array in one.final.arrays().items():
            np.testing.assert_allclose(
                array, other.final[path], rtol=1e-4, atol=1e-5, err_msg=f"{run.label}: {path}"
            )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "signsgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_every_way_to_train(tmp_path: Path, optimizer: str, schedule: str) -> None:
    train = {"optimizer": optimizer, "schedule": schedule, "steps": 2, "l2": 1e-4}
    train |= {"step_every": 1} if schedule == "step" else {}
    study = toy(tmp_path, treatments=["AnB+"], n=[2], train={**train, "weight_decay": 1e-3})
    assert len(here(study).done) == 4


# --- what features say ------------------------------------------------------------------------


ALL = {"probe": True, "cka": True, "scores": ["h_score", "logme", "leep", "nce"]}


@pytest.mark.parametrize("pool", ["mean", "max", "flatten"])
def test_measures_are_noted_by_layer(tmp_path: Path, pool: str) -> None:
    images(tmp_path / "images.npz", (10, 10), each=30)
    study = toy(
        tmp_path,
        data={"file": "images.npz"},
        net=NET,
        treatments=["AnB", "AnB+"],
        n=[2],
        measures={**ALL, "pool": pool},
    )
    assert not here(study).failed
    runs = [result for result in results(study) if result["treatment"] == "measures"]
    assert len(runs) == 4
    for run in runs:
        found = {(item["name"], item["n"]): item["value"] for item in run["measures"]}
        assert {name for name, n in found if n == 0} == {"leep", "nce"}
        for n in (1, 2, 3):
            assert 0 <= found["probe", n] <= 1
            is_same = run["source"] == run["target"]
            assert (
                found["cka", n] == pytest.approx(1, abs=1e-5)
                if is_same
                else 0 <= found["cka", n] < 1
            )
        assert ("fewer" in str(run["warnings"]) or "features" in str(run["warnings"])) == (
            pool == "flatten"
        )
    kept = [result["kept"] for result in results(study) if result["treatment"] == "AnB+"]
    assert [[item["n"] for item in items] for items in kept] == [[1, 2]] * 2
    assert all(0 < item["value"] <= 1.000001 for items in kept for item in items)


def changed(net: Any, change: Callable[[Any], Any]) -> Any:
    """Return a net whose first weight is changed."""
    return net.with_arrays({(0, "weight"): change(net[0, "weight"]), (0, "bias"): net[0, "bias"]})


@pytest.mark.parametrize(
    "change",
    [lambda w: 0 * w, lambda w: w * np.float32(1e38), lambda w: w * np.float32(1e-30)],
    ids=["dead", "infinite", "tiny"],
)
def test_odd_features_are_warned_of(study: mn.study.Study, change: Callable[[Any], Any]) -> None:
    data = load_half(study.spec, study.plan().halves["0A"], study.base)
    source, target = changed(base_net(study, "0A"), change), base_net(study, "0B")
    wanted = {**ALL, "examples": 100, "pool": "flatten"}
    with np.errstate(all="ignore"):
        found = measured_features(wanted, source, target, data, 4)
    assert all(np.isfinite(item["value"]) for item in found["measures"])
    assert found["warnings"]
    assert found["warnings"] == sorted(set(found["warnings"]))
