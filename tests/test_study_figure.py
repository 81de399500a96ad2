"""The figure of a study: what is in it, and that equal records give equal files."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_samples import made_up, record

import minnet as mn
from minnet.study.paper import paper_records
from minnet.study.record import TREATMENTS, Record

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from minnet.study.figure import draw_figure  # noqa: E402
from minnet.study.style import STYLES, figure_bytes, number, shift  # noqa: E402


def texts(figure: Any) -> str:
    """Return all that is written in a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def labels(figure: Any) -> list[str]:
    """Return the labels of the legends in a figure."""
    legends = figure.findobj(matplotlib.legend.Legend)
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def points(axes: Any) -> list[tuple[float, float]]:
    """Return the places of all markers without a line through them."""
    return [
        (x, y)
        for line in axes.lines
        if line.get_linestyle() == "None"
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]


def collapsed() -> list[Record]:
    """Return a study in which a run collapsed."""
    return [
        dataclasses.replace(run, accuracy=0.2, collapsed=True)
        if run.label == "AnB+ n=2 0A -> 0B #0"
        else run
        for run in made_up()
    ]


def test_every_run_is_a_point_in_the_column_of_its_split() -> None:
    runs = made_up(("0", "1", "semantic"))
    figure = draw_figure(runs)
    above = figure.axes[:2]
    for axes, splits in zip(above, ({"0", "1"}, {"semantic"}), strict=True):
        expected = sorted(
            (run.n + shift(run.treatment), 100 * run.accuracy)
            for run in runs
            if run.split in splits
        )
        np.testing.assert_allclose(sorted(points(axes)), expected)
        low, high = axes.get_ylim()
        assert all(low < y < high for _, y in points(axes))


def test_the_lower_panel_shows_every_pair() -> None:
    for runs in (made_up(), [run for run in made_up() if run.treatment != "random"]):
        below = draw_figure(runs).axes[1]
        low, high = below.get_ylim()
        assert len(points(below)) == sum(run.treatment != "base" for run in runs)
        assert all(low < y < high for _, y in points(below))


def test_the_arrows_are_as_long_as_the_effects() -> None:
    figure = draw_figure(made_up(noise=0))
    said = texts(figure)
    assert "co-adaptation drop (BnB − base): −2.0 points [−2.0, −2.0], 4 pairs at n = 3" in said
    assert "specificity drop (AnB − BnB): −7.0 points" in said
    assert "fine-tuning gain (AnB+ − base): +1.5 points [+1.5, +1.5], 4 pairs at n = 2" in said
    arrows = [a for a in figure.axes[0].texts if a.arrow_patch is not None]
    lengths = [arrow.xy[1] - arrow.xyann[1] for arrow in arrows]
    np.testing.assert_allclose(lengths, [-2.0, -7.0, 1.5])


def test_no_arrow_where_there_is_no_effect() -> None:
    runs = [record("base", "0A", accuracy=0.5), record("BnB", "0A", 1, 0.6, "0A")]
    figure = draw_figure(runs)
    assert "co-adaptation" not in texts(figure)
    assert not [a for a in figure.axes[0].texts if a.arrow_patch is not None]


def test_collapsed_runs_are_crossed_and_named() -> None:
    figure = draw_figure(collapsed())
    assert "collapsed, counted in means:\nAnB+ n=2 0A → 0B #0" in labels(figure)
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    place = (2 + shift("AnB+"), 20.0)
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in crosses] == [place]
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert len(hollow) == 1
    left_out = draw_figure(collapsed(), leave_out_collapsed=True)
    assert "collapsed, left out of means:\nAnB+ n=2 0A → 0B #0" in labels(left_out)
    assert sorted(points(left_out.axes[0])) == sorted(points(figure.axes[0]))


def test_intervals_of_few_pairs_are_dotted() -> None:
    for splits, dotted in ((("0", "1"), False), (("0",), True)):
        bars = draw_figure(made_up(splits)).axes[1].collections
        assert bars
        assert {bar.get_linestyle()[0][1] is not None for bar in bars} == {dotted}


def test_treatments_differ_without_their_colours() -> None:
    assert set(STYLES) == set(TREATMENTS)
    assert len({style.marker for style in STYLES.values()}) == len(STYLES)
    assert len({style.color for style in STYLES.values()}) == len(STYLES)


def test_the_paper_beside_the_study() -> None:
    plain, with_paper = draw_figure(made_up()), draw_figure(made_up(), paper=True)
    panels = with_paper.axes[len(plain.axes) :]
    assert [axes.get_title() for axes in panels] == ["BnB", "BnB+", "AnB", "AnB+", "random"]
    assert "the paper, random halves" in labels(with_paper)
    curves = [line for line in panels[2].lines if len(line.get_xdata()) > 2]
    lengths = sorted(len(line.get_xdata()) for line in curves)
    assert lengths == [3, 7, 7]  # the study, and both kinds of halves of the paper
    assert all(0 < x < 1 for line in curves for x in line.get_xdata())


def test_the_paper_itself_can_be_drawn() -> None:
    figure = draw_figure(paper_records(), paper=True)
    titles = [axes.get_title(loc="left").splitlines()[:1] for axes in figure.axes[:3]]
    assert titles == [["random splits"], ["split all"], ["split natman"]]
    assert "collapsed, counted in means:\nrandom n=3 nothing → all #0" in labels(figure)


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_equal_records_give_equal_files(tmp_path: Path, kind: str) -> None:
    runs = made_up(("0",))
    for name, these in (("one", runs), ("two", runs[::-1])):
        draw_figure(these, tmp_path / f"{name}.{kind}")
    content = (tmp_path / f"one.{kind}").read_bytes()
    assert content == (tmp_path / f"two.{kind}").read_bytes()
    assert content.startswith(b"\x89PNG" if kind == "png" else b"<?xml")


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(mn.SpecError, match="not as \\.pdf"):
        draw_figure(made_up(("0",)), tmp_path / "figure.pdf")
    with pytest.raises(mn.SpecError):
        figure_bytes(matplotlib.figure.Figure(), "")
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(mn.DataError, match="no runs"):
        draw_figure([])


def test_bases_alone_can_be_drawn() -> None:
    figure = draw_figure([record("base", "0A", accuracy=0.5)], paper=True)
    assert points(figure.axes[0]) == [(0.0, 50.0)]
    assert figure_bytes(figure, "png")


@pytest.mark.parametrize(
    ("value", "text"), [(1.25, "+1.2"), (-3.0, "−3.0"), (0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0")]
)
def test_numbers_have_their_sign(value: float, text: str) -> None:
    assert number(value) == text
