"""The figure of the ratios: each case's, its target, and the line at PyTorch's speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .result import Result


def draw(path: Path, results: Sequence[Result], title: str) -> None:
    """Draw the ratios on a logarithmic axis, to be read without colours.

    A full dot has reached its target, the upright stroke; a hollow one has not. The
    line through it is the spread.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + 0.34 * len(results)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color="black", linewidth=0.8)
    for y, result in enumerate(results):
        ratio = result.ratio
        axes.plot([ratio.low, ratio.high], [y, y], color="0.45", linewidth=3, solid_capstyle="butt")
        axes.plot(result.target, y, "|", color="black", markersize=17, markeredgewidth=2)
        fill = "black" if result.is_reached else "white"
        axes.plot(ratio.median, y, "o", color="black", markerfacecolor=fill, markersize=7)
        _write_beside(axes, y, f"{ratio.median:.2f}")
    axes.set_yticks(range(len(results)), [result.case for result in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    _scale(axes, results)
    axes.set_xlabel(
        "times as fast as PyTorch's best (memory: times as small; import: of the time allowed)\n"
        "full dot: target (upright stroke) reached; hollow: short of it"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize="small")
    figure.savefig(path, dpi=150)


def _write_beside(axes: Any, y: int, text: str) -> None:
    """Write a number at the right end of a row."""
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        verticalalignment="center",
    )


def _scale(axes: Any, results: Sequence[Result]) -> None:
    """Scale the axis of the ratios, with numbers as people write them."""
    axes.set_xscale("log")
    ends = [end for r in results for end in (r.ratio.low, r.ratio.high, r.target, 1.0)]
    low, high = min(ends) / 1.25, max(ends) * 1.25
    marks = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
    ticks = [mark for mark in marks if low <= mark <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.grid(axis="x", color="0.85")
    axes.set_axisbelow(True)
