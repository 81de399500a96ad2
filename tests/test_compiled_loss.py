"""The compiled cross-entropy is that of the ops, and training with it comes to the same."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import loss_by_kernel, loss_by_ops, off, on, same
from hypothesis import given
from hypothesis import strategies as st
from op_checks import seeds
from train_samples import points

import minnet as mn

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

DTYPES = st.sampled_from(["float32", "float64"])


@given(DTYPES, st.integers(1, 9), st.integers(1, 12), st.sampled_from([1.0, 30.0, 1e4]), seeds)
def test_loss_and_gradient(dtype: str, count: int, classes: int, size: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = (size * random.normal(size=(count, classes))).astype(dtype)
    targets = random.integers(0, classes, count)
    # What is subtracted is as large as the scores, and so is what rounding leaves of it.
    same(
        loss_by_kernel(scores, targets),
        loss_by_ops(scores, targets),
        2e-5 if dtype == "float32" else None,
    )


@given(DTYPES, st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0]), min_size=12))
def test_numbers_that_are_not_finite(dtype: str, numbers: list[float]) -> None:
    scores = np.array(numbers[:12], dtype).reshape(4, 3)
    targets = np.array([0, 1, 2, 0])
    found, expected = loss_by_kernel(scores, targets), loss_by_ops(scores, targets)
    # A loss is told to be finite or not; which of the ways it isn't makes no difference.
    assert np.isfinite(found[0]) == np.isfinite(expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)


@given(st.sampled_from([np.float32, np.float64]), seeds)
def test_training_a_dense_net(dtype: Any, seed: int) -> None:
    layers = mn.Linear(9), mn.Ramp(), mn.Linear(5), mn.Tanh(), mn.Linear(3), mn.Softmax()
    net = mn.Chain(*layers, input=2).initialize(seed=seed % 10, dtype=dtype)
    optimizer = mn.SGD(0.1, momentum=0.9)
    fast, plain = (mn.Trainer(net, optimizer=optimizer) for _ in range(2))
    for step in range(5):
        x, y = points(20, step)
        with on() as answers:
            losses = [fast.step(x.astype(dtype), y)]
        assert True in answers
        with off():
            losses.append(plain.step(x.astype(dtype), y))
        np.testing.assert_allclose(*losses, rtol=1e-5)
    for path, array in plain.net.arrays().items():
        same(fast.net.arrays()[path], array, 1e-4 if dtype is np.float32 else 1e-10)


@pytest.mark.parametrize("wrong", [[0, 3, 1], [0, -1, 1]])
def test_no_class_but_those_there_are_is_looked_up(wrong: list[int]) -> None:
    net = mn.Chain(mn.Linear(3), mn.Softmax(), input=2).initialize()
    x, y = points(3)
    with on():
        trainer = mn.Trainer(net)
        for _ in range(3):
            trainer.step(x, y)
        before = trainer.net
        with pytest.raises(mn.DataError):
            trainer.step(x, np.array(wrong))
    for path, array in before.arrays().items():
        assert array.tobytes() == trainer.net.arrays()[path].tobytes()
