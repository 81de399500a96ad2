"""The statistics of a study: intervals, pairs, effects, ranks, and the table of runs."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_samples import LOST, made_up, record

import minnet as mn
from minnet.study.interval import (
    bootstrap_interval,
    spearman,
    t_interval,
    t_probability,
    t_quantile,
)
from minnet.study.measured import correlation_table, measure_table
from minnet.study.pairs import paired_difference, pooled_difference
from minnet.study.record import Record, groups, in_order, read_runs, write_runs
from minnet.study.statistics import decompose, summarize

NUMBERS = st.integers(-10, 10)

# --- Student's t ----------------------------------------------------------------------------

# From the printed table of quantiles: degrees of freedom, probability, value.
TABLE = [
    (1, 0.975, 12.7062),
    (2, 0.975, 4.3027),
    (3, 0.975, 3.1824),
    (4, 0.975, 2.7764),
    (7, 0.975, 2.3646),
    (10, 0.975, 2.2281),
    (30, 0.975, 2.0423),
    (120, 0.975, 1.9799),
    (1, 0.9, 3.0777),
    (5, 0.95, 2.0150),
    (9, 0.995, 3.2498),
    (15, 0.9995, 4.0728),
]


@pytest.mark.parametrize(("freedom", "probability", "value"), TABLE)
def test_quantiles_are_those_of_the_printed_table(
    freedom: int, probability: float, value: float
) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(value, abs=6e-5)
    assert t_quantile(1 - probability, freedom) == pytest.approx(-value, abs=6e-5)


@given(st.floats(-50, 50))
def test_probabilities_have_their_closed_forms(t: float) -> None:
    assert t_probability(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-12)
    assert t_probability(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-12)


@given(st.floats(0.001, 0.999), st.integers(1, 300))
def test_the_quantile_undoes_the_probability(probability: float, freedom: int) -> None:
    assert t_probability(t_quantile(probability, freedom), freedom) == pytest.approx(probability)


def test_with_many_degrees_of_freedom_t_is_normal() -> None:
    assert t_quantile(0.975, 10_000_000) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize(("probability", "freedom"), [(0, 3), (1, 3), (math.nan, 3), (0.9, 0)])
def test_impossible_quantiles_are_refused(probability: float, freedom: int) -> None:
    with pytest.raises(mn.SpecError):
        t_quantile(probability, freedom)


def test_the_t_interval_covers_the_truth_as_often_as_it_says(random: np.random.Generator) -> None:
    hits = 0
    for _ in range(1000):
        found = t_interval(list(random.normal(3, 2, size=4)))
        assert found.low is not None and found.high is not None
        hits += found.low < 3 < found.high
    assert 930 <= hits <= 970


# --- the bootstrap --------------------------------------------------------------------------


def test_the_bootstrap_is_seeded_and_keeps_to_its_strata() -> None:
    numbers, strata = [1.0, 2.0, 3.0, 101.0, 102.0, 103.0], ["a"] * 3 + ["b"] * 3
    found = bootstrap_interval(numbers, strata, 500, seed=1)
    assert found == bootstrap_interval(numbers, strata, 500, seed=1)
    other = bootstrap_interval([0.3, 1.7, 2.1, 5.2], ["a"] * 4, 50, seed=1)
    assert other != bootstrap_interval([0.3, 1.7, 2.1, 5.2], ["a"] * 4, 50, seed=2)
    assert found.mean == 52
    # Were strata mixed, some means would be far from 52.
    assert found.low is not None and found.high is not None
    assert 51 <= found.low < 52 < found.high <= 53


def test_one_number_a_stratum_gives_no_interval() -> None:
    found = bootstrap_interval([1.0, 5.0], ["a", "b"])
    assert (found.count, found.mean, found.low, found.high) == (2, 3.0, None, None)
    assert bootstrap_interval([], []).mean is None


@pytest.mark.parametrize("arguments", [([1.0], []), ([1.0], ["a"], 0), ([1.0], ["a"], -1)])
def test_impossible_bootstraps_are_refused(arguments: tuple[list[float], list[str]]) -> None:
    with pytest.raises(mn.SpecError):
        bootstrap_interval(*arguments)


# --- rank correlation -----------------------------------------------------------------------


def test_ranks_with_ties_as_in_the_textbook() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3.5, 3.5: covariance 3.75, squares 4.5 and 4.5.
    assert spearman([1, 2, 2, 3], [10, 20, 30, 30]) == pytest.approx(3.75 / 4.5)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=20))
def test_the_rank_correlation_looks_at_order_alone(pairs: list[tuple[int, int]]) -> None:
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    found = spearman(x, y)
    assert spearman(y, x) == pytest.approx(found)
    assert spearman([a**3 for a in x], y) == pytest.approx(found)
    if found is not None:
        assert -1 - 1e-12 <= found <= 1 + 1e-12
        assert spearman([-a for a in x], y) == pytest.approx(-found)
    else:
        assert len(set(x)) == 1 or len(set(y)) == 1


def test_without_ties_it_is_the_sum_of_squared_differences(random: np.random.Generator) -> None:
    a, b = random.permutation(9), random.permutation(9)
    expected = 1 - 6 * int(((a - b) ** 2).sum()) / (9 * (81 - 1))
    assert spearman(list(a), list(b)) == pytest.approx(expected)


def test_a_correlation_needs_pairs() -> None:
    assert spearman([1.0], [2.0]) is None
    with pytest.raises(mn.SpecError):
        spearman([1.0, 2.0], [1.0])


# --- pairs and effects ----------------------------------------------------------------------


def test_without_noise_every_difference_comes_out() -> None:
    rows = {(row.treatment, row.n): row for row in summarize(made_up(noise=0))}
    for (treatment, lost), n in itertools.product(LOST.items(), (1, 2, 3)):
        row = rows[treatment, n]
        assert (row.count, row.difference.count, row.left_out) == (4, 4, 0)
        assert row.difference.mean == pytest.approx(lost[n])
        assert row.mean == pytest.approx(0.905 + lost[n])
        assert row.difference.low == pytest.approx(lost[n])
    assert rows["base", 0].difference.count == 0


def test_effects_are_differences_of_their_treatments() -> None:
    for effect in decompose(made_up(noise=0)):
        first, second = {
            "co-adaptation drop": ("BnB", None),
            "specificity drop": ("AnB", "BnB"),
            "fine-tuning gain over base": ("AnB+", None),
            "fine-tuning gain over BnB+": ("AnB+", "BnB+"),
        }[effect.name]
        expected = LOST[first][effect.n] - (LOST[second][effect.n] if second else 0)
        assert effect.difference.mean == pytest.approx(expected)
        assert effect.start is not None and effect.end is not None
        assert effect.end - effect.start == pytest.approx(expected)


def test_a_missing_half_misleads_pooled_means_but_not_pairs() -> None:
    only_b = [r for r in made_up(noise=0) if r.treatment == "base" or r.target.endswith("B")]
    paired = paired_difference(only_b, "BnB", layers=[1])
    assert paired.mean == pytest.approx(0, abs=1e-12)
    assert pooled_difference(iter(only_b), "BnB", layers=[1]) == pytest.approx(0.025)
    assert pooled_difference(only_b, "AnB", "base", layers=[9]) is None


def test_pairs_keep_to_their_replicate() -> None:
    runs = [
        record("base", "0A", accuracy=0.5, replicate=0),
        record("base", "0A", accuracy=0.7, replicate=1),
        record("BnB", "0A", 1, 0.6, "0A", replicate=0),
        record("BnB", "0A", 1, 0.7, "0A", replicate=1),
        record("BnB", "0A", 1, 0.9, "0A", replicate=2),
    ]
    row = summarize(runs)[1]
    assert row.pairs == pytest.approx((0.1, 0.0))
    assert (row.count, row.difference.count) == (3, 2)
    assert row.difference.few


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_fewer_than_four_pairs_are_few(count: int) -> None:
    runs = made_up(("0",), replicates=count)
    one_way = [run for run in runs if run.target == "0A"]
    few = {row.difference.few for row in summarize(one_way) if row.treatment != "base"}
    assert few == {count < 4}
    assert all(effect.difference.few == (count < 4) for effect in decompose(one_way))


def test_collapsed_runs_are_named_and_left_out_only_when_asked() -> None:
    runs = [
        run for run in made_up(noise=0) if (run.treatment, run.n, run.target) != ("AnB", 3, "0A")
    ]
    runs.append(record("AnB", "0A", 3, 0.2, "0B", collapsed=True))
    kept = {(row.treatment, row.n): row for row in summarize(runs)}["AnB", 3]
    out = {(r.treatment, r.n): r for r in summarize(runs, leave_out_collapsed=True)}["AnB", 3]
    assert kept.collapsed == out.collapsed == ("AnB n=3 0B -> 0A #0",)
    assert (kept.count, kept.left_out, kept.difference.count) == (4, 0, 4)
    assert (out.count, out.left_out, out.difference.count) == (3, 1, 3)
    assert out.difference.mean == pytest.approx(-0.09)
    assert kept.difference.mean is not None and kept.difference.mean < -0.2


def test_a_collapsed_base_takes_its_pairs_with_it() -> None:
    runs = [
        dataclasses.replace(run, collapsed=True) if run.label == "base 0A #0" else run
        for run in made_up()
    ]
    row = {(r.treatment, r.n): r for r in summarize(runs, leave_out_collapsed=True)}["BnB", 1]
    assert (row.count, row.difference.count) == (4, 3)


def test_the_bootstrap_on_request() -> None:
    runs = made_up(replicates=2)
    by_t, by_draw = summarize(runs), summarize(runs, bootstrap=300, seed=3)
    assert by_draw == summarize(reversed(runs), bootstrap=300, seed=3)
    for one, other in zip(by_t, by_draw, strict=True):
        assert one.difference.mean == other.difference.mean
    assert [r.difference.low for r in by_t] != [r.difference.low for r in by_draw]


def test_what_stands_twice_is_refused() -> None:
    runs = made_up()
    with pytest.raises(mn.DataError, match="stands twice"):
        summarize([*runs, runs[5]])
    other = dataclasses.replace(runs[0], split="another")
    with pytest.raises(mn.DataError, match="two runs of base"):
        summarize([*runs, other])


def test_random_and_named_splits_stand_apart() -> None:
    found = groups(made_up(("semantic", "1", "0", "colour")))
    assert list(found) == ["random splits", "split colour", "split semantic"]
    assert {run.split for run in found["random splits"]} == {"0", "1"}


# --- the table of runs ----------------------------------------------------------------------


def test_the_table_of_runs_comes_back_as_it_was(tmp_path: Path) -> None:
    runs = made_up(("0", 'a, "b"\nc | d'))
    runs.append(Record("base", "x", None, "xA", 0, 0, 4, accuracy=1 / 3))
    write_runs(tmp_path / "runs.csv", runs)
    assert read_runs(tmp_path / "runs.csv") == in_order(runs)
    assert [file.name for file in tmp_path.iterdir()] == ["runs.csv"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("treatment", "treat", "lacks treatment"),
        ("False", "no", "line 2: collapsed is True or False"),
        ("\nbase,", "\nbose,", "line 2: a treatment is one of"),
        (",5000,", ",many,", "line 2: trained is of type int"),
        (",0.9", ",19", "line 2: base 0A #0: an accuracy is from 0 to 1"),
        (",False", "", "line 2"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "runs.csv"
    write_runs(path, [record("base", "0A", accuracy=0.9, trained=5000)])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(mn.FormatError, match=message):
        read_runs(path)


def test_impossible_records_are_refused() -> None:
    for accuracy in (-0.1, 1.1, math.nan):
        with pytest.raises(mn.DataError, match="from 0 to 1"):
            record("base", "0A", accuracy=accuracy)
    with pytest.raises(mn.DataError, match="got 'AnC'"):
        record("AnC", "0A")


# --- scores beside transfer -----------------------------------------------------------------


def score(name: str, source: str, target: str, n: int, value: float | None) -> dict[str, object]:
    return {"name": name, "source": source, "target": target, "n": n, "value": value}


def test_scores_stand_beside_the_transfer_of_their_place() -> None:
    scores = [score("good", "0A", "0B", n, LOST["AnB"][n]) for n in (1, 2, 3)]
    scores += [score("bad", "0A", "0B", n, -LOST["AnB"][n]) for n in (1, 2, 3)]
    scores += [score("bad", "9A", "9B", 1, 5.0), score("whole", "0A", "0B", 0, 0.25)]
    scores += [score("good", "0A", "0A", 3, None), score("good", "0A", "0A", 2, math.nan)]
    rows = {tuple(row[:3]): row[3:] for row in measure_table(made_up(noise=0), scores).rows}
    assert rows["0A", "0B", "3"] == ["−0.090", "0.090", "–", "−9.00", "+1.20"]
    assert rows["9A", "9B", "1"] == ["–", "5.000", "–", "–", "–"]
    assert rows["0A", "0B", "all"] == ["–", "–", "0.250", "−4.17", "+1.23"]
    found = {row[0]: row[1:3] for row in correlation_table(made_up(noise=0), scores).rows}
    assert found == {"good": ["+1.00", "3 †"], "bad": ["−1.00", "3 †"], "whole": ["–", "1 †"]}


def test_replicates_of_a_score_are_averaged() -> None:
    twice = [score("s", "0A", "0B", 1, value) for value in (1.0, 2.0)]
    assert measure_table(made_up(), twice).rows[0][3] == "1.500"


def test_a_score_without_its_place_is_refused() -> None:
    with pytest.raises(mn.DataError, match="lacks target"):
        measure_table(made_up(), [{"name": "s", "source": "0A", "n": 1, "value": 1.0}])
