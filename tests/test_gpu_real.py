"""What only a real GPU can show: results near the CPU's, the same bits twice, level memory."""

import numpy as np
import pytest
from gpu_nets import IMAGES, LABELS, X, Y, assert_near, big_rows, dropping, images, normed
from train_samples import quiet, same_nets

import minnet as mn
from minnet.backend import device_of, move
from minnet.backend.usage import devices
from minnet.train import capture

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(
    ("build", "data"), [(normed, (X, Y)), (images, (IMAGES, LABELS))], ids=["dense", "images"]
)
def test_training_agrees_with_the_cpu(device, build, data):
    here, there = (quiet(build(), data, validation=0.2, device=d) for d in ("cpu", device))
    assert_near(there.net, here.net, within=1e-3)


@pytest.mark.parametrize("build", [normed, dropping])
def test_the_same_seed_gives_the_same_bits(device, build):
    one, two = (quiet(build(), (X, Y), device=device, seed=3, rounds=10) for _ in range(2))
    assert same_nets(one.net, two.net)


def test_staged_batches_are_those_of_data_moved_whole(device, monkeypatch):
    # To move a batch takes longer than to train on it, so that each overtakes the other.
    x = np.random.default_rng(0).normal(size=(5000, 1024)).astype("float32")
    data = x, (x[:, 0] > 0).astype(int)

    def build():
        return mn.Chain(mn.Linear(16), mn.Ramp(), mn.Linear(2), mn.Softmax())

    whole = quiet(build(), data, device=device, batch_size=500, rounds=3)
    big_rows(monkeypatch)
    staged = quiet(build(), data, device=device, batch_size=500, rounds=3)
    assert same_nets(whole.net, staged.net)


def test_recorded_steps_are_near_the_plain_ones(device):
    net = normed().initialize(input_shape=2)
    recorded, plain = (mn.Trainer(net, device=device, capture=way) for way in (True, False))
    for trainer in (recorded, plain):
        for _ in range(2 * (capture.WARM + capture.CHECKS) + 10):
            trainer.step(X, Y)
    assert_near(recorded.net, plain.net, within=1e-3)
    assert recorded._capture.problem == ""
    kept = recorded._capture._recordings.values()
    assert sum(one.checks == capture.CHECKS for one in kept) == 2, "nothing could be recorded"


@pytest.mark.parametrize("precision, within", [("tf32", 0.02), ("float16", 0.05)])
def test_less_precise_training_ends_near_by(device, precision, within):
    here, there = (
        quiet(images(), (IMAGES, LABELS), device=device, rounds=5, **options)
        for options in ({}, {"precision": precision})
    )
    assert there.curve("loss")[-1] == pytest.approx(here.curve("loss")[-1], rel=within)


def test_nets_run_there(device):
    net = normed().initialize(input_shape=2)
    there = net.to(device)
    found = there(move(X, device))
    assert device_of(found) == device
    np.testing.assert_allclose(move(found, "cpu"), net(X), rtol=1e-4, atol=1e-6)


def test_memory_stays_level(device):
    quiet(normed(), (X, Y), device=device, rounds=1)
    level = mn.memory(device).used
    for seed in range(200):
        quiet(normed(), (X, Y), device=device, rounds=1, seed=seed)
    assert mn.memory(device).used == level


def test_it_is_listed(device):
    (line,) = [line for line in devices() if line.startswith(device)]
    assert "compute capability" in line
