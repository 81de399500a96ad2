"""The frozen bottom is computed once per example, for Chains and Graphs, wherever it can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_samples import (
    classifier,
    nets_with_data,
    odd_rules_allowed,
    points,
    quiet,
    rules_for,
    same_nets,
)

import minnet as mn
from minnet.autodiff import value
from minnet.train import features


class Counter:
    """A function for Elementwise that counts the examples that come by."""

    def __init__(self):
        self.examples = 0
        self.batches = 0

    def __call__(self, x):
        self.examples += len(value(x))
        self.batches += 1
        return mn.ops.tanh(x)


def counted_net(counter, *above):
    layers = [mn.Linear(5), mn.Elementwise(counter), *above, mn.Linear(3), mn.Softmax()]
    return mn.Chain(*layers).initialize(input_shape=(2,))


HEAD = {-2: 1, ...: None}


def close(a, b):
    first, second = a.arrays(), b.arrays()
    for path, array in first.items():
        np.testing.assert_allclose(array, second[path], rtol=1e-3, atol=1e-5, err_msg=str(path))


# --- the same result --------------------------------------------------------------------------


@st.composite
def trainings(draw):
    """A net, its data, and how to train some of it."""
    net, examples = draw(nets_with_data())
    rules = draw(rules_for(net))
    # Steps so small that rounding differences aren't blown up by the training itself.
    options = {"multipliers": rules, "optimizer": mn.SGD(1e-3), "batch_size": 4, "validation": 0.25}
    options["frozen_dropout"] = draw(st.booleans())
    return net, examples, options


@settings(max_examples=30)
@given(trainings())
def test_reuse_changes_nothing_but_rounding(training):
    net, examples, options = training
    with odd_rules_allowed():
        without = quiet(net, examples, reuse_frozen=False, **options)
        from_memory = quiet(net, examples, reuse_frozen=1e9, **options)
    close(from_memory.final, without.final)
    for row, other in zip(from_memory.history, without.history, strict=True):
        assert row["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-3, abs=1e-4)


@pytest.mark.host  # on a GPU nothing is kept in a file
@settings(max_examples=30)
@given(trainings())
def test_a_file_gives_the_bits_that_memory_gives(training):
    net, examples, options = training
    with odd_rules_allowed():
        from_memory = quiet(net, examples, reuse_frozen=1e9, **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(features, "FILE_PAYS", 0)
            from_file = quiet(net, examples, reuse_frozen=1, **options)
    assert from_file.kept == ("file" if from_memory.kept else "")
    assert same_nets(from_file.final, from_memory.final)


# --- how often --------------------------------------------------------------------------------


def test_each_example_passes_the_frozen_bottom_once():
    counter = Counter()
    result = quiet(counted_net(counter), points(60), multipliers=HEAD, rounds=4)
    assert counter.examples == 60
    assert result.reused == 0.75


def test_without_reuse_it_passes_once_a_round():
    counter = Counter()
    net = counted_net(counter)
    result = quiet(net, points(60), multipliers=HEAD, rounds=4, reuse_frozen=False)
    assert counter.examples == 4 * 60
    assert result.reused == 0.0


def test_validation_data_passes_once_too():
    counter = Counter()
    quiet(counted_net(counter), points(60), multipliers=HEAD, rounds=4, validation=0.25)
    assert counter.examples == 60
    counter.examples = 0
    quiet(counted_net(counter), points(60), multipliers=HEAD, rounds=4, validation=points(30, 1))
    assert counter.examples == 90


def test_a_trained_bottom_is_computed_each_round():
    counter = Counter()
    result = quiet(counted_net(counter), points(60), rounds=4)
    assert counter.examples == 240
    assert result.reused == 0.0


def test_batches_of_a_stream_are_not_kept():
    counter = Counter()
    x, y = points(60)
    quiet(counted_net(counter), lambda: [(x, y)], multipliers=HEAD, rounds=3)
    assert counter.examples == 180


@pytest.mark.parametrize("limit, kept", [(60 * 5 * 4, "memory"), (60 * 5 * 4 - 1, "")])
def test_the_limit_is_in_bytes(limit, kept):
    counter = Counter()
    net = counted_net(counter)  # 60 examples give 5 numbers each, float32
    result = quiet(net, points(60), multipliers=HEAD, rounds=4, reuse_frozen=limit)
    # So little work is done again sooner than read from a file.
    assert (result.kept, counter.examples) == (kept, 60 if kept else 240)


@pytest.mark.parametrize("limits", [{"rounds": 1}, {"steps": 4}, {"steps": 9, "rounds": 1}])
def test_nothing_is_kept_where_nothing_is_seen_again(limits):
    counter = Counter()
    options = {"multipliers": HEAD, "validation": points(20, 1), **limits}
    result = quiet(counted_net(counter), points(60), **options)
    assert (counter.examples, result.kept) == (80, "")
    assert quiet(counted_net(counter), points(60), multipliers=HEAD, steps=5).kept == "memory"


def test_random_layers_end_the_part_that_is_kept():
    counter = Counter()
    net = mn.Chain(
        mn.Linear(4),
        mn.Dropout(0.2),
        mn.Linear(4),
        mn.Elementwise(counter),
        mn.Linear(3),
        mn.Softmax,
    ).initialize(input_shape=(2,))
    quiet(net, points(60), multipliers=HEAD, rounds=3)
    assert counter.examples == 180
    counter.examples = 0
    quiet(net, points(60), multipliers=HEAD, rounds=3, frozen_dropout=False)
    assert counter.examples == 60


def test_augmentation_is_never_kept():
    counter = Counter()
    layers = mn.Augment(shift=1), mn.Flatten(), mn.Linear(4), mn.Elementwise(counter)
    net = classifier(*layers).initialize(input_shape=(3, 3, 1))
    x = np.random.default_rng(0).normal(size=(20, 3, 3, 1))
    quiet(net, (x, np.arange(20) % 3), multipliers=HEAD, rounds=3)
    assert counter.examples == 60


def test_a_nested_chain_is_divided_inside():
    counter = Counter()
    inner = mn.Chain(mn.Linear(4), mn.Elementwise(counter), last=mn.Linear(4))
    net = classifier(inner).initialize(input_shape=(2,))
    rules = {(0, "last"): 1, -2: 1, ...: None}
    result = quiet(net, points(60), multipliers=rules, rounds=3)
    assert counter.examples == 60
    assert result.net[0, 0, "weight"] is net[0, 0, "weight"]
    assert result.net[0, "last", "weight"] is not net[0, "last", "weight"]


# --- Graphs -----------------------------------------------------------------------------------


def fork(counter, **more):
    """Two frozen branches that meet, a counter in each."""
    layers = {
        "stem": mn.Linear(4),
        "left": mn.Elementwise(counter),
        "right": mn.Elementwise(counter),
        "both": mn.Catenate(),
        "head": mn.Linear(3),
        "end": mn.Softmax(),
        **more.get("layers", {}),
    }
    wiring = {
        "stem": "input",
        "left": "stem",
        "right": "stem",
        "both": ("left", "right"),
        "head": "both",
        "end": "head",
        **more.get("wiring", {}),
    }
    return mn.Graph(layers, wiring).initialize(input_shape=(2,))


def test_a_graph_is_divided_where_its_fixed_layers_end():
    counter = Counter()
    net = fork(counter)
    result = quiet(net, points(60), multipliers={"head": 1, ...: None}, rounds=3, validation=0.2)
    assert counter.examples == 2 * 60
    assert result.net["stem.weight"] is net["stem.weight"]


def test_a_graph_may_be_divided_through_several_wires():
    counter = Counter()
    extra = {
        "layers": {"scale": mn.Linear(4), "shift": mn.Constant(np.ones(8))},
        "wiring": {
            "scale": "right",  # trained: so left, scale's input and the raw input cross
            "both": ("left", "scale"),
            "sum": ("both", "shift"),
            "again": ("sum", "input"),
            "head": "again",
        },
    }
    extra["layers"] |= {"sum": mn.Add(), "again": mn.Catenate()}
    net = fork(counter, **extra)
    rules = {"head": 1, "scale": 1, ...: None}
    options = {"multipliers": rules, "rounds": 3, "optimizer": mn.SGD(0.01)}
    kept = quiet(net, points(60), **options)
    assert counter.examples == 2 * 60
    close(kept.net, quiet(net, points(60), reuse_frozen=False, **options).net)


def test_dropout_in_a_graph_only_counts_where_it_stands_before_something_trained():
    counter = Counter()
    extra = {"layers": {"drop": mn.Dropout(0.5)}, "wiring": {"left": "drop", "drop": "stem"}}
    net = fork(counter, **extra)
    rules = {"head": 1, ...: None}
    quiet(net, points(60), multipliers=rules, rounds=3)
    assert counter.examples == 60 + 3 * 60  # right once, left after the dropout each round
    counter.examples = 0
    quiet(net, points(60), multipliers=rules, rounds=3, frozen_dropout=False)
    assert counter.examples == 2 * 60


def test_a_graph_with_several_inputs_keeps_what_comes_of_the_frozen_one():
    counter = Counter()
    net = mn.Graph(
        {
            "word": mn.Embedding(3, count=5),
            "known": mn.Elementwise(counter),
            "size": mn.Linear(3),
            "both": mn.Add(),
            "end": mn.Softmax(),
        },
        {
            "word": "words",
            "known": "word",
            "size": "sizes",
            "both": ("known", "size"),
            "end": "both",
        },
    ).initialize(input_shape={"words": (), "sizes": (2,)})
    x, y = points(40)
    data = {"words": np.arange(40) % 5, "sizes": x, "output": y}
    result = quiet(net, data, multipliers={"word": None}, rounds=3)
    assert counter.examples == 40
    assert result.net["word.weight"] is net["word.weight"]
    assert (result.net["size.weight"] != net["size.weight"]).all()


# --- schedules --------------------------------------------------------------------------------


def test_what_is_kept_is_dropped_when_part_of_the_bottom_thaws():
    counter = Counter()
    net = counted_net(counter, mn.Linear(4))

    def thaws(progress):
        return 1 if progress.round >= 2 else 0

    rules = [(0, thaws), (2, None), (-2, 1)]
    kept = quiet(net, points(60), multipliers=rules, rounds=4)
    assert counter.examples == 60 + 2 * 60
    assert not (kept.net[0, "weight"] == net[0, "weight"]).any()
    assert kept.net[2, "weight"] is net[2, "weight"]


def test_what_is_kept_stays_when_something_thaws_above_it():
    counter = Counter()
    net = counted_net(counter, mn.Linear(4), mn.Linear(4))
    rules = [(3, lambda progress: float(progress.round >= 2)), (2, 1), (-2, 1), (..., None)]
    quiet(net, points(60), multipliers=rules, rounds=4)
    assert counter.examples == 60


def test_a_bottom_that_freezes_again_is_kept_from_then_on():
    counter = Counter()
    net = counted_net(counter)
    rules = [(0, lambda progress: float(progress.round in (1, 2))), (..., 1)]
    result = quiet(net, points(60), multipliers=rules, rounds=6, validation=points(10, 1))
    assert counter.examples == 70 + 2 * 70 + 70
    same = quiet(net, points(60), multipliers=rules, rounds=6, reuse_frozen=False)
    close(result.final, same.final)


# --- dropout ----------------------------------------------------------------------------------


def test_dropout_in_the_frozen_part_is_active_unless_told_otherwise():
    net = classifier(mn.Linear(6), mn.Dropout(0.5)).initialize(input_shape=(2,))
    x, y = points(60)
    loss = mn.evaluate(net, (x, y))["loss"]
    first, second = (
        mn.Trainer(net, mn.SGD(1e-9), multipliers=HEAD, frozen_dropout=active).step(x, y)
        for active in (True, False)
    )
    assert first != pytest.approx(loss, rel=1e-3)
    assert second == pytest.approx(loss, rel=1e-5)


def test_dropout_above_the_first_trained_layer_is_always_active():
    net = classifier(mn.Linear(6), mn.Dropout(0.5)).initialize(input_shape=(2,))
    x, y = points(60)
    loss = mn.evaluate(net, (x, y))["loss"]
    trainer = mn.Trainer(net, mn.SGD(1e-9), frozen_dropout=False)
    assert trainer.step(x, y) != pytest.approx(loss, rel=1e-3)


def test_dropout_beside_what_is_trained_is_in_the_frozen_part():
    net = mn.Graph(
        {"a": mn.Linear(3), "b": mn.Linear(3), "drop": mn.Dropout(), "sum": mn.Add()},
        {"a": "input", "b": "input", "drop": "b", "sum": ("a", "drop")},
    ).initialize(input_shape=(2,))
    x, _ = points(60)
    loss = mn.evaluate(net, (x, np.zeros((60, 3))))["loss"]
    for rules, is_off in (({"a": 1, ...: None}, True), ({"b": 1, ...: None}, False)):
        trainer = mn.Trainer(net, mn.SGD(1e-9), multipliers=rules, frozen_dropout=False)
        found = trainer.step(x, np.zeros((60, 3)))
        assert (found == pytest.approx(loss, rel=1e-4)) is is_off


def test_turning_it_off_in_training_leaves_it_in_the_net():
    net = classifier(mn.Linear(6), mn.Dropout(0.5, name="drop")).initialize(input_shape=(2,))
    result = quiet(net, points(60), multipliers=HEAD, frozen_dropout=False)
    assert result.net["drop"] is net["drop"]
    assert same_nets(result.net[:2], net[:2])
