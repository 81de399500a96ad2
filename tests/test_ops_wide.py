"""Convolution by wide windows gives what the plain one gives, whatever is taken together."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from window_references import convolutions

from minnet import threads
from minnet.ops import wide
from minnet.ops.conv import _correlate, _spread, _weight_gradient
from minnet.ops.sweep import Sweep
from minnet.threads import sharing


def plain(monkeypatch: pytest.MonkeyPatch, kernel: Any, *given: Any) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(wide, "is_wide", lambda a, sweep: False)
        return kernel(*given)


@given(convolutions(), st.data())
def test_wide_windows_give_what_the_plain_ones_give(
    drawn: tuple[Any, Any, Any, Sweep], data: st.DataObject
) -> None:
    a, w, g, sweep = drawn
    draw = data.draw
    window = draw(st.sampled_from(wide._fitting(sweep, w.shape[-1])))
    with pytest.MonkeyPatch.context() as patch, sharing(draw(st.integers(1, 3))):
        patch.setattr(threads, "LEAST", 1e-9)
        patch.setattr(wide, "TILE", draw(st.sampled_from([1, 2000, wide.TILE])))
        patch.setattr(wide, "widened", lambda *_: window)
        patch.setattr(wide, "for_spreading", lambda *_: (window, None))
        results = (
            wide.correlate(a, w, sweep),
            wide.weight_gradient(a, g, sweep),
            wide.spread(g, w, sweep),
        )
        expected = (
            plain(patch, _correlate, a, w, sweep),
            plain(patch, _weight_gradient, a, g, sweep),
            plain(patch, _spread, g, w, sweep),
        )
    for result, one in zip(results, expected, strict=True):
        assert result.shape == one.shape
        assert result.dtype == one.dtype
        np.testing.assert_allclose(result, one, atol=1e-12)


def test_one_channel_is_taken_by_wide_windows_and_many_are_not() -> None:
    few, many = (Sweep.over((64, 28, 28, c), 5, 1, 0) for c in (1, 256))
    assert wide.widened(few, 20).together > 1
    assert wide.widened(many, 256).together == 1


def test_groups_and_dilation_are_left_to_the_plain_kernels() -> None:
    a = np.zeros((1, 9, 9, 4))
    assert wide.is_wide(a, Sweep.over(a.shape, 3, 1, 0))
    assert not wide.is_wide(a, Sweep.over(a.shape, 3, 1, 0, dilation=2))
    assert not wide.is_wide(a, Sweep.over(a.shape, 3, 1, 0, groups=2))


@given(convolutions())
def test_the_input_s_gradient_is_also_a_convolution(drawn: tuple[Any, Any, Any, Sweep]) -> None:
    _, w, g, sweep = drawn
    adding, _ = wide.for_spreading(sweep, w.shape[-1])
    turned = wide.turned_around(sweep, w.shape[-1])
    fits = all(
        stride == 1 and max(edges) < k
        for stride, edges, k in zip(sweep.stride, sweep.edges, sweep.window, strict=True)
    )
    assert (turned is not None) == fits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wide, "for_spreading", lambda *_: (adding, turned))
        result = wide.spread(g, w, sweep)
        np.testing.assert_allclose(result, plain(patch, _spread, g, w, sweep), atol=1e-12)


def test_many_channels_are_convolved_and_few_are_added() -> None:
    def is_convolved(channels: int, outputs: int, size: int, window: int, padding: int) -> bool:
        sweep = Sweep.over((64, size, size, channels), (window, window), 1, padding)
        return wide.for_spreading(sweep, outputs)[1] is not None

    assert is_convolved(64, 64, 16, 3, 1)
    assert not is_convolved(20, 50, 12, 5, 0)  # the windows of a gradient without padding are many
