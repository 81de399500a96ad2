"""Residual blocks computed as one op: what comes out and all gradients are those of the layers."""

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from compiled_samples import differentiated, off, on, same
from hypothesis import given
from hypothesis import strategies as st
from train_samples import counted, same_bits, same_nets

import minnet as mn
from minnet.errors import NonFiniteError, ShapeError
from minnet.layers.base import Context
from minnet.net import residual
from minnet.net.residual import Residual
from minnet.net.residual_plan import Plan
from minnet.ops.compiled import team

pytest.importorskip("numba", reason="the kernels are compiled by Numba")
pytestmark = pytest.mark.host

NORMED = {"conv": mn.Conv(3, 3, padding=1), "norm": mn.BatchNorm(), "ramp": mn.Ramp()}


@pytest.fixture(autouse=True, scope="module")
def _small_ones_are_large() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, on():
        patch.setattr(team, "LEAST", 1e-9)  # everything is shared
        patch.setattr("minnet.net.threaded.FOR_TEAM", 0)
        patch.setattr(residual, "AT_A_TIME", 3)
        yield


def conv(draw: Any, channels: int, stride: int = 1) -> mn.Conv:
    """Draw a convolution that keeps the size of images but for the stride."""
    size = draw(st.sampled_from([1, 3]))
    options = {"stride": stride, "padding": size // 2, "bias": draw(st.booleans())}
    return mn.Conv(channels, size, **options)


@st.composite
def blocks(draw: Any, channels: int) -> tuple[mn.Graph, int]:
    """Draw a residual block, and the number of channels that come out of it."""
    stride, outputs = draw(st.integers(1, 2)), draw(st.integers(1, 5))
    layers: dict[str, Any] = {"conv1": conv(draw, outputs, stride), "norm1": mn.BatchNorm()}
    wiring: dict[str, Any] = {"conv1": "input", "norm1": "conv1"}
    last = "norm1"
    if draw(st.booleans()):
        layers |= {"ramp1": mn.Ramp(), "conv2": conv(draw, outputs), "norm2": mn.BatchNorm(0.5)}
        wiring |= {"ramp1": "norm1", "conv2": "ramp1", "norm2": "conv2"}
        last = "norm2"
    added = [last]
    if (stride, outputs) == (1, channels) and draw(st.booleans()):
        added.append("input")
    for name in draw(st.lists(st.sampled_from(["a", "b"]), min_size=0, max_size=2, unique=True)):
        layers |= {name: conv(draw, outputs, stride), f"norm_{name}": mn.BatchNorm()}
        wiring |= {name: "input", f"norm_{name}": name}
        added.append(f"norm_{name}")
    if len(added) > 1:
        layers["add"], wiring["add"], last = mn.Add(), tuple(draw(st.permutations(added))), "add"
    if draw(st.booleans()):
        layers["end"], wiring["end"] = mn.Ramp(), last
    return mn.Graph(layers, wiring), outputs


@st.composite
def residual_nets(draw: Any, dtype: str = "float64") -> mn.Chain:
    """Draw nets that begin with a normed convolution and go on with residual blocks."""
    channels = draw(st.integers(1, 4))
    layers: list[Any] = [conv(draw, channels), mn.BatchNorm(), mn.Ramp()]
    if draw(st.booleans()):
        layers.append(mn.MaxPool(2, stride=1))
    for _ in range(draw(st.integers(0, 3))):
        block, channels = draw(blocks(channels))
        layers.append(block)
    shape = draw(st.integers(3, 6)), draw(st.integers(3, 6)), draw(st.integers(1, 3))
    net = mn.Chain(*layers, mn.GlobalMeanPool(), mn.Linear(3), mn.Softmax(), input=shape)
    return varied(net.initialize(seed=draw(st.integers(0, 9)), dtype=dtype))


def varied(net: Any, seed: int = 0) -> Any:
    """Return a net whose BatchNorms have arrays that differ from channel to channel."""
    random = np.random.default_rng(seed)
    return net.with_arrays(
        {
            path: array + random.uniform(0.1, 0.9, array.shape).astype(array.dtype)
            for path, array in net.arrays().items()
            if path[-1] in ("scale", "shift", "running_mean", "running_variance")
        }
    )


def small(dtype: str = "float32") -> mn.Graph:
    """Return a net with a residual block that has a stride."""
    block = mn.Graph(
        {
            "conv1": mn.Conv(4, 3, stride=2, padding=1),
            "norm1": mn.BatchNorm(),
            "ramp1": mn.Ramp(),
            "conv2": mn.Conv(4, 3, padding=1, bias=False),
            "norm2": mn.BatchNorm(),
            "project": mn.Conv(4, 1, stride=2, bias=False),
            "norm3": mn.BatchNorm(),
            "add": mn.Add(),
            "ramp2": mn.Ramp(),
        },
        {
            "conv1": "input", "norm1": "conv1", "ramp1": "norm1", "conv2": "ramp1",
            "norm2": "conv2", "project": "input", "norm3": "project",
            "add": ("norm2", "norm3"), "ramp2": "add",
        },
    )  # fmt: skip
    layers = {**NORMED, "block": block, "mean": mn.GlobalMeanPool(), "last": mn.Linear(3)}
    layers["end"] = mn.Softmax()
    wiring = dict(zip(layers, ["input", *layers], strict=False))
    return varied(mn.Graph(layers, wiring, input=(6, 5, 2)).initialize(dtype=dtype))


def images(net: Any, count: int, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, *net.input)).astype(net.dtype)
    return x, random.integers(0, 3, count)


def trained(net: Any, **options: Any) -> Any:
    """Return the losses and the trained net, after steps with batches of several sizes."""
    trainer = mn.Trainer(net, mn.SGD(0.05, momentum=0.9), **options)
    losses = [trainer.step(*images(net, n, i)) for i, n in enumerate([5, 5, 3, 5])]
    return losses, trainer.net


def plainly(function: Any, *given: Any, **options: Any) -> Any:
    """Call a function with the layers computed one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Residual, "__call__", lambda *_: None)
        return function(*given, **options)


def used(net: Any) -> bool:
    """Tell whether anything of a net is computed as one op."""
    return bool(list(net._segments))


# --- the same as the layers -------------------------------------------------------------------


@given(residual_nets(), st.integers(1, 3), st.data())
def test_training_comes_to_the_same_but_for_rounding(
    net: mn.Chain, threads: int, data: Any
) -> None:
    paths = [path for path in net.arrays() if not path[-1].startswith("running")]
    values = st.sampled_from([None, 1, 1, 0.3])
    rules: Any = [*((path, data.draw(values)) for path in paths[:-1]), (paths[-1], 1)]
    assert used(net)
    losses, found = trained(net, multipliers=rules, threads=threads)
    expected, plain = plainly(trained, net, multipliers=rules, threads=threads)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    for path, array in found.arrays().items():
        same(np.array(array), np.array(plain[path]), 1e-6)
        if dict(rules).get(path, 1) is None:
            assert array is net[path]


@given(residual_nets(), st.booleans(), st.integers(2, 7))
def test_gradients_by_the_images(net: mn.Chain, trains: bool, count: int) -> None:
    x, _ = images(net, count)
    scales = {path: mn.Tensor(a) for path, a in net.arrays().items() if path[-1] == "scale"}
    live = net.with_arrays(scales if trains else {})

    def apply(x: Any) -> Any:
        return live.apply(x, Context(np.random.default_rng(0)) if trains else None)

    same(differentiated(apply, x), plainly(differentiated, apply, x), 1e-7)


@given(st.sampled_from(["float32", "float64"]).flatmap(residual_nets), st.integers(1, 8))
def test_what_comes_out_in_use(net: mn.Chain, count: int) -> None:
    x, _ = images(net, count)
    found, expected = net.apply(x), plainly(net.apply, x)
    same(found, expected, 1e-4 if net.dtype == np.float32 else 1e-11)
    assert same_bits(pickle.loads(pickle.dumps(net)).apply(x), found)


def test_gradients_are_those_of_differences() -> None:
    net = small("float64")
    x, y = images(net, 4)
    trainer = mn.Trainer(net, mn.SGD(1.0))
    trainer.step(x, y)
    for path in trainer.trainable:
        gradient = net[path] - trainer.net[path]
        for at in [(0,) * gradient.ndim, tuple(n - 1 for n in gradient.shape)]:
            step = np.zeros(gradient.shape)
            step[at] = 1e-6
            ends = [net.with_arrays({path: np.array(net[path]) + s}) for s in (step, -step)]
            above, below = (mn.Trainer(end, mn.SGD(0.1)).step(x, y) for end in ends)
            assert gradient[at] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-7)


def test_gradients_from_several_starts() -> None:
    net = small("float64")
    paths = [path for path in net.arrays() if not path[-1].startswith("running")]
    x, _ = images(net, 5)

    def back() -> list[Any]:
        tensors = {path: mn.Tensor(net[path]) for path in paths}
        y = net.with_arrays(tensors).apply(mn.Tensor(x), Context(np.random.default_rng(0)))
        starts = np.random.default_rng(1).normal(size=(2, *y.shape))
        wanted = list(tensors.values())
        return [found for start in starts for found in mn.gradients(y, wanted, start)]

    same(back(), plainly(back), 1e-9)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_number_of_threads_gives_the_same_bits(threads: int) -> None:
    one, two = (trained(small(), threads=threads) for _ in range(2))
    assert one[0] == two[0] and same_nets(one[1], two[1])


def test_few_and_large_numbers_far_from_zero_keep_their_variance() -> None:
    net = mn.Chain(mn.Conv(2, 1), mn.BatchNorm(), mn.Ramp(), input=(4, 4, 1)).initialize()
    net = net.with_arrays({"0.weight": np.ones((1, 1, 1, 2), np.float32)})
    live = net.with_arrays({"1.scale": mn.Tensor(net["1.scale"])})
    x = 1000 + np.random.default_rng(0).normal(size=(5, 4, 4, 1)).astype(np.float32)
    context = Context(np.random.default_rng(0))
    y = live.apply(x, context).data
    expected = np.maximum((x - x.mean(dtype=float)) / x.std(dtype=float), 0)
    np.testing.assert_allclose(y, np.broadcast_to(expected, y.shape), atol=2e-3)
    variance = 0.9 + 0.1 * x.var(dtype=float, ddof=1)
    np.testing.assert_allclose(context.updates[1, "running_variance"], variance, rtol=1e-4)


# --- what is done as one, and what not --------------------------------------------------------


def keys(net: Any) -> list[Any]:
    return [segment.keys for segment in net._segments]


def test_a_whole_net_but_its_top_is_one_segment() -> None:
    net = small()
    assert keys(net) == [["conv", "norm", "ramp", "block"]]
    with counted() as counts:
        mn.Trainer(net, multipliers={"last": 1, "block": 1, ...: None}).step(*images(net, 4))
    # Of the block its ten arrays, the mean, the last layer with its two, and the loss.
    assert counts.functions == 10 + 1 + 3 + 1


def test_pools_and_dropout_part_segments() -> None:
    ramped = [mn.Conv(3, 3), mn.BatchNorm(), mn.Ramp()]
    net = mn.Chain(*ramped, mn.MaxPool(2), *ramped, mn.Dropout(), *ramped, input=(20, 20, 1))
    # The largest of ramps is the ramp of the largest, and sooner found.
    assert keys(net.initialize()) == [[0, 1], [4, 5, 6], [8, 9, 10]]


@pytest.mark.parametrize(
    "layers",
    [
        [mn.Conv(3, 3), mn.Ramp()],
        [mn.Conv(3, 3), mn.Ramp(), mn.BatchNorm()],
        [mn.BatchNorm(), mn.Ramp()],
        [mn.Conv(4, 3, groups=2), mn.BatchNorm()],
        [mn.Linear(3), mn.BatchNorm(), mn.Ramp()],
    ],
    ids=str,
)
def test_other_layers_are_computed_one_by_one(layers: Any) -> None:
    assert keys(mn.Chain(*layers, input=(6, 6, 2)).initialize()) == []


def test_what_is_used_elsewhere_ends_a_segment() -> None:
    layers = {**NORMED, "conv2": mn.Conv(3, 1), "norm2": mn.BatchNorm(), "both": mn.Catenate()}
    wiring = {"conv": "input", "norm": "conv", "ramp": "norm", "conv2": "ramp", "norm2": "conv2"}
    net = mn.Graph(layers, wiring | {"both": ("ramp", "norm2")}, input=(6, 5, 2)).initialize()
    assert keys(net) == [["conv", "norm", "ramp"], ["conv2", "norm2"]]
    net = mn.Graph(layers, wiring | {"both": ("conv", "norm2")}, input=(6, 5, 2)).initialize()
    assert keys(net) == [["conv2", "norm2"]]


def test_a_sum_without_a_ramp_is_taken_twice() -> None:
    layers = {
        "conv1": mn.Conv(2, 3, padding=1), "norm1": mn.BatchNorm(),
        "conv2": mn.Conv(2, 3, padding=1), "norm2": mn.BatchNorm(), "add": mn.Add(),
    }  # fmt: skip
    wiring = {"conv1": "input", "norm1": "conv1", "conv2": "norm1", "norm2": "conv2"}
    net = mn.Graph(layers, wiring | {"add": ("norm2", "norm1")}, input=(6, 5, 2))
    net = varied(net.initialize(dtype="float64"))
    assert keys(net) == [list(layers)]
    x, _ = images(net, 5)
    same(differentiated(net.apply, x), plainly(differentiated, net.apply, x))


def test_a_net_of_which_arrays_are_missing_says_so() -> None:
    net = mn.Chain(*NORMED.values(), input=(6, 6, 1))
    assert keys(net) == []
    with pytest.raises(mn.errors.SpecError, match="initialize"):
        net.apply(np.zeros((2, 6, 6, 1), np.float32))


# --- what is wrong is said by the layer --------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 6, 5, 3), (3, 6, 5), (3, 0, 5, 2)])
def test_images_that_do_not_fit(shape: Any) -> None:
    net, x = small().with_ends(input=None), np.zeros(shape, np.float32)
    with pytest.raises(ShapeError) as caught:
        net.apply(x)
    with pytest.raises(ShapeError) as expected:
        plainly(net.apply, x)
    assert caught.value.path == expected.value.path
    assert str(caught.value) == str(expected.value)


def test_a_single_value_for_each_channel_can_not_be_trained_on() -> None:
    net = mn.Chain(mn.Conv(2, 3), mn.BatchNorm(), mn.Flatten(), mn.Linear(3), mn.Softmax())
    trainer = mn.Trainer(net.initialize(input_shape=(3, 3, 1)).with_ends(input=(3, 3, 1)))
    with pytest.raises(ShapeError, match="more than one value per channel") as caught:
        trainer.step(np.ones((1, 3, 3, 1), np.float32), [0])
    assert caught.value.path == (1,)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_not_finite_comes_through(number: float) -> None:
    net = small()
    x, y = images(net, 4)
    x[1, 2, 2] = number
    with np.errstate(all="ignore"):
        found, expected = net.apply(x), plainly(net.apply, x)
        assert np.isfinite(found).all(axis=1).tolist() == [True, False, True, True]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        live = mn.Trainer(net)
        with pytest.raises(NonFiniteError):
            live.step_above(x, y, lambda: x)
    assert same_nets(live.net, net)


def test_an_infinite_gradient_is_named_and_changes_nothing() -> None:
    net = small()
    huge = np.full(net["block", "norm2", "scale"].shape, 1e30, np.float32)
    still = net.with_arrays({"block.norm2.scale": huge, "last.weight": 1e20 * net["last.weight"]})
    trainer = mn.Trainer(still, mn.SGD(1e-30))
    with pytest.raises(NonFiniteError):
        trainer.step(*images(net, 4))
    assert same_nets(trainer.net, still) and trainer.steps == 0


def test_sums_of_different_shapes_have_no_plan() -> None:
    net = small()
    (segment,) = net._segments
    sums, branches = segment.residual.sums, segment.residual.branches
    wrong = [*sums[:-1], sums[-1]._replace(sums=(0,))]
    with pytest.raises(ShapeError, match="added up"):
        Plan(wrong, branches, images(net, 2)[0])


def test_scattered_images_and_weights() -> None:
    net = small()
    x, _ = images(net, 5)
    scattered = np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
    same(net.apply(scattered), net.apply(x))
    turned = np.asfortranarray(net["conv.weight"])
    other = net.with_arrays({"conv.weight": turned})
    same(other.apply(x), plainly(other.apply, x))


def test_without_kernels_it_goes_layer_by_layer() -> None:
    net = small("float64")
    x, _ = images(net, 5)
    with off():
        expected = net.apply(x)
    same(net.apply(x), expected)


def test_wide_convolutions_on_large_maps_are_done_better_otherwise() -> None:
    net = mn.Chain(mn.Conv(64, 3, padding=1), mn.BatchNorm(), mn.Ramp(), input=(24, 24, 64))
    net = net.initialize()
    (segment,) = net._segments
    assert segment.residual(images(net, 2)[0], None) is None
