"""Large dense nets: what one compiled kernel and gradients that aren't made come to is the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from compiled_samples import on, same
from hypothesis import given
from hypothesis import strategies as st
from train_samples import points, same_bits, same_nets

import minnet as mn
from minnet.errors import NonFiniteError
from minnet.ops.compiled import team
from minnet.optim import compiled as steps
from minnet.optim import updater
from minnet.train import dense_large
from minnet.train.dense import Dense
from minnet.train.dense_large import LargeDense

pytest.importorskip("numba", reason="the kernels are compiled by Numba")
pytestmark = pytest.mark.host


@pytest.fixture(autouse=True, scope="module")
def _small_ones_are_large() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, on():
        patch.setattr(dense_large, "MANY", 0)
        for module in (dense_large, updater):
            patch.setattr(module, "JOINED", 5)
        patch.setattr(steps, "ROOM", 16)  # bytes: products are made a few rows at a time
        patch.setattr(team, "LEAST", 1e-9)  # everything is shared
        patch.setattr("minnet.net.threaded.FOR_TEAM", 0)
        yield


@st.composite
def ramp_nets(draw: Any) -> mn.Chain:
    layers: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        layers.append(mn.Linear(draw(st.integers(1, 40)), bias=draw(st.booleans())))
        layers += draw(st.sampled_from([[], [mn.Ramp()]]))
    layers += [mn.Linear(3, bias=draw(st.booleans())), mn.Softmax()]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return mn.Chain(*layers, input=2).initialize(seed=draw(st.integers(0, 9)), dtype=dtype)


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
            patch.setattr(LargeDense, "suits", lambda *_: False)
        trainer = mn.Trainer(net, threads=threads, **options)
    assert type(trainer._dense) is (Dense if is_plain else LargeDense)
    losses = []
    for seed, count in enumerate([7, 7, 70, 7, 70, 1, 1]):
        losses.append(trainer.step(*points(count, seed)))
    return losses, trainer.net


@given(ramp_nets(), OPTIMIZERS, st.integers(1, 3), st.data())
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


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_number_of_threads_gives_the_same_bits(threads: int) -> None:
    net = mn.Chain(50, mn.Ramp, 40, mn.Ramp, mn.Linear(3), mn.Softmax(), input=2).initialize()
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


@given(ramp_nets(), st.floats(-5, 38), st.floats(-5, 38))
def test_gradients_known_to_be_finite_are(net: mn.Chain, inputs: float, weights: float) -> None:
    with np.errstate(all="ignore"):
        arrays = {path: array * 10**weights for path, array in net.arrays().items()}
        x = points(8)[0]
        x = (x * 10**inputs).astype(net.dtype)
        trainer = mn.Trainer(net.with_arrays(arrays))
        dense: Any = trainer._dense
        dense.make_room(x)
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
    dense: Any = trainer._dense
    dense.make_room(x)
    with pytest.raises(NonFiniteError, match="its gradient is not finite") as caught:
        trainer.step(x, y)
    assert caught.value.path == ("a", "weight") or caught.value.path == ("a", "bias")
    assert same_nets(trainer.net, still) and trainer.steps == 0
