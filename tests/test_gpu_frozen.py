"""What is frozen on a GPU (the stand-in): no gradient, no state, no bytes, computed once."""

import pytest
import standin
from gpu_nets import X, Y, assert_near, big_rows, dense
from standin import counting
from train_samples import quiet

import minnet as mn


def wide(classes=3):
    """A net nearly all of whose memory is in its first layer."""
    return mn.Chain(
        mn.Linear(20_000, name="large"), mn.Ramp(), mn.Linear(4, name="top"),
        mn.Linear(classes), mn.Softmax(), input=2,
    ).initialize()  # fmt: skip


def test_frozen_arrays_are_the_very_objects(standin_cupy):
    net = wide()
    result = quiet(net, (X, Y), multipliers={"large": None}, device="gpu", validation=0.2)
    for found in (result.net, result.final):
        assert found["large.weight"] is net["large.weight"]
        assert found["large.bias"] is net["large.bias"]
        assert found["top.weight"] is not net["top.weight"]
    there = net.to("gpu")
    result = quiet(there, (X, Y), multipliers={"large": None})
    assert result.net["large.weight"] is there["large.weight"]


@pytest.mark.parametrize("optimizer", [mn.Adam(), mn.SGD(0.1, momentum=0.9)])
def test_a_frozen_array_has_no_gradient_no_state_and_no_bytes(standin_cupy, optimizer):
    """The large layer is in the middle, so that the backward pass goes through beside it."""

    def run(multipliers):
        net = mn.Chain(
            mn.Linear(4), mn.Linear(4, name="frozen"), mn.Linear(3), mn.Softmax(), input=2
        ).initialize()
        trainer = mn.Trainer(net, optimizer, multipliers=multipliers, device="gpu")
        trainer.step(X[:16], Y[:16])
        with counting() as counted, standin.launched() as names:
            trainer.step(X[:16], Y[:16])
        return counted, names, set(trainer._updater._trained), trainer

    everything, all_names, all_paths, _ = run(None)
    frozen, names, paths, trainer = run({"frozen": None})
    assert all_paths - paths == {("frozen", "weight"), ("frozen", "bias")}
    # One product for the weight, and for the bias one with ones.
    assert all_names.count("dot") - names.count("dot") == 1
    assert frozen.launches < everything.launches
    assert frozen.allocated_bytes < everything.allocated_bytes
    assert trainer.there()["frozen.weight"] is trainer._begun["frozen.weight"]


def test_a_large_frozen_layer_takes_only_its_own_memory(standin_cupy):
    net = wide().to("gpu")
    mn.free("gpu")
    before = mn.memory("gpu")
    large = net["large.weight"].nbytes
    assert large == 160_000
    trainer = mn.Trainer(net, mn.Adam(), multipliers={"large": None})
    assert mn.memory("gpu").used - before.used < 4 * 4 * 20_000 * 4 + 100_000  # the layer above
    trainer.step(X[:2], Y[:2])
    alone = mn.Trainer(net, mn.Adam(), multipliers={"large": None, "top": None})
    used = mn.memory("gpu").used
    alone.step(X[:2], Y[:2])
    assert mn.memory("gpu").used - used < 10_000


def test_the_frozen_bottom_is_computed_once_there(standin_cupy):
    net = dense().initialize(input_shape=2)
    result = quiet(net, (X, Y), multipliers={0: None}, device="gpu", rounds=5, validation=0.2)
    here = quiet(net, (X, Y), multipliers={0: None}, rounds=5, validation=0.2)
    assert (result.kept, result.reused) == ("memory", here.reused)
    assert_near(result.net, here.net)
    for size in (0.0, 1.0):  # no share of the data fits, or no feature does
        again = quiet(
            net, (X, Y), multipliers={0: None}, device="gpu", rounds=5, validation=0.2,
            reuse_frozen=size,
        )  # fmt: skip
        assert_near(again.net, here.net)


def test_features_of_data_that_does_not_fit_are_kept(standin_cupy, monkeypatch):
    big_rows(monkeypatch)
    net = dense().initialize(input_shape=2)
    result = quiet(net, (X, Y), multipliers={0: None}, device="gpu", rounds=5)
    assert (result.kept, result.reused) == ("memory", 0.8)
    assert_near(result.net, quiet(net, (X, Y), multipliers={0: None}, rounds=5).net)
