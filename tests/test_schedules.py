"""Schedules and Progress: their values by their formulas, their ends, what is refused."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnet.checks import number
from minnet.errors import SpecError
from minnet.layers import Linear
from minnet.multipliers import multipliers
from minnet.net import Chain
from minnet.optim import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Polynomial,
    Progress,
    Schedule,
    StepDecay,
    WarmUp,
)


def at(fraction):
    return Progress(seconds=fraction, max_seconds=1.0)


# --- progress -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "fraction"),
    [
        (Progress(), 0.0),
        (Progress(step=5, round=3, seconds=9.0), 0.0),
        (Progress(step=5, steps=20), 0.25),
        (Progress(round=1, rounds=4), 0.25),
        (Progress(seconds=1.0, max_seconds=4.0), 0.25),
        (Progress(step=5, steps=20, round=1, rounds=2, seconds=1.0, max_seconds=10.0), 0.5),
        (Progress(step=30, steps=20), 1.0),
        (Progress(steps=0), 1.0),
        (Progress(step=6, round=1, rounds=4, steps_per_round=4), 0.375),
        (Progress(step=6, round=1, rounds=4), 0.25),
    ],
)
def test_fraction_is_the_furthest_along_of_the_limits(progress, fraction):
    assert progress.fraction == fraction


def test_another_step_leaves_all_else():
    progress = Progress(3, 40, 1, 5, 2.5, 60.0, 8)
    assert progress.at_step(4) == Progress(4, 40, 1, 5, 2.5, 60.0, 8)
    assert progress.step == 3


def test_rounds_done_counts_parts_where_it_can():
    assert Progress(step=6, round=1, steps_per_round=4).rounds_done == 1.5
    assert Progress(step=6, round=1).rounds_done == 1.0


# --- each schedule against its formula -------------------------------------------------------

FRACTIONS = st.floats(0, 1)
VALUES = st.floats(-10, 10).filter(lambda x: abs(x) > 1e-3)


@given(FRACTIONS, VALUES, VALUES, st.floats(0.1, 5))
def test_formulas(fraction, start, end, power):
    now = at(fraction)
    assert Constant(start)(now) == start
    assert Polynomial(start, end, power)(now) == pytest.approx(
        (start - end) * (1 - fraction) ** power + end, abs=1e-12
    )
    assert Cosine(start, end)(now) == pytest.approx(
        (start + end) / 2 + (start - end) / 2 * math.cos(math.pi * fraction), abs=1e-12
    )
    geometric = math.copysign(abs(start) ** (1 - fraction) * abs(end) ** fraction, start)
    assert Exponential(start, math.copysign(end, start))(now) == pytest.approx(geometric)


@given(FRACTIONS, st.floats(0.01, 0.99), VALUES)
def test_one_cycle_has_its_three_values_and_rises_once(fraction, rise, peak):
    schedule = OneCycle(peak, rise=rise)
    assert schedule(at(0)) == pytest.approx(peak / 25)
    assert schedule(at(rise)) == pytest.approx(peak)
    assert schedule(at(1)) == pytest.approx(peak / 250_000)
    before, after = (schedule(at(min(1, fraction + d))) / peak for d in (0, 1e-3))
    if fraction + 1e-3 <= rise:
        assert before <= after
    elif fraction >= rise:
        assert before >= after


def test_one_cycle_with_its_own_ends():
    schedule = OneCycle(1.0, start=0.5, end=0.25, rise=0.5)
    assert [schedule(at(f)) for f in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx(
        [0.5, 0.75, 1, 0.625, 0.25]
    )


@pytest.mark.parametrize(
    ("period", "moments", "values"),
    [
        ({"share": 0.1}, [at(0), at(0.05), at(0.1), at(0.3), at(0.95)], [0, 0, 1, 3, 9]),
        ({"share": 1 / 3}, [at(0.33), at(1 / 3), at(2 / 3), at(1)], [0, 1, 2, 3]),
        ({"rounds": 2}, [Progress(round=r) for r in (0, 1, 2, 3, 4)], [0, 0, 1, 1, 2]),
        ({"steps": 10}, [Progress(step=s) for s in (0, 9, 10, 25)], [0, 0, 1, 2]),
        ({"rounds": 0.5}, [Progress(step=s, steps_per_round=8) for s in (3, 4, 8)], [0, 1, 2]),
    ],
)
def test_step_decay_multiplies_after_each_period(period, moments, values):
    schedule = StepDecay(3.0, factor=0.5, **period)
    assert [schedule(moment) for moment in moments] == [3 * 0.5**n for n in values]


@pytest.mark.parametrize(
    ("period", "moments"),
    [
        ({"share": 0.4}, [at(0), at(0.1), at(0.2), at(0.4), at(0.9)]),
        ({"rounds": 4}, [Progress(round=r) for r in (0, 1, 2, 4, 9)]),
        ({"steps": 40}, [Progress(step=s) for s in (0, 10, 20, 40, 90)]),
    ],
)
def test_warm_up_rises_to_the_schedule_it_follows(period, moments):
    parts = [0.2, 0.4, 0.6, 1, 1]
    schedule = WarmUp(2.0, start=0.2, **period)
    assert [schedule(moment) for moment in moments] == pytest.approx([2 * p for p in parts])
    follows = WarmUp(lambda progress: -1.0, start=0.2, **period)
    assert [follows(moment) for moment in moments] == pytest.approx([-p for p in parts])


def test_warm_up_follows_where_the_schedule_is_by_then():
    schedule = WarmUp(Cosine(1.0), share=0.1)
    assert schedule(at(0.5)) == Cosine(1.0)(at(0.5))
    assert schedule(at(0.05)) == pytest.approx(Cosine(1.0)(at(0.05)) * 0.55)


# --- what they are ---------------------------------------------------------------------------

ALL = [
    Constant(2),
    StepDecay(1, rounds=3),
    Polynomial(1),
    Exponential(1, 0.1),
    Cosine(1),
    WarmUp(Cosine(1), share=0.1),
    OneCycle(1),
]


@pytest.mark.parametrize("schedule", ALL)
def test_schedules_are_values_and_work_as_multipliers(schedule):
    assert isinstance(schedule, Schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert eval(repr(schedule)) == schedule
    assert type(schedule(Progress(step=1, steps=3))) is float
    table = multipliers(Chain(Linear(2)), {0: schedule})
    moment = Progress(round=1, rounds=4)
    assert table.at(moment)[0, "bias"] == schedule(moment)


def test_numpy_numbers_become_python_floats():
    assert type(Cosine(np.float64(1), np.float32(0.5)).end) is float
    assert repr(Constant(np.float64(0.1))) == "Constant(value=0.1)"


BAD = [float("nan"), float("inf"), "1", None, True, 1j, [1]]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    "make",
    [
        Constant,
        Polynomial,
        Cosine,
        OneCycle,
        lambda bad: Exponential(bad, 1),
        lambda bad: Exponential(1, bad),
        lambda bad: Polynomial(1, end=bad),
        lambda bad: Polynomial(1, power=bad),
        lambda bad: Cosine(1, bad),
        lambda bad: StepDecay(bad, steps=1),
        lambda bad: StepDecay(1, factor=bad, steps=1),
        lambda bad: StepDecay(1, rounds=bad),
        lambda bad: WarmUp(bad, steps=1),
        lambda bad: WarmUp(1, share=bad),
        lambda bad: WarmUp(1, share=0.1, start=bad),
        lambda bad: OneCycle(1, rise=bad),
        lambda bad: OneCycle(1, bad if bad is not None else "none"),
        lambda bad: OneCycle(1, end=bad if bad is not None else "none"),
    ],
)
def test_options_that_are_no_numbers_are_refused(make, bad):
    with pytest.raises(SpecError):
        make(bad)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Exponential(1, 0),
        lambda: Exponential(-1, 1),
        lambda: Polynomial(1, power=0),
        lambda: StepDecay(1),
        lambda: StepDecay(1, rounds=1, steps=1),
        lambda: StepDecay(1, rounds=0),
        lambda: StepDecay(1, share=1.5),
        lambda: StepDecay(1, factor=0, steps=1),
        lambda: WarmUp(1),
        lambda: WarmUp(1, share=0.1, rounds=1),
        lambda: WarmUp(1, steps=-1),
        lambda: WarmUp(1, steps=1, start=1.5),
        lambda: WarmUp(Cosine, steps=1),
        lambda: OneCycle(1, rise=0),
        lambda: OneCycle(1, rise=1),
    ],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(SpecError):
        make()


def test_number_says_what_it_wants():
    assert type(number(np.int64(3), "it")) is float
    for bad in (0, 1, 2, "x", None):
        with pytest.raises(SpecError) as caught:
            number(bad, "the share", above=0, below=1)
        assert str(caught.value) == (
            f"the share must be a finite number above 0 and below 1, got {bad!r}"
        )
    with pytest.raises(SpecError, match="a finite number, got nan"):
        number(math.nan, "it")
    assert number(0, "it", least=0) == 0 and number(1, "it", most=1) == 1
    for bounds in ({"least": 1}, {"most": -1}):
        with pytest.raises(SpecError):
            number(0, "it", **bounds)
