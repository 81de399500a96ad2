"""What the tests of the GPU's kernels share: an op's results on the host and on the stand-in."""

import contextlib

import numpy as np
import standin
from standin import kernels

from minnet.autodiff import Tensor
from minnet.autodiff.tensor import gradients, value

DTYPES = ("float32", "float64")
TOLERANCES = {"float16": 5e-3, "float32": 2e-5, "float64": 1e-12}

# The reason not to run kernels on the host, if there is one.
NO_COMPILER = None if kernels.COMPILER else "no C++ compiler to run the kernels' sources with"


@contextlib.contextmanager
def any_order(backwards):
    """Run the threads of the stand-in's kernels in the usual order, or in the opposite one."""
    with kernels.backwards() if backwards else contextlib.nullcontext():
        yield


def beside(x, array):
    """Return an array where another one is, or a Tensor's."""
    return array if isinstance(value(x), np.ndarray) else standin.cupy.asarray(array)


def results(op, arrays, gradient, move=lambda array: array):
    """Return what an op gives for arrays, and its gradients for a gradient at the output."""
    inputs = [Tensor(move(a)) if a.dtype.kind == "f" else move(a) for a in arrays]
    y = op(*inputs)
    leaves = [x for x in inputs if isinstance(x, Tensor)]
    return [y.data, *gradients(y, leaves, move(np.asarray(gradient, y.dtype)))]


def on_both(op, arrays, seed=0):
    """Return results on the host, on the stand-in, and on the stand-in in the opposite order."""
    y = op(*arrays)
    gradient = np.random.default_rng(seed).normal(size=y.shape).astype(y.dtype)
    host = results(op, arrays, gradient)
    with standin.installed() as cupy:
        device = []
        for backwards in (False, True):
            with any_order(backwards):
                found = results(op, arrays, gradient, cupy.asarray)
            device.append([one.get() for one in found])
    return host, *device


def check_like_host(op, arrays, tolerance=None, seed=0):
    """Check that an op's kernels give what NumPy gives, and the same bits in any order."""
    host, device, again = on_both(op, arrays, seed)
    for mine, other, theirs in zip(device, again, host, strict=True):
        assert mine.dtype == theirs.dtype and mine.shape == theirs.shape
        within = TOLERANCES[mine.dtype.name] if tolerance is None else tolerance
        scale = max(1.0, float(abs(theirs[np.isfinite(theirs)]).max(initial=0)))
        np.testing.assert_allclose(mine, theirs, rtol=within, atol=within * scale)
        assert mine.tobytes() == other.tobytes()
