"""Products of matrices by cuBLAS itself (the stand-in's), as they are done while recording."""

import ctypes

import gpu_samples
import numpy as np
import pytest
import standin

from minnet.ops.gpu import product

needs_compiler = pytest.mark.skipif(
    gpu_samples.NO_COMPILER is not None, reason=str(gpu_samples.NO_COMPILER)
)
random = np.random.default_rng(0)


# How a matrix may lie in memory: the shape of the array that it is a part of, and which part.
LAID = {
    "rows": (lambda m, n: (m, n), lambda a, m, n: a),
    "columns": (lambda m, n: (n, m), lambda a, m, n: a.T),
    "some columns": (lambda m, n: (m, n + 2), lambda a, m, n: a[:, 1:-1]),
    "some rows of columns": (lambda m, n: (n, m + 2), lambda a, m, n: a[:, 1:-1].T),
    "every other": (lambda m, n: (2 * m, 2 * n), lambda a, m, n: a[::2, ::2]),
}


def laid(cupy, kind, shape, dtype):
    """Return a matrix, here and there."""
    base, part = LAID[kind]
    here = random.normal(size=base(*shape)).astype(dtype)
    return part(here, *shape), part(cupy.asarray(here), *shape)


@pytest.fixture
def recording():
    """The stand-in, with products done as they are while recording."""
    with standin.installed() as cupy:
        stream = cupy.cuda.Stream(non_blocking=True)
        with product.Blas(cupy, stream).used():
            yield cupy


@needs_compiler
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("first", LAID)
@pytest.mark.parametrize("second", LAID)
def test_products_are_numpys(recording, dtype, first, second):
    near = {"rtol": 1e-2, "atol": 1e-2} if dtype == "float16" else {"rtol": 1e-5, "atol": 1e-6}
    for m, k, n in ((3, 4, 5), (1, 4, 1), (5, 1, 3), (1, 1, 1)):
        a, there = laid(recording, first, (m, k), dtype)
        b, other = laid(recording, second, (k, n), dtype)
        out = recording.empty((m, n), dtype)
        for found in (product.dot(there, other), product.dot(there, other, out)):
            np.testing.assert_allclose(found.get(), a @ b, **near)
        assert found is out


@needs_compiler
def test_several_products_and_empty_ones(recording):
    a, b = random.normal(size=(3, 4, 2)), random.normal(size=(2, 4, 5))
    turned = a.swapaxes(0, 1), b.swapaxes(0, 1)  # as the groups of a convolution lie
    there = [recording.asarray(one).swapaxes(0, 1) for one in (a, b)]
    np.testing.assert_allclose(product.matmul(*there).get(), turned[0] @ turned[1])
    nothing = product.dot(recording.empty((3, 0)), recording.empty((0, 2)))
    np.testing.assert_array_equal(nothing.get(), np.zeros((3, 2)))


@needs_compiler
def test_rounding_is_as_it_is_set(recording, monkeypatch):
    from cupy._core import _routines_linalg as setting

    asked = []
    known = {**standin.blas.COMPUTING, 0: Watched((68, 77), asked)}
    monkeypatch.setattr(standin.blas, "COMPUTING", known)
    a = recording.ones((2, 2), "float32")
    for kind in (setting.COMPUTE_TYPE_DEFAULT, setting.COMPUTE_TYPE_TF32):
        setting.set_compute_type(np.float32, kind)
        product.dot(a, a)
    setting.set_compute_type(np.float32, setting.COMPUTE_TYPE_DEFAULT)
    assert asked == [68, 77]


class Watched(tuple):
    """A tuple that remembers what was looked for in it."""

    def __new__(cls, values, asked):
        made = super().__new__(cls, values)
        made.asked = asked
        return made

    def __contains__(self, value):
        self.asked.append(value)
        return super().__contains__(value)


@needs_compiler
def test_what_cublas_refuses_is_an_error(recording, monkeypatch):
    monkeypatch.setattr(standin.blas, "COMPUTING", {0: ()})
    a = recording.ones((2, 2), "float32")
    with pytest.raises(RuntimeError, match="cuBLAS returned the status 7"):
        product.dot(a, a)


@needs_compiler
def test_cupys_products_are_refused_while_recording():
    with standin.installed() as cupy:
        a = cupy.ones((2, 2), "float32")
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            with pytest.raises(NotImplementedError, match="cuBLAS"):
                product.dot(a, a)
            stream.end_capture()


def test_an_installed_cupy_is_linked_with_the_functions():
    try:
        from cupy_backends.cuda.libs import cublas
    except ImportError as error:
        pytest.skip(f"CuPy or cuBLAS isn't here: {error}")
    library = ctypes.CDLL(cublas.__file__)
    for name in ("cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasGemmEx"):
        assert getattr(library, name)
    assert (cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_64F) == (68, 70)
    assert (cublas.CUBLAS_COMPUTE_32F_FAST_TF32, cublas.CUBLAS_GEMM_DEFAULT) == (product.TF32, -1)
