"""Losses against their definitions, and the gradients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_checks import Case, Refused, anything, distinct, op_tests, positive, same, seeds

import minnet as mn

lead = st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple)
scores = st.builds(lambda lead, classes: (*lead, classes), lead, st.integers(1, 4))
any_shape = st.lists(st.integers(1, 4), max_size=3).map(tuple)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def reference_cross_entropy(logits, targets):
    return -(targets * log_softmax(logits)).sum(-1).mean()


def reference_negative_log_likelihood(probabilities, targets):
    return -(targets * np.log(probabilities)).sum(-1).mean()


def reference_binary_cross_entropy(logits, targets):
    s = 1 / (1 + np.exp(-logits))
    return -(targets * np.log(s) + (1 - targets) * np.log(1 - s)).mean()


def shares(random, shape, i):
    """Numbers of any sign first, then some well between 0 and 1."""
    return random.uniform(0.1, 0.9, shape) if i else anything(random, shape, i)


Z, P, Y = np.zeros((4, 3)), np.full((4, 3), 1 / 3), np.array([0, 2, 1, 1])
bad_classes = [
    Refused((Z, Y[:3]), mn.ShapeError, r"indices of shape \(4,\) or .*\(4, 3\), got .* \(3,\)"),
    Refused((Z, P[:, :2]), mn.ShapeError, r"probabilities of shape \(4, 3\), got .* \(4, 2\)"),
    Refused((Z, Y[:, None]), mn.ShapeError, r"got targets of shape \(4, 1\)"),
    Refused((Z, 1), mn.ShapeError, r"got targets of shape \(\)"),
    Refused((Z[0], Y[0]), mn.ShapeError, r"scores of shape \(N, ..., C\), got \(3,\)"),
    Refused((Z, Y + 1), mn.DataError, r"indices from 0 to 2 .* \(4, 3\), got 3", on_host=True),
    Refused((Z, Y - 1), mn.DataError, "indices from 0 to 2 .*, got -1", on_host=True),
    Refused((Z, Y.astype(float)), mn.DataError, "whole numbers, got float64"),
    Refused((Z, Y > 0), mn.DataError, "whole numbers, got bool"),
    Refused((Z, Y.astype(str)), mn.DataError, "real numbers, got one of dtype <U"),
    Refused((Z[:0], Y[:0]), mn.DataError, r"mean of nothing: it got shape \(0, 3\)"),
    Refused((Z[:, :0], Y), mn.DataError, r"mean of nothing: it got shape \(4, 0\)"),
]
bad_pairs = [
    Refused((Z, Z[:, :1]), mn.ShapeError, r"of shape \(4, 3\) and targets of shape \(4, 1\)"),
    Refused((Z[:, 0], Z[:, :1]), mn.ShapeError, r"of shape \(4,\) and targets of shape \(4, 1\)"),
    Refused((Z[:0], Z[:0]), mn.DataError, r"mean of nothing: it got shape \(0, 3\)"),
    Refused((Z, Z.astype(str)), mn.DataError, "real numbers"),
]
bad_answers = [
    Refused((Z, Z + 1.5), mn.DataError, "targets between 0 and 1", on_host=True),
    Refused((Z, Z - 1), mn.DataError, "targets between 0 and 1", on_host=True),
    Refused((Z, Z + math.nan), mn.DataError, "targets between 0 and 1", on_host=True),
]

same_shapes = {
    "cases": any_shape.map(lambda shape: Case((shape, shape))),
    "refused": bad_pairs,
}
TestCrossEntropy = op_tests(
    mn.ops.cross_entropy,
    reference_cross_entropy,
    cases=scores.map(lambda shape: Case((shape, shape))),
    refused=bad_classes,
)
TestNegativeLogLikelihood = op_tests(
    mn.ops.negative_log_likelihood,
    reference_negative_log_likelihood,
    cases=scores.map(lambda shape: Case((shape, shape))),
    numbers=positive,
    refused=bad_classes,
)
TestBinaryCrossEntropy = op_tests(
    mn.ops.binary_cross_entropy,
    reference_binary_cross_entropy,
    cases=same_shapes["cases"],
    numbers=shares,
    refused=[*bad_pairs, *bad_answers],
)
TestMeanSquaredError = op_tests(
    mn.ops.mean_squared_error, lambda p, t: ((p - t) ** 2).mean(), **same_shapes
)
TestMeanAbsoluteError = op_tests(
    mn.ops.mean_absolute_error, lambda p, t: abs(p - t).mean(), numbers=distinct, **same_shapes
)


@given(scores, seeds, st.sampled_from(["int64", "int8", "uint8"]))
def test_class_indices_say_the_same_as_their_probabilities(shape, seed, dtype):
    random = np.random.default_rng(seed)
    indices = random.integers(shape[-1], size=shape[:-1]).astype(dtype)
    certain = np.eye(shape[-1])[indices]
    for op, numbers in [
        (mn.ops.cross_entropy, anything(random, shape, 0)),
        (mn.ops.negative_log_likelihood, positive(random, shape, 0)),
    ]:
        by_index, by_share = mn.Tensor(numbers), mn.Tensor(numbers)
        one, other = op(by_index, indices), op(by_share, certain)
        same(one.data, other.data)
        one.backward()
        other.backward()
        same(by_index.grad, by_share.grad)
        mn.check_grad(lambda a, op=op: op(a, indices), numbers)
        assert np.isclose(op(numbers, indices.tolist()), one.item())
        assert np.isclose(op(numbers, certain.astype(int)), one.item())


@given(scores, seeds)
def test_cross_entropy_is_the_likelihood_of_the_softmax(shape, seed):
    random = np.random.default_rng(seed)
    logits, targets = random.normal(size=shape), random.dirichlet(np.ones(shape[-1]), shape[:-1])
    likelihood = mn.ops.negative_log_likelihood(mn.ops.softmax(logits), targets)
    assert np.isclose(mn.ops.cross_entropy(logits, targets), likelihood)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits_neither_overflow_nor_vanish(dtype):
    logits = mn.Tensor(np.array([[3e4, 0.0], [0.0, -3e4]], dtype))
    loss = mn.ops.cross_entropy(logits, [1, 0])
    assert loss.item() == 1.5e4
    loss.backward()
    assert logits.grad.tolist() == [[0.5, -0.5], [0, 0]]

    logits = mn.Tensor(np.array([3e4, -3e4, 3e4, -3e4], dtype))
    loss = mn.ops.binary_cross_entropy(logits, [0, 1, 1, 0])
    assert loss.item() == 1.5e4
    loss.backward()
    assert logits.grad.tolist() == [0.25, -0.25, 0, 0]


def test_a_class_ruled_out_by_an_infinite_logit_is_no_matter_unless_it_is_the_target():
    logits = np.array([[0.0, 0.0, -np.inf]])
    leaf = mn.Tensor(logits)
    loss = mn.ops.cross_entropy(leaf, [0])
    loss.backward()
    assert np.isclose(loss.item(), math.log(2))
    assert np.allclose(leaf.grad, [[-0.5, 0.5, 0]])
    assert mn.ops.cross_entropy(logits, [2]) == math.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_probability_of_zero_gives_a_finite_likelihood(dtype):
    p = mn.Tensor(np.array([[0.0, 1.0]], dtype))
    loss = mn.ops.negative_log_likelihood(p, [0])
    loss.backward()
    assert np.isclose(loss.item(), -math.log(np.finfo(dtype).tiny))
    assert np.isfinite(p.grad).all()


def test_equal_numbers_have_no_absolute_error_and_no_gradient():
    x = mn.Tensor(np.ones(3))
    loss = mn.ops.mean_absolute_error(x, np.ones(3))
    loss.backward()
    assert loss.item() == 0
    assert x.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", mn.ops.loss.__all__)
def test_targets_take_on_the_precision_of_the_predictions(name):
    predictions = mn.Tensor(np.full((2, 3), 0.5, "float32"))
    targets = np.array([[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]])
    loss = getattr(mn.ops, name)(predictions, targets)
    assert loss.dtype == np.float32
    assert loss.shape == ()


@pytest.mark.parametrize("answers", [np.array([True, False]), [1, 0], np.array([1, 0], "uint8")])
def test_answers_may_be_bools_or_whole_numbers(answers):
    expected = math.log(1 + math.exp(-1)) / 2 + math.log(1 + math.exp(2)) / 2
    assert np.isclose(mn.ops.binary_cross_entropy(np.array([1.0, 2.0]), answers), expected)
