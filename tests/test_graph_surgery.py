"""Surgery on graphs: their parts, and what is put in, taken out, replaced and renamed."""

import numpy as np
import pytest
from hypothesis import given
from net_samples import (
    LABELS,
    example_inputs,
    graph_classifier,
    residual_block,
    residuals,
    two_towers,
    values,
)

import minnet as mn


def test_nothing_can_be_changed_in_place():
    net = two_towers()
    for mapping in (net.layers, net.wiring):
        with pytest.raises(TypeError):
            mapping["left"] = mn.Ramp()
    with pytest.raises(AttributeError, match="never changed"):
        net.wiring = {}


def test_take():
    net = graph_classifier()
    x = values(3, 5)
    part = net.take("b")
    assert part.keys() == ("a", "b")
    assert part.input == (5,)
    assert part.output is None
    np.testing.assert_array_equal(part(x), net.outputs(x, at="b"))
    assert net.take(-1).output is LABELS
    assert net.take("c").output is None
    both = net.take("a", "c", "a")
    assert both.output_names == ("a_output", "c_output")
    assert both["a.weight"] is net["a.weight"]
    left = two_towers().take("left")
    assert (left.input_names, left.input) == (("a",), (2,))
    assert two_towers().take("add").input == {"a": (2,), "b": (4,)}
    for bad in ([], ["x"], ["sum"]):
        with pytest.raises(mn.PathError):
            two_towers().take(*bad)


def test_drop_is_what_take_leaves():
    net = graph_classifier()
    x = values(3, 5)
    rest = net.drop("b")
    assert (rest.keys(), rest.input_names, rest.input) == (("c", "d"), ("b",), (4,))
    assert rest(net.take("b")(x)) == net(x)
    towers = two_towers().initialize()
    rest = towers.drop("left")
    assert rest.input == {"left": (3,), "b": (4,)}
    with pytest.raises(mn.SpecError, match="'positive' also takes from 'ramp': name it, too"):
        mn.Graph(
            {"ramp": mn.Ramp, "a": 2},
            {"ramp": "x", "a": "ramp", "o": "a", "positive": "ramp"},
        ).drop("a")
    assert net.with_ends(input=None).drop("a").input is None
    for bad in ([], ["x"]):
        with pytest.raises(mn.PathError):
            net.drop(*bad)


def test_insert_delete_replace_rename_append():
    net = graph_classifier()
    x = values(3, 5)
    longer = net.insert("new", mn.Tanh, after="a").insert("first", mn.Dropout(), after="input")
    assert longer.wiring["b"] == ("new",)
    assert longer.wiring["a"] == ("first",)
    assert longer["c.weight"] is net["c.weight"]
    assert longer.input == (5,)
    assert longer.delete("new", "first")(x) == net(x)
    assert net.delete("b").output is LABELS
    assert net.delete("d").output is None
    assert net.delete("a", "b", "c").wiring["d"] == ("input",)
    other = net.replace("c", mn.Linear())
    assert other["c"].size == 3
    assert other.output is LABELS
    assert net.replace("c", 7).output is None
    assert net.replace("b", mn.Linear(4, name="x")).keys() == ("a", "b", "c", "d")
    renamed = net.rename("c", "head")
    assert renamed["head.weight"] is net["c.weight"]
    assert renamed(x) == net(x)
    deeper = net.append(mn.Linear(9), mn.Linear(2, name="two"), last=mn.Ramp)
    assert deeper.keys()[-3:] == ("linear", "two", "last")
    assert deeper.output is None
    assert net.append(mn.Ramp).output is LABELS


def test_append_names_layers_by_their_type():
    net = mn.Graph({"linear": 3}, {"linear": "x"}, output=mn.ScalarDecoder(), multiplier=0.5)
    longer = net.append(mn.Ramp, 4, mn.Linear(), ramp_2=mn.Ramp)
    assert longer.keys() == ("linear", "ramp", "linear_2", "linear_3", "ramp_2")
    assert longer["linear_3"].size == 1
    assert longer.multiplier == 0.5


def test_surgery_that_can_not_be():
    net = graph_classifier()
    for mistake in (
        lambda: net.insert("b", mn.Ramp, after="a"),
        lambda: net.insert("input", mn.Ramp, after="a"),
        lambda: net.insert("new", mn.Add, after="nothing"),
        lambda: net.rename("a", "b"),
        lambda: net.rename("a", "output"),
        lambda: net.rename("x", "y"),
        lambda: net.append(b=mn.Ramp),
        lambda: net.append(mn.Ramp(name="x"), x=mn.Ramp),
        lambda: two_towers().append(mn.Ramp),
        lambda: two_towers().delete("add"),
        lambda: net.replace("a", mn.Constant([1.0])),
        lambda: mn.Chain(residual_block()).replace("0.add", mn.Ramp),
        lambda: net.replace("a.weight", mn.Ramp),
        lambda: mn.Chain(net).replace("0.a", mn.Constant([1.0])),
    ):
        with pytest.raises(mn.SpecError):
            mistake()
    with pytest.raises(mn.ShapeError, match=r"^c: its weight has shape"):
        net.replace("a", 7)


@given(residuals((4,)))
def test_surgery_leaves_the_graph_as_it_was(net):
    net = net.initialize(input_shape=4)
    x, before, shown = example_inputs(net), net(example_inputs(net)), repr(net)
    net.insert("new", mn.Ramp, after="add").rename("body", "trunk").delete("new").take("trunk")
    np.testing.assert_array_equal(net(x), before)
    assert repr(net) == shown
