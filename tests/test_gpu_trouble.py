"""What goes wrong on a GPU (the stand-in): wrong devices, numbers that aren't finite, no room."""

import gpu_samples
import numpy as np
import pytest
import standin
from gpu_nets import X, Y, assert_near, dense, normed
from train_samples import quiet, same_nets

import minnet as mn
from minnet.backend import device_of, move


def test_data_on_another_device_is_refused(standin_cupy):
    there = dense().initialize(input_shape=2).to("gpu")
    with pytest.raises(mn.DeviceError, match=r"data is on the gpu:1, what is trained .* the gpu:0"):
        quiet(there, (move(X, "gpu:1"), Y))
    with pytest.raises(mn.DeviceError, match=r"data is on the gpu:0, what is trained .* the cpu"):
        quiet(dense(), (move(X, "gpu"), Y))
    with pytest.raises(mn.DeviceError, match="data is on the gpu:0"):
        mn.evaluate(there.to("cpu"), (move(X, "gpu"), Y))
    with pytest.raises(mn.SpecError, match="a device is"):
        quiet(dense(), (X, Y), device="cuda")


def test_half_a_net_elsewhere_is_refused(standin_cupy):
    net = dense().initialize(input_shape=2)
    mixed = net.to("gpu").with_arrays({"2.bias": net["2.bias"]})
    with pytest.raises(mn.DeviceError, match=r"0\.weight is on the gpu:0 and 2\.bias on the cpu"):
        quiet(mixed, (X, Y))


FAILING = [
    (lambda: mn.Chain(mn.Linear(4), mn.Tanh(), mn.Linear(1)), mn.SGD(1e30)),
    (lambda: mn.Chain(mn.Linear(4), mn.Ramp(), mn.Linear(1)), mn.SGD(1e3)),
    (normed, mn.SGD(1e38, momentum=0.9)),
]


def explodes(device, build, optimizer, **options):
    data = (X, Y if build is normed else X[:, :1] * 100)
    with pytest.raises(mn.NonFiniteError) as caught:
        quiet(build(), data, optimizer=optimizer, device=device, rounds=5, **options)
    return caught.value


@pytest.mark.parametrize(("build", "optimizer"), FAILING)
@pytest.mark.parametrize("size", [4, 7, 16])
def test_what_is_not_finite_is_told_as_on_the_cpu(standin_cupy, build, optimizer, size):
    here, there = (explodes(d, build, optimizer, batch_size=size) for d in ("cpu", "gpu"))
    assert str(there) == str(here)
    assert (there.round, there.step, there.path) == (here.round, here.step, here.path)
    assert there.net.device == "cpu"
    with np.errstate(all="ignore"):
        assert_near(there.net, here.net, within=1e-3)
    assert there.result.steps == here.result.steps


def test_a_step_that_is_not_finite_changes_nothing(standin_cupy):
    net = mn.Chain(mn.Linear(1), input=2).initialize()
    trainer = mn.Trainer(net, mn.SGD(0.1, momentum=0.9), device="gpu")
    trainer.step(X[:8], X[:8, :1])
    before = trainer.net
    bad = np.full((8, 1), 1e30, "float32")
    with pytest.raises(mn.NonFiniteError, match="round 1, step 2"):
        trainer.step(X[:8], bad)
    # The last net whose loss was finite is the one before the first step.
    assert same_nets(trainer.net, net) and trainer.steps == 1
    assert not same_nets(before, net)
    assert np.isfinite(trainer.step(X[:8], X[:8, :1]))


@pytest.mark.skipif(gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER))
@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_a_class_that_is_none_is_told_as_on_the_cpu(bad):
    def refused(device):
        trainer = mn.Trainer(dense().initialize(input_shape=2), device=device)
        trainer.step(X[:8], Y[:8])
        before = trainer.net
        with pytest.raises(mn.DataError, match=f"from 0 to 2 .* got {bad}") as caught:
            trainer.step(X[:8], np.where(np.arange(8) == 5, bad, Y[:8]))
        assert same_nets(trainer.net, before) and trainer.steps == 1
        assert np.isfinite(trainer.step(X[:8], Y[:8]))
        return str(caught.value)

    with standin.installed():
        assert refused("gpu") == refused("cpu")


def test_memory_stays_level_over_many_runs(standin_cupy):
    levels = set()
    for seed in range(200):
        quiet(normed(), (X[:20], Y[:20]), device="gpu", rounds=1, seed=seed, validation=0.2)
        levels.add((mn.memory("gpu").used, mn.memory("gpu").reserved))
    used = {used for used, _ in levels}
    assert used == {0}
    assert len(levels) == 1


def test_places_of_results(standin_cupy):
    net = dense().initialize(input_shape=2)
    frozen = quiet(net, (X, Y), multipliers={0: None}, device="gpu").net
    assert {device_of(array) for array in frozen.arrays().values()} == {"cpu"}
    with pytest.warns(mn.MinnetWarning, match="nothing to train"):
        assert quiet(net, (X, Y), multipliers={...: None}, device="gpu").net is net
