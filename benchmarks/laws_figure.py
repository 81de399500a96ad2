"""The figure of the two laws of cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .frozen_law import Frozen
from .size_law import Round


def draw(path: Path, frozen: list[Frozen], rounds: list[Round]) -> None:
    """Draw what a step costs by what is frozen, and a round by its examples; in grey."""
    has_memory = all(r.memory is not None for r in rounds)
    figure = Figure(figsize=(11 if has_memory else 7.5, 4), layout="constrained")
    panels = figure.subplots(1, 3 if has_memory else 2)
    _draw_frozen(panels[0], frozen)
    _draw_times(panels[1], rounds)
    if has_memory:
        _draw_memory(panels[2], rounds)
    figure.savefig(path, dpi=150)


def _draw_frozen(axes: Any, frozen: list[Frozen]) -> None:
    counts = [k.count for k in frozen]
    forwards = [k.forward for k in frozen]
    axes.bar(counts, forwards, color="0.8", edgecolor="black", label="forward, frozen part alone")
    axes.bar(
        counts,
        [k.rest for k in frozen],
        bottom=forwards,
        color="white",
        edgecolor="black",
        hatch="///",
        label="whole step, rest alone",
    )
    axes.plot(counts, [k.step for k in frozen], "ko-", label="the step")
    axes.set_xticks(counts)
    axes.set_xlabel("layers of LeNet frozen from the bottom")
    axes.set_ylabel("ms a step")
    _legend(axes)


def _draw_times(axes: Any, rounds: list[Round]) -> None:
    sizes = [r.examples for r in rounds]
    last = rounds[-1]
    line = [size * last.seconds / last.examples for size in sizes]
    axes.loglog(sizes, line, color="0.6", label="in proportion to the examples")
    axes.loglog(sizes, [r.seconds for r in rounds], "ko", label="measured")
    axes.set_xlabel("examples")
    axes.set_ylabel("seconds a round")
    _legend(axes)


def _draw_memory(axes: Any, rounds: list[Round]) -> None:
    sizes = [r.examples for r in rounds]
    axes.loglog(sizes, [r.megabytes for r in rounds], "k--", label="the data")
    limits = [(r.limit or 0) / 1e6 for r in rounds]
    axes.loglog(sizes, limits, color="0.6", linewidth=3, label="all the process may have")
    taken = [max((r.memory or 0) / 1e6, 0.1) for r in rounds]
    axes.loglog(sizes, taken, "ko-", label="taken by training")
    axes.set_xlabel("examples")
    axes.set_ylabel("MB")
    _legend(axes)


def _legend(axes: Any) -> None:
    """Put the legend above the panel, where it hides nothing."""
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.3)
