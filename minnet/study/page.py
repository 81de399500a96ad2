"""A page of headings, texts, lists, tables and one figure, written as HTML and as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Block", "Code", "Figure", "Heading", "Items", "Table", "Text", "to_html", "to_markdown"]


@dataclass(frozen=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; `note` stands under it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Code:
    """Text to be shown as it is."""

    text: str
    language: str = "text"


@dataclass(frozen=True)
class Figure:
    """The figure: an SVG file for the HTML page, a name of an image for the Markdown."""

    svg: str
    image: str
    text: str


Block = Heading | Text | Items | Table | Code | Figure

CSS = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #111; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th, td { padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #111; vertical-align: bottom; }
pre { background: #f4f4f4; padding: 0.8rem; overflow-x: auto; font-size: 0.85rem; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; }
figcaption, .note { font-size: 0.85rem; color: #444; }
"""


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Return a page that needs nothing but itself.

    Examples
    --------
    >>> page = to_html("A & B", [Heading("A & B", 1), Text("5 < 6")])
    >>> "<h1>A &amp; B</h1>" in page, "<p>5 &lt; 6</p>" in page
    (True, True)
    """
    body = "\n".join(_html(block) for block in blocks)
    # The policy makes sure of it: a browser loads nothing for this page.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{html.escape(title)}</title>
<style>{CSS}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _html(block: Block) -> str:
    """Return a block as HTML."""
    escape = html.escape
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Items(items):
            return "<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>"
        case Code(text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case Figure(svg, _, text):
            return f"<figure>\n{_inline(svg)}\n<figcaption>{escape(text)}</figcaption>\n</figure>"
        case Table(head, rows, note):
            lines = [_html_row(head, "th"), *(_html_row(row, "td") for row in rows)]
            under = f'\n<p class="note">{escape(note)}</p>' if note else ""
            return "<table>\n" + "\n".join(lines) + f"\n</table>{under}"


def _html_row(cells: Sequence[str], tag: str) -> str:
    """Return a row of a table."""
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _inline(svg: str) -> str:
    """Return an SVG file as it may stand in a page: without what comes before, without metadata."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return svg.strip()


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return the same page as Markdown.

    Examples
    --------
    >>> print(to_markdown([Heading("A*"), Table(["n", "a|b"], [["1", "2"]])]))
    ## A\\*
    <BLANKLINE>
    | n | a\\|b |
    | --- | ---: |
    | 1   |    2 |
    <BLANKLINE>
    """
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    """Return a block as Markdown."""
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_plain(text)}"
        case Text(text):
            return _plain(text)
        case Items(items):
            return "\n".join(f"- {_plain(item)}" for item in items)
        case Code(text, language):
            longest = max((len(run) for run in re.findall("`+", text)), default=0)
            fence = "`" * max(3, longest + 1)
            return f"{fence}{language}\n{text.rstrip()}\n{fence}"
        case Figure(_, image, text):
            return f"![the figure of the study]({image})\n\n{_plain(text)}"
        case Table(head, rows, note):
            return _markdown_table(head, rows) + (f"\n\n{_plain(note)}" if note else "")


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns also align where it is read as plain text."""
    cells = [[_plain(cell) for cell in row] for row in (head, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def _plain(text: str) -> str:
    """Return text on one line, with what Markdown would take for markup escaped."""
    text = " ".join(text.split())
    text = re.sub(r"[\\`*\[\]<|&$~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", text)
    # At the start, what would make a list, a heading or a quotation.
    return re.sub(r"^(\d*)([-+#>.)])(?=[\s#]|$)", r"\1\\\2", text)
