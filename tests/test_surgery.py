"""Surgery on chains: what is joined, put in, taken out, replaced; and that nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_samples import chains, example_inputs, nets, residual_block

import minnet as mn

LABELS = mn.ClassDecoder(["cat", "dog", "hen"])


def trained() -> mn.Chain:
    """A small initialized net with names, an encoder's shape and a decoder."""
    return mn.Chain(
        a=mn.Linear(5), b=mn.Ramp(), c=mn.Linear(4), d=mn.Linear(), e=mn.Softmax(),
        input=6, output=LABELS, name="net", multiplier=0.5,
    ).initialize()  # fmt: skip


def same(one: mn.Chain, other: mn.Chain) -> bool:
    """Tell whether two nets are alike, of the very same layers but for their names."""
    return repr(one) == repr(other) and all(
        one[path] is array for path, array in other.arrays().items()
    )


# --- join -------------------------------------------------------------------------------


def test_join():
    net = trained()
    assert same(net[:2] + net[2:], net)
    assert same(net[:1].join(net[1:3], net[3:]), net)
    assert same(net.join(), net)
    assert (net[:3] + net[3:]).output is LABELS
    assert (net[:3] + 7).keys() == ("a", "b", "c", 3)
    assert (net + mn.Ramp).output is None
    assert net[:3].join([mn.Ramp, 2]).keys() == ("a", "b", "c", 3, 4)
    assert same(mn.Chain(name="net", multiplier=0.5) + net, net)
    head = mn.Chain(mn.Linear(), mn.Softmax(), output=mn.ClassDecoder([0, 1]))
    assert (net[:3] + head).output_shape((6,)) == (2,)
    block = residual_block().with_ends(input=(4, 4, 2))
    assert (mn.Chain(mn.Conv(2, 1), input=(4, 4, 1)) + block).output_shape((4, 4, 1)) == (4, 4, 2)


def test_joins_that_can_not_be():
    net = trained()
    with pytest.raises(mn.SpecError, match="two layers are called 'a': rename one"):
        net + net
    with pytest.raises(mn.ShapeError, match=r"^d: its weight has shape \(4, 3\), but an input"):
        net[:1] + net[3:]
    with pytest.raises(mn.ShapeError, match="don't fit ClassDecoder"):
        net[:3] + mn.Chain(mn.Ramp, output=LABELS)
    with pytest.raises(mn.SpecError, match="expected a layer"):
        net + "ramp"


@given(chains((4,)), chains((4,)))
def test_joining_is_applying_one_after_the_other(one, other):
    one = mn.Chain([*one]).initialize(input_shape=4)
    other = mn.Chain([*other]).initialize(input_shape=one.output_shape((4,)))
    x = example_inputs(one)
    joined = one + other
    np.testing.assert_array_equal(joined(x), other.with_ends(input=None)(one(x)))


# --- append, prepend, insert ------------------------------------------------------------


def test_append():
    net = trained()
    longer = net.append(mn.Ramp, last=mn.Tanh)
    assert longer.keys() == ("a", "b", "c", "d", "e", 5, "last")
    assert longer.output is LABELS
    assert (longer.name, longer.multiplier) == ("net", 0.5)
    assert net.append(7).output is None
    assert net.append(mn.Linear()).output is LABELS
    assert net.append(mn.Linear())[-1].size == 3
    unknown = mn.Chain(3, output=LABELS)
    assert unknown.append(7).output is LABELS  # it can't be known yet
    with pytest.raises(mn.ShapeError, match="don't fit"):
        unknown.append(7).initialize(input_shape=2)
    with pytest.raises(mn.SpecError, match="two layers are called 'a'"):
        net.append(a=7)
    with pytest.raises(mn.ShapeError, match=r"^6: Reshape"):
        net.append(mn.Linear(), mn.Reshape((2, 2)))


def test_prepend():
    image = mn.ImageEncoder((2, 3))
    net = trained()
    assert net.prepend(mn.Dropout()).input == (6,)
    assert net.prepend(mn.Linear(6)).input == (6,)
    assert net.prepend(mn.Linear(5)).input is None
    with pytest.raises(mn.ShapeError, match=r"^a: its weight has shape \(6, 5\)"):
        net.prepend(mn.Linear(5)).initialize(input_shape=9)
    flat = mn.Chain(mn.Flatten(), net, input=image)
    assert flat.prepend(mn.Augment(flip=True)).input is image
    assert flat.prepend(mn.Flatten(), name_of_it=mn.Ramp).keys() == (0, "name_of_it", 2, "net")
    assert flat.prepend(mn.Linear(2)).input is None
    assert mn.Chain(input=3).prepend(2).input == (3,)
    with pytest.raises(mn.ShapeError, match=r"^2: the net takes inputs of shape"):
        mn.Chain([mn.Ramp], mn.Chain(3, input=7), input=None).prepend(mn.Linear(4)).initialize(
            input_shape=2
        )


def test_insert():
    net = trained()
    for where, at in [("c", 2), (2, 2), (-3, 2), (0, 0), (5, 5), ("e", 4)]:
        assert net.insert(where, mn.Ramp, mn.Dropout()).keys()[at : at + 2] == (at, at + 1)
    assert net.insert(2, mn.Linear(5), x=mn.Ramp)["d.weight"] is net["d.weight"]
    with pytest.raises(mn.ShapeError, match=r"^c: its weight has shape \(5, 4\), but an input"):
        net.insert("c", 7)
    for bad in (6, -6, "x", None, True):
        with pytest.raises(mn.PathError):
            net.insert(bad, mn.Ramp)


# --- delete -----------------------------------------------------------------------------


def test_delete():
    net = trained()
    assert net.delete("b").keys() == ("a", "c", "d", "e")
    assert net.delete("b").output is LABELS
    assert net.delete("b").input == (6,)
    assert net.delete("b", 1, -4).keys() == ("a", "c", "d", "e")
    assert net.delete(-1).output is None
    assert same(net.delete(), net)
    with pytest.raises(mn.ShapeError, match=r"^d: its weight has shape"):
        net.delete("c")
    for bad in ("x", 5, True, None):
        with pytest.raises(mn.PathError):
            net.delete(bad)


def test_deleting_from_the_start():
    net = trained()
    assert net.delete(0).input == (5,)
    assert net.delete(0, 1).input == (5,)
    assert net.delete(0, 1)["c.weight"] is net["c.weight"]
    image = mn.ImageEncoder((2, 3))
    whole = mn.Chain(mn.Augment(), mn.Flatten(), net, input=image)
    assert whole.delete(0).input is image
    assert whole.delete(0, 1).input == (6,)
    assert mn.Chain(5, 3).delete(0).input is None
    assert len(net.delete(*range(5))) == 0


# --- replace, rename, flatten -----------------------------------------------------------


def test_replace():
    net = trained()
    assert net.replace("b", mn.Tanh).keys() == net.keys()
    assert net.replace("b", mn.Tanh(name="x")).keys() == ("a", "x", "c", "d", "e")
    assert net.replace(-2, mn.Linear())["d"].size == 3
    assert net.replace("d", 7).output is None
    assert net.replace("d", 7).input == (6,)
    assert net.replace(1, net["b"])["a"] is net["a"]
    with pytest.raises(mn.ShapeError, match=r"^d: its weight"):
        net.replace("c", 9)
    with pytest.raises(mn.PathError, match=r"^a\.weight: that is an array: use with_arrays"):
        net.replace("a.weight", mn.Ramp)
    with pytest.raises(mn.SpecError, match="two layers are called 'a'"):
        net.replace("b", mn.Ramp(name="a"))
    with pytest.raises(mn.SpecError, match=r"^b: a Chain takes layers of one input"):
        net.replace("b", mn.Add)


def test_replacing_inside_nested_nets():
    inner = mn.Chain(x=mn.Linear(4), y=mn.Ramp())
    net = mn.Chain(inner=inner, block=mn.Graph({"g": 4, "h": mn.Ramp}, {"g": "in", "h": "g"}))
    net = net.append(head=3).initialize(input_shape=4)
    new = net.replace("inner.y", mn.Tanh).replace(("block", "h"), mn.GELU(name="other"))
    assert type(new["inner", "y"]) is mn.Tanh
    assert new["block"].keys() == ("g", "h")
    assert new["inner", "x"] is net["inner", "x"]
    assert new["head"] is net["head"]
    assert type(net["inner", "y"]) is mn.Ramp
    for path, part, kind in [
        ("inner.y", mn.Ramp(name="x"), mn.SpecError),
        ("inner.y", mn.Add, mn.SpecError),
        ("block.h", mn.Constant([1.0]), mn.SpecError),
        ("inner.z", mn.Ramp, mn.PathError),
        ("inner.x", 9, mn.ShapeError),
    ]:
        with pytest.raises(kind):
            net.replace(path, part)


def test_rename():
    net = trained()
    assert net.rename("a", "first").keys() == ("first", "b", "c", "d", "e")
    assert net.rename("a", "first")["first.weight"] is net["a.weight"]
    assert net.rename("a", None).keys() == (0, "b", "c", "d", "e")
    assert net.rename(0, "first").output is LABELS
    for old, new in [("a", "b"), ("a", "x.y"), ("a", "3"), ("x", "y")]:
        with pytest.raises(mn.SpecError):
            net.rename(old, new)


def test_flatten():
    inner = mn.Chain(conv=mn.Linear(4), ramp=mn.Ramp())
    net = mn.Chain(
        mn.Linear(3),
        mn.Chain(one=inner, two=[inner, mn.Tanh], ramp=mn.Ramp(), multiplier=0.25),
        last=mn.Chain(mn.Linear(2), multiplier=None).with_options(name="deep"),
        input=5,
    ).initialize()
    flat = net.flatten()
    assert flat.keys() == (
        0, "1_one_conv", "1_one_ramp", "1_two_0_conv", "1_two_0_ramp", 5, "1_ramp", 7,
    )  # fmt: skip
    x = example_inputs(net)
    np.testing.assert_array_equal(flat(x), net(x))
    pairs = zip(flat.arrays().values(), net.arrays().values(), strict=True)
    assert all(one is other for one, other in pairs)
    assert [part.multiplier for part in flat] == [..., *[0.25] * 6, None]
    assert flat.flatten().keys() == flat.keys()
    assert mn.Chain(a=[mn.Linear(2)], b=mn.Ramp).flatten().keys() == (0, "b")


@given(nets())
def test_flattening_keeps_what_is_computed_and_what_multiplies(net):
    net = net if isinstance(net, mn.Chain) else mn.Chain(net, input=net.input)
    flat = net.flatten()
    assert not any(isinstance(part, mn.Chain) for part in flat)
    before, after = list(net.arrays().values()), list(flat.arrays().values())
    assert len(before) == len(after)
    assert all(one is other for one, other in zip(before, after, strict=True))
    x = example_inputs(net)
    np.testing.assert_array_equal(flat(x, give="array"), net(x, give="array"))
    decided = [mn.multipliers(whole).values() for whole in (net, flat)]
    assert [entry.value for entry in decided[0]] == [entry.value for entry in decided[1]]


# --- ends, and values -------------------------------------------------------------------


def test_ends():
    net = trained()
    with pytest.raises(mn.ShapeError, match="don't fit"):
        net.with_ends(output=mn.ScalarDecoder())
    with pytest.raises(mn.ShapeError, match=r"^a: its weight has shape"):
        net.with_ends(input=7)
    assert net.with_ends(output=None)([[0.0] * 6]).shape == (1, 3)
    assert net.with_ends(input=None).input is None
    assert net.with_ends(input=mn.FunctionEncoder(len, (6,))).input_shape == (6,)
    assert same(net.with_ends(), net)


@given(nets(), st.data())
def test_surgery_leaves_the_net_as_it_was(net, data):
    net = net if isinstance(net, mn.Chain) else mn.Chain(net, output=net.output, input=net.input)
    shown, arrays, x = repr(net), net.arrays(), example_inputs(net)
    before = net(x, give="array")
    where = data.draw(st.integers(-len(net), len(net) - 1)) if len(net) else 0
    operations = [
        lambda: net + 3,
        lambda: net.append(mn.Ramp),
        lambda: net.prepend(mn.Dropout()),
        lambda: net.insert(where, mn.Ramp),
        lambda: net.delete(where),
        lambda: net.replace(where, mn.Ramp),
        lambda: net.rename(where, "other"),
        lambda: net.flatten(),
        lambda: net[where:],
        lambda: net.deinitialize(),
        lambda: net.initialize(only_missing=False, seed=5),
        lambda: net.with_arrays({path: np.zeros(a.shape) for path, a in arrays.items()}),
        lambda: net.with_ends(input=None, output=None),
    ]
    try:
        new = data.draw(st.sampled_from(operations))()
    except (mn.ShapeError, mn.PathError):
        new = net
    assert isinstance(new, mn.Chain)
    assert repr(net) == shown
    assert all(net[path] is array for path, array in arrays.items())
    np.testing.assert_array_equal(net(x, give="array"), before)
