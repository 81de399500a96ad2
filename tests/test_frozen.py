"""Frozen is exact and free: the arrays are the same objects, and nothing is computed for them."""

import gc
import tracemalloc
import weakref
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_samples import (
    classifier,
    counted,
    nets_with_data,
    odd_rules_allowed,
    optimizers,
    points,
    quiet,
    rules_for,
    same_bits,
    same_nets,
)

import minnet as mn
from minnet.autodiff import value
from minnet.errors import MinnetWarning
from minnet.layers.base import dotted


def members(net, path):
    """The bytes of each array's member of a saved file."""
    net.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def is_constant(path, array, table):
    """Whether an array must stay the same object: frozen, or the state of a frozen layer."""
    if not table[path].is_state:
        return path not in table.trainable()
    return not any(path[:-1] == other[:-1] for other in table.trainable())


# --- the property -----------------------------------------------------------------------------


@pytest.mark.host
@settings(max_examples=60)
@given(st.data())
def test_what_is_frozen_stays_the_same_object_and_costs_nothing(tmp_path_factory, data):
    net, examples = data.draw(nets_with_data())
    rules = data.draw(rules_for(net))
    before = {path: array.copy() for path, array in net.arrays().items()}
    trainers = []
    with odd_rules_allowed(), counted() as counts:
        result = quiet(
            net,
            examples,
            multipliers=rules,
            optimizer=data.draw(optimizers),
            batch_size=data.draw(st.sampled_from([4, 8])),
            frozen_dropout=data.draw(st.booleans()),
            reuse_frozen=data.draw(st.booleans()),
            callbacks=lambda trainer, row: trainers.append(trainer),
            seed=data.draw(st.integers(0, 3)),
        )
    table = result.table
    trained = table.trainable()

    # The net given is what it was, bit for bit.
    assert all(same_bits(net.arrays()[path], array) for path, array in before.items())

    # Frozen arrays are the same objects, and in a file the same bytes.
    for path, array in net.arrays().items():
        if is_constant(path, array, table):
            assert result.net.arrays()[path] is array is result.final.arrays()[path]
    folder = tmp_path_factory.mktemp("saved")
    old, new = members(net, folder / "old.npz"), members(result.net, folder / "new.npz")
    for path in net.arrays():
        if is_constant(path, None, table):
            assert old[f"{dotted(path)}.npy"] == new[f"{dotted(path)}.npy"]

    # Of exactly the trainable arrays a Tensor was made, once: nothing else has gradients.
    assert len(counts.arrays) == len(trained)
    for path, array in net.arrays().items():
        if path not in trained:
            assert not any(np.shares_memory(array, made) for made in counts.arrays)
    if not trained:
        assert result.net is net and counts.functions == 0
        return

    # The optimizer holds state for exactly these, and the updater nothing for others.
    held = trainers[0]._updater._trained
    assert set(held) == set(trained) == set(trainers[0].trainable)

    # Elements at multiplier 0 of a trained array are bit-identical.
    for path in trained:
        multiplier = table.at()[path]
        if not isinstance(multiplier, float):
            still = np.broadcast_to(multiplier == 0, before[path].shape)
            assert same_bits(result.final.arrays()[path][still], before[path][still])


@settings(max_examples=15)
@given(st.data())
def test_equal_seeds_give_equal_nets(data):
    net, examples = data.draw(nets_with_data())
    options = {"optimizer": data.draw(optimizers), "validation": 0.3, "batch_size": 4}
    with odd_rules_allowed():
        first, second = (quiet(net, examples, seed=5, **options) for _ in range(2))
    assert same_nets(first.net, second.net) and same_nets(first.final, second.final)
    timeless = [[{**row, "seconds": 0} for row in r.history] for r in (first, second)]
    assert timeless[0] == timeless[1]


def test_another_seed_gives_another_net():
    net = classifier(4, mn.Dropout())
    first, second = (quiet(net, points(), seed=seed).net for seed in (0, 1))
    assert not same_nets(first, second)


# --- gradients --------------------------------------------------------------------------------


def functions_kept(net, rules, x, y):
    trainer = mn.Trainer(net, multipliers=rules)
    trainer._dense = None  # by hand nothing is recorded at all
    with counted() as counts:
        trainer.step(x, y)
    return counts.functions


@pytest.mark.parametrize("depth", [1, 5])
def test_gradient_functions_are_kept_only_above_the_first_trainable_array(depth):
    x, y = points()
    bottom = [mn.Chain(mn.Linear(4), mn.BatchNorm(), mn.Tanh()) for _ in range(depth)]
    net = classifier(*bottom).initialize(input_shape=(2,))
    head = classifier().initialize(input_shape=(4,))
    features = net[:depth].apply(x)
    alone = functions_kept(head, None, features, y)
    assert alone == 3  # weight and bias of the Linear, and the logits of the loss
    assert functions_kept(net, {-2: 1, ...: None}, x, y) == alone
    assert functions_kept(net, None, x, y) > alone


@pytest.mark.parametrize("frozen, fewer", [("1.weight", 1), ("1.bias", 1), (1, 2)])
def test_a_frozen_layer_above_passes_the_gradient_on_but_takes_none(frozen, fewer):
    x, y = points()
    net = classifier(3, 4).initialize(input_shape=(2,))
    full = functions_kept(net, None, x, y)
    assert functions_kept(net, {frozen: None}, x, y) == full - fewer


def test_of_two_branches_only_the_trained_one_is_differentiated():
    def branches(rules):
        graph = mn.Graph(
            {"left": mn.Linear(3), "right": mn.Linear(3), "both": mn.Add(), "end": mn.Softmax()},
            {"left": "input", "right": "input", "both": ("left", "right"), "end": "both"},
        )
        return functions_kept(graph.initialize(input_shape=(2,)), rules, *points())

    assert branches(None) - branches({"left": None}) == 3  # its weight, its bias, its sum


# --- memory -----------------------------------------------------------------------------------


class Watcher:
    """A function for Elementwise that remembers, weakly, everything that it gave."""

    def __init__(self):
        self.given = []

    def __call__(self, x):
        y = mn.ops.tanh(x)
        self.given.append(weakref.ref(value(y)))
        return y

    def alive(self):
        gc.collect()
        return [ref() is not None for ref in self.given]


@pytest.mark.parametrize("frozen", range(5))
def test_no_activation_is_kept_below_the_first_trainable_array(frozen):
    watcher, found = Watcher(), []
    layers = [part for _ in range(4) for part in (mn.Linear(5), mn.Elementwise(watcher))]
    net = mn.Chain(*layers, mn.Linear(1)).initialize(input_shape=(2,))

    def loss(outputs, targets):  # called when the forward pass is done and the backward is not
        found.append(watcher.alive())
        return mn.ops.mean_squared_error(outputs, targets)

    x, _ = points()
    rules = [(slice(0, 2 * frozen), None), (..., 1)] if frozen else None
    mn.Trainer(net, loss=loss, multipliers=rules).step(x, x[:, 0])
    # The last one frozen is what the first trained layer takes, so its gradient needs it.
    assert found == [[i >= frozen - 1 for i in range(4)]]


def peak_of_a_step(depth, rules):
    """The most memory that a step takes, in bytes, for a net with `depth` wide layers below."""
    layers = [part for _ in range(depth) for part in (mn.Linear(256), mn.Tanh())]
    net = mn.Chain(*layers, mn.Linear(1)).initialize(input_shape=(256,))
    trainer = mn.Trainer(net, mn.SGD(0.01), multipliers=rules)
    x = np.ones((512, 256), np.float32)
    trainer.step(x, x[:, 0])
    tracemalloc.start()
    try:
        trainer.step(x, x[:, 0])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_depth_of_the_frozen_part():
    one_activation = 512 * 256 * 4
    head_only = {-1: 1, ...: None}
    shallow, deep = peak_of_a_step(2, head_only), peak_of_a_step(10, head_only)
    assert deep < shallow + one_activation // 2
    assert peak_of_a_step(10, None) > deep + 8 * one_activation  # it does where it is trained


# --- layers that behave differently in training -----------------------------------------------


def test_a_frozen_batchnorm_runs_as_in_inference_and_keeps_its_statistics():
    x, y = points()
    net = classifier(4, mn.BatchNorm()).initialize(input_shape=(2,))
    trained = quiet(net, (x, y)).net  # statistics of its own
    trainer = mn.Trainer(trained, mn.SGD(0.0001), multipliers={mn.BatchNorm: None})
    assert trainer.step(x, y) == pytest.approx(mn.evaluate(trained, (x, y))["loss"], abs=1e-6)
    for name in ("running_mean", "running_variance", "scale", "shift"):
        assert trainer.net[1, name] is trained[1, name]


@pytest.mark.parametrize("trained", ["1.scale", "1.shift"])
def test_a_batchnorm_with_any_trainable_array_updates_its_statistics(trained):
    net = classifier(4, mn.BatchNorm()).initialize(input_shape=(2,))
    new = quiet(net, points(), multipliers={trained: 1, ...: None}).net
    changed = {p for p, a in net.arrays().items() if not same_bits(a, new.arrays()[p])}
    names = {dotted(path) for path in changed}
    assert names == {trained, "1.running_mean", "1.running_variance"}


def test_running_statistics_go_on_from_batch_to_batch():
    x, y = points(96)
    net = mn.Chain(mn.BatchNorm(momentum=0.25), mn.Linear(3), mn.Softmax()).initialize(
        input_shape=(2,)
    )
    trainer = mn.Trainer(net)
    mean, variance = np.zeros(2), np.ones(2)
    for start in range(0, 96, 32):
        batch = x[start : start + 32]
        trainer.step(batch, y[start : start + 32])
        mean = 0.75 * mean + 0.25 * batch.mean(0)
        variance = 0.75 * variance + 0.25 * batch.var(0, ddof=1)
    np.testing.assert_allclose(trainer.net[0, "running_mean"], mean, rtol=1e-5)
    np.testing.assert_allclose(trainer.net[0, "running_variance"], variance, rtol=1e-5)


# --- nothing to train -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules", [None, 0, {...: None}, [(..., 0)], {...: np.zeros(1)}, {"*.weight": 0, "*.bias": None}]
)
def test_everything_frozen_warns_and_gives_the_very_net_back(rules):
    net = classifier(4).initialize(input_shape=(2,))
    rules = 0 if rules is None else rules
    with pytest.warns(MinnetWarning, match="every array is frozen"):
        result = quiet(net, points(), multipliers=rules)
    assert result.net is net is result.final
    assert (result.rounds, result.steps, result.history) == (0, 0, ())
    assert result.stopped == "every array is frozen"


def test_a_net_without_arrays_has_nothing_to_train():
    with pytest.warns(MinnetWarning, match="no arrays"):
        quiet(mn.Chain(mn.Tanh()), (np.ones((4, 2)), np.ones((4, 2))))


def test_a_frozen_element_may_hold_anything():
    weight = np.array([[np.inf, 1.0, -0.0], [0.5, np.nan, 2.0]], np.float32)
    mask = np.array([[0, 1, 0], [1, 0, 1]])
    net = mn.Chain(mn.Linear(3, bias=False), input=2).initialize().with_arrays({"0.weight": weight})
    updater = mn.optim.Updater(mn.Adam(0.1, weight_decay=0.1), net)
    array = weight.copy()
    updater.use({(0, "weight"): array}, {(0, "weight"): mask})
    updater.step({(0, "weight"): np.ones((2, 3), np.float32)}, mn.Progress())
    assert same_bits(array[mask == 0], weight[mask == 0])
    assert (array[mask == 1] != weight[mask == 1]).all()
