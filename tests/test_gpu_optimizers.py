"""The optimizers' kernels, run on the stand-in: the CPU's steps, in one launch, or none at all."""

from dataclasses import replace

import gpu_samples
import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_samples import EVERY

import minnet as mn
from minnet.optim import Optimizer, Progress, Updater
from minnet.optim.flat import packed

pytestmark = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)

NET = mn.Chain(3, mn.Linear(2), mn.Linear(4), input=2).initialize()


class Own(Optimizer):
    """An optimizer that no kernel knows."""

    def direction(self, gradient, state, count):
        return 0.5 * gradient


OWN = Own(0.1)


@st.composite
def trainings(draw, optimizers=(*EVERY, OWN)):
    """An optimizer with all sorts of options, and multipliers for some arrays of the net."""
    options = {
        "weight_decay": draw(st.sampled_from([0, 0.1, {"*.bias": 0, ...: 0.1}, {1: 0.1}])),
        "l2": draw(st.sampled_from([0, {"*.weight": 0.2}])),
        "clip_value": draw(st.sampled_from([None, 0.5])),
        "clip_norm": draw(st.sampled_from([None, 1.5])),
    }
    multipliers = {}
    for path, array in NET.arrays().items():
        mask = np.resize([1.0, 0.0, -0.5], array.shape)
        value = draw(st.sampled_from([None, 1.0, 1.0, 1.0, 0.5, mask]))
        if value is not None:
            multipliers[path] = value
    return replace(draw(st.sampled_from(optimizers)), **options), multipliers


def numbers(dtype, multipliers, steps=3):
    """Return arrays for the net, and gradients for some steps; not finite where they are frozen."""
    random = np.random.default_rng(0)
    shapes = {path: array.shape for path, array in NET.arrays().items()}
    arrays, *gradients = (
        {path: random.normal(size=shape).astype(dtype) for path, shape in shapes.items()}
        for _ in range(steps + 1)
    )
    for path, multiplier in multipliers.items():
        frozen = np.broadcast_to(np.equal(multiplier, 0), shapes[path])
        arrays[path][frozen] = np.inf
        for found in gradients:
            found[path][frozen] = np.nan
    return arrays, gradients


def trained(optimizer, multipliers, dtype, move, swaps, ok=None):
    """Return the arrays after some steps, as the host has them."""
    arrays, gradients = numbers(dtype, multipliers)
    live = packed({path: move(arrays[path]) for path in multipliers})
    other = packed({path: move(arrays[path]) for path in multipliers}) if swaps else None
    updater = Updater(optimizer, NET)
    updater.use(live, multipliers, into=other)
    for step, found in enumerate(gradients):
        flat = updater.flat({path: move(found[path]) for path in multipliers})
        updater.update(flat, Progress(step=step, steps=3), *[] if ok is None else [ok])
        if swaps:
            live, other = other, live
    return {p: array if isinstance(array, np.ndarray) else array.get() for p, array in live.items()}


@settings(max_examples=80)
@given(trainings(), st.sampled_from(["float32", "float64"]), st.booleans())
def test_steps_are_those_of_the_cpu(training, dtype, swaps):
    host = trained(*training, dtype, np.array, swaps)
    with standin.installed() as cupy:
        device = trained(*training, dtype, cupy.asarray, swaps)
        with gpu_samples.any_order(backwards=True):
            again = trained(*training, dtype, cupy.asarray, swaps)
    arrays, _ = numbers(dtype, training[1])
    for path, theirs in host.items():
        within = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(device[path], theirs, rtol=within, atol=within)
        assert device[path].tobytes() == again[path].tobytes()
        frozen = np.broadcast_to(np.equal(training[1][path], 0), theirs.shape)
        assert (device[path][frozen] == arrays[path][frozen]).all()


@settings(max_examples=30)
@given(trainings(), st.booleans())
def test_nothing_moves_once_the_flag_is_down(training, swaps):
    with standin.installed() as cupy:
        ok = cupy.asarray(np.array(False))
        device = trained(*training, "float32", cupy.asarray, swaps, ok)
        moving = trained(*training, "float32", cupy.asarray, swaps, cupy.asarray(np.array(True)))
    arrays, _ = numbers("float32", training[1])
    for path, array in device.items():
        assert array.tobytes() == arrays[path].tobytes()
    assert all((moving[path] != arrays[path]).any() for path in moving)


@pytest.mark.parametrize("optimizer", EVERY, ids=repr)
def test_a_step_is_one_launch_and_waits_for_nothing(optimizer):
    arrays, gradients = numbers("float32", {})
    with standin.installed() as cupy:
        live = packed({path: cupy.asarray(array) for path, array in arrays.items()})
        updater = Updater(optimizer, NET)
        updater.use(live, dict.fromkeys(live, 1.0))
        flat = updater.flat({path: cupy.asarray(g) for path, g in gradients[0].items()})
        assert len(flat) == 1
        with standin.counting() as counts:
            updater.update(flat, Progress())
    assert (counts.launches, counts.waits, counts.allocations, counts.to_device) == (1, 0, 0, 0)


def test_a_length_that_is_not_finite_takes_the_flag_down():
    arrays, gradients = numbers("float32", {})
    gradients[0][(1, "bias")][0] = np.inf
    with standin.installed() as cupy:
        live = packed({path: cupy.asarray(array) for path, array in arrays.items()})
        updater = Updater(mn.SGD(0.1, clip_norm=1.0), NET)
        updater.use(live, dict.fromkeys(live, 1.0))
        flat = updater.flat({path: cupy.asarray(g) for path, g in gradients[0].items()})
        ok = cupy.asarray(np.array(True))
        with standin.counting() as counts:
            updater.update(flat, Progress(), ok)
        assert counts.waits == 0 and not bool(ok)
        for path, array in live.items():
            assert array.get().tobytes() == arrays[path].tobytes()
