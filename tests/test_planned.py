"""Planned nets: what one compiled kernel and gradients that aren't made come to is the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from compiled_samples import on, same
from hypothesis import given
from hypothesis import strategies as st
from train_samples import counted, dense_nets, points, same_bits, same_nets

import minnet as mn
from minnet.errors import NonFiniteError, ShapeError
from minnet.ops.compiled import team
from minnet.optim import compiled as steps
from minnet.optim import updater
from minnet.train import planned
from minnet.train.planned import Planned

pytest.importorskip("numba", reason="the kernels are compiled by Numba")
pytestmark = pytest.mark.host


@pytest.fixture(autouse=True, scope="module")
def _small_ones_are_large() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, on():
        patch.setattr(planned, "MANY", 0)
        for module in (planned, updater):
            patch.setattr(module, "JOINED", 5)
        patch.setattr(steps, "ROOM", 16)  # bytes: products are made a few rows at a time
        patch.setattr(team, "LEAST", 1e-9)  # everything is shared
        patch.setattr("minnet.net.threaded.FOR_TEAM", 0)
        yield


@st.composite
def block_nets(draw: Any) -> mn.Chain:
    """Draw nets of convolutions, some with a pool or a ramp, and Linear layers on top."""
    shape: Any = draw(st.integers(3, 9)), draw(st.integers(3, 9)), draw(st.integers(1, 3))
    inputs, layers = shape, []
    for _ in range(draw(st.integers(1, 3))):
        window = tuple(draw(st.integers(1, min(3, size))) for size in shape[:2])
        moves = {
            "stride": draw(st.integers(1, 2)),
            "padding": draw(st.sampled_from([0, 1, "same"])),
            "dilation": draw(st.integers(1, 2)) if 2 * max(window) <= min(shape[:2]) else 1,
        }
        conv = mn.Conv(draw(st.integers(1, 5)), window, bias=draw(st.booleans()), **moves)
        layers.append(conv)
        shape = conv.output_shape(shape)
        after = draw(st.lists(st.sampled_from(["pool", "ramp"]), max_size=2, unique=True))
        for kind in after:
            over = tuple(draw(st.integers(1, min(3, size))) for size in shape[:2])
            edges = tuple((draw(st.integers(0, k - 1)), 0) for k in over)
            pool = mn.MaxPool(over, stride=draw(st.integers(1, 3)), padding=edges)
            layers.append(pool if kind == "pool" else mn.Ramp())
            shape = layers[-1].output_shape(shape)
    layers.append(mn.Flatten())
    for _ in range(draw(st.integers(0, 1))):
        layers += [mn.Linear(draw(st.integers(1, 20))), mn.Ramp()]
    if draw(st.booleans()):
        layers = [mn.Chain(*layers, name="body")]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    layers += [mn.Linear(3), mn.Softmax()]
    return mn.Chain(*layers, input=inputs).initialize(seed=draw(st.integers(0, 9)), dtype=dtype)


OPTIMIZERS = st.sampled_from(
    [
        mn.Adam(0.01),
        mn.Adam(0.01, l2=0.1, weight_decay=0.1),
        mn.Adam(0.01, clip_norm=0.1),
        mn.Adam(0.01, clip_value=0.01),
        mn.SGD(0.1, momentum=0.9),
        mn.SGD(0.1),
        mn.optim.RMSProp(0.01),
    ]
)


def trained(net: Any, is_plain: bool, threads: int, **options: Any) -> Any:
    """Return the losses and the trained net, after steps with batches of several sizes."""
    with pytest.MonkeyPatch.context() as patch:
        if is_plain:
            patch.setattr(Planned, "suits", lambda *_: False)
        trainer = mn.Trainer(net, threads=threads, **options)
    has_blocks = len(net.input) == 3
    assert isinstance(trainer._dense, Planned) is not is_plain
    losses = []
    for seed, count in enumerate([7, 7, 9 if has_blocks else 70, 7, 1, 1]):
        batch = images(net, count, seed) if has_blocks else points(count, seed)
        losses.append(trainer.step(*batch))
    return losses, trainer.net


def images(net: Any, count: int, seed: int = 0) -> Any:
    """Return images of the size that a net takes, with classes."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, *net.input)), random.integers(0, 3, count)


@given(st.one_of(dense_nets(widest=40), block_nets()), OPTIMIZERS, st.integers(1, 3), st.data())
def test_training_comes_to_the_same_but_for_rounding(
    net: mn.Chain, optimizer: Any, threads: int, data: Any
) -> None:
    *others, last = net.arrays()
    values = st.sampled_from([None, 1, 0.3, -0.1])
    rules: Any = [*((path, data.draw(values)) for path in others), (last, 1)]
    options = {"optimizer": optimizer, "multipliers": rules}
    losses, found = trained(net, False, threads, **options)
    expected, plain = trained(net, True, threads, **options)
    tolerance = 1e-3 if net.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    for path, array in found.arrays().items():
        same(np.array(array), np.array(plain[path]), tolerance)
        if dict(rules)[path] is None:
            assert array is net[path]


@pytest.mark.parametrize("has_blocks", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_number_of_threads_gives_the_same_bits(threads: int, has_blocks: bool) -> None:
    layers: list[Any] = [50, mn.Ramp, 40, mn.Tanh, mn.Linear(3), mn.Softmax()]
    if has_blocks:
        layers = [mn.Conv(5, 3), mn.Ramp, mn.MaxPool(2), mn.Conv(4, 2), mn.Flatten, *layers]
    net = mn.Chain(*layers, input=(9, 8, 2) if has_blocks else 2).initialize()
    one, two = (trained(net, False, threads) for _ in range(2))
    assert one[0] == two[0] and same_nets(one[1], two[1])


def test_gradients_by_large_weights_are_not_made() -> None:
    net = mn.Chain(50, mn.Ramp, mn.Linear(3), mn.Softmax(), input=2).initialize()
    trainer = mn.Trainer(net)
    trainer.step(*points(8))
    dense: Any = trainer._dense
    before = {path: gradient.copy() for path, gradient in dense.gradients.items()}
    x, y = points(8, 1)
    dense(x, y)
    assert set(dense.products) == {(0, "weight"), (2, "weight")}
    for path, product in dense.products.items():
        assert same_bits(dense.gradients[path], before[path])
        made = product.made()
        same(made.reshape(product.room.shape), product.x.T @ product.d)
        assert np.shares_memory(made, dense.gradients[path])


@given(dense_nets(widest=40), st.floats(-5, 38), st.floats(-5, 38))
def test_gradients_known_to_be_finite_are(net: mn.Chain, inputs: float, weights: float) -> None:
    with np.errstate(all="ignore"):
        arrays = {path: array * 10**weights for path, array in net.arrays().items()}
        x = points(8)[0]
        x = (x * 10**inputs).astype(net.dtype)
        trainer = mn.Trainer(net.with_arrays(arrays))
        dense: Any = trainer._dense
        assert dense.takes(x, np.zeros(8, np.int64))
        dense(x, np.zeros(8, np.int64))
        for product in dense.products.values():
            product.made()
    finite = all(np.isfinite(found).all() for found in dense.gradients.values())
    assert finite or not dense.are_finite
    if max(inputs, weights) < 2:  # as in any training that goes well
        assert dense.are_finite


@pytest.mark.parametrize("optimizer", [mn.SGD(1e-38), mn.Adam(1e-38)], ids=str)
def test_a_gradient_that_is_infinite_is_named_and_changes_nothing(optimizer: Any) -> None:
    net = mn.Chain(a=mn.Linear(2), b=mn.Linear(2), c=mn.Softmax(), input=2).initialize()
    huge = np.array([[3e38, -3e38]] * 2, np.float32)
    x, y = np.full((4, 2), 1e2, np.float32), np.array([0, 1, 1, 1])
    still = net.with_arrays({"a.weight": np.zeros((2, 2), np.float32), "b.weight": huge})
    trainer = mn.Trainer(still, optimizer, multipliers={"b": None})
    with pytest.raises(NonFiniteError, match="its gradient is not finite") as caught:
        trainer.step(x, y)
    assert caught.value.path == ("a", "weight") or caught.value.path == ("a", "bias")
    assert same_nets(trainer.net, still) and trainer.steps == 0


def test_a_net_of_blocks_makes_no_tensor_from_the_first_step_on() -> None:
    net = mn.models.lenet(3).initialize()
    trainer = mn.Trainer(net, multipliers={"conv1": None, "conv2": 0.5})
    with counted() as counts:
        losses = [trainer.step(*images(net, 4, seed)) for seed in range(3)]
    assert counts.functions == 0 and np.isfinite(losses).all()
    assert trainer.net["conv1.weight"] is net["conv1.weight"]
    assert not same_bits(trainer.net["conv2.weight"], net["conv2.weight"])


def test_gradients_by_blocks_are_those_of_differences() -> None:
    layers = mn.Conv(3, 3, padding=1), mn.MaxPool(2), mn.Ramp(), mn.Conv(2, 2), mn.Flatten()
    net = mn.Chain(*layers, mn.Linear(3), mn.Softmax(), input=(5, 4, 2))
    net = net.initialize(dtype="float64")
    x, y = images(net, 3)
    trainer = mn.Trainer(net)
    dense: Any = trainer._dense
    assert dense.takes(x, y)
    dense(x, y)
    for product in dense.products.values():
        product.made()
    for path, gradient in dense.gradients.items():
        for at in [(0,) * gradient.ndim, tuple(n - 1 for n in gradient.shape)]:
            step = np.zeros(gradient.shape)
            step[at] = 1e-6
            ends = [net.with_arrays({path: np.array(net[path]) + s}) for s in (step, -step)]
            above, below = (mn.evaluate(end, (x, y))["loss"] for end in ends)
            assert gradient[at] == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ({"conv": mn.Conv(2, 9), "flat": mn.Flatten(), "last": mn.Linear(3)}, ("conv",)),
        ({"conv": mn.Conv(2, 3), "flat": mn.Flatten(), "last": mn.Linear(3)}, ("last",)),
    ],
)
def test_images_that_do_not_fit_are_said_by_the_layer_they_do_not_fit(
    layers: Any, path: Any
) -> None:
    net = mn.Chain(**layers, end=mn.Softmax()).initialize(input_shape=(20, 20, 1))
    trainer = mn.Trainer(net.with_ends(input=None))
    with pytest.raises(ShapeError) as caught:
        trainer.step(np.zeros((3, 8, 8, 1), np.float32), [0, 1, 2])
    assert caught.value.path == path and trainer.steps == 0


def test_convolutions_done_better_otherwise_go_through_the_ops() -> None:
    net = mn.Chain(mn.Conv(64, 3), mn.Flatten(), mn.Linear(3), mn.Softmax(), input=(12, 12, 64))
    trainer = mn.Trainer(net.initialize())
    assert type(trainer._dense) is Planned
    with counted() as counts:
        trainer.step(*images(net, 2))
    assert counts.functions > 0


def test_what_becomes_infinite_in_a_block_is_reported_and_changes_nothing() -> None:
    net = mn.Chain(mn.Conv(2, 2), mn.Flatten(), mn.Linear(3), mn.Softmax(), input=(4, 4, 1))
    net = net.initialize()
    trainer = mn.Trainer(net, mn.SGD(1e30))
    x, y = images(net, 4)
    nets = [trainer.net]
    with pytest.raises(NonFiniteError) as caught:
        for _ in range(9):
            trainer.step(x, y)
            nets.append(trainer.net)
    assert len(nets) > 1 and same_nets(caught.value.net, nets[-2])


def test_of_a_block_s_gradient_that_is_infinite_its_array_is_named() -> None:
    net = mn.Chain(mn.Conv(2, 2), mn.Flatten(), mn.Linear(3), mn.Softmax(), input=(8, 8, 1))
    net = net.initialize()
    # What comes out is about 1, its gradient is not large, times what went in it is.
    arrays = {(0, "weight"): np.full((2, 2, 1, 2), 1e-38), (2, "weight"): np.eye(98, 3) * 1e11}
    small = net.with_arrays({path: array.astype("f4") for path, array in arrays.items()})
    trainer = mn.Trainer(small)
    with pytest.raises(NonFiniteError, match="its gradient is not finite") as caught:
        trainer.step(np.full((4, 8, 8, 1), 1e30, np.float32), [0, 1, 2, 0])
    assert caught.value.path == (0, "weight")
    assert set(trainer._dense.products) == {(2, "weight")}  # type: ignore[union-attr]
    assert same_nets(trainer.net, small) and trainer.steps == 0
