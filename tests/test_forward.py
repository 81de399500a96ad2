"""The first layers of a chain by one kernel give what they give one after another."""

import copy
import gc
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from compiled_samples import off, on, same
from hypothesis import given
from hypothesis import strategies as st
from op_checks import awkward
from test_planned import block_nets

import minnet as mn
from minnet.errors import ShapeError, SpecError
from minnet.net.forward import Forward, Plan
from minnet.net.order import Order
from minnet.threads import sharing

pytest.importorskip("numba", reason="the kernels are compiled by Numba")
pytestmark = pytest.mark.host


def planned_calls(patch: Any) -> list[tuple[int, ...]]:
    """Watch plans at work: return a list of the shapes of what goes in."""
    call, seen = Plan.__call__, []

    def watched(self: Plan, x: Any) -> Any:
        seen.append(x.shape)
        return call(self, x)

    patch.setattr(Plan, "__call__", watched)
    return seen


def by_pickle(net: Any) -> Any:
    return pickle.loads(pickle.dumps(net))


@given(block_nets(), st.integers(1, 9), st.integers(1, 3), st.booleans(), st.data())
def test_a_chain_gives_what_it_gives_layer_by_layer(
    net: mn.Chain, count: int, threads: int, is_awkward: bool, data: Any
) -> None:
    net = net[: data.draw(st.integers(1, len(net)))]
    random = np.random.default_rng(count)
    x = random.normal(size=(count, *net.input)).astype(net.dtype)
    x = awkward(x) if is_awkward else x
    with on(), pytest.MonkeyPatch.context() as patch, sharing(threads):
        patch.setattr("minnet.ops.compiled.team.LEAST", 1e-9)
        seen = planned_calls(patch)
        with np.errstate(all="ignore"):
            found = net.apply(x), net.apply(x[::-1])
    assert seen
    with off(), np.errstate(all="ignore"):
        same(list(found), [net.apply(x), net.apply(x[::-1])], 1e-4 if net.dtype == "f4" else 1e-11)


def test_calls_frozen_bottoms_and_measures_go_by_it(random: np.random.Generator) -> None:
    net = mn.models.lenet(3).initialize()
    x, y = random.normal(size=(6, 28, 28, 1)).astype("float32"), np.arange(6) % 3
    with on(), pytest.MonkeyPatch.context() as patch:
        seen = planned_calls(patch)
        net(x)
        assert seen == [(6, 28, 28, 1)]
        net(x[0])
        assert seen[1:] == [(1, 28, 28, 1)]
        del seen[:]
        trainer = mn.Trainer(net, multipliers={"conv1": None, "conv2": None})
        trainer.step(x, y)
        assert len(seen) == 1
        mn.evaluate(net, (x, y))
        assert len(seen) == 2


def test_what_comes_out_stays_what_it_is(random: np.random.Generator) -> None:
    for length in (3, 6, 9):  # layers: up to a pool, up to Flatten's input, up to a Linear
        net = mn.models.lenet(3).initialize()[:length]
        x, other = random.normal(size=(2, 20, 28, 28, 1)).astype("float32")
        with on():
            y = net(x)
            before = y.copy()
            assert not np.array_equal(net(other), before)
        assert np.array_equal(y, before)


def test_threads_that_call_one_net_get_what_is_theirs(random: np.random.Generator) -> None:
    net = mn.models.lenet(3).initialize()
    batches = random.normal(size=(4, 8, 28, 28, 1)).astype("float32")
    with on():
        expected = [net(x) for x in batches]
        wrong: list[int] = []

        def work(i: int) -> None:
            for _ in range(30):
                if not np.array_equal(net(batches[i]), expected[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, by_pickle])
def test_copies_of_a_net_that_was_called_find_their_own_arrays(
    copied: Any, random: np.random.Generator
) -> None:
    x = random.normal(size=(3, 28, 28, 1)).astype("float32")
    net = mn.models.lenet(3).initialize()
    with on():
        expected = net.apply(x)
        other = copied(net)
        del net
        gc.collect()
        others = [mn.models.lenet(3).initialize(seed=i) for i in range(3)]  # where that one was
        assert np.array_equal(other.apply(x), expected) and len(others) == 3


def test_small_nets_stay_with_numpy() -> None:
    net = mn.Chain(mn.Conv(4, 3), mn.Ramp(), input=(8, 8, 1)).initialize()
    net.apply(np.ones((1, 8, 8, 1), np.float32))
    assert list(vars(net._order._forward)["_plans"].values()) == [None]


def test_plans_are_kept_for_few_shapes(random: np.random.Generator) -> None:
    net = mn.Chain(mn.Conv(2, 3), mn.Ramp(), input=(6, 8, 1)).initialize()
    with on():
        for count in range(1, 20):
            net.apply(np.ones((count, 6, 8, 1), np.float32))
    forward: Any = net._order._forward
    assert 0 < len(forward._plans) < 5


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ({"conv": mn.Conv(2, 9), "flat": mn.Flatten(), "last": mn.Linear(3)}, ("conv",)),
        ({"conv": mn.Conv(2, 3), "pool": mn.MaxPool(9), "last": mn.Flatten()}, ("pool",)),
        ({"conv": mn.Conv(2, 3), "flat": mn.Flatten(), "last": mn.Linear(3)}, ("last",)),
    ],
)
def test_what_does_not_fit_is_said_by_the_layer_it_does_not_fit(layers: Any, path: Any) -> None:
    net = mn.Chain(**layers).initialize(input_shape=(20, 20, 1))
    with on(), pytest.raises(ShapeError) as caught:
        net.apply(np.zeros((3, 8, 8, 1), np.float32))
    assert caught.value.path == path


def test_a_net_that_is_not_initialized_says_so() -> None:
    net = mn.Chain(conv=mn.Conv(2, 3), flat=mn.Flatten(), input=(8, 8, 1))
    with on(), pytest.raises(SpecError, match="Conv has no weight yet") as caught:
        net.apply(np.zeros((3, 8, 8, 1), np.float32))
    assert caught.value.path == ("conv",)


@pytest.mark.parametrize(
    "layers",
    [
        [mn.Ramp(), mn.Conv(2, 3)],
        [mn.Conv(2, 3, groups=2)],
    ],
    ids=str,
)
def test_other_beginnings_are_done_layer_by_layer(layers: list[Any]) -> None:
    net = mn.Chain(*layers).initialize(input_shape=(9, 9, 2))
    assert Forward.of(net.children()) is None
    sequences = mn.Chain(mn.Conv(2, (3,))).initialize(input_shape=(9, 2))
    assert Forward.of(sequences.children()) is None


def test_what_is_trained_is_left_to_the_ops(random: np.random.Generator) -> None:
    net = mn.Chain(mn.Conv(2, 3), mn.Ramp(), input=(6, 8, 1)).initialize()
    x = random.normal(size=(3, 6, 8, 1)).astype("float32")
    tensors = {path: mn.Tensor(array) for path, array in net.arrays().items()}
    live = net.with_arrays(tensors)
    with on():
        y = live.apply(x)
        gradients = mn.gradients((y * y).sum(), list(tensors.values()))
        inputs = mn.Tensor(x)
        (by_inputs,) = mn.gradients(net.apply(inputs).sum(), [inputs])
    assert all(gradient.any() for gradient in gradients) and by_inputs.any()
    assert Order(live.children())._forward is None
