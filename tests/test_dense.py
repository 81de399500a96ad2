"""Dense nets: their passes by hand give, to the bit, what the ops and autodiff give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from train_samples import (
    counted,
    dense_nets,
    dense_rules,
    optimizers,
    points,
    quiet,
    same_bits,
    same_nets,
)

import minnet as mn
from minnet.errors import DataError, NonFiniteError, ShapeError
from minnet.optim import Progress
from minnet.train.dense import Dense

pytestmark = pytest.mark.host  # a GPU goes through the ops


def trainer_of(net, by_hand=True, **options):
    trainer = mn.Trainer(net, **options)
    if not by_hand:
        trainer._dense = None  # everything through the ops
    return trainer


def goes_by_hand(trainer, x, y):
    """Whether the trainer's next step with these makes no Tensor."""
    with counted() as counts:
        trainer.step(x, y)
    return counts.functions == 0


# To the bit they are only where both are NumPy's.
@pytest.mark.numpy_kernels
@given(st.data())
def test_the_passes_by_hand_are_those_of_autodiff(data):
    net = data.draw(dense_nets())
    options = {
        "multipliers": data.draw(dense_rules(net)),
        "optimizer": data.draw(optimizers),
    }
    by_hand, by_ops = (trainer_of(net, way, **options) for way in (True, False))
    for seed, count in enumerate([7, 7, 3, 7, 3, 9, 9, 1, 1]):
        x, y = points(count, seed)
        losses = [trainer.step(x, y) for trainer in (by_hand, by_ops)]
        assert losses[0] == losses[1]
    assert same_nets(by_hand.net, by_ops.net)
    assert goes_by_hand(by_hand, *points(9)) and not goes_by_hand(by_ops, *points(9))


def test_what_the_step_gives_besides_the_loss_is_the_same_and_stays_what_it_is():
    net = mn.Chain(4, mn.Ramp, mn.Linear(3), mn.Softmax(), input=2).initialize()
    by_hand, by_ops = trainer_of(net), trainer_of(net, by_hand=False)
    found = []
    for seed in range(4):
        x, y = points(8, seed)
        one, two = (trainer.step_above(x, y, lambda x=x: x) for trainer in (by_hand, by_ops))
        assert same_bits(one[1], two[1]) and one[2] is y
        found.append((one[1], one[1].copy()))
    assert all(same_bits(outputs, copy) for outputs, copy in found)


def test_a_head_on_a_frozen_bottom_goes_by_hand():
    x, y = points()
    net = mn.Chain(mn.Linear(4), mn.BatchNorm(), mn.Linear(3), mn.Softmax(), input=2).initialize()
    trainer = mn.Trainer(net, multipliers={-2: 1, ...: None})
    assert [goes_by_hand(trainer, x, y) for _ in range(3)] == [True, True, True]
    assert trainer.net[0, "weight"] is net[0, "weight"]


@pytest.mark.numpy_kernels
def test_what_thaws_is_trained_too():
    net = mn.Chain(4, mn.Tanh, 4, mn.Tanh, mn.Linear(3), mn.Softmax(), input=2).initialize()
    ways = [trainer_of(net, way, multipliers=mn.gradual_unfreeze()) for way in (True, False)]
    for round in range(4):
        for trainer, way in zip(ways, (True, False), strict=True):
            trainer.set_progress(Progress(round=round))
            if not way:
                trainer._dense = None
            for seed in range(3):
                trainer.step(*points(8, seed))
    assert same_nets(ways[0].net, ways[1].net)
    assert not any(same_bits(net[p], ways[0].net[p]) for p in net.arrays() if p[-1] == "weight")


@pytest.mark.parametrize(
    "layers",
    [
        [mn.Linear(4), mn.Sigmoid()],
        [mn.Linear(4), mn.Ramp(), mn.Tanh()],
        [mn.Linear(4), mn.Dropout(0.5)],
        [mn.Linear(4), mn.BatchNorm()],
        [mn.Linear(4), mn.Elementwise("tanh")],
        [mn.Graph({"a": mn.Linear(4)}, {"a": "input"})],
    ],
    ids=str,
)
def test_other_nets_go_through_the_ops(layers):
    trainer = mn.Trainer(mn.Chain(*layers, mn.Linear(3), mn.Softmax(), input=2).initialize())
    assert not any(goes_by_hand(trainer, *points(8)) for _ in range(3))


def test_other_losses_and_layers_of_ones_own_go_through_the_ops():
    class Doubled(mn.Linear):
        def apply(self, x, context=None):
            return 2 * super().apply(x, context)

    x, y = points(8)
    own = mn.Chain(Doubled(3), mn.Softmax(), input=2).initialize()
    assert not any(goes_by_hand(mn.Trainer(own), x, y) for _ in range(3))
    net = mn.Chain(mn.Linear(3), input=2).initialize()
    for loss in ("mean_squared_error", lambda outputs, t: (outputs**2).mean()):
        trainer = mn.Trainer(net, loss=loss)
        assert not any(goes_by_hand(trainer, x, np.zeros((8, 3))) for _ in range(3))


def test_shares_for_targets_go_through_the_ops():
    x, y = points(8)
    net = mn.Chain(mn.Linear(3), mn.Softmax(), input=2).initialize()
    trainer = mn.Trainer(net.with_ends(output=mn.ClassDecoder([0, 1, 2])))
    assert goes_by_hand(trainer, x, y)
    assert not goes_by_hand(trainer, x, np.eye(3)[y])
    assert goes_by_hand(trainer, x, y)


@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_a_class_that_is_none_is_refused_in_every_step(bad):
    x, y = points(8)
    trainer = mn.Trainer(mn.Chain(mn.Linear(3), mn.Softmax(), input=2).initialize())
    for _ in range(2):
        trainer.step(x, y)
    before = trainer.net
    with pytest.raises(DataError, match=f"from 0 to 2 .* got {bad}"):
        trainer.step(x, np.where(np.arange(8) == 5, bad, y))
    with pytest.raises(ShapeError):
        trainer.step(np.ones((8, 3)), y)
    with pytest.raises(DataError, match="example 7 has NaN"):
        trainer.step(np.where(np.arange(16).reshape(8, 2) == 14, np.nan, x), y)
    assert same_nets(trainer.net, before) and trainer.steps == 2


def test_what_becomes_infinite_is_reported_as_by_the_ops():
    x, y = points(8)
    net = mn.Chain(first=mn.Linear(4), b=mn.Ramp(), c=mn.Linear(3), d=mn.Softmax(), input=2)
    errors = []
    for way in (True, False):
        trainer = trainer_of(net.initialize(), way, optimizer=mn.SGD(1e25))
        nets = [trainer.net]
        with pytest.raises(NonFiniteError) as caught:
            for _ in range(9):
                trainer.step(x, y)
                nets.append(trainer.net)
        assert len(nets) > 1 and same_nets(caught.value.net, nets[-2])
        errors.append(caught.value)
    assert (errors[0].path, errors[0].step, str(errors[0])) == (
        errors[1].path,
        errors[1].step,
        str(errors[1]),
    )


def test_a_gradient_that_is_infinite_is_named_and_changes_nothing():
    # The outputs are finite; their gradient times so large a weight is not.
    net = mn.Chain(a=mn.Linear(2), b=mn.Linear(2), c=mn.Softmax(), input=2).initialize()
    huge = np.array([[3e38, -3e38]] * 2, np.float32)
    x, y = np.full((4, 2), 1e2, np.float32), np.array([0, 1, 1, 1])
    still = net.with_arrays({"a.weight": np.zeros((2, 2), np.float32), "b.weight": huge})
    errors = []
    for way in (True, False):
        trainer = trainer_of(still, way, optimizer=mn.SGD(1e-38), multipliers={"b": None})
        with pytest.raises(NonFiniteError, match="its gradient is not finite") as caught:
            trainer.step(x, y)
        assert same_nets(trainer.net, still) and trainer.steps == 0
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def test_memory_is_kept_for_few_shapes():
    trainer = mn.Trainer(mn.Chain(mn.Linear(3), mn.Softmax(), input=2).initialize())
    for count in range(1, 20):
        trainer.step(*points(count))
    assert len(trainer._dense._memories) <= 2


@pytest.mark.numpy_kernels
def test_train_gives_the_same_in_either_way(monkeypatch):
    x, y = points(50)
    net = mn.Chain(6, mn.Ramp, mn.Linear(3), mn.Softmax(), input=2).initialize()
    options = {"rounds": 4, "batch_size": 8, "validation": 0.2, "measure": "accuracy"}
    by_hand = quiet(net, (x, y), **options)
    monkeypatch.setattr(Dense, "of", lambda *_: None)
    by_ops = quiet(net, (x, y), **options)
    assert same_nets(by_hand.net, by_ops.net) and same_nets(by_hand.final, by_ops.final)
    for one, two in zip(by_hand.history, by_ops.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
