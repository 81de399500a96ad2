"""What becomes infinite or NaN stops training, which says where and gives the last good net."""

import pickle

import numpy as np
import pytest
from train_samples import classifier, points, quiet, same_bits, same_nets

import minnet as mn
from minnet.errors import NonFiniteError
from minnet.optim import Progress


def small(*layers):
    return classifier(*layers).initialize(input_shape=(2,))


# --- step by step -------------------------------------------------------------------------------


def explosive(gain=1e30):
    """A net whose middle layer makes numbers too large for float32 once its input is large."""
    return mn.Chain(
        first=mn.Linear(2),
        middle=mn.Chain(blow=mn.Elementwise(Blow(gain)), last=mn.Linear(2)),
        end=mn.Linear(1),
    ).initialize(method="identity", input_shape=(2,))


class Blow:
    def __init__(self, gain):
        self.gain = np.float32(gain)

    def __call__(self, x):
        return x * self.gain


def test_a_loss_that_is_not_finite_says_when_and_in_which_layer():
    x = np.ones((4, 2), np.float32)
    trainer = mn.Trainer(explosive(), mn.SGD(0.0001), loss="mean_absolute_error")
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(1e20 * x, np.zeros(4))
    error = caught.value
    assert error.path == ("middle", "blow")
    assert (error.round, error.step) == (1, 1)
    assert "middle.blow: its output" in str(error) and "round 1, step 1" in str(error)
    assert isinstance(error, ArithmeticError)


def test_a_loss_that_is_not_finite_while_all_outputs_are_names_no_layer():
    net = mn.Chain(mn.Linear(1)).initialize(input_shape=(2,))
    trainer = mn.Trainer(net, loss=lambda outputs, targets: mn.ops.log(outputs * 0).mean())
    with pytest.raises(NonFiniteError, match=r"^the loss is not finite") as caught:
        trainer.step(np.ones((4, 2)), np.zeros(4))
    assert caught.value.path == ()


def test_a_gradient_that_is_not_finite_names_the_array_and_changes_nothing():
    x = np.ones((4, 2), np.float32)
    layers = mn.Linear(1), mn.Elementwise("sqrt"), mn.Linear(1)  # a root is infinitely steep at 0
    net = mn.Chain(*layers).initialize(method=0, input_shape=(2,))
    net = net.with_arrays({"2.weight": [[1.0]]})
    trainer = mn.Trainer(net)
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(x, np.ones(4))
    error = caught.value
    assert error.path[0] == 0 and "its gradient is not finite in round 1, step 1" in str(error)
    assert same_nets(error.net, net) and same_nets(trainer.net, net)
    assert trainer.steps == 0


def test_of_several_gradients_the_one_that_the_backward_pass_came_by_first_is_named():
    layers = mn.Linear(2), mn.Linear(1, bias=False), mn.Elementwise("sqrt"), mn.Linear(1)
    net = mn.Chain(*layers).initialize(method=0, input_shape=(2,))
    trainer = mn.Trainer(net.with_arrays({"3.weight": [[1.0]]}))
    with pytest.raises(NonFiniteError, match=r"^1.weight: its gradient"):
        trainer.step(np.ones((4, 2)), np.ones(4))


def test_the_last_good_net_may_be_from_before_something_thawed():
    x, y = points()
    net = small(mn.Linear(4), mn.Ramp)
    rules = [(0, lambda progress: float(progress.round)), (..., 1)]
    trainer = mn.Trainer(net, mn.SGD(1e40), multipliers=rules)
    trainer.step(x, y)  # spoils what is trained so far
    trainer.set_progress(Progress(round=1))
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(x, y)
    assert (caught.value.round, caught.value.step) == (2, 2)
    assert same_nets(caught.value.net, net)


def test_the_net_of_the_error_is_the_last_one_whose_loss_was_finite():
    x, y = points()
    trainer = mn.Trainer(small(mn.Linear(4), mn.Ramp), mn.SGD(1e25), loss="cross_entropy")
    nets = [trainer.net]
    with pytest.raises(NonFiniteError) as caught:
        for _ in range(10):
            trainer.step(x, y)
            nets.append(trainer.net)
    assert len(nets) > 1  # it was a step that spoilt it
    error = caught.value
    assert error.step == len(nets)
    assert same_nets(error.net, nets[-2]) and same_nets(trainer.net, nets[-2])
    assert all(np.isfinite(array).all() for array in error.net.arrays().values())
    assert np.isfinite(mn.evaluate(error.net, (x, y))["loss"])


def test_running_statistics_go_back_with_the_arrays():
    x, y = points()
    net = small(mn.BatchNorm(), mn.Linear(4))
    trainer = mn.Trainer(net)
    trainer.step(x, y)
    before = trainer.net
    trainer.step(x, y)
    trainer._arrays[1, "weight"][:] = np.inf
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(x, y)
    assert caught.value.path == (1,)
    assert same_nets(caught.value.net, before)


def test_the_error_can_be_pickled():
    trainer = mn.Trainer(explosive(), loss="mean_absolute_error")
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(np.full((4, 2), 1e20), np.zeros(4))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.path, copy.step, str(copy)) == (("middle", "blow"), 1, str(caught.value))
    assert same_nets(copy.net, caught.value.net)


@pytest.mark.host
def test_clipping_a_gradient_whose_length_floats_cannot_hold_says_which():
    net = mn.Chain(mn.Linear(1, bias=False)).initialize(input_shape=(2,)).astype("float64")
    trainer = mn.Trainer(net, mn.SGD(clip_norm=1.0), loss=lambda o, t: (o * 1e200).mean())
    with pytest.raises(NonFiniteError) as caught:
        trainer.step(np.ones((4, 2)), np.zeros(4))
    assert caught.value.path == (0, "weight") and caught.value.step == 1
    assert same_nets(caught.value.net, net)


# --- in train -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reuse", [True, False])
def test_a_loss_that_is_not_finite_ends_it_with_the_last_good_net(reuse):
    x, y = points(64)
    net = classifier(mn.Linear(4, name="bottom"), 4, mn.Ramp).initialize(input_shape=(2,))
    with pytest.raises(NonFiniteError) as caught:
        quiet(
            net,
            (x, y),
            multipliers={0: None},
            optimizer=mn.SGD(lambda p: 1e-3 if p.step < 5 else 1e30),
            rounds=4,
            reuse_frozen=reuse,
            validation=points(8, 1),
        )
    error = caught.value
    assert (error.round, error.step) == (2, 7)
    assert error.path in [(1,), (3,)]
    good = quiet(net, (x, y), multipliers={0: None}, optimizer=mn.SGD(1e-3), steps=5).final
    np.testing.assert_allclose(error.net[1, "weight"], good[1, "weight"], rtol=1e-4)
    assert error.net["bottom.weight"] is net["bottom.weight"]
    assert error.result.stopped == "something was not finite"
    assert len(error.result.history) == 1 == error.result.best_round
    assert same_nets(error.result.final, error.net)


@pytest.mark.parametrize("reuse", [True, False])
def test_a_frozen_layer_whose_output_is_not_finite_is_named(reuse):
    bottom = mn.Chain(a=mn.Linear(2), b=mn.Linear(2)).initialize(method=1e25, input_shape=(2,))
    net = mn.Chain(bottom, mn.Linear(1)).initialize(input_shape=(2,))
    with pytest.raises(NonFiniteError) as caught:
        quiet(net, (np.ones((8, 2)), np.ones(8)), multipliers={0: None}, reuse_frozen=reuse)
    assert caught.value.path == (0, "b")


def test_a_gradient_that_is_not_finite_ends_it_too():
    layers = mn.Linear(1, bias=False), mn.Elementwise("sqrt"), mn.Linear(1, bias=False)
    net = mn.Chain(*layers).initialize(method=0, input_shape=(2,)).with_arrays({"2.weight": [[1]]})
    with pytest.raises(NonFiniteError) as caught:
        quiet(net, (np.ones((8, 2)), np.ones(8)), max_seconds=60)
    error = caught.value
    assert error.path == (0, "weight") and (error.round, error.step) == (1, 1)
    assert same_nets(error.net, net)
    assert error.result.net is not None and error.result.history == ()


def test_an_array_that_no_loss_shows_to_be_infinite_is_found_at_the_end_of_the_round():
    net = mn.Chain(mn.Linear(1), mn.Tanh()).initialize(input_shape=(1,))
    data = np.ones((4, 1), np.float32), np.ones((4, 1), np.float32)

    class Leap(mn.SGD):
        def direction(self, gradient, state, count):
            return gradient * 0 - np.float32(3e38)

    with pytest.raises(
        NonFiniteError, match="after the last step it is not finite in round 1, step 1:"
    ) as caught:
        quiet(net, data, optimizer=Leap(10.0), rounds=1)
    assert caught.value.path == (0, "weight")
    assert same_bits(caught.value.net[0, "weight"], net[0, "weight"])


def test_validation_data_may_give_an_infinite_loss():
    x, y = points(16)
    held = np.full((4, 2), 3e38, np.float32), np.zeros(4, int)
    result = quiet(mn.Chain(8, 8, mn.Linear(3), mn.Softmax()), (x, y), validation=held, rounds=2)
    assert not np.isfinite(result.curve("validation_loss")).any()
    assert result.best_round == 1
