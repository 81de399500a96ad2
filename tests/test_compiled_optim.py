"""An optimizer's step by a compiled kernel is what the Updater makes of it with NumPy."""

from typing import Any

import numpy as np
import pytest
from compiled_samples import off, on, same
from hypothesis import given
from hypothesis import strategies as st
from op_checks import seeds
from optimizer_samples import BIAS, LAST, NET, WEIGHT

from minnet import optim
from minnet.multipliers import Rules
from minnet.optim import SGD, Adam, AdamW, Optimizer, Progress, RMSProp, SignSGD, Updater
from minnet.optim.flat import packed

pytest.importorskip("numba", reason="the kernels are compiled by Numba")

SHAPES = {WEIGHT: (30, 4), BIAS: (4,), LAST: (4, 2)}
AMOUNT: st.SearchStrategy[Rules] = st.sampled_from([0.0, 0.1, {"*.weight": 0.2}])
OPTIONS = st.fixed_dictionaries(
    {"l2": AMOUNT, "weight_decay": AMOUNT},
    optional={
        "clip_norm": st.sampled_from([0.5, 1e6]),
        "clip_value": st.sampled_from([0.3, 1e6]),
        "learning_rate": st.just(lambda progress: 0.1 / (1 + progress.step)),
    },
)
KINDS = st.sampled_from(
    [
        (SGD, {"learning_rate": 0.1}),
        (SGD, {"learning_rate": 0.1, "momentum": 0.9}),
        (SGD, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        (Adam, {"learning_rate": 0.01}),
        (Adam, {"learning_rate": 0.1, "beta1": 0.0, "beta2": 0.5, "epsilon": 0.1}),
        (AdamW, {"learning_rate": 0.01}),
    ]
)
OPTIMIZERS = st.builds(lambda kind, options: kind[0](**kind[1] | options), KINDS, OPTIONS)
MULTIPLIERS = st.sampled_from([1.0, 0.5, -1.0, -2.0])


class Run:
    """An Updater, the arrays that it updates, and those it writes to, which change places."""

    def __init__(self, optimizer: Optimizer, arrays: Any, multipliers: Any) -> None:
        self.work = Updater(optimizer, NET)
        self.now, self.next = packed(arrays), packed(arrays)
        self.work.use(self.now, multipliers, into=self.next)
        self.count = 0

    def step(self, gradients: Any) -> None:
        """Take a step, after which `now` holds the new values and `next` the earlier ones."""
        self.work.step(gradients, Progress(step=self.count))
        self.count += 1
        self.now, self.next = self.next, self.now

    def state(self) -> dict[Any, Any]:
        """Return what is remembered of each array."""
        return {path: dict(one.state) for path, one in self.work._trained.items()}


def draws(seed: int, dtype: str, steps: int = 4) -> tuple[Any, list[Any]]:
    """Return arrays and gradients by path."""
    random = np.random.default_rng(seed)
    arrays, *gradients = (
        {path: random.normal(size=shape).astype(dtype) for path, shape in SHAPES.items()}
        for _ in range(steps + 1)
    )
    return arrays, gradients


@given(
    OPTIMIZERS,
    st.sampled_from(["float32", "float64"]),
    st.fixed_dictionaries(dict.fromkeys(SHAPES, MULTIPLIERS)) | st.just(dict.fromkeys(SHAPES, 1.0)),
    st.sampled_from([16, optim.updater.PIECE]),
    seeds,
)
def test_step_by_step(
    optimizer: Optimizer, dtype: str, multipliers: Any, piece: int, seed: int
) -> None:
    arrays, gradients = draws(seed, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optim.updater, "PIECE", piece)
        fast, plain = (Run(optimizer, arrays, multipliers) for _ in range(2))
    for found in gradients:
        before = {path: array.copy() for path, array in fast.now.items()}
        kept = {path: gradient.copy() for path, gradient in found.items()}
        with on() as answers:
            fast.step(found)
        assert all(answers) and answers
        with off():
            plain.step(found)
        for path in SHAPES:
            same(fast.now[path], plain.now[path])
            np.testing.assert_array_equal(fast.next[path], before[path])
            np.testing.assert_array_equal(found[path], kept[path])
            for name, array in plain.state()[path].items():
                same(fast.state()[path][name], array)


@given(OPTIMIZERS, st.sampled_from([1, 7, 50]), seeds)
def test_working_in_pieces_changes_no_bit(optimizer: Optimizer, piece: int, seed: int) -> None:
    arrays, gradients = draws(seed, "float32")
    whole = Run(optimizer, arrays, dict.fromkeys(SHAPES, 1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optim.updater, "PIECE", piece)
        parts = Run(optimizer, arrays, dict.fromkeys(SHAPES, 1.0))
    with on() as answers:
        for found in gradients:
            whole.step(found)
            parts.step(found)
    assert all(answers) and answers
    for path, array in whole.now.items():
        assert array.tobytes() == parts.now[path].tobytes()


def test_gradients_of_another_layout_or_dtype(random: np.random.Generator) -> None:
    arrays, gradients = draws(0, "float32", steps=3)
    for other in (lambda g: np.asfortranarray(g), lambda g: g.astype("float64")):
        fast, usual = (Run(Adam(0.01), arrays, dict.fromkeys(SHAPES, 1.0)) for _ in range(2))
        for found in gradients:
            with on():
                fast.step({path: other(gradient) for path, gradient in found.items()})
                usual.step(found)
        for path in SHAPES:
            np.testing.assert_array_equal(fast.now[path], usual.now[path])


def test_kernels_may_take_over_at_any_step() -> None:
    arrays, gradients = draws(1, "float64", steps=6)
    mixed, plain = (
        Run(AdamW(0.01, clip_norm=1.0), arrays, dict.fromkeys(SHAPES, -0.5)) for _ in range(2)
    )
    for step, found in enumerate(gradients):
        with on() if step % 2 else off():
            mixed.step(found)
        with off():
            plain.step(found)
    for path in SHAPES:
        same(mixed.now[path], plain.now[path])


@given(KINDS, st.sampled_from([0.0, 0.1]), st.sampled_from([np.inf, -np.inf, np.nan]))
def test_infinite_weights_come_into_nothing_but_decay(
    kind: tuple[type[Optimizer], dict[str, Any]], amount: float, number: float
) -> None:
    arrays, gradients = draws(0, "float32")
    arrays[WEIGHT][3, 1] = number
    optimizer = kind[0](**kind[1] | {"l2": amount, "weight_decay": amount})
    fast, plain = (Run(optimizer, arrays, dict.fromkeys(SHAPES, 1.0)) for _ in range(2))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        for found in gradients:
            with on():
                fast.step(found)
            with off():
                plain.step(found)
    for path, state in plain.state().items():
        same(fast.now[path], plain.now[path])
        for name, array in state.items():
            same(fast.state()[path][name], array)


# --- what is left to NumPy --------------------------------------------------------------------


class OfOnesOwn(Adam):
    """An optimizer that a user made of another."""


def pieces(work: Updater) -> list[bool]:
    """Return, for every piece, whether a kernel would make its step."""
    with on():
        every = [piece for stretch in work._stretches for piece in stretch.pieces]
        return [optim.compiled.takes(work.optimizer, piece, piece.array) for piece in every]


@pytest.mark.parametrize("optimizer", [SGD(), Adam(), AdamW()], ids=str)
def test_known_optimizers_are_taken(optimizer: Optimizer) -> None:
    arrays, _ = draws(0, "float32")
    assert set(pieces(Run(optimizer, arrays, dict.fromkeys(SHAPES, 0.5)).work)) == {True}


@pytest.mark.parametrize("optimizer", [RMSProp(), SignSGD(), OfOnesOwn()], ids=str)
def test_other_optimizers_are_not(optimizer: Optimizer) -> None:
    arrays, _ = draws(0, "float32")
    assert set(pieces(Run(optimizer, arrays, dict.fromkeys(SHAPES, 1.0)).work)) == {False}


def test_neither_are_arrays_updated_in_place_nor_any_of_float16() -> None:
    arrays, _ = draws(0, "float32")
    work = Updater(Adam(), NET)
    work.use(arrays, dict.fromkeys(SHAPES, 1.0))
    assert set(pieces(work)) == {False}
    half = {path: array.astype("float16") for path, array in arrays.items()}
    assert set(pieces(Run(Adam(), half, dict.fromkeys(SHAPES, 1.0)).work)) == {False}


@pytest.mark.parametrize("order", ["C", "F"])
def test_nor_are_arrays_scattered_in_memory_but_they_come_out_alike(order: str) -> None:
    arrays, gradients = draws(0, "float64")
    work = Updater(Adam(0.01), NET)
    now, spare = ({WEIGHT: np.array(arrays[WEIGHT], order=order)} for _ in range(2))
    work.use(now, {WEIGHT: 1.0}, into=spare)
    assert pieces(work) == [order == "C"]
    plain = Run(Adam(0.01), {WEIGHT: arrays[WEIGHT]}, {WEIGHT: 1.0})
    for found in gradients:
        with on():
            work.step(found, Progress())
        with off():
            plain.step(found)
        now, spare = spare, now
    same(now[WEIGHT], plain.now[WEIGHT])


@given(OPTIMIZERS, seeds)
def test_elements_with_multipliers_of_their_own_and_frozen_ones(
    optimizer: Optimizer, seed: int
) -> None:
    arrays, gradients = draws(seed, "float32")
    random = np.random.default_rng(seed)
    multipliers = {path: random.integers(-1, 2, shape) * 1.0 for path, shape in SHAPES.items()}
    frozen = {path: multiplier == 0 for path, multiplier in multipliers.items()}
    for path, array in arrays.items():  # anything may stand where it is frozen
        array[frozen[path]] = random.choice([np.nan, np.inf, -0.0, 1.5], frozen[path].sum())
    fast, plain = (Run(optimizer, arrays, multipliers) for _ in range(2))
    assert True not in pieces(fast.work)
    for found in gradients:
        with on():
            fast.step(found)
        with off():
            plain.step(found)
    for path, array in fast.now.items():
        assert array.tobytes() == plain.now[path].tobytes()
        assert array[frozen[path]].tobytes() == arrays[path][frozen[path]].tobytes()


def test_arrays_with_a_multiplier_of_zero_are_left_alone() -> None:
    arrays, gradients = draws(0, "float32")
    run = Run(SGD(0.1), arrays, {WEIGHT: 1.0, BIAS: 0.0, LAST: 1.0})
    with on() as answers:
        run.step(gradients[0])
    assert True in answers
    assert (run.now[WEIGHT] != arrays[WEIGHT]).all()
    assert run.now[BIAS].tobytes() == run.next[BIAS].tobytes() == arrays[BIAS].tobytes()
