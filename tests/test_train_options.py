"""What train can be told: stopping, the best net, callbacks, progress, the loss; and the result."""

import sys

import numpy as np
import pytest
from train_samples import classifier, points, quiet, same_nets

import minnet as mn
from minnet.errors import SpecError
from minnet.train.objective import choose_objective
from minnet.train.stop import better

DATA = points(64)


# --- stop ---------------------------------------------------------------------------------------


def rows(**columns):
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


@pytest.mark.parametrize(
    "stop, values, answer",
    [
        (mn.Stop(patience=2), [3, 2, 2.5], False),
        (mn.Stop(patience=2), [3, 2, 2.5, 2], True),
        (mn.Stop(patience=2), [3, 2, 2.5, 1.9], False),
        (mn.Stop(patience=2, change=0.5), [3, 2, 1.9, 1.6], True),
        (mn.Stop(patience=1), [1], False),
        (mn.Stop(patience=2), [np.nan, np.nan, np.nan], True),
        (mn.Stop(patience=2), [np.nan, 3, 2, 2.5], False),
    ],
)
def test_stop_waits_for_an_improvement(stop, values, answer):
    assert stop(rows(validation_loss=values)) is answer


def test_stop_says_what_there_is_when_its_metric_is_not():
    with pytest.raises(SpecError, match="no 'hinge' to stop by: there are loss"):
        mn.Stop("hinge")(rows(round=[1], loss=[2.0], seconds=[0.1]))


def test_losses_and_errors_should_fall_and_everything_else_rise():
    for falls in ("loss", "validation_loss", "my_error", "mse", "validation_mae", "rmse"):
        assert better(falls, 1.0, 2.0) and not better(falls, 2.0, 1.0)
    for rises in ("accuracy", "validation_top_5", "r2"):
        assert better(rises, 2.0, 1.0) and not better(rises, 1.0, 2.0)


@pytest.mark.parametrize(
    "stop, rounds",
    [
        (mn.Stop("validation_accuracy", patience=2), 3),
        ("validation_loss", 6),
        (3, 4),
        (lambda history: len(history) == 5, 5),
    ],
)
def test_every_form_of_stop_ends_the_training(stop, rounds):
    # With a multiplier so small that nothing changes, the first round stays the best.
    options = {"multipliers": 1e-30, "validation": 0.25, "rounds": 50}
    result = quiet(classifier(), DATA, stop=stop, **options)
    assert result.rounds == rounds and "no improvement" in result.stopped


# --- the best -----------------------------------------------------------------------------------


def wild(**options):
    """A training whose rounds get better and worse."""
    nets = []
    callback = lambda trainer, row: nets.append(trainer.net)  # noqa: E731
    optimizer = mn.SGD(3.0, momentum=0.9)
    result = quiet(
        classifier(16, mn.Tanh), DATA, optimizer=optimizer, rounds=8, callbacks=callback, **options
    )
    return result, nets


@pytest.mark.parametrize(
    "options, column, pick",
    [
        ({"validation": 0.3}, "validation_loss", np.argmin),
        ({"validation": 0.3, "best": "validation_accuracy"}, "validation_accuracy", np.argmax),
        ({"validation": 0.3, "stop": "validation_accuracy"}, "validation_accuracy", np.argmax),
        ({"validation": 0.3, "stop": "loss"}, "validation_loss", np.argmin),
        ({"validation": 0.3, "stop": 6, "best": "accuracy"}, "accuracy", np.argmax),
        ({"best": "loss"}, "loss", np.argmin),
    ],
)
def test_the_best_net_is_chosen_by_a_metric(options, column, pick):
    result, nets = wild(**options)
    best = int(pick(result.curve(column)))
    assert result.best_round == best + 1
    assert same_nets(result.net, nets[best])


# --- callbacks ----------------------------------------------------------------------------------


def test_callbacks_are_called_after_every_round_the_last_included():
    seen = []

    def first(trainer, row):
        assert isinstance(trainer, mn.Trainer)
        seen.append(("first", row["round"], trainer.steps))

    quiet(classifier(), DATA, rounds=2, callbacks=[first, lambda t, row: seen.append("second")])
    assert seen == [("first", 1, 4), "second", ("first", 2, 8), "second"]


@pytest.mark.parametrize("answer, rounds", [(True, 2), (np.True_, 2), (1, 5), ("no", 5), (None, 5)])
def test_a_callback_that_says_true_ends_it(answer, rounds):
    result = quiet(
        classifier(),
        DATA,
        rounds=5,
        callbacks=lambda t, row: answer if row["round"] == 2 else False,
    )
    assert result.rounds == rounds
    assert result.stopped == ("a callback asked for it" if rounds == 2 else "5 rounds")


# --- progress -----------------------------------------------------------------------------------


def test_progress_can_be_quiet(capsys):
    for progress in (False, None):
        mn.train(classifier(), DATA, rounds=2, progress=progress)
    assert capsys.readouterr() == ("", "")


def test_progress_in_lines(capsys):
    mn.train(classifier(), DATA, rounds=2, validation=0.25, progress="lines")
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("round 1: loss ") and second.startswith("round 2: loss ")
    assert "validation_accuracy" in first and first.endswith(" s")


@pytest.mark.parametrize("progress", [True, "bar"])
def test_progress_in_a_bar(capsys, progress):
    pytest.importorskip("tqdm")
    mn.train(classifier(), DATA, rounds=2, validation=0.25, progress=progress)
    out, err = capsys.readouterr()
    assert out == ""
    last = err.rstrip().rsplit("\r", 1)[-1]
    assert "100%" in last and "round 2" in last and "validation_accuracy" in last
    mn.train(classifier(), points(2000), batch_size=1, progress=progress, callbacks=lambda *_: True)
    assert "no limit given: training for 10 rounds" in capsys.readouterr().err


def test_without_tqdm_there_are_lines_unless_a_bar_is_asked_for(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)  # importing it raises an ImportError
    mn.train(classifier(), DATA, rounds=1, progress=True)
    assert capsys.readouterr().err.startswith("round 1: ")
    with pytest.raises(SpecError, match=r"pip install 'minnet\[progress\]'"):
        mn.train(classifier(), DATA, rounds=1, progress="bar")


# --- the loss -----------------------------------------------------------------------------------


def goal(net, loss=None):
    (chosen,) = choose_objective(net, loss).goals.values()
    return chosen.loss, chosen.kind, None if chosen.folded is None else chosen.folded[0]


CLASSES = mn.ClassDecoder(["a", "b", "c"])


@pytest.mark.parametrize(
    "net, loss, expected",
    [
        (mn.Chain(3, mn.Softmax), None, ("cross_entropy", "classes", (1,))),
        (mn.Chain(3, end=mn.LogSoftmax), None, ("cross_entropy", "classes", ("end",))),
        (mn.Chain(3, [2, mn.Softmax]), None, ("cross_entropy", "classes", (1, 1))),
        (mn.Chain(3, output=CLASSES), None, ("cross_entropy", "classes", None)),
        (mn.Chain(1, mn.Sigmoid), None, ("binary_cross_entropy", "yes or no", (1,))),
        (mn.Chain(3, mn.Sigmoid, output=CLASSES), None, ("binary_cross_entropy", "classes", (1,))),
        (mn.Chain(3), None, ("mean_squared_error", "numbers", None)),
        (mn.Chain(1, output=mn.ScalarDecoder()), None, ("mean_squared_error", "numbers", None)),
        (mn.Chain(3), "mean_absolute_error", ("mean_absolute_error", "numbers", None)),
        (mn.Chain(3), "cross_entropy", ("cross_entropy", "classes", None)),
        (mn.Chain(3, mn.Softmax), "mean_squared_error", ("mean_squared_error", "classes", None)),
        (mn.Chain(3, mn.Softmax), mn.ops.cross_entropy, ("cross_entropy", "classes", (1,))),
        (mn.Chain(3, mn.Softmax), {"output": "cross_entropy"}, ("cross_entropy", "classes", (1,))),
        (mn.Chain(3, mn.Softmax), lambda o, t: o.sum(), ("custom", "classes", None)),
        (mn.Chain(), None, ("mean_squared_error", "numbers", None)),
    ],
)
def test_the_loss_goes_with_the_end_of_the_net(net, loss, expected):
    assert goal(net, loss) == expected


def test_a_final_softmax_in_a_graph_or_in_one_inside_is_folded():
    block = mn.Graph({"l": mn.Linear(3), "end": mn.Softmax()}, {"l": "input", "end": "l"})
    assert goal(block) == ("cross_entropy", "classes", ("end",))
    around = mn.Graph({"in": mn.Linear(2), "block": block}, {"in": "input", "block": "in"})
    assert goal(around) == ("cross_entropy", "classes", ("block", "end"))
    assert goal(mn.Chain(2, block)) == ("cross_entropy", "classes", (1, "end"))


def test_a_softmax_at_one_of_several_outputs_of_a_block_is_folded():
    inner = mn.Graph(
        {"l": mn.Linear(3), "end": mn.Softmax()}, {"l": "input", "end": "l", "a": "end", "b": "l"}
    )
    around = mn.Graph({"block": inner}, {"block": "input", "x": "block.a", "y": "block.b"})
    chosen = choose_objective(around).goals
    assert chosen["x"].folded[0] == ("block", "end") and chosen["x"].loss == "cross_entropy"
    assert (chosen["y"].folded, chosen["y"].loss) == (None, "mean_squared_error")
    x, y = DATA
    net = around.initialize(input_shape=(2,))
    said = net(x)
    by_hand = -np.log(said["x"][np.arange(64), y]).mean() + (said["y"] ** 2).mean()
    found = mn.evaluate(net, (x, {"x": y, "y": np.zeros((64, 3))}))["loss"]
    assert found == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.host
def test_a_function_that_happens_to_be_called_cross_entropy_gets_the_probabilities():
    def cross_entropy(outputs, targets):
        assert outputs.data.sum(-1) == pytest.approx(1)
        return -(mn.ops.log(outputs) * np.eye(3)[targets]).sum(-1).mean()

    own = quiet(classifier(), DATA, loss=cross_entropy, optimizer=mn.SGD(0.1))
    usual = quiet(classifier(), DATA, optimizer=mn.SGD(0.1))
    assert own.curve("loss") == pytest.approx(usual.curve("loss"), rel=1e-4)


def fork(end):
    """A graph whose last layer's output is used a second time."""
    return mn.Graph(
        {"l": mn.Linear(3), "end": end, "more": mn.Linear(1)},
        {"l": "input", "end": "l", "more": "end", "class": "end", "number": "more"},
    )


def test_a_softmax_that_others_take_from_stays_where_it_is():
    x, y = DATA
    net = fork(mn.Softmax()).initialize(input_shape=(2,))
    assert choose_objective(net).goals["class"].folded is None
    said = net(x)
    by_hand = -np.log(said["class"][np.arange(64), y]).mean() + (said["number"] ** 2).mean()
    data = x, {"class": y, "number": np.zeros(64)}
    assert mn.evaluate(net, data)["loss"] == pytest.approx(by_hand, rel=1e-5)
    logs = fork(mn.LogSoftmax()).initialize(input_shape=(2,))
    by_hand = -logs(x)["class"][np.arange(64), y].mean() + (logs(x)["number"] ** 2).mean()
    assert mn.evaluate(logs, data)["loss"] == pytest.approx(by_hand, rel=1e-5)
    result = quiet(net, data, rounds=10, optimizer=mn.Adam(0.05))
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_sigmoid_that_others_take_from_is_refused():
    with pytest.raises(SpecError, match=r"^end: binary cross-entropy .* of its own"):
        choose_objective(fork(mn.Sigmoid()))


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error"])
def test_classes_may_be_learned_as_numbers(loss):
    result = quiet(classifier(), DATA, loss=loss, optimizer=mn.Adam(0.1), rounds=20)
    assert result.history[-1]["accuracy"] > 0.7
    shares = np.eye(3)[DATA[1]]
    off = result.net(DATA[0], give="array") - shares
    expected = (off**2).mean() if loss == "mean_squared_error" else abs(off).mean()
    assert mn.evaluate(result.net, DATA, loss=loss)["loss"] == pytest.approx(expected, rel=1e-5)


# --- the result ---------------------------------------------------------------------------------


def test_the_result_has_curves_and_prints_itself():
    result = quiet(classifier(), DATA, validation=0.25, rounds=3)
    assert result.curve("round") == [1, 2, 3]
    assert result.curve("loss") == [row["loss"] for row in result.history]
    assert list(result.history[0]) == [
        "round",
        "loss",
        "accuracy",
        "validation_loss",
        "validation_accuracy",
        "seconds",
    ]
    text = repr(result)
    assert text.startswith("TrainResult(3 rounds, 9 steps, ")
    assert "stopped: 3 rounds" in text and "validation_accuracy=" in text
    with pytest.raises(SpecError, match="there are round, loss, accuracy, validation_loss"):
        result.curve("hinge")
    assert result.curve("seconds") == sorted(result.curve("seconds"))
    assert result.seconds > 0 and result.examples_per_second > 0


def test_a_result_without_a_round_prints_itself_too():
    with pytest.warns(mn.MinnetWarning):
        result = quiet(classifier(), DATA, multipliers=0)
    assert repr(result) == ("TrainResult(0 rounds, 0 steps, 0.0 s; stopped: every array is frozen)")
    assert result.curve("loss") == []
    with pytest.raises(SpecError, match="nothing to draw"):
        result.plot()


def test_the_curves_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    result = quiet(classifier(), DATA, validation=0.25, rounds=3, measure=["accuracy", "confusion"])
    figure = result.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    np.testing.assert_allclose(drawn[0], result.curve("loss"))
    np.testing.assert_allclose(drawn[1], result.curve("validation_loss"))
