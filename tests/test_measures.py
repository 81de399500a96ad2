"""Measures and evaluate: accuracy, top-k, confusion, functions, and putting batches together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from train_samples import classifier, points, quiet

import minnet as mn
from minnet.errors import DataError, ShapeError, SpecError
from minnet.train.measures import Tally


def scored(scores, labels, **options):
    """Evaluate a net whose outputs are the softmax of the scores given as its inputs."""
    names = list(range(len(scores[0])))
    net = mn.Chain(mn.Softmax(), input=len(names), output=mn.ClassDecoder(names))
    return mn.evaluate(net, (np.array(scores, float), labels), **options)


SCORES = [[3, 2, 1], [1, 3, 2], [1, 2, 3], [3, 2, 1]]


# --- what is measured ---------------------------------------------------------------------------


def test_accuracy_confusion_and_top_k_of_a_small_example():
    found = scored(SCORES, [0, 1, 0, 1], measure=["accuracy", "confusion", "top_2", mn.top(3)])
    assert found["accuracy"] == 0.5
    assert found["top_2"] == 0.75 and found["top_3"] == 1.0
    # Rows are the right classes, columns what the net says.
    assert found["confusion"].tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert list(found) == ["loss", "accuracy", "confusion", "top_2", "top_3"]


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 20))
def test_measures_agree_with_each_other(seed, classes, count):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, (count, classes))  # so few values that many are equal
    labels = random.integers(0, classes, count)
    measures = ["accuracy", "confusion", *(mn.top(k) for k in range(1, classes + 1))]
    found = scored(scores, labels, measure=measures, batch_size=int(random.integers(1, 9)))
    tops = [found[f"top_{k}"] for k in range(1, classes + 1)]
    assert tops[0] == pytest.approx(found["accuracy"])
    assert tops == sorted(tops) and tops[-1] == pytest.approx(1.0)
    assert found["confusion"].sum() == count
    assert np.trace(found["confusion"]) == pytest.approx(count * found["accuracy"])
    assert found["confusion"].sum(1).tolist() == np.bincount(labels, minlength=classes).tolist()


def test_a_net_that_says_the_same_of_all_classes_is_right_by_chance_only():
    found = scored([[0, 0, 0, 0]] * 4, [0, 1, 2, 3], measure=["accuracy", "top_2"])
    assert (found["accuracy"], found["top_2"]) == (0.25, 0.5)


def test_targets_may_be_probabilities():
    shares = np.eye(3)[[0, 1, 0, 1]]
    names = ["accuracy", "confusion", "top_2"]
    found = scored(SCORES, shares, measure=names)
    expected = scored(SCORES, [0, 1, 0, 1], measure=names)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def test_answers_of_yes_or_no_are_counted_one_by_one():
    net = mn.Chain(mn.Sigmoid(), input=2)
    data = np.array([[5.0, -5.0], [5.0, 5.0]]), np.array([[1, 0], [0, 1]])
    assert mn.evaluate(net, data)["accuracy"] == 0.75
    assert mn.evaluate(net, data, measure=mn.accuracy)["accuracy"] == 0.75


# --- functions ----------------------------------------------------------------------------------


def test_a_function_gets_the_final_outputs_and_the_encoded_targets():
    seen = []

    def sure(outputs, targets):
        seen.append((outputs.sum(-1), targets))
        return outputs.max()

    found = scored(SCORES, [0, 1, 0, 1], measure=sure)
    np.testing.assert_allclose(seen[0][0], 1, rtol=1e-6)
    assert seen[0][1].tolist() == [0, 1, 0, 1]
    assert found["sure"] == pytest.approx(np.exp(3) / np.exp([1, 2, 3]).sum())


def test_a_function_gets_targets_in_the_shape_of_the_outputs():
    x = np.arange(6.0).reshape(6, 1)

    def worst(outputs, targets):
        return abs(outputs - targets).max()  # of (6, 1) and (6,) it would be (6, 6)

    net = mn.Chain(mn.Tanh(), input=1)
    found = mn.evaluate(net, (x, np.tanh(x[:, 0])), measure=worst)
    assert found["worst"] == pytest.approx(0, abs=1e-6)


def test_a_function_gets_dicts_where_outputs_are_several():
    graph = mn.Graph(
        {"a": mn.Tanh(), "b": mn.Softmax()}, {"a": "input", "b": "input", "x": "a", "y": "b"}
    )

    def both(outputs, targets):
        assert set(outputs) == set(targets) == {"x", "y"}
        return abs(outputs["x"] - targets["x"]).mean()

    data = np.ones((4, 2)), {"x": np.ones((4, 2)), "y": np.zeros(4, int)}
    found = mn.evaluate(graph.initialize(input_shape=(2,)), data, measure=both)
    assert found["both"] == pytest.approx(1 - np.tanh(1))


def test_measures_may_be_arrays_and_are_kept_in_the_history():
    def by_column(outputs, targets):
        return outputs.mean(0)

    result = quiet(classifier(), points(), measure=[by_column, "accuracy"], validation=0.2)
    assert result.history[0]["by_column"].shape == (3,)
    assert result.curve("validation_by_column")[1].sum() == pytest.approx(1, rel=1e-5)


def test_a_measure_prints_itself():
    assert repr(mn.top(5)) == "Measure(name='top_5', add=False)"
    assert repr(mn.confusion) == "Measure(name='confusion', add=True)"


def test_no_measure_at_all():
    for measure in (None, ()):
        assert list(scored(SCORES, [0, 1, 0, 1], measure=measure)) == ["loss"]


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50, 1000])
def test_the_size_of_batches_changes_nothing(batch_size):
    x, y = points(50)
    net = classifier(4, mn.BatchNorm(), mn.Dropout()).initialize(input_shape=(2,))
    names = ["accuracy", "confusion", "top_2"]
    found = mn.evaluate(net, (x, y), measure=names, batch_size=batch_size)
    said = net(x)
    assert found["loss"] == pytest.approx(-np.log(said[np.arange(50), y]).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((said.argmax(1) == y).mean())
    assert found["confusion"].sum() == 50


def test_a_tally_weighs_batches_by_their_examples():
    tally = Tally(
        (mn.Measure("mean", lambda o, t: o.mean()), mn.Measure("n", lambda o, t: 1, True))
    )
    tally.add(2.0, np.array([1.0]), np.zeros(1))
    tally.add(5.0, np.array([4.0, 4.0]), np.zeros(2))
    assert tally.results() == {"loss": 4.0, "mean": 3.0, "n": 2}
    assert list(tally.results("validation_")) == [
        "validation_loss",
        "validation_mean",
        "validation_n",
    ]


def test_evaluate_takes_streams_and_data_sets():
    x, y = points(50)
    net = classifier().initialize(input_shape=(2,))
    expected = mn.evaluate(net, (x, y))
    for data in (mn.Dataset(x, y), lambda: [(x[:20], y[:20]), (x[20:], y[20:])], iter([(x, y)])):
        assert mn.evaluate(net, data) == pytest.approx(expected)


# --- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "measure, message",
    [
        ("acuracy", "accuracy, confusion, top_K"),
        ("top_0", "accuracy, confusion, top_K"),
        ("top_x", "accuracy, confusion, top_K"),
        (3, "measure must be"),
        ([3], "measure must be"),
        (["accuracy", mn.accuracy], "both be called 'accuracy'"),
        (mn.Measure("loss", lambda o, t: 0.0), "both be called 'loss'"),
        ("top_4", "no top 4 of 3"),
        (mn.Measure("words", lambda o, t: "many"), "'words' must give a number"),
        (mn.Measure("ragged", lambda o, t: [[1], [2, 3]]), "'ragged' must give a number"),
        (mn.Measure("nothing", lambda o, t: None), "'nothing' must give a number"),
    ],
)
def test_what_is_no_measure_is_refused(measure, message):
    with pytest.raises(SpecError, match=message):
        scored(SCORES, [0, 1, 0, 1], measure=measure)


def test_measures_of_classes_are_refused_where_there_are_none():
    data = np.ones((4, 2)), np.ones((4, 2))
    for measure in ("accuracy", "top_2", mn.confusion):
        with pytest.raises(SpecError, match="tell no classes"):
            mn.evaluate(mn.Chain(mn.Tanh(), input=2), data, measure=measure)


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", True])
def test_k_is_a_positive_whole_number(k):
    with pytest.raises(SpecError, match="k must be"):
        mn.top(k)


def test_a_measure_has_a_name_and_a_function():
    for arguments in ((3, len), ("", len), ("name", "function")):
        with pytest.raises(SpecError, match="a name and a function"):
            mn.Measure(*arguments)


def test_measures_of_classes_say_which_shapes_do_not_fit():
    outputs = np.ones((4, 3))
    with pytest.raises(ShapeError, match=r"outputs \(4, 3\) and targets \(4, 2\)"):
        mn.accuracy.function(outputs, np.ones((4, 2)))


@pytest.mark.parametrize(
    "net, data, error, message",
    [
        (mn.Linear(3), points(), SpecError, "expected a Chain or Graph"),
        (classifier(), points(), SpecError, "^0: Linear has no weight yet"),
        (classifier(), (np.ones((0, 2)), []), DataError, "no inputs|no labels"),
        (classifier(), (np.full((3, 2), np.nan), [0, 1, 2]), DataError, "example 0 has NaN"),
    ],
)
def test_evaluate_refuses_what_it_cannot_use(net, data, error, message):
    with pytest.raises(error, match=message):
        mn.evaluate(net, data)


def test_evaluate_refuses_a_wrong_batch_size():
    for batch_size in (0, -1, 2.5):
        with pytest.raises(SpecError, match="batch_size"):
            scored(SCORES, [0, 1, 0, 1], batch_size=batch_size)
