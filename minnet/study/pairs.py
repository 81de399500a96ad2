"""Pairs: every run is compared with the base of its own target, and why that matters.

What pairing is for
-------------------
The halves of a data set are not equally hard: their bases differ by more than most
treatments do. A mean over the nets of a treatment minus a mean over bases therefore
also measures *which halves* the two means happen to be of. The paper's own numbers
show it. AnB+ was trained for the halves 0B and 1B, BnB+ for 0A and 1A, and the bases
are of all eight random halves. Pooling them, each net counting once, gives what the
paper reports (`pooled_difference`); the difference of every net from the base of its
own half (`paired_difference`) says something else:

=====================================  ==========  ==========  ==========
points of top-1 accuracy               layers 1-7  layers 3-7  layers 5-7
=====================================  ==========  ==========  ==========
AnB+ over base, pooled (published)        1.6         1.8         2.1
AnB+ over base, paired                    0.97        1.17        1.16
AnB+ over BnB+, pooled (published)        1.4         1.4         1.7
BnB+ over base, paired                    0.97        1.10        1.01
=====================================  ==========  ==========  ==========

Paired, pre-training on the other half gains as much as pre-training on the own half
and training on: most of the published advantage of AnB+ over BnB+ is that B halves are
easier than A halves. A direct pairing of AnB+ with BnB+ isn't possible there, for no
half has both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from ..errors import DataError
from .interval import Estimate, bootstrap_interval, t_interval
from .record import Record, in_order

__all__ = ["Pair", "estimator", "make_pairs", "mean", "paired_difference", "pooled_difference"]

Pair = tuple[Record, Record]


def paired_difference(
    records: Iterable[Record],
    treatment: str,
    against: str = "base",
    layers: Sequence[int] | None = None,
) -> Estimate:
    """Return by how much a treatment differs from another, over pairs.

    A pair has the same target and replicate, and unless it is with a base the same n.
    Over several n the pairs share bases, so that the interval is narrower than it
    should be.

    Parameters
    ----------
    records
        The runs.
    treatment, against
        The first less the second.
    layers
        The n to take pairs at; all of them when left out.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> found = paired_difference(paper_records(), "AnB+", layers=range(3, 8))
    >>> found.count, f"{100 * found.mean:.2f} points"
    (7, '1.17 points')
    >>> paired_difference(paper_records(), "AnB+", "BnB+")
    Estimate(count=0, mean=None, low=None, high=None)
    """
    return estimator(0, 0)(make_pairs(in_order(records), treatment, against, layers))


def pooled_difference(
    records: Iterable[Record],
    treatment: str,
    against: str = "base",
    layers: Sequence[int] | None = None,
) -> float | None:
    """Return the mean accuracy of a treatment less that of another, as the paper did.

    Each run counts once, whatever its target and n. Unless both treatments were trained
    for the same halves and n, part of what comes out is how hard those are. All bases
    among the records count, so give it those of the splits that are meant.

    Parameters
    ----------
    records, treatment, against, layers
        As for `paired_difference`.

    Examples
    --------
    >>> from minnet.study.paper import paper_records
    >>> random = [record for record in paper_records() if record.split in "0123"]
    >>> f"{100 * pooled_difference(random, 'AnB+', layers=range(3, 8)):.2f} points"
    '1.80 points'
    """
    every = in_order(records)
    first, second = (
        mean([r.accuracy for r in every if r.treatment == name and _at(r, layers)])
        for name in (treatment, against)
    )
    return None if first is None or second is None else first - second


def _at(record: Record, layers: Sequence[int] | None) -> bool:
    """Tell whether a run counts for these n; a base does for all."""
    return layers is None or record.treatment == "base" or record.n in layers


def make_pairs(
    records: Sequence[Record], first: str, second: str, layers: Sequence[int] | None
) -> list[Pair]:
    """Return the runs of one treatment, each with its partner of the other, where it has one."""
    partners: dict[tuple[str, int, int], Record] = {}
    for record in records:
        if record.treatment == second and partners.setdefault(_match(record), record) is not record:
            raise DataError(f"{record.label}: two runs of {second} could be its pair's partner")
    found = []
    for record in records:
        if record.treatment == first and _at(record, layers):
            n = 0 if second == "base" else record.n
            partner = partners.get((record.target, record.replicate, n))
            if partner is not None:
                found.append((record, partner))
    return found


def _match(record: Record) -> tuple[str, int, int]:
    """Return what the partners in a pair have in common."""
    return record.target, record.replicate, record.n


def estimator(bootstrap: int, seed: int) -> Callable[[Sequence[Pair]], Estimate]:
    """Return what makes an estimate of pairs."""

    def interval(pairs: Sequence[Pair]) -> Estimate:
        differences = [a.accuracy - b.accuracy for a, b in pairs]
        if not bootstrap:
            return t_interval(differences)
        return bootstrap_interval(differences, [a.split for a, _ in pairs], bootstrap, seed)

    return interval


def mean(numbers: Sequence[float]) -> float | None:
    """Return the mean of numbers, or None of none."""
    return math.fsum(numbers) / len(numbers) if numbers else None
