"""What only a real GPU can show: results near the CPU's, the same bits twice, level memory."""

import numpy as np
import pytest
from gpu_nets import IMAGES, LABELS, X, Y, assert_near, dropping, images, normed
from train_samples import quiet, same_nets

import minnet as mn
from minnet.backend import device_of, move
from minnet.backend.usage import devices

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
    import sys

    x = np.random.default_rng(0).normal(size=(5000, 256)).astype("float32")
    data = x, (x[:, 0] > 0).astype(int)

    def build():
        return mn.Chain(mn.Linear(512), mn.Ramp(), mn.Linear(2), mn.Softmax())

    whole = quiet(build(), data, device=device, batch_size=100, rounds=3)
    monkeypatch.setattr(sys.modules["minnet.train.gpu_feed"], "SHARE", 0.0)
    staged = quiet(build(), data, device=device, batch_size=100, rounds=3)
    assert same_nets(whole.net, staged.net)


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
