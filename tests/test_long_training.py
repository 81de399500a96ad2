"""Long trainings of small dense nets: compiled from some step on, and the same but for rounding."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from compiled_samples import off, same
from hypothesis import given
from hypothesis import strategies as st
from train_samples import dense_nets, dense_rules, optimizers, points, quiet, same_nets

import minnet as mn
from minnet.errors import DataError, NonFiniteError, ShapeError
from minnet.ops import compiled
from minnet.optim import Progress
from minnet.train import passes, planned
from minnet.train.dense import Dense
from minnet.train.planned import Planned

pytest.importorskip("numba", reason="the kernels are compiled by Numba")
pytestmark = pytest.mark.host

LONG = 5
NET = mn.Chain(
    a=mn.Linear(6),
    b=mn.Tanh(),
    c=mn.Linear(5),
    d=mn.Ramp(),
    e=mn.Linear(3),
    f=mn.Softmax(),
    input=2,
).initialize()
# What goes by signs alone goes another way where rounding changes one.
smooth = optimizers.filter(lambda optimizer: not isinstance(optimizer, mn.SignSGD))


@pytest.fixture(autouse=True, scope="module")
def _few_steps_are_many() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "LONG", LONG)
        patch.setattr(compiled, "reason_not", lambda: None)
        yield


def trained(net: Any, **options: Any) -> Any:
    """Return the losses of steps with batches of several sizes, the net, and what passes made."""
    trainer = mn.Trainer(net, **options)
    losses, kinds = [], []
    for seed, count in enumerate([7, 7, 3, 7, 7, 3, 7, 9, 9, 1]):
        losses.append(trainer.step(*points(count, seed)))
        kinds.append(type(trainer._dense))
    return losses, trainer.net, kinds


@given(dense_nets(), smooth, st.data())
def test_it_goes_on_the_same_but_for_rounding(net: Any, optimizer: Any, data: Any) -> None:
    options = {"optimizer": optimizer, "multipliers": data.draw(dense_rules(net))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned, "ALONE", data.draw(st.sampled_from([200, 0])))
        losses, found, kinds = trained(net, **options)
    with off():
        expected, plain, plain_kinds = trained(net, **options)
    assert kinds == [Dense] * LONG + [Planned] * (len(kinds) - LONG)
    assert set(plain_kinds) == {Dense}
    assert losses[:LONG] == expected[:LONG]
    tolerance = 1e-3 if net.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(losses, expected, rtol=tolerance, atol=tolerance)
    for path, array in found.arrays().items():
        same(np.array(array), np.array(plain[path]), tolerance)
        assert (array is net[path]) == (plain[path] is net[path])


def test_equal_seeds_give_equal_bits() -> None:
    options = {"rounds": 3, "batch_size": 16, "validation": 0.2, "measure": "accuracy"}
    one, two = (quiet(NET, points(), **options) for _ in range(2))
    assert one.steps > LONG and same_nets(one.net, two.net)
    for row, other in zip(one.history, two.history, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize("steps", [2, 4])
def test_what_thaws_before_or_after_is_trained_at_the_rate_of_its_step(steps: int) -> None:
    def thawed() -> Any:
        rate = mn.optim.StepDecay(0.1, factor=0.5, steps=3)
        trainer = mn.Trainer(NET, mn.Adam(rate), multipliers=mn.gradual_unfreeze())
        for round in range(4):
            trainer.set_progress(Progress(round=round, step=trainer.steps))
            for seed in range(steps):
                trainer.step(*points(8, seed))
        return trainer.net

    found = thawed()
    assert same_nets(found, thawed())
    with off():
        plain = thawed()
    for path, array in found.arrays().items():
        same(np.array(array), np.array(plain[path]), 1e-3)


def test_what_was_given_away_stays_what_it_is() -> None:
    trainer, found = mn.Trainer(NET), []
    for seed in range(LONG + 4):
        x, y = points(8, seed)
        outputs = trainer.step_above(x, y, lambda x=x: x)[1]
        found.append((outputs, outputs.copy(), trainer.net, trainer.net["a.weight"].copy()))
    for outputs, copy, net, weight in found:
        np.testing.assert_array_equal(outputs, copy)
        np.testing.assert_array_equal(net["a.weight"], weight)


@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_what_is_wrong_with_a_batch_is_said_as_before(bad: int) -> None:
    x, y = points(8)
    trainer = mn.Trainer(NET)
    for _ in range(LONG + 2):
        trainer.step(x, y)
    before = trainer.net
    with pytest.raises(DataError, match=f"from 0 to 2 .* got {bad}"):
        trainer.step(x, np.where(np.arange(8) == 5, bad, y))
    with pytest.raises(ShapeError):
        trainer.step(np.ones((8, 3)), y)
    with pytest.raises(DataError, match="example 7 has NaN"):
        trainer.step(np.where(np.arange(16).reshape(8, 2) == 14, np.nan, x), y)
    assert same_nets(trainer.net, before) and trainer.steps == LONG + 2


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1e30}], ids=str)
def test_what_becomes_infinite_is_reported_as_before(options: Any) -> None:
    def rate(progress: Progress) -> float:
        return 1e-3 if progress.step < LONG + 1 else 1e25

    def error() -> NonFiniteError:
        trainer = mn.Trainer(NET, mn.SGD(rate, **options))
        nets = [trainer.net]
        with pytest.raises(NonFiniteError) as caught:
            for _ in range(LONG + 9):
                trainer.step(*points(8))
                nets.append(trainer.net)
        assert len(nets) > LONG + 1 and same_nets(caught.value.net, nets[-2])
        return caught.value

    found = error()
    with off():
        expected = error()
    assert (found.path, found.step, str(found)) == (expected.path, expected.step, str(expected))


@given(
    st.sampled_from([np.float32, np.float64]),
    st.lists(st.floats(allow_subnormal=False), min_size=1, max_size=40),
)
def test_the_kernel_s_tanh_is_exact_to_a_few_roundings(dtype: Any, numbers: list[float]) -> None:
    with np.errstate(over="ignore"):
        given = np.array(numbers).astype(dtype)
    found = given.copy()
    compiled.activation.tanh(found)
    least = np.finfo(dtype).tiny * 100  # of what is smaller, products are not exact
    expected = np.tanh(given)
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype).eps, atol=least)
    assert not (np.abs(found) > 1).any()
