"""H-score, LogME, LEEP and NCE against closed forms and independent ways to compute them."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minnet as mn
from minnet.measure import h_score, leep, logme, nce

seeds = st.integers(0, 2**32 - 1)
classes = st.integers(2, 4)


def labelled(seed, count=60, size=5, classes=3, apart=1.0):
    """Features around one mean a class, on different scales, and the classes."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % classes)
    centres = apart * random.normal(size=(classes, size))
    return (centres[labels] + random.normal(size=(count, size))) * (1 + np.arange(size)) + 2, labels


def quiet(score, *given):
    """A score without the warning about few examples."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ examples for", mn.MinnetWarning)
        return score(*given)


# --- H-score --------------------------------------------------------------------------------


def class_means(x, labels):
    return np.stack([x[labels == label].mean(0) for label in labels])


def shrunk_covariance(x):
    """Ledoit and Wolf's estimate, by the loop of their lemma 3.4; and how much it shrinks."""
    z = x - x.mean(0)
    n, size = z.shape
    s = z.T @ z / n
    target = np.trace(s) / size * np.eye(size)
    error = sum(((np.outer(row, row) - s) ** 2).sum() for row in z) / n**2
    amount = min(error / ((s - target) ** 2).sum(), 1)
    return (1 - amount) * s + amount * target, amount


@given(seeds, classes, st.integers(2, 12))
def test_the_h_score_is_what_the_definition_says(seed, classes, size):
    x, y = labelled(seed, classes=classes, size=size)
    expected = np.trace(np.linalg.pinv(np.cov(x.T)) @ np.cov(class_means(x, y).T))
    assert h_score(x, y) == pytest.approx(expected, rel=1e-8)
    assert 0 <= h_score(x, y) <= classes - 1


@given(seeds, classes, st.integers(2, 80))
def test_the_shrunk_h_score_is_what_the_definition_says(seed, classes, size):
    x, y = labelled(seed, classes=classes, size=size)
    covariance, amount = shrunk_covariance(x)
    between = np.cov(class_means(x, y).T, bias=True)
    expected = (1 - amount) * np.trace(np.linalg.solve(covariance, between))
    assert h_score(x, y, shrinkage=True) == pytest.approx(expected, rel=1e-8)


def test_the_shrinkage_agrees_with_scikit_learn():
    covariance = pytest.importorskip("sklearn.covariance")
    for size in (1, 3, 80):
        x, y = labelled(1, size=size)
        fit = covariance.LedoitWolf().fit(x)
        between = np.cov(class_means(x, y).T, bias=True).reshape(size, size)
        expected = (1 - fit.shrinkage_) * np.trace(np.linalg.solve(fit.covariance_, between))
        assert h_score(x, y, shrinkage=True) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_one_feature_a_class_gives_the_highest_h_score(classes):
    y = np.arange(50) % classes
    assert h_score(np.eye(classes)[y], y) == pytest.approx(classes - 1, rel=1e-12)


def test_of_one_feature_the_h_score_is_the_correlation_ratio(random):
    x, y = labelled(2, size=1)
    expected = class_means(x, y).var() / x.var()
    assert h_score(x, y) == pytest.approx(expected, rel=1e-12)
    assert h_score(x, y, shrinkage=True) == pytest.approx(expected, rel=1e-12)


@given(seeds)
def test_no_invertible_map_changes_the_h_score_and_a_repeated_feature_adds_nothing(seed):
    x, y = labelled(seed)
    random = np.random.default_rng(seed)
    mapped = x @ (np.linalg.qr(random.normal(size=(5, 5)))[0] * [0.1, 1, 3, 10, 50]) - 4
    assert h_score(mapped, y) == pytest.approx(h_score(x, y), rel=1e-7)
    more = np.column_stack([x, x[:, :2] @ [1, 2], np.full(len(x), 0.1)])
    assert h_score(more, y) == pytest.approx(h_score(x, y), rel=1e-7)


def test_features_unrelated_to_the_labels_score_low(random):
    x, y = random.normal(size=(5000, 4)), random.integers(3, size=5000)
    # N H is about chi-squared with 4 x 2 degrees of freedom
    assert 5000 * h_score(x, y) < 8 + 5 * math.sqrt(16)


def test_with_few_examples_the_h_score_says_nothing_and_says_so(random):
    y = np.arange(12) % 3
    for _ in range(3):
        with pytest.warns(mn.MinnetWarning, match="12 examples for 30 features.*shrinkage"):
            assert h_score(random.normal(size=(12, 30)), y) == pytest.approx(2)
    x = random.normal(size=(12, 30))
    assert h_score(x, y, shrinkage=True) < h_score(x + 3 * np.eye(3, 30)[y], y, shrinkage=True)


# --- LogME ----------------------------------------------------------------------------------


def log_evidence(x, y, log_alpha, log_beta):
    """log N(y; 0, F F^T / alpha + I / beta)."""
    covariance = x @ x.T * math.exp(-log_alpha) + np.eye(len(x)) * math.exp(-log_beta)
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return -(log_determinant + y @ np.linalg.solve(covariance, y)) / 2


def reference_logme(x, labels):
    """The highest evidence over log beta at many ratios, then near the best of them."""

    def at_ratio(y, log_ratio):
        covariance = x @ x.T * math.exp(-log_ratio) + np.eye(len(x))
        log_beta = math.log(len(y) / (y @ np.linalg.solve(covariance, y)))  # as of any variance
        return log_evidence(x, y, log_ratio + log_beta, log_beta)

    total = 0.0
    for label in set(labels):
        y = (labels == label).astype(float)
        rough = max(np.linspace(-25, 25, 201), key=lambda r: at_ratio(y, r))
        total += max(at_ratio(y, r) for r in np.linspace(rough - 0.25, rough + 0.25, 201))
    return total / len(set(labels)) / len(labels)


def fixed_point_logme(x, labels):
    """The iteration of the paper's algorithm, without its singular value decomposition."""
    total = 0.0
    for label in set(labels):
        y = (labels == label).astype(float)
        alpha = beta = 1.0
        for _ in range(1000):
            a = alpha * np.eye(x.shape[1]) + beta * x.T @ x
            m = beta * np.linalg.solve(a, x.T @ y)
            gamma = beta * np.trace(np.linalg.solve(a, x.T @ x))
            alpha, beta = gamma / (m @ m), (len(y) - gamma) / ((x @ m - y) ** 2).sum()
        total += log_evidence(x, y, math.log(alpha), math.log(beta))
    return total / len(set(labels)) / len(labels)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_logme_is_where_the_papers_iteration_ends(seed):
    x, y = labelled(seed, count=50, apart=2)
    assert logme(x, y) == pytest.approx(fixed_point_logme(x, y), abs=1e-9)


@given(seeds, classes, st.integers(1, 20))
def test_no_other_alpha_and_beta_nearby_has_more_evidence(seed, classes, size):
    x, y = labelled(seed, count=24, classes=classes, size=size)
    random = np.random.default_rng(seed)
    value = quiet(logme, x, y)
    for log_alpha, log_beta in random.uniform(-6, 6, size=(10, 2)):
        each = [
            log_evidence(x, (y == k).astype(float), log_alpha, log_beta) for k in range(classes)
        ]
        assert np.mean(each) / 24 <= value + 1e-6


@given(seeds, st.floats(-100, 100))
def test_rotations_and_scales_do_not_change_logme(seed, log_scale):
    x, y = labelled(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    moved = 10**log_scale * x @ turn
    assert logme(moved, y) == pytest.approx(logme(x, y), abs=1e-6)


def test_logme_of_features_that_say_nothing_is_that_of_the_mean_square():
    x = np.tile([[1.0], [-1.0]], (10, 1))
    y = np.repeat([0, 1], 10)  # both classes at right angles to x
    # y ~ N(0, I / beta) with beta = N / |y|^2 = 2
    assert logme(x, y) == pytest.approx(math.log(2 / (2 * math.pi)) / 2 - 0.5, abs=1e-9)


def test_labels_among_the_features_make_logme_infinite(random):
    y = np.arange(30) % 3
    x = np.column_stack([random.normal(size=(30, 4)), np.eye(3)[y]])
    with pytest.warns(mn.MinnetWarning, match="exactly: LogME is infinite"):
        assert logme(x.astype(np.float32), y) == math.inf


def test_logme_warns_where_examples_are_few(random):
    with pytest.warns(mn.MinnetWarning, match="8 examples for 8 features"):
        assert logme(random.normal(size=(8, 8)), np.arange(8) % 2) < 0


# --- LEEP and NCE ---------------------------------------------------------------------------


def reference_leep(theta, labels):
    n, sources = len(theta), len(theta[0])
    joint = {(y, z): 0.0 for y in set(labels) for z in range(sources)}
    for row, y in zip(theta, labels, strict=True):
        for z in range(sources):
            joint[y, z] += row[z] / n
    total = 0.0
    for row, y in zip(theta, labels, strict=True):
        chance = 0.0
        for z in range(sources):
            marginal = sum(joint[other, z] for other in set(labels))
            chance += joint[y, z] / marginal * row[z] if marginal else 0
        total += math.log(chance)
    return total / n


def reference_nce(source, labels):
    pairs = list(zip(source, labels, strict=True))
    return sum(math.log(pairs.count(pair) / source.count(pair[0])) for pair in pairs) / len(pairs)


@given(seeds, classes, st.integers(1, 6))
def test_leep_is_what_the_definition_says(seed, classes, sources):
    random = np.random.default_rng(seed)
    theta = random.dirichlet(np.full(sources, 0.3), size=20)
    y = random.permutation(np.arange(20) % classes)
    assert leep(theta, y) == pytest.approx(reference_leep(theta, y.tolist()), rel=1e-9)
    assert -math.log(classes) - 1e-9 <= leep(theta, y) <= 0
    order, flip = random.permutation(20), random.permutation(sources)
    assert leep(theta[order][:, flip], y[order]) == pytest.approx(leep(theta, y), rel=1e-9)


@given(seeds, classes, st.integers(1, 6))
def test_nce_is_what_the_definition_says(seed, classes, sources):
    random = np.random.default_rng(seed)
    z, y = random.integers(sources, size=20), random.permutation(np.arange(20) % classes)
    assert nce(z, y) == pytest.approx(reference_nce(z.tolist(), y.tolist()), rel=1e-9, abs=1e-12)
    assert -math.log(classes) - 1e-9 <= nce(z, y) <= 0


@given(seeds, classes)
def test_of_a_net_that_is_sure_leep_is_nce(seed, classes):
    random = np.random.default_rng(seed)
    z, y = random.integers(4, size=30), random.permutation(np.arange(30) % classes)
    assert leep(np.eye(4)[z], y) == pytest.approx(nce(z, y), abs=1e-12)


@given(seeds, classes)
def test_where_the_source_settles_the_label_both_are_zero(seed, classes):
    random = np.random.default_rng(seed)
    z = np.r_[np.arange(6), random.integers(6, size=20)]
    y = z % classes
    names = np.array(["ant", "bee", "cat", "dog", "eel", "fly"])
    assert nce(names[z].tolist(), y) == 0
    assert leep(np.eye(6, dtype=np.float32)[z], y) == 0


def test_where_the_source_says_nothing_both_are_minus_the_entropy():
    y = np.repeat([0, 1], [30, 10])
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert leep(np.full((40, 5), 0.2), y) == pytest.approx(-entropy, rel=1e-12)
    assert nce(np.zeros(40, dtype=int), y) == pytest.approx(-entropy, rel=1e-12)


def test_more_source_classes_than_examples_are_warned_of():
    y = np.arange(6) % 2
    with pytest.warns(mn.MinnetWarning, match="6 examples for 9 features"):
        leep(np.full((6, 9), 1 / 9), y)
    with pytest.warns(mn.MinnetWarning, match="6 examples for 6"):
        assert nce(range(6), y) == 0


# --- refusals -------------------------------------------------------------------------------

X, Y = labelled(9, count=12, size=3)
MISSING = np.where(np.arange(36).reshape(12, 3) == 7, np.nan, X)
P = np.full((12, 3), 1 / 3)

BAD_FEATURES = [
    (X[0], Y, mn.ShapeError, r"expected the shape \(examples, features\), got \(3,\)"),
    (X[None], Y, mn.ShapeError, "pools or flattens maps"),
    (MISSING, Y, mn.DataError, "1 of 12 examples have infinite or missing .* position 2"),
    (X.astype("U"), Y, mn.DataError, "expected real numbers, got an array of <U"),
    (X[:0], Y[:0], mn.DataError, "at least one example"),
    (X, Y[:5], mn.DataError, "12 examples and 5 labels"),
    (X, Y * 0, mn.DataError, "at least two classes, got only 0"),
    (X, Y + 0.5, mn.DataError, "classes are strings or whole numbers"),
    (X, np.eye(3)[Y], mn.DataError, "expected a list of labels"),
]


@pytest.mark.parametrize("score", [h_score, logme, leep])
@pytest.mark.parametrize(("x", "y", "error", "message"), BAD_FEATURES)
def test_unusable_features_and_labels_are_refused(score, x, y, error, message):
    x = np.abs(x) / np.abs(x).sum(-1, keepdims=True) if score is leep and x.dtype == float else x
    with pytest.raises(error, match=message):
        score(x, y)


def test_features_without_anything_in_them_are_refused():
    with pytest.raises(mn.DataError, match="the same for every example"):
        h_score(X * 0 + 0.1, Y)
    with pytest.raises(mn.DataError, match="all features are 0"):
        logme(X * 0, Y)
    with pytest.raises(mn.SpecError, match="shrinkage must be True or False, got 1"):
        h_score(X, Y, shrinkage=1)


@pytest.mark.parametrize("bad", [P * 1.1, P - [0.4, 0, -0.4], np.log(P)])
def test_what_are_no_probabilities_is_refused(bad):
    with pytest.raises(mn.DataError, match=r"source probabilities: expected rows .* add up to 1"):
        leep(bad, Y)


def test_source_labels_that_do_not_fit_are_refused():
    with pytest.raises(mn.DataError, match="11 examples and 12 labels"):
        nce(Y[:11], Y)
    with pytest.raises(mn.DataError, match="at least two classes, got only 'a'"):
        nce(Y, ["a"] * 12)
    with pytest.raises(mn.DataError, match="expected a list of labels"):
        nce(P, Y)
    with pytest.raises(mn.DataError, match="at least one label"):
        nce([], [])
