"""Chains: how they are made, what they refuse, and what can be found and cut out of them."""

import copy
import pickle

import numpy as np
import pytest
from compiled_samples import off
from hypothesis import given
from net_samples import chains, example_inputs, nets, residual_block

import minnet as mn
from minnet.layers import Context
from minnet.net import Net, as_layer

LABELS = mn.ClassDecoder(["cat", "dog", "hen"])


def trained() -> mn.Chain:
    """A small net with names, nested parts, an encoder's shape and a decoder."""
    return mn.Chain(
        mn.Flatten(),
        encoder=mn.Chain(mn.Linear(5), ramp=mn.Ramp(), last=mn.Linear(4)),
        ramp=mn.Ramp(),
        head=mn.Linear(),
        softmax=mn.Softmax(),
        input=(2, 3),
        output=LABELS,
    ).initialize()


# --- making them ------------------------------------------------------------------------


def test_shorthands():
    net = mn.Chain(8, np.int64(4), mn.Ramp, [3, mn.Tanh], mn.ops.tanh, abs, last=2)
    kinds = [type(part) for part in net]
    assert kinds == [
        mn.Linear, mn.Linear, mn.Ramp, mn.Chain, mn.Elementwise, mn.Elementwise, mn.Linear,
    ]  # fmt: skip
    assert [net[0].size, net[1].size, net["last"].size] == [8, 4, 2]
    assert net[4].function == "tanh"  # by name, so that it can be saved
    assert net[5].function is abs
    assert as_layer(net[0]) is net[0]


@pytest.mark.parametrize("item", [True, None, 1.5, "relu", int, (3, 2), {"a": 3}, 0, -1, np.eye(2)])
def test_what_is_no_layer(item):
    with pytest.raises(mn.SpecError):
        mn.Chain(item)


def test_a_class_that_needs_options():
    with pytest.raises(mn.SpecError, match=r"Conv can't stand .* write Conv\(\.\.\.\)"):
        mn.Chain(mn.Conv)


@pytest.mark.parametrize("part", [mn.Add(), mn.Constant([1.0])])
def test_layers_of_several_inputs_or_none(part):
    with pytest.raises(mn.SpecError, match=r"^1: a Chain takes layers of one input"):
        mn.Chain(3, part)
    with pytest.raises(mn.SpecError, match=r"^odd: a Chain"):
        mn.Chain(mn.Ramp(name="odd")).with_layers({"odd": part.renamed("odd")})


def test_graphs_of_several_ports():
    two_in = mn.Graph({"add": mn.Add}, {"add": ("a", "b")})
    two_out = mn.Graph({"a": 3, "b": 2}, {"a": "input", "b": "a", "x": "a", "y": "b"})
    for graph in (two_in, two_out):
        with pytest.raises(mn.SpecError, match="a Chain takes layers of one input and one output"):
            mn.Chain(graph)


def test_names():
    same = mn.Linear(3, name="a")
    with pytest.raises(mn.SpecError, match="two layers are called 'a': rename one"):
        mn.Chain(same, same)
    for name in ("3", "-1"):
        with pytest.raises(mn.SpecError, match="that is a position"):
            mn.Chain(mn.Linear(3, name=name))
    for name in ("a.b", "", "a b", "*"):
        with pytest.raises(mn.SpecError, match="name"):
            mn.Chain(mn.Chain(3).renamed(name))
    with pytest.raises(mn.SpecError, match="name and multiplier, not 'size'"):
        mn.Chain(3).with_options(size=4)


def test_one_layer_in_two_places_is_two_layers():
    layer = mn.Linear(3)
    net = mn.Chain(layer, layer, input=3).initialize()
    assert not np.array_equal(net["0.weight"], net["1.weight"])
    changed = net.with_arrays({"0.bias": [1, 2, 3]})
    assert changed["1.bias"] is net["1.bias"]


@pytest.mark.parametrize("end", ["28", 2.5, (2.5,), (0,), (-1,), True, {"a": 3}, {3}, LABELS])
def test_what_is_no_input(end):
    with pytest.raises(mn.SpecError):
        mn.Chain(3, input=end)


@pytest.mark.parametrize("end", ["cat", ["cat"], 3, mn.ClassEncoder(["a"]), mn.ClassDecoder])
def test_what_is_no_output(end):
    with pytest.raises(mn.SpecError, match=r"output= takes a decoder"):
        mn.Chain(3, output=end)


def test_input_in_its_standard_form():
    for end in (4, np.int64(4), [4], {"input": 4}):
        assert mn.Chain(3, input=end).input == (4,)
    assert mn.Chain(mn.Embedding(2, 5), input=()).output_shape(()) == (2,)
    assert mn.Chain(3).input_shape is None
    assert mn.Chain(3, input=mn.ImageEncoder(5)).input_shape == (5, 5, 1)


# --- sizes that are left out, and misfits -----------------------------------------------


def test_the_last_linear_gets_its_size_from_the_decoder():
    for last in ([], [mn.Softmax], [mn.Dropout(), [mn.Softmax]], [[]], [mn.Flatten]):
        net = mn.Chain(8, mn.Linear(), *last, output=LABELS)
        assert net[1].size == 3
    for nested in ([mn.Linear()], [[mn.Linear()], mn.Ramp]):
        assert mn.Chain(8, nested, mn.Softmax, output=LABELS).output_shape((4,)) == (3,)
    graph = mn.Graph({"a": mn.Linear(), "b": mn.Softmax}, {"a": "input", "b": "a"})
    assert mn.Chain(8, graph, output=LABELS)["1.a"].size == 3


def test_only_the_last_linear_does():
    net = mn.Chain(mn.Linear(), mn.Linear(3), output=LABELS)
    assert net[0].size is None
    assert mn.Chain(mn.Linear(), mn.LayerNorm(), output=LABELS)[0].size is None
    with pytest.raises(mn.SpecError, match=r"^0: the size of this Linear\(\) is not known"):
        net.initialize(input_shape=4)
    with pytest.raises(mn.SpecError, match=r"^0\.0: the size"):
        mn.Chain([mn.Linear()], input=4).initialize()


def test_misfits_are_found_at_once_where_the_shape_is_known():
    with pytest.raises(mn.ShapeError, match=r"^conv1: Conv of 2 dimensions expects"):
        mn.Chain(conv1=mn.Conv(3, 5), input=(28, 28))
    with pytest.raises(mn.ShapeError, match=r"^0\.conv1: Conv of 2"):
        mn.Chain(mn.Chain(conv1=mn.Conv(3, 5)), input=(28, 28))
    with pytest.raises(mn.ShapeError, match=r"outputs of shape \(4,\), which don't fit ClassDec"):
        mn.Chain(4, input=3, output=LABELS)
    with pytest.raises(mn.ShapeError, match="don't fit ClassDecoder") as caught:
        mn.Chain(4, input=3, output=mn.ClassDecoder(range(10_000)))
    assert len(str(caught.value)) < 250


def test_misfits_of_arrays_before_a_size_that_is_missing():
    first = trained()[:2]
    with pytest.raises(mn.ShapeError, match=r"^encoder\.0: its weight has shape \(6, 5\)"):
        mn.Chain(*first, mn.Linear(), input=(2, 4))


def test_misfits_are_found_on_initialization_otherwise():
    net = mn.Chain(4, mn.Softmax, output=LABELS)
    with pytest.raises(mn.ShapeError, match="don't fit ClassDecoder"):
        net.initialize(input_shape=3)


def test_a_nested_net_that_knows_another_input():
    inner = mn.Chain(3, input=4)
    with pytest.raises(mn.ShapeError, match=r"^1: the net takes inputs of shape \(4,\), got \(5"):
        mn.Chain(5, inner, input=2)


# --- finding things ---------------------------------------------------------------------


def test_places():
    net = trained()
    assert net[0] is net[-5] is net.layers[0]
    assert net["encoder", "last"] is net["encoder.last"] is net[1, 2] is net["encoder", -1]
    assert net["encoder.0", "weight"] is net[("encoder", 0, "weight")] is net["1.0.weight"]
    assert net[["encoder", 0]] is net[np.int64(1)][0]
    assert net.keys() == (0, "encoder", "ramp", "head", "softmax")
    assert list(net) == list(net.layers)
    assert net[1] in net
    assert len(net) == 5
    assert list(net.arrays()) == [
        (*path, name)
        for path in (("encoder", 0), ("encoder", "last"), ("head",))
        for name in ("weight", "bias")
    ]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (5, "there is no layer 5: this net has 5 layers"),
        (-6, "there is no layer -6"),
        ("conv", "no layer 'conv': this net has 0, encoder, ramp, head, softmax"),
        ("encoder.conv", "^encoder: there is no layer 'conv': this net has 0, ramp, last"),
        ("head.scale", "^head: there is nothing called 'scale' here, only weight, bias"),
        ("ramp.weight", "^ramp: there is nothing called 'weight' here, only no array"),
        ("head.weight.0", r"^head\.weight: this is an array"),
        (("head", 0), "^head: there is nothing called 0"),
        (True, "a name, a position or a path, got True"),
        (1.0, "a name, a position or a path"),
        ((), "a name, a position or a path"),
        (None, "a name, a position or a path"),
        (mn.Linear, "a name, a position or a path"),
        ("", "no layer ''"),
    ],
)
def test_places_that_are_not_there(where, message):
    with pytest.raises(mn.PathError, match=message) as caught:
        trained()[where]
    assert isinstance(caught.value, LookupError)


def test_an_array_that_is_not_there_yet():
    with pytest.raises(mn.PathError, match=r"^0: its weight is not there yet: initialize"):
        mn.Chain(3)["0.weight"]


def test_slices():
    net = trained()
    assert net[:2].layers == net.layers[:2]
    assert net["encoder":"head"].keys() == ("encoder", "ramp")
    assert net[-2:].keys() == ("head", "softmax")
    assert net[:].layers == net.layers
    assert net[:].output is LABELS
    assert len(net[3:1]) == len(net[9:]) == 0
    for bad in (slice(None, None, 2), slice(None, None, -1), slice("conv", None), slice(1.5)):
        with pytest.raises(mn.PathError):
            net[bad]


def test_ends_of_parts():
    net = trained()
    assert (net[:2].input, net[:2].output) == ((2, 3), None)
    assert (net[2:].input, net[2:].output) == ((4,), LABELS)
    assert mn.Chain(3, 2, output=mn.ClassDecoder(["a", "b"]))[1:].input is None
    assert net[5:].output is None
    image = mn.ImageEncoder((2, 3))
    assert mn.Chain(mn.Flatten(), 3, input=image)[:1].input is image
    assert mn.Chain(mn.Flatten(), 3, input=image)[1:].input == (6,)


def test_take_and_drop():
    net = trained()
    for part, keys in [
        (net.take(2), (0, "encoder")),
        (net.take("ramp"), (0, "encoder", "ramp")),
        (net.take(-1), ("softmax",)),
        (net.take(0), ()),
        (net.drop(3), ("head", "softmax")),
        (net.drop("ramp"), ("head", "softmax")),
        (net.drop(-3), (0, "encoder")),
        (net.drop(0), (0, "encoder", "ramp", "head", "softmax")),
        (net.drop(5), ()),
    ]:
        assert part.keys() == keys
    for bad in (6, -6, "conv", True, None, 1.5):
        for method in (net.take, net.drop):
            with pytest.raises(mn.PathError):
                method(bad)


@given(chains((4,)))
def test_parts_share_everything_and_add_up(net):
    net = net.initialize(input_shape=4)
    x = example_inputs(net)
    for cut in range(len(net) + 1):
        first, rest = net.take(cut), net.drop(cut)
        assert [*first, *rest] == list(net)  # the very same layers
        np.testing.assert_array_equal(rest(first(x)) if cut else rest(x), net(x))
        assert rest.input_shape == first.output_shape((4,))


def test_unpacking_as_in_the_readme():
    net = trained()
    new = mn.Chain(*net[:-2], mn.Linear(), mn.Softmax(), output=mn.ClassDecoder(["x", "y"]))
    assert new.keys() == (0, "encoder", "ramp", 3, 4)
    assert new[3].size == 2
    assert new["encoder.0.weight"] is net["encoder.0.weight"]


# --- a net is a value -------------------------------------------------------------------


def test_nothing_can_be_assigned():
    net = trained()
    for name in ("layers", "input", "output", "name"):
        with pytest.raises(AttributeError, match="a net is never changed"):
            setattr(net, name, None)
        with pytest.raises(AttributeError, match="a net is never changed"):
            delattr(net, name)
    with pytest.raises(TypeError):
        net[0] = mn.Ramp()
    with pytest.raises(ValueError, match="read-only"):
        net["head.bias"][0] = 1


@given(nets())
def test_copies_and_pickles_are_equal_and_read_only(net):
    x = example_inputs(net)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(twin, Net)
        assert repr(twin) == repr(net)
        assert twin.arrays().keys() == net.arrays().keys()
        for path, array in twin.arrays().items():
            np.testing.assert_array_equal(array, net[path])
            assert not array.flags.writeable
        np.testing.assert_array_equal(twin.apply(x), net.apply(x))


def test_repr():
    assert repr(mn.Chain()) == "Chain()"
    assert repr(mn.Chain(3, a=mn.Ramp, name="net")) == "Chain(Linear(3), a=Ramp(), name='net')"
    text = repr(mn.Chain(residual_block(), 3, last=[2, mn.Tanh], input=(4, 4, 2)))
    assert text.splitlines()[:3] == [
        "Chain(",
        "    Graph(",
        "        conv1: Conv(2, 3, padding=1) <- input",
    ]
    assert text.splitlines()[-4:] == [
        "    Linear(3),",
        "    last=Chain(Linear(2), Tanh()),",
        "    input=(4, 4, 2)",
        ")",
    ]


def test_the_context_knows_where_each_layer_stands():
    seen = []

    @mn.layers.base.layer
    class Spy(mn.layers.Layer):
        def apply(self, x, context=None):
            seen.append(None if context is None else context.path)
            return x

    net = mn.Chain(Spy(), inner=[mn.Chain(a=Spy())], graph=mn.Graph({"b": Spy()}, {"b": "input"}))
    net.apply(np.ones((1, 2)))
    net.apply(np.ones((1, 2)), Context(np.random.default_rng(0)))
    assert seen == [None, None, None, (0,), ("inner", 0, "a"), ("graph", "b")]


@pytest.mark.parametrize("stride, padding", [(2, 0), (1, 1), (3, "same")])
def test_pooling_before_the_ramp_changes_no_bit(stride, padding, random):
    """A chain computes MaxPool first; a layer between them that does nothing prevents that."""
    layers = [mn.Conv(4, 3), mn.Ramp, mn.MaxPool(3, stride=stride, padding=padding)]
    net = mn.Chain(*layers, mn.Flatten, 3, mn.Softmax, input=(9, 9, 2)).initialize(seed=1)
    apart = net.insert(2, mn.Elementwise(lambda x: x))
    images = random.normal(size=(16, 9, 9, 2)).astype("float32")
    images[0, 0] = -100  # windows where nothing is above 0
    labels = random.integers(0, 3, 16)
    one, other = mn.Trainer(net, mn.SGD(0.1)), mn.Trainer(apart, mn.SGD(0.1))
    with off():  # with kernels the bias's gradient is summed over fewer zeros
        for _ in range(3):
            assert one.step(images, labels) == other.step(images, labels)
    pairs = zip(one.net.arrays().values(), other.net.arrays().values(), strict=True)
    assert all(np.array_equal(array, twin) for array, twin in pairs)
    assert [step.key for step in net.trace((9, 9, 2))[0]] == [0, 1, 2, 3, 4, 5]


def test_an_error_in_a_layer_computed_earlier_names_that_layer():
    net = mn.Chain(mn.Ramp, mn.MaxPool(5))
    with pytest.raises(mn.ShapeError, match=r"^1: "):
        net.apply(np.zeros((1, 4, 4, 1)))
