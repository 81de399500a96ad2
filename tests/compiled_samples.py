"""Compiled kernels, used for arrays of any size or not at all, for tests that compare the two."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minnet as mn
from minnet.ops import compiled

TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


@contextlib.contextmanager
def on() -> Iterator[list[bool]]:
    """Have kernels work on arrays of any size; yield what is answered when they are asked."""
    takes, answers = compiled.takes, []

    def watched(*arrays: Any, size: int | None = None) -> bool:
        answers.append(takes(*arrays, size=size))
        return answers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "LEAST", 1)
        patch.setattr(compiled, "reason_not", lambda: None)
        patch.setattr(compiled, "takes", watched)
        yield answers


@contextlib.contextmanager
def off() -> Iterator[None]:
    """Have NumPy do everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "reason_not", lambda: "turned off by a test")
        yield


def both(function: Callable[..., Any], *given: Any) -> tuple[Any, Any]:
    """Return what a function gives with kernels, which must be used, and what it gives without."""
    with on() as answers:
        found = function(*given)
    assert True in answers
    with off():
        return found, function(*given)


def same(found: Any, expected: Any, tolerance: float | None = None) -> None:
    """Check that arrays, or lists of them, are alike but for rounding, as sums of such size are."""
    if isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            same(one, other, tolerance)
        return
    assert type(found) is type(expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    tolerance = TOLERANCE[expected.dtype.name] if tolerance is None else tolerance
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest)


def differentiated(op: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """Return an op's value, and its gradients from a start that differs in every element."""
    tensors = [mn.Tensor(array) for array in arrays]
    y = op(*tensors)
    start = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    return [y.data, *mn.gradients(y, tensors, start)]


def same_both_ways(
    op: Callable[..., Any], *arrays: np.ndarray, tolerance: float | None = None
) -> None:
    """Check that value and gradients of an op are the same with kernels and without."""
    same(*both(differentiated, op, *arrays), tolerance)


def loss_by_ops(scores: np.ndarray, targets: np.ndarray) -> list[Any]:
    """Return the cross-entropy and its gradient by the scores."""
    tensor = mn.Tensor(scores)
    with np.errstate(all="ignore"):
        loss = mn.ops.cross_entropy(tensor, targets)
        return [np.asarray(loss.data), *mn.gradients(loss, [tensor])]


def loss_by_kernel(scores: np.ndarray, targets: np.ndarray) -> list[Any]:
    """Return the same by the kernel."""
    gradient = np.full_like(scores, 7)
    loss = compiled.loss.cross_entropy(scores, targets, gradient)
    return [np.asarray(loss, scores.dtype), gradient]


def printed(code: str, *folders: Path, **variables: str) -> list[str]:
    """Return the lines that a fresh Python prints which looks for modules in these folders first.

    It must come to its end without an error or a warning.
    """
    path = os.pathsep.join(map(str, folders))
    usual = {"PYTHONPATH": path, "PYTHONWARNINGS": "error", "MINNET_COMPILED": ""}
    env = os.environ | usual | variables
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()
