"""Graphs: wiring and its mistakes, ports, nested nets, and blocks."""

import numpy as np
import pytest
from hypothesis import given
from net_samples import (
    LABELS,
    example_inputs,
    graph_classifier,
    inception_block,
    residual_block,
    residuals,
    two_towers,
    values,
)

import minnet as mn

# --- what they compute ------------------------------------------------------------------


def test_a_residual_block_is_what_it_says():
    block = residual_block().with_ends(input=(6, 6, 2)).initialize()
    x = example_inputs(block)
    inner = block["conv2"](np.maximum(block["conv1"](x), 0))
    np.testing.assert_array_equal(block(x), inner + x)
    assert block.output_shape((6, 6, 2)) == (6, 6, 2)


def test_an_inception_block_is_what_it_says():
    block = inception_block().with_ends(input=(6, 6, 2)).initialize()
    x = example_inputs(block)
    branches = [block[name](x) for name in ("one", "three", "five", "pool")]
    np.testing.assert_array_equal(block(x), np.concatenate(branches, axis=-1))
    assert block(x[0]).shape == block.output_shape((6, 6, 2)) == (6, 6, 8)


def test_several_inputs_and_outputs():
    net = two_towers().initialize()
    assert (net.input_names, net.output_names) == (("a", "b"), ("sum", "positive"))
    assert net.input_shape == {"a": (2,), "b": (4,)}
    assert net.output_shape(net.input_shape) == {"sum": (3,), "positive": (3,)}
    a, b = values(7, 2), values(7, 4)
    out = net({"a": a, "b": b})
    np.testing.assert_array_equal(out["sum"], net["left"](a) + net["right"](b))
    np.testing.assert_array_equal(out["positive"], np.maximum(out["sum"], 0))
    one = net({"b": b[3], "a": a[3]})
    np.testing.assert_allclose(one["sum"], out["sum"][3], rtol=1e-5)


def test_layers_are_put_in_order():
    net = mn.Graph({"c": mn.Ramp, "b": mn.Add, "a": 2}, {"c": "b", "b": ("a", "input"), "a": "x"})
    assert net.keys() == ("a", "b", "c")
    assert net[0] is net["a"]
    assert net.input_names == ("x", "input")
    assert net.wiring["output"] == ("c",)


def test_a_value_may_be_used_twice_by_one_layer():
    net = mn.Graph({"add": mn.Add, "mul": mn.Multiply}, {"add": ("x", "x"), "mul": ("add", "x")})
    x = values(2, 3)
    np.testing.assert_array_equal(net(x), 2 * x * x)


def test_an_output_straight_from_an_input():
    net = mn.Graph({"a": mn.Ramp}, {"a": "x", "same": "x", "ramp": "a"})
    x = values(2, 3)
    np.testing.assert_array_equal(net(x)["same"], x)


def test_constants_come_once_for_every_example():
    net = mn.Graph(
        {"c": mn.Constant([1.0, -2.0]), "ramp": mn.Ramp, "add": mn.Add},
        {"ramp": "c", "add": ("ramp", "input"), "sum": "add", "alone": "ramp"},
        input=2,
    )
    for count in (1, 3, 300):
        out = net(values(count, 2))
        assert out["alone"].shape == (count, 2)
        np.testing.assert_array_equal(out["sum"] - values(count, 2) > 0.5, [[True, False]] * count)
    found = net.outputs(values(300, 2), at=["c", "add"])
    assert found["c"].shape == found["add"].shape == (300, 2)
    assert net.outputs(values(1, 2)[0], at="c").shape == (2,)


def test_a_graph_without_inputs_is_like_a_constant():
    inner = mn.Graph({"c": mn.Constant([1.0, 2.0]), "l": mn.Linear(3)}, {"l": "c"}).initialize()
    net = mn.Graph({"inner": inner, "add": mn.Add}, {"add": ("x", "inner")}, input=3)
    x = values(4, 3)
    expected = x + inner["l"](np.array([[1, 2]], "float32"))
    np.testing.assert_array_equal(net(x), expected)
    assert inner.output_shape(None) == (3,)
    assert (inner.input_count, inner.input_names) == (0, ())
    with pytest.raises(mn.SpecError, match="takes no input"):
        inner(x)
    with pytest.raises(mn.SpecError):
        inner.with_ends(input=3)


def test_nested_graphs_of_several_ports():
    inner = two_towers().with_ends(input=None)
    net = mn.Graph(
        {"first": 2, "towers": inner, "join": mn.Catenate},
        {"first": "x", "towers": ("first", "y"), "join": ("towers.positive", "towers.sum")},
        input={"x": 3, "y": 4},
    ).initialize()
    x, y = values(5, 3), values(5, 4)
    out = net({"x": x, "y": y})
    towers = net["towers"].apply((net["first"](x), y))
    np.testing.assert_array_equal(out, np.concatenate([towers["positive"], towers["sum"]], axis=1))
    found = net.outputs({"x": x, "y": y}, at=["towers", ("towers", "left")])
    assert found["towers"]["sum"].shape == found["towers", "left"].shape == (5, 3)
    assert net.outputs({"x": x[0], "y": y[0]}, at="towers")["sum"].shape == (3,)
    assert net["towers", "left", "weight"].shape == (2, 3)


@given(residuals((4,)))
def test_gradients_flow_through_every_branch(net):
    net = net.initialize(input_shape=4)
    live = net.with_arrays({path: mn.Tensor(net[path]) for path in [("scale", "weight")]})
    out = live(example_inputs(net))
    (gradient,) = mn.gradients(out.sum(), [live["scale", "weight"]])
    assert gradient.shape == (4, 3)
    assert np.abs(gradient).max() > 0


# --- mistakes in the wiring -------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "wiring", "message"),
    [
        ({"a": 3, "b": 3}, {"a": "b", "b": "a"}, "runs in a circle: a <- b <- a"),
        ({"a": mn.Add}, {"a": ("input", "a"), "o": "a"}, "runs in a circle: a <- a"),
        ({"a": 3, "b": 3}, {"a": "input"}, "^b: Linear takes inputs: 1, the wiring gives it none"),
        ({"a": 3}, {"a": ("x", "y")}, "^a: Linear takes inputs: 1, the wiring gives it x, y"),
        ({"a": mn.Add}, {"o": "a"}, "^a: Add takes at least one input, the wiring gives it none"),
        ({"a": mn.Constant([1.0])}, {"a": "x"}, "^a: Constant takes inputs: 0"),
        ({"a": 3, "b": 3}, {"a": "x", "b": "x"}, "which layer gives the output.* a, b: add"),
        ({"a": 3, "b": 3}, {"a": "x", "b": "x", "o": "a"}, "nobody takes from b: wire it"),
        ({"a": 3}, {"a": "x.y"}, "'a' takes from 'x.y', but there is no layer 'x'"),
        ({"a": 3, "b": 3}, {"a": "x", "b": "a.y"}, "'a' has one output"),
        ({"a": 3}, {"a": 7}, "the wiring of 'a' is a name or a tuple of names, got 7"),
        ({"a": 3}, {"a": ""}, "the wiring of 'a' is a name"),
        ({"a": 3}, {"a": None}, "the wiring of 'a' is a name"),
        ({"a": 3}, {"a": "x", "o": ("a", "x")}, "'o' is no layer but an output port"),
        ({"a": 3}, {"a": "x", "o": ()}, "'o' is no layer but an output port.*none"),
        ({"a": 3}, {"a": "x", "x": "a"}, "'x' can't be both an input and an output port"),
        ({"a": 3}, {"a": "x", "o.p": "a"}, "an output port can't be called 'o.p'"),
        ({"output": 3}, {"output": "input"}, "a layer called 'output'"),
        ({}, {}, "which layer gives the output"),
        ({"3": 3}, {"3": "input"}, "that is a position"),
        ({3: 3}, {3: "input"}, "name"),
        ({"a.b": 3}, {"a.b": "input"}, "name"),
        ({"a": None}, {"a": "input"}, "expected a layer"),
        ([3], {}, "a Graph takes a dict of layers by name"),
        ({"a": 3}, "input", "a Graph takes a dict of layers by name"),
    ],
)
def test_wirings_that_can_not_be(layers, wiring, message):
    with pytest.raises(mn.SpecError, match=message):
        mn.Graph(layers, wiring)


def test_ports_of_nested_graphs_must_be_named():
    for source, message in [
        ("towers", "several outputs: say 'towers.sum' or 'towers.positive'"),
        ("towers.other", "has the outputs sum, positive"),
    ]:
        with pytest.raises(mn.SpecError, match=message):
            mn.Graph(
                {"towers": two_towers(), "ramp": mn.Ramp}, {"towers": ("x", "y"), "ramp": source}
            )
    with pytest.raises(
        mn.SpecError, match=r"^towers: Graph takes inputs: 2, the wiring gives it x"
    ):
        mn.Graph({"towers": two_towers()}, {"towers": "x", "o": "towers.sum"})


@pytest.mark.parametrize("ends", [4, {"a": 2}, {"a": 2, "b": 4, "c": 1}, {"a": 2, "b": "4"}])
def test_inputs_that_do_not_fit_the_ports(ends):
    with pytest.raises(mn.SpecError):
        two_towers().with_ends(input=ends)


def test_ends():
    with pytest.raises(mn.SpecError, match="several outputs takes no decoder"):
        two_towers().with_ends(output=LABELS)
    net = two_towers().with_ends(input={"a": None, "b": 4})
    assert net.input == {"a": None, "b": (4,)}
    with pytest.raises(mn.SpecError, match="shape of the input isn't known"):
        net.initialize()
    assert net.initialize(input_shape={"a": 2, "b": 4}).input_shape == {"a": (2,), "b": (4,)}
    with pytest.raises(mn.ShapeError, match=r"input 'b': the net takes inputs of shape \(4,\)"):
        net.initialize(input_shape={"a": 2, "b": 5})
    for shape in (4, {"a": 2}):
        with pytest.raises(mn.SpecError):
            net.initialize(input_shape=shape)
    assert graph_classifier()["c"].size == 3
    assert mn.Graph({"a": 3}, {"a": "x"}, input={"x": 2}).input == (2,)


def test_misfits():
    with pytest.raises(mn.ShapeError, match=r"^add: Add expects inputs of equal shapes"):
        mn.Graph({"a": 3, "add": mn.Add}, {"a": "x", "add": ("a", "x")}, input=2)
    with pytest.raises(mn.ShapeError, match="don't fit ClassDecoder"):
        mn.Graph({"a": 4}, {"a": "x"}, input=2, output=LABELS)
    net = mn.Graph({"a": 3, "add": mn.Add}, {"a": "x", "add": ("a", "x")})
    with pytest.raises(mn.ShapeError, match=r"^add: Add expects"):
        net.initialize(input_shape=2)
    for where, message in [("b", "no layer 'b'"), (slice(1), "a Graph has no slices")]:
        with pytest.raises(mn.PathError, match=message):
            net[where]


def test_a_decoder_sizes_only_what_alone_decides():
    net = mn.Graph({"a": mn.Linear(), "add": mn.Add}, {"a": "x", "add": ("a", "x")}, output=LABELS)
    assert net["a"].size is None
    assert mn.Graph({"a": mn.Ramp}, {"a": "x"}, output=LABELS).output is LABELS
    inner = mn.Graph({"a": mn.Linear(), "b": 2}, {"a": "x", "b": "x", "p": "a", "q": "b"})
    outer = mn.Graph(
        {"inner": inner, "end": mn.Ramp}, {"inner": "x", "end": "inner.p"}, output=LABELS
    )
    assert outer["inner.a"].size is None
