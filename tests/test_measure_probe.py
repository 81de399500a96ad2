"""Linear probes: against other ways to the same minimum, and what must not change them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minnet as mn
from minnet.measure import linear_probe
from minnet.measure.lbfgs import minimize

seeds = st.integers(0, 2**32 - 1)


def clusters(seed, count=60, size=4, classes=3, apart=1.0):
    """Features of classes that overlap, on different scales and far from zero; and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = apart * random.normal(size=(classes, size))
    x = centres[labels] + random.normal(size=(count, size))
    return x * 10.0 ** np.arange(size) + 5, labels


def halves(seed, **options):
    x, y = clusters(seed, count=120, **options)
    return x[:60], y[:60], x[60:], y[60:]


def gradient_descent(x, y, l2, classes):
    """Run the plainest method until nothing moves; x standardized. Return the penalized loss."""
    z = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])
    weights = np.zeros((z.shape[1], classes))
    decay = np.r_[np.full(x.shape[1], l2), 0.0][:, None]
    targets = np.eye(classes)[y]
    for _ in range(20000):
        p = np.exp(z @ weights)
        p /= p.sum(1, keepdims=True)
        weights -= 0.2 * (z.T @ (p - targets) / len(x) + decay * weights)
    p = np.exp(z @ weights)
    p /= p.sum(1, keepdims=True)
    return weights, -np.log(p[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize(("l2", "classes"), [(1e-2, 3), (0.3, 2)])
def test_it_reaches_the_minimum_that_gradient_descent_reaches(l2, classes):
    x, y, test_x, test_y = halves(1, classes=classes)
    probe = linear_probe(x, y, test_x, test_y, l2=l2, tolerance=1e-10)
    weights, loss = gradient_descent(x, y, l2, classes)
    assert probe.converged
    assert probe.train_loss == pytest.approx(loss, rel=1e-8)
    np.testing.assert_allclose(probe.weights * x.std(0)[:, None], weights[:-1], atol=1e-7)
    scores = (test_x - x.mean(0)) / x.std(0) @ weights[:-1] + weights[-1]
    assert probe.accuracy == (scores.argmax(1) == test_y).mean()


def test_it_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y, test_x, test_y = halves(2, apart=0.5)
    probe = linear_probe(x, y, test_x, test_y, l2=0.01, tolerance=1e-9)
    z, test_z = (x - x.mean(0)) / x.std(0), (test_x - x.mean(0)) / x.std(0)
    other = linear_model.LogisticRegression(C=1 / (0.01 * len(x)), tol=1e-10, max_iter=10000)
    other.fit(z, y)
    np.testing.assert_allclose(probe.weights.T * x.std(0), other.coef_, atol=1e-5)
    assert probe.accuracy == other.score(test_z, test_y)


def test_classes_apart_are_told_apart():
    x, y, test_x, test_y = halves(3, apart=50)
    probe = linear_probe(x, y, test_x, test_y)
    assert (probe.accuracy, probe.train_accuracy, probe.converged) == (1, 1, True)
    assert probe.loss < 0.05


@given(seeds, st.integers(2, 4))
def test_its_weights_give_what_it_reports(seed, classes):
    x, y, test_x, test_y = halves(seed, classes=classes)
    probe = linear_probe(x, y, test_x, test_y)
    scores = test_x @ probe.weights + probe.bias
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    assert probe.accuracy == (scores.argmax(1) == test_y).mean()
    assert probe.loss == pytest.approx(-log_p[np.arange(60), test_y].mean(), rel=1e-9)
    assert 0 <= probe.train_loss <= math.log(classes)  # which is what weights of 0 give
    assert probe.classes == tuple(range(classes))


@given(seeds, st.floats(-3, 3))
def test_scales_shifts_and_names_of_labels_do_not_matter(seed, log_scale):
    x, y, test_x, test_y = halves(seed)
    plain = linear_probe(x, y, test_x, test_y)
    names = np.array(["cow", "dog", "emu"])
    scale = 10.0 ** (log_scale * np.arange(4))
    other = linear_probe(x * scale - 7, names[y], test_x * scale - 7, list(names[test_y]))
    assert other.classes == ("cow", "dog", "emu")
    assert other.loss == pytest.approx(plain.loss, rel=1e-3)
    assert other.accuracy == pytest.approx(plain.accuracy, abs=0.02)


def test_it_is_the_same_every_time_and_in_blocks(monkeypatch):
    data = halves(4)
    first, again = linear_probe(*data, tolerance=1e-9), linear_probe(*data, tolerance=1e-9)
    np.testing.assert_array_equal(first.weights, again.weights)
    monkeypatch.setattr("minnet.measure.blocks.BLOCK", 4 * 7)
    monkeypatch.setattr("minnet.measure.probe.KEPT", 0)
    blocks = linear_probe(*data, tolerance=1e-9)
    np.testing.assert_allclose(blocks.weights, first.weights, rtol=1e-5, atol=1e-9)
    assert blocks.loss == pytest.approx(first.loss, rel=1e-6)


def test_constant_features_leave_the_frequencies():
    x, y = np.full((100, 2), 0.1), np.repeat(["often", "seldom"], [90, 10])
    probe = linear_probe(x, y, x, y, tolerance=1e-9)
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert probe.accuracy == 0.9
    assert probe.loss == pytest.approx(entropy, rel=1e-9)
    np.testing.assert_allclose(probe.weights, 0, atol=1e-12)


def test_float32_and_whole_features_will_do():
    x, y, test_x, test_y = halves(5)
    double = linear_probe(x, y, test_x, test_y)
    single = linear_probe(x.astype("f4"), y, test_x.astype("f4"), test_y)
    assert single.weights.dtype == np.float64
    assert single.loss == pytest.approx(double.loss, rel=1e-4)
    whole = linear_probe(
        np.eye(6, dtype=int)[np.arange(12) % 6], np.arange(12) % 2, np.eye(6), [0, 1] * 3
    )
    assert whole.accuracy == 1


def test_giving_up_is_said():
    with pytest.warns(mn.MinnetWarning, match="not converged after 2 steps"):
        probe = linear_probe(*halves(6), max_iterations=2)
    assert (probe.iterations, probe.converged) == (2, False)
    assert "converged=False" in repr(probe)


def test_few_examples_are_warned_of(random):
    x, y = random.normal(size=(20, 20)), np.arange(20) % 2
    with pytest.warns(mn.MinnetWarning, match="20 examples for 20 features"):
        probe = linear_probe(x, y, x, y, l2=1e-4)
    assert probe.train_accuracy == 1


X, Y = clusters(7, count=12, size=2)
MISSING = np.where(np.arange(24).reshape(12, 2) == 3, np.inf, X)
REFUSED = [
    ((X, Y, X[:, :1], Y), {}, mn.ShapeError, "2 features to fit but 1 in the test"),
    ((X[:, 0], Y, X, Y), {}, mn.ShapeError, r"expected .* got \(12,\)"),
    ((X, Y, X[:, None], Y), {}, mn.ShapeError, "test features"),
    ((MISSING, Y, X, Y), {}, mn.DataError, "features: 1 of 12 .* position 1"),
    ((X, Y, MISSING, Y), {}, mn.DataError, "test features: 1 of 12"),
    ((X, Y[:5], X, Y), {}, mn.DataError, "12 examples and 5 labels"),
    ((X, Y, X, Y[:5]), {}, mn.DataError, "12 test examples and 5 test labels"),
    ((X, Y * 0, X, Y * 0), {}, mn.DataError, "at least two classes, got only 0"),
    ((X, Y, X, Y + 1), {}, mn.DataError, "unknown labels: 3; the known ones: 0, 1, 2"),
    ((X, X[:, 0], X, X[:, 0]), {}, mn.DataError, "classes are strings or whole numbers"),
    ((X, np.eye(3)[Y], X, Y), {}, mn.DataError, r"expected a list of labels.*\(12, 3\)"),
    ((X, Y, X, Y), {"l2": 0}, mn.SpecError, "l2 must be a finite number above 0, got 0"),
    (
        (X, Y, X, Y),
        {"tolerance": np.nan},
        mn.SpecError,
        "tolerance must be a finite number above",
    ),
    ((X, Y, X, Y), {"max_iterations": 0}, mn.SpecError, "max_iterations must be a whole"),
]


@pytest.mark.parametrize(("data", "options", "error", "message"), REFUSED)
def test_unusable_data_and_options_are_refused(data, options, error, message):
    with pytest.raises(error, match=message):
        linear_probe(*data, **options)


# --- the optimizer below it -----------------------------------------------------------------


def rosenbrock(x):
    a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * x[:-1] * a - 2 * b
    gradient[1:] += 200 * a
    return float((100 * a**2 + b**2).sum()), gradient


def test_lbfgs_finds_the_end_of_a_bent_valley():
    end = minimize(rosenbrock, np.full(6, 0.5), tolerance=1e-8, max_iterations=500)
    assert end.converged
    np.testing.assert_allclose(end.point, 1, atol=1e-7)


@given(seeds, st.integers(1, 8))
def test_lbfgs_solves_linear_equations(seed, size):
    random = np.random.default_rng(seed)
    a = random.normal(size=(size, size))
    a = a @ a.T + 0.1 * np.eye(size)
    b = random.normal(size=size)
    end = minimize(lambda x: (float(x @ a @ x / 2 - b @ x), a @ x - b), np.zeros(size), 1e-9, 500)
    assert end.converged
    np.testing.assert_allclose(end.point, np.linalg.solve(a, b), atol=1e-7)


def test_lbfgs_steps_back_from_where_there_is_no_value():
    def barrier(x):
        inside = x[0] > 0
        return (
            x[0] - math.log(x[0]) if inside else math.nan
        ), 1 - 1 / x if inside else x * math.nan

    end = minimize(barrier, np.array([1e-2]), tolerance=1e-9, max_iterations=50)
    assert end.converged
    assert end.point == pytest.approx([1])


def test_lbfgs_ends_where_it_can_go_no_further():
    slope = np.array([1.0])
    end = minimize(lambda x: (-float(x[0]), -slope), np.zeros(1), 1e-9, 50)  # no minimum
    assert not end.converged
    kink = minimize(lambda x: (float(abs(x[0])), np.sign(x) + (x == 0)), np.array([0.0]), 1e-9, 50)
    assert (kink.iterations, kink.converged) == (0, False)
