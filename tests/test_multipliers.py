"""Multipliers: every pattern and every value of the rules, and what applies without them."""

import numpy as np
import pytest
from multiplier_samples import ALL, ENCODER, HEAD, forked, named, small

from minnet.errors import ShapeError, SpecError
from minnet.layers import BatchNorm, Constant, Layer, Linear, Ramp
from minnet.multipliers import (
    layerwise,
    multipliers,
)
from minnet.net import Chain, Graph
from minnet.optim import Cosine, Progress

# --- patterns ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (0, ["0.weight", "0.bias"]),
        (2, ENCODER),
        (np.int64(3), HEAD),
        (-1, HEAD),
        (-2, ENCODER),
        (-4, ["0.weight", "0.bias"]),
        ("head", HEAD),
        ("h*", HEAD),
        ("3", HEAD),
        ("[3-9]", HEAD),
        ("encoder", ENCODER),
        ("2.last", ["encoder.last.weight"]),
        ("2.2.weight", ["encoder.last.weight"]),
        ("encoder.2", ["encoder.last.weight"]),
        ("*.bias", ["0.bias", "encoder.0.bias", "head.bias"]),
        ("*.0.weight", ["encoder.0.weight"]),
        ("encoder.?.s*", ["encoder.1.scale", "encoder.1.shift"]),
        ("encoder.last.weight", ["encoder.last.weight"]),
        ("*", ALL),
        (("encoder",), ENCODER),
        (("enc*", 0), ["encoder.0.weight", "encoder.0.bias"]),
        (("encoder", 2, "weight"), ["encoder.last.weight"]),
        (("encoder", -1, "weight"), ["encoder.last.weight"]),
        (("encoder", "last", "weight"), ["encoder.last.weight"]),
        ((2, "1", "sc*"), ["encoder.1.scale"]),
        ((-1, "bias"), ["head.bias"]),
        ((), ALL),
        (slice(0, 2), ["0.weight", "0.bias"]),
        (slice(-1, None), HEAD),
        (slice(None, None, 2), ["0.weight", "0.bias", *ENCODER]),
        (range(2, 4), ENCODER + HEAD),
        (range(-2, 0), ENCODER + HEAD),
        (range(3, 100), HEAD),
        (Linear, [path for path in ALL if not path.startswith("encoder.1")]),
        (BatchNorm, ["encoder.1.scale", "encoder.1.shift"]),
        (Chain, ENCODER),
        (Layer, ALL),
        (lambda path, layer, array: array.shape == (4,), ["0.bias"]),
        (lambda path, layer, array: path[-1] == "shift", ["encoder.1.shift"]),
        (lambda path, layer, array: isinstance(layer, BatchNorm), ENCODER[2:4]),
        (..., ALL),
    ],
)
def test_pattern_names(pattern, expected):
    assert named(small(), pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (1, ["right.weight", "right.bias"]),
        (-1, HEAD),
        (2, ["block.0.weight", "block.0.bias"]),
        ("right", ["right.weight", "right.bias"]),
        ("1.bias", ["right.bias"]),
        (("block", 0, "bias"), ["block.0.bias"]),
        (slice(0, 2), ["left.weight", "left.bias", "right.weight", "right.bias"]),
        (Chain, ["block.0.weight", "block.0.bias"]),
    ],
)
def test_positions_in_a_graph_follow_its_order(pattern, expected):
    assert named(forked(), pattern) == expected


def test_a_layer_object_names_itself_wherever_it_stands():
    net = small()
    assert named(net, net["head"]) == HEAD
    assert named(net, net["encoder"]) == ENCODER
    assert named(net, net["encoder"]["last"]) == ["encoder.last.weight"]
    shared = Linear(4)
    twice = Chain(shared, Ramp(), Chain(shared))
    assert named(twice, shared) == ["0.weight", "0.bias", "2.0.weight", "2.0.bias"]


def test_a_layer_object_may_be_that_of_the_net_before_it_was_initialized():
    net = Chain(Linear(2), inner=Chain(Linear(2)), input=(3,))
    ready = net.initialize()
    for pattern in (net["inner"], net["inner"][0], ready["inner"], ready["inner"][0]):
        assert multipliers(ready, {pattern: None}, given=net).trainable() == [
            (0, "weight"),
            (0, "bias"),
        ]
    with pytest.raises(SpecError, match="A layer object names itself only"):
        multipliers(ready, {net["inner"]: None})
    with pytest.raises(SpecError, match="same structure"):
        multipliers(ready, {0: None}, given=Chain(Linear(2)))


def test_a_lone_layer_can_have_rules_too():
    layer = Linear(3)
    assert multipliers(layer, {"bias": None}).trainable() == [("weight",)]
    assert multipliers(layer, {Linear: 2}).at() == {("weight",): 2.0, ("bias",): 2.0}
    assert multipliers(layer, layerwise(0.5)).at() == {("weight",): 1.0, ("bias",): 1.0}
    for position in (0, slice(0, 1), range(1)):
        with pytest.raises(SpecError, match=r"the net: Linear \(weight, bias\)"):
            multipliers(layer, [(position, None)])


def test_callables_see_none_for_arrays_not_made_yet():
    seen = []
    net = Chain(Linear(2), Linear(2, bias=False))
    multipliers(net, {(lambda path, layer, array: seen.append((path, layer, array)) or True): 1})
    assert seen == [
        ((0, "weight"), net[0], None),
        ((0, "bias"), net[0], None),
        ((1, "weight"), net[1], None),
    ]


# --- values -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, 0.0, -0.0, np.float32(0), np.zeros(()), np.zeros(2)])
def test_none_and_zero_freeze(value):
    table = multipliers(small(), {"head": value, ...: 1})
    assert table.frozen() == [("head", "weight"), ("head", "bias")]
    assert not {("head", "weight"), ("head", "bias")} & set(table.at())


@pytest.mark.parametrize("value", [2, 0.5, -1.5, np.float32(0.25), np.int8(3), np.array(0.5)])
def test_numbers_become_python_floats(value):
    found = multipliers(small(), {"head": value}).at()["head", "bias"]
    assert type(found) is float and found == value


def test_an_array_is_kept_where_it_broadcasts():
    mask = np.array([[1.0], [0.0], [1.0], [0.0], [-2.0]])
    table = multipliers(small(), [("head.weight", mask), (..., None)])
    found = table.at()["head", "weight"]
    np.testing.assert_array_equal(found, mask)
    assert found is not mask and not found.flags.writeable
    assert table.trainable() == [("head", "weight")]


def test_booleans_make_an_elementwise_mask():
    table = multipliers(small(), {"head.bias": np.array([True, False])})
    np.testing.assert_array_equal(table.at()["head", "bias"], [1, 0])


@pytest.mark.parametrize("shape", [(3,), (5, 2), (1, 2), (1, 1)])
def test_an_array_that_does_not_broadcast_is_refused_with_the_path(shape):
    with pytest.raises(ShapeError, match=r"^head\.bias: .*broadcast to .*\(2,\)") as caught:
        multipliers(small(), {"head.bias": np.ones(shape)})
    assert caught.value.path == ("head", "bias")


def test_the_shape_of_a_multiplier_is_checked_where_the_array_is_there():
    net = Chain(Linear(2), input=(3,))
    rules = {"0.weight": np.ones((4, 2))}
    assert len(multipliers(net, rules).trainable()) == 2
    with pytest.raises(ShapeError, match=r"^0\.weight"):
        multipliers(net.initialize(), rules)


def test_a_schedule_is_read_at_the_moment_asked_for():
    table = multipliers(small(), {"head": Cosine(1, 0), "*.bias": lambda p: p.round - 1, ...: 0})
    assert table.scheduled
    assert table.at()["head", "weight"] == 1
    assert table.at()["encoder", 0, "bias"] == -1
    later = Progress(round=1, rounds=2)
    assert table.at(later) == {("head", "weight"): 0.5, ("head", "bias"): 0.5}
    assert table.trainable(later) == [("head", "weight"), ("head", "bias")]
    assert ("0", "bias") not in table and (0, "bias") in table.frozen(later)
    assert table.at(Progress(round=2, rounds=2))[0, "bias"] == 1


def test_a_schedule_may_say_yes_or_no():
    table = multipliers(small(), {"head": lambda progress: progress.round >= 2})
    assert ("head", "weight") in table.frozen(Progress(round=1))
    assert table.at(Progress(round=2))["head", "weight"] == 1.0


def test_a_schedule_may_give_none_or_arrays_and_is_checked_each_time():
    net = small()
    mask = np.array([1.0, 0.0])
    given = {0: mask, 1: None, 2: np.ones(3), 3: float("nan")}
    table = multipliers(net, {"head.bias": lambda p: given[p.round], ...: None})
    np.testing.assert_array_equal(table.at()["head", "bias"], mask)
    assert table.at(Progress(round=1)) == {}
    with pytest.raises(ShapeError, match=r"head\.bias"):
        table.at(Progress(round=2))
    with pytest.raises(SpecError, match="nan"):
        table.at(Progress(round=3))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        "frozen",
        True,
        ...,
        [1, 2],
        1j,
        Linear,
        Ramp(),
        10**400,
        np.array([np.nan, 1]),
        np.array(["a", "b"]),
        np.array([1j, 1]),
        np.array(np.inf),
    ],
)
def test_other_values_are_refused_naming_the_rule(value):
    with pytest.raises(SpecError, match=r'^the rule `"head\.bias": .*a multiplier is'):
        multipliers(small(), [("head.bias", value)])
    if value is not ...:  # which says there: not given
        with pytest.raises(SpecError, match=r"^multiplier= of head: a"):
            multipliers(Chain(head=Linear(2, multiplier=value)))


@pytest.mark.parametrize(
    "pattern", [None, 1.5, True, int, dict, {1}, (1.5,), ("a", None), slice(0, 1, 0), slice("a", 2)]
)
def test_other_patterns_are_refused(pattern):
    with pytest.raises(SpecError):
        multipliers(small(), [(pattern, 1)])


# --- the forms of rules, and what applies without them --------------------------------------


def test_rules_come_in_many_forms():
    net = small()
    expected = {path: 3.0 for path in multipliers(net).trainable()}
    for rules in (
        3,
        3.0,
        np.float32(3),
        {...: 3},
        [(..., 3)],
        ((..., 3),),
        [[..., 3]],
        lambda net: 3,
        lambda net: [(0, 3), (slice(1, None), 3)],
    ):
        assert multipliers(net, rules).at() == expected
    assert multipliers(net, None).at() == dict.fromkeys(expected, 1.0)
    assert multipliers(net, Cosine(3)).at() == expected
    assert multipliers(net, 0).at() == {}


@pytest.mark.parametrize(
    "rules", ["head", ("head", None), [("head", 1, 2)], [3], b"ab", object(), True, {1, 2}, Linear]
)
def test_other_rules_are_refused(rules):
    with pytest.raises(SpecError):
        multipliers(small(), rules)


def test_without_a_rule_the_nearest_multiplier_applies():
    net = Chain(
        Linear(2),
        Chain(Linear(2), Linear(2, multiplier=3), Linear(2, multiplier=None), multiplier=0.5),
        Linear(2, multiplier=1),
        multiplier=-2,
    )
    table = multipliers(net, {"1.1.bias": 9})
    found = {".".join(map(str, path)): entry for path, entry in table.items()}
    values = {path: entry.value for path, entry in found.items() if path.endswith("weight")}
    assert values == {
        "0.weight": -2,
        "1.0.weight": 0.5,
        "1.1.weight": 3,
        "1.2.weight": 0,
        "2.weight": 1,
    }
    assert found["1.1.bias"].value == 9
    assert found["0.weight"].rule == "multiplier= of the net"
    assert found["1.0.weight"].rule == "multiplier= of 1"
    assert found["1.1.weight"].rule == "multiplier= of 1.1"
    assert multipliers(small())["head", "bias"].rule == "no rule"


def test_state_arrays_are_shown_and_never_trained():
    net = small()
    state = [("encoder", 1, "running_mean"), ("encoder", 1, "running_variance")]
    for rules in (None, 5, {"*.running_mean": 1}, {("encoder", 1, "running_variance"): -1}):
        table = multipliers(net, rules)
        assert [path for path, entry in table.items() if entry.rule == "state"] == state
        assert all(table[path].is_state and table[path].value == 0 for path in state)
        assert not set(state) & {*table.at(), *table.frozen()}
    constant = multipliers(Graph({"c": Constant(np.ones(2)), "r": Ramp()}, {"r": "c"}))
    assert [entry.rule for entry in constant.values()] == ["state"]
