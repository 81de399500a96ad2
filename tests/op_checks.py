"""What every op must do, tested from one declaration of it.

`op_tests` returns a class of tests for pytest to collect:

    TestExp = op_tests(ops.exp, np.exp)
    TestMatmul = op_tests(ops.matmul, np.matmul, cases=matmul_cases())

An op is called with arrays first and options by keyword. The numbers are drawn from a
seed that Hypothesis chooses, the shapes and options by Hypothesis itself.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minnet as mn
from minnet.autodiff import Tensor

seeds = st.integers(0, 2**32 - 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to call an op: the shapes of its arrays, and its options."""

    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Refused:
    """A call that an op must refuse: with what, with which error, and what that must say."""

    arguments: tuple[Any, ...]
    error: type[Exception]
    message: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    on_host: bool = False  # alone: to look at the numbers, the host would have to wait for a GPU


# --- numbers ------------------------------------------------------------------------------


def anything(random: np.random.Generator, shape: tuple[int, ...], i: int) -> np.ndarray:
    """Numbers of either sign, never near 0, where many ops have a kink."""
    return random.uniform(0.1, 2.0, shape) * random.choice([-1.0, 1.0], shape)


def positive(random: np.random.Generator, shape: tuple[int, ...], i: int) -> np.ndarray:
    """Numbers well above 0."""
    return random.uniform(0.3, 3.0, shape)


def distinct(random: np.random.Generator, shape: tuple[int, ...], i: int) -> np.ndarray:
    """Numbers of which no two are near each other, be they in the same input or in others."""
    count = int(np.prod(shape))
    return (random.permutation(count).reshape(shape) - count / 2) * 0.1 + 0.03 * i


def origins(node) -> set:
    """The leaves that a node came from."""
    if not node.parents:
        return {node}
    return set().union(*(origins(parent) for parent, _ in node.parents))


# --- shapes -------------------------------------------------------------------------------


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> st.SearchStrategy[Any]:
    """Shapes of small arrays, single numbers, and empty ones unless `min_side` says otherwise."""
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4
    ) | st.sampled_from([s for s in [(1,), (2, 1), (1, 3, 1)] if len(s) >= min_dims])


def one_input() -> st.SearchStrategy[Case]:
    """Calls with one array of any shape."""
    return shapes().map(lambda shape: Case((shape,)))


def broadcast_inputs(count: int) -> st.SearchStrategy[Case]:
    """Calls with `count` arrays that broadcast against each other."""
    return hnp.mutually_broadcastable_shapes(
        num_shapes=count, min_dims=0, max_dims=3, min_side=0, max_side=4
    ).map(lambda found: Case(found.input_shapes))


# --- what is checked ----------------------------------------------------------------------


def same(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:
    """Check that two arrays have the same shape and nearly the same elements."""
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def differentiated(op: Callable[..., Any], arrays: Sequence[np.ndarray]) -> tuple[Any, list[Any]]:
    """Return an op's value, and its gradients from a start that differs in every element."""
    tensors = [Tensor(array) for array in arrays]
    result = op(*tensors)
    assert isinstance(result, Tensor)
    start = np.cos(np.arange(result.size)).reshape(result.shape)
    return result.data, mn.gradients(result, tensors, start)


def awkward(array: np.ndarray) -> np.ndarray:
    """The same numbers, read-only and scattered in memory, the axes in reverse order."""
    wide = np.full(tuple(2 * n for n in array.shape[::-1]), np.nan, array.dtype)
    view = wide[(..., *(slice(None, None, -2),) * array.ndim)].T
    view[...] = array
    view.flags.writeable = False
    return view


def op_tests(
    op: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: int = 1,
    *,
    cases: st.SearchStrategy[Case] | None = None,
    numbers: Callable[[np.random.Generator, tuple[int, ...], int], np.ndarray] = anything,
    examples: Sequence[Case] = (),
    refused: Sequence[Refused] = (),
    single: float = 1e-4,
) -> type:
    """Return the tests of one op.

    Parameters
    ----------
    op
        The op itself.
    reference
        The same computed plainly with NumPy, called with the same arguments.
    inputs
        How many arrays it takes, if any that broadcast will do.
    cases
        Else: how to call it.
    numbers
        Gives the numbers of input `i`, from a random generator and a shape.
    examples
        Calls that must be among those tested.
    refused
        Calls that must be refused.
    single
        How far float32 may be from float64.
    """
    if cases is None:
        cases = one_input() if inputs == 1 else broadcast_inputs(inputs)

    refusals = [
        pytest.param(one, id=one.message, marks=[pytest.mark.host] if one.on_host else [])
        for one in refused
    ]

    def property_test(test: Callable[..., None]) -> Callable[..., None]:
        for case in examples:
            test = hypothesis.example(case=case, seed=0)(test)
        return hypothesis.given(case=cases, seed=seeds)(test)

    def drawn(case: Case, seed: int) -> list[np.ndarray]:
        random = np.random.default_rng(seed)
        return [np.asarray(numbers(random, shape, i)) for i, shape in enumerate(case.shapes)]

    def call(case: Case) -> Callable[..., Any]:
        return lambda *arrays: op(*arrays, **case.options)

    class Tests:
        @property_test
        def test_forward(self, case: Case, seed: int) -> None:
            arrays = drawn(case, seed)
            result = op(*arrays, **case.options)
            assert not isinstance(result, Tensor)
            assert result.dtype == np.float64
            same(result, reference(*arrays, **case.options))

        @property_test
        def test_gradients(self, case: Case, seed: int) -> None:
            mn.check_grad(call(case), *drawn(case, seed))

        @property_test
        def test_float32(self, case: Case, seed: int) -> None:
            arrays = drawn(case, seed)
            singles = [array.astype(np.float32) for array in arrays]
            result, found = differentiated(call(case), singles)
            assert np.asarray(op(*singles, **case.options)).dtype == np.float32
            assert result.dtype == np.float32
            assert all(gradient.dtype == np.float32 for gradient in found)
            expected, wanted = differentiated(call(case), arrays)
            same(result, expected, single)
            for gradient, want in zip(found, wanted, strict=True):
                same(gradient, want, single)
            # Nor may float64 be used on the way, where it costs time and memory.
            for _, function in op(*map(Tensor, singles), **case.options).node.parents:
                assert function(np.ones_like(result)).dtype == np.float32

        @property_test
        def test_memory_layout(self, case: Case, seed: int) -> None:
            arrays = drawn(case, seed)
            expected, wanted = differentiated(call(case), arrays)
            result, found = differentiated(call(case), [awkward(array) for array in arrays])
            same(result, expected)
            for gradient, want in zip(found, wanted, strict=True):
                same(gradient, want)

        @property_test
        def test_constants(self, case: Case, seed: int) -> None:
            arrays = drawn(case, seed)
            together = differentiated(call(case), arrays)[1]
            for i, array in enumerate(arrays):
                leaf = Tensor(array)
                result = op(*arrays[:i], leaf, *arrays[i + 1 :], **case.options)
                assert len(result.node.parents) == 1 and origins(result.node) == {leaf.node}
                start = np.cos(np.arange(result.size)).reshape(result.shape)
                same(mn.gradients(result, [leaf], start)[0], together[i])

        @pytest.mark.parametrize("wrong", refusals)
        def test_refused(self, wrong: Refused) -> None:
            with pytest.raises(wrong.error, match=wrong.message):
                op(*wrong.arguments, **wrong.options)

    if not refused:
        del Tests.test_refused
    return Tests
