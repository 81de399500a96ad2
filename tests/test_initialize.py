"""How arrays begin, are dropped and replaced; what is kept is the very same object."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_samples import example_inputs, nets

import minnet as mn
from minnet.layers.base import walk

METHODS = ("kaiming", "xavier", "orthogonal", "identity")


def plain(*layers, shape=(8,)) -> mn.Chain:
    """A net that knows the shape of its input."""
    return mn.Chain(*layers, input=shape)


# --- methods ----------------------------------------------------------------------------


def test_kaiming():
    net = plain(mn.Linear(400), shape=300).initialize()
    weight = net["0.weight"]
    assert weight.std() == pytest.approx(math.sqrt(2 / 300), rel=0.01)
    assert abs(weight.mean()) < 1e-3
    conv = plain(mn.Conv(64, 3, groups=2), shape=(9, 9, 32)).initialize()["0.weight"]
    assert conv.std() == pytest.approx(math.sqrt(2 / (9 * 16)), rel=0.05)


def test_xavier():
    weight = plain(mn.Linear(400), shape=300).initialize(method="xavier")["0.weight"]
    limit = math.sqrt(6 / 700)
    assert limit * 0.99 < np.abs(weight).max() < limit
    assert weight.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (7, 3), (3, 7), (1, 4)])
def test_orthogonal(rows, columns):
    weight = plain(mn.Linear(columns), shape=rows).initialize(method="orthogonal")["0.weight"]
    smaller = weight.T @ weight if rows >= columns else weight @ weight.T
    np.testing.assert_allclose(smaller, np.eye(min(rows, columns)), atol=1e-6)


@pytest.mark.parametrize(
    "part",
    [
        mn.Linear(4),
        *(mn.Conv(4, window, padding="same") for window in (1, 2, 3, 4, (3, 2))),
        mn.Conv(4, 3, padding="same", groups=2),
        mn.Conv(4, 3, padding="same", groups=4),
        mn.Deconv(4, 3, padding=1),
        mn.BatchNorm(),
    ],
    ids=repr,
)
def test_the_identity_passes_its_inputs_through(part):
    net = plain(part, shape=(5, 5, 4)).initialize(method="identity")
    x = example_inputs(net)
    np.testing.assert_allclose(net(x), x, rtol=1e-4)


def test_identities_of_other_sizes():
    x = np.array([[1, 2]], "float32")
    for size, expected in [(1, [1]), (3, [1, 2, 0])]:
        net = plain(mn.Linear(size), shape=2).initialize(method="identity")
        np.testing.assert_array_equal(net(x)[0], expected)
    table = plain(mn.Embedding(2, 3), shape=()).initialize(method="identity")
    np.testing.assert_array_equal(table["0.weight"], np.eye(3, 2))


def test_the_identity_of_what_is_no_matrix():
    @mn.layers.base.layer
    class Scale(mn.layers.Layer):
        array_names = ("scale",)

        def array_specs(self, shape):
            return {"scale": mn.layers.ArraySpec(shape)}

    with pytest.raises(mn.SpecError, match=r"^0: the identity is a matrix"):
        plain(Scale()).initialize(method="identity")


def test_constants_and_functions():
    for constant in (0.5, 2, np.float32(0.25)):
        net = plain(mn.Linear(3), mn.BatchNorm()).initialize(method=constant)
        assert (net["0.weight"] == constant).all()
        assert (net["0.bias"] == 0).all()
        assert (net["1.scale"] == net["1.running_variance"]).all()
        assert (net["1.scale"] == 1).all()
    seen = []

    def draw(spec, random):
        seen.append((spec.shape, spec.fan_in, spec.fan_out))
        return random.normal(size=spec.shape)

    net = plain(mn.Linear(3)).initialize(method=draw, seed=4)
    assert seen == [((8, 3), 8, 3)]
    expected = np.random.default_rng([4, zlib.crc32(b"0.weight")]).normal(size=(8, 3))
    np.testing.assert_array_equal(net["0.weight"], expected.astype("float32"))


@pytest.mark.parametrize("method", ["he", None, True, math.nan, math.inf, mn.Ramp, mn.Ramp(), [1]])
def test_what_is_no_method(method):
    with pytest.raises(mn.SpecError, match="method must be one of kaiming"):
        plain(3).initialize(method=method)


@pytest.mark.parametrize("made", [np.ones(3), np.ones((8, 4)), "a", np.full((8, 3), None)])
def test_methods_that_give_something_else(made):
    with pytest.raises(mn.SpecError, match=r"^1\.0\.weight: the method must give numbers of shape"):
        plain(mn.Ramp, [3]).initialize(method=lambda spec, random: made)


# --- what it depends on -----------------------------------------------------------------


@given(nets(), st.sampled_from(METHODS), st.integers(0, 3))
def test_equal_seeds_give_equal_nets(net, method, seed):
    one, other = (net.initialize(seed, method, only_missing=False) for _ in range(2))
    assert one.arrays().keys() == other.arrays().keys()
    for path, array in one.arrays().items():
        np.testing.assert_array_equal(array, other[path])
        assert array.dtype == np.float32
        assert not array.flags.writeable


def test_each_array_depends_on_its_own_path_and_the_seed():
    one = mn.Chain(a=3, b=3, input=8).initialize()
    other = mn.Chain(a=3, b=3, c=9, input=8).initialize()
    np.testing.assert_array_equal(one["b.weight"], other["b.weight"])
    assert not np.array_equal(one["b.weight"], one["a.weight"][:3])
    assert not np.array_equal(one["b.weight"], one.initialize(1, only_missing=False)["b.weight"])


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, "1"])
def test_what_is_no_seed(seed):
    with pytest.raises(mn.SpecError, match="seed must be a whole number"):
        plain(3).initialize(seed)


def test_precision():
    net = plain(3)
    assert net.initialize(dtype="float64").dtype == np.float64
    assert net.initialize(dtype=np.float16)["0.weight"].dtype == np.float16
    wide = net.initialize(dtype="float64").append(2).initialize()
    assert wide["1.weight"].dtype == np.float64  # as the arrays that are there
    for bad in ("int32", complex):
        with pytest.raises(mn.SpecError, match="compute with floating-point numbers"):
            net.initialize(dtype=bad)
        with pytest.raises(mn.SpecError, match="compute with floating-point numbers"):
            net.initialize().astype(bad)


def test_shapes_that_are_missing_or_do_not_fit():
    with pytest.raises(mn.SpecError, match="shape of the input isn't known"):
        mn.Chain(3).initialize()
    with pytest.raises(mn.ShapeError, match=r"takes inputs of shape \(8,\), got \(7,\)"):
        plain(3).initialize(input_shape=7)
    with pytest.raises(mn.SpecError, match="shape of one example"):
        mn.Chain(3).initialize(input_shape="7")
    with pytest.raises(mn.ShapeError, match=r"^conv: Conv of 2 dimensions expects"):
        mn.Chain(conv=mn.Conv(3, 3)).initialize(input_shape=7)
    assert mn.Chain(3).initialize(input_shape=7).input == (7,)
    with pytest.raises(mn.ShapeError, match=r"^head: its weight has shape \(8, 3\), but an input"):
        mn.Chain(head=plain(3).initialize()[0]).initialize(input_shape=7)


# --- only what is missing ---------------------------------------------------------------


@given(nets(), st.data())
def test_what_is_there_stays_the_same_object(net, data):
    paths = list(net.arrays())
    gone = data.draw(st.sets(st.sampled_from(paths), max_size=3)) if paths else set()
    bare = net
    for path in gone:
        bare = bare.deinitialize(path)
    kept = bare.arrays()
    assert set(kept) == {path for path in paths if path not in gone or path[-1] == "array"}
    again = bare.initialize(seed=99)
    assert set(again.arrays()) == set(paths)
    assert all(again[path] is array for path, array in kept.items())
    if not gone:
        assert [part for _, part in walk(again)] == [part for _, part in walk(net)]


def test_constants_are_never_made_or_dropped():
    net = mn.Graph(
        {"c": mn.Constant([1.0, 2.0]), "a": 2, "add": mn.Add},
        {"a": "x", "add": ("a", "c")},
        input=3,
    ).initialize()
    constant = net["c.array"]
    assert net.initialize(only_missing=False, seed=1)["c.array"] is constant
    assert list(net.deinitialize().arrays()) == [("c", "array")]
    assert net.deinitialize()["c.array"] is constant
    empty = net.replace("c", mn.Constant())
    with pytest.raises(mn.SpecError, match=r"^c: Constant has no array yet"):
        empty.initialize()
    filled = empty.with_arrays({"c.array": np.array([1.0, 2.0])})
    assert filled["c.array"].dtype == np.float64


def test_deinitialize():
    net = mn.Chain(
        conv=mn.Conv(2, 3), norm=mn.BatchNorm(), drop=mn.Dropout(), head=[mn.Flatten(), 3],
        input=(4, 4, 1),
    ).initialize()  # fmt: skip
    everything = set(net.arrays())
    for pattern, gone in [
        (..., everything),
        ("conv", {("conv", "weight"), ("conv", "bias")}),
        (-1, {("head", 1, "weight"), ("head", 1, "bias")}),
        ("*.bias", {("conv", "bias"), ("head", 1, "bias")}),
        (mn.BatchNorm, {path for path in everything if path[0] == "norm"}),
        (("head", 1, "weight"), {("head", 1, "weight")}),
        ("drop", set()),
    ]:
        bare = net.deinitialize(pattern)
        assert set(bare.arrays()) == everything - gone
        assert bare.keys() == net.keys()
        assert bare.input == net.input
        np.testing.assert_array_equal(
            bare.initialize()(np.ones((1, 4, 4, 1))), net(np.ones((1, 4, 4, 1)))
        )
    with pytest.raises(mn.SpecError, match="names nothing in this net"):
        net.deinitialize("convolution")


# --- with_arrays ------------------------------------------------------------------------


def test_arrays_are_copied_only_if_somebody_could_write_to_them():
    net = mn.Chain(3, last=2, input=8).initialize()
    mine = np.ones((8, 3), "float32")
    new = net.with_arrays({"0.weight": mine})
    mine[:] = 5
    assert (new["0.weight"] == 1).all()
    mine.flags.writeable = False
    assert net.with_arrays({("0", "weight"): mine})["0.weight"] is mine
    assert net.with_arrays({(0, "weight"): mine[:]})["0.weight"].base is mine
    assert new["last.weight"] is net["last.weight"]
    tensor = mn.Tensor(mine)
    assert net.with_arrays({(0, "weight"): tensor})[0, "weight"] is tensor
    assert net.with_arrays({}) is net
    assert net.with_arrays({(-1, "bias"): [1, 2]})["last.bias"].dtype == np.float32


def test_a_read_only_view_of_what_can_be_written_to_is_copied():
    mine = np.ones((8, 3), "float32")
    view = mine[:]
    view.flags.writeable = False
    new = mn.Chain(3, input=8).initialize().with_arrays({"0.weight": view})
    mine[:] = 5
    assert (new["0.weight"] == 1).all()


@pytest.mark.parametrize(
    ("where", "array", "kind", "message"),
    [
        (
            "0.weight",
            np.ones((3, 8)),
            mn.ShapeError,
            r"^0\.weight: expected an array of shape \(8, 3",
        ),
        ("0.weight", mn.Tensor(np.ones(2)), mn.ShapeError, r"^0\.weight: expected"),
        ("1.0.bias", [1.0], mn.ShapeError, r"^1\.0\.bias: expected"),
        ("0.weight", "text", mn.DataError, r"^0\.weight: expected an array of numbers"),
        ("0.weight", [[1], [2, 3]], mn.DataError, "expected an array of numbers, got object"),
        ("0.weight", np.full((8, 3), None), mn.DataError, "expected an array of numbers, got obj"),
        ("0.weight", np.ones((8, 3), complex), mn.DataError, "got complex128"),
        ("0.scale", np.ones(3), mn.PathError, "no array called '0.scale' in this net"),
        ("5.weight", np.ones(3), mn.PathError, "there is no layer 5"),
        ("0", np.ones(3), mn.PathError, "no array called '0'"),
        ("1.0", np.ones(3), mn.PathError, "no array called '1.0'"),
        ((), np.ones(3), mn.PathError, "a place in a net is"),
        (None, np.ones(3), mn.PathError, "a place in a net is"),
    ],
)
def test_arrays_that_have_no_place(where, array, kind, message):
    with pytest.raises(kind, match=message):
        plain(3, [2]).initialize().with_arrays({where: array})


def test_arrays_of_a_net_without_any_are_checked_by_its_input():
    net = plain(3, [2])
    new = net.with_arrays({"0.weight": np.ones((8, 3)), "1.0.bias": np.ones(2)})
    assert list(new.arrays()) == [(0, "weight"), (1, 0, "bias")]
    with pytest.raises(mn.ShapeError, match=r"^1\.0: its weight has shape \(4, 2\)"):
        net.with_arrays({"1.0.weight": np.ones((4, 2))})


def test_layers_are_put_where_they_belong():
    net = mn.Chain(3, inner=[mn.Ramp()])
    new = net.with_layers({("inner", -1): mn.Tanh(), 0: mn.Linear(4)})
    assert (type(new["inner", 0]), new[0].size) == (mn.Tanh, 4)
    for where in ("x", ("inner", 3), (0, "weight"), (0, 0)):
        with pytest.raises(mn.PathError):
            net.with_layers({where: mn.Ramp()})


def test_astype():
    net = mn.Chain(mn.Embedding(2, 3), mn.Linear(2), mn.BatchNorm(), input=()).initialize()
    wide = net.astype("float64")
    assert {array.dtype for array in wide.arrays().values()} == {np.dtype("float64")}
    assert {array.dtype for array in net.arrays().values()} == {np.dtype("float32")}
    np.testing.assert_allclose(wide(2), net(2), rtol=1e-6)
