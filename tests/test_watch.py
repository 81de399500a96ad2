"""What is not finite in the steps on a GPU: the kernels find what the plain array module finds."""

import gpu_samples
import numpy as np
import pytest
import standin
from hypothesis import given, settings
from hypothesis import strategies as st

from minnet.ops import gpu
from minnet.train.watch import Watch

pytestmark = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)
PATHS = [("a",), ("b",), ("c",)]
numbers = st.sampled_from([1.0, 1.0, 1.0, 1.0, 1.0, np.nan, np.inf, -np.inf])
# Of each step the loss, and a number in the gradient of each array.
steps = st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=4)


def trouble(given, is_plain, is_lost):
    """Return what is told after some steps, and whether all was well before it was asked."""
    with standin.installed() as cupy, pytest.MonkeyPatch.context() as patch:
        if is_plain:
            patch.setattr(gpu, "takes", lambda *arrays: False)
        watch = Watch(cupy.ones(1, "float32"))
        for step, (loss, *parts) in enumerate(given, 1):
            gradients = {}
            for path, part in zip(PATHS, parts, strict=True):
                gradients[path] = cupy.zeros((3, 100), "float32")
                gradients[path][1, 7] = part
            watch.look(step, cupy.asarray(np.float32(loss)), gradients, lambda step=step: step)
            if is_lost and step == 1:  # as by a gradient whose length isn't finite
                watch.ok[...] = False
        is_ok = bool(watch.ok)
        found = watch.trouble(len(given))
        return is_ok, None if found is None else (found.step, found.path, found.inputs())


@settings(max_examples=60)
@given(steps, st.booleans())
def test_kernels_find_what_the_plain_way_finds(given, is_lost):
    assert trouble(given, False, is_lost) == trouble(given, True, is_lost)


def test_the_first_step_counts_and_in_it_what_the_backward_pass_came_by_first():
    fine, bad = (1.0, 1.0, 1.0, 1.0), (1.0, np.inf, np.nan, 1.0)
    assert trouble([fine, fine], False, False) == (True, None)
    assert trouble([fine, bad, (np.nan, 1.0, 1.0, 1.0)], False, False) == (False, (2, ("b",), 2))
    assert trouble([(np.nan, 1.0, 1.0, np.nan)], False, False) == (False, (1, None, 1))
    assert trouble([fine, fine], False, True) == (False, (1, (), 1))


def test_a_look_is_a_launch_for_each_array_and_one_more():
    with standin.installed() as cupy:
        watch = Watch(cupy.ones(1, "float32"))
        gradients = {path: cupy.ones(5, "float32") for path in PATHS}
        loss = cupy.ones((), "float32")
        with standin.counting() as counts:
            watch.look(1, loss, gradients, lambda: None)
    assert (counts.launches, counts.waits, counts.allocations) == (4, 0, 0)
