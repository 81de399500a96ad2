"""The statistics of a study: a row for each treatment and n, and the effects layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .interval import Estimate
from .pairs import estimator, make_pairs, mean, paired_difference, pooled_difference
from .record import TREATMENTS, Record, in_order

__all__ = [
    "EFFECTS",
    "Effect",
    "Row",
    "decompose",
    "paired_difference",
    "pooled_difference",
    "summarize",
]

# What each effect is called, and the difference it is: the first treatment less the second.
EFFECTS = {
    "co-adaptation drop": ("BnB", "base"),
    "specificity drop": ("AnB", "BnB"),
    "fine-tuning gain over base": ("AnB+", "base"),
    "fine-tuning gain over BnB+": ("AnB+", "BnB+"),
}


@dataclass(frozen=True)
class Row:
    """What a study says about one treatment at one n.

    Parameters
    ----------
    treatment, n
        Which.
    count
        How many runs the mean is of.
    mean
        Their mean accuracy; None where all are left out.
    difference
        From the base of each run's own target and replicate, over the pairs.
    pairs
        The difference of each pair, in the order of the records.
    collapsed
        The labels of the runs that collapsed, left out or not.
    left_out
        How many runs the mean leaves out.
    """

    treatment: str
    n: int
    count: int
    mean: float | None
    difference: Estimate
    pairs: tuple[float, ...]
    collapsed: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class Effect:
    """One difference between treatments at one n, over pairs of equal target and replicate.

    Parameters
    ----------
    name
        One of `EFFECTS`.
    n
        How many layers were taken.
    difference
        The mean of the first less the second; a drop is negative.
    start, end
        The mean accuracies of the second and the first, over the same pairs.
    """

    name: str
    n: int
    difference: Estimate
    start: float | None = None
    end: float | None = None


def summarize(
    records: Iterable[Record],
    *,
    leave_out_collapsed: bool = False,
    bootstrap: int = 0,
    seed: int = 0,
) -> list[Row]:
    """Return what a study says, a row for each treatment and n.

    Parameters
    ----------
    records
        The finished runs; a run whose base is not among them counts in the mean
        but is in no pair.
    leave_out_collapsed
        Leave collapsed runs, and pairs with a collapsed base, out of the numbers.
    bootstrap
        How often to draw for intervals by the stratified bootstrap, the splits being
        the strata; with 0 they are by Student's t over the pairs.
    seed
        Of the bootstrap.

    Raises
    ------
    DataError
        If a run stands twice.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> random = [record for record in paper_records() if record.split in "0123"]
    >>> row = next(row for row in summarize(random) if (row.treatment, row.n) == ("AnB", 7))
    >>> row.count, round(row.mean, 4), round(row.difference.mean, 4)
    (8, 0.5425, -0.0826)
    >>> round(row.difference.low, 4), round(row.difference.high, 4)
    (-0.0849, -0.0803)
    """
    every = in_order(records)
    kept = [record for record in every if not (leave_out_collapsed and record.collapsed)]
    rows = []
    for treatment, n in sorted({(TREATMENTS.index(r.treatment), r.n) for r in every}):
        name = TREATMENTS[treatment]
        there = [record for record in every if (record.treatment, record.n) == (name, n)]
        own = [record for record in kept if (record.treatment, record.n) == (name, n)]
        pairs = [] if name == "base" else make_pairs(kept, name, "base", [n])
        rows.append(
            Row(
                treatment=name,
                n=n,
                count=len(own),
                mean=mean([record.accuracy for record in own]),
                difference=estimator(bootstrap, seed)(pairs),
                pairs=tuple(a.accuracy - b.accuracy for a, b in pairs),
                collapsed=tuple(record.label for record in there if record.collapsed),
                left_out=len(there) - len(own),
            )
        )
    return rows


def decompose(
    records: Iterable[Record],
    *,
    leave_out_collapsed: bool = False,
    bootstrap: int = 0,
    seed: int = 0,
) -> list[Effect]:
    """Return what becomes of the accuracy, layer by layer: the drops and the gains.

    The co-adaptation drop (BnB less base) is what is lost because neighbouring layers
    were trained together; the specificity drop (AnB less BnB) what is lost because
    features are made for their task; the fine-tuning gain (AnB+ less base, and less
    BnB+) what pre-training on the other half brings.

    Parameters
    ----------
    records, leave_out_collapsed, bootstrap, seed
        As for `summarize`.

    Returns
    -------
    list of Effect
        By effect and n; an effect without any run is not listed, one without any pair
        has a count of 0.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> random = [record for record in paper_records() if record.split in "0123"]
    >>> for effect in decompose(random)[:7]:
    ...     print(effect.n, effect.difference.count, f"{100 * effect.difference.mean:+.1f}")
    1 4 +0.3
    2 4 +0.0
    3 4 -0.2
    4 4 -1.8
    5 4 -3.0
    6 4 -0.4
    7 4 +0.0
    """
    kept = [r for r in in_order(records) if not (leave_out_collapsed and r.collapsed)]
    effects = []
    for name, (first, second) in EFFECTS.items():
        if not any(record.treatment == second for record in kept):
            continue
        for n in sorted({record.n for record in kept if record.treatment == first}):
            pairs = make_pairs(kept, first, second, [n])
            end = mean([a.accuracy for a, _ in pairs])
            start = mean([b.accuracy for _, b in pairs])
            effects.append(Effect(name, n, estimator(bootstrap, seed)(pairs), start, end))
    return effects
