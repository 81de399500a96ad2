"""The report of a study: an HTML page, the same in Markdown, the figure, a table of all runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError, SpecError
from .limits import limits, some, warnings
from .measured import correlation_table, measure_table
from .page import Block, Code, Figure, Heading, Items, Table, Text, to_html, to_markdown
from .record import Record, groups, in_order, write_beside, write_runs
from .statistics import Row, decompose, summarize
from .tables import (
    cost_table,
    effect_readings,
    effect_table,
    paper_table,
    row_table,
    short_table,
)

__all__ = ["summary", "write_report"]

FROZEN = ("BnB", "AnB", "random")
CAPTION = (
    "Above, every run is a point; lines go through the means and the mean of the bases is the line "
    "across. Below is by how much runs differ from the base of their own target, the mean over "
    "pairs with its 95% interval."
)
PAPER_CAPTION = " At the bottom, the same differences beside those of the paper, against n / L."
TERMS = (
    "A base is a net trained on one half of the classes. The other nets take its first n weight "
    "layers: BnB and BnB+ from the base of the half they are then trained on, AnB and AnB+ from "
    "that of the other half; random takes fresh layers, meanvar noise with the mean and variance "
    "of the other half's. In BnB, AnB and random these layers stay frozen, in the others they are "
    "fine-tuned."
)


def write_report(
    records: Iterable[Record],
    folder: Any,
    *,
    name: str,
    spec_text: str,
    environment: Mapping[str, Any],
    halves: Mapping[str, Sequence[Any]] | None = None,
    measures: Sequence[Mapping[str, Any]] | None = None,
    failed: Sequence[str] = (),
    paper: bool = False,
    leave_out_collapsed: bool = False,
    bootstrap: int = 0,
) -> Path:
    """Write `report.html`, `report.md`, `figure.svg`, `figure.png` and `runs.csv` to a folder.

    Equal records give equal files. Every file is written beside and renamed, the page last.

    Parameters
    ----------
    records
        The finished runs.
    folder
        Where to write; made if it isn't there.
    name
        Of the study.
    spec_text
        The study's spec as the user wrote it.
    environment
        Versions and the machine, by name.
    halves
        The classes of each half, by its name.
    measures
        Scores of features: mappings with the keys `source`, `target`, `n`, `name`, `value`.
    failed
        What to say of each run that failed.
    paper
        Set the measurements of Yosinski et al. (2014) beside the study's.
    leave_out_collapsed
        Leave collapsed runs out of the statistics; they are listed and drawn all the same.
    bootstrap
        How often to draw for intervals by the stratified bootstrap; 0 for Student's t.

    Returns
    -------
    pathlib.Path
        Of the HTML page.

    Raises
    ------
    DataError
        If there are no records, one stands twice, or a measure lacks a key.

    Examples
    --------
    >>> import tempfile
    >>> from minnet.study.paper import paper_records
    >>> from minnet.study.report import write_report
    >>> page = write_report(
    ...     paper_records(), tempfile.mkdtemp(), name="the paper", spec_text="", environment={}
    ... )  # doctest: +SKIP
    """
    every = in_order(records)
    if not every:
        raise DataError("there are no finished runs to report")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    options = {"leave_out_collapsed": leave_out_collapsed, "bootstrap": bootstrap}
    figure = _draw(every, target, paper, leave_out_collapsed)
    blocks: list[Block] = [Heading(name, 1), Text(_overview(every)), Text(TERMS)]
    blocks += _halves(halves or {})
    known = warnings(every, failed, options, drawn=figure is not None)
    blocks += [Heading("Warnings"), Items(known)] if known else []
    blocks += [] if figure is None else [figure]
    blocks += _statistics(every, options) + _limits(every, options) + _costs(every)
    if measures:
        blocks += [
            Heading("What features said without retraining"),
            correlation_table(every, measures),
            measure_table(every, measures),
        ]
    if paper:
        blocks += [Heading("The paper's own differences"), Text(LESSON), paper_table()]
    blocks += _lists(every, failed) + _origins(spec_text, environment)
    write_runs(target / "runs.csv", every)
    write_beside(target / "report.md", to_markdown(blocks).encode())
    page = target / "report.html"
    write_beside(page, to_html(name, blocks).encode())
    return page


def summary(records: Iterable[Record], *, leave_out_collapsed: bool = False) -> list[Block]:
    """Return the report in brief: for each kind of split the effects in words, and the table.

    Examples
    --------
    >>> from minnet.study.page import to_markdown
    >>> from minnet.study.paper import paper_records
    >>> halves = [net for net in paper_records() if net.split in "0123"]
    >>> print(to_markdown(summary(halves)).splitlines()[0])
    ## random splits
    """
    blocks: list[Block] = []
    for name, runs in groups(records).items():
        rows = summarize(runs, leave_out_collapsed=leave_out_collapsed)
        effects = decompose(runs, leave_out_collapsed=leave_out_collapsed)
        blocks.append(Heading(name))
        blocks += [Items(effect_readings(effects))] if effects else []
        blocks += _short(rows)
    return blocks


def _short(rows: Sequence[Row]) -> list[Block]:
    return [short_table(rows)] if any(row.treatment != "base" for row in rows) else []


LESSON = (
    "From the authors' public logs (J. Yosinski, J. Clune, Y. Bengio, H. Lipson, 2014, arXiv "
    "1411.1792). The differences are paired by target; the paper's text pools nets of unequally "
    "hard halves and so finds larger gains from fine-tuning."
)


def _draw(
    records: Sequence[Record], folder: Path, paper: bool, leave_out_collapsed: bool
) -> Figure | None:
    """Draw the figure to its files; return it for the page, or None without matplotlib."""
    from .figure import draw_figure
    from .style import figure_bytes

    try:
        figure = draw_figure(records, paper=paper, leave_out_collapsed=leave_out_collapsed)
    except SpecError:
        return None
    svg = figure_bytes(figure, "svg")
    write_beside(folder / "figure.svg", svg)
    write_beside(folder / "figure.png", figure_bytes(figure, "png"))
    text = CAPTION + (PAPER_CAPTION if paper else "")
    return Figure(svg.decode(), "figure.png", text)


def _overview(records: Sequence[Record]) -> str:
    """Return in a sentence what was run."""
    bases = sum(record.treatment == "base" for record in records)
    splits = list(dict.fromkeys(record.split for record in records))
    depth = max(record.layers for record in records)
    replicates = len({record.replicate for record in records})
    return (
        f"{len(records)} runs: {bases} bases and {len(records) - bases} treatments of a net of "
        f"{depth} weight layers; splits: {', '.join(splits)}; replicates: {replicates}. "
        "Differences are in points (percent of the test examples)."
    )


def _halves(halves: Mapping[str, Sequence[Any]]) -> list[Block]:
    """Return which classes each half is made of."""
    rows = [[name, some([str(label) for label in halves[name]], 20)] for name in halves]
    return [Heading("The halves"), Table(["half", "classes"], rows, texts=2)] if rows else []


def _statistics(records: Sequence[Record], options: Mapping[str, Any]) -> list[Block]:
    """Return the effects and the treatments, for each kind of split."""
    how = (
        "the stratified bootstrap over pairs" if options["bootstrap"] else "Student's t over pairs"
    )
    blocks: list[Block] = []
    for name, runs in groups(records).items():
        effects = decompose(runs, **options)
        rows = summarize(runs, **options)
        blocks += [Heading(f"Results: {name}"), *_short(rows)]
        if effects:
            blocks += [
                Heading("What is lost and gained, layer by layer", 3),
                Items(effect_readings(effects)),
                effect_table(effects),
            ]
        blocks += [Heading("Treatments", 3), row_table(rows)]
    note = (
        "Every run is compared with the base of its own target and replicate. Intervals are 95% "
        f"ones by {how}."
    )
    return [*blocks, Text(note)]


def _limits(records: Sequence[Record], options: Mapping[str, Any]) -> list[Block]:
    """Return what the numbers can't tell."""
    kinds = groups(records).values()
    rows = [row for runs in kinds for row in summarize(runs, **options)]
    effects = [effect for runs in kinds for effect in decompose(runs, **options)]
    return [Heading("What these numbers can't tell"), Items(limits(records, rows, effects))]


def _costs(records: Sequence[Record]) -> list[Block]:
    """Return what the runs took and what computing frozen layers once has saved."""
    blocks: list[Block] = [Heading("What the runs took"), cost_table(records)]
    saved = []
    for treatment in FROZEN:
        shares = [r.reused for r in records if r.treatment == treatment and r.reused is not None]
        if shares:
            saved.append(f"{100 * math.fsum(shares) / len(shares):.0f}% in {treatment}")
    if saved:
        text = "Frozen first layers ran over the data once where nothing random stands in them. Of "
        blocks.append(Text(f"{text}the forward passes through them this saved {', '.join(saved)}."))
    return blocks


def _lists(records: Sequence[Record], failed: Sequence[str]) -> list[Block]:
    """Return the collapsed and the failed runs by name."""
    blocks: list[Block] = []
    collapsed = [
        f"{record.label}: {100 * record.accuracy:.1f}%"
        + ("" if record.chance is None else f" (chance {100 * record.chance:.1f}%)")
        for record in records
        if record.collapsed
    ]
    if collapsed:
        text = "They stayed at chance, or their loss never fell."
        blocks += [Heading("Collapsed runs"), Text(text), Items(collapsed)]
    if failed:
        blocks += [Heading("Failed runs"), Items(list(failed))]
    return blocks


def _origins(spec_text: str, environment: Mapping[str, Any]) -> list[Block]:
    """Return what it takes to do the study again."""
    version = f" {environment['minnet']}" if "minnet" in environment else ""
    made_with = [[str(key), str(value)] for key, value in environment.items()]
    return [
        Heading("How to do it again"),
        Text(
            f"With minnet{version}, and the spec below as SPEC.toml in the folder that its paths "
            "count from. Seeds follow from the spec, so the same versions give the same numbers; "
            "others, or another processor, round otherwise. All runs are in runs.csv."
        ),
        Code("minnet study run SPEC.toml --results RESULTS\nminnet study report RESULTS", "sh"),
        Heading("Versions and machine", 3),
        Table(["what", "which"], made_with, texts=2),
        Heading("The spec", 3),
        Code(spec_text),
    ]
