"""Optimizers: learning rates, decay, clipping, and what is refused."""

import pickle

import numpy as np
import pytest
from optimizer_samples import BIAS, EVERY, LAST, NET, START, WEIGHT, draws, one, run

from minnet.errors import MinnetWarning, NonFiniteError, PathError, ShapeError, SpecError
from minnet.layers import BatchNorm, Linear
from minnet.net import Chain
from minnet.optim import (
    SGD,
    Adam,
    AdamW,
    Cosine,
    Optimizer,
    RMSProp,
    SignSGD,
    Updater,
    updater,
)

# --- learning rate, decay, clipping ----------------------------


def test_the_learning_rate_may_follow_progress():
    seen = []

    def rate(progress):
        seen.append(progress)
        return 1.0 if progress.step == 0 else 0.0

    slope = np.ones((3, 4))
    assert (one(SGD(rate), slope, [slope, slope, slope]) == 0).all()
    assert [p.step for p in seen] == [0, 1, 2]
    found = one(SGD(Cosine(1.0, 0.0)), slope, [slope] * 2)
    np.testing.assert_allclose(found, 1 - (1 + 0.5))


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), None, "fast"])
def test_a_schedule_that_gives_no_learning_rate_is_refused(bad):
    with pytest.raises(SpecError, match="the learning rate at Progress"):
        one(SGD(lambda progress: bad), np.ones((3, 4)), [np.ones((3, 4))])


@pytest.mark.parametrize("what", ["weight_decay", "l2"])
def test_decay_and_l2_per_pattern(what):
    arrays = {path: np.full(array.shape, 2.0) for path, array in NET.arrays().items()}
    zero = {path: np.zeros(array.shape) for path, array in arrays.items()}
    rules = {"*.bias": None, "last": 0.25, Linear: 0.5}
    found = run(SGD(0.1, **{what: rules}), arrays, [zero])
    factors = {path: array.ravel()[0] / 2 for path, array in found.items()}
    assert factors == pytest.approx({WEIGHT: 0.95, BIAS: 1, LAST: 0.975, ("last", "bias"): 1})
    only = run(SGD(0.1, **{what: {"last": 0.25}}), arrays, [zero])
    assert (only[WEIGHT] == 2).all() and (only[LAST] < 2).all()


def test_decoupled_decay_is_not_in_the_gradient_and_l2_is(random):
    weight, gradients = draws(random)
    momentum = {"learning_rate": 0.1, "momentum": 0.9}
    decayed, summed = weight.copy(), weight.copy()
    v_decayed, v_summed = np.zeros((3, 4)), np.zeros((3, 4))
    for g in gradients:
        v_decayed = 0.9 * v_decayed + g
        decayed = decayed - 0.1 * v_decayed - 0.1 * 0.3 * decayed
        v_summed = 0.9 * v_summed + g + 0.3 * summed
        summed = summed - 0.1 * v_summed
    np.testing.assert_allclose(one(SGD(**momentum, weight_decay=0.3), weight, gradients), decayed)
    np.testing.assert_allclose(one(SGD(**momentum, l2=0.3), weight, gradients), summed)


@pytest.mark.parametrize("what", ["weight_decay", "l2"])
def test_decay_rules_are_checked_like_all_rules(what):
    for bad in ({"lsat": 1}, {0: -1}, {0: "much"}, {0: np.ones(4)}, {0: Cosine(1)}, Cosine(1)):
        with pytest.raises(SpecError):
            Updater(SGD(0.1, **{what: bad}), NET)
    with pytest.warns(MinnetWarning, match="never act"):
        Updater(SGD(0.1, **{what: {...: 1, 0: 0}}), NET)
    old = Chain(Linear(2), input=(3,))
    rules = {old[0]: 0.5}
    Updater(SGD(0.1, **{what: rules}), old.initialize(), given=old)
    with pytest.raises(SpecError, match="names nothing"):
        Updater(SGD(0.1, **{what: rules}), old.initialize())


def test_clip_value_cuts_each_element():
    gradient = np.array([-5.0, -1.0, 0.5, 3.0])
    found = run(SGD(1.0, clip_value=1), {BIAS: np.zeros(4)}, [{BIAS: gradient}])[BIAS]
    np.testing.assert_array_equal(found, [1.0, 1.0, -0.5, -1.0])


def test_clip_norm_sees_all_trained_arrays_and_no_other(monkeypatch):
    monkeypatch.setattr(updater, "PIECE", 5)
    arrays = {WEIGHT: np.zeros((3, 4)), BIAS: np.zeros(4)}
    gradients = {
        WEIGHT: np.full((3, 4), 3.0),
        BIAS: np.full(4, 4.0),
        LAST: np.full((4, 2), 1e9),
    }
    length = np.sqrt(12 * 9 + 4 * 16)
    found = run(SGD(1.0, clip_norm=1), arrays, [gradients])
    np.testing.assert_allclose(found[WEIGHT], -3 / length)
    np.testing.assert_allclose(found[BIAS], -4 / length)
    # Frozen by a number, or some of its elements by an array: not in the length either.
    rows = np.array([[1.0], [0.0], [0.0]])
    found = run(SGD(1.0, clip_norm=1), arrays, [gradients], {WEIGHT: rows, BIAS: 0.0})
    np.testing.assert_allclose(found[WEIGHT], [[-0.5] * 4, [0] * 4, [0] * 4])
    assert not found[BIAS].any()
    # The multiplier scales the update and not the gradient: the length is the same.
    found = run(SGD(1.0, clip_norm=1), arrays, [gradients], 10.0)
    np.testing.assert_allclose(found[WEIGHT], -30 / length)
    # A gradient shorter than that is left as it is; zeros too.
    found = run(
        SGD(1.0, clip_norm=100), arrays, [gradients, {p: g * 0 for p, g in gradients.items()}]
    )
    np.testing.assert_array_equal(found[WEIGHT], -gradients[WEIGHT])


def test_clipping_comes_before_l2():
    gradient = {BIAS: np.full(4, 50.0)}
    found = run(SGD(1.0, clip_norm=2, l2=0.5), {BIAS: np.ones(4)}, [gradient])[BIAS]
    np.testing.assert_allclose(found, 1 - (1 + 0.5))


def test_the_length_of_large_float32_gradients_does_not_overflow():
    gradient = {BIAS: np.full(4, 1e30, np.float32)}
    found = run(SGD(1.0, clip_norm=2), {BIAS: np.zeros(4, np.float32)}, [gradient])[BIAS]
    np.testing.assert_allclose(found, -1.0)


def test_a_length_that_is_not_finite_stops_before_anything_is_changed():
    arrays = {WEIGHT: np.ones((3, 4)), BIAS: np.ones(4)}
    work = Updater(SGD(0.1, clip_norm=1), NET)
    work.use(arrays, dict.fromkeys(arrays, 1.0))
    with pytest.raises(NonFiniteError) as caught:
        work.step({WEIGHT: np.ones((3, 4)), BIAS: np.array([1, np.nan, 1, 1])}, START)
    assert caught.value.path == BIAS
    assert (arrays[WEIGHT] == 1).all() and (arrays[BIAS] == 1).all()


# --- what is refused ----------------------------


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSProp, SignSGD])
@pytest.mark.parametrize(
    ("option", "bad"),
    [
        (option, bad)
        for option in ("learning_rate", "weight_decay", "l2", "clip_value", "clip_norm")
        for bad in (-0.1, float("nan"), float("inf"), True, 1j)
    ]
    + [("learning_rate", bad) for bad in (0, "0.1", None, Cosine, [0.1])]
    + [("clip_value", 0), ("clip_norm", 0), ("clip_norm", "1")],
)
def test_bad_options_of_all_are_refused(kind, option, bad):
    with pytest.raises(SpecError, match=option):
        kind(**{option: bad})


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (SGD, "momentum"),
        (SignSGD, "momentum"),
        (Adam, "beta1"),
        (AdamW, "beta2"),
        (RMSProp, "beta"),
    ],
)
def test_shares_out_of_range_are_refused(kind, option):
    for bad in (-0.1, 1, 1.5, float("nan"), None, "0.9", True):
        with pytest.raises(SpecError, match=option):
            kind(**{option: bad})


def test_other_bad_options_are_refused():
    for kind in (Adam, RMSProp):
        for bad in (0, -1e-8, None):
            with pytest.raises(SpecError, match="epsilon"):
                kind(epsilon=bad)
    with pytest.raises(SpecError, match="needs a momentum"):
        SGD(nesterov=True)
    with pytest.raises(SpecError, match="True or False"):
        SGD(momentum=0.9, nesterov=1)
    for bad in ("sgd", SGD, None):
        with pytest.raises(SpecError, match="expected an optimizer"):
            Updater(bad, NET)


def test_bad_use_is_refused():
    work = Updater(SGD(0.1), NET)
    array = np.ones((3, 4))
    for path in ((0, "kernel"), (1, "weight"), ("encoder", "weight")):
        with pytest.raises(PathError, match="no array of this path"):
            work.use({path: array}, {path: 1.0})
    with pytest.raises(PathError, match=r"^0\.weight: there is no multiplier"):
        work.use({WEIGHT: array}, {BIAS: 1.0})
    with pytest.raises(ShapeError, match=r"^0\.weight: .*\(5,\).*\(3, 4\)"):
        work.use({WEIGHT: array}, {WEIGHT: np.ones(5)})
    for bad in (float("nan"), "1", True):
        with pytest.raises(SpecError):
            work.use({WEIGHT: array}, {WEIGHT: bad})
    frozen = array.copy()
    frozen.flags.writeable = False
    with pytest.raises(SpecError, match="read-only"):
        work.use({WEIGHT: frozen}, {WEIGHT: 1.0})
    state = Chain(BatchNorm(), input=(3,)).initialize()
    with pytest.raises(PathError, match="that can be trained"):
        Updater(SGD(0.1), state).use({(0, "running_mean"): np.ones(3)}, {(0, "running_mean"): 1.0})
    work.use({WEIGHT: array}, {WEIGHT: 1.0})
    with pytest.raises(ShapeError, match=r"had shape \(3, 4\) and now has \(3, 5\)"):
        work.use({WEIGHT: np.ones((3, 5))}, {WEIGHT: 1.0})


def test_bad_gradients_are_refused_before_anything_is_changed():
    arrays = {WEIGHT: np.ones((3, 4)), BIAS: np.ones(4)}
    work = Updater(SGD(0.1), NET)
    work.use(arrays, dict.fromkeys(arrays, 1.0))
    with pytest.raises(PathError, match=r"^0\.bias: there is no gradient"):
        work.step({WEIGHT: np.ones((3, 4))}, START)
    with pytest.raises(ShapeError, match=r"^0\.bias: its gradient has shape \(5,\)"):
        work.step({WEIGHT: np.ones((3, 4)), BIAS: np.ones(5)}, START)
    assert (arrays[WEIGHT] == 1).all()


# --- what they are ----------------------------


def test_optimizers_are_values_that_print_what_was_chosen():
    assert repr(SGD()) == "SGD(learning_rate=0.01)"
    assert repr(Adam(np.float64(0.1), beta2=0.99)) == "Adam(learning_rate=0.1, beta2=0.99)"
    assert repr(AdamW()) == "AdamW(learning_rate=0.001)"
    assert repr(AdamW(weight_decay={"*.bias": 0})) == (
        "AdamW(learning_rate=0.001, weight_decay={'*.bias': 0})"
    )
    assert repr(SGD(Cosine(0.1), 0.9, True, clip_norm=1)) == (
        "SGD(learning_rate=Cosine(start=0.1, end=0.0), clip_norm=1.0, momentum=0.9, nesterov=True)"
    )
    for optimizer in EVERY:
        assert pickle.loads(pickle.dumps(optimizer)) == optimizer
        assert eval(repr(optimizer)) == optimizer
        with pytest.raises(AttributeError):
            optimizer.learning_rate = 1.0


def test_an_optimizer_of_ones_own():
    class Fixed(Optimizer):
        """Always one down."""

        def direction(self, gradient, state, count):
            return np.ones_like(gradient)

    assert (one(Fixed(0.5), np.ones((3, 4)), [np.zeros((3, 4))]) == 0.5).all()
