"""Trainer: training a step at a time, and schedules of multipliers."""

import numpy as np
import pytest
from train_samples import classifier, points, quiet, same_bits, same_nets

import minnet as mn
from minnet.errors import DataError, ShapeError, SpecError
from minnet.optim import Cosine, Progress, StepDecay


def small(*layers, **options):
    return classifier(*(layers or (4, mn.Tanh)), **options).initialize(input_shape=(2,))


# --- steps ------------------------------------------------------------------------------------


def test_a_step_is_one_step_of_gradient_descent():
    x, y = points(8)
    net = mn.Chain(mn.Linear(3), mn.Softmax()).initialize(input_shape=(2,))
    trainer = mn.Trainer(net, mn.SGD(0.5))

    def loss(arrays):
        return mn.ops.cross_entropy(net.with_arrays(arrays)[:-1].apply(x), y)

    value, gradient = mn.value_and_grad(loss)(net.arrays())
    assert trainer.step(x, y) == pytest.approx(float(value))
    for path, array in net.arrays().items():
        np.testing.assert_allclose(
            trainer.net[path], array - 0.5 * gradient[path], rtol=1e-5, atol=1e-7
        )


def test_steps_lower_the_loss_and_count_themselves():
    x, y = points()
    trainer = mn.Trainer(small(), mn.Adam(0.05))
    losses = [trainer.step(x, y) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert trainer.steps == 30 == trainer.progress.step


def test_a_step_takes_what_the_encoder_and_decoder_take():
    net = mn.Chain(
        mn.Linear(3),
        mn.Softmax(),
        input=mn.ClassEncoder(["red", "green"], one_hot=True),
        output=mn.ClassDecoder(["a", "b", "c"]),
    ).initialize()
    trainer = mn.Trainer(net, mn.Adam(0.1))
    losses = [trainer.step(["red", "green", "red"], ["a", "c", "a"]) for _ in range(60)]
    assert losses[-1] < losses[0]
    assert trainer.net(["green", "red"]) == ["c", "a"]


def test_steps_by_hand_are_what_train_does():
    x, y = points(64)
    by_train = quiet(small(), (x, y), batch_size=64, rounds=3).net
    by_hand = mn.Trainer(small(output=mn.ClassDecoder([0, 1, 2])))
    order = np.random.default_rng([0, 2])  # the order of examples that train draws
    for _ in range(3):
        shuffled = order.permutation(64)
        by_hand.step(x[shuffled], y[shuffled])
    assert same_nets(by_train, by_hand.net)


def test_the_net_given_is_never_changed_and_the_one_got_is_a_value():
    x, y = points()
    net = small()
    before = {path: array.copy() for path, array in net.arrays().items()}
    trainer = mn.Trainer(net)
    trainer.step(x, y)
    first = trainer.net
    kept = {path: array.copy() for path, array in first.arrays().items()}
    trainer.step(x, y)
    assert all(same_bits(array, net.arrays()[path]) for path, array in before.items())
    assert all(same_bits(array, first.arrays()[path]) for path, array in kept.items())
    assert not any(array.flags.writeable for array in first.arrays().values())


def test_a_learning_rate_that_follows_steps_does_so_by_hand_too():
    x, y = points()
    net = mn.Chain(mn.Linear(3, bias=False), mn.Softmax()).initialize(input_shape=(2,))
    moved = []
    trainer = mn.Trainer(net, mn.SignSGD(StepDecay(0.5, factor=0.5, steps=1)))
    for _ in range(3):
        before = trainer.net[0, "weight"]
        trainer.step(x, y)
        moved.append(abs(trainer.net[0, "weight"] - before).max())
    np.testing.assert_allclose(moved, [0.5, 0.25, 0.125], rtol=1e-5)


def test_a_learning_rate_that_follows_the_fraction_is_told_how_far_it_is():
    x, y = points()
    net = mn.Chain(mn.Linear(3, bias=False), mn.Softmax()).initialize(input_shape=(2,))
    trainer = mn.Trainer(net, mn.SignSGD(Cosine(1.0)))
    trainer.set_progress(Progress(round=5, rounds=10))
    trainer.step(x, y)
    assert abs(trainer.net[0, "weight"] - net[0, "weight"]).max() == pytest.approx(0.5)


# --- schedules of multipliers -------------------------------------------------------------------


def test_a_multiplier_is_read_again_when_progress_is_set():
    x, y = points()
    net = mn.Chain(mn.Linear(3, bias=False), mn.Softmax()).initialize(input_shape=(2,))
    trainer = mn.Trainer(net, mn.SignSGD(0.1), multipliers={0: lambda p: 0.5**p.round})
    for round, expected in enumerate([0.1, 0.05, 0.025]):
        trainer.set_progress(Progress(round=round))
        before = trainer.net[0, "weight"]
        trainer.step(x, y)
        trainer.step(x, y)
        moved = abs(trainer.net[0, "weight"] - before)
        assert moved.max() == pytest.approx(2 * expected, rel=1e-4)


@pytest.mark.host
def test_thawing_starts_with_fresh_optimizer_state_and_freezing_ends_it():
    x, y = points()
    net = small()
    rules = [(0, lambda progress: float(progress.round in (0, 2))), (..., 1)]
    trainer = mn.Trainer(net, mn.SGD(0.1, momentum=0.9), multipliers=rules)
    path = (0, "weight")
    held = trainer._updater._trained
    trainer.step(x, y)
    assert held[path].state["velocity"].any()

    trainer.set_progress(Progress(round=1))
    frozen = trainer.net[path]
    trainer.step(x, y)
    assert trainer.net[path] is frozen
    assert path not in trainer._updater._trained
    head = trainer._updater._trained[2, "weight"].state["velocity"]

    trainer.set_progress(Progress(round=2))
    held = trainer._updater._trained
    assert not held[path].state["velocity"].any() and held[path].count == 0
    assert np.shares_memory(held[2, "weight"].state["velocity"], head) and held[2, "weight"].count
    trainer.step(x, y)
    assert (trainer.net[path] != frozen).any()


def test_a_net_all_of_which_is_frozen_for_now_makes_steps_that_change_nothing():
    x, y = points()
    net = small()
    trainer = mn.Trainer(net, multipliers={...: lambda progress: float(progress.round)})
    loss = trainer.step(x, y)
    assert loss == pytest.approx(mn.evaluate(net, (x, y))["loss"], rel=1e-5)
    assert trainer.net is net and trainer.trainable == ()
    trainer.set_progress(Progress(round=1))
    trainer.step(x, y)
    assert len(trainer.trainable) == 4 and not same_nets(trainer.net, net)


# --- refused ------------------------------------------------------------------------------------


def test_a_net_that_is_not_initialized_is_refused():
    with pytest.raises(SpecError, match=r"^body.1: Linear has no weight yet: initialize"):
        mn.Trainer(mn.Chain(body=mn.Chain(mn.Tanh(), mn.Linear(3))))


@pytest.mark.parametrize("net", [None, mn.Linear(3), "net", 3])
def test_what_is_no_net_is_refused(net):
    with pytest.raises(SpecError, match="expected a Chain or Graph"):
        mn.Trainer(net)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": "adam"}, "optimizer must be"),
        ({"optimizer": mn.Adam}, "optimizer must be"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"frozen_dropout": 1}, "frozen_dropout"),
        ({"loss": "hinge"}, "loss must be"),
        ({"multipliers": {"nothing": 1}}, "names nothing"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        mn.Trainer(small(), **options)


@pytest.mark.host
@pytest.mark.parametrize(
    "x, y, error, message",
    [
        (np.ones((4, 3)), np.zeros(4, int), ShapeError, r"\(2,\), got \(3,\)"),
        (np.ones((4, 2)), np.zeros(3, int), DataError, "got 4, 3"),
        (np.ones((0, 2)), np.zeros(0, int), DataError, "at least one example"),
        (np.array([[1, 2], [np.nan, 1]]), np.zeros(2, int), DataError, "example 1 has NaN"),
        (np.full((2, 2), 1e300), np.zeros(2, int), DataError, "example 0 has infinity"),
        (np.ones((2, 2)), np.array([0, 3]), DataError, "from 0 to 2"),
        (np.ones((2, 2)), ["a", "b"], DataError, "decoder"),
        (np.ones((2, 2)), None, DataError, "labels"),
        (np.array([["a", "b"]]), np.zeros(1, int), DataError, "numbers"),
        (np.array([[{}, 1]]), np.zeros(1, int), DataError, "numbers"),
        ([[1, 2], [3]], np.zeros(2, int), DataError, "same shape"),
    ],
)
def test_a_batch_that_cannot_be_used_is_refused_and_changes_nothing(x, y, error, message):
    net = small()
    trainer = mn.Trainer(net)
    with pytest.raises(error, match=message):
        trainer.step(x, y)
    assert same_nets(trainer.net, net) and trainer.steps == 0


def test_ports_must_all_be_given():
    net = mn.Graph(
        {"sum": mn.Add(), "l": mn.Linear(2)}, {"sum": ("a", "b"), "l": "sum", "x": "l", "y": "sum"}
    ).initialize(input_shape={"a": (2,), "b": (2,)})
    trainer, x, _ = mn.Trainer(net), *points(8)
    assert trainer.step({"a": x, "b": x}, {"x": x, "y": x}) > 0
    for inputs in (x, {"a": x}, {"a": x, "b": x, "c": x}):
        with pytest.raises(DataError, match="a dict with the inputs a, b"):
            trainer.step(inputs, {"x": x, "y": x})
    for targets in (x, {"x": x}, [x, x]):
        with pytest.raises(DataError, match="a dict with the outputs x, y"):
            trainer.step({"a": x, "b": x}, targets)
    with pytest.raises(DataError, match="got 8, 8, 8, 7"):
        trainer.step({"a": x, "b": x}, {"x": x, "y": x[:7]})


def test_a_loss_that_forgets_what_is_trained_is_refused():
    trainer = mn.Trainer(small(), loss=lambda outputs, targets: float((outputs.data**2).mean()))
    with pytest.raises(SpecError, match="doesn't depend on what is trained"):
        trainer.step(*points())
