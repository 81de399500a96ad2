"""Multipliers: what is refused or warned of, the table, and the helpers that make rules."""

import pickle

import numpy as np
import pytest
from multiplier_samples import small

from minnet.errors import MinnetWarning, PathError, SpecError
from minnet.layers import BatchNorm, Conv, Linear, Ramp, Softmax
from minnet.multipliers import (
    MultiplierTable,
    gradual_unfreeze,
    layerwise,
    matching,
    multipliers,
    resolve,
)
from minnet.net import Chain
from minnet.optim import Cosine, Progress

# --- rules that name nothing, rules that never act ------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        4,
        -5,
        "haed",
        "encoder.5",
        "Head",
        "",
        "*.kernel",
        ("encoder", 7),
        ("head", "bias", "x"),
        ("encoder", 0, 0),
        slice(0, 0),
        slice(4, 9),
        range(4, 9),
        Conv,
        Softmax(),
        Linear(2),
        lambda path, layer, array: False,
    ],
)
def test_a_rule_that_names_nothing_lists_what_there_is(pattern):
    for rules in ([(pattern, 1)], [(..., None), (pattern, 1)]):
        with pytest.raises(SpecError) as caught:
            multipliers(small(), rules)
        message = str(caught.value)
        assert "names nothing" in message
        assert "0: Linear (weight, bias)" in message and "1: Ramp (no arrays)" in message
        assert "2.2 = encoder.last: Linear (weight)" in message


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("haed", "head"),
        ("encodr", "encoder"),
        ("encoder.lst.weight", "encoder.last.weight"),
        ("last", "encoder.last"),
        ("lsat", "encoder.last"),
        (("encoder", "lats"), "encoder.last"),
        ("head.wieght", "head.weight"),
    ],
)
def test_misspelt_names_get_a_suggestion(misspelt, meant):
    with pytest.raises(SpecError, match="Did you mean") as caught:
        multipliers(small(), [(misspelt, None)])
    assert f'"{meant}"' in str(caught.value).split("?")[0]


def test_the_list_of_a_long_net_is_cut():
    with pytest.raises(SpecError, match="and 50 more layers"):
        multipliers(Chain(*[Ramp() for _ in range(100)]), {"x": 1})
    with pytest.raises(SpecError, match="names nothing"):
        multipliers(Chain(), {0: 1})
    assert len(multipliers(Chain(), {...: None})) == 0


@pytest.mark.parametrize(
    ("rules", "dead", "taker"),
    [
        ({...: None, -2: 1}, "-2: 1", "...: None"),
        ({"*": 1, "head": None}, '"head": None', '"*": 1'),
        ({Linear: 1, "head.*": 2}, '"head.*": 2', "Linear: 1"),
        ({"encoder": 1, "encoder.1": 2}, '"encoder.1": 2', '"encoder": 1'),
        ({0: 1, range(0, 2): 2}, "range(0, 2): 2", "0: 1"),
    ],
)
def test_a_rule_that_can_never_act_is_a_warning_naming_both(rules, dead, taker):
    with pytest.warns(MinnetWarning, match="never act") as caught:
        table = multipliers(small(), rules)
    (warning,) = caught
    assert f"`{dead}`" in str(warning.message) and f"`{taker}`" in str(warning.message)
    assert warning.filename == __file__
    assert dead not in {entry.rule for entry in table.values()}


def test_all_rules_that_took_everything_are_named():
    with pytest.warns(MinnetWarning, match=r"`\"head\.weight\": 1` and `\"head\.bias\": 2`"):
        multipliers(small(), {"head.weight": 1, "head.bias": 2, "head": 3})


def test_a_rule_on_layers_without_arrays_is_a_warning():
    with pytest.warns(MinnetWarning, match=r"`1: None` changes nothing.*1 \(Ramp\)"):
        multipliers(small(), {1: None})


def test_resolve_has_any_default_and_check():
    def check(value, rule):
        if value == 13:
            raise SpecError(rule)
        return value * 10

    net = Chain(Linear(2), last=Linear(2, bias=False))
    decisions = resolve(net, {0: 3}, lambda place: (len(place.path), "length"), check)
    assert [(d.place.path, d.value, d.rule) for d in decisions] == [
        ((0, "weight"), 30, "0: 3"),
        ((0, "bias"), 30, "0: 3"),
        (("last", "weight"), 20, "length"),
    ]
    with pytest.raises(SpecError, match="the rule `0: 13`"):
        resolve(net, {0: 13}, lambda place: (0, ""), check)


def test_matching_gives_the_paths_state_included():
    net = small()
    assert matching(net, "encoder.1") == {
        ("encoder", 1, name) for name in ("scale", "shift", "running_mean", "running_variance")
    }
    assert matching(net, 1) == set()
    assert matching(net, ...) == set(net.arrays())
    with pytest.raises(SpecError, match=r'^"haed" names nothing.*Did you mean "head"'):
        matching(net, "haed")


# --- the table --------------------------------------------------------------------------------


def test_the_table_reads_well():
    net = Chain(
        Linear(30), BatchNorm(), Linear(5), last=Linear(2, bias=False, multiplier=-1), input=(50,)
    ).initialize()
    mask = np.repeat([0.0, 1.0], [10, 20])[:, None]
    rules = [("*.bias", Cosine(1, 0)), ("2", mask), (BatchNorm, None), (0, 0.1)]
    assert str(multipliers(net, rules)).splitlines() == [
        "array               shape     parameters  multiplier                  decided by",
        "0.weight            (50, 30)       1,500  0.1                         0: 0.1",
        "0.bias              (30,)             30  Cosine(start=1.0, end=0.0)  "
        '"*.bias": Cosine(start=1.0, end=0.0)',
        "1.scale             (30,)             30  frozen                      BatchNorm: None",
        "1.shift             (30,)             30  frozen                      BatchNorm: None",
        "1.running_mean      (30,)             30  -                           state",
        "1.running_variance  (30,)             30  -                           state",
        "2.weight            (30, 5)          150  elementwise                 "
        '"2": array of shape (30, 1)',
        "2.bias              (5,)               5  Cosine(start=1.0, end=0.0)  "
        '"*.bias": Cosine(start=1.0, end=0.0)',
        "last.weight         (5, 2)            10  -1                          multiplier= of last",
        "1,815 parameters: 1,610 trained, 35 scheduled, 110 frozen, 60 state",
    ]
    assert repr(multipliers(net)) == str(multipliers(net))


def test_the_table_says_what_is_not_initialized():
    assert str(multipliers(Chain(Linear(2)), None)).splitlines()[1:] == [
        "0.weight  ?               ?  1           no rule",
        "0.bias    ?               ?  1           no rule",
        "0 parameters: 0 trained, 0 frozen; 2 arrays not initialized yet",
    ]


def test_the_table_is_a_mapping():
    net = small()
    table = multipliers(net, {"head": None})
    assert isinstance(table, MultiplierTable) and list(table) == list(net.arrays())
    entry = table["head", "bias"]
    assert (entry.path, entry.shape, entry.size, entry.value) == (("head", "bias"), (2,), 2, 0.0)
    assert (entry.rule, entry.layer) == ('"head": None', "Linear")
    assert ("head", "nothing") not in table and table.get(("x",)) is None
    with pytest.raises(PathError, match=r"x.*head\.bias"):
        table["x",]
    groups = [table.trainable(), table.frozen(), [p for p, e in table.items() if e.is_state]]
    assert sorted(str(path) for group in groups for path in group) == sorted(map(str, table))
    assert not table.scheduled


# --- helpers --------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.5, 2])
def test_layerwise_slows_each_layer_down_the_net(decay):
    at = multipliers(small(), layerwise(decay)).at()
    assert {path[:-1]: value for path, value in at.items()} == {
        (0,): 1 / 16,
        ("encoder", 0): 1 / 8,
        ("encoder", 1): 1 / 4,
        ("encoder", "last"): 1 / 2,
        ("head",): 1,
    }


def test_layerwise_can_be_mixed_with_other_rules():
    def rules(net):
        return [("*.bias", None), *layerwise(0.5)(net)]

    table = multipliers(Chain(Linear(3), Ramp(), Linear(2)), rules)
    assert table.at() == {(0, "weight"): 0.5, (2, "weight"): 1.0}


def test_gradual_unfreeze_thaws_from_the_top():
    table = multipliers(small(), gradual_unfreeze(every=2))
    thawed = [
        list(dict.fromkeys(path[:-1] for path in table.trainable(Progress(round=r))))
        for r in (0, 1, 2, 4, 6, 8, 100)
    ]
    order = [(0,), ("encoder", 0), ("encoder", 1), ("encoder", "last"), ("head",)]
    assert thawed == [order[-n:] for n in (1, 1, 2, 3, 4, 5, 5)]
    assert set(table.at(Progress(round=9)).values()) == {1.0}
    assert not multipliers(Chain(Linear(2)), gradual_unfreeze()).scheduled


def test_helpers_print_compare_and_pickle():
    for helper in (layerwise(0.5), gradual_unfreeze(3)):
        assert pickle.loads(pickle.dumps(helper)) == helper
    assert repr(layerwise(0.5)) == "layerwise(decay=0.5)"
    assert repr(gradual_unfreeze()) == "gradual_unfreeze(every=1)"


@pytest.mark.parametrize("decay", [0, -0.5, float("nan"), float("inf"), "0.5", None, True])
def test_layerwise_refuses_what_is_no_factor(decay):
    with pytest.raises(SpecError, match="decay"):
        layerwise(decay)


@pytest.mark.parametrize("every", [0, -1, 1.5, None, True])
def test_gradual_unfreeze_refuses_what_is_no_count(every):
    with pytest.raises(SpecError, match="gradual_unfreeze"):
        gradual_unfreeze(every)
