"""Flat memory: what is updated together is updated as each would be alone, to the bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimizer_samples import EVERY
from train_samples import optimizers, points, same_bits, same_nets

import minnet as mn
from minnet.errors import ShapeError
from minnet.optim import Progress, Updater, updater
from minnet.optim.flat import joined, packed

shapes = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=5)
dtypes = st.sampled_from([np.float32, np.float64])


# --- arrays in one buffer -----------------------------------------------------------------------


@given(shapes, st.data())
def test_packed_arrays_are_copies_one_after_another(shapes, data):
    random = np.random.default_rng(0)
    arrays = {i: random.normal(size=s).astype(data.draw(dtypes)) for i, s in enumerate(shapes)}
    copies = packed(arrays)
    assert list(copies) == list(arrays)
    for key, array in arrays.items():
        assert same_bits(copies[key], np.asarray(array))
        assert not np.shares_memory(copies[key], array) and copies[key].flags.writeable
    for dtype in {array.dtype for array in arrays.values()}:
        alike = [copies[key] for key, array in arrays.items() if array.dtype == dtype]
        whole = joined(alike)
        assert whole.base is alike[0].base or len(alike) == 1
        np.testing.assert_array_equal(whole, np.concatenate([a.ravel() for a in alike]))
        whole += 1
        np.testing.assert_array_equal(whole, np.concatenate([a.ravel() for a in alike]))


def test_what_does_not_follow_one_another_is_not_joined():
    a, b, c = packed({0: np.ones((2, 3)), 1: np.zeros(4), 2: np.ones(2)}).values()
    assert joined([a, b, c]).shape == (12,) and joined([b, c]).shape == (6,)
    assert joined([a, c]) is joined([b, a]) is joined([a, a]) is None
    assert joined([a.T, b]) is joined([a[:, :2], b]) is None
    assert joined([np.ones(3), np.ones(3)]) is joined([a, np.zeros(4)]) is None
    assert joined([a.view(np.int64), b]) is None
    rows = np.ones((2, 3))
    assert joined([rows[0], rows[1]]) is None  # the buffer isn't flat


# --- updated together or each alone -------------------------------------------------------------


NET = mn.Chain(3, mn.Linear(2), mn.Linear(4), input=2).initialize()


@st.composite
def trainings(draw):
    """Multipliers for some arrays of the net, decay and L2 that differ among them."""
    options = {
        "weight_decay": draw(st.sampled_from([0, 0.1, {"*.bias": 0, ...: 0.1}, {1: 0.1}])),
        "l2": draw(st.sampled_from([0, {"*.weight": 0.2}])),
        "clip_value": draw(st.sampled_from([None, 0.5])),
    }
    optimizer = draw(st.sampled_from(EVERY))
    multipliers = {}
    for path, array in NET.arrays().items():
        mask = np.resize([1.0, 0.0, -0.5], array.shape)
        value = draw(st.sampled_from([None, 1.0, 1.0, 1.0, 0.5, mask]))
        if value is not None:
            multipliers[path] = value
    return type(optimizer)(**{**vars(optimizer), **options}), multipliers


@pytest.mark.numpy_kernels  # what is updated in place always is by NumPy
@given(trainings(), st.sampled_from([1 << 15, 7, 1]), st.booleans())
def test_arrays_in_one_buffer_are_updated_as_each_by_itself(training, piece, is_double):
    optimizer, multipliers = training
    random = np.random.default_rng(1)
    apart = {path: array.copy() for path, array in NET.arrays().items() if path in multipliers}
    together, spare = packed(apart), packed(apart)
    plain, work = Updater(optimizer, NET), Updater(optimizer, NET)
    plain.use(apart, multipliers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(updater, "PIECE", piece)
        work.use(together, multipliers, into=spare if is_double else None)
        for step in range(5):
            found = {p: random.normal(size=a.shape).astype(a.dtype) for p, a in apart.items()}
            before = {path: array.copy() for path, array in together.items()}
            plain.step(found, Progress())
            work.step(found, Progress())
            if is_double:
                assert all(same_bits(before[path], together[path]) for path in together)
                together, spare = spare, together
            assert all(same_bits(apart[path], together[path]) for path in together)
            if step == 2:  # what is kept goes on, whatever else changes
                half = dict.fromkeys(list(multipliers)[::2], 0.5)
                apart = {path: apart[path] for path in half}
                together, spare = packed(apart), packed(apart)
                plain.use(apart, half)
                work.use(together, half, into=spare if is_double else None)
                multipliers = half


@given(st.sampled_from(EVERY), st.data())
def test_the_update_of_an_array_does_not_depend_on_what_else_is_trained(optimizer, data):
    paths = list(NET.arrays())
    chosen = data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
    random = np.random.default_rng(2)
    gradients = [{p: random.normal(size=NET[p].shape) for p in paths} for _ in range(4)]

    def trained(some):
        arrays = packed({path: NET[path] for path in some})
        work = Updater(optimizer, NET)
        work.use(arrays, dict.fromkeys(arrays, 1.0))
        for found in gradients:
            work.step(found, Progress())
        return arrays

    few, all_of_them = trained(chosen), trained(paths)
    assert all(same_bits(few[path], all_of_them[path]) for path in chosen)


def test_small_neighbours_share_their_calls():
    calls = []

    class Counted(mn.Adam):
        def direction(self, gradient, state, count):
            calls.append(gradient.size)
            return super().direction(gradient, state, count)

    trainer = mn.Trainer(NET, Counted(), loss="mean_squared_error")
    x, _ = points(8)
    trainer.step(x, np.zeros((8, 4)))
    assert calls == [sum(array.size for array in NET.arrays().values())]


def test_where_new_values_go_must_be_like_the_arrays():
    path = (0, "weight")
    work = Updater(mn.SGD(0.1), NET)
    for bad in (np.zeros((3, 2)), np.zeros((2, 3), np.float32), np.zeros((3, 2)).T):
        with pytest.raises(ShapeError, match=r"^0\.weight: what the new values go into"):
            work.use({path: np.zeros((2, 3))}, {path: 1.0}, into={path: bad})


# --- a step that is interrupted -----------------------------------------------------------------


# A GPU has an optimizer's own direction for all pieces at once; no kernel makes its steps.
@pytest.mark.numpy_kernels
@pytest.mark.parametrize("call", [1, *(pytest.param(n, marks=pytest.mark.host) for n in (2, 3))])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_ctrl_c_in_the_middle_of_an_update_leaves_no_step_half_made(call, steps, monkeypatch):
    monkeypatch.setattr(updater, "PIECE", 4)  # so that a step has several
    calls = []

    class Interrupted(mn.SGD):
        def direction(self, gradient, state, count):
            calls.append(count)
            if interrupts and calls.count(count) == call:
                raise KeyboardInterrupt
            return super().direction(gradient, state, count)

    x, y = points(8)
    net = mn.Chain(4, mn.Tanh, mn.Linear(3), mn.Softmax(), input=2).initialize()
    trainer, other = mn.Trainer(net, Interrupted(0.1)), mn.Trainer(net, mn.SGD(0.1))
    interrupts = False
    for _ in range(steps):
        trainer.step(x, y)
        other.step(x, y)
    interrupts, before = True, trainer.net
    with pytest.raises(KeyboardInterrupt):
        trainer.step(x, y)
    assert same_nets(trainer.net, before) and trainer.steps == steps
    interrupts = False
    for _ in range(3):
        assert trainer.step(x, y) == other.step(x, y)
    assert same_nets(trainer.net, other.net)


@given(optimizers)
def test_the_net_before_the_last_step_is_there_to_go_back_to(optimizer):
    x, y = points(8)
    net = mn.Chain(4, mn.Tanh, mn.Linear(3), mn.Softmax(), input=2).initialize()
    trainer = mn.Trainer(net, optimizer)
    for _ in range(3):
        before = trainer.net
        trainer.step(x, y)
    trainer._arrays[0, "weight"][:] = np.nan
    with pytest.raises(mn.NonFiniteError) as caught:
        trainer.step(x, y)
    assert same_nets(caught.value.net, before)
    assert np.isfinite(trainer.step(x, y))
