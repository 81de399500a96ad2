"""What a reader must know of a study's numbers: warnings, and what they can't tell."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .interval import LEVEL
from .record import Record, groups
from .statistics import EFFECTS, Effect, Row, summarize
from .tables import few_pairs

__all__ = ["limits", "some", "warnings"]


def limits(records: Sequence[Record], rows: Sequence[Row], effects: Sequence[Effect]) -> list[str]:
    """Return what a reader should not take from the numbers.

    Parameters
    ----------
    records
        The runs.
    rows, effects
        What `summarize` and `decompose` make of them, for every kind of split.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> from minnet.study.statistics import decompose, summarize
    >>> nets = [net for net in paper_records() if net.split in "0123"]
    >>> print(limits(nets, summarize(nets), decompose(nets))[0])
    Small effects: half of the intervals of the effects are wider than ±0.4 points, the widest is
    ±1.9. "Not to be told from zero" says that an effect is smaller than its interval, not that
    there is none.
    """
    found = []
    widths = [
        50 * (effect.difference.high - effect.difference.low)
        for effect in effects
        if effect.difference.low is not None and effect.difference.high is not None
    ]
    if widths:
        found.append(
            f"Small effects: half of the intervals of the effects are wider than "
            f"±{statistics.median(widths):.1f} points, the widest is ±{max(widths):.1f}. "
            '"Not to be told from zero" says that an effect is smaller than its interval, not '
            "that there is none."
        )
    # Differences from a base are among both.
    others = [effect.difference for effect in effects if EFFECTS[effect.name][1] != "base"]
    every = [*(row.difference for row in rows), *others]
    count = sum(difference.low is not None for difference in every)
    if count:
        found.append(
            f"Chance: each interval stands for itself. Of {count}, about "
            f"{(1 - LEVEL) * count:.0f} would exclude zero if nothing had any effect."
        )
    found.append(
        "Independence: nets of one target and replicate share their base, so that a lucky or "
        "unlucky base moves them all, at every n; and the halves of all splits are made of the "
        "same examples. Intervals take pairs as independent, and may be too narrow."
    )
    if len({record.replicate for record in records}) == 1:
        found.append(
            "What is due to the halves and what to chance in training: there is one replicate, so "
            "the two are not told apart."
        )
    found.append(
        "Anything else: other data, nets and ways to train may give other numbers. The halves of "
        "a random split are much alike; features may serve an unlike task less."
    )
    return found


def warnings(
    records: Sequence[Record], failed: Sequence[str], options: Mapping[str, Any], drawn: bool
) -> list[str]:
    """Return all that a reader must know before believing the numbers."""
    found = []
    for name, runs in groups(records).items():
        few = few_pairs(summarize(runs, **options))
        if few:
            found.append(f"{name}: fewer than four pairs stand behind {'; '.join(few)}.")
    bases = {(r.target, r.replicate) for r in records if r.treatment == "base"}
    alone = [r.label for r in records if (r.target, r.replicate) not in bases]
    if alone:
        found.append(f"{_runs(alone)} without a base to be compared with: {some(alone)}.")
    collapsed = [record.label for record in records if record.collapsed]
    if collapsed:
        fate = "left out of" if options["leave_out_collapsed"] else "counted in"
        found.append(f"{_runs(collapsed)} collapsed and {fate} the means; see below.")
    if failed:
        found.append(f"{_runs(failed)} failed, not in the numbers; see below.")
    if not drawn:
        found.append("There is no figure: drawing needs matplotlib (pip install 'minnet[plot]').")
    return found


def _runs(labels: Sequence[str]) -> str:
    """Return how many runs, in words."""
    return "1 run" if len(labels) == 1 else f"{len(labels)} runs"


def some(labels: Sequence[str], most: int = 5) -> str:
    """Return the first few of many."""
    rest = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(labels[:most]) + rest
