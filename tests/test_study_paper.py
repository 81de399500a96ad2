"""The paper's file: what the paper published comes out, and so does what pairing says."""

import collections

import pytest

from minnet.study.pairs import paired_difference, pooled_difference
from minnet.study.paper import paper_records
from minnet.study.record import groups
from minnet.study.statistics import decompose, summarize

RANDOM = [record for record in paper_records() if record.split in ("0", "1", "2", "3")]
RANGES = [range(1, 8), range(3, 8), range(5, 8)]


def test_there_are_136_nets() -> None:
    records = paper_records()
    counts = collections.Counter(record.treatment for record in records)
    assert counts == {"base": 11, "BnB": 28, "BnB+": 10, "AnB": 70, "AnB+": 10, "random": 7}
    assert {record.layers for record in records} == {8}
    assert {r.source == r.target for r in records if r.treatment.startswith("BnB")} == {True}
    assert not any(r.source == r.target for r in records if r.treatment.startswith("AnB"))
    assert [r.label for r in records if r.collapsed] == ["random n=3 nothing -> all #0"]


@pytest.mark.parametrize(
    ("against", "published"), [("base", (1.6, 1.8, 2.1)), ("BnB+", (1.4, 1.4, 1.7))]
)
def test_pooled_and_unpaired_it_is_what_was_published(
    against: str, published: tuple[float, ...]
) -> None:
    found = [pooled_difference(RANDOM, "AnB+", against, layers) for layers in RANGES]
    assert [round(100 * (difference or 0), 1) for difference in found] == list(published)


@pytest.mark.parametrize(
    ("treatment", "counts", "points"),
    [("AnB+", [10, 7, 3], [0.97, 1.17, 1.16]), ("BnB+", [10, 8, 5], [0.97, 1.10, 1.01])],
)
def test_paired_by_target_both_gain_the_same(
    treatment: str, counts: list[int], points: list[float]
) -> None:
    found = [paired_difference(RANDOM, treatment, layers=layers) for layers in RANGES]
    assert [estimate.count for estimate in found] == counts
    assert [round(100 * (estimate.mean or 0), 2) for estimate in found] == points


def test_no_half_has_both_fine_tuned_treatments() -> None:
    assert paired_difference(RANDOM, "AnB+", "BnB+").count == 0
    gains = [e for e in decompose(RANDOM) if e.name == "fine-tuning gain over BnB+"]
    assert [(gain.n, gain.difference.mean) for gain in gains] == [(n, None) for n in range(1, 8)]


def test_the_effects_by_layer() -> None:
    found = {(e.name, e.n): round(100 * (e.difference.mean or 0), 1) for e in decompose(RANDOM)}
    drops = [found["co-adaptation drop", n] for n in range(1, 8)]
    assert drops == [0.3, 0.0, -0.2, -1.8, -3.0, -0.4, 0.0]
    assert min(range(1, 8), key=lambda n: found["specificity drop", n]) == 7
    assert all(found["fine-tuning gain over base", n] > 0 for n in range(1, 8))


def test_unlike_halves_transfer_worse() -> None:
    lost = {
        name: [row.difference.mean or 0 for row in summarize(runs) if row.treatment == "AnB"]
        for name, runs in groups(paper_records()).items()
    }
    assert lost["split all"] == []
    pairs = zip(lost["split natman"][1:], lost["random splits"][1:], strict=True)
    assert all(unlike < alike for unlike, alike in pairs)


def test_numbers_of_few_pairs_are_marked() -> None:
    rows = {(row.treatment, row.n): row.difference for row in summarize(RANDOM)}
    assert all(not rows["AnB", n].few and rows["AnB+", n].few for n in range(1, 8))
    assert rows["AnB+", 5].low is None  # a single net
