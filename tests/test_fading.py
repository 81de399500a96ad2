"""What optimizers remember never becomes numbers that processors are slow with."""

import numpy as np
import pytest
from compiled_samples import off, on
from optimizer_samples import NET, START, WEIGHT

import minnet as mn
from minnet.optim.fading import least

SMALLEST = {"float32": 1.2e-38, "float64": 2.3e-308}  # of the numbers held in full

OPTIMIZERS = [
    mn.SGD(0.1, momentum=0.5),
    mn.SGD(0.1, momentum=0.9, nesterov=True),
    mn.Adam(0.1, beta1=0.5, beta2=0.6),
    mn.optim.RMSProp(0.1, beta=0.5),
    mn.optim.SignSGD(0.1, momentum=0.5),
]


def remembered(optimizer, dtype, steps):
    """Return what an optimizer remembers after each step: one with a gradient, then none."""
    now = np.ones((2, 3), dtype)
    work = mn.optim.Updater(optimizer, NET)
    work.use({WEIGHT: now}, {WEIGHT: 1.0}, into={WEIGHT: now.copy()})
    gradient = np.array([[1, -1, 1e-3], [1e3, 0, -1e-12]], dtype)
    found = []
    for step in range(steps):
        work.step({WEIGHT: gradient if step == 0 else gradient * 0}, START)
        kept = [piece.state for one in work._stretches for piece in one.pieces]
        found.append(np.concatenate([part.ravel() for state in kept for part in state.values()]))
    return np.abs(np.array(found))


@pytest.mark.parametrize("kernels", [off, on], ids=["numpy", "compiled"])
@pytest.mark.parametrize("dtype", SMALLEST)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_it_fades_to_nothing_before_it_is_denormal(optimizer, dtype, kernels):
    if kernels is on:
        pytest.importorskip("numba", reason="the kernels are compiled by Numba")
    with kernels():
        found = remembered(optimizer, dtype, 1500)
    later = found[1:]
    assert ((later == 0) | (later >= SMALLEST[dtype])).all()
    if optimizer != OPTIMIZERS[1] or dtype == "float32":  # which takes longer
        assert (found[-1] == 0).all()


def test_what_is_not_a_number_is_not_hidden():
    kept = np.array([np.nan, np.inf, 1e-35, 1.0], np.float32)
    mn.optim.fading.without_traces(kept, 0.5, 0)
    assert np.isnan(kept[0]) and np.isinf(kept[1]) and kept[2:].tolist() == [0, 1]


def test_only_numbers_far_from_changing_anything_count_as_nothing():
    # A step of Adam is at most such a number over epsilon, times the learning rate.
    assert least(np.dtype("float32")) / mn.Adam().epsilon < 1e-20
