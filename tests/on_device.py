"""`pytest --device`: the tests of ops, layers, optimizers and training, run on a device.

The tests themselves know of no device. Under the option every op of `minnet.ops`, and with
it every layer, first brings the arrays that a test gives it to the device, and its result
back, as two more ops that gradients pass through; and `train` and `Trainer` train there.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import standin

import minnet as mn
from minnet import ops
from minnet.autodiff import Tensor, record
from minnet.autodiff.tensor import value
from minnet.backend import device_of, move, named
from minnet.backend.devices import present

# The files of tests that the option is for, beside the tests marked `gpu`.
PARTS = (
    "test_ops_", "test_layers", "test_optim", "test_train", "test_frozen", "test_not_finite",
    "test_measures", "test_autodiff", "test_multiplier", "test_models", "test_flat",
    "test_schedules", "test_dense",
)  # fmt: skip
# Those of devices themselves say in each call which they mean; they have a stand-in of their own.
THEIRS = ("test_gpu_", "test_device", "test_standin", "test_precision")

NO_GPU = "needs a GPU: pytest --device gpu"
PLAIN = ": run by pytest without --device"


def chosen(option: str) -> str:
    """Return the device that the option means, with CuPy or its stand-in in place."""
    if option == "cpu":
        return option
    if option == "standin":
        standin.install()
        return "gpu:0"
    try:
        return present(named(option))
    except mn.MinnetError as error:
        raise pytest.UsageError(f"--device {option}: {error}") from None


def reason_to_skip(item: Any, option: str) -> str:
    """Return why a test isn't run under the option, or nothing."""
    name = item.path.name
    if item.get_closest_marker("gpu") and option == "cpu":
        return NO_GPU
    if option == "cpu":
        return ""
    if item.get_closest_marker("host"):
        return "about what the CPU alone has"
    if item.get_closest_marker("gpu") or name.startswith(PARTS):
        return ""
    return "about devices" + PLAIN if name.startswith(THEIRS) else "about no device" + PLAIN


# --- everything there -----------------------------------------------------------------------


def move_everything(device: str) -> None:
    """Have ops and training run on a device from here on, whatever arrays they are given."""
    for name in ops.__all__:
        op = getattr(ops, name)
        if name not in ("output_sizes", "deconv_output_sizes", "resolve_padding"):
            setattr(ops, name, _there(op, device))
    train, begin = mn.train, mn.Trainer.__init__

    @functools.wraps(train)
    def train_there(*args: Any, **options: Any) -> Any:
        return train(*args, **{"device": device, **options})

    @functools.wraps(begin)
    def begin_there(*args: Any, **options: Any) -> None:
        if "device" not in inspect.signature(begin).bind(*args, **options).arguments:
            options["device"] = device
        begin(*args, **options)

    mn.train, mn.Trainer.__init__ = train_there, begin_there  # type: ignore[method-assign]


def _there(op: Callable[..., Any], device: str) -> Callable[..., Any]:
    @functools.wraps(op)
    def moved(*args: Any, **options: Any) -> Any:
        if any(map(_is_there, (*args, *options.values()))):
            return op(*args, **options)
        args = tuple(_sent(_as_array(arg, op.__module__), device) for arg in args)
        options = {name: _sent(arg, device) for name, arg in options.items()}
        return _fetched(op(*args, **options), device)

    return moved


def _as_array(arg: Any, module: str) -> Any:
    """Return the array that an op would make of something, which can be moved.

    Where arrays meet numbers, in arithmetic, a number stays one. Elsewhere NumPy's are what it
    makes of arrays without axes; losses and products take lists and numbers, too.
    """
    takes_lists = module.endswith((".loss", ".linear")) and isinstance(arg, int | float | list)
    if takes_lists or (isinstance(arg, np.floating) and not module.endswith("ops.arithmetic")):
        return np.asarray(arg)
    return arg


def _is_there(arg: Any) -> bool:
    if isinstance(arg, list | tuple):
        return any(map(_is_there, arg))
    return device_of(value(arg)) != "cpu"


def _sent(arg: Any, device: str) -> Any:
    """Return an argument with its arrays on the device."""
    if isinstance(arg, list | tuple):
        return type(arg)(_sent(part, device) for part in arg)
    if isinstance(arg, Tensor):
        return record(move(arg.data, device), (arg, lambda g: move(g, "cpu")))
    if isinstance(arg, np.ndarray) and arg.dtype.kind in "buif":
        return move(arg, device)
    return arg


def _fetched(result: Any, device: str) -> Any:
    """Return a result with its arrays on the CPU, where they can be written to."""
    if isinstance(result, tuple):
        return tuple(_fetched(part, device) for part in result)
    if isinstance(result, Tensor):
        return record(move(result.data, "cpu").copy(), (result, lambda g: move(g, device)))
    return result if device_of(result) == "cpu" else move(result, "cpu").copy()
