"""The figure of a study, after Figure 2 of Yosinski et al. (2014); drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DataError, SpecError
from .interval import FEW
from .panels import draw_paper_panels
from .record import Record, groups
from .statistics import Effect, Row, decompose, summarize
from .style import STYLES, number, save_figure, shift

__all__ = ["draw_figure"]

# The arrows: the letter, the effect, what the text calls it, and whether it goes up or down.
ARROWS = (
    ("a", "co-adaptation drop", "co-adaptation drop (BnB \N{MINUS SIGN} base)", -1),
    ("b", "specificity drop", "specificity drop (AnB \N{MINUS SIGN} BnB)", -1),
    ("c", "fine-tuning gain over base", "fine-tuning gain (AnB+ \N{MINUS SIGN} base)", 1),
)
# Random features can lose half of everything, which would flatten all else: where accuracies
# range over more points than this, the upper panel is logarithmic in the error,
WIDE_ABOVE = 25.0
TICKS_ABOVE = (0, 20, 40, 50, 60, 70, 80, 85, 90, 92, 94, 96, 98, 99, 99.5)
# and where differences reach further than this, the lower one in what is beyond LINEAR.
WIDE_BELOW, LINEAR = 15.0, 2.0
TICKS_BELOW = [sign * size for sign in (1, -1) for size in (1, 2, 5, 10, 20, 50, 100)]


def draw_figure(
    records: Iterable[Record],
    path: Any = None,
    *,
    paper: bool = False,
    leave_out_collapsed: bool = False,
) -> Any:
    """Draw every run, the means, the effects, and the paired differences with intervals.

    Random splits and each named split have a column. Above, every run is a point, lines
    go through the means, the mean of the bases is a line across, and arrows show the
    largest co-adaptation drop, specificity drop and fine-tuning gain. Below are the
    differences from the base of each run's own target, with 95% intervals (dotted where
    fewer than four pairs stand behind them). Collapsed runs are hollow and crossed.

    Parameters
    ----------
    records
        The finished runs.
    path
        Where to write it, as `.svg` or `.png`.
    paper
        Also draw the differences beside those of the paper, against n / L.
    leave_out_collapsed
        Leave collapsed runs out of means and differences; they are drawn all the same.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there are no records.
    SpecError
        If matplotlib isn't installed or the ending of the path is another.

    Examples
    --------
    >>> import os, tempfile
    >>> from minnet.study.paper import paper_records
    >>> path = os.path.join(tempfile.mkdtemp(), "figure.png")
    >>> figure = draw_figure(paper_records(), path)  # doctest: +SKIP
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SpecError("drawing needs matplotlib: pip install 'minnet[plot]'") from None
    columns = groups(records)
    if not columns:
        raise DataError("there are no runs to draw")
    width = max(7.5, 5.8 * len(columns))
    figure = Figure(figsize=(width, 12.0 if paper else 8.5), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(8.5, 3.5)) if paper else [figure]
    summaries = [
        summarize(runs, leave_out_collapsed=leave_out_collapsed) for runs in columns.values()
    ]
    effects = [
        decompose(runs, leave_out_collapsed=leave_out_collapsed) for runs in columns.values()
    ]
    _draw_panels(parts[0], columns, summaries, effects)
    handles = _legend([run for runs in columns.values() for run in runs], leave_out_collapsed)
    parts[0].legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    if paper:
        draw_paper_panels(parts[1], columns, summaries)
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw_panels(
    figure: Any,
    columns: Mapping[str, Sequence[Record]],
    summaries: Sequence[Sequence[Row]],
    effects: Sequence[Sequence[Effect]],
) -> None:
    """Draw two panels for each kind of split: the runs above, the differences below."""
    grid = figure.subplots(2, len(columns), squeeze=False, height_ratios=(3, 2), sharex="col")
    above, below = grid
    everything = zip(above, below, columns.items(), summaries, effects, strict=True)
    for upper, lower, (name, runs), rows, found in everything:
        _draw_runs(upper, runs, rows)
        error = ", logarithmic in the error" if _scale_runs(upper, runs) else ""
        upper.set_ylabel(f"accuracy on the target (%{error})")
        upper.set_title("\n".join([name, *_draw_arrows(upper, found)]), loc="left", fontsize=8.5)
        _draw_differences(lower, rows)
        depth = max(record.layers for record in runs)
        lower.set_xlim(-0.4, depth - 0.4)
        lower.set_xticks(range(depth))
        lower.set_xlabel(f"n, the number of layers taken (of {depth})")
    wide = _scale_differences(below, summaries)
    beyond = f"\nlogarithmic beyond \N{PLUS-MINUS SIGN}{LINEAR:g}" if wide else ""
    below[0].set_ylabel(f"difference from own base (points){beyond}")


def _draw_runs(axes: Any, runs: Sequence[Record], rows: Sequence[Row]) -> None:
    """Draw every run as a point, lines through the means, and the base line across."""
    for treatment, style in STYLES.items():
        own = [record for record in runs if record.treatment == treatment]
        good = [record for record in own if not record.collapsed]
        places = [record.n + shift(treatment) for record in good]
        y = [100 * record.accuracy for record in good]
        axes.plot(places, y, style.marker, color=style.color, markersize=4.5, alpha=0.75, mew=0)
        for record in own:
            if record.collapsed:
                place = (record.n + shift(treatment), 100 * record.accuracy)
                axes.plot(*place, style.marker, color=style.color, mfc="none", markersize=7)
                axes.plot(*place, "x", color="black", markersize=6, mew=0.9, zorder=4)
        means = [
            (r.n, 100 * r.mean) for r in rows if r.treatment == treatment and r.mean is not None
        ]
        if treatment == "base":
            for _, mean in means:
                axes.axhline(mean, color=style.color, linewidth=1.0, zorder=1)
        else:
            places = [n + shift(treatment) for n, _ in means]
            axes.plot(places, [mean for _, mean in means], color=style.color, linestyle=style.line)
    _tidy(axes)


def _draw_arrows(axes: Any, effects: Sequence[Effect]) -> list[str]:
    """Draw an arrow where each effect is largest, if it is there; return what to say of each."""
    lines = []
    for place, (letter, name, text, sign) in enumerate(ARROWS):
        found = [effect for effect in effects if effect.name == name and effect.difference.mean]
        largest = max(found, key=lambda e: sign * (e.difference.mean or 0), default=None)
        if largest is None or largest.start is None or largest.end is None:
            continue
        difference = largest.difference
        if difference.mean is None or sign * difference.mean <= 0:
            continue
        x = largest.n + 0.3 + 0.06 * place
        start, end = 100 * largest.start, 100 * largest.end
        arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8, "lw": 1.1}
        axes.annotate("", (x, end), (x, start), arrowprops={**arrow, "color": "black"}, zorder=5)
        axes.annotate(
            letter, (x, end if sign > 0 else (start + end) / 2), (6, 6 * (sign > 0)),
            textcoords="offset points", fontsize=8, fontweight="bold", va="center", zorder=6,
            bbox={"boxstyle": "circle,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip
        lines.append(f"{letter}  {text}: {_said(difference)} at n = {largest.n}")
    return lines


def _said(difference: Any) -> str:
    """Return a difference in points, with its interval and how many pairs it is of."""
    text = f"{number(100 * difference.mean)} points"
    if difference.low is not None:
        text += f" [{number(100 * difference.low)}, {number(100 * difference.high)}]"
    return f"{text}, {difference.count} pair{'s' * (difference.count != 1)}"


def _draw_differences(axes: Any, rows: Sequence[Row]) -> None:
    """Draw the paired differences with their intervals."""
    axes.axhline(0, color="black", linewidth=1.0, zorder=1)
    for treatment, style in STYLES.items():
        own = [row for row in rows if row.treatment == treatment and row.difference.count]
        for row in own:
            x, found = row.n + shift(treatment), row.difference
            pairs = [100 * pair for pair in row.pairs]
            axes.plot([x] * len(pairs), pairs, ".", color=style.color, markersize=3, alpha=0.5)
            if found.low is not None and found.high is not None:
                dots = ":" if found.few else "-"
                axes.vlines(x, 100 * found.low, 100 * found.high, style.color, dots, linewidth=1.6)
        places = [row.n + shift(treatment) for row in own]
        y = [100 * (row.difference.mean or 0) for row in own]
        line = {"color": style.color, "linestyle": style.line, "linewidth": 0.9}
        axes.plot(places, y, marker=style.marker, markersize=4.5, mew=0, **line)
    _tidy(axes)


def _scale_runs(axes: Any, runs: Sequence[Record]) -> bool:
    """Give an upper panel its scale; tell whether it is logarithmic in the error."""
    accuracies = [100 * record.accuracy for record in runs]
    low, high = min(accuracies), max(accuracies)
    if high - low <= WIDE_ABOVE:
        return False
    axes.set_yscale("function", functions=(_spread, _gathered))
    axes.set_ylim(max(low - 5, -5), min(high + 0.25 * (100 - high), 99.95))
    ticks = [tick for tick in TICKS_ABOVE if low - 5 <= tick <= axes.get_ylim()[1]]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    return True


def _spread(accuracy: Any) -> Any:
    """Map an accuracy in percent to where it stands in a wide upper panel."""
    return -np.log(np.maximum(100 - np.asarray(accuracy), 0.01))


def _gathered(place: Any) -> Any:
    """Undo `_spread`."""
    return 100 - np.exp(-np.asarray(place))


def _scale_differences(panels: Sequence[Any], summaries: Sequence[Sequence[Row]]) -> bool:
    """Give the lower panels one scale, in which every pair has its place; an interval may not."""
    pairs = [100 * pair for rows in summaries for row in rows for pair in row.pairs]
    low, high = min([*pairs, -0.5]), max([*pairs, 0.5])
    wide = max(-low, high) > WIDE_BELOW
    room = 0.15 * (high - low)
    for axes in panels:
        if wide:
            axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.8)
            axes.set_yticks([0, *TICKS_BELOW], [number(tick, 0) for tick in (0, *TICKS_BELOW)])
            axes.minorticks_off()
        axes.set_ylim(1.4 * low if wide else low - room, 1.5 * high if wide else high + room)
    return wide


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _legend(records: Sequence[Record], leave_out_collapsed: bool) -> list[Any]:
    """Return what the legend shows: the treatments there are, and the collapsed runs by name."""
    from matplotlib.lines import Line2D

    handles = []
    for treatment, style in STYLES.items():
        if any(record.treatment == treatment for record in records):
            line = {"color": style.color, "linestyle": style.line, "marker": style.marker}
            handles.append(Line2D([], [], **line, markersize=5, label=treatment))
    text = f"95% interval (dotted: of fewer than {FEW} pairs)"
    handles.append(
        Line2D([], [], color="0.3", marker="|", linestyle="none", ms=10, mew=1.6, label=text)
    )
    collapsed = [
        record.label.replace("->", "\N{RIGHTWARDS ARROW}") for record in records if record.collapsed
    ]
    if collapsed:
        more = f" and {len(collapsed) - 2} more" if collapsed[2:] else ""
        fate = "left out of means" if leave_out_collapsed else "counted in means"
        text = f"collapsed, {fate}:\n" + "\n".join(collapsed[:2]) + more
        handles.append(Line2D([], [], marker="x", color="black", linestyle="none", label=text))
    return handles
