"""The report of a study: a page that needs nothing else, its Markdown, and the table of runs."""

import dataclasses
import html.parser
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from study_samples import made_up

import minnet as mn
from minnet.study.page import Code, Heading, Items, Table, Text, to_html, to_markdown
from minnet.study.paper import paper_records
from minnet.study.record import in_order, read_runs
from minnet.study.report import write_report

pytest.importorskip("matplotlib")

NASTY = "<b>&amp; | *x* `y` [z](http://a.b) \"q\" 'r'"
FILES = {"report.html", "report.md", "figure.svg", "figure.png", "runs.csv"}


class Reader(html.parser.HTMLParser):
    """Collects the tags, the addresses and the text of a page; checks that tags close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)
        names = ("src", "href", "xlink:href", "data", "action")
        self.addresses += [value or "" for name, value in attrs if name in names]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def write(folder: Path, **options: Any) -> Path:
    """Write a report with what is given, and defaults for the rest."""
    given: dict[str, Any] = {
        "records": made_up(),
        "name": "a study",
        "spec_text": "seed = 0",
        "environment": {"minnet": "1.2", "NumPy": "2.1"},
    }
    given |= options
    return write_report(given.pop("records"), folder, **given)


@pytest.fixture
def without_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib can't be imported: the report is made without a figure, and quickly."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report in which everything that a user can name has a nasty name."""
    runs = [dataclasses.replace(run, split=NASTY) if run.split == "1" else run for run in made_up()]
    runs[3] = dataclasses.replace(runs[3], collapsed=True)
    scores = [
        {"source": "0A", "target": "0B", "n": n, "name": NASTY, "value": -n} for n in (1, 2, 3)
    ]
    page = write(
        tmp_path_factory.mktemp("nasty"),
        records=runs,
        name=NASTY,
        spec_text=f"{NASTY}\n```\nend",
        environment={"minnet": "1.2", NASTY: NASTY},
        halves={NASTY: [NASTY]},
        measures=scores,
        failed=[f"AnB n=1: {NASTY}"],
        paper=True,
    )
    return page


def test_it_writes_its_files_and_nothing_else(nasty: Path) -> None:
    assert nasty.name == "report.html"
    assert {file.name for file in nasty.parent.iterdir()} == FILES


def test_the_page_is_well_formed_and_everything_is_escaped(nasty: Path) -> None:
    page = Reader(nasty.read_text(encoding="utf-8"))
    assert page.open == []
    assert "b" not in page.tags
    assert "script" not in page.tags
    # name in title and heading, half, class, split, score twice, environment twice, failed, spec
    assert page.text.count(NASTY) >= 11


def test_the_page_needs_nothing_but_itself(nasty: Path) -> None:
    text = nasty.read_text(encoding="utf-8")
    page = Reader(text)
    assert page.tags.count("svg") == 1
    assert page.addresses
    assert all(address.startswith("#") for address in page.addresses)
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_the_markdown_escapes_what_is_markup(nasty: Path) -> None:
    text = nasty.with_suffix(".md").read_text(encoding="utf-8")
    body, _, rest = text.partition("````text\n")
    assert f"{NASTY}\n```\nend\n````" in rest
    assert "<b>" not in body.replace("\\<b>", "")
    assert "](" not in body.replace("![the figure of the study](figure.png)", "").replace(
        "\\](", ""
    )
    for line in body.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
    rows = [line for line in body.splitlines() if line.startswith(("| BnB ", "| random "))]
    counts = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert counts == {8, 9}  # treatments, costs


def test_it_says_what_a_reader_must_know(nasty: Path) -> None:
    text = Reader(nasty.read_text(encoding="utf-8")).text
    for said in (
        "4 bases and 72 treatments of a net of 4 weight layers",
        "fewer than four pairs stand behind BnB at n = 1, 2, 3",
        "1 run collapsed and counted in the means",
        "1 run failed",
        "this saved 90% in BnB, 90% in AnB, 90% in random",
        "With minnet 1.2, and the spec below",
        "minnet study run SPEC.toml",
        "What these numbers can't tell",
        "there is one replicate",
        "The paper's own differences",
        "co-adaptation drop (BnB − base): too few pairs to tell at n = 1, 2, 3.",
    ):
        assert said in text, said


@pytest.mark.usefixtures("without_figure")
def test_readings_follow_the_intervals(tmp_path: Path) -> None:
    text = write(tmp_path).with_suffix(".md").read_text(encoding="utf-8")
    assert "specificity drop (AnB − BnB): below zero at n = 2, 3; not to be told" in text
    assert "fewer than four" not in text
    assert "Collapsed" not in text
    row = next(line for line in text.splitlines() if line.startswith("| random    |   3 |"))
    assert row.count("–") == 0
    assert "| 4 |" in re.sub(" +", " ", row)


@pytest.mark.usefixtures("without_figure")
def test_leaving_out_shows_the_count_left_out(tmp_path: Path) -> None:
    runs = [
        dataclasses.replace(run, collapsed=True, accuracy=0.2)
        if run.label == "AnB n=3 0A -> 0B #0"
        else run
        for run in made_up()
    ]
    page = write(tmp_path, records=runs, leave_out_collapsed=True)
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    assert "1 run collapsed and left out of the means" in text
    assert "AnB n=3 0A -> 0B #0: 20.0% (chance 20.0%)" in text
    row = next(line for line in text.splitlines() if re.match(r"\| AnB +\| +3 \|", line))
    assert re.split(r" *\| *", row)[3:5] == ["3", "1"]


@pytest.mark.usefixtures("without_figure")
def test_the_first_table_is_the_last_in_brief(tmp_path: Path) -> None:
    runs = made_up(splits=("0", "1", "semantic"))
    text = write(tmp_path, records=runs).with_suffix(".md").read_text(encoding="utf-8")
    random, named = (part.partition("\n## ")[0] for part in text.split("\n## Results: ")[1:])
    for part, pairs in ((random, 4), (named, 2)):
        rows = [re.split(r" *\| *", line)[1:-1] for line in part.splitlines() if line[:1] == "|"]
        places = [i for i, row in enumerate(rows) if row[0] == "n"]
        short = rows[places[0] : places[1]]
        long = {(row[0], row[1]): row for row in rows[places[1] :]}
        for n, *cells in short[2:]:
            for treatment, cell in zip(short[0][1:], cells, strict=True):
                *_, mean, interval, count = long[treatment, n]
                low, _, high = interval.replace("−", "-").partition(" to ")
                brief = re.fullmatch(r"(\S+) ±([\d.]+)( †)?", cell)
                assert brief, cell
                assert float(brief[1].replace("−", "-")) == pytest.approx(
                    float(mean.replace("−", "-")), abs=0.0551
                )
                assert float(brief[2]) == pytest.approx((float(high) - float(low)) / 2, abs=0.0601)
                assert bool(brief[3]) == ("†" in count) == (pairs < 4)
        assert f"means over {pairs} pairs" in part


@pytest.mark.usefixtures("without_figure")
def test_it_says_what_the_numbers_cannot_tell(tmp_path: Path) -> None:
    one = write(tmp_path / "one").with_suffix(".md").read_text(encoding="utf-8")
    two = write(tmp_path / "two", records=made_up(replicates=2)).with_suffix(".md")
    width = r"half of the intervals of the effects are wider than ±(\d\.\d) points"
    wide, narrow = (re.search(width, text) for text in (one, two.read_text(encoding="utf-8")))
    assert wide
    assert narrow
    assert float(narrow[1]) < float(wide[1]), "more pairs tell more"
    # At each of three n: six treatments, specificity, and the gain over BnB+.
    assert "Of 24, about 1 would exclude zero" in one
    assert "there is one replicate" in one
    assert "there is one replicate" not in two.read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_figure")
def test_many_classes_of_a_half_are_not_all_listed(tmp_path: Path) -> None:
    page = write(tmp_path, halves={"0A": range(500), "0B": ["cat", "dog"]})
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    assert re.search(r"\| 0A +\| 0, 1, .*, 19 and 480 more \|", text)
    assert re.search(r"\| 0B +\| cat, dog +\|", text)


@pytest.mark.usefixtures("without_figure")
def test_the_table_of_runs_is_whole(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_runs(tmp_path / "runs.csv") == in_order(made_up())


def test_equal_records_give_equal_files(tmp_path: Path) -> None:
    write(tmp_path / "one", name="the old one")
    write(tmp_path / "one")
    write(tmp_path / "two" / "deep", records=made_up()[::-1])
    for name in FILES:
        one, two = tmp_path / "one" / name, tmp_path / "two" / "deep" / name
        assert one.read_bytes() == two.read_bytes(), name


@pytest.mark.usefixtures("without_figure")
def test_the_paper_can_be_reported(tmp_path: Path) -> None:
    text = write(tmp_path, records=paper_records()).with_suffix(".md").read_text(encoding="utf-8")
    assert "fewer than four pairs stand behind BnB+ at n = 1, 2, 3, 4, 5, 6, 7" in text
    assert "Results: split natman" in text


@pytest.mark.usefixtures("without_figure")
def test_runs_without_a_base_are_named(tmp_path: Path) -> None:
    runs = [run for run in made_up() if run.label != "base 0A #0"]
    text = write(tmp_path, records=runs).with_suffix(".md").read_text(encoding="utf-8")
    assert "18 runs without a base to be compared with: BnB n=1 0A -> 0A #0" in text
    assert "and 13 more" in text


@pytest.mark.usefixtures("without_figure")
def test_intervals_by_the_bootstrap(tmp_path: Path) -> None:
    by_draw = write(tmp_path / "b", bootstrap=50).with_suffix(".md").read_text(encoding="utf-8")
    assert "the stratified bootstrap" in by_draw
    assert "the stratified bootstrap" not in write(tmp_path / "t").read_text(encoding="utf-8")


@pytest.mark.usefixtures("without_figure")
def test_without_matplotlib_there_is_a_report_all_the_same(tmp_path: Path) -> None:
    text = write(tmp_path).read_text(encoding="utf-8")
    assert "drawing needs matplotlib" in text
    assert "<figure>" not in text
    assert {file.name for file in tmp_path.iterdir()} == FILES - {"figure.svg", "figure.png"}


def test_nothing_to_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mn.DataError, match="no finished runs"):
        write(tmp_path / "new", records=[])
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("without_figure")
def test_a_failed_write_leaves_the_old_report(tmp_path: Path) -> None:
    page = write(tmp_path)
    before = page.read_bytes()
    with pytest.raises(mn.DataError, match="lacks source"):
        write(tmp_path, measures=[{"name": "s"}])
    assert page.read_bytes() == before
    (tmp_path / "runs.csv").unlink()
    (tmp_path / "runs.csv").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(tmp_path, name="another")
    assert page.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == FILES - {"figure.svg", "figure.png"}


# --- pages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("- a", "\\- a"),
        ("1. a", "1\\. a"),
        ("# a", "\\# a"),
        ("-1.5", "-1.5"),
        ("93.31", "93.31"),
        ("h_score", "h_score"),
        ("_a_", "\\_a\\_"),
        ("a\n\nb", "a b"),
        ("a\\|b", "a\\\\\\|b"),
    ],
)
def test_markdown_escapes_no_more_than_it_must(text: str, escaped: str) -> None:
    assert to_markdown([Text(text)]) == f"{escaped}\n"


def test_both_pages_hold_every_kind_of_block() -> None:
    blocks = [
        Heading("head", 1),
        Text("text"),
        Items(["item"]),
        Table(["a", "b"], [["cell", "1"]], "note"),
        Code("code\n"),
    ]
    text = Reader(to_html("title", blocks)).text
    for word in ("title", "head", "text", "item", "cell", "note", "code"):
        assert word in text
        if word != "title":
            assert word in to_markdown(blocks)
