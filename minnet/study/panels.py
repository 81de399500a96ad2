"""A study's differences beside those of the paper, against n / L, a panel for each treatment."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .paper import paper_records
from .record import Record, groups
from .statistics import Row, summarize
from .style import STYLES, number

__all__ = ["draw_paper_panels"]

# The paper's kinds of halves: what to call them, line and marker.
PAPER: dict[str, tuple[str, Any, str]] = {
    "random splits": ("the paper, random halves", "-", "o"),
    "split natman": ("the paper, natural and man-made", (0, (1, 1.2)), "s"),
    "split all": ("the paper, all classes", "-", "D"),
}
# The study's kinds of splits, by line.
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)))


def draw_paper_panels(
    figure: Any, columns: Mapping[str, Sequence[Record]], summaries: Sequence[Sequence[Row]]
) -> None:
    """Draw a row of panels, one for each treatment that both the study and the paper have.

    Parameters
    ----------
    figure
        A matplotlib figure or subfigure to draw in.
    columns
        The study's runs by kind of split.
    summaries
        Their statistics, in the same order.
    """
    from matplotlib.ticker import MaxNLocator

    curves = _study_curves(columns, summaries) + _paper_curves()
    shown = [name for name in STYLES if len({c.ours for c in curves if name in c.points}) == 2]
    panels = figure.subplots(1, max(len(shown), 1), squeeze=False)[0]
    for axes, treatment in zip(panels, shown, strict=False):
        axes.axhline(0, color="black", linewidth=0.8, zorder=1)
        for curve in reversed(curves):  # the study over the paper
            axes.plot(*curve.points.get(treatment, ([], [])), **curve.look(treatment))
        axes.set_title(treatment, fontsize=9)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_xlabel("n / L", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(lambda value, _: number(value, 0 if value % 1 == 0 else 1))
    panels[0].set_ylabel("difference from own base (points)", fontsize=9)
    figure.legend(
        handles=[curve.handle() for curve in curves],
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
    )


@dataclass(frozen=True)
class _Curve:
    """The differences of one kind of split: for each treatment n / L and points."""

    label: str
    ours: bool
    line: Any
    marker: str
    points: Mapping[str, tuple[list[float], list[float]]]

    def look(self, treatment: str) -> dict[str, Any]:
        """Return how to draw it: the study in the treatment's colour, the paper hollow and grey."""
        if not self.ours:
            look = {"color": "0.45", "marker": self.marker, "mfc": "white", "linewidth": 1.0}
        else:
            look = {"color": STYLES[treatment].color, "marker": STYLES[treatment].marker}
        return {**look, "linestyle": self.line, "markersize": 4.5}

    def handle(self) -> Any:
        """Return what stands for it in the legend."""
        from matplotlib.lines import Line2D

        look = {"color": "black", "linestyle": self.line} if self.ours else self.look("")
        return Line2D([], [], **look, label=self.label)


def _study_curves(
    columns: Mapping[str, Sequence[Record]], summaries: Sequence[Sequence[Row]]
) -> list[_Curve]:
    several = zip(columns.items(), summaries, itertools.cycle(LINES), strict=False)
    return [
        _Curve(f"this study, {name}", True, line, "", _points(rows, runs[0].layers))
        for (name, runs), rows, line in several
    ]


def _paper_curves() -> list[_Curve]:
    return [
        _Curve(label, False, line, marker, _points(summarize(runs), runs[0].layers))
        for (label, line, marker), runs in (
            (PAPER[name], runs) for name, runs in groups(paper_records()).items()
        )
    ]


def _points(rows: Sequence[Row], layers: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return n / L and the paired difference in points, for each treatment."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        if row.difference.mean is not None:
            x, y = found.setdefault(row.treatment, ([], []))
            x.append(row.n / layers)
            y.append(100 * row.difference.mean)
    return found
