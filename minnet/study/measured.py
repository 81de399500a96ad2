"""What was measured on features without retraining, beside what transfer then was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DataError
from .interval import FEW, spearman
from .page import Table
from .pairs import make_pairs, mean
from .record import Record, in_order
from .style import number

__all__ = ["correlation_table", "measure_table"]

Place = tuple[str, str, int]
NONE = "\N{EN DASH}"
# The n of a score of the whole net; beside it stands the mean transfer over all n.
WHOLE = 0
KEYS = ("source", "target", "n", "name", "value")
TRANSFERS = {"frozen": ("BnB", "AnB"), "fine-tuned": ("BnB+", "AnB+")}


def measure_table(records: Sequence[Record], measures: Sequence[Mapping[str, Any]]) -> Table:
    """Return every score, and beside it by how many points the nets differ from their bases.

    Parameters
    ----------
    records
        The runs.
    measures
        With the keys `source`, `target`, `n`, `name` and `value`; values of the same
        place and name, as of several replicates, are averaged. An n of 0 is for what
        the whole net says: beside it stands the mean transfer over all n.

    Raises
    ------
    DataError
        If a measure lacks a key.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> score = {"source": "0A", "target": "0B", "n": 7, "name": "LEEP", "value": -1.5}
    >>> measure_table(paper_records(), [score]).rows
    [['0A', '0B', '7', '−1.500', '−8.15', '+1.24']]
    """
    scores, moved = _scores(measures), _transfers(records)
    names = list(scores)
    places = sorted({place for own in scores.values() for place in own})
    rows = []
    for place in places:
        values = [scores[name].get(place) for name in names]
        cells = [NONE if value is None else number(value, 3, sign=False) for value in values]
        points = [moved[kind].get(place) for kind in TRANSFERS]
        cells += [NONE if value is None else number(100 * value, 2) for value in points]
        rows.append([place[0], place[1], "all" if place[2] == WHOLE else str(place[2]), *cells])
    kinds = [f"{kind}: points from own base" for kind in TRANSFERS]
    return Table(["source", "target", "n", *names, *kinds], rows, texts=2)


def correlation_table(records: Sequence[Record], measures: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rank correlation (Spearman) of every score with the measured transfer.

    Parameters
    ----------
    records, measures
        As for `measure_table`.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> scores = [
    ...     {"source": "0A", "target": "0B", "n": n, "name": "minus n", "value": -n}
    ...     for n in range(1, 8)
    ... ]
    >>> correlation_table(paper_records(), scores).rows
    [['minus n', '+0.96', '7', '−0.61', '7']]
    """
    scores, moved = _scores(measures), _transfers(records)
    rows = []
    for name in scores:
        cells = []
        for kind in TRANSFERS:
            both = [place for place in scores[name] if place in moved[kind]]
            found = spearman(
                [scores[name][place] for place in both], [moved[kind][place] for place in both]
            )
            few = " \N{DAGGER}" if len(both) < FEW else ""
            cells += [NONE if found is None else number(found, 2), f"{len(both)}{few}"]
        rows.append([name, *cells])
    head = [text for kind in TRANSFERS for text in (f"with {kind} transfer", "places")]
    note = (
        "Over all places (source, target, n) that have both. Accuracy falls with n in most "
        "studies, so that any score that does the same correlates: compare scores with each other."
    )
    return Table(["score", *head], rows, note)


def _scores(measures: Sequence[Mapping[str, Any]]) -> dict[str, dict[Place, float]]:
    """Return the scores by name and place; what is not a number is left out."""
    found: dict[str, dict[Place, list[float]]] = {}
    for measure in measures:
        missing = [key for key in KEYS if key not in measure]
        if missing:
            raise DataError(
                f"a measure has {', '.join(KEYS)}; {dict(measure)!r} lacks {missing[0]}"
            )
        own = found.setdefault(str(measure["name"]), {})
        place = (str(measure["source"] or NONE), str(measure["target"]), int(measure["n"]))
        value = measure["value"]
        if value is not None and math.isfinite(value):
            own.setdefault(place, []).append(float(value))
    return {
        name: {place: math.fsum(values) / len(values) for place, values in own.items()}
        for name, own in found.items()
    }


def _transfers(records: Sequence[Record]) -> dict[str, dict[Place, float]]:
    """Return the mean paired difference from the base at every place, frozen and fine-tuned."""
    every = in_order(records)
    found: dict[str, dict[Place, float]] = {}
    for kind, treatments in TRANSFERS.items():
        places: dict[Place, list[float]] = {}
        for treatment in treatments:
            for run, base in make_pairs(every, treatment, "base", None):
                for n in (run.n, WHOLE):
                    place = (run.source or NONE, run.target, n)
                    places.setdefault(place, []).append(run.accuracy - base.accuracy)
        found[kind] = {place: mean(values) or 0.0 for place, values in places.items()}
    return found
