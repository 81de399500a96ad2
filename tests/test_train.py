"""train: that it learns, when it stops, and which net it gives back."""

import itertools

import numpy as np
import pytest
from train_samples import classifier, points, quiet, same_nets

import minnet as mn
from minnet.train import options


def slow_clock(monkeypatch, seconds_a_look):
    """Let time pass by a fixed amount whenever the training looks at the clock."""
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks) * seconds_a_look)


# --- learning -----------------------------------------------------------------------------------


def test_a_net_of_sizes_left_out_learns_classes_given_as_strings():
    x, y = points(300)
    y = np.array(["low", "high", "right"])[y]
    net = mn.Chain(16, mn.Tanh, mn.Linear(), mn.Softmax)
    result = quiet(net, (x, y), optimizer=mn.Adam(0.02), rounds=30, validation=0.2)
    assert result.history[-1]["validation_accuracy"] > 0.9
    assert result.net.output == mn.ClassDecoder(["high", "low", "right"])
    assert result.net.input_shape == (2,)
    test = points(300, seed=9)
    assert (
        mn.evaluate(result.net, (test[0], np.array(["low", "high", "right"])[test[1]]))["accuracy"]
        > 0.9
    )
    assert result.net(np.array([2.0, 0.0])) == "right"


def test_the_readme_idiom_trains_only_the_new_head():
    lenet = mn.models.lenet(3, input=(28, 28, 1)).initialize()
    x = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    y = ["sock", "hat"] * 10
    new = mn.Chain(*lenet[:-2], mn.Linear(), mn.Softmax(), output=mn.ClassDecoder(["sock", "hat"]))
    result = quiet(new, (x, y), multipliers={-2: 1, ...: None}, rounds=1, validation=0.2)
    old, trained = lenet.arrays(), result.net.arrays()
    assert result.table.trainable() == [(9, "weight"), (9, "bias")]
    assert all(trained[path] is old[path] for path in trained if path[0] != 9)
    assert trained[9, "weight"].shape == (500, 2)
    assert result.net(x[0]) in ("sock", "hat")


def test_rules_may_name_layers_of_the_net_before_it_was_initialized():
    net = mn.Chain(8, mn.Tanh, mn.Linear(), mn.Softmax)
    result = quiet(net, points(), multipliers={net[0]: None})
    assert result.table.frozen() == [(0, "weight"), (0, "bias")]
    decaying = mn.SGD(0.1, weight_decay={net[2]: 0.1})
    quiet(net, points(), optimizer=decaying)


def test_new_arrays_have_the_precision_of_those_there_are():
    x, y = points()
    bottom = mn.Chain(4, mn.Tanh, input=2).initialize().astype("float64")
    result = quiet(mn.Chain(*bottom, mn.Linear(3), mn.Softmax()), (x, y))
    assert {array.dtype for array in result.net.arrays().values()} == {np.dtype(np.float64)}


def test_gradual_unfreeze_thaws_from_the_top():
    net = mn.Chain(4, mn.Tanh, 4, mn.Tanh, mn.Linear(3), mn.Softmax()).initialize(input_shape=(2,))
    seen = []
    callback = lambda trainer, row: seen.append((trainer.trainable, trainer.net))  # noqa: E731
    result = quiet(net, points(), multipliers=mn.gradual_unfreeze(), rounds=3, callbacks=callback)
    assert [sorted({path[0] for path in trainable}) for trainable, _ in seen] == [
        [4],
        [2, 4],
        [0, 2, 4],
    ]
    first, second = seen[0][1], seen[1][1]
    assert first[0, "weight"] is second[0, "weight"] is net[0, "weight"]
    assert first[2, "weight"] is net[2, "weight"] is not second[2, "weight"]
    assert (result.net[0, "weight"] != net[0, "weight"]).any()


def test_layerwise_lets_each_layer_down_learn_slower():
    net = mn.Chain(4, mn.Tanh, 4, mn.Tanh, mn.Linear(3), mn.Softmax()).initialize(input_shape=(2,))
    result = quiet(
        net, points(), multipliers=mn.layerwise(0.5), optimizer=mn.SignSGD(0.01), steps=1
    )
    moved = [abs(result.net[i, "weight"] - net[i, "weight"]).max() for i in (4, 2, 0)]
    np.testing.assert_allclose(moved, [0.01, 0.005, 0.0025], rtol=1e-3)


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits, rounds, steps, stopped",
    [
        ({"rounds": 3}, 3, 12, "3 rounds"),
        ({"steps": 6}, 1, 6, "6 steps"),
        ({"steps": 8}, 2, 8, "8 steps"),
        ({"rounds": 1, "steps": 100}, 1, 4, "1 round"),
        ({"rounds": 100, "steps": 1}, 0, 1, "1 step"),
        ({"rounds": 2, "max_seconds": 1e6}, 2, 8, "2 rounds"),
    ],
)
def test_the_first_limit_ends_it(limits, rounds, steps, stopped):
    result = quiet(classifier(), points(64), **limits)
    assert (result.rounds, result.steps, result.stopped) == (rounds, steps, stopped)
    assert len(result.history) == -(-steps // 4)  # the part of a round has a row, too
    assert [row["round"] for row in result.history] == [*range(1, len(result.history) + 1)]


def test_time_is_a_limit(monkeypatch):
    slow_clock(monkeypatch, 1.0)
    result = quiet(classifier(), points(64), max_seconds=10.5)
    assert result.stopped == "10.5 seconds"
    assert 0 < result.steps <= 11 and result.seconds >= 10.5
    assert result.examples_per_second == pytest.approx(16 * result.steps / result.seconds)


def test_without_a_limit_a_default_is_chosen_and_said(capsys, monkeypatch):
    monkeypatch.setattr(options, "DEFAULT_ROUNDS", 2)
    monkeypatch.setattr(options, "DEFAULT_STEPS", 10)
    result = mn.train(classifier(), points(64), batch_size=16, progress="lines")
    assert result.rounds == 3  # 4 steps a round: three of them for ten steps
    assert "no limit given: training for 3 rounds (set rounds=" in capsys.readouterr().err
    result = mn.train(classifier(), points(16), batch_size=1, progress=False)
    assert result.rounds == 2
    assert capsys.readouterr() == ("", "")


# --- batches ------------------------------------------------------------------------------------


def sizes_of_batches(count, batch_size, rounds=1):
    sizes = []

    def loss(outputs, targets):
        sizes.append(len(targets))
        return mn.ops.cross_entropy(outputs, targets)

    quiet(mn.Chain(3), points(count), loss=loss, batch_size=batch_size, rounds=rounds)
    return sizes


@pytest.mark.parametrize(
    "count, batch_size, sizes",
    [
        (6, 3, [3, 3]),
        (8, 3, [3, 3, 2]),
        (7, 3, [3, 4]),  # one left over joins the batch before it
        (4, 3, [4]),
        (1, 3, [1]),
        (3, 1, [1, 1, 1]),
        (5, 100, [5]),
    ],
)
def test_each_round_takes_every_example_in_batches(count, batch_size, sizes):
    assert sizes_of_batches(count, batch_size) == sizes
    assert sizes_of_batches(count, batch_size, rounds=2) == sizes * 2


def test_a_single_example_left_over_does_not_upset_batchnorm():
    result = quiet(classifier(mn.BatchNorm()), points(33), batch_size=16, rounds=2)
    assert (result.rounds, result.steps) == (2, 4)


def test_every_round_has_its_own_order_of_all_examples():
    x = np.arange(12.0, dtype=np.float32)[:, None]
    orders = []

    def loss(outputs, targets):
        orders.append(targets[:, 0].astype(int).tolist())
        return mn.ops.mean_squared_error(outputs, targets)

    quiet(mn.Chain(mn.Linear(1)), (x, x), loss=loss, batch_size=12, rounds=3)
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


# --- the result ---------------------------------------------------------------------------------


def test_the_net_is_the_best_by_validation_and_final_the_last():
    x, y = points(60)
    nets = []
    result = quiet(
        classifier(16, mn.Tanh),
        (x, y),
        optimizer=mn.SGD(3.0, momentum=0.9),  # so wild that the last round is not the best
        validation=0.3,
        rounds=12,
        callbacks=lambda trainer, row: nets.append(trainer.net),
    )
    losses = result.curve("validation_loss")
    best = int(np.argmin(losses))
    assert best < 11
    assert result.best_round == best + 1
    assert same_nets(result.net, nets[best])
    assert same_nets(result.final, nets[-1]) and not same_nets(result.final, result.net)


def test_without_validation_the_net_is_the_final_one():
    result = quiet(classifier(), points(), rounds=3)
    assert result.net is result.final and result.best_round == 3


def test_what_is_measured_on_validation_data_is_what_evaluate_says():
    held = points(40, seed=3)
    net = classifier(4, mn.BatchNorm(), mn.Dropout(0.5))
    result = quiet(net, points(60), validation=held, rounds=2, measure=["accuracy", "confusion"])
    again = mn.evaluate(result.final, held, measure=["accuracy", "confusion"])
    assert result.history[-1]["validation_loss"] == pytest.approx(again["loss"], rel=1e-6)
    assert result.history[-1]["validation_accuracy"] == again["accuracy"]
    assert (result.history[-1]["validation_confusion"] == again["confusion"]).all()
    assert again["confusion"].sum() == 40 == result.history[0]["validation_confusion"].sum()
    assert result.history[0]["confusion"].sum() == 60


# --- Ctrl-C -------------------------------------------------------------------------------------


def interrupt_at(step):
    """A loss that Ctrl-C is pressed in, at the given call."""
    calls = itertools.count(1)

    def loss(outputs, targets):
        if next(calls) == step:
            raise KeyboardInterrupt
        return mn.ops.cross_entropy(outputs, targets)

    return loss


@pytest.mark.parametrize("at, rounds, steps", [(1, 0, 0), (3, 0, 2), (5, 1, 4), (11, 2, 10)])
def test_ctrl_c_gives_the_result_so_far(at, rounds, steps):
    net = mn.Chain(3).initialize(input_shape=(2,))
    result = quiet(net, points(64), loss=interrupt_at(at), rounds=9)
    assert (result.stopped, result.rounds, result.steps) == ("interrupted", rounds, steps)
    assert len(result.history) == rounds == result.best_round
    same = quiet(net, points(64), loss=interrupt_at(0), steps=steps).net if steps else net
    assert same_nets(result.net, same)


@pytest.mark.host
def test_ctrl_c_in_the_data_or_a_callback_does_too():
    def batches():
        yield points(16)
        raise KeyboardInterrupt

    def callback(trainer, row):
        raise KeyboardInterrupt

    first = quiet(classifier(output=mn.ClassDecoder([0, 1, 2])), batches)
    second = quiet(classifier(), points(16), callbacks=callback)
    for result in (first, second):
        assert result.stopped == "interrupted" and result.steps == 1
    assert (first.rounds, second.rounds) == (0, 1)


def test_ctrl_c_gives_the_best_net_by_validation_so_far():
    result = quiet(
        classifier(), points(64), validation=points(16, 1), rounds=9, callbacks=_interrupt_third
    )
    assert result.stopped == "interrupted" and len(result.history) == 3
    assert result.best_round == 1 + int(np.argmin(result.curve("validation_loss")))


def test_ctrl_c_leaves_no_step_half_made():
    class Interrupted(mn.SGD):
        def direction(self, gradient, state, count):
            if count == 3 and gradient.size == 3:  # after the weight, at the bias
                raise KeyboardInterrupt
            return gradient

    net = mn.Chain(3, mn.Softmax).initialize(input_shape=(2,))
    rules = {"*.weight": 2, ...: 1}  # with one multiplier for both they are updated together
    result = quiet(net, points(64), optimizer=Interrupted(0.5), rounds=9, multipliers=rules)
    assert (result.stopped, result.steps) == ("interrupted", 2)
    same = quiet(net, points(64), optimizer=mn.SGD(0.5), steps=2, multipliers=rules).net
    assert same_nets(result.net, same)


def _interrupt_third(trainer, row):
    if row["round"] == 3:
        raise KeyboardInterrupt
