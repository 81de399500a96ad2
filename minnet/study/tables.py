"""The tables of a study's report."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .interval import FEW, Estimate
from .page import Table
from .paper import paper_records
from .record import TREATMENTS, Record, groups
from .statistics import EFFECTS, Effect, Row, summarize
from .style import number

__all__ = [
    "cost_table",
    "effect_name",
    "effect_readings",
    "effect_table",
    "few_pairs",
    "numbers_of",
    "paper_table",
    "row_table",
    "short_table",
]

NONE = "\N{EN DASH}"
FEW_MARK = "\N{DAGGER}"
FEW_NOTE = f"{FEW_MARK} fewer than four pairs"


def effect_name(name: str) -> str:
    """Return what an effect is, such as `specificity drop (AnB less BnB)`."""
    first, second = EFFECTS[name]
    return f"{name.partition(' over ')[0]} ({first} \N{MINUS SIGN} {second})"


def row_table(rows: Sequence[Row]) -> Table:
    """Return what a study says of each treatment and n."""
    lost = any(row.left_out for row in rows)
    head = ["treatment", "n", "runs", *(["left out"] if lost else []), "mean accuracy (%)"]
    head += ["difference from own base (points)", "95% interval", "pairs"]
    lines = [
        [
            row.treatment,
            str(row.n) if row.n else NONE,
            str(row.count),
            *([str(row.left_out)] if lost else []),
            NONE if row.mean is None else f"{100 * row.mean:.2f}",
            *_cells(row.difference, row.treatment != "base"),
        ]
        for row in rows
    ]
    return Table(head, lines, FEW_NOTE if few_pairs(rows) else "")


def _cells(found: Estimate, shown: bool = True) -> list[str]:
    """Return a difference, its interval and its number of pairs."""
    if not shown:
        return [NONE, NONE, NONE]
    mean = NONE if found.mean is None else number(100 * found.mean, 2)
    return [mean, _interval(found), f"{found.count}{' ' + FEW_MARK if found.few else ''}"]


def _interval(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return NONE
    return f"{number(100 * found.low, 2)} to {number(100 * found.high, 2)}"


def short_table(rows: Sequence[Row]) -> Table:
    """Return the differences in brief: a row for each n, a column for each treatment."""
    found = {(row.treatment, row.n): row.difference for row in rows if row.treatment != "base"}
    names = list(dict.fromkeys(treatment for treatment, _ in found))
    lines = []
    for n in sorted({n for _, n in found}):
        cells = [_brief(found.get((name, n), Estimate(0, None))) for name in names]
        lines.append([str(n), *cells])
    bases = [row for row in rows if row.treatment == "base" and row.mean is not None]
    mean = f" ({100 * (bases[0].mean or 0):.1f}% on average)" if bases else ""
    pairs = sorted({estimate.count for estimate in found.values()})
    few = f"; {FEW_NOTE}" if few_pairs(rows) else ""
    note = (
        f"Points of accuracy from the base of the same half{mean}: means over "
        f"{' to '.join(str(count) for count in dict.fromkeys((pairs[0], pairs[-1])))} pairs, "
        f"± half of their 95% interval{few}."
    )
    return Table(["n", *names], lines, note)


def _brief(found: Estimate) -> str:
    """Return a difference and half of its interval."""
    if found.mean is None:
        return NONE
    text = number(100 * found.mean)
    if found.low is not None and found.high is not None:
        text += f" ±{50 * (found.high - found.low):.1f}"
    return f"{text} {FEW_MARK}" if found.few else text


def effect_table(effects: Sequence[Effect]) -> Table:
    """Return the decomposition: a row for each n, columns for each effect."""
    names = list(dict.fromkeys(effect.name for effect in effects))
    found = {(effect.name, effect.n): effect.difference for effect in effects}
    lines = []
    for n in sorted({effect.n for effect in effects}):
        cells = [_together(found.get((name, n), Estimate(0, None))) for name in names]
        lines.append([str(n), *cells])
    few = f"; {FEW_NOTE}" if any(effect.difference.few for effect in effects) else ""
    note = f"Points; in brackets the 95% interval and the number of pairs{few}."
    return Table(["n", *map(effect_name, names)], lines, note)


def _together(found: Estimate) -> str:
    """Return a difference with its interval and its number of pairs in one cell."""
    mean, interval, count = _cells(found)
    return mean if found.mean is None else f"{mean} ({interval}; {count})"


def effect_readings(effects: Sequence[Effect]) -> list[str]:
    """Return in words at which n each effect shows, and at which the data doesn't tell."""
    lines = []
    for name in dict.fromkeys(effect.name for effect in effects):
        own = [effect for effect in effects if effect.name == name]
        told = [effect for effect in own if not effect.difference.few]
        parts = [
            (text, [effect.n for effect in told if effect.difference.sign == sign])
            for sign, text in (
                (-1, "below zero"),
                (1, "above zero"),
                (0, "not to be told from zero"),
            )
        ]
        parts.append(("too few pairs to tell", [e.n for e in own if e.difference.few]))
        said = "; ".join(f"{text} at n = {numbers_of(ns)}" for text, ns in parts if ns)
        lines.append(f"{effect_name(name)}: {said}.")
    return lines


def few_pairs(rows: Sequence[Row]) -> list[str]:
    """Return which numbers fewer than four pairs stand behind."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row.treatment != "base" and row.difference.count < FEW:
            found.setdefault(row.treatment, []).append(row.n)
    return [f"{treatment} at n = {numbers_of(ns)}" for treatment, ns in found.items()]


def numbers_of(ns: Sequence[int]) -> str:
    """Return numbers as a list in words."""
    return ", ".join(str(n) for n in ns)


def cost_table(records: Sequence[Record]) -> Table:
    """Return what each treatment took: how soon it was good, how long, how much it trained."""
    head = ["treatment", "n", "best accuracy (%)", "runs that came within a point of their base"]
    head += ["rounds until then, median", "seconds, mean", "parameters trained", "passes saved"]
    lines = []
    for treatment, n in sorted({(TREATMENTS.index(r.treatment), r.n) for r in records}):
        own = [r for r in records if (r.treatment, r.n) == (TREATMENTS[treatment], n)]
        near = [r.rounds_to_base for r in own if r.rounds_to_base is not None]
        lines.append(
            [
                TREATMENTS[treatment],
                str(n) if n else NONE,
                _mean_of([r.best_accuracy for r in own], lambda value: f"{100 * value:.2f}"),
                f"{len(near)} of {len(own)}" if treatment and own[0].rounds is not None else NONE,
                f"{statistics.median(near):g}" if near and treatment else NONE,
                _mean_of([r.seconds for r in own], lambda value: f"{value:.1f}"),
                _mean_of([r.trained for r in own], lambda value: f"{value:,.0f}"),
                _mean_of([r.reused or None for r in own], lambda value: f"{100 * value:.0f}%"),
            ]
        )
    return Table(head, lines, "Passes saved: the share of forward passes through frozen layers.")


def _mean_of(values: Sequence[float | None], text: Any) -> str:
    """Return the mean of what is known as text, or a dash."""
    known = [value for value in values if value is not None]
    return str(text(statistics.fmean(known))) if known else NONE


def paper_table() -> Table:
    """Return the paper's own paired differences, by n / L."""
    columns: dict[str, Mapping[int, Estimate]] = {}
    titles = {"random splits": "random halves", "split natman": "natural and man-made"}
    for name, runs in groups(paper_records()).items():
        rows = summarize(runs)
        for treatment in TREATMENTS[1:]:
            found = {row.n: row.difference for row in rows if row.treatment == treatment}
            if found:
                columns[f"{treatment}, {titles.get(name, 'all classes')}"] = found
    lines = []
    for n in range(1, 8):
        cells = [column.get(n, Estimate(0, None)) for column in columns.values()]
        lines.append([f"{n}/8", *(_short(cell) for cell in cells)])
    note = "Points from the base of the same target; in brackets the number of pairs."
    return Table(["n/L", *columns], lines, note)


def _short(found: Estimate) -> str:
    if found.mean is None:
        return NONE
    return f"{number(100 * found.mean)} ({found.count})"
