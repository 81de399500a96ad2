"""Optimizers against plain transcriptions of their papers, and what multipliers do to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimizer_samples import BIAS, EVERY, NET, START, WEIGHT, draws, one

from minnet.optim import (
    SGD,
    Adam,
    Optimizer,
    Updater,
    updater,
)

# --- each against its paper, element by element in plain Python ----------------------------


def plain(rule):
    """Make of a generator of steps for one number a function of weights and gradients."""

    def trained(weight, gradients):
        ends = []
        for i, w in np.ndenumerate(weight):
            steps = rule(float(w))
            w = next(steps)
            for gradient in gradients:
                w = steps.send(float(gradient[i]))
            ends.append(w)
        return np.reshape(ends, weight.shape)

    return trained


@plain
def plain_sgd(w):
    while True:
        w -= 0.1 * (yield w)


@plain
def plain_momentum(w):
    v = 0.0
    while True:
        v = 0.9 * v + (yield w)
        w -= 0.1 * v


@plain
def plain_nesterov(w):
    v = 0.0
    while True:
        g = yield w
        v = 0.9 * v + g
        w -= 0.1 * (g + 0.9 * v)


def adam_of(decay):
    @plain
    def plain_adam(w):
        m = v = 0.0
        t = 0
        while True:
            g = yield w
            t += 1
            m = 0.9 * m + 0.1 * g
            v = 0.999 * v + 0.001 * g**2
            m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
            w = w - 0.01 * m_hat / (v_hat**0.5 + 1e-8) - 0.01 * decay * w

    return plain_adam


@plain
def plain_rmsprop(w):
    v = 0.0
    while True:
        g = yield w
        v = 0.9 * v + 0.1 * g**2
        w -= 0.01 * g / (v**0.5 + 1e-8)


@plain
def plain_signsgd(w):
    while True:
        g = yield w
        w -= 0.01 * ((g > 0) - (g < 0))


@plain
def plain_signum(w):
    m = 0.0
    while True:
        m = 0.9 * m + 0.1 * (yield w)
        w -= 0.01 * ((m > 0) - (m < 0))


PLAIN = [
    plain_sgd,
    plain_momentum,
    plain_nesterov,
    adam_of(0),
    adam_of(0.01),
    plain_rmsprop,
    plain_signsgd,
    plain_signum,
]
PAIRS = list(zip(EVERY, PLAIN, strict=True))


@pytest.mark.parametrize(("optimizer", "paper"), PAIRS, ids=map(str, EVERY))
def test_follows_its_paper(optimizer, paper, random):
    weight, gradients = draws(random)
    gradients[2][0] = 0.0
    np.testing.assert_allclose(one(optimizer, weight, gradients), paper(weight, gradients), 1e-12)


@pytest.mark.parametrize(("optimizer", "paper"), PAIRS, ids=map(str, EVERY))
def test_float32_stays_float32(optimizer, paper, random):
    weight, gradients = draws(random, dtype=np.float32)
    found = one(optimizer, weight, gradients)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, paper(weight, gradients), rtol=1e-3, atol=1e-5)
    state = optimizer.state(weight)
    direction = optimizer.direction(gradients[0], state, 1)
    assert {direction.dtype, *(kept.dtype for kept in state.values())} == {np.dtype("float32")}
    wide = [gradient.astype(np.float64) for gradient in gradients]
    np.testing.assert_array_equal(one(optimizer, weight, wide), found)


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_any_shape_and_layout(optimizer, shape, random):
    # The net's own shapes don't matter to the updater, only its paths.
    weight, gradients = draws(random, 3, shape)
    weight, gradients = np.asarray(weight), [np.asarray(g) for g in gradients]
    found = one(optimizer, weight, gradients)
    assert found.shape == shape
    flat = one(optimizer, weight.ravel(), [g.ravel() for g in gradients])
    np.testing.assert_array_equal(found.ravel(), flat)
    turned = one(optimizer, weight.T, [g.T for g in gradients])
    np.testing.assert_array_equal(turned.T, found)
    wide = np.zeros((*shape, 2))
    strided = wide[..., 0]
    strided[...] = weight
    work = Updater(optimizer, NET)
    work.use({WEIGHT: strided}, {WEIGHT: np.ones(shape) if shape else 1.0})
    for gradient in gradients:
        work.step({WEIGHT: gradient}, START)
    np.testing.assert_array_equal(wide[..., 0], found)
    assert not wide[..., 1].any()


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_working_in_pieces_changes_nothing(optimizer, random, monkeypatch):
    weight, gradients = draws(random, 4, (5, 7))
    multiplier = random.integers(-1, 2, size=(5, 7)).astype(float)
    whole = [one(optimizer, weight, gradients, m) for m in (0.3, multiplier)]
    monkeypatch.setattr(updater, "PIECE", 4)
    pieces = [one(optimizer, weight, gradients, m) for m in (0.3, multiplier)]
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_gradients_are_left_alone(optimizer, random):
    weight, gradients = draws(random, 3)
    kept = [gradient.copy() for gradient in gradients]
    for gradient in gradients:
        gradient.flags.writeable = False
    one(optimizer, weight, gradients)
    np.testing.assert_array_equal(gradients, kept)


# --- multipliers ----------------------------


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
@pytest.mark.parametrize("multiplier", [2.0, 0.25, -1.0, -4.0])
def test_a_multiplier_scales_the_update_exactly(optimizer, multiplier, random):
    _, gradients = draws(random)
    # From 0 by powers of 2 no rounding comes in between, and weight decay has a part only later.
    zero = np.zeros((3, 4))
    np.testing.assert_array_equal(
        one(optimizer, zero, gradients[:1], multiplier),
        multiplier * one(optimizer, zero, gradients[:1]),
    )
    if not optimizer.weight_decay:
        np.testing.assert_array_equal(
            one(optimizer, zero, gradients, multiplier),
            multiplier * one(optimizer, zero, gradients),
        )


@pytest.mark.parametrize("optimizer", EVERY, ids=str)
def test_an_elementwise_multiplier_is_as_many_numbers(optimizer, random):
    weight, gradients = draws(random)
    multiplier = np.array([[2.0], [-0.5], [1.0]])
    found = one(optimizer, weight, gradients, multiplier)
    for row, factor in enumerate(multiplier[:, 0]):
        expected = one(optimizer, weight, gradients, float(factor))[row]
        np.testing.assert_allclose(found[row], expected, rtol=1e-14)


SPECIAL = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, 3.4e38, 1.5]


@given(
    st.sampled_from(EVERY),
    st.lists(st.sampled_from(SPECIAL), min_size=6, max_size=6),
    st.lists(st.sampled_from(SPECIAL), min_size=6, max_size=6),
    st.lists(st.sampled_from([0.0, -0.0, 1.0, -0.5]), min_size=6, max_size=6),
    st.sampled_from([{}, {"l2": 0.1, "weight_decay": 0.1}, {"clip_norm": 1, "clip_value": 1}]),
)
def test_elements_at_zero_stay_the_same_bits(optimizer, weights, gradient, multiplier, options):
    optimizer = type(optimizer)(**{**vars(optimizer), **options})
    multiplier = np.array(multiplier)
    frozen = multiplier == 0
    # Anything may stand where it is frozen, and anything come as gradient there.
    weight = np.where(frozen, weights, 0.5).astype(np.float32)
    gradient = np.where(frozen, gradient, 0.25).astype(np.float32)
    found = one(optimizer, weight, [gradient, -gradient, gradient], multiplier)
    np.testing.assert_array_equal(found.view(np.uint32)[frozen], weight.view(np.uint32)[frozen])
    assert np.isfinite(found[~frozen]).all()
    assert (found[~frozen] != weight[~frozen]).all()


def test_elements_at_zero_are_not_even_rewritten():
    class Inverse(Optimizer):
        """Infinite where the gradient is 0."""

        def direction(self, gradient, state, count):
            with np.errstate(divide="ignore"):
                return 1 / gradient

    weight, frozen = np.array([-0.0, 3.0, 1.0]), np.array([-0.0, 0.0, 1.0])
    for optimizer in (Inverse(0.5), SGD(0.5)):
        with np.errstate(invalid="ignore"):  # infinity times 0, of which nothing comes
            found = one(optimizer, weight, [np.ones(3)], frozen)
        assert found.tobytes() == np.array([-0.0, 3.0, 0.5]).tobytes()


def test_negative_goes_uphill_and_decay_still_shrinks():
    weight, zero, slope = np.full((3, 4), 2.0), np.zeros((3, 4)), np.ones((3, 4))
    assert (one(SGD(0.1), weight, [slope], -1.0) == 2.1).all()
    shrunk = one(SGD(0.1, weight_decay=0.5), weight, [zero], -3.0)
    np.testing.assert_allclose(shrunk, 2 - 0.1 * 3 * 0.5 * 2)
    rows = np.array([[-3.0], [0.0], [1.0]])
    found = one(SGD(0.1, weight_decay=0.5), weight, [zero], rows)
    np.testing.assert_allclose(found[:, 0], [1.7, 2.0, 1.9])


class Counted(Adam):
    """Adam that counts the states it makes and the steps it takes."""

    def state(self, array):
        COUNTS.append(("state", array.shape))
        return super().state(array)

    def direction(self, gradient, state, count):
        COUNTS.append(("direction", count))
        return super().direction(gradient, state, count)


COUNTS = []


def test_what_thaws_starts_afresh_and_the_others_go_on(random):
    COUNTS.clear()
    work = Updater(Counted(0.1), NET)
    arrays = {WEIGHT: np.ones((3, 4)), BIAS: np.ones(4)}
    gradients = {path: random.normal(size=array.shape) for path, array in arrays.items()}
    work.use({BIAS: arrays[BIAS]}, {BIAS: 1.0})
    work.step(gradients, START)
    work.use(arrays, dict.fromkeys(arrays, 1.0))
    work.step(gradients, START)
    work.use({WEIGHT: arrays[WEIGHT]}, {WEIGHT: 1.0})
    work.step(gradients, START)
    work.use(arrays, dict.fromkeys(arrays, 2.0))
    work.step(gradients, START)
    assert COUNTS == [
        ("state", (4,)),
        ("direction", 1),
        ("state", (3, 4)),
        ("direction", 1),
        ("direction", 2),
        ("direction", 2),
        ("state", (4,)),
        ("direction", 3),
        ("direction", 1),
    ]


def test_fresh_state_means_the_values_of_a_first_step(random):
    weight, gradients = draws(random)
    work = Updater(Adam(0.1), NET)
    array = weight.copy()
    for gradient in gradients:
        work.use({}, {})
        work.use({WEIGHT: array}, {WEIGHT: 1.0})
        before = array.copy()
        work.step({WEIGHT: gradient}, START)
        np.testing.assert_array_equal(array, one(Adam(0.1), before, [gradient]))


def test_another_array_of_the_same_path_keeps_the_state(random):
    weight, gradients = draws(random)
    work = Updater(SGD(0.1, momentum=0.9), NET)
    array = weight
    for i, gradient in enumerate(gradients):
        array = np.array(array, order="FC"[i % 2])  # memory's order may change, too
        work.use({WEIGHT: array}, {WEIGHT: 1.0})
        work.step({WEIGHT: gradient}, START)
    np.testing.assert_array_equal(array, one(SGD(0.1, momentum=0.9), weight, gradients))


@pytest.mark.parametrize("zero", [0, 0.0, np.zeros((3, 4)), np.zeros(())])
def test_a_multiplier_of_zero_is_not_in_use(zero):
    COUNTS.clear()
    array = np.ones((3, 4))
    work = Updater(Counted(), NET)
    work.use({WEIGHT: array}, {WEIGHT: zero})
    work.step({}, START)
    assert COUNTS == [] and (array == 1).all()
